-- The hash of a log up to each entry. Those of before get theirs when the service starts.
ALTER TABLE log ADD COLUMN chain BYTEA;

-- Up to where the entries of a log are gone, and the hash up to there.
ALTER TABLE groups ADD COLUMN pruned_through BIGINT NOT NULL DEFAULT 0;
ALTER TABLE groups ADD COLUMN pruned_chain BYTEA;

-- Which history this database has: a new one begins when it is restored from a backup.
CREATE TABLE service (
    id BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    incarnation BYTEA NOT NULL
);
INSERT INTO service (id, incarnation) VALUES (1, decode(replace(gen_random_uuid()::text, '-', ''), 'hex'));
