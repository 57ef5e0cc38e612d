//! A phone heals a sensor, and what may come between.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use paired_mls::{
    DeviceId, EpochSecurity, Event, GroupRecord, LeafKey, Phase, RecordName, Secret,
    anchor::LeafIndex,
    leaf::LeafRecord,
    pairing::SignalPolicy,
    vault::{MemoryStorage, StorageError, VaultStorage},
};
use paired_mls_group::{Error, Membership, PeerError, Received, UsageError};

use super::{Content, Group};
use crate::{
    Handshakes, Unsupported,
    testing::{Two, device, device_with, pair, path_of, two, two_with},
};

/// A vault in memory that may fail to store what it knows of groups.
#[derive(Clone, Default)]
struct Failing(MemoryStorage, Arc<AtomicBool>);

impl VaultStorage for Failing {
    fn load(&self, name: &RecordName) -> Result<Option<Secret>, StorageError> {
        self.0.load(name)
    }

    fn store(&self, name: &RecordName, record: &Secret) -> Result<(), StorageError> {
        match (name, self.1.load(Ordering::Relaxed)) {
            (RecordName::Group(_), true) => Err("the vault is gone".into()),
            _ => self.0.store(name, record),
        }
    }

    fn remove(&self, name: &RecordName) -> Result<(), StorageError> {
        self.0.remove(name)
    }
}

/// The vault is written before the MLS state: where it fails, the group stays where it was, also on the disk.
#[test]
fn a_vault_that_fails_leaves_the_group_where_it_was() {
    let vault = Failing::default();
    let fails = Arc::clone(&vault.1);
    let (sensor, _) = device_with("sensor", vault);
    let Two { phone, mut group, sensor, mut follower, .. } = two_with(sensor);
    let sent = group.update(&phone).unwrap();
    group.confirm(&phone).unwrap();
    let before = follower.epoch();
    fails.store(true, Ordering::Relaxed);
    let refused = follower.process(&sensor, &sent.commit);
    assert!(matches!(refused, Err(Error::Vault(_))), "{refused:?}");
    assert_eq!(follower.epoch(), before);
    assert_eq!(Group::load(&sensor, b"group").unwrap().epoch(), before);
    fails.store(false, Ordering::Relaxed);
    assert!(heals(&events(follower.process(&sensor, &sent.commit).unwrap())));
}

const SENSOR: DeviceId = DeviceId(1);
const HEALED: Option<EpochSecurity> = Some(EpochSecurity::Secure(LeafKey::Stale));

fn events(received: Received) -> Vec<Event> {
    match received {
        Received::Commit { events, .. } => events,
        other => panic!("a commit is a commit, and here is {other:?}"),
    }
}

fn heals(events: &[Event]) -> bool {
    events
        .iter()
        .any(|event| matches!(event, Event::Healed { devices, .. } if *devices == [SENSOR]))
}

/// The cause that the library's error is of.
fn unsupported(error: Error) -> Unsupported {
    let causes = std::iter::successors(Some(&error as &dyn std::error::Error), |e| e.source());
    let found = causes.filter_map(|error| error.downcast_ref::<Unsupported>()).next();
    *found.unwrap_or_else(|| panic!("{error}"))
}

/// The passive device sends nothing, follows by the Notify, and both are in one epoch.
#[test]
fn a_commit_heals_the_partner() {
    let Two { phone, mut group, sensor, mut follower, .. } = two();
    assert_eq!(follower.security(SENSOR), Some(EpochSecurity::Exposed));
    for _ in 0..3 {
        let sent = group.update(&phone).unwrap();
        assert!(heals(&group.confirm(&phone).unwrap()));
        let told = events(follower.process(&sensor, &sent.commit).unwrap());
        assert!(heals(&told), "{told:?}");
        assert_eq!(follower.security(SENSOR), HEALED);
        let [one, other] = [&group, &follower].map(|group| group.epoch_authenticator().unwrap());
        assert_eq!(one, other);
    }
    let message = group.send(&phone, b"hello").unwrap();
    let Received::Application { message, .. } = follower.process(&sensor, &message).unwrap() else {
        panic!("it is a message");
    };
    assert_eq!(message, b"hello");
    // And the other way.
    let sent = follower.update(&sensor).unwrap();
    follower.confirm(&sensor).unwrap();
    group.process(&phone, &sent.commit).unwrap();
    assert_eq!(group.security(DeviceId(0)), HEALED);
}

