//! The decisions about a node anchor, with a library that does nothing. This device sits at leaf 0, its partner
//! at leaf 1, and strangers from leaf 2 on.

use alloc::{boxed::Box, vec, vec::Vec};

use paired_mls::{
    DeviceId, EpochSecurity, Event, HealPolicy, Index, LeafKey, Phase, RecordName, Vault,
    group::{Act, EpochMark, NotHealed},
    pairing::SignalPolicy,
    wire::{LeafNode, PrivateMessage},
};

use super::*;
use crate::{
    Committer, Proposal, Proposed, Proposer, StagedCommit, UsageError,
    fake::{Fake, FakeGroup, SUITE, leaf, leaf_node, pairing, this},
};

const OWN: DeviceId = DeviceId(0);
const PARTNER: DeviceId = DeviceId(1);

fn mark(epoch: u64) -> EpochMark {
    EpochMark { epoch, confirmed_transcript_hash: vec![epoch as u8] }
}

fn group(strangers: u8) -> FakeGroup {
    let keys = [1, 2].into_iter().chain(90..90 + strangers).map(|key| vec![key]);
    let keys = (0..).map(leaf).zip(keys).collect();
    FakeGroup { mark: mark(1), membership: Membership::Stays, own: leaf(0), keys }
}

fn paired(strangers: u8) -> (Paired, Vault) {
    let (pairing, vault, tape) = pairing();
    let record = GroupRecord {
        tape,
        devices: pairing.devices,
        heal_policy: HealPolicy::AtOnce,
        phase: Phase::Active,
        signal: SignalPolicy::default(),
        security: SecurityTable::exposed([OWN, PARTNER]),
        epoch: mark(1),
        before: None,
        pending: None,
    };
    let paired = Paired::load(&Fake, &vault, &group(strangers), record).unwrap().unwrap();
    (paired, vault)
}

fn commit(proposals: Vec<Proposed>, key: u8) -> StagedCommit {
    let (path, membership) = (Some(leaf_node(key)), Membership::Stays);
    let required_extensions = Vec::new();
    StagedCommit { proposals, path, next: mark(2), required_extensions, membership }
}

fn by(member: u32, proposal: Proposal) -> Proposed {
    Proposed { reference: vec![7], by: Proposer::Member(leaf(member)), proposal }
}

fn index(device: DeviceId) -> Index {
    Index::new(device, 0).unwrap()
}

/// What a commit of the member at this leaf means.
fn outcome(paired: &(Paired, Vault), at: u32, staged: &StagedCommit, way: Delivery) -> Outcome {
    let (paired, vault) = paired;
    let committer = Committer::Member(leaf(at));
    Outcome::of(Some(paired), &this(vault), staged, committer, way).unwrap()
}

#[test]
fn a_notify_of_the_partner_proves_its_commit() {
    let paired = paired(1);
    let delivery = Delivery::Notified(index(PARTNER));
    let outcome = outcome(&paired, 1, &commit(vec![], 2), delivery);
    assert_eq!(outcome.alarms, []);
    let healed = Event::Healed { by: PARTNER, devices: vec![OWN], index: Some(index(PARTNER)) };
    assert!(outcome.events.contains(&healed), "{:?}", outcome.events);
    let next = outcome.next.unwrap();
    assert_eq!(next.record.epoch, mark(2));
    let security = next.record.security;
    assert_eq!(security.of(PARTNER), Some(EpochSecurity::Secure(LeafKey::Fresh)));
    assert!(matches!(security.of(OWN), Some(EpochSecurity::Secure(_))));
}

