//! Reflection, replay, forgery with the MLS state alone, every changed byte, other devices.

use super::*;
use crate::Seed;

#[test]
fn every_changed_bit_of_an_accept_is_refused_and_the_state_lives_on() {
    let [a, b] = two(registered(2, TestMode::Leaf, TestRoad::File));
    let accept = b.state.accept(&b.vault).unwrap().message;
    let mut state = a.state;
    for position in 0..accept.len() {
        for bit in 0..8 {
            let mut changed = accept.expose().to_vec();
            changed[position] ^= 1 << bit;
            state = refused_peer(state.receive(&a.vault, Source::Relay, &changed)).0;
        }
    }
    let (next, _) = state.receive(&a.vault, Source::Relay, accept.expose()).unwrap();
    assert!(matches!(next, Confirmation::Paired(_)));
}

#[test]
fn no_tag_passes_for_another() {
    // Whoever sees all messages of a pairing moves a tag into each other message.
    let [a, b] = two(registered(2, TestMode::Leaf, TestRoad::File));
    let accept = b.state.accept(&b.vault).unwrap().message;
    let PairingMessage::Accept(Accept { tag, .. }) =
        PairingMessage::decode(accept.expose()).unwrap()
    else {
        panic!("an Accept")
    };
    let (pairing_id, device) = (ID, B);
    let cease = PairingMessage::CeasePair(CeasePair {
        pairing_id,
        device,
        ended_by: device,
        tag: tag.clone(),
    });
    let moved = cease.encode().unwrap();
    let (_, error) = refused_peer(a.state.receive(&a.vault, Source::Relay, moved.expose()));
    assert_eq!(error, PeerError::WrongTag { message: MessageType::CeasePair, device: B });

    let [a, b] = two(paired(2, TestMode::Leaf, TestRoad::File));
    let (_, cease) = b.state.end(&b.vault).unwrap();
    let PairingMessage::CeasePair(CeasePair { tag, .. }) =
        PairingMessage::decode(cease.message.expose()).unwrap()
    else {
        panic!("a CeasePair")
    };
    let (ceasing, _) = a.state.end(&a.vault).unwrap();
    let ack = PairingMessage::CeaseAck(CeaseAck { pairing_id, device, tag });
    let moved = ack.encode().unwrap();
    let (_, error) = refused_peer(ceasing.receive(&a.vault, moved.expose()));
    assert_eq!(error, PeerError::WrongTag { message: MessageType::CeaseAck, device: B });
}

#[test]
fn nothing_comes_back_to_where_it_was_made() {
    for mode in MODES {
        let [a, _] = two(registered(2, mode, TestRoad::File));
        let own = a.state.accept(&a.vault).unwrap().message;
        let (_, error) = refused_peer(a.state.receive(&a.vault, Source::Relay, own.expose()));
        assert_eq!(error, PeerError::Reflected(MessageType::Accept));
        // With the number of the partner in it, the tag is the wrong one.
        let PairingMessage::Accept(own) = PairingMessage::decode(own.expose()).unwrap() else {
            panic!("an Accept")
        };
        let turned = PairingMessage::Accept(Accept { device: B, ..own }).encode().unwrap();
        let [a, _] = two(registered(2, mode, TestRoad::File));
        let (_, error) = refused_peer(a.state.receive(&a.vault, Source::Relay, turned.expose()));
        assert_eq!(error, PeerError::WrongTag { message: MessageType::Accept, device: B });
    }
}

#[test]
fn a_third_device_speaks_for_itself_only() {
    let [a, b, c] = three(registered(3, TestMode::Node, TestRoad::File));
    let accept = c.state.accept(&c.vault).unwrap().message;
    let (next, _) = a.state.receive(&a.vault, Source::Relay, accept.expose()).unwrap();
    let state = waiting(next);
    assert_eq!(state.waiting_for(), [B]);
    // Again: nothing changes.
    let (next, _) = state.receive(&a.vault, Source::Relay, accept.expose()).unwrap();
    let state = waiting(next);
    assert_eq!(state.waiting_for(), [B]);
    let PairingMessage::Accept(accept) = PairingMessage::decode(accept.expose()).unwrap() else {
        panic!("an Accept")
    };
    let forged = PairingMessage::Accept(Accept { device: B, ..accept }).encode().unwrap();
    let (state, _) = refused_peer(state.receive(&a.vault, Source::Relay, forged.expose()));
    let accept = b.state.accept(&b.vault).unwrap().message;
    let (next, _) = state.receive(&a.vault, Source::Relay, accept.expose()).unwrap();
    assert!(matches!(next, Confirmation::Paired(_)));
}

