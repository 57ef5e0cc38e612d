-- Who reads what of a log, what a commit from outside is verified against, and removals that can be undone.

-- The epoch of the last GroupInfo, which may be behind the group.
ALTER TABLE groups ADD COLUMN group_info_epoch INTEGER;
UPDATE groups SET group_info_epoch = epoch WHERE group_info IS NOT NULL;

-- Whether it follows, commit by commit in the clear, from the one that the group was created with.
ALTER TABLE groups ADD COLUMN group_info_anchored INTEGER NOT NULL DEFAULT 0;

-- Whether there may be rows in removals.
ALTER TABLE groups ADD COLUMN contested INTEGER NOT NULL DEFAULT 0;

-- The position of the commit that added the account, the first that it may read.
ALTER TABLE roster ADD COLUMN joined_at INTEGER NOT NULL DEFAULT 0;
CREATE INDEX removed_from_roster ON roster (group_id, removed_at);

CREATE INDEX proposals_of_epoch ON log (group_id, epoch) WHERE kind = 'proposal';

-- Commits that have removed accounts, and that no other account has built on yet. Those that one has
-- removed are in the roster.
CREATE TABLE removals (
    group_id BLOB NOT NULL REFERENCES groups,
    position INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    -- Whose commit it was: what it sends itself does not make the removal final.
    user_id BLOB NOT NULL REFERENCES users,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (group_id, position)
) WITHOUT ROWID;
CREATE INDEX removals_by_expiry ON removals (expires_at);
