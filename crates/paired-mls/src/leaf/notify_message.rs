//! The Notify of a shared leaf: a message of its own, from one device of the leaf to the others.
//!
//! It says which position of the tape a commit was made with, and what the commit contains. It is
//! framed as an `MLSMessage` that holds a `PrivateMessage` of content type `commit` (RFC 9420
//! section 6.3), so that a delivery service handles it like one, and sealed under a key that only
//! the devices of the pairing have:
//!
//! ```text
//! struct {
//!     uint8  version = 2;
//!     uint64 index;                        // device:u16 || position:u48
//!     opaque proposals<V>;                 // the content of Commit.proposals, in its order
//!     opaque authenticated_data<V>;        // of the commit
//!     opaque leaf_node<V>;                 // Commit.path.leaf_node, with its signature
//!     opaque signature<V>;                 // of the commit
//! } LeafNotify;
//!
//! salt       = 28 random bytes, in the place of encrypted_sender_data
//! key, nonce = ExpandWithLabel(notify_secret, "leaf notify key" / "leaf notify nonce", salt, Nk / Nn)
//! ciphertext = AEAD.Seal(key, nonce, PrivateContentAAD, LeafNotify)
//! ```
//!
//! `PrivateContentAAD` (RFC 9420 section 6.3.1) names the group and the epoch; the index is spent
//! once the commit has been followed. It holds no keying material.

use thiserror::Error;
use tls_codec::{
    Deserialize as _, Serialize as _, TlsDeserialize, TlsSerialize, TlsSize, VLByteSlice, VLBytes,
};

use crate::{
    AeadError, DerivationTooLong, DeviceId, Index, Secret, Tape, code_points::NOTIFY_VERSION,
};

/// The length of the random salt, in bytes: that of `encrypted_sender_data`, which holds 12 bytes and
/// a tag of 16 (RFC 9420 section 6.3.2).
pub const SALT_LEN: usize = 28;

const MLS_10: u16 = 1;
const PRIVATE_MESSAGE: u16 = 2;
const COMMIT: u8 = 3;

/// What the Notify of a shared leaf says: all that it takes, besides the tape and the group's state,
/// to make the same commit again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeafNotify {
    /// The position of the tape that the commit was made with.
    pub index: Index,
    /// The content of the vector `Commit.proposals`: references and proposals by value, in the order
    /// of the commit.
    pub proposals: Vec<u8>,
    /// The authenticated data of the commit.
    pub authenticated_data: Vec<u8>,
    /// The leaf of the commit's path, a serialized `LeafNode` (RFC 9420 section 7.2).
    pub leaf_node: Vec<u8>,
    /// The signature of the commit (RFC 9420 section 6.1), which only its sender can make where each
    /// device has a signature key of its own.
    pub signature: Vec<u8>,
}

/// Why a Notify of a shared leaf could not be written, or was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LeafNotifyError {
    /// It is another message: a commit, for instance; or a forgery, or a Notify from elsewhere.
    #[error("this is not a Notify of this pairing for this group and epoch")]
    NotANotify,
    /// A partner wrote it with a version that this software does not know.
    #[error("the partner sent a Notify of version {0}: update the software of both devices")]
    Version(u8),
    /// A partner sealed something else.
    #[error("the partner sent a Notify that is malformed")]
    Malformed,
    /// The index belongs to a device that is not of the pairing.
    #[error("the partner sent a Notify for {0}, which is not a device of this pairing")]
    ForeignDevice(DeviceId),
    /// The index belongs to the receiver's own lane.
    #[error("the partner sent a Notify for index {0} of this device's own lane")]
    OwnLane(Index),
    /// The index was used before: a replay, or a Notify that comes after its commit.
    #[error("the Notify names index {0}, which is spent: it was replayed, or comes too late")]
    Spent(Index),
    /// An input exceeds the length of a vector.
    #[error("the Notify does not fit RFC 9420's vectors")]
    TooLarge,
    /// An input does not fit RFC 9420's `KDFLabel`.
    #[error(transparent)]
    Derivation(#[from] DerivationTooLong),
}

#[derive(Debug, TlsSize, TlsSerialize, TlsDeserialize)]
struct Plaintext {
    version: u8,
    index: [u8; 8],
    proposals: VLBytes,
    authenticated_data: VLBytes,
    leaf_node: VLBytes,
    signature: VLBytes,
}

/// `MLSMessage`, for the one case of a `PrivateMessage`.
#[derive(Debug, TlsSize, TlsSerialize, TlsDeserialize)]
struct Message {
    version: u16,
    wire_format: u16,
    group_id: VLBytes,
    epoch: u64,
    content_type: u8,
    authenticated_data: VLBytes,
    encrypted_sender_data: VLBytes,
    ciphertext: VLBytes,
}

#[derive(TlsSize, TlsSerialize)]
struct PrivateContentAad<'a> {
    group_id: VLByteSlice<'a>,
    epoch: u64,
    content_type: u8,
    authenticated_data: VLByteSlice<'a>,
}

