-- Where logs ended on which day, in days since 1970-01-01. No entry has a time of its own.
CREATE TABLE log_days (
    group_id BYTEA NOT NULL REFERENCES groups,
    day BIGINT NOT NULL,
    head BIGINT NOT NULL,
    PRIMARY KEY (group_id, day)
);

-- How far each device has read a log, without when.
CREATE TABLE readers (
    group_id BYTEA NOT NULL REFERENCES groups,
    device_id BYTEA NOT NULL REFERENCES devices,
    read_through BIGINT NOT NULL,
    PRIMARY KEY (group_id, device_id)
);
