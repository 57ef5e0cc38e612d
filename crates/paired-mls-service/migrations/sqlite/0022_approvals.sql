-- An approval ends by itself, and with the device that has given it. Those from before say neither when they
-- were given nor by whom: they are given again.
DROP TABLE approvals;
CREATE TABLE approvals (
    user_id BLOB NOT NULL REFERENCES users,
    device_id BLOB NOT NULL,
    approved_by BLOB NOT NULL REFERENCES devices,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (user_id, device_id)
) WITHOUT ROWID;
CREATE INDEX approvals_of_device ON approvals (approved_by);
CREATE INDEX approvals_by_expiry ON approvals (expires_at);