/// In the partner's seat, and not by the partner: without a Notify, with one from this device's half of the
/// tape, with another signature key, without a path.
#[test]
fn whoever_commits_in_the_partners_seat_is_an_impostor() {
    let no_path = StagedCommit { path: None, ..commit(vec![], 2) };
    for (staged, delivery, act) in [
        (commit(vec![], 2), Delivery::Plain, Act::Commit),
        (commit(vec![], 2), Delivery::Notified(index(OWN)), Act::Commit),
        (commit(vec![], 99), Delivery::Plain, Act::NewKey),
        (no_path, Delivery::Plain, Act::Commit),
    ] {
        let outcome = outcome(&paired(1), 1, &staged, delivery);
        assert_eq!(outcome.alarms, [Event::Impostor { device: PARTNER, act }], "{delivery:?}");
        assert!(!outcome.events.iter().any(|event| matches!(event, Event::Healed { .. })));
    }
}

#[test]
fn what_cannot_be_told_is_no_alarm() {
    // A stranger.
    assert_eq!(outcome(&paired(1), 2, &commit(vec![], 90), Delivery::Plain).alarms, []);
    // A partner, to whom this device draws nothing more from the tape.
    let mut ceasing = paired(1);
    ceasing.0.record.phase = Phase::Ceasing;
    assert_eq!(outcome(&ceasing, 1, &commit(vec![], 2), Delivery::Plain).alarms, []);
}

#[test]
fn an_own_commit_heals_whom_it_reaches() {
    let paired = paired(1);
    let delivery = Delivery::Own(Some(index(OWN)));
    let events = outcome(&paired, 0, &commit(vec![], 1), delivery).events;
    let healed = Event::Healed { by: OWN, devices: vec![PARTNER], index: Some(index(OWN)) };
    assert!(events.contains(&healed), "{events:?}");
    // An ordinary one, as while the pairing is ending, heals nobody.
    let events = outcome(&paired, 0, &commit(vec![], 1), Delivery::Own(None)).events;
    let why = NotHealed::Placement;
    assert!(events.contains(&Event::NotHealed { by: OWN, device: PARTNER, why }), "{events:?}");
}

#[test]
fn a_commit_that_removes_this_device_leaves_the_pairing_as_it_is() {
    let paired = paired(1);
    let removed = StagedCommit {
        membership: Membership::Removed,
        ..commit(vec![by(2, Proposal::Remove(leaf(0)))], 90)
    };
    let outcome = outcome(&paired, 2, &removed, Delivery::Plain);
    assert_eq!((outcome.events, outcome.alarms), (vec![], vec![]));
    assert_eq!(outcome.next.unwrap().record.epoch, mark(1));
}

/// Without the tape, or with another signature key than the record's, this device is not paired; of another
/// epoch than the group's nothing is believed.
#[test]
fn a_record_is_not_taken_at_its_word() {
    let (paired, vault) = paired(1);
    let record = || paired.record.clone();
    let load = |group: &FakeGroup, record| Paired::load(&Fake, &vault, group, record).unwrap();
    let mut secure = record();
    secure.security = outcome(
        &(paired.clone(), vault.clone()),
        0,
        &commit(vec![], 1),
        Delivery::Own(Some(index(OWN))),
    )
    .next
    .unwrap()
    .record
    .security;
    assert_ne!(secure.security, SecurityTable::exposed([OWN, PARTNER]));
    let kept = load(&group(1), secure.clone()).unwrap();
    assert_eq!(kept.record.security, secure.security);
    let elsewhere = FakeGroup { mark: mark(5), ..group(1) };
    let doubted = load(&elsewhere, secure).unwrap();
    assert_eq!(doubted.record.security, SecurityTable::exposed([OWN, PARTNER]));

    let mut other_key = group(1);
    other_key.keys[0].1 = vec![99];
    assert!(load(&other_key, record()).is_none());
    vault.erase(&RecordName::SubTape(record().tape)).unwrap();
    assert!(load(&group(1), record()).is_none());
}

