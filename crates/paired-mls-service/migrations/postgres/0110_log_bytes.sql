-- How long the messages of a log are together, so that nobody has to look at all of them.
ALTER TABLE groups ADD COLUMN log_bytes BIGINT NOT NULL DEFAULT 0;
UPDATE groups SET log_bytes =
    (SELECT COALESCE(SUM(LENGTH(l.message)), 0) FROM log l WHERE l.group_id = groups.group_id);
