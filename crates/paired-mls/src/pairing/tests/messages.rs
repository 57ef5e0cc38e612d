//! The encodings: one for each message, and no other bytes.

use super::*;

fn every_message() -> Vec<PairingMessage> {
    let devices = listed(&[(A, party(A)), (B, party(B))]);
    let init = |mode, anchor, key_pair| {
        PairingMessage::InitPairing(InitPairing {
            pairing_id: ID,
            cipher_suite: 1,
            mode,
            anchor,
            initiator: A,
            devices: devices.clone(),
            key_pair,
        })
    };
    let (pairing_id, device, tag) = (ID, B, vec![3; 32]);
    vec![
        PairingMessage::ShareRand(ShareRand {
            pairing_id,
            cipher_suite: 1,
            seed: seed(),
            devices: devices.clone(),
        }),
        init(Code::Known(ModeKind::Standard), Code::Known(AnchorKind::Node), None),
        init(Code::Known(ModeKind::Hidden), Code::Known(AnchorKind::Leaf), Some(key_pair())),
        init(Code::Unknown(9), Code::Unknown(0), None),
        PairingMessage::Accept(Accept { pairing_id, device, tag: tag.clone() }),
        PairingMessage::DirectoryAccept(DirectoryAccept { pairing_id, request_hash: tag.clone() }),
        PairingMessage::CeasePair(CeasePair {
            pairing_id,
            device,
            ended_by: device,
            tag: tag.clone(),
        }),
        PairingMessage::CeaseAck(CeaseAck { pairing_id, device, tag }),
        PairingMessage::Unknown { message_type: 200, body: Secret::copy_of(b"later") },
    ]
}

#[test]
fn every_message_reads_back() {
    for message in every_message() {
        let bytes = message.encode().unwrap();
        let again = PairingMessage::decode(bytes.expose()).unwrap();
        assert_eq!(again.message_type(), message.message_type());
        assert_eq!(again.pairing_id(), message.pairing_id());
        assert_eq!(again.encode().unwrap(), bytes);
    }
}

#[test]
fn every_truncation_and_every_trailing_byte_is_refused() {
    for message in every_message() {
        let bytes = message.encode().unwrap();
        for end in 0..bytes.len() {
            assert!(PairingMessage::decode(&bytes.expose()[..end]).is_err(), "{message:?} {end}");
        }
        for byte in 0..=255 {
            let longer = [bytes.expose(), &[byte]].concat();
            let error = PairingMessage::decode(&longer).unwrap_err();
            assert_eq!(error, DecodeError::TrailingBytes("PairingMessage"));
        }
    }
}

#[test]
fn every_changed_byte_is_refused_or_says_something_else() {
    for message in every_message() {
        let bytes = message.encode().unwrap();
        for position in 0..bytes.len() {
            for byte in 0..=255 {
                let mut changed = bytes.expose().to_vec();
                if changed[position] == byte {
                    continue;
                }
                changed[position] = byte;
                if let Ok(read) = PairingMessage::decode(&changed) {
                    // The encoding is canonical: other bytes are another message.
                    assert_eq!(read.encode().unwrap().expose(), changed, "{read:?}");
                    poke(&read);
                }
            }
        }
    }
}

/// What a receiver looks at must not panic either.
fn poke(message: &PairingMessage) {
    match message {
        PairingMessage::ShareRand(message) => drop(message.roster()),
        PairingMessage::InitPairing(message) => drop(message.terms()),
        _ => {}
    }
}

#[test]
fn random_bytes_never_panic() {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_be_bytes()[0]
    };
    for _ in 0..20_000 {
        let length = usize::from(next()) % 96;
        let mut bytes: Vec<u8> = (0..length).map(|_| next()).collect();
        if let [version, kind, ..] = bytes.as_mut_slice() {
            (*version, *kind) = (2, *kind % 10);
        }
        if let Ok(message) = PairingMessage::decode(&bytes) {
            assert_eq!(message.encode().unwrap().expose(), bytes);
        }
        drop(PairedSignal::decode(&bytes));
        drop(PairingState::from_record(&bytes));
    }
}

#[test]
fn other_versions_are_refused_by_number() {
    for message in every_message() {
        let mut bytes = message.encode().unwrap().expose().to_vec();
        bytes[0] = 3;
        assert_eq!(PairingMessage::decode(&bytes).unwrap_err(), DecodeError::Version(3));
    }
    assert!(DecodeError::Version(3).to_string().contains("update the older device"));
}

#[test]
fn debug_shows_no_secret() {
    for message in every_message() {
        let debug = format!("{message:?}");
        // The seed is 42s, the private key 0xBBs.
        assert!(!debug.contains("42, 42") && !debug.contains("187, 187"), "{debug}");
    }
    assert!(format!("{:?}", every_message()[0]).contains("<redacted>"));
}

#[test]
fn long_vectors_read_back() {
    for length in [63, 64, 0x3FFF, 0x4000] {
        let body = Secret::new(vec![1; length]);
        let message = PairingMessage::Unknown { message_type: 99, body };
        let bytes = message.encode().unwrap();
        assert_eq!(PairingMessage::decode(bytes.expose()).unwrap().encode().unwrap(), bytes);
    }
}

#[test]
fn rosters_that_cannot_pair_are_refused() {
    let new = |devices: &[(DeviceId, Party)]| Roster::new(ID, SUITE, listed(devices));
    assert_eq!(new(&[(A, party(A))]), Err(TermsError::TooFewDevices(1)));
    assert_eq!(new(&[(A, party(A)), (A, party(B))]), Err(TermsError::DeviceOrder(A)));
    assert_eq!(new(&[(A, party(A)), (B, party(A))]), Err(TermsError::SharedKey(B)));
    let reserved = [(A, party(A)), (DeviceId::RESERVED, party(B))];
    assert_eq!(new(&reserved), Err(TermsError::ReservedNumber));
    let empty = Party { signature_key: vec![], ..party(B) };
    assert_eq!(new(&[(A, party(A)), (B, empty)]), Err(TermsError::EmptyKey(B)));
    // The caller may list them in any order; the wire may not.
    assert_eq!(new(&[(B, party(B)), (A, party(A))]), Ok(roster(2)));
    let unordered = ShareRand {
        pairing_id: ID,
        cipher_suite: 1,
        seed: seed(),
        devices: listed(&[(B, party(B)), (A, party(A))]),
    };
    assert_eq!(unordered.roster(), Err(TermsError::DeviceOrder(A)));
}
