-- Ids, keys and messages are blobs; times are seconds since 1970-01-01T00:00:00Z.

CREATE TABLE users (
    user_id BYTEA NOT NULL PRIMARY KEY
);

CREATE TABLE devices (
    device_id BYTEA NOT NULL PRIMARY KEY,
    user_id BYTEA NOT NULL REFERENCES users,
    scheme TEXT NOT NULL,
    signature_key BYTEA NOT NULL,
    revoked_at BIGINT,
    mailbox_head BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX devices_of_user ON devices (user_id);

CREATE TABLE approvals (
    user_id BYTEA NOT NULL REFERENCES users,
    device_id BYTEA NOT NULL,
    PRIMARY KEY (user_id, device_id)
);

-- What was signed within the window of freshness, so that nothing is taken twice.
CREATE TABLE nonces (
    device_id BYTEA NOT NULL,
    nonce TEXT NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (device_id, nonce)
);
CREATE INDEX nonces_by_expiry ON nonces (expires_at);

CREATE TABLE groups (
    group_id BYTEA NOT NULL PRIMARY KEY,
    epoch BIGINT NOT NULL,
    head BIGINT NOT NULL,
    access TEXT NOT NULL,
    group_info BYTEA
);

-- Accounts, not devices: which of its devices has sent something is not kept.
CREATE TABLE roster (
    group_id BYTEA NOT NULL REFERENCES groups,
    user_id BYTEA NOT NULL REFERENCES users,
    -- The position of the commit that removed the account, the last that it may read.
    removed_at BIGINT,
    PRIMARY KEY (group_id, user_id)
);

CREATE TABLE log (
    group_id BYTEA NOT NULL REFERENCES groups,
    position BIGINT NOT NULL,
    epoch BIGINT NOT NULL,
    kind TEXT NOT NULL,
    message BYTEA NOT NULL,
    digest BYTEA NOT NULL,
    PRIMARY KEY (group_id, position),
    UNIQUE (group_id, digest)
);

CREATE TABLE mailbox (
    device_id BYTEA NOT NULL REFERENCES devices,
    position BIGINT NOT NULL,
    envelope BYTEA NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (device_id, position)
);
CREATE INDEX mailbox_by_expiry ON mailbox (expires_at);

CREATE TABLE key_packages (
    digest BYTEA NOT NULL PRIMARY KEY,
    device_id BYTEA NOT NULL REFERENCES devices,
    suite BIGINT NOT NULL,
    last_resort BIGINT NOT NULL,
    not_after BIGINT NOT NULL,
    key_package BYTEA NOT NULL
);
CREATE INDEX key_packages_of_device ON key_packages (device_id, suite, last_resort, not_after);

-- What was given out, so that it is not taken a second time.
CREATE TABLE claimed_key_packages (
    digest BYTEA NOT NULL PRIMARY KEY,
    not_after BIGINT NOT NULL
);

CREATE TABLE pairings (
    pairing_id BYTEA NOT NULL PRIMARY KEY,
    request BYTEA NOT NULL
);

CREATE TABLE pairing_requests (
    pairing_id BYTEA NOT NULL REFERENCES pairings,
    device_id BYTEA NOT NULL REFERENCES devices,
    PRIMARY KEY (pairing_id, device_id)
);
