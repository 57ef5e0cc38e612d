-- KeyPackages whose time begins later, and who has claimed how many of whose.

ALTER TABLE key_packages ADD COLUMN not_before BIGINT NOT NULL DEFAULT 0;

-- How many of one suite a device had at its last upload: of these, the last quarter is kept.
CREATE TABLE key_package_stock (
    device_id BYTEA NOT NULL REFERENCES devices,
    suite BIGINT NOT NULL,
    stock BIGINT NOT NULL,
    PRIMARY KEY (device_id, suite)
);

-- What an account has claimed of a device: a hash of both, and no names.
CREATE TABLE claims (
    claim BYTEA NOT NULL PRIMARY KEY,
    taken BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX claims_by_expiry ON claims (expires_at);
