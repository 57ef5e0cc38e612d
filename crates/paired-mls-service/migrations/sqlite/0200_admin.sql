-- What an operator does to the database by `pmls admin`.

-- Since when no device of the user may make requests.
ALTER TABLE users ADD COLUMN banned_at INTEGER;

-- How often an operator has changed something: a service that runs on the same file looks whether it has grown.
ALTER TABLE service ADD COLUMN touched INTEGER NOT NULL DEFAULT 0;

-- An operator approves a device too: then no device has.
CREATE TABLE approvals_anew (
    user_id BLOB NOT NULL REFERENCES users,
    device_id BLOB NOT NULL,
    approved_by BLOB REFERENCES devices,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (user_id, device_id)
) WITHOUT ROWID;
INSERT INTO approvals_anew (user_id, device_id, approved_by, expires_at)
    SELECT user_id, device_id, approved_by, expires_at FROM approvals;
DROP TABLE approvals;
ALTER TABLE approvals_anew RENAME TO approvals;
CREATE INDEX approvals_of_device ON approvals (approved_by);
CREATE INDEX approvals_by_expiry ON approvals (expires_at);
