-- Ids, keys and messages are blobs; times are seconds since 1970-01-01T00:00:00Z.

CREATE TABLE users (
    user_id BLOB NOT NULL PRIMARY KEY
) WITHOUT ROWID;

CREATE TABLE devices (
    device_id BLOB NOT NULL PRIMARY KEY,
    user_id BLOB NOT NULL REFERENCES users,
    scheme TEXT NOT NULL,
    signature_key BLOB NOT NULL,
    revoked_at INTEGER,
    mailbox_head INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX devices_of_user ON devices (user_id);

CREATE TABLE approvals (
    user_id BLOB NOT NULL REFERENCES users,
    device_id BLOB NOT NULL,
    PRIMARY KEY (user_id, device_id)
) WITHOUT ROWID;

-- What was signed within the window of freshness, so that nothing is taken twice.
CREATE TABLE nonces (
    device_id BLOB NOT NULL,
    nonce TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (device_id, nonce)
) WITHOUT ROWID;
CREATE INDEX nonces_by_expiry ON nonces (expires_at);

CREATE TABLE groups (
    group_id BLOB NOT NULL PRIMARY KEY,
    epoch INTEGER NOT NULL,
    head INTEGER NOT NULL,
    access TEXT NOT NULL,
    group_info BLOB
);

-- Accounts, not devices: which of its devices has sent something is not kept.
CREATE TABLE roster (
    group_id BLOB NOT NULL REFERENCES groups,
    user_id BLOB NOT NULL REFERENCES users,
    -- The position of the commit that removed the account, the last that it may read.
    removed_at INTEGER,
    PRIMARY KEY (group_id, user_id)
) WITHOUT ROWID;

CREATE TABLE log (
    group_id BLOB NOT NULL REFERENCES groups,
    position INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    kind TEXT NOT NULL,
    message BLOB NOT NULL,
    digest BLOB NOT NULL,
    PRIMARY KEY (group_id, position),
    UNIQUE (group_id, digest)
);

CREATE TABLE mailbox (
    device_id BLOB NOT NULL REFERENCES devices,
    position INTEGER NOT NULL,
    envelope BLOB NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (device_id, position)
);
CREATE INDEX mailbox_by_expiry ON mailbox (expires_at);

CREATE TABLE key_packages (
    digest BLOB NOT NULL PRIMARY KEY,
    device_id BLOB NOT NULL REFERENCES devices,
    suite INTEGER NOT NULL,
    last_resort INTEGER NOT NULL,
    not_after INTEGER NOT NULL,
    key_package BLOB NOT NULL
);
CREATE INDEX key_packages_of_device ON key_packages (device_id, suite, last_resort, not_after);

-- What was given out, so that it is not taken a second time.
CREATE TABLE claimed_key_packages (
    digest BLOB NOT NULL PRIMARY KEY,
    not_after INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE pairings (
    pairing_id BLOB NOT NULL PRIMARY KEY,
    request BLOB NOT NULL
);

CREATE TABLE pairing_requests (
    pairing_id BLOB NOT NULL REFERENCES pairings,
    device_id BLOB NOT NULL REFERENCES devices,
    PRIMARY KEY (pairing_id, device_id)
) WITHOUT ROWID;
