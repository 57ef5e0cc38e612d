-- The hash of a log up to each entry. Those of before get theirs when the service starts.
ALTER TABLE log ADD COLUMN chain BLOB;

-- Up to where the entries of a log are gone, and the hash up to there.
ALTER TABLE groups ADD COLUMN pruned_through INTEGER NOT NULL DEFAULT 0;
ALTER TABLE groups ADD COLUMN pruned_chain BLOB;

-- Which history this database has: a new one begins when it is restored from a backup.
CREATE TABLE service (
    id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    incarnation BLOB NOT NULL
);
INSERT INTO service (id, incarnation) VALUES (1, randomblob(16));
