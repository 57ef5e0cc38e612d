-- What an operator does to the database by `pmls admin`.

-- Since when no device of the user may make requests.
ALTER TABLE users ADD COLUMN banned_at BIGINT;

-- How often an operator has changed something.
ALTER TABLE service ADD COLUMN touched BIGINT NOT NULL DEFAULT 0;

-- An operator approves a device too: then no device has.
ALTER TABLE approvals ALTER COLUMN approved_by DROP NOT NULL;
