//! The refresh chain: the KeyPackages by which a partner renews the leaf of a device for years.
//!
//! ```text
//! struct {
//!     uint8  version = 2;
//!     uint8  message_type = 12;      // refresh_chain: beside the messages of the pairing protocol
//!     opaque body<V>;                // RefreshChain
//! } RefreshChainMessage;
//!
//! struct {
//!     opaque  pairing_id[16];
//!     uint16  device;                // whose KeyPackages they are
//!     Package packages<V>;           // by the beginning of their windows
//!     opaque  tag<V>;
//! } RefreshChain;
//!
//! struct { uint64 index; opaque key_package<V>; } Package;     // an MLSMessage
//! ```
//!
//! A leaf's lifetime is 84 days at most on some implementations, and a KeyPackage may be signed today for a window that
//! begins in a year. So the windows follow one another, each beginning before the last one ends. Several KeyPackages
//! may have the same window: one for each group.
//!
//! The private keys come from the tape when the Welcome is there. So nobody but the devices of the pairing can use a
//! KeyPackage of the chain, whoever else has it, and whatever signature key was stolen.

use std::collections::BTreeSet;

use subtle::ConstantTimeEq as _;
use thiserror::Error;
use tls_codec::{
    Deserialize as _, Serialize as _, TlsDeserialize, TlsSerialize, TlsSize, VLByteSlice, VLBytes,
};

use super::{Held, LeafPackage, PACKAGES_GROUP_ID};
use crate::{
    CipherSuite, DerivationTooLong, DeviceId, Index, PairingId, RecordName, Secret, Tape, Vault,
    VaultError,
    code_points::{PAIRING_VERSION, pairing_message},
    pairing::hash,
    wire::{KeyPackage, LeafNodeSource, MlsMessage},
};

/// How many KeyPackages a chain has at most.
pub const MAX_CHAIN: usize = 256;

/// How long the message is at most, in bytes.
pub const MAX_CHAIN_BYTES: usize = 256 << 10;

/// How long a window is at most, in seconds: 84 days and an hour, for more no member on OpenMLS takes.
pub const MAX_WINDOW: u64 = (84 * 24 + 1) * 60 * 60;

/// The KeyPackages of one device, by which a partner renews its leaf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefreshChain {
    /// The pairing.
    pub pairing: PairingId,
    /// Whose they are.
    pub device: DeviceId,
    /// The KeyPackages, by the beginning of their windows.
    pub packages: Vec<LeafPackage>,
    tag: Vec<u8>,
}

/// Why a refresh chain was refused or could not be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ChainError {
    /// The bytes are no chain.
    #[error("this is no refresh chain")]
    Malformed,
    /// It has too many KeyPackages or bytes.
    #[error("a refresh chain has {MAX_CHAIN} KeyPackages and {MAX_CHAIN_BYTES} bytes at most")]
    TooLong,
    /// It is of another pairing.
    #[error("the refresh chain is of another pairing")]
    OtherPairing,
    /// It is of no partner, or a KeyPackage in it is not of the device that it names.
    #[error("the refresh chain is not of the partner that it names")]
    OtherDevice,
    /// No device of the pairing has made it.
    #[error(
        "no device of the pairing has made this refresh chain: it is a forgery, by somebody with a stolen \
         signature key"
    )]
    Forged,
    /// A KeyPackage of it is used again and again.
    #[error("a KeyPackage of the last resort is in the refresh chain, and each of it is used once")]
    LastResort,
    /// A KeyPackage has no lifetime, an empty one, or one that some members do not take.
    #[error("a window of the refresh chain is empty, or longer than 84 days and an hour")]
    Window,
    /// The windows do not follow one another.
    #[error(
        "the windows of the refresh chain do not follow one another: each begins before the one before it ends, and \
         ends after it"
    )]
    Order,
    /// Two have the same place on the tape.
    #[error("two KeyPackages of the refresh chain are from the same place of the tape")]
    Twice,
    /// All of it is over.
    #[error("the refresh chain has ended: let the partner make another one")]
    Ended,
    /// It ends before one that is there already.
    #[error(
        "the refresh chain is an older one than that which is there: a copy of it was played back"
    )]
    Older,
}

