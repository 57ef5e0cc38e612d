//! What a delivered commit of the leaf can be, what it means, and who may speak then.

use paired_mls::{
    EpochSecurity, Index,
    group::EpochMark,
    leaf::{Announced, LeafRecord},
};

use super::*;
use crate::{
    Membership, UsageError,
    fake::{Fake, FakeGroup, SUITE, leaf, leaf_node, pairing},
    shared::{give_token, require_speech, token},
};

const OWN: DeviceId = DeviceId(0);
const PARTNER: DeviceId = DeviceId(1);
const EPOCH: u64 = 5;

fn group() -> FakeGroup {
    FakeGroup {
        mark: EpochMark { epoch: EPOCH, confirmed_transcript_hash: vec![3; 32] },
        membership: Membership::Stays,
        own: leaf(0),
        keys: vec![(leaf(0), vec![1])],
    }
}

fn spot(device: DeviceId, position: u64) -> Spot {
    Spot { opening: 0, index: Index::new(device, position).unwrap() }
}

fn announced(epoch: u64, position: u64) -> Announced {
    let notify = LeafNotify {
        spot: spot(PARTNER, position),
        proposals: vec![1],
        authenticated_data: Vec::new(),
        leaf_node: leaf_node(1).encode(),
        signature: vec![2],
    };
    Announced { epoch, notify }
}

/// Of an encrypted commit: what was announced for this epoch, and no other; without any, empty commits at the next
/// positions of the partner's lane, and not of the own one.
#[test]
fn an_encrypted_commit_is_what_was_announced_or_an_empty_one() {
    let (_, vault, tape) = pairing();
    let mut record = LeafRecord::new(tape);
    let of = |record: &LeafRecord| candidates(&Fake, &vault, &group(), record, None).unwrap();
    record.announced = vec![announced(EPOCH - 1, 1), announced(EPOCH, 2), announced(EPOCH, 3)];
    let positions: Vec<_> = of(&record).iter().map(|known| known.spot.index.position()).collect();
    assert_eq!(positions, [2, 3]);

    record.announced = vec![announced(EPOCH - 1, 1)];
    let blind = of(&record);
    assert!((BLIND_POSITIONS..=2 * BLIND_POSITIONS).contains(&blind.len()), "{}", blind.len());
    for guessed in blind {
        assert_eq!(guessed.spot.index.device(), PARTNER);
        assert_eq!((guessed.proposals, guessed.leaf_node), (Vec::new(), leaf_node(1).encode()));
    }
}

/// What was made again is merged only if it is what was delivered, or, of an own commit, what was sent.
#[test]
fn another_commit_than_the_delivered_one_is_refused() {
    let notify = announced(EPOCH, 2).notify;
    let hash = Fake.hash(SUITE, b"a commit").unwrap();
    let own = LeafPending { epoch: EPOCH, hash, notify };
    for delivered in [Delivered::Message(b"a commit"), Delivered::Own(&own)] {
        delivered.check(&Fake, SUITE, b"a commit").unwrap();
        let refused = delivered.check(&Fake, SUITE, b"another").unwrap_err();
        assert!(matches!(refused, Error::Peer(PeerError::Differs(_))), "{refused:?}");
    }
}

/// A commit from the tape heals the leaf and takes the token; what the next epoch still needs is kept.
#[test]
fn a_followed_commit_moves_the_token() {
    let (_, _, tape) = pairing();
    let mut record = LeafRecord::new(tape);
    record.announced = vec![announced(EPOCH - 1, 1), announced(EPOCH, 2)];
    record.given = Some(3);
    let devices = [OWN, PARTNER];
    let events = follow(&mut record, spot(PARTNER, 2), EPOCH + 1, &devices);
    let to = security(&record);
    assert!(matches!(to, EpochSecurity::Secure(_)));
    let changed = |device| Event::SecurityChanged { device, from: EpochSecurity::Exposed, to };
    let index = Some(spot(PARTNER, 2).index);
    assert_eq!(
        events,
        [
            Event::Healed { by: PARTNER, devices: vec![OWN], index },
            changed(OWN),
            changed(PARTNER),
            Event::TokenTaken { by: PARTNER },
        ]
    );
    assert_eq!((record.given, record.announced), (None, vec![announced(EPOCH, 2)]));
}

#[test]
fn who_has_the_token_may_speak_until_it_is_given_away() {
    let (_, _, tape) = pairing();
    let mut record = LeafRecord::new(tape);
    assert_eq!(token(&record, EPOCH), None);
    assert_eq!(require_speech(&record, EPOCH, OWN), Err(UsageError::TokenElsewhere(None)));
    follow(&mut record, spot(OWN, 1), EPOCH, &[OWN, PARTNER]);
    assert_eq!(require_speech(&record, EPOCH, OWN), Ok(()));
    // The state is one epoch behind the vault, as after a crash.
    assert_eq!(token(&record, EPOCH - 1), None);
    let elsewhere = Err(UsageError::TokenElsewhere(Some(OWN)));
    assert_eq!(give_token(&mut record, EPOCH, PARTNER), elsewhere);
    assert_eq!(give_token(&mut record, EPOCH, OWN), Ok(()));
    assert_eq!(give_token(&mut record, EPOCH + 1, OWN), Ok(()));
    assert_eq!(record.given, Some(EPOCH), "it counts from the first time");
    assert_eq!(require_speech(&record, EPOCH, OWN), Err(UsageError::TokenGiven));
}
