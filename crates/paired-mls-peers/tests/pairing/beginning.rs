//! From nothing to a pairing, and into groups.

use openmls_rust_crypto::RustCrypto;
use paired_mls::{
    DeviceId, EpochSecurity, Event, LeafKey, Secret,
    conformance::Listener as _,
    group::NotHealed,
    pairing::{
        AnchorKind, BookError, CallerError, ChannelTrust, PairingError, Request, StateName,
        TermsError,
    },
};
use paired_mls_openmls::{Channel, Error, PeerError, UsageError, generate_signature_key};
use paired_mls_peers::Door;

use crate::cast::{
    CIPHERSUITE, Gadget, ID, PHONE, Pairing, SENSOR, SUITE, WATCH, ada, at_a_node, behind_a_leaf,
    digits, events, same_epoch,
};

/// The seed goes over the channel, the request over the directory; two and three devices heal a group
/// at a node.
#[test]
fn standard_mode_at_a_node() {
    for identities in [&["a phone", "a sensor"][..], &["a phone", "a sensor", "a watch"]] {
        let mut pairing = Pairing::of(identities);
        pairing.seed();
        pairing.all_are(StateName::Seeded);
        pairing.initiate_standard(AnchorKind::Node);
        pairing.all_are(StateName::Paired);

        let mut ada = ada(Door::Open, b"a group");
        let mut groups = at_a_node(&pairing, &mut ada);
        let sent = groups[PHONE].update(&pairing.gadgets[PHONE].own).unwrap();
        let done = groups[PHONE].confirm(&pairing.gadgets[PHONE].own).unwrap();
        ada.process(&sent.commit).unwrap();
        for (n, group) in groups.iter_mut().enumerate().skip(1) {
            let heard = group.process(&pairing.gadgets[n].own, &sent.commit).unwrap();
            let healed = |event: &Event| matches!(event, Event::Healed { by: DeviceId(0), .. });
            // Ada and a filler are below the node that a third device shares with the others.
            let is_apart = n == WATCH;
            assert_eq!(events(heard).iter().any(healed), !is_apart);
            let (by, device) = (DeviceId(0), DeviceId(n as u16));
            let left_out = Event::NotHealed { by, device, why: NotHealed::Placement };
            assert_eq!(done.first() == Some(&left_out), is_apart, "{done:?}");
            same_epoch(&ada, group.mls());
        }
    }
}

/// The seed and, in hidden mode, the leaf's private key go over the channel; the key lies in the vaults.
/// Two groups are healed, each from a tape of its own.
#[test]
fn both_modes_behind_a_leaf() {
    for (identities, hidden) in [
        (&["alice"; 2][..], Hidden::Yes),
        (&["alice"; 3], Hidden::Yes),
        (&["alice"; 2], Hidden::No),
    ] {
        let mut pairing = Pairing::of(identities);
        pairing.seed();
        let door = match hidden {
            Hidden::Yes => {
                pairing.initiate_hidden();
                assert!(pairing.directory.is_none(), "the directory is told nothing");
                Door::Open
            }
            Hidden::No => {
                pairing.initiate_standard(AnchorKind::Leaf);
                Door::Gated
            }
        };
        pairing.all_are(StateName::Paired);

        for group_id in [&b"one group"[..], b"another"] {
            let mut ada = ada(door, group_id);
            let mut leaf = behind_a_leaf(&pairing, &mut ada);
            for by in [PHONE, SENSOR] {
                let (device, group) = &mut leaf[by];
                let sent = group.update(device).unwrap();
                group.confirm(device).unwrap();
                ada.process(&sent.commit).unwrap();
                for (n, (device, group)) in leaf.iter_mut().enumerate() {
                    if n != by {
                        group.process(device, sent.notify.as_ref().unwrap()).unwrap();
                        group.process(device, &sent.commit).unwrap();
                    }
                    same_epoch(&ada, group.mls());
                    let safe = Some(EpochSecurity::Secure(LeafKey::Fresh));
                    assert_eq!(group.security(DeviceId(0)), safe);
                }
            }
        }
    }
}

#[derive(Clone, Copy)]
enum Hidden {
    Yes,
    No,
}

/// Somebody sits between the devices, with a channel to each: the digits differ, and so do they for a
/// second channel of the same devices.
#[test]
fn somebody_in_between_is_seen() {
    let mut pairing = Pairing::of(&["alice"; 2]);
    pairing.open_channel();
    let honest = digits(&pairing.gadgets[PHONE]);
    assert_eq!(digits(&pairing.gadgets[SENSOR]), honest);

    let [phone, sensor] = &pairing.gadgets[..] else { panic!("two devices") };
    let mallory = Gadget::new("alice");
    let open = |from: &Gadget, to: &Gadget, id: &[u8]| {
        let package = to.own.key_package(CIPHERSUITE).unwrap();
        let (channel, welcome) = Channel::open(&from.own, id, &[package]).unwrap();
        (channel, Channel::join(&to.own, &welcome).unwrap())
    };
    let (at_phone, _) = open(phone, &mallory, b"one side");
    let (_, at_sensor) = open(&mallory, sensor, b"the other");
    let shown = [
        at_phone.digits(&phone.own).unwrap().to_string(),
        at_sensor.digits(&sensor.own).unwrap().to_string(),
    ];
    assert_ne!(shown[0], shown[1]);
    assert!(!shown.contains(&honest));

    // And a channel with him is none of this pairing.
    let channel = at_phone.one_to_one(ChannelTrust::Compared);
    let seed = Secret::new(vec![1; 32]);
    let refused = phone.book().share_rand(pairing.roster(), &seed, &channel).unwrap_err();
    let expected = CallerError::ChannelMembers;
    assert!(matches!(refused, BookError::Pairing(PairingError::Caller(e)) if e == expected));
}