#[derive(Debug, TlsSize, TlsSerialize, TlsDeserialize)]
struct Wire {
    pairing: [u8; 16],
    device: u16,
    packages: Vec<WirePackage>,
    tag: VLBytes,
}

#[derive(Debug, TlsSize, TlsSerialize, TlsDeserialize)]
struct WirePackage {
    index: [u8; 8],
    key_package: VLBytes,
}

#[derive(Debug, TlsSize, TlsSerialize)]
struct ChainContext<'a> {
    pairing: [u8; 16],
    device: u16,
    packages_hash: VLByteSlice<'a>,
}

impl RefreshChain {
    /// A chain without a tag.
    pub fn new(pairing: PairingId, device: DeviceId, packages: Vec<LeafPackage>) -> Self {
        Self { pairing, device, packages, tag: Vec::new() }
    }

    /// Reads a message; its tag is not verified, and its KeyPackages are not looked at.
    ///
    /// # Errors
    ///
    /// [`ChainError::Malformed`] for anything else, also for what follows; [`ChainError::TooLong`].
    pub fn decode(message: &[u8]) -> Result<Self, ChainError> {
        let [PAIRING_VERSION, pairing_message::REFRESH_CHAIN, body @ ..] = message else {
            return Err(ChainError::Malformed);
        };
        if message.len() > MAX_CHAIN_BYTES {
            return Err(ChainError::TooLong);
        }
        let malformed = |_| ChainError::Malformed;
        // Not the decoder from bytes: see `GroupRecord::from_record`.
        let body = VLBytes::tls_deserialize_exact(body).map_err(malformed)?;
        let wire = Wire::tls_deserialize_exact(body.as_slice()).map_err(malformed)?;
        if wire.packages.len() > MAX_CHAIN {
            return Err(ChainError::TooLong);
        }
        let packages = wire.packages.into_iter().map(|package| LeafPackage {
            index: Index::from_bytes(package.index),
            key_package: package.key_package.into(),
            held: Held::Free,
        });
        Ok(Self {
            pairing: PairingId(wire.pairing),
            device: DeviceId(wire.device),
            packages: packages.collect(),
            tag: wire.tag.into(),
        })
    }

    fn packages_on_the_wire(&self) -> Vec<WirePackage> {
        let packages = self.packages.iter().map(|package| WirePackage {
            index: package.index.to_bytes(),
            key_package: package.key_package.as_slice().into(),
        });
        packages.collect()
    }

    fn encode(&self) -> Result<Vec<u8>, ChainError> {
        let too_long = |_| ChainError::TooLong;
        let wire = Wire {
            pairing: self.pairing.0,
            device: self.device.0,
            packages: self.packages_on_the_wire(),
            tag: self.tag.as_slice().into(),
        };
        let body = wire.tls_serialize_detached().map_err(too_long)?;
        let body = VLByteSlice(&body).tls_serialize_detached().map_err(too_long)?;
        let message =
            [&[PAIRING_VERSION, pairing_message::REFRESH_CHAIN], body.as_slice()].concat();
        match self.packages.len() > MAX_CHAIN || message.len() > MAX_CHAIN_BYTES {
            true => Err(ChainError::TooLong),
            false => Ok(message),
        }
    }

    /// The message, if a device with this tape has made it, and it is of a partner.
    pub(super) fn open(
        tape: &Tape,
        pairing: PairingId,
        message: &[u8],
    ) -> Result<Self, VaultError> {
        let chain = Self::decode(message)?;
        if chain.pairing != pairing {
            return Err(ChainError::OtherPairing.into());
        }
        let expected = chain.tag(tape.suite(), tape.accept_secret())?;
        if !bool::from(expected.expose().ct_eq(&chain.tag)) {
            return Err(ChainError::Forged.into());
        }
        let of_a_partner = chain.device != tape.own_device();
        match of_a_partner && tape.devices().contains(&chain.device) {
            true => Ok(chain),
            false => Err(ChainError::OtherDevice.into()),
        }
    }

    /// The message that a device with this tape makes.
    pub(super) fn seal(mut self, tape: &Tape) -> Result<Vec<u8>, VaultError> {
        self.tag = self.tag(tape.suite(), tape.accept_secret())?.expose().to_vec();
        Ok(self.encode()?)
    }

