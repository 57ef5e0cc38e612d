-- KeyPackages whose time begins later, and who has claimed how many of whose.

ALTER TABLE key_packages ADD COLUMN not_before INTEGER NOT NULL DEFAULT 0;

-- How many of one suite a device had at its last upload: of these, the last quarter is kept.
CREATE TABLE key_package_stock (
    device_id BLOB NOT NULL REFERENCES devices,
    suite INTEGER NOT NULL,
    stock INTEGER NOT NULL,
    PRIMARY KEY (device_id, suite)
) WITHOUT ROWID;

-- What an account has claimed of a device: a hash of both, and no names.
CREATE TABLE claims (
    claim BLOB NOT NULL PRIMARY KEY,
    taken INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX claims_by_expiry ON claims (expires_at);
