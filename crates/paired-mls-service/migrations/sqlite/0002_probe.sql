-- What readiness writes: a row of the size of a message, in place of the one before it.
CREATE TABLE probe (
    id INTEGER NOT NULL PRIMARY KEY,
    filler BLOB NOT NULL
);
