use super::*;
use crate::{
    CipherSuite, DeviceId, EpochContext, Index, PairingId, Secret, Seed, TapeId, Vault,
    group::PendingCommit, vault::MemoryStorage,
};

const SUITE: CipherSuite = CipherSuite::X25519Aes128;
const ID: PairingId = PairingId([3; 16]);

fn vault(own: u16) -> (Vault, TapeId) {
    let vault = Vault::new(MemoryStorage::new());
    let seed = Seed::new(SUITE, Secret::new(vec![8; 32])).unwrap();
    vault.create(SUITE, seed, ID, &[DeviceId(0), DeviceId(1)], DeviceId(own)).unwrap();
    let tape = vault.open_group(ID, b"group").unwrap();
    (vault, tape)
}

fn context(epoch: u64) -> EpochContext {
    EpochContext { group_id: b"group".to_vec(), epoch, confirmed_transcript_hash: vec![5; 32] }
}

fn notify(index: Index) -> LeafNotify {
    LeafNotify { index, proposals: vec![1, 2, 3], authenticated_data: b"data".to_vec() }
}

#[test]
fn both_devices_derive_the_same() {
    let ((phone, tape), (sensor, _)) = (vault(0), vault(1));
    for usage in [LeafUse::Commit, LeafUse::KeyPackage, LeafUse::Group] {
        let drawn = phone.draw(&tape).unwrap();
        let claimed = sensor.claim(&tape, drawn.index(), b"epoch").unwrap();
        let ours = LeafRandomness::derive(drawn, usage, &context(1)).unwrap();
        let theirs = LeafRandomness::derive(claimed, usage, &context(1)).unwrap();
        for n in 0..2 {
            assert_eq!(ours.draw(n, 32), theirs.draw(n, 32));
        }
        assert_ne!(ours.draw(0, 32), ours.draw(1, 32));
        assert_eq!(ours.draw(2, 32), None, "there are two draws");
        assert_eq!(ours.draw(0, 4), None, "and they have Nh bytes");
        let seed = |side: &LeafRandomness, plaintext: &[u8]| {
            side.ephemeral_seed(b"to", b"info", b"aad", plaintext).unwrap()
        };
        assert_eq!(seed(&ours, b"one"), seed(&theirs, b"one"));
        assert_ne!(seed(&ours, b"one"), seed(&ours, b"two"));
    }
}

#[test]
fn a_notify_is_for_one_group_epoch_and_partner() {
    let ((phone, tape), (sensor, _)) = (vault(0), vault(1));
    let said = notify(phone.draw(&tape).unwrap().index());
    let message = phone.seal_leaf_notify(&tape, &said, 4, [7; SALT_LEN]).unwrap();
    assert_eq!(sensor.open_leaf_notify(&tape, 4, &message).unwrap(), said);

    let refused = |vault: &Vault, tape, epoch, message: &[u8]| match vault
        .open_leaf_notify(tape, epoch, message)
        .unwrap_err()
    {
        LeafVaultError::Notify(error) => error,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(&sensor, &tape, 5, &message), LeafNotifyError::NotANotify);
    assert_eq!(refused(&phone, &tape, 4, &message), LeafNotifyError::OwnLane(said.index));
    let other = sensor.open_group(ID, b"other").unwrap();
    assert_eq!(refused(&sensor, &other, 4, &message), LeafNotifyError::NotANotify);
    for at in 0..message.len() {
        let mut forged = message.clone();
        forged[at] ^= 1;
        assert_eq!(refused(&sensor, &tape, 4, &forged), LeafNotifyError::NotANotify, "{at}");
        assert_eq!(refused(&sensor, &tape, 4, &message[..at]), LeafNotifyError::NotANotify);
    }

    sensor.claim(&tape, said.index, b"epoch").unwrap();
    assert!(sensor.open_leaf_notify(&tape, 4, &message).is_ok(), "a crash may ask again");
    sensor.settle_through(&tape, said.index).unwrap();
    assert_eq!(refused(&sensor, &tape, 4, &message), LeafNotifyError::Spent(said.index));
}

#[test]
fn an_index_is_recognised_without_a_notify_and_nothing_is_spent() {
    let ((phone, tape), (sensor, _)) = (vault(0), vault(1));
    let mut material = Vec::new();
    for _ in 0..3 {
        let value = phone.draw(&tape).unwrap();
        let index = value.index();
        let randomness = LeafRandomness::derive(value, LeafUse::Commit, &context(1)).unwrap();
        material.push((index, Secret::copy_of(randomness.public_draw().expose())));
    }
    let find = |wanted: &Secret, hints: &[Index]| {
        let is_it = |found: &Secret| found == wanted;
        sensor.recognise(&tape, LeafUse::Commit, &context(1), hints, is_it).unwrap()
    };
    for (index, wanted) in &material {
        assert_eq!(find(wanted, &[]), Some(*index));
        assert_eq!(find(wanted, &[*index]), Some(*index));
    }
    assert_eq!(find(&Secret::new(vec![0; 32]), &[]), None);

    // What was claimed for the last one is found again, and what lies before it is gone.
    let (last, wanted) = &material[2];
    sensor.claim(&tape, *last, b"epoch").unwrap();
    assert_eq!(find(wanted, &[]), Some(*last));
    sensor.settle_through(&tape, *last).unwrap();
    for (_, gone) in &material {
        assert_eq!(find(gone, &[]), None);
    }
}

#[test]
fn a_search_is_bounded() {
    let ((phone, tape), (sensor, _)) = (vault(0), vault(1));
    for _ in 0..MAX_SKIP {
        phone.draw(&tape).unwrap();
    }
    let value = phone.draw(&tape).unwrap();
    let index = value.index();
    let randomness = LeafRandomness::derive(value, LeafUse::Commit, &context(1)).unwrap();
    let is_it = |found: &Secret| found == randomness.public_draw();
    let find = |hints: &[Index]| {
        sensor.recognise(&tape, LeafUse::Commit, &context(1), hints, is_it).unwrap()
    };
    assert_eq!(find(&[]), None);
    assert_eq!(find(&[index]), Some(index), "a Notify helps");
}

#[test]
fn a_record_reads_back_and_damage_is_refused() {
    let record = LeafRecord {
        tape: TapeId { pairing: ID, group_id: b"group".to_vec() },
        speaker: Some(Speaker { device: DeviceId(1), since: 9 }),
        pending: Some(PendingCommit { hash: vec![9; 32], index: Index::new(DeviceId(0), 4) }),
    };
    let bytes = record.to_record().unwrap();
    assert_eq!(LeafRecord::from_record(&bytes), Ok(record.clone()));
    let empty = LeafRecord { speaker: None, pending: None, ..record };
    assert_eq!(LeafRecord::from_record(&empty.to_record().unwrap()), Ok(empty));
    for end in 0..bytes.len() {
        let cut = Secret::copy_of(&bytes.expose()[..end]);
        assert_eq!(LeafRecord::from_record(&cut), Err(LeafRecordError::Malformed));
    }
    let longer = Secret::new([bytes.expose(), &[0]].concat());
    assert_eq!(LeafRecord::from_record(&longer), Err(LeafRecordError::Malformed));
    let future = Secret::new([&[2], &bytes.expose()[1..]].concat());
    assert_eq!(LeafRecord::from_record(&future), Err(LeafRecordError::Version(2)));
}
