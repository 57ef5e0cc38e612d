-- How many proposals an account has in the log of a group, and how long they are together: of one epoch, the last in which
-- somebody has made one.
CREATE TABLE proposers (
    group_id BLOB NOT NULL,
    user_id BLOB NOT NULL,
    epoch INTEGER NOT NULL,
    proposals INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    PRIMARY KEY (group_id, user_id)
) WITHOUT ROWID;