#[test]
fn whom_a_commit_reaches() {
    let (mut paired, _) = paired(1);
    let none = Proposals::of([], leaf(0));
    let aim = paired.aim(&none, &[]).unwrap();
    assert_eq!((aim.anchor.map(|anchor| anchor.notifies()), aim.heals), (Some(1), vec![PARTNER]));
    // It removes the partner.
    let mut removes = Proposals::of([], leaf(0));
    removes.remove(leaf(1));
    assert_eq!(paired.aim(&removes, &[]).unwrap(), Aim::default());
    // Somebody else takes the partner's place under the anchor.
    removes.add(&[91]);
    assert_eq!(paired.aim(&removes, &[]).unwrap(), Aim::default());
    assert!(matches!(
        paired.require_place(&removes, PARTNER),
        Err(Error::Usage(UsageError::DeviceNotInGroup(PARTNER)))
    ));
    // The partner itself, with a new leaf.
    let mut renews = Proposals::of([], leaf(0));
    renews.remove(leaf(1));
    renews.add(&[2]);
    paired.require_place(&renews, PARTNER).unwrap();
    assert_eq!(paired.aim(&renews, &[PARTNER]).unwrap().heals, [PARTNER]);

    assert_eq!(paired.require_active(), Ok(()));
    paired.record.phase = Phase::Ceasing;
    assert_eq!(paired.aim(&none, &[]).unwrap(), Aim::default());
    assert_eq!(paired.require_active(), Err(UsageError::Ceasing), "nobody is refreshed");
}

/// A KeyPackage renews the leaf of a partner only if it has the key of one, not this device's, and the credential
/// that the partner has in the group.
#[test]
fn whose_leaf_a_key_package_renews() {
    let (paired, vault) = paired(1);
    let of = |leaf: &LeafNode| paired.partner(&this(&vault), &group(1), leaf);
    assert_eq!(of(&leaf_node(2)), Ok(PARTNER));
    for nobody in [1, 90] {
        assert_eq!(of(&leaf_node(nobody)), Err(UsageError::NotAPartner));
    }
    let renamed = leaf_node(2).encode().into_iter();
    let renamed: Vec<u8> = renamed.map(|byte| if byte == b'x' { b'y' } else { byte }).collect();
    let renamed = LeafNode::decode(&renamed).unwrap();
    assert_eq!(of(&renamed), Err(UsageError::OtherCredential));
}

#[test]
fn a_commit_that_heals_is_due_while_somebody_is_not_secure() {
    let (exposed, vault) = paired(1);
    let due = |paired: &Paired| paired.due(|| paired.aim(&Proposals::of([], leaf(0)), &[]));
    assert_eq!(due(&exposed).unwrap(), HealPolicy::AtOnce);
    let delivery = Delivery::Own(Some(index(OWN)));
    let healed = outcome(&(exposed.clone(), vault), 0, &commit(vec![], 1), delivery).next.unwrap();
    assert_eq!(due(&healed).unwrap(), HealPolicy::Manual);
    let mut manual = exposed;
    manual.record.heal_policy = HealPolicy::Manual;
    assert_eq!(due(&manual).unwrap(), HealPolicy::Manual);
}

#[test]
fn proposals_that_no_device_makes() {
    let (paired, _) = paired(1);
    let update = |at| by(at, Proposal::Update(Box::new(leaf_node(2))));
    let alarm = |proposed: &Proposed, known: &[Vec<u8>]| {
        let (events, next) = paired.usurped_by(proposed, known.iter().cloned())?;
        let [Event::Impostor { device, act }, ..] = events[..] else {
            panic!("no alarm: {events:?}");
        };
        assert_eq!(next.record.security.of(device), Some(EpochSecurity::Exposed));
        Some((device, act))
    };
    assert_eq!(alarm(&update(1), &[]), Some((PARTNER, Act::UpdateProposed)));
    assert!(paired.leaves_out(&update(1)));
    assert_eq!(alarm(&update(2), &[]), None);
    assert!(!paired.leaves_out(&update(2)));
    let leave = by(0, Proposal::Remove(leaf(0)));
    assert_eq!(alarm(&leave, &[]), Some((OWN, Act::Proposal)));
    assert_eq!(alarm(&leave, &[vec![7]]), None, "this device has made it");
    assert_eq!(alarm(&by(1, Proposal::Remove(leaf(1))), &[]), None);
}

