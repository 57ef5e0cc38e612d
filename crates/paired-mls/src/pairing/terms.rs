//! What the devices of a pairing agree on: who they are, whose keys they use, where the anchor is.
//!
//! A [`Roster`] and [`Terms`] exist only for devices that can pair: whoever holds one need not ask
//! again whether a number occurs twice, or whether hidden mode joins two users.

use std::{collections::BTreeSet, fmt};

use thiserror::Error;

use super::codec::{DecodeError, Reader, Writer};
use crate::{CipherSuite, DeviceId, PairedDevice, Pairing, PairingId, Secret};

/// A device as MLS knows it: the identity in its credential and its public signature key.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Party {
    /// The user's identity, as in the MLS credential (RFC 9420 section 5.3).
    pub identity: Vec<u8>,
    /// The device's public signature key.
    pub signature_key: Vec<u8>,
}

impl fmt::Debug for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Party({})", String::from_utf8_lossy(&self.identity).escape_debug())
    }
}

/// A device of a pairing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairingDevice {
    /// Its number in the pairing: its lane on the tape.
    pub device: DeviceId,
    /// Who it is.
    pub party: Party,
}

impl PairingDevice {
    pub(super) fn write(&self, writer: &mut Writer) {
        writer.device(self.device);
        writer.opaque(&self.party.identity);
        writer.opaque(&self.party.signature_key);
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            device: reader.device("devices.device")?,
            party: Party {
                identity: reader.bytes("devices.identity")?,
                signature_key: reader.bytes("devices.signature_key")?,
            },
        })
    }
}

/// A code point of one octet that is known to us, or kept as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code<T> {
    /// One that this software knows.
    Known(T),
    /// Another one. Nothing acts on it.
    Unknown(u8),
}

/// The values that a [`Code`] can know.
pub trait CodePoint: Copy + Sized + 'static {
    /// Each known value with its code point.
    const ALL: &'static [(Self, u8)];
}

impl<T: CodePoint + PartialEq> Code<T> {
    pub(super) fn from_code(code: u8) -> Self {
        (T::ALL.iter().find(|(_, known)| *known == code))
            .map_or(Self::Unknown(code), |(value, _)| Self::Known(*value))
    }

    pub(super) fn code(self) -> u8 {
        match self {
            Self::Known(value) => {
                T::ALL.iter().find(|(known, _)| *known == value).map_or(0, |(_, code)| *code)
            }
            Self::Unknown(code) => code,
        }
    }
}

/// Whose signature keys the devices use, on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModeKind {
    /// Each device its own.
    Standard,
    /// All of them the anchor leaf's.
    Hidden,
}

impl CodePoint for ModeKind {
    const ALL: &'static [(Self, u8)] = &[(Self::Standard, 1), (Self::Hidden, 2)];
}

/// What the devices share in the ratchet tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnchorKind {
    /// One leaf, whose state all devices hold.
    Leaf,
    /// A parent node, below which each device has its own leaf.
    Node,
}

impl CodePoint for AnchorKind {
    const ALL: &'static [(Self, u8)] = &[(Self::Leaf, 1), (Self::Node, 2)];
}

/// Whose signature keys the devices use, and where the anchor is.
///
/// Hidden mode shares the key of a leaf, and in an MLS group no two leaves have the same key: so it
/// has a leaf anchor, always.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Each device has its own signature key, which the directory ties to the anchor.
    Standard(AnchorKind),
    /// The devices of one user share the signature key of the anchor leaf.
    Hidden {
        /// Its public half.
        anchor_key: Vec<u8>,
    },
}

/// The signature key pair of the anchor leaf, in hidden mode.
#[derive(Debug)]
pub struct SignatureKeyPair {
    /// The public key, as it stands in the leaf.
    pub public_key: Vec<u8>,
    /// The private key, in the form that the MLS library stores it in.
    pub private_key: Secret,
}

/// Why nobody can pair like this.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TermsError {
    /// The code point belongs to no suite that a pairing can use.
    #[error("cipher suite {0} is not supported: use one of 1, 2, 3, 5 or 7")]
    UnknownSuite(u16),
    /// Less than two devices.
    #[error("a pairing needs two or more devices and this one has {0}")]
    TooFewDevices(usize),
    /// A device number twice, or the list is not in ascending order.
    #[error(
        "the devices must be listed in ascending order of distinct numbers; {0} is out of order"
    )]
    DeviceOrder(DeviceId),
    /// The number 65535 names no device.
    #[error("device number 65535 is reserved")]
    ReservedNumber,
    /// A device without a signature key.
    #[error("{0} has no signature key")]
    EmptyKey(DeviceId),
    /// Two devices with one signature key.
    #[error("{0} has the same signature key as another device of the pairing")]
    SharedKey(DeviceId),
    /// The initiator is not in the list.
    #[error("the initiator, {0}, is not a device of the pairing")]
    ForeignInitiator(DeviceId),
    /// A mode of a later version.
    #[error("pairing mode {0} is unknown: update this device's software")]
    UnknownMode(u8),
    /// An anchor of a later version.
    #[error("anchor type {0} is unknown: update this device's software")]
    UnknownAnchor(u8),
    /// Hidden mode without the key that it is about.
    #[error(
        "hidden mode needs the signature key pair of the anchor leaf, and the request has none"
    )]
    HiddenWithoutKeyPair,
    /// A private key where none belongs.
    #[error(
        "standard mode shares no signature key, and the request has a key pair: take that key out \
         of use"
    )]
    StandardWithKeyPair,
    /// Hidden mode with leaves of their own.
    #[error("hidden mode shares the key of one leaf: its anchor is a leaf, not a node")]
    HiddenAtNode,
    /// Hidden mode between two users.
    #[error(
        "hidden mode is for devices of one user, and {0} has another identity: use standard mode"
    )]
    HiddenAcrossIdentities(DeviceId),
}