impl LeafNotify {
    /// Seals a Notify for a commit in `epoch` of a group, as a serialized `MLSMessage`.
    ///
    /// `salt` must be fresh: it is the only thing that separates the keys of two Notifies.
    pub(crate) fn seal(
        &self,
        tape: &Tape,
        group_id: &[u8],
        epoch: u64,
        salt: [u8; SALT_LEN],
    ) -> Result<Vec<u8>, LeafNotifyError> {
        let plaintext = self.to_bytes().map_err(|_| TOO_LARGE)?;
        let (key, nonce) = key_and_nonce(tape, &salt)?;
        let aad = aad(group_id, epoch)?;
        let sealed = tape.suite().seal(&key, &nonce, &aad, &plaintext);
        let message = Message {
            version: MLS_10,
            wire_format: PRIVATE_MESSAGE,
            group_id: group_id.into(),
            epoch,
            content_type: COMMIT,
            authenticated_data: Vec::new().into(),
            encrypted_sender_data: salt.as_slice().into(),
            ciphertext: sealed.map_err(|AeadError| TOO_LARGE)?.into(),
        };
        message.tls_serialize_detached().map_err(|_| TOO_LARGE)
    }

    /// Opens a Notify and checks everything in it.
    ///
    /// # Errors
    ///
    /// [`LeafNotifyError::NotANotify`] where the message has to be processed as ordinary MLS; any
    /// other error is about a Notify that a partner did write.
    pub(crate) fn open(
        tape: &Tape,
        group_id: &[u8],
        epoch: u64,
        message: &[u8],
    ) -> Result<Self, LeafNotifyError> {
        let message =
            Message::tls_deserialize_exact(message).map_err(|_| LeafNotifyError::NotANotify)?;
        let is_candidate = (message.version, message.wire_format) == (MLS_10, PRIVATE_MESSAGE)
            && (message.group_id.as_slice(), message.epoch) == (group_id, epoch)
            && message.content_type == COMMIT
            && message.authenticated_data.as_slice().is_empty()
            && message.encrypted_sender_data.as_slice().len() == SALT_LEN;
        if !is_candidate {
            return Err(LeafNotifyError::NotANotify);
        }
        let (key, nonce) = key_and_nonce(tape, message.encrypted_sender_data.as_slice())?;
        let aad = aad(group_id, epoch)?;
        let plaintext = tape
            .suite()
            .open(&key, &nonce, &aad, message.ciphertext.as_slice())
            .map_err(|AeadError| LeafNotifyError::NotANotify)?;
        let notify = Self::parse(plaintext.expose())?;
        let (index, device) = (notify.index, notify.index.device());
        if device == tape.own_device() {
            return Err(LeafNotifyError::OwnLane(index));
        }
        if !tape.devices().contains(&device) {
            return Err(LeafNotifyError::ForeignDevice(device));
        }
        if tape.peek(index).is_err() {
            return Err(LeafNotifyError::Spent(index));
        }
        Ok(notify)
    }

    /// The serialized structure; nothing in it is secret.
    pub(super) fn to_bytes(&self) -> Result<Vec<u8>, tls_codec::Error> {
        Plaintext {
            version: NOTIFY_VERSION,
            index: self.index.to_bytes(),
            proposals: self.proposals.as_slice().into(),
            authenticated_data: self.authenticated_data.as_slice().into(),
            leaf_node: self.leaf_node.as_slice().into(),
            signature: self.signature.as_slice().into(),
        }
        .tls_serialize_detached()
    }

    pub(super) fn parse(plaintext: &[u8]) -> Result<Self, LeafNotifyError> {
        match plaintext.first() {
            Some(&NOTIFY_VERSION) => {}
            Some(&other) => return Err(LeafNotifyError::Version(other)),
            None => return Err(LeafNotifyError::Malformed),
        }
        let plaintext =
            Plaintext::tls_deserialize_exact(plaintext).map_err(|_| LeafNotifyError::Malformed)?;
        Ok(Self {
            index: Index::from_bytes(plaintext.index),
            proposals: plaintext.proposals.into(),
            authenticated_data: plaintext.authenticated_data.into(),
            leaf_node: plaintext.leaf_node.into(),
            signature: plaintext.signature.into(),
        })
    }
}

const TOO_LARGE: LeafNotifyError = LeafNotifyError::TooLarge;

fn key_and_nonce(tape: &Tape, salt: &[u8]) -> Result<(Secret, Secret), DerivationTooLong> {
    let suite = tape.suite();
    let derive = |label, length| suite.expand_with_label(tape.notify_secret(), label, salt, length);
    Ok((
        derive("leaf notify key", suite.aead_key_len())?,
        derive("leaf notify nonce", suite.aead_nonce_len())?,
    ))
}

fn aad(group_id: &[u8], epoch: u64) -> Result<Vec<u8>, LeafNotifyError> {
    PrivateContentAad {
        group_id: VLByteSlice(group_id),
        epoch,
        content_type: COMMIT,
        authenticated_data: VLByteSlice(&[]),
    }
    .tls_serialize_detached()
    .map_err(|_| TOO_LARGE)
}