    /// ```text
    /// tag = ExpandWithLabel(accept_secret, "refresh chain", ChainContext, Nh)
    ///
    /// struct {
    ///     opaque pairing_id[16];
    ///     uint16 device;
    ///     opaque packages_hash<V>;       // Hash(packages), as they are in the RefreshChain
    /// } ChainContext;
    /// ```
    ///
    /// `accept_secret` is that of the sub-tape that KeyPackages come from.
    fn tag(&self, suite: CipherSuite, accept_secret: &Secret) -> Result<Secret, DerivationTooLong> {
        let packages =
            self.packages_on_the_wire().tls_serialize_detached().map_err(|_| DerivationTooLong)?;
        let packages_hash = hash(suite, &packages);
        let context = ChainContext {
            pairing: self.pairing.0,
            device: self.device.0,
            packages_hash: VLByteSlice(&packages_hash),
        };
        let context = context.tls_serialize_detached().map_err(|_| DerivationTooLong)?;
        suite.expand_with_label(accept_secret, "refresh chain", &context, suite.kdf_len())
    }

    /// Checks that the KeyPackages are those of a chain, of which something is still to come: their windows follow
    /// one another, and each has a place of its own in its device's lane.
    ///
    /// # Errors
    ///
    /// [`ChainError`].
    pub fn check(&self, now: u64) -> Result<(), ChainError> {
        let (mut places, mut last) = (BTreeSet::new(), None);
        for package in &self.packages {
            if package.index.device() != self.device {
                return Err(ChainError::OtherDevice);
            }
            if !places.insert(package.index.position()) {
                return Err(ChainError::Twice);
            }
            let Ok(MlsMessage::KeyPackage(read)) = MlsMessage::decode(&package.key_package) else {
                return Err(ChainError::Malformed);
            };
            if read.is_last_resort() {
                return Err(ChainError::LastResort);
            }
            let window = window_of(&read).ok_or(ChainError::Window)?;
            let length = window.1.checked_sub(window.0);
            if length.is_none_or(|length| length == 0 || length > MAX_WINDOW) {
                return Err(ChainError::Window);
            }
            if let Some((begin, end)) = last
                && window != (begin, end)
                && !(begin < window.0 && window.0 < end && end < window.1)
            {
                return Err(ChainError::Order);
            }
            last = Some(window);
        }
        match last {
            Some((_, end)) if end > now => Ok(()),
            _ => Err(ChainError::Ended),
        }
    }
}

/// The first second of a KeyPackage's lifetime, and its end.
fn window_of(key_package: &KeyPackage) -> Option<(u64, u64)> {
    match key_package.leaf_node().source() {
        LeafNodeSource::KeyPackage(lifetime) => Some((lifetime.not_before(), lifetime.not_after())),
        _ => None,
    }
}

impl Vault {
    /// Writes the message that brings a partner the chain of this device.
    ///
    /// # Errors
    ///
    /// [`VaultError::Missing`] for an unknown tape, [`ChainError::TooLong`].
    pub fn seal_chain(
        &self,
        pairing: PairingId,
        packages: Vec<LeafPackage>,
    ) -> Result<Vec<u8>, VaultError> {
        let tape = self.packages_tape(pairing)?;
        RefreshChain::new(pairing, tape.own_device(), packages).seal(&tape)
    }

    /// Reads the chain of a partner, and verifies in constant time that a device of the pairing has made it.
    ///
    /// # Errors
    ///
    /// [`ChainError::Forged`] if none has, [`ChainError::OtherPairing`], [`ChainError::OtherDevice`] for one of this
    /// device itself, [`ChainError::Malformed`], [`ChainError::TooLong`]; [`VaultError::Missing`] for an unknown tape.
    pub fn open_chain(
        &self,
        pairing: PairingId,
        message: &[u8],
    ) -> Result<RefreshChain, VaultError> {
        // Before a tape is looked for: there may be none of the pairing that it names.
        if RefreshChain::decode(message)?.pairing != pairing {
            return Err(ChainError::OtherPairing.into());
        }
        RefreshChain::open(&self.packages_tape(pairing)?, pairing, message)
    }

    fn packages_tape(&self, pairing: PairingId) -> Result<Tape, VaultError> {
        let tape = self.open_group(pairing, PACKAGES_GROUP_ID)?;
        self.shelf().load_tape(&RecordName::SubTape(tape))
    }
}
