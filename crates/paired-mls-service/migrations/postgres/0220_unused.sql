-- What nobody uses ends.

-- On which day something was used last, in days since 1970-01-01; nothing: since it was looked last.
ALTER TABLE users ADD COLUMN used_day BIGINT;
ALTER TABLE groups ADD COLUMN used_day BIGINT;
ALTER TABLE pairings ADD COLUMN used_day BIGINT;
CREATE INDEX groups_by_use ON groups (used_day);
CREATE INDEX users_by_use ON users (used_day);
CREATE INDEX roster_of_user ON roster (user_id);

-- When it was looked last: the days on which the service did not run count for nobody.
ALTER TABLE service ADD COLUMN looked_day BIGINT;

-- What has ended, so that those whom it concerns are told: a hash of it and of one of them, and no names.
CREATE TABLE ended (
    subject BYTEA NOT NULL PRIMARY KEY,
    forget_day BIGINT NOT NULL
);
CREATE INDEX ended_by_day ON ended (forget_day);
