//! Every step that can fail gives back a state that the right step still works on: before the pairing
//! is agreed.

use super::*;
use crate::VaultError;

pub(super) fn accept_of_b(mode: TestMode) -> Secret {
    accepts(&registered(2, mode, TestRoad::File)).remove(1)
}

pub(super) fn message(message: PairingMessage) -> Secret {
    message.encode().unwrap()
}

fn share_rand(parties: &[(DeviceId, Party)]) -> ShareRand {
    ShareRand { pairing_id: ID, cipher_suite: 1, seed: seed(), devices: listed(parties) }
}

fn good_share_rand() -> ShareRand {
    share_rand(&[(A, party(A)), (B, party(B))])
}

#[test]
fn unpaired_after_load_seed_failed() {
    let Device { storage, vault, state } = unpaired(A);
    let strangers = Roster::new(ID, SUITE, listed(&[(B, party(B)), (C, party(C))])).unwrap();
    let (state, error) = refused_caller(state.load_seed(&vault, strangers, &seed()));
    assert_eq!(error, CallerError::NotListed);
    let short = Secret::new(vec![1; 31]);
    let (state, error) = refused_caller(state.load_seed(&vault, roster(2), &short));
    assert!(matches!(error, CallerError::Seed(_)));
    let device = Device { storage, vault, state };
    let device = device.broken(|vault, state| state.load_seed(vault, roster(2), &seed()));

    let seeded = device.state.load_seed(&device.vault, roster(2), &seed()).unwrap();
    assert_eq!((seeded.pairing_id(), seeded.own_device()), (ID, A));
    let again = Unpaired::new(party(A)).load_seed(&device.vault, roster(2), &seed());
    assert!(matches!(refused(again).1, PairingError::Vault(VaultError::Exists(_))));
}

#[test]
fn unpaired_after_share_rand_failed() {
    let Device { storage, vault, state } = unpaired(A);
    let channel = channel_of(&roster(2), ChannelTrust::Compared);
    let mut crowded = channel.clone();
    crowded.members.push(party(STRANGER));
    let (state, error) = refused_caller(state.share_rand(&vault, roster(2), &seed(), &crowded));
    assert_eq!(error, CallerError::ChannelMembers);
    let short = Secret::new(vec![1; 33]);
    let (state, error) = refused_caller(state.share_rand(&vault, roster(2), &short, &channel));
    assert!(matches!(error, CallerError::Seed(_)));
    let device = Device { storage, vault, state };
    let device =
        device.broken(|vault, state| state.share_rand(vault, roster(2), &seed(), &channel));

    let (_, outbound) =
        device.state.share_rand(&device.vault, roster(2), &seed(), &channel).unwrap();
    assert_eq!(outbound.route, Route::OneToOne);
    assert_eq!(outbound.message, message(PairingMessage::ShareRand(good_share_rand())));
}

#[test]
fn unpaired_after_receive_share_rand_failed() {
    let Device { storage, vault, state } = unpaired(B);
    let good = message(PairingMessage::ShareRand(good_share_rand()));
    let channel = channel_of(&roster(2), ChannelTrust::Compared);
    let mut crowded = channel.clone();
    crowded.members.push(party(STRANGER));
    let sender = party(A);
    let own = party(B);

    let decode = |state: Unpaired, bytes: &[u8]| {
        refused_peer(state.receive_share_rand(&vault, Source::Offline, bytes))
    };
    let (state, error) = decode(state, b"");
    assert!(matches!(error, PeerError::Decode(_)));
    let unknown = PairingMessage::Unknown { message_type: 99, body: Secret::new(vec![]) };
    let (state, error) = decode(state, message(unknown).expose());
    assert_eq!(error, PeerError::UnknownMessage(99));
    let early = accept_of_b(TestMode::Node);
    let (state, error) = decode(state, early.expose());
    let unpaired = StateName::Unpaired;
    let early = MessageType::Accept;
    assert_eq!(error, PeerError::OutOfOrder { message: early, state: unpaired });
    let others = share_rand(&[(A, party(A)), (C, party(C))]);
    let (state, error) = decode(state, message(PairingMessage::ShareRand(others)).expose());
    assert_eq!(error, PeerError::NotListed);
    let suite = ShareRand { cipher_suite: 4, ..good_share_rand() };
    let (state, error) = decode(state, message(PairingMessage::ShareRand(suite)).expose());
    assert_eq!(error, PeerError::Terms(TermsError::UnknownSuite(4)));
    let short = ShareRand { seed: Secret::new(vec![1; 31]), ..good_share_rand() };
    let (mut state, error) = decode(state, message(PairingMessage::ShareRand(short)).expose());
    assert!(matches!(error, PeerError::Seed(_)));

    let wrong = [
        (Source::Relay, "a seed comes from an offline file or over the 1-to-1 channel"),
        (Source::Directory, "a seed comes from an offline file or over the 1-to-1 channel"),
        (Source::OneToOne { channel: &crowded, sender: &sender }, "not exactly the devices"),
        (Source::OneToOne { channel: &channel, sender: &own }, "came back"),
    ];
    for (source, cause) in wrong {
        let (back, error) = refused_peer(state.receive_share_rand(&vault, source, good.expose()));
        assert!(error.to_string().contains(cause), "{error}");
        state = back;
    }
    let source = Source::OneToOne { channel: &channel, sender: &sender };
    let device = Device { storage, vault, state };
    let device =
        device.broken(|vault, state| state.receive_share_rand(vault, source, good.expose()));
    device.state.receive_share_rand(&device.vault, source, good.expose()).unwrap();
}

