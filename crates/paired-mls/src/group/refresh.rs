//! The Welcome of a leaf refresh, which a partner has made.
//!
//! ```text
//! struct {
//!     uint8  version = 2;
//!     uint8  message_type = 9;       // refresh: beside the messages of the pairing protocol
//!     opaque body<V>;                // Refresh
//! } RefreshMessage;
//!
//! struct {
//!     opaque group_id<V>;
//!     uint64 epoch;                  // the epoch that the refresh creates
//!     opaque tree_hash<V>;           // of that epoch
//!     opaque welcome<V>;             // an MLSMessage
//!     opaque tag<V>;
//! } Refresh;
//! ```
//!
//! Whoever has seen a KeyPackage can make a Welcome to it, with a joiner secret of his own. MLS has nothing
//! against that: it is signed by a member, and the tree is the true one. So the Welcome carries a tag
//! under a secret of the group's sub-tape, which no member has, nor a thief of the signature key.

use subtle::ConstantTimeEq as _;
use thiserror::Error;
use tls_codec::{
    Deserialize as _, Serialize as _, TlsDeserialize, TlsSerialize, TlsSize, VLByteSlice, VLBytes,
};

use crate::{
    CipherSuite, DerivationTooLong, RecordName, Secret, Tape, TapeId, Vault, VaultError,
    code_points::{PAIRING_VERSION, pairing_message},
    pairing::hash,
};

/// The Welcome of a leaf refresh, with what its tag covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefreshWelcome {
    /// The group.
    pub group_id: Vec<u8>,
    /// The epoch that the refresh creates.
    pub epoch: u64,
    /// The tree hash of that epoch.
    pub tree_hash: Vec<u8>,
    /// The Welcome, a serialized `MLSMessage`.
    pub welcome: Vec<u8>,
    pub(super) tag: Vec<u8>,
}

/// Why a refresh was refused or could not be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RefreshError {
    /// The bytes are no refresh.
    #[error("this is not the Welcome of a leaf refresh")]
    Malformed,
    /// It is for another group.
    #[error("the leaf refresh is for another group")]
    OtherGroup,
    /// No device of the pairing has made it.
    #[error(
        "no device of the pairing has made this leaf refresh: it is a forgery, by somebody in the group or \
         with a stolen signature key"
    )]
    Forged,
    /// A field exceeds the format's length.
    #[error("the leaf refresh is too large to be sent")]
    TooLarge,
}

#[derive(Debug, TlsSize, TlsSerialize, TlsDeserialize)]
struct Wire {
    group_id: VLBytes,
    epoch: u64,
    tree_hash: VLBytes,
    welcome: VLBytes,
    tag: VLBytes,
}

#[derive(Debug, TlsSize, TlsSerialize)]
struct RefreshContext<'a> {
    group_id: VLByteSlice<'a>,
    epoch: u64,
    tree_hash: VLByteSlice<'a>,
    welcome_hash: VLByteSlice<'a>,
}

impl RefreshWelcome {
    /// Reads a message; its tag is not verified.
    ///
    /// # Errors
    ///
    /// [`RefreshError::Malformed`] for anything else, also for what follows.
    pub fn decode(message: &[u8]) -> Result<Self, RefreshError> {
        let [PAIRING_VERSION, pairing_message::REFRESH, body @ ..] = message else {
            return Err(RefreshError::Malformed);
        };
        let malformed = |_| RefreshError::Malformed;
        // Not the decoder from bytes: see `GroupRecord::from_record`.
        let body = VLBytes::tls_deserialize_exact(body).map_err(malformed)?;
        let wire = Wire::tls_deserialize_exact(body.as_slice()).map_err(malformed)?;
        Ok(Self {
            group_id: wire.group_id.into(),
            epoch: wire.epoch,
            tree_hash: wire.tree_hash.into(),
            welcome: wire.welcome.into(),
            tag: wire.tag.into(),
        })
    }

    fn encode(&self) -> Result<Vec<u8>, RefreshError> {
        let too_large = |_| RefreshError::TooLarge;
        let wire = Wire {
            group_id: self.group_id.as_slice().into(),
            epoch: self.epoch,
            tree_hash: self.tree_hash.as_slice().into(),
            welcome: self.welcome.as_slice().into(),
            tag: self.tag.as_slice().into(),
        };
        let body = wire.tls_serialize_detached().map_err(too_large)?;
        let body = VLByteSlice(&body).tls_serialize_detached().map_err(too_large)?;
        Ok([&[PAIRING_VERSION, pairing_message::REFRESH], body.as_slice()].concat())
    }

    /// The message, if a device with this tape has made it for this group.
    pub(super) fn open(tape: &Tape, group_id: &[u8], message: &[u8]) -> Result<Self, VaultError> {
        let refresh = Self::decode(message)?;
        if refresh.group_id != group_id {
            return Err(RefreshError::OtherGroup.into());
        }
        let expected = refresh.tag(tape.suite(), tape.accept_secret())?;
        if bool::from(expected.expose().ct_eq(&refresh.tag)) {
            Ok(refresh)
        } else {
            Err(RefreshError::Forged.into())
        }
    }

    /// The message that a device with this tape makes.
    pub(super) fn seal(mut self, tape: &Tape) -> Result<Vec<u8>, VaultError> {
        self.tag = self.tag(tape.suite(), tape.accept_secret())?.expose().to_vec();
        Ok(self.encode()?)
    }