/// Nobody changes the channel: commits, replays and strangers' messages are refused, and it goes on.
#[test]
fn the_channel_does_not_change() {
    let mut pairing = Pairing::of(&["alice"; 2]);
    pairing.open_channel();
    let progress = pairing.share_rand();
    let phone = &mut pairing.gadgets[PHONE];
    let channel = phone.channel.as_mut().unwrap();
    let message = channel.send(&phone.own, &progress.send[0]).unwrap();
    assert!(channel.receive(&phone.own, &message).unwrap().is_none(), "its own");

    let sensor = &mut pairing.gadgets[SENSOR];
    let channel = sensor.channel.as_mut().unwrap();
    for at in (0..message.len()).step_by(29) {
        let mut forged = message.clone();
        forged[at] ^= 1;
        assert!(channel.receive(&sensor.own, &forged).is_err());
    }
    let (sender, received) = channel.receive(&sensor.own, &message).unwrap().unwrap();
    assert_eq!(sender, pairing.gadgets[PHONE].party);
    assert_eq!(received.expose(), progress.send[0].message.expose());
    let sensor = &mut pairing.gadgets[SENSOR];
    let channel = sensor.channel.as_mut().unwrap();
    assert!(channel.receive(&sensor.own, &message).is_err(), "a replay");

    // A commit in the channel, by a client with the phone's state.
    let phone = &pairing.gadgets[PHONE];
    let mut group = paired_mls_openmls::Group::load(&phone.own, b"a channel").unwrap();
    let commit = group.update(&phone.own).unwrap().commit;
    let sensor = &mut pairing.gadgets[SENSOR];
    let channel = sensor.channel.as_mut().unwrap();
    let before = channel.digits(&sensor.own).unwrap().to_string();
    let refused = channel.receive(&sensor.own, &commit).unwrap_err();
    assert!(matches!(refused, Error::Peer(PeerError::ChannelChanged)), "{refused:?}");
    assert_eq!(channel.digits(&sensor.own).unwrap().to_string(), before);

    let nobody = Channel::open(&sensor.own, b"alone", &[]);
    assert!(matches!(nobody, Err(Error::Usage(UsageError::EmptyChannel))));
    let sensor = pairing.gadgets.pop().unwrap();
    sensor.channel.unwrap().close(&sensor.own).unwrap();
    assert!(Channel::load(&sensor.own, b"a channel").is_err());
}

/// Hidden mode needs one user, and a channel that people have looked at.
#[test]
fn hidden_mode_is_for_one_user_on_a_channel_that_was_compared() {
    let key_pair = generate_signature_key(&RustCrypto::default(), SUITE).unwrap();
    let mut pairing = Pairing::of(&["alice", "bob"]);
    pairing.seed();
    let channel = pairing.one_to_one();
    let request = Request::Hidden { key_pair: &key_pair, channel: &channel };
    let refused = pairing.gadgets[PHONE].book().initiate(ID, request).unwrap_err();
    assert!(
        matches!(
            refused,
            BookError::Pairing(PairingError::Caller(CallerError::Terms(
                TermsError::HiddenAcrossIdentities(DeviceId(1))
            )))
        ),
        "{refused:?}"
    );

    let mut pairing = Pairing::of(&["alice"; 2]);
    pairing.trust = ChannelTrust::Pending;
    pairing.seed();
    let channel = pairing.one_to_one();
    let request = Request::Hidden { key_pair: &key_pair, channel: &channel };
    let refused = pairing.gadgets[PHONE].book().initiate(ID, request).unwrap_err();
    assert!(matches!(
        refused,
        BookError::Pairing(PairingError::Caller(CallerError::ChannelNotVerified))
    ));
    pairing.trust = ChannelTrust::Compared;
    pairing.initiate_hidden();
    // The sensor's user has not compared on that device, or its book does not know: now it does.
    for n in [PHONE, SENSOR] {
        if let Ok(progress) = pairing.gadgets[n].book().confirm_channel(ID, ChannelTrust::Compared)
        {
            pairing.post(n, progress);
        }
    }
    pairing.all_are(StateName::Paired);
    let leaf = behind_a_leaf(&pairing, &mut ada(Door::Open, b"a group"));
    assert_eq!(leaf.len(), 2);
}