/// The devices of a pairing and its cipher suite: ShareRand without the seed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roster {
    pairing_id: PairingId,
    suite: CipherSuite,
    /// In ascending order of distinct numbers, with distinct keys.
    devices: Vec<PairingDevice>,
}

impl Roster {
    /// The devices that are to pair, in any order. `pairing_id` is random and used once.
    ///
    /// # Errors
    ///
    /// [`TermsError`] for less than two devices, a number or key twice, a reserved number.
    pub fn new(
        pairing_id: PairingId,
        suite: CipherSuite,
        mut devices: Vec<PairingDevice>,
    ) -> Result<Self, TermsError> {
        devices.sort_by_key(|device| device.device);
        Self::checked(pairing_id, suite, devices)
    }

    pub(super) fn from_wire(
        pairing_id: PairingId,
        suite: u16,
        devices: Vec<PairingDevice>,
    ) -> Result<Self, TermsError> {
        let suite = CipherSuite::try_from(suite).map_err(|_| TermsError::UnknownSuite(suite))?;
        Self::checked(pairing_id, suite, devices)
    }

    fn checked(
        pairing_id: PairingId,
        suite: CipherSuite,
        devices: Vec<PairingDevice>,
    ) -> Result<Self, TermsError> {
        if devices.len() < 2 {
            return Err(TermsError::TooFewDevices(devices.len()));
        }
        let mut last = None;
        let mut keys = BTreeSet::new();
        for PairingDevice { device, party } in &devices {
            if *device == DeviceId::RESERVED {
                return Err(TermsError::ReservedNumber);
            }
            if last >= Some(*device) {
                return Err(TermsError::DeviceOrder(*device));
            }
            if party.signature_key.is_empty() {
                return Err(TermsError::EmptyKey(*device));
            }
            if !keys.insert(&party.signature_key) {
                return Err(TermsError::SharedKey(*device));
            }
            last = Some(*device);
        }
        Ok(Self { pairing_id, suite, devices })
    }

    /// The pairing.
    pub fn pairing_id(&self) -> PairingId {
        self.pairing_id
    }

    /// The cipher suite.
    pub fn suite(&self) -> CipherSuite {
        self.suite
    }

    /// All devices, in ascending order of their numbers.
    pub fn devices(&self) -> &[PairingDevice] {
        &self.devices
    }

    /// The numbers of all devices, in ascending order.
    pub fn numbers(&self) -> Vec<DeviceId> {
        self.devices.iter().map(|device| device.device).collect()
    }

    /// The number of `party`; `None` if it is not of the pairing.
    pub fn number_of(&self, party: &Party) -> Option<DeviceId> {
        self.devices.iter().find(|device| device.party == *party).map(|device| device.device)
    }

    /// Who a device is; `None` if it is not of the pairing.
    pub fn party(&self, device: DeviceId) -> Option<&Party> {
        self.devices.iter().find(|listed| listed.device == device).map(|listed| &listed.party)
    }
}

/// Everything that the devices of a pairing agree on, apart from the secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    roster: Roster,
    initiator: DeviceId,
    mode: Mode,
}

impl Terms {
    /// # Errors
    ///
    /// [`TermsError::ForeignInitiator`] if `initiator` is not of the roster;
    /// [`TermsError::HiddenAcrossIdentities`] if hidden mode would join two users.
    pub(super) fn new(roster: Roster, initiator: DeviceId, mode: Mode) -> Result<Self, TermsError> {
        let first = roster.party(initiator).ok_or(TermsError::ForeignInitiator(initiator))?;
        if let Mode::Hidden { .. } = mode {
            let stranger = roster.devices.iter().find(|d| d.party.identity != first.identity);
            if let Some(stranger) = stranger {
                return Err(TermsError::HiddenAcrossIdentities(stranger.device));
            }
        }
        Ok(Self { roster, initiator, mode })
    }

    /// The devices and the cipher suite.
    pub fn roster(&self) -> &Roster {
        &self.roster
    }

    /// The device that asked first: the anchor is its leaf, or above its leaf.
    pub fn initiator(&self) -> DeviceId {
        self.initiator
    }

    /// Whose signature keys are used, and where the anchor is.
    pub fn mode(&self) -> &Mode {
        &self.mode
    }

    /// The pairing as its groups know it: by the signature keys that tell the devices' leaves. In hidden
    /// mode that is the anchor leaf's key, for all devices.
    pub fn pairing(&self) -> Pairing {
        let key = |device: &PairingDevice| match &self.mode {
            Mode::Standard(_) => device.party.signature_key.clone(),
            Mode::Hidden { anchor_key } => anchor_key.clone(),
        };
        let paired = |device: &PairingDevice| PairedDevice {
            device: device.device,
            signature_key: key(device),
        };
        Pairing {
            id: self.roster.pairing_id,
            devices: self.roster.devices.iter().map(paired).collect(),
        }
    }

    /// What the devices share in the ratchet tree.
    pub fn anchor(&self) -> AnchorKind {
        match self.mode {
            Mode::Standard(anchor) => anchor,
            Mode::Hidden { .. } => AnchorKind::Leaf,
        }
    }
}