#[test]
fn seeded_after_initiate_failed() {
    let pair = key_pair();
    let two_users = [(A, party(A)), (B, party_of(b"bob", B))];
    let two_users = Roster::new(ID, SUITE, listed(&two_users)).unwrap();
    let channel = channel_of(&two_users, ChannelTrust::Compared);
    let [a, _] = two(seeded_in(&two_users, TestRoad::File, ChannelTrust::Compared));
    let hidden = Request::Hidden { key_pair: &pair, channel: &channel };
    let (state, error) = refused_caller(a.state.initiate(hidden));
    assert_eq!(error, CallerError::Terms(TermsError::HiddenAcrossIdentities(B)));
    // Standard mode is for two users as well.
    let (_, outbound) = state.initiate(Request::Standard(AnchorKind::Node)).unwrap();
    assert_eq!(outbound.route, Route::Directory);

    let [a, _] = two(seeded(2, TestRoad::Channel));
    let mut crowded = channel_of(&roster(2), ChannelTrust::Compared);
    crowded.members.push(party(STRANGER));
    let crowded = Request::Hidden { key_pair: &pair, channel: &crowded };
    let (state, error) = refused_caller(a.state.initiate(crowded));
    assert_eq!(error, CallerError::ChannelMembers);
    let pending = channel_of(&roster(2), ChannelTrust::Pending);
    let pending = Request::Hidden { key_pair: &pair, channel: &pending };
    let (state, error) = refused_caller(state.initiate(pending));
    assert_eq!(error, CallerError::ChannelNotVerified, "a leaked key stays leaked");
    let channel = channel_of(&roster(2), ChannelTrust::Credentials);
    let (_, outbound) =
        state.initiate(Request::Hidden { key_pair: &pair, channel: &channel }).unwrap();
    assert_eq!(outbound.route, Route::OneToOne);
}

/// A request as a test wants it, from device A.
fn request(change: impl FnOnce(&mut InitPairing)) -> Secret {
    let mut init = InitPairing {
        pairing_id: ID,
        cipher_suite: 1,
        mode: Code::Known(ModeKind::Hidden),
        anchor: Code::Known(AnchorKind::Leaf),
        initiator: A,
        devices: roster(2).devices().to_vec(),
        key_pair: Some(key_pair()),
    };
    change(&mut init);
    message(PairingMessage::InitPairing(init))
}

fn standard_request() -> Secret {
    request(|init| {
        init.mode = Code::Known(ModeKind::Standard);
        init.key_pair = None;
    })
}

