use super::*;
use crate::{EpochSecurity, LeafKey, anchor::LeafIndex};

const PHONE: DeviceId = DeviceId(0);
const SENSOR: DeviceId = DeviceId(1);

fn mark(epoch: u64) -> EpochMark {
    EpochMark { epoch, confirmed_transcript_hash: vec![epoch as u8; 32] }
}

fn node(position: u32) -> NodeIndex {
    NodeIndex::new(position).unwrap()
}

/// The phone has healed the sensor, whose leaf and neighbouring parent a thief may know.
fn healed() -> SecurityTable {
    let entry = |known: &[u32], occupant| Entry {
        state: State::Secure,
        known: known.iter().map(|position| node(*position)).collect(),
        occupant,
    };
    SecurityTable::from_entries([
        (PHONE, entry(&[], Occupant::Device)),
        (SENSOR, entry(&[4, 5], Occupant::Impostor)),
    ])
}

fn record() -> GroupRecord {
    let device = |n: u16| PairedDevice { device: DeviceId(n), signature_key: vec![n as u8; 32] };
    GroupRecord {
        tape: TapeId { pairing: PairingId([7; 16]), group_id: b"group".to_vec() },
        devices: vec![device(0), device(1)],
        heal_policy: HealPolicy::AtOnce,
        phase: Phase::Ceasing,
        signal: SignalPolicy::Announce,
        security: healed(),
        epoch: mark(5),
        before: Some((mark(4), SecurityTable::exposed([PHONE, SENSOR]))),
        pending: Some(PendingCommit { hash: vec![9; 32], index: Index::new(PHONE, 4) }),
    }
}

#[test]
fn a_record_reads_back() {
    let bytes = record().to_record().unwrap();
    assert_eq!(GroupRecord::from_record(&bytes), Ok(record()));
    let settled = GroupRecord { pending: None, before: None, ..record() };
    assert_eq!(GroupRecord::from_record(&settled.to_record().unwrap()), Ok(settled));
}

#[test]
fn damage_is_refused() {
    let bytes = record().to_record().unwrap();
    for end in 0..bytes.len() {
        let cut = Secret::copy_of(&bytes.expose()[..end]);
        assert_eq!(GroupRecord::from_record(&cut), Err(GroupRecordError::Malformed));
    }
    let longer = Secret::new([bytes.expose(), &[0]].concat());
    assert_eq!(GroupRecord::from_record(&longer), Err(GroupRecordError::Malformed));
    let future = Secret::new([&[3], &bytes.expose()[1..]].concat());
    assert_eq!(GroupRecord::from_record(&future), Err(GroupRecordError::Version(3)));
}

/// No thief knows more nodes than a direct path has: a record that says so is not believed.
#[test]
fn the_nodes_of_a_device_are_bounded() {
    let known = (0..33).map(|leaf| LeafIndex::new(leaf).unwrap().node()).collect();
    let entry = Entry { state: State::Secure, known, occupant: Occupant::Device };
    let security = SecurityTable::from_entries([(PHONE, entry)]);
    let bytes = GroupRecord { security, ..record() }.to_record().unwrap();
    assert_eq!(GroupRecord::from_record(&bytes), Err(GroupRecordError::Malformed));
}

/// Whatever a record of version 1 says of the devices, they are exposed.
#[test]
fn a_record_of_version_1_claims_nothing() {
    for security in 0..4 {
        let new = record();
        let old = WireV1 {
            version: VERSION_1,
            pairing_id: new.tape.pairing.0,
            group_id: new.tape.group_id.as_slice().into(),
            heal_policy: 1,
            phase: 2,
            signal: 1,
            devices: (new.devices.iter())
                .map(|paired| WireDeviceV1 {
                    device: paired.device.0,
                    signature_key: paired.signature_key.as_slice().into(),
                    security,
                })
                .collect(),
            pending: Some(WirePending {
                hash: vec![9; 32].into(),
                index: Index::new(PHONE, 4).map(Index::to_bytes),
            }),
        };
        let bytes = Secret::new(old.tls_serialize_detached().unwrap());
        let exposed = SecurityTable::exposed([PHONE, SENSOR]);
        let expected =
            GroupRecord { security: exposed, epoch: EpochMark::default(), before: None, ..new };
        assert_eq!(GroupRecord::from_record(&bytes), Ok(expected));
    }
}

/// The record is one epoch ahead after a crash, or where the MLS state is, or of another group.
#[test]
fn a_record_says_what_is_so_in_the_epoch_of_the_mls_state() {
    let at = |now: &EpochMark| {
        let mut record = record();
        record.reconcile(now);
        assert_eq!(record.epoch, *now);
        record.security.iter().map(|(_, security)| security).collect::<Vec<_>>()
    };
    let secure = EpochSecurity::Secure;
    assert_eq!(at(&mark(5)), [secure(LeafKey::Fresh), secure(LeafKey::Stale)]);
    for other in [
        mark(4),
        mark(3),
        mark(6),
        EpochMark { epoch: 5, ..EpochMark::default() },
        EpochMark { epoch: 6, ..mark(5) },
    ] {
        assert_eq!(at(&other), [EpochSecurity::Exposed; 2], "{other:?}");
    }

    let mut ahead = GroupRecord { before: None, ..record() };
    ahead.advance(mark(6), SecurityTable::exposed([PHONE, SENSOR]));
    let mut back = ahead.clone();
    back.reconcile(&mark(5));
    assert_eq!(back, GroupRecord { before: None, ..record() });
    ahead.reconcile(&mark(6));
    assert_eq!(ahead.security, SecurityTable::exposed([PHONE, SENSOR]));
}
