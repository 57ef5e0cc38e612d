-- Where logs ended on which day, in days since 1970-01-01. No entry has a time of its own.
CREATE TABLE log_days (
    group_id BLOB NOT NULL REFERENCES groups,
    day INTEGER NOT NULL,
    head INTEGER NOT NULL,
    PRIMARY KEY (group_id, day)
) WITHOUT ROWID;

-- How far each device has read a log, without when.
CREATE TABLE readers (
    group_id BLOB NOT NULL REFERENCES groups,
    device_id BLOB NOT NULL REFERENCES devices,
    read_through INTEGER NOT NULL,
    PRIMARY KEY (group_id, device_id)
) WITHOUT ROWID;
