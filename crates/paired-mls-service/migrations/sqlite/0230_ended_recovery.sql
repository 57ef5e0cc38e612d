-- The recovery key of a user that has ended: it lets a device in for as long as the name is kept.
ALTER TABLE ended ADD COLUMN recovery_key BLOB;
