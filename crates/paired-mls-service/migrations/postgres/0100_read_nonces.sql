-- Nonces of requests that only read, for all replicas: not written ahead, so that nobody waits for a disk.
-- After a crash of the server they are gone.
CREATE UNLOGGED TABLE read_nonces (
    digest BYTEA NOT NULL PRIMARY KEY,
    expires_at BIGINT NOT NULL
);
CREATE INDEX read_nonces_by_expiry ON read_nonces (expires_at);