#[test]
fn seeded_after_receive_init_failed_on_its_content() {
    let [_, b] = two(seeded(2, TestRoad::Channel));
    let channel = channel_of(&roster(2), ChannelTrust::Compared);
    let sender = party(A);
    let source = Source::OneToOne { channel: &channel, sender: &sender };
    let other_id = PairingId([8; 16]);

    let terms = |error| PeerError::Terms(error);
    let cases: [(Secret, PeerError); 12] = [
        (
            request(|init| init.pairing_id = other_id),
            PeerError::OtherPairing { found: other_id, expected: ID },
        ),
        (request(|init| init.mode = Code::Unknown(7)), terms(TermsError::UnknownMode(7))),
        (request(|init| init.anchor = Code::Unknown(8)), terms(TermsError::UnknownAnchor(8))),
        (request(|init| init.cipher_suite = 6), terms(TermsError::UnknownSuite(6))),
        (request(|init| init.key_pair = None), terms(TermsError::HiddenWithoutKeyPair)),
        (
            request(|init| init.mode = Code::Known(ModeKind::Standard)),
            terms(TermsError::StandardWithKeyPair),
        ),
        (
            request(|init| init.anchor = Code::Known(AnchorKind::Node)),
            terms(TermsError::HiddenAtNode),
        ),
        (
            request(|init| init.devices[1].party = party_of(b"bob", B)),
            terms(TermsError::HiddenAcrossIdentities(B)),
        ),
        (request(|init| init.initiator = STRANGER), terms(TermsError::ForeignInitiator(STRANGER))),
        (
            request(|init| init.devices[0].party.signature_key = vec![1; 32]),
            PeerError::RosterDiffers,
        ),
        (request(|init| init.initiator = B), PeerError::Reflected(MessageType::InitPairing)),
        (
            request(|init| {
                let private_key = Secret::new(vec![1; 32]);
                init.key_pair = Some(SignatureKeyPair { private_key, ..key_pair() });
            }),
            PeerError::KeyPairMismatch,
        ),
    ];
    let mut state = b.state;
    for (message, expected) in cases {
        let (back, error) = refused_peer(state.receive_init(source, message.expose(), is_pair));
        assert_eq!(error, expected);
        state = back;
    }
    let joined = state.receive_init(source, request(|_| {}).expose(), is_pair).unwrap();
    assert!(matches!(joined, Joined::Hidden { .. }));
}

#[test]
fn seeded_after_receive_init_failed_on_its_way() {
    let [_, b] = two(seeded(2, TestRoad::Channel));
    let channel = channel_of(&roster(2), ChannelTrust::Compared);
    let mut crowded = channel.clone();
    crowded.members.push(party(STRANGER));
    let (sender, other) = (party(A), party(B));
    let good = Source::OneToOne { channel: &channel, sender: &sender };
    let hidden = request(|_| {});
    let early = accept_of_b(TestMode::Node);
    let way = |way, rule| PeerError::WrongWay { message: MessageType::InitPairing, way, rule };

    let cases: [(Source<'_>, &Secret, PeerError); 8] = [
        (Source::Directory, &hidden, way(Way::Directory, WayRule::Hidden)),
        (Source::Relay, &hidden, way(Way::Relay, WayRule::Hidden)),
        (Source::Offline, &hidden, way(Way::Offline, WayRule::Hidden)),
        (
            Source::OneToOne { channel: &crowded, sender: &sender },
            &hidden,
            PeerError::ChannelMembers,
        ),
        (
            Source::OneToOne { channel: &channel, sender: &other },
            &hidden,
            PeerError::NotFromInitiator(A),
        ),
        (good, &standard_request(), way(Way::OneToOne, WayRule::Standard)),
        (Source::Relay, &standard_request(), way(Way::Relay, WayRule::Standard)),
        (
            Source::Relay,
            &early,
            PeerError::OutOfOrder { message: MessageType::Accept, state: StateName::Seeded },
        ),
    ];
    let mut state = b.state;
    for (source, message, expected) in cases {
        let (back, error) = refused_peer(state.receive_init(source, message.expose(), is_pair));
        assert_eq!(error, expected);
        state = back;
    }
    let joined = state.receive_init(Source::Directory, standard_request().expose(), is_pair);
    assert!(matches!(joined, Ok(Joined::Standard { .. })));
}

#[test]
fn seeded_and_invited_after_abandon_failed() {
    let [a, b] = two(seeded(2, TestRoad::File));
    let a = a.broken(|vault, state| state.abandon(vault));
    let state = a.state.abandon(&a.vault).unwrap();
    assert!(a.vault.pairing_info(ID).is_err(), "the tape is erased");
    let state = state.load_seed(&a.vault, roster(2), &seed()).unwrap();

    let both = vec![Device { storage: a.storage, vault: a.vault, state }, b];
    let [a, _] = two(invite(both, TestMode::Hidden).0);
    let a = a.broken(|vault, state| state.abandon(vault));
    let state = a.state.abandon(&a.vault).unwrap();
    assert_eq!(state, Unpaired::new(party(A)));
}