/// A commit that the delivery service refuses changes nothing, but that its index is burned.
#[test]
fn a_refused_commit_is_made_again_from_another_value() {
    let Two { phone, mut group, sensor, mut follower, .. } = two();
    let refused = group.update(&phone).unwrap();
    let burned = group.pending_index().unwrap();
    assert!(matches!(group.update(&phone), Err(Error::Usage(UsageError::CommitPending))));
    group.discard(&phone).unwrap();
    assert!(matches!(group.confirm(&phone), Err(Error::Usage(UsageError::NoCommitPending))));
    let sent = group.update(&phone).unwrap();
    assert!(group.pending_index().unwrap().position() > burned.position());
    let keys = [&refused, &sent].map(|sent| {
        let path = path_of(&sent.commit);
        path.nodes().iter().map(|node| node.encryption_key().to_vec()).collect::<Vec<_>>()
    });
    assert_ne!(keys[0], keys[1]);
    group.confirm(&phone).unwrap();
    follower.process(&sensor, &sent.commit).unwrap();
}

/// Both devices die and start again after every step, also with a commit that waits.
#[test]
fn a_restart_loses_nothing() {
    let Two { phone, mut group, sensor, .. } = two();
    for step in 0..4 {
        let sent = group.update(&phone).unwrap();
        group = Group::load(&phone, b"group").unwrap();
        assert!(group.has_pending());
        match step % 2 {
            0 => assert!(heals(&group.confirm(&phone).unwrap())),
            // The delivery service sends it back.
            _ => assert!(heals(&events(group.process(&phone, &sent.commit).unwrap()))),
        }
        group = Group::load(&phone, b"group").unwrap();
        let mut follower = Group::load(&sensor, b"group").unwrap();
        assert!(heals(&events(follower.process(&sensor, &sent.commit).unwrap())));
        follower = Group::load(&sensor, b"group").unwrap();
        assert_eq!(follower.security(SENSOR), HEALED);
        let [one, other] = [&group, &follower].map(|group| group.epoch_authenticator().unwrap());
        assert_eq!(one, other);
        let replayed = follower.process(&sensor, &sent.commit);
        assert!(matches!(replayed, Err(Error::Peer(_))), "{replayed:?}");
    }
}

/// The signature key is nowhere in the MLS state, nor is anything of the tape.
#[test]
fn the_state_does_not_have_the_signature_key() {
    let Two { phone, mut group, .. } = two();
    group.update(&phone).unwrap();
    let key = phone.vault().with_signature_key(|pair| Secret::copy_of(pair.private_key.expose()));
    let key = key.unwrap().unwrap();
    // A seed and a public key, as the provider writes it: the seed is the secret half.
    let seed = key.expose().get(..32).unwrap();
    let record = phone.state().load(&crate::StateName::Group(b"group".to_vec())).unwrap().unwrap();
    let has = |string: &[u8]| record.expose().windows(string.len()).any(|part| part == string);
    assert!(has(phone.signature_key()), "the control: the public key is in the tree");
    assert!(!has(seed));
}

/// Who is removed follows that, keeps the group to look at, and comes back by a Welcome.
#[test]
fn a_device_that_was_removed_comes_back() {
    let Two { phone, mut group, sensor, mut follower, .. } = two();
    let sent = group.update(&phone).unwrap();
    group.confirm(&phone).unwrap();
    follower.process(&sensor, &sent.commit).unwrap();
    let sent = group.remove(&phone, &[LeafIndex::new(1).unwrap()]).unwrap();
    group.confirm(&phone).unwrap();
    let told = events(follower.process(&sensor, &sent.commit).unwrap());
    assert!(told.contains(&Event::Removed), "{told:?}");
    follower = Group::load(&sensor, b"group").unwrap();
    assert_eq!((follower.membership(), follower.epoch()), (Membership::Removed, group.epoch()));
    assert!(matches!(follower.update(&sensor), Err(Error::Usage(UsageError::Removed))));
    assert!(matches!(follower.send(&sensor, b"x"), Err(Error::Usage(UsageError::Removed))));

    let package = sensor.key_package().unwrap();
    let sent = group.commit(&phone, Content::new().adds([package])).unwrap();
    group.confirm(&phone).unwrap();
    let welcome = sent.welcome.unwrap();
    let mut follower = Group::join(&sensor, &welcome).unwrap();
    assert!(follower.is_paired());
    assert_eq!(follower.security(SENSOR), Some(EpochSecurity::Exposed));
    let again = Group::join(&sensor, &welcome);
    assert!(again.is_err(), "the KeyPackage is spent");
    let sent = group.update(&phone).unwrap();
    group.confirm(&phone).unwrap();
    assert!(heals(&events(follower.process(&sensor, &sent.commit).unwrap())));
}

