//! Every step that can fail gives back a state that the right step still works on: from the request
//! to the end.

use super::{
    transitions::{accept_of_b, message},
    *,
};

#[test]
fn invited_after_receive_failed() {
    let (all, directory) = invited(2, TestMode::Leaf, TestRoad::File);
    let directory = directory.unwrap();
    let [a, _] = two(all);
    let Device { storage, vault, state } = a;
    let accepts = accepts(&registered(2, TestMode::Leaf, TestRoad::File));
    let other_terms = accept_of_b(TestMode::Node);
    let device_b = |tag| PairingMessage::Accept(Accept { pairing_id: ID, device: B, tag });
    let foreign = Accept { pairing_id: ID, device: STRANGER, tag: vec![0; 32] };
    let other_request = DirectoryAccept { pairing_id: ID, request_hash: vec![0; 32] };
    let ack = CeaseAck { pairing_id: ID, device: B, tag: vec![0; 32] };
    let reserved = PairingMessage::Unknown { message_type: 8, body: Secret::copy_of(b"token") };
    let wrong_tag = PeerError::WrongTag { message: MessageType::Accept, device: B };
    let way = |way| PeerError::WrongWay {
        message: MessageType::DirectoryAccept,
        way,
        rule: WayRule::DirectoryOnly,
    };

    let cases: [(Source<'_>, Secret, PeerError); 10] = [
        (Source::Relay, message(device_b(vec![0; 32])), wrong_tag.clone()),
        (Source::Relay, message(device_b(vec![])), wrong_tag.clone()),
        (Source::Relay, other_terms, wrong_tag),
        (
            Source::Relay,
            message(PairingMessage::Accept(foreign)),
            PeerError::ForeignDevice(STRANGER),
        ),
        (
            Source::Relay,
            Secret::copy_of(accepts[0].expose()),
            PeerError::Reflected(MessageType::Accept),
        ),
        (Source::Relay, Secret::copy_of(directory.expose()), way(Way::Relay)),
        (Source::Offline, Secret::copy_of(directory.expose()), way(Way::Offline)),
        (
            Source::Directory,
            message(PairingMessage::DirectoryAccept(other_request)),
            PeerError::OtherRequest,
        ),
        (
            Source::Relay,
            message(PairingMessage::CeaseAck(ack)),
            PeerError::OutOfOrder { message: MessageType::CeaseAck, state: StateName::Invited },
        ),
        (Source::Relay, message(reserved), PeerError::UnknownMessage(8)),
    ];
    let mut device = Device { storage, vault, state };
    for (source, message, expected) in cases {
        let Device { storage, vault, state } = device;
        let (state, error) = refused_peer(state.receive(&vault, source, message.expose()));
        assert_eq!(error, expected);
        device = Device { storage, vault, state };
    }
    let relay = Source::Relay;
    let device = device.broken(|vault, state| state.receive(vault, relay, accepts[1].expose()));
    let Device { vault, state, .. } = device;

    assert_eq!(state.waiting_for(), [B]);
    let early = state.accept(&vault);
    assert!(matches!(early, Err(PairingError::Caller(CallerError::NotRegistered))));
    let (next, _) = state.receive(&vault, relay, accepts[1].expose()).unwrap();
    let state = waiting(next);
    let (next, _) = state.receive(&vault, Source::Directory, directory.expose()).unwrap();
    assert!(matches!(next, Confirmation::Paired(_)));
}

#[test]
fn hidden_mode_wants_no_accept_of_the_directory() {
    let [a, _] = two(invited(2, TestMode::Hidden, TestRoad::File).0);
    let hash = transcript::request_hash(a.state.terms()).unwrap();
    let directory = DirectoryAccept { pairing_id: ID, request_hash: hash };
    let directory = message(PairingMessage::DirectoryAccept(directory));
    let (state, error) =
        refused_peer(a.state.receive(&a.vault, Source::Directory, directory.expose()));
    assert_eq!(error, PeerError::OtherRequest);
    let accept = accept_of_b(TestMode::Hidden);
    let (next, _) = state.receive(&a.vault, Source::Relay, accept.expose()).unwrap();
    assert!(matches!(next, Confirmation::Paired(_)));
}

#[test]
fn paired_after_end_or_receive_failed() {
    let [a, b] = two(paired(2, TestMode::Node, TestRoad::File));
    let (_, cease) = b.state.end(&b.vault).unwrap();
    let forged = message(PairingMessage::CeasePair(CeasePair {
        pairing_id: ID,
        device: B,
        ended_by: B,
        tag: vec![0; 32],
    }));

    let a = a.broken(|vault, state| state.end(vault));
    let a = a.broken(|vault, state| state.receive(vault, cease.message.expose()));
    let (state, error) = refused_peer(a.state.receive(&a.vault, forged.expose()));
    let wrong = PeerError::WrongTag { message: MessageType::CeasePair, device: B };
    assert_eq!(error, wrong);
    let early =
        message(PairingMessage::CeaseAck(CeaseAck { pairing_id: ID, device: B, tag: vec![0; 32] }));
    let (state, error) = refused_peer(state.receive(&a.vault, early.expose()));
    let out = PeerError::OutOfOrder { message: MessageType::CeaseAck, state: StateName::Paired };
    assert_eq!(error, out);

    let (next, send) = state.receive(&a.vault, cease.message.expose()).unwrap();
    assert!(matches!(next, Continuation::Ending(Ending::Ceased(_))));
    assert_eq!(send.len(), 1);
}

#[test]
fn ceasing_after_receive_failed() {
    let [a, b] = two(paired(2, TestMode::Node, TestRoad::File));
    let (ceasing, cease) = a.state.end(&a.vault).unwrap();
    let (_, send) = b.state.receive(&b.vault, cease.message.expose()).unwrap();
    let ack = &send[0].message;

    let device = Device { storage: a.storage, vault: a.vault, state: ceasing };
    let device = device.broken(|vault, state| state.receive(vault, ack.expose()));
    let (vault, state) = (device.vault, device.state);
    let (state, error) = refused_peer(state.receive(&vault, cease.message.expose()));
    assert_eq!(error, PeerError::Reflected(MessageType::CeasePair));
    let forged = CeaseAck { pairing_id: ID, device: B, tag: vec![1; 32] };
    let forged = message(PairingMessage::CeaseAck(forged));
    let (state, error) = refused_peer(state.receive(&vault, forged.expose()));
    assert_eq!(error, PeerError::WrongTag { message: MessageType::CeaseAck, device: B });
    let late = accept_of_b(TestMode::Node);
    let (state, error) = refused_peer(state.receive(&vault, late.expose()));
    let out = PeerError::OutOfOrder { message: MessageType::Accept, state: StateName::Ceasing };
    assert_eq!(error, out);

    let (next, send) = state.receive(&vault, ack.expose()).unwrap();
    assert!(matches!(next, Ending::Ceased(_)));
    assert_eq!(send, []);
}

#[test]
fn a_failure_says_why_and_shows_no_state() {
    let a = unpaired(A);
    let short = Secret::new(vec![1; 31]);
    let failed = a.state.load_seed(&a.vault, roster(2), &short).unwrap_err();
    let text = "the seed has 31 bytes and the cipher suite needs 32: draw a new seed";
    assert_eq!(failed.to_string(), text);
    assert!(format!("{failed:?}").starts_with("Failed(Caller(Seed("));
    assert!(matches!(failed.error(), PairingError::Caller(CallerError::Seed(_))));
    assert_eq!(failed.into_state(), Unpaired::new(party(A)));
}