#[test]
fn a_thief_without_the_tape_cannot_accept_or_end() {
    // The thief knows everything but the seed: it guesses one.
    let [a, _] = two(registered(2, TestMode::Leaf, TestRoad::File));
    let thief = Vault::new(MemoryStorage::new());
    let guess = Seed::new(SUITE, Secret::new(vec![41; 32])).unwrap();
    thief.create(SUITE, guess, ID, &[A, B], B).unwrap();
    let [_, b] = two(registered(2, TestMode::Leaf, TestRoad::File));
    let accept = b.state.accept(&thief).unwrap().message;
    let (_, error) = refused_peer(a.state.receive(&a.vault, Source::Relay, accept.expose()));
    assert_eq!(error, PeerError::WrongTag { message: MessageType::Accept, device: B });

    let [a, b] = two(paired(2, TestMode::Leaf, TestRoad::File));
    let (_, cease) = b.state.end(&thief).unwrap();
    let (_, error) = refused_peer(a.state.receive(&a.vault, cease.message.expose()));
    assert_eq!(error, PeerError::WrongTag { message: MessageType::CeasePair, device: B });
}

#[test]
fn the_vault_writes_in_its_own_name_and_verifies_partners_only() {
    let [a, b] = two(paired(2, TestMode::Leaf, TestRoad::File));
    let transcript = Transcript::of(a.state.terms()).unwrap();
    let input = TagInput::new(TagPurpose::Accept, &transcript);
    assert_eq!(input.purpose(), TagPurpose::Accept);
    let tag = a.vault.pairing_tag(ID, &input).unwrap();
    b.vault.verify_pairing_tag(ID, A, &input, &tag).unwrap();
    let own = a.vault.verify_pairing_tag(ID, A, &input, &tag);
    assert!(matches!(own, Err(TagError::Wrong(A))), "{own:?}");
    let foreign = a.vault.verify_pairing_tag(ID, STRANGER, &input, &tag);
    let not_of_it = crate::TapeError::ForeignDevice(STRANGER);
    assert!(matches!(foreign, Err(TagError::Vault(crate::VaultError::Tape(e))) if e == not_of_it));
    for purpose in [TagPurpose::CeasePair, TagPurpose::CeaseAck] {
        let input = TagInput::new(purpose, &transcript);
        assert_ne!(a.vault.pairing_tag(ID, &input).unwrap(), tag, "{purpose:?}");
    }
}

#[test]
fn a_replayed_share_rand_makes_no_second_tape() {
    let [_, b] = two(seeded(2, TestRoad::File));
    let replay = ShareRand {
        pairing_id: ID,
        cipher_suite: 1,
        seed: seed(),
        devices: roster(2).devices().to_vec(),
    };
    let replay = PairingMessage::ShareRand(replay).encode().unwrap();
    let again = Unpaired::new(party(B));
    let (_, error) = refused(again.receive_share_rand(&b.vault, Source::Offline, replay.expose()));
    assert!(matches!(error, PairingError::Vault(crate::VaultError::Exists(_))), "{error}");
}

#[test]
fn devices_that_were_told_different_things_do_not_pair() {
    // The directory shows B another anchor than A asked for: their transcripts differ.
    let (a_side, _) = invited(2, TestMode::Leaf, TestRoad::File);
    let b_accept = accepts(&registered(2, TestMode::Node, TestRoad::File)).remove(1);
    let [a, _] = two(a_side);
    let (_, error) = refused_peer(a.state.receive(&a.vault, Source::Relay, b_accept.expose()));
    assert_eq!(error, PeerError::WrongTag { message: MessageType::Accept, device: B });
}
