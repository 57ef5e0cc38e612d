use super::*;
use crate::{
    CipherSuite, DeviceId, EpochContext, FIRST_OPENING, Index, PairingId, Secret, Seed, Spot,
    TapeId, Vault, anchor::LeafIndex, vault::MemoryStorage,
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

fn spot(device: u16, position: u64) -> Spot {
    Spot { opening: FIRST_OPENING, index: Index::new(DeviceId(device), position).unwrap() }
}

fn notify(spot: Spot) -> LeafNotify {
    LeafNotify {
        spot,
        proposals: vec![1, 2, 3],
        authenticated_data: b"data".to_vec(),
        leaf_node: b"leaf".to_vec(),
        signature: vec![4; 64],
    }
}

#[test]
fn both_devices_derive_the_same() {
    let ((phone, tape), (sensor, _)) = (vault(0), vault(1));
    for usage in [LeafUse::Commit, LeafUse::KeyPackage] {
        let drawn = phone.draw(&tape, 0).unwrap();
        let claimed = sensor.claim(&tape, drawn.spot(), b"epoch").unwrap();
        let ours = LeafRandomness::derive(drawn, usage, &context(0)).unwrap();
        let theirs = LeafRandomness::derive(claimed, usage, &context(0)).unwrap();
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
        let guard = |side: &LeafRandomness, signed: [&[u8]; 2]| {
            side.reuse_guard(signed[0], signed[1]).unwrap()
        };
        let guards = [[&b"commit"[..], b"one"], [b"commit", b"two"], [b"commi", b"tone"]];
        let [one, signature, border] = guards.map(|signed| guard(&ours, signed));
        assert_eq!(one, guard(&theirs, guards[0]));
        assert!(one.len() == 4 && one != signature && one != border);
    }
}

#[test]
fn a_notify_is_for_one_group_epoch_and_partner() {
    let ((phone, tape), (sensor, _)) = (vault(0), vault(1));
    let said = notify(phone.draw(&tape, 0).unwrap().spot());
    let sealed = LeafMessage::Commit(said.clone());
    let message = phone.seal_leaf_message(&tape, &sealed, 4, [7; SALT_LEN]).unwrap();
    assert_eq!(sensor.open_leaf_message(&tape, 4, &message).unwrap(), sealed);

    let refused = |vault: &Vault, tape, epoch, message: &[u8]| match vault
        .open_leaf_message(tape, epoch, message)
        .unwrap_err()
    {
        LeafVaultError::Notify(error) => error,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(&sensor, &tape, 5, &message), LeafNotifyError::NotANotify);
    assert_eq!(refused(&phone, &tape, 4, &message), LeafNotifyError::OwnLane(said.spot.index));
    let other = sensor.open_group(ID, b"other").unwrap();
    assert_eq!(refused(&sensor, &other, 4, &message), LeafNotifyError::NotANotify);
    for at in 0..message.len() {
        let mut forged = message.clone();
        forged[at] ^= 1;
        assert_eq!(refused(&sensor, &tape, 4, &forged), LeafNotifyError::NotANotify, "{at}");
        assert_eq!(refused(&sensor, &tape, 4, &message[..at]), LeafNotifyError::NotANotify);
    }

    sensor.preview(&tape, said.spot).unwrap();
    assert!(sensor.open_leaf_message(&tape, 4, &message).is_ok(), "a crash may ask again");
    sensor.burn_through(&tape, said.spot).unwrap();
    assert_eq!(refused(&sensor, &tape, 4, &message), LeafNotifyError::Spent(said.spot.index));
}

#[test]
fn a_token_message_is_for_one_epoch_and_from_a_partner() {
    let ((phone, tape), (sensor, _)) = (vault(0), vault(1));
    for said in [LeafMessage::TokenWanted(DeviceId(0)), LeafMessage::TokenGiven(DeviceId(0))] {
        let message = phone.seal_leaf_message(&tape, &said, 4, [7; SALT_LEN]).unwrap();
        assert_eq!(sensor.open_leaf_message(&tape, 4, &message).unwrap(), said);
        let error = |vault: &Vault, epoch| match vault.open_leaf_message(&tape, epoch, &message) {
            Err(LeafVaultError::Notify(error)) => error,
            other => panic!("{other:?}"),
        };
        assert_eq!(error(&sensor, 5), LeafNotifyError::NotANotify);
        assert_eq!(error(&phone, 4), LeafNotifyError::Own);
    }
    let stranger = LeafMessage::TokenGiven(DeviceId(9));
    let message = phone.seal_leaf_message(&tape, &stranger, 4, [8; SALT_LEN]).unwrap();
    assert!(matches!(
        sensor.open_leaf_message(&tape, 4, &message),
        Err(LeafVaultError::Notify(LeafNotifyError::ForeignDevice(DeviceId(9))))
    ));
}

#[test]
fn an_index_is_recognised_without_a_notify_and_nothing_is_spent() {
    let ((phone, tape), (sensor, _)) = (vault(0), vault(1));
    let mut material = Vec::new();
    for _ in 0..3 {
        let value = phone.draw(&tape, 0).unwrap();
        let index = value.spot();
        let randomness = LeafRandomness::derive(value, LeafUse::Commit, &context(0)).unwrap();
        material.push((index, Secret::copy_of(randomness.public_draw().expose())));
    }
    let find = |wanted: &Secret| {
        let is_it = |found: &Secret| found == wanted;
        sensor.recognise(&tape, LeafUse::Commit, &context(0), is_it).unwrap()
    };
    for (index, wanted) in &material {
        assert_eq!(find(wanted), Some(*index));
    }
    assert_eq!(find(&Secret::new(vec![0; 32])), None);
    let upcoming = sensor.upcoming(&tape, 0, 2).unwrap();
    assert!(upcoming.starts_with(&[material[0].0, material[1].0]) && upcoming.len() == 4);

    // What lies before the last one goes with it.
    sensor.burn_through(&tape, material[2].0).unwrap();
    for (_, gone) in &material {
        assert_eq!(find(gone), None);
    }
    sensor.burn_through(&tape, material[2].0).unwrap();
}

/// A commit in a lane that the follower does not know of: the first of its device in this group, or one
/// that came back from outside.
#[test]
fn a_lane_that_was_opened_since_is_found() {
    let ((phone, tape), (sensor, _)) = (vault(0), vault(1));
    let elsewhere = phone.open_group(ID, b"elsewhere").unwrap();
    phone.draw(&elsewhere, 1).unwrap();
    for opening in [FIRST_OPENING + 1, crate::SKIPPED_OPENINGS] {
        let drawn = phone.draw(&tape, 3).unwrap();
        let there = drawn.spot();
        assert_eq!(there.opening, opening);
        let made = LeafRandomness::derive(drawn, LeafUse::Commit, &context(3)).unwrap();
        let is_it = |found: &Secret| found == made.public_draw();
        let find = || sensor.recognise(&tape, LeafUse::Commit, &context(3), is_it).unwrap();
        assert_eq!(find(), Some(there));
        assert!(sensor.upcoming(&tape, 3, 4).unwrap().contains(&there) || opening > 2);
        sensor.burn_through(&tape, there).unwrap();
        assert_eq!(find(), None);
        sensor.burn_through(&tape, there).unwrap();
        phone.reopen(&tape).unwrap();
    }
}

/// A follower that has missed any number of epochs finds the next one.
#[test]
fn a_search_begins_at_the_epoch() {
    let ((phone, tape), (sensor, _)) = (vault(0), vault(1));
    for epoch in [1, 2, 900] {
        for _ in 0..MAX_SKIP {
            phone.draw(&tape, epoch).unwrap();
        }
    }
    let drawn = phone.draw(&tape, 1000).unwrap();
    let there = drawn.spot();
    let made = LeafRandomness::derive(drawn, LeafUse::Commit, &context(1000)).unwrap();
    let is_it = |found: &Secret| found == made.public_draw();
    let found = sensor.recognise(&tape, LeafUse::Commit, &context(1000), is_it);
    assert_eq!(found.unwrap(), Some(there));
}

#[test]
fn a_search_is_bounded() {
    let ((phone, tape), (sensor, _)) = (vault(0), vault(1));
    let first = phone.draw(&tape, 0).unwrap().spot();
    sensor.burn_through(&tape, first).unwrap();
    for _ in 0..MAX_SKIP {
        phone.draw(&tape, 0).unwrap();
    }
    let value = phone.draw(&tape, 0).unwrap();
    let randomness = LeafRandomness::derive(value, LeafUse::Commit, &context(0)).unwrap();
    let is_it = |found: &Secret| found == randomness.public_draw();
    let find = || sensor.recognise(&tape, LeafUse::Commit, &context(0), is_it).unwrap();
    assert_eq!(find(), None);
    sensor.burn_through(&tape, spot(0, 1)).unwrap();
    assert_eq!(find(), Some(randomness.spot()));
}

#[test]
fn what_is_reserved_is_never_drawn_again_and_can_be_read_until_it_is_burned() {
    let ((phone, tape), (sensor, _)) = (vault(0), vault(1));
    let (first, second) = (phone.reserve(&tape, 0).unwrap(), phone.reserve(&tape, 0).unwrap());
    let third = phone.draw(&tape, 0).unwrap().spot();
    assert_eq!([first, second, third].map(|spot| spot.index.position()), [0, 1, 2]);
    let derive = |vault: &Vault, index| {
        let value = vault.preview(&tape, index).unwrap();
        LeafRandomness::derive(value, LeafUse::Commit, &context(0)).unwrap()
    };
    for index in [first, second] {
        let (once, again, theirs) =
            (derive(&phone, index), derive(&phone, index), derive(&sensor, index));
        assert_eq!(once.public_draw(), again.public_draw());
        assert_eq!(once.public_draw(), theirs.public_draw());
    }
    phone.burn(&tape, first).unwrap();
    assert!(phone.preview(&tape, first).is_err());
    assert!(phone.preview(&tape, second).is_ok());
    phone.burn_through(&tape, second).unwrap();
    assert!(phone.preview(&tape, second).is_err());
    assert_eq!(phone.reserve(&tape, 0).unwrap().index.position(), 3);
    let foreign = spot(9, 0);
    assert!(phone.preview(&tape, foreign).is_err());
    assert!(phone.burn_through(&tape, foreign).is_err());
}

fn record() -> LeafRecord {
    let (own, other) = (spot(0, 4), spot(1, 7));
    LeafRecord {
        tape: TapeId { pairing: ID, group_id: b"group".to_vec() },
        speaker: Some(Speaker { device: DeviceId(1), since: 9, origin: Origin::Commit }),
        pending: Some(LeafPending { epoch: 9, hash: vec![9; 32], notify: notify(own) }),
        announced: vec![Announced { epoch: 10, notify: notify(other) }],
        phase: crate::Phase::Ceasing,
        given: Some(3),
        removals: vec![LeafIndex::FIRST],
    }
}

#[test]
fn a_record_reads_back_and_damage_is_refused() {
    let bytes = record().to_record().unwrap();
    assert_eq!(LeafRecord::from_record(&bytes), Ok(record()));
    let empty = LeafRecord::new(record().tape);
    assert_eq!(LeafRecord::from_record(&empty.to_record().unwrap()), Ok(empty));
    for end in 0..bytes.len() {
        let cut = Secret::copy_of(&bytes.expose()[..end]);
        assert_eq!(LeafRecord::from_record(&cut), Err(LeafRecordError::Malformed));
    }
    let longer = Secret::new([bytes.expose(), &[0]].concat());
    assert_eq!(LeafRecord::from_record(&longer), Err(LeafRecordError::Malformed));
    for version in [1, 3] {
        let other = Secret::new([&[version], &bytes.expose()[1..]].concat());
        assert_eq!(LeafRecord::from_record(&other), Err(LeafRecordError::Version(version)));
    }
}

#[test]
fn announcements_are_kept_once_and_bounded() {
    let mut kept = LeafRecord::new(record().tape);
    let said = |n| notify(spot(1, n));
    for _ in 0..2 {
        kept.announce(5, 6, said(1)).unwrap();
        kept.announce(5, 5, said(0)).unwrap();
    }
    assert_eq!(kept.announced.len(), 2);
    kept.announce(6, 7, said(2)).unwrap();
    assert!(kept.announced.iter().all(|known| known.epoch >= 6), "the past goes");
    for n in 3.. {
        match kept.announce(6, 7, said(n)) {
            Ok(()) => assert!(kept.announced.len() <= MAX_ANNOUNCED),
            Err(error) => {
                assert_eq!(error, LeafRecordError::TooManyAnnounced);
                break;
            }
        }
    }
    kept.announce(8, 8, said(0)).unwrap();
    assert_eq!(kept.announced.len(), 1);
}

#[test]
fn packages_read_back_and_damage_is_refused() {
    let package = |position, held| {
        let index = Index::new(DeviceId(1), position).unwrap();
        LeafPackage { index, key_package: vec![1; 9], held }
    };
    let packages = LeafPackages(vec![
        package(7, Held::Free),
        package(8, Held::ForPartner(DeviceId(3))),
        package(9, Held::InGroup(vec![4; 5])),
    ]);
    let bytes = packages.to_record().unwrap();
    assert_eq!(LeafPackages::from_record(&bytes), Ok(packages));
    for end in 0..bytes.len() {
        let cut = Secret::copy_of(&bytes.expose()[..end]);
        assert_eq!(LeafPackages::from_record(&cut), Err(LeafRecordError::Malformed));
    }
    let (vault, _) = vault(0);
    assert_eq!(vault.load_leaf_packages(ID).unwrap(), LeafPackages::default());
}

/// The format of before is read: what it has is for whoever comes first.
#[test]
fn packages_of_the_first_format_read_back() {
    let index = Index::new(DeviceId(1), 7).unwrap();
    let record = [&[1, 11][..], &index.to_bytes(), &[2, 5, 6]].concat();
    let read = LeafPackages::from_record(&Secret::new(record)).unwrap();
    let expected = LeafPackage { index, key_package: vec![5, 6], held: Held::Free };
    assert_eq!(read, LeafPackages(vec![expected]));
    assert_eq!(read.to_record().unwrap().expose().first(), Some(&2));
}

#[test]
fn signature_keys_are_one_or_several() {
    let key = |n: u8| vec![n; 32];
    let one = SignatureKeys::new(vec![key(1)], 32).unwrap();
    assert_eq!(one.encode(), key(1), "one key is plain MLS");
    let two = SignatureKeys::new(vec![key(1), key(2)], 32).unwrap();
    assert_eq!(two.encode().len(), 66);
    assert_eq!(SignatureKeys::new(vec![vec![1; 65], vec![2; 65]], 65).unwrap().encode().len(), 134);
    for keys in [one, two] {
        assert_eq!(SignatureKeys::decode(&keys.encode(), 32), Ok(keys));
    }

    use SignatureKeysError as Refused;
    assert_eq!(SignatureKeys::new(vec![], 32), Err(Refused::Empty));
    assert_eq!(SignatureKeys::new(vec![key(1), key(1)], 32), Err(Refused::Duplicate));
    let short = Refused::Length { found: 31, expected: 32 };
    assert_eq!(SignatureKeys::new(vec![key(1), vec![2; 31]], 32), Err(short));
    let with_length = [&[32][..], &key(1)].concat();
    assert_eq!(SignatureKeys::decode(&with_length, 32), Err(Refused::Malformed));
    assert_eq!(SignatureKeys::decode(&[], 32), Err(Refused::Empty));
    for end in 0..with_length.len() * 2 {
        let double = [with_length.clone(), with_length.clone()].concat();
        if end != 32 {
            assert!(SignatureKeys::decode(&double[..end], 32).is_err(), "{end}");
        }
    }
}