/// A Welcome moves nobody who is in the group, and its KeyPackage is not spent.
#[test]
fn a_welcome_into_a_group_that_one_is_in_is_refused() {
    let Two { phone, mut group, sensor, follower, .. } = two();
    let package = sensor.key_package().unwrap();
    let removed = group.remove(&phone, &[LeafIndex::new(1).unwrap()]).unwrap();
    group.confirm(&phone).unwrap();
    let added = group.add(&phone, &[package]).unwrap();
    group.confirm(&phone).unwrap();
    let welcome = added.welcome.unwrap();
    let early = Group::join(&sensor, &welcome).map(drop);
    assert!(matches!(early, Err(Error::Usage(UsageError::StillMember))), "{early:?}");
    let mut follower = follower;
    follower.process(&sensor, &removed.commit).unwrap();
    assert!(Group::join(&sensor, &welcome).is_ok());
}

/// What comes behind a message is refused, and so is what is no message to a group.
#[test]
fn only_messages_to_the_group_are_processed() {
    let Two { phone, mut group, sensor, mut follower, .. } = two();
    let sent = group.update(&phone).unwrap();
    let longer = [&*sent.commit, &[0]].concat();
    let refused = follower.process(&sensor, &longer);
    assert!(matches!(refused, Err(Error::Peer(PeerError::Message(_)))), "{refused:?}");
    for other in [phone.key_package().unwrap(), group.group_info().unwrap()] {
        let refused = follower.process(&sensor, &other);
        assert!(matches!(refused, Err(Error::Peer(PeerError::Kind(_)))), "{refused:?}");
    }
    follower.process(&sensor, &sent.commit).unwrap();
}

/// What the vault has of another adapter, and this one cannot do, is refused by name.
#[test]
fn what_is_not_supported_is_said() {
    let Two { phone, tape, .. } = two();
    let record = phone.vault().load_group(b"group").unwrap().unwrap();
    let announced = GroupRecord { signal: SignalPolicy::Announce, ..record };
    phone.vault().store_group(&announced).unwrap();
    let mut group = Group::load(&phone, b"group").unwrap();
    let refused = unsupported(group.update(&phone).unwrap_err());
    assert_eq!(refused, Unsupported::Signal);
    assert!(!group.has_pending());

    let shared = LeafRecord::new(tape);
    phone.vault().store_leaf(&shared).unwrap();
    let refused = unsupported(Group::load(&phone, b"group").map(drop).unwrap_err());
    assert_eq!(refused, Unsupported::SharedLeaf);
}

/// A pairing that ends: commits are ordinary ones, and then nothing of it is left.
#[test]
fn a_pairing_ends() {
    let Two { phone, mut group, sensor, mut follower, .. } = two();
    group.cease(&phone).unwrap();
    assert_eq!(group.phase(), Some(Phase::Ceasing));
    let sent = group.update(&phone).unwrap();
    assert_eq!(group.pending_index(), None, "nothing is drawn");
    group.confirm(&phone).unwrap();
    follower.process(&sensor, &sent.commit).unwrap();
    group.unpair(&phone).unwrap();
    assert!(!Group::load(&phone, b"group").unwrap().is_paired());
}

/// Encrypted handshake messages are followed as those in the clear, own ones among them.
#[test]
fn handshakes_may_be_encrypted() {
    let Two { phone, mut group, sensor, mut follower, .. } = two();
    let phone = phone.with_handshakes(Handshakes::Encrypted);
    group = Group::load(&phone, group.group_id()).unwrap();
    let sent = group.update(&phone).unwrap();
    assert!(heals(&events(group.process(&phone, &sent.commit).unwrap())));
    assert!(heals(&events(follower.process(&sensor, &sent.commit).unwrap())));
    let said = group.send(&phone, b"to myself").unwrap();
    assert_eq!(group.process(&phone, &said).unwrap(), Received::Own);
}