/// A pairing begins where all of its devices are, for the device that it names, in the suite of its tape.
#[test]
fn a_pairing_begins_where_its_devices_are() {
    let (pairing, vault, _) = pairing();
    let device = this(&vault);
    let refused = |group: &FakeGroup, suite| Paired::begin(&device, group, suite, &pairing);
    let other = refused(&group(0), paired_mls::CipherSuite::P256Aes128);
    assert!(matches!(other, Err(Error::Usage(UsageError::CipherSuite))));
    let mut alone = group(0);
    alone.keys.truncate(1);
    let absent = refused(&alone, SUITE);
    assert!(matches!(absent, Err(Error::Usage(UsageError::DeviceNotInGroup(PARTNER)))));
    assert_eq!(
        vault.load_group(b"group").unwrap(),
        None,
        "nothing is remembered of what was refused"
    );

    let begun = refused(&group(0), SUITE).unwrap();
    assert!(begun.is_of(&pairing));
    assert_eq!(vault.load_group(b"group").unwrap().as_ref(), Some(&begun.record));
    for device in [OWN, PARTNER] {
        assert_eq!(begun.record.security.of(device), Some(EpochSecurity::Exposed));
    }
}

/// Only a partner's leaf is renewed, and only for its user.
#[test]
fn a_refresh_is_for_a_partner() {
    let (paired, vault) = paired(1);
    let (device, group) = (this(&vault), group(1));
    let partner = |key| paired.partner(&device, &group, &leaf_node(key));
    assert_eq!(partner(2), Ok(PARTNER));
    assert_eq!(partner(1), Err(UsageError::NotAPartner));
    assert_eq!(partner(90), Err(UsageError::NotAPartner));
}

/// A commit of the own leaf is the one that waits, or forged; of an epoch that is over, and of another kind, nothing is
/// said. In a group without a pairing the vault knows the own commits.
#[test]
fn what_an_encrypted_message_of_the_own_leaf_is() {
    let hash = |hash: u8| Some(move || Ok(vec![hash]));
    let none = || None::<fn() -> Result<Vec<u8>, Error>>;
    let message =
        |epoch| PrivateMessage::commit(b"group", epoch, vec![1; 12], vec![2; 40]).encode().unwrap();
    let (mut paired, vault) = paired(0);
    paired.record.pending = Some(PendingCommit { hash: vec![5], index: None });
    let now = (&b"group"[..], 1);
    let of = |paired, epoch, hash| OwnPrivate::of(&vault, paired, now, &message(epoch), hash);
    assert_eq!(of(Some(&paired), 1, hash(5)).unwrap(), OwnPrivate::Pending);
    assert_eq!(of(Some(&paired), 1, hash(6)).unwrap(), OwnPrivate::Forged);
    assert_eq!(of(Some(&paired), 0, hash(5)).unwrap(), OwnPrivate::Other);
    let idle = |paired| OwnPrivate::of(&vault, paired, now, &message(1), none()).unwrap();
    assert_eq!((idle(Some(&paired)), idle(None)), (OwnPrivate::Forged, OwnPrivate::Forged));

    assert_eq!(of(None, 1, hash(5)).unwrap(), OwnPrivate::Other, "made before commits were noted");
    vault.note_own_commit(b"group", &[5]).unwrap();
    assert_eq!(of(None, 1, hash(5)).unwrap(), OwnPrivate::Pending);
    assert_eq!(of(None, 1, hash(6)).unwrap(), OwnPrivate::Forged);
    let nonsense = OwnPrivate::of(&vault, None, now, b"nonsense", none());
    assert!(matches!(nonsense, Err(Error::Peer(_))));
}
