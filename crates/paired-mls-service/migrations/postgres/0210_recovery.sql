-- The public part of the key, kept on paper, that lets a device in when the user has none left.
ALTER TABLE users ADD COLUMN recovery_key BYTEA;
