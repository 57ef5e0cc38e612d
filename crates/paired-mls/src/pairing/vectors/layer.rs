//! The names that the files give to the layers that refuse.

use super::super::{DecodeError, PairingError, PeerError, SignalError, TermsError};

/// Which layer refused.
pub(super) type Layer = String;

pub(super) fn decode_layer(error: &DecodeError) -> Layer {
    let part = |structure: &str| match structure {
        "PairingMessage" => "envelope",
        _ => "body",
    };
    match error {
        DecodeError::Version(_) => "pairing envelope: version".into(),
        DecodeError::Malformed { structure, .. } => {
            format!("pairing {}: malformed", part(structure))
        }
        DecodeError::TrailingBytes(structure) => {
            format!("pairing {}: trailing bytes", part(structure))
        }
    }
}

pub(super) fn terms_layer(error: &TermsError) -> Layer {
    let reason = match error {
        TermsError::UnknownSuite(_) => "unknown suite",
        TermsError::TooFewDevices(_) => "too few devices",
        TermsError::DeviceOrder(_) => "device order",
        TermsError::ReservedNumber => "reserved number",
        TermsError::EmptyKey(_) => "empty key",
        TermsError::SharedKey(_) => "shared key",
        TermsError::ForeignInitiator(_) => "foreign initiator",
        TermsError::UnknownMode(_) => "unknown mode",
        TermsError::UnknownAnchor(_) => "unknown anchor",
        TermsError::HiddenWithoutKeyPair => "hidden without key pair",
        TermsError::StandardWithKeyPair => "standard with key pair",
        TermsError::HiddenAtNode => "hidden at node",
        TermsError::HiddenAcrossIdentities(_) => "hidden across identities",
    };
    format!("pairing terms: {reason}")
}

pub(super) fn signal_layer(error: &SignalError) -> Layer {
    let reason = match error {
        SignalError::HiddenMode => "hidden mode",
        SignalError::ForeignDevice(_) => "foreign device",
        other => panic!("no vector expects: {other}"),
    };
    format!("pairing signal: {reason}")
}

pub(super) fn step_layer(error: &PairingError) -> Layer {
    let PairingError::Peer(error) = error else { panic!("no vector expects: {error}") };
    let reason = match error {
        PeerError::Decode(error) => return decode_layer(error),
        PeerError::Terms(error) => return terms_layer(error),
        PeerError::UnknownMessage(_) => "unknown type",
        PeerError::OutOfOrder { .. } => "out of order",
        PeerError::WrongWay { .. } => "wrong way",
        PeerError::OtherPairing { .. } => "other pairing",
        PeerError::Seed(_) => "seed",
        PeerError::NotListed => "not listed",
        PeerError::RosterDiffers => "roster differs",
        PeerError::NotFromInitiator(_) => "not from initiator",
        PeerError::TermsDiffer => "terms differ",
        PeerError::KeyPairMismatch => "key pair mismatch",
        PeerError::ForeignDevice(_) => "foreign device",
        PeerError::Reflected(_) => "reflected",
        PeerError::WrongTag { .. } => "wrong tag",
        PeerError::OtherRequest => "other request",
        other => panic!("no vector expects: {other}"),
    };
    format!("pairing step: {reason}")
}
