-- An approval ends by itself, and with the device that has given it. Those from before say neither when they
-- were given nor by whom: they are given again.
DROP TABLE approvals;
CREATE TABLE approvals (
    user_id BYTEA NOT NULL REFERENCES users,
    device_id BYTEA NOT NULL,
    approved_by BYTEA NOT NULL REFERENCES devices,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (user_id, device_id)
);
CREATE INDEX approvals_of_device ON approvals (approved_by);
CREATE INDEX approvals_by_expiry ON approvals (expires_at);
