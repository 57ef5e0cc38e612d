//! Ways back into a group, at a node.

use openmls::prelude::{MlsGroupJoinConfig, PURE_PLAINTEXT_WIRE_FORMAT_POLICY};
use openmls_traits::OpenMlsProvider as _;
use paired_mls::{
    Event, Phase,
    anchor::LeafIndex,
    conformance::{Content, Listener as _, Member as _},
};
use paired_mls_openmls::{Error, Group, Received, UsageError};

use crate::packages::{CIPHERSUITE, LAMP, PHONE, SENSOR, Town};

fn join_config() -> MlsGroupJoinConfig {
    MlsGroupJoinConfig::builder()
        .use_ratchet_tree_extension(true)
        .wire_format_policy(PURE_PLAINTEXT_WIRE_FORMAT_POLICY)
        .build()
}

/// A device whose pairing is ending comes back from outside: the pairing goes on ending, and nothing more is
/// drawn for it.
#[test]
fn a_pairing_that_is_ending_goes_on_ending() {
    for ceasing in [false, true] {
        let mut town = Town::new();
        let phone = &town.gadgets[PHONE].device;
        if ceasing {
            town.groups[PHONE].cease(phone).unwrap();
        }
        let (group, provider, signer) = town.ada.parts().unwrap();
        let info = group.export_group_info(provider.crypto(), signer, true).unwrap();
        let info = info.to_bytes().unwrap();
        let rejoin = Group::rejoin(phone, &info, &join_config()).unwrap();
        let sent = rejoin.outgoing().clone();
        let back = rejoin.confirm(phone).unwrap();
        let phase = if ceasing { Phase::Ceasing } else { Phase::Active };
        assert_eq!(back.phase(), Some(phase));
        town.groups[PHONE] = back;
        for received in town.follow(&[1, LAMP, SENSOR], &sent.commit) {
            let Received::Commit { events, .. } = received else {
                panic!("a commit is a commit");
            };
            let healed = events.iter().any(|event| matches!(event, Event::Healed { .. }));
            assert_eq!(healed, !ceasing, "{events:?}");
        }
        town.ada.process(&sent.commit).unwrap();
        let ada = town.ada.epoch_authenticator();
        for group in &town.groups {
            assert_eq!(group.mls().epoch_authenticator().as_slice(), ada);
        }
    }
}

/// The commits that have removed a device cannot be had any more: it gives its old state up, and joins by
/// the Welcome.
#[test]
fn whoever_cannot_follow_gives_up_and_joins() {
    let mut town = Town::new();
    let sensor = town.gadgets[SENSOR].device.key_package(CIPHERSUITE).unwrap();
    let removes = vec![LeafIndex::new(3).unwrap()];
    town.ada.commit(&Content { adds: vec![], removes }).unwrap();
    town.ada.confirm().unwrap();
    let sent = town.ada.commit(&Content { adds: vec![sensor], removes: vec![] }).unwrap();
    town.ada.confirm().unwrap();
    let welcome = sent.welcome.unwrap();

    let sensor = &town.gadgets[SENSOR].device;
    let refused = Group::join(sensor, &welcome, &join_config()).err().unwrap();
    assert!(matches!(refused, Error::Usage(UsageError::StillMember)), "{refused}");
    town.groups.remove(SENSOR).forget(sensor).unwrap();
    let back = Group::join(sensor, &welcome, &join_config()).unwrap();
    let ada = town.ada.epoch_authenticator();
    assert_eq!(back.mls().epoch_authenticator().as_slice(), ada);
}
