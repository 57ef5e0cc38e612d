-- Whose keys may stand beside each other in a leaf: the devices of registered pairings of standard mode, both
-- ways, so that it is one look whatever else either of them is paired with.
CREATE TABLE paired_devices (
    device_id BLOB NOT NULL REFERENCES devices,
    partner_id BLOB NOT NULL REFERENCES devices,
    PRIMARY KEY (device_id, partner_id)
) WITHOUT ROWID;
INSERT INTO paired_devices (device_id, partner_id)
    SELECT DISTINCT one.device_id, other.device_id FROM pairing_requests one
    JOIN pairing_requests other ON other.pairing_id = one.pairing_id
    WHERE other.device_id <> one.device_id;
