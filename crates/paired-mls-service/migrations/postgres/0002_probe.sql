-- What readiness writes: a row of the size of a message, in place of the one before it.
CREATE TABLE probe (
    id BIGINT NOT NULL PRIMARY KEY,
    filler BYTEA NOT NULL
);
-- Compressed, it would need no room.
ALTER TABLE probe ALTER COLUMN filler SET STORAGE EXTERNAL;