    /// ```text
    /// tag = ExpandWithLabel(accept_secret, "refresh tag", RefreshContext, Nh)
    ///
    /// struct {
    ///     opaque group_id<V>;
    ///     uint64 epoch;
    ///     opaque tree_hash<V>;
    ///     opaque welcome_hash<V>;        // Hash(welcome)
    /// } RefreshContext;
    /// ```
    ///
    /// `accept_secret` is that of the group's sub-tape.
    fn tag(&self, suite: CipherSuite, accept_secret: &Secret) -> Result<Secret, DerivationTooLong> {
        let welcome_hash = hash(suite, &self.welcome);
        let context = RefreshContext {
            group_id: VLByteSlice(&self.group_id),
            epoch: self.epoch,
            tree_hash: VLByteSlice(&self.tree_hash),
            welcome_hash: VLByteSlice(&welcome_hash),
        };
        let context = context.tls_serialize_detached().map_err(|_| DerivationTooLong)?;
        suite.expand_with_label(accept_secret, "refresh tag", &context, suite.kdf_len())
    }
}

impl Vault {
    /// Writes the message that brings a partner the Welcome of a leaf refresh, in the tape's group.
    ///
    /// # Errors
    ///
    /// [`VaultError::Missing`] for an unknown tape, [`RefreshError::TooLarge`].
    pub fn seal_refresh(
        &self,
        tape: &TapeId,
        epoch: u64,
        tree_hash: &[u8],
        welcome: &[u8],
    ) -> Result<Vec<u8>, VaultError> {
        let refresh = RefreshWelcome {
            group_id: tape.group_id.clone(),
            epoch,
            tree_hash: tree_hash.to_vec(),
            welcome: welcome.to_vec(),
            tag: Vec::new(),
        };
        refresh.seal(&self.group_tape(tape)?)
    }

    /// Reads the Welcome of a leaf refresh, and verifies in constant time that a device of the pairing has
    /// made it.
    ///
    /// # Errors
    ///
    /// [`RefreshError::Forged`] if none has, [`RefreshError::OtherGroup`], [`RefreshError::Malformed`];
    /// [`VaultError::Missing`] for an unknown tape.
    pub fn open_refresh(
        &self,
        tape: &TapeId,
        message: &[u8],
    ) -> Result<RefreshWelcome, VaultError> {
        RefreshWelcome::open(&self.group_tape(tape)?, &tape.group_id, message)
    }

    fn group_tape(&self, tape: &TapeId) -> Result<Tape, VaultError> {
        self.shelf().load_tape(&RecordName::SubTape(tape.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DeviceId, PairingId, Seed, vault::MemoryStorage};

    const SUITE: CipherSuite = CipherSuite::X25519Aes128;

    fn vault(own: u16, seed: u8) -> (Vault, TapeId) {
        let vault = Vault::new(MemoryStorage::new());
        let seed = Seed::new(SUITE, Secret::new(vec![seed; SUITE.kdf_len()])).unwrap();
        let pairing = PairingId([3; 16]);
        vault.create(SUITE, seed, pairing, &[DeviceId(0), DeviceId(1)], DeviceId(own)).unwrap();
        let tape = vault.open_group(pairing, b"group").unwrap();
        (vault, tape)
    }

    /// A partner's is accepted; whoever does not have the tape, or changes anything, is refused.
    #[test]
    fn only_a_partner_makes_one() {
        let ((phone, tape), (sensor, same)) = (vault(0, 1), vault(1, 1));
        let message = phone.seal_refresh(&tape, 7, &[4; 32], b"welcome").unwrap();
        let opened = sensor.open_refresh(&same, &message).unwrap();
        assert_eq!((opened.epoch, opened.welcome.as_slice()), (7, b"welcome".as_slice()));

        let (stranger, other) = vault(0, 2);
        let forged = stranger.seal_refresh(&other, 7, &[4; 32], b"welcome").unwrap();
        let refused = |message: &[u8]| match sensor.open_refresh(&same, message) {
            Err(VaultError::Refresh(error)) => error,
            other => panic!("{other:?}"),
        };
        assert_eq!(refused(&forged), RefreshError::Forged);
        let change = |change: fn(&mut RefreshWelcome)| {
            let mut refresh = RefreshWelcome::decode(&message).unwrap();
            change(&mut refresh);
            refused(&refresh.encode().unwrap())
        };
        assert_eq!(change(|refresh| refresh.epoch = 8), RefreshError::Forged);
        assert_eq!(change(|refresh| refresh.tree_hash[0] ^= 1), RefreshError::Forged);
        assert_eq!(change(|refresh| refresh.welcome.push(0)), RefreshError::Forged);
        assert_eq!(change(|refresh| refresh.tag[0] ^= 1), RefreshError::Forged);
        assert_eq!(change(|refresh| refresh.tag.clear()), RefreshError::Forged);
        assert_eq!(change(|refresh| refresh.group_id.push(0)), RefreshError::OtherGroup);
        for end in 0..message.len() {
            assert_eq!(refused(&message[..end]), RefreshError::Malformed);
        }
        assert_eq!(refused(&[message.as_slice(), &[0]].concat()), RefreshError::Malformed);
    }
}