/// A proposal that is not valid is not taken for a stranger under the anchor, so that the partner is healed all the same.
#[test]
fn an_unusable_proposal_is_left_out() {
    let ((phone, _), (sensor, _), (bob, _)) = (device("phone"), device("sensor"), device("bob"));
    let [one, other] = ["guest", "other guest"].map(|name| device(name).0.key_package().unwrap());
    let mut group = Group::create(&phone, b"group").unwrap();
    let sensors = sensor.key_package().unwrap();
    let adds = [one, sensors, other, bob.key_package().unwrap()];
    let added = group.add(&phone, &adds).unwrap();
    group.confirm(&phone).unwrap();
    let welcome = added.welcome.unwrap();
    let mut follower = Group::join(&sensor, &welcome).unwrap();
    let mut at_bob = Group::join(&bob, &welcome).unwrap();
    // The phone at leaf 0 and the sensor at leaf 2, with blank leaves beside them.
    let removed = group.remove(&phone, &[1, 3].map(|leaf| LeafIndex::new(leaf).unwrap())).unwrap();
    group.confirm(&phone).unwrap();
    follower.process(&sensor, &removed.commit).unwrap();
    at_bob.process(&bob, &removed.commit).unwrap();
    pair([(&phone, &mut group), (&sensor, &mut follower)]);

    // Bob proposes to add himself, who is there already. By the leftmost blank leaf he would be under the anchor.
    let package = mls_rs::MlsMessage::from_bytes(&bob.key_package().unwrap()).unwrap();
    let state = at_bob.state_mut();
    let proposal = state.mls.propose_add(package, vec![]).unwrap().to_bytes().unwrap();
    group.process(&phone, &proposal).unwrap();
    follower.process(&sensor, &proposal).unwrap();
    let sent = group.update(&phone).unwrap();
    assert!(group.pending_index().is_some(), "it is a paired commit");
    assert!(heals(&group.confirm(&phone).unwrap()));
    assert!(heals(&events(follower.process(&sensor, &sent.commit).unwrap())));
    assert_eq!(group.members(&phone).unwrap().len(), 3);
}

/// A rejoin changes nothing before it is accepted, outlives a restart, and heals the partner.
#[test]
fn a_rejoin_has_two_phases() {
    let Two { phone, mut group, sensor, mut follower, .. } = two();
    let sent = group.update(&phone).unwrap();
    group.confirm(&phone).unwrap();
    follower.process(&sensor, &sent.commit).unwrap();
    let (info, before) = (group.group_info().unwrap(), group.epoch());

    let refused = Group::rejoin(&phone, &info).unwrap();
    drop(refused);
    assert_eq!(Group::load(&phone, b"group").unwrap().epoch(), before);
    let sent = group.update(&phone).unwrap();
    group.discard(&phone).unwrap();

    let rejoin = Group::rejoin(&phone, &info).unwrap();
    let (commit, state) = (rejoin.outgoing().commit.clone(), rejoin.state().expose().to_vec());
    drop((rejoin, group));
    for (commit, state) in [(&sent.commit, &state[..]), (&commit, &state[1..]), (&commit, &[])] {
        let other = Group::enter(&phone, &info, commit, state).map(drop);
        assert!(matches!(other, Err(Error::Usage(UsageError::OtherRejoin))), "{other:?}");
    }
    assert_eq!(Group::load(&phone, b"group").unwrap().epoch(), before);
    let group = Group::enter(&phone, &info, &commit, &state).unwrap();
    assert!(heals(&events(follower.process(&sensor, &commit).unwrap())));
    let [one, other] = [&group, &follower].map(|group| group.epoch_authenticator().unwrap());
    assert_eq!(one, other);
    assert!(Group::load(&phone, b"group").unwrap().is_paired());
}

/// A leaf refresh is no commit that is followed alone, and its private keys are in no storage before.
#[test]
fn a_refresh_needs_its_welcome() {
    let Two { phone, mut group, sensor, mut follower, tape, .. } = two();
    let package = Group::publish(&sensor, tape.pairing, sensor.now(), sensor.now() + 60).unwrap();
    let sent = group.refresh(&phone, &package).unwrap();
    group.confirm(&phone).unwrap();
    let alone = follower.process(&sensor, &sent.commit);
    assert!(
        matches!(alone, Err(Error::Peer(PeerError::RefreshNeedsWelcome))),
        "the commit alone: {alone:?}"
    );
    let reference = paired_mls_group::packages::reference(&sensor, &package).unwrap();
    let stored = sensor.state().load(&crate::StateName::KeyPackage(reference)).unwrap();
    assert!(stored.is_none(), "its private keys are on the tape alone");
    let refresh = sent.refresh.unwrap();
    assert_eq!(follower.check_refresh(&sensor, &refresh).unwrap(), group.epoch());
    let told = follower.process_refresh(&sensor, &sent.commit, &refresh).unwrap();
    let Received::Commit { events, .. } = told else { panic!("a refresh is a commit") };
    assert!(events.contains(&Event::LeafRenewed { by: DeviceId(0), device: SENSOR }), "{events:?}");
    let [one, other] = [&group, &follower].map(|group| group.epoch_authenticator().unwrap());
    assert_eq!(one, other);
    assert_eq!(group.expiring(u64::MAX), [SENSOR]);
}
