-- How many proposals an account has in the log of a group, and how long they are together: of one epoch, the last in which
-- somebody has made one.
CREATE TABLE proposers (
    group_id BYTEA NOT NULL,
    user_id BYTEA NOT NULL,
    epoch BIGINT NOT NULL,
    proposals BIGINT NOT NULL,
    bytes BIGINT NOT NULL,
    PRIMARY KEY (group_id, user_id)
);
