//! What the devices of a shared leaf tell each other: the Notify, and who wants to send.
//!
//! A Notify says which position of the tape a commit was made with, and what the commit contains. Each
//! is a message of its own, framed as an `MLSMessage` that holds a `PrivateMessage` of content type `commit` (RFC 9420
//! section 6.3), so that a delivery service handles it like one, and sealed under a key that only
//! the devices of the pairing have:
//!
//! ```text
//! enum { commit(1), token_wanted(2), token_given(3), (255) } LeafMessageKind;
//!
//! struct {
//!     uint8 version = 3;
//!     LeafMessageKind kind;
//!     select (kind) {
//!         case commit:       LeafNotify;
//!         case token_wanted: uint16 device;    // who wants to send application messages
//!         case token_given:  uint16 device;    // who sends no more of them in this epoch
//!     };
//! } LeafMessage;
//!
//! struct {
//!     uint64 index;                        // device:u16 || position:u48
//!     uint64 opening;                      // of the lane, below 2^48
//!     opaque proposals<V>;                 // the content of Commit.proposals, in its order
//!     opaque authenticated_data<V>;        // of the commit
//!     opaque leaf_node<V>;                 // Commit.path.leaf_node, with its signature
//!     opaque signature<V>;                 // of the commit
//! } LeafNotify;
//!
//! salt       = 28 random bytes, in the place of encrypted_sender_data
//! key, nonce = ExpandWithLabel(notify_secret, "leaf notify key" / "leaf notify nonce", salt, Nk / Nn)
//! ciphertext = AEAD.Seal(key, nonce, PrivateContentAAD, LeafMessage)
//! ```
//!
//! `PrivateContentAAD` (RFC 9420 section 6.3.1) names the group and the epoch; the index of a Notify is
//! spent once the commit has been followed. There is no keying material in it. The token messages are
//! a courtesy: what they say is only as good as a partner's word, and a replay in the same epoch says
//! nothing new. The token itself goes with a commit.

use thiserror::Error;
use tls_codec::{
    Deserialize as _, Serialize as _, TlsDeserialize, TlsSerialize, TlsSize, VLByteSlice, VLBytes,
};

use crate::{
    AeadError, DerivationTooLong, DeviceId, Index, Secret, Spot, Tape,
    code_points::NOTIFY_VERSION,
    vault::{Lane, state_of},
    wire::{ContentType, PrivateMessage},
};

/// The length of the random salt, in bytes: that of `encrypted_sender_data`, which holds 12 bytes and
/// a tag of 16 (RFC 9420 section 6.3.2).
pub const SALT_LEN: usize = 28;

/// What one device of a shared leaf tells the others.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LeafMessage {
    /// The Notify of a commit.
    Commit(LeafNotify),
    /// This device wants to send application messages.
    TokenWanted(DeviceId),
    /// This device sends no application messages any more in this epoch.
    TokenGiven(DeviceId),
}

/// What the Notify of a shared leaf says: all that it takes, besides the tape and the group's state,
/// to make the same commit again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeafNotify {
    /// Where on the tape of the group the value lies that the commit was made with.
    pub spot: Spot,
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
    /// A partner sealed a message of a kind that this software does not know.
    #[error(
        "the partner sent a message of kind {0} to this leaf: update the software of both devices"
    )]
    Kind(u8),
    /// A partner sealed something else.
    #[error("the partner sent a Notify that is malformed")]
    Malformed,
    /// The index belongs to a device that is not of the pairing.
    #[error("the partner sent a Notify for {0}, which is not a device of this pairing")]
    ForeignDevice(DeviceId),
    /// The index belongs to the receiver's own lane.
    #[error("the partner sent a Notify for index {0} of this device's own lane")]
    OwnLane(Index),
    /// It is a message of this device itself.
    #[error("the message is this device's own")]
    Own,
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

const KIND_COMMIT: u8 = 1;
const KIND_TOKEN_WANTED: u8 = 2;
const KIND_TOKEN_GIVEN: u8 = 3;

#[derive(Debug, TlsSize, TlsSerialize, TlsDeserialize)]
struct Header {
    version: u8,
    kind: u8,
}

#[derive(Debug, TlsSize, TlsSerialize, TlsDeserialize)]
struct NotifyBody {
    index: [u8; 8],
    opening: u64,
    proposals: VLBytes,
    authenticated_data: VLBytes,
    leaf_node: VLBytes,
    signature: VLBytes,
}

#[derive(TlsSize, TlsSerialize)]
struct PrivateContentAad<'a> {
    group_id: VLByteSlice<'a>,
    epoch: u64,
    content_type: ContentType,
    authenticated_data: VLByteSlice<'a>,
}

impl LeafMessage {
    /// Seals a message for the other devices in `epoch` of a group, as a serialized `MLSMessage`.
    ///
    /// `salt` must be fresh: it is the only thing that separates the keys of two messages.
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
        let sealed = sealed.map_err(|AeadError| TOO_LARGE)?;
        PrivateMessage::commit(group_id, epoch, salt.to_vec(), sealed).encode().ok_or(TOO_LARGE)
    }

    /// Opens a message of another device and checks everything in it.
    ///
    /// # Errors
    ///
    /// [`LeafNotifyError::NotANotify`] where the message has to be processed as ordinary MLS; any
    /// other error is about something that a partner did write.
    pub(crate) fn open(
        tape: &Tape,
        group_id: &[u8],
        epoch: u64,
        message: &[u8],
    ) -> Result<Self, LeafNotifyError> {
        let Ok(Some(message)) = PrivateMessage::decode(message) else {
            return Err(LeafNotifyError::NotANotify);
        };
        let header = message.header();
        let is_candidate = (header.group_id(), header.epoch()) == (group_id, epoch)
            && header.content_type() == ContentType::COMMIT
            && message.authenticated_data().is_empty()
            && message.encrypted_sender_data().len() == SALT_LEN;
        if !is_candidate {
            return Err(LeafNotifyError::NotANotify);
        }
        let (key, nonce) = key_and_nonce(tape, message.encrypted_sender_data())?;
        let aad = aad(group_id, epoch)?;
        let plaintext = tape
            .suite()
            .open(&key, &nonce, &aad, message.ciphertext())
            .map_err(|AeadError| LeafNotifyError::NotANotify)?;
        let said = Self::parse(plaintext.expose())?;
        said.check(tape)?;
        Ok(said)
    }

    fn check(&self, tape: &Tape) -> Result<(), LeafNotifyError> {
        let device = match self {
            Self::Commit(notify) => notify.spot.index.device(),
            Self::TokenWanted(device) | Self::TokenGiven(device) => *device,
        };
        if !tape.devices().contains(&device) {
            return Err(LeafNotifyError::ForeignDevice(device));
        }
        match self {
            Self::Commit(LeafNotify { spot, .. }) if device == tape.own_device() => {
                Err(LeafNotifyError::OwnLane(spot.index))
            }
            _ if device == tape.own_device() => Err(LeafNotifyError::Own),
            Self::Commit(LeafNotify { spot, .. }) if is_spent(tape, *spot) => {
                Err(LeafNotifyError::Spent(spot.index))
            }
            _ => Ok(()),
        }
    }

    fn to_bytes(&self) -> Result<Vec<u8>, tls_codec::Error> {
        let (kind, device) = match self {
            Self::Commit(notify) => return notify.to_bytes(),
            Self::TokenWanted(device) => (KIND_TOKEN_WANTED, device),
            Self::TokenGiven(device) => (KIND_TOKEN_GIVEN, device),
        };
        (Header { version: NOTIFY_VERSION, kind }, device.0).tls_serialize_detached()
    }

    fn parse(plaintext: &[u8]) -> Result<Self, LeafNotifyError> {
        let (header, body) = header(plaintext)?;
        let device = || {
            let device = u16::tls_deserialize_exact(body);
            device.map(DeviceId).map_err(|_| LeafNotifyError::Malformed)
        };
        match header.kind {
            KIND_COMMIT => LeafNotify::parse(plaintext).map(Self::Commit),
            KIND_TOKEN_WANTED => device().map(Self::TokenWanted),
            KIND_TOKEN_GIVEN => device().map(Self::TokenGiven),
            other => Err(LeafNotifyError::Kind(other)),
        }
    }
}

impl LeafNotify {
    /// The serialized message; nothing in it is secret.
    pub(super) fn to_bytes(&self) -> Result<Vec<u8>, tls_codec::Error> {
        let body = NotifyBody {
            index: self.spot.index.to_bytes(),
            opening: self.spot.opening,
            proposals: self.proposals.as_slice().into(),
            authenticated_data: self.authenticated_data.as_slice().into(),
            leaf_node: self.leaf_node.as_slice().into(),
            signature: self.signature.as_slice().into(),
        };
        (Header { version: NOTIFY_VERSION, kind: KIND_COMMIT }, body).tls_serialize_detached()
    }

    pub(super) fn parse(plaintext: &[u8]) -> Result<Self, LeafNotifyError> {
        let (header, body) = header(plaintext)?;
        if header.kind != KIND_COMMIT {
            return Err(LeafNotifyError::Kind(header.kind));
        }
        let body =
            NotifyBody::tls_deserialize_exact(body).map_err(|_| LeafNotifyError::Malformed)?;
        if body.opening > Index::MAX_POSITION {
            return Err(LeafNotifyError::Malformed);
        }
        Ok(Self {
            spot: Spot { opening: body.opening, index: Index::from_bytes(body.index) },
            proposals: body.proposals.into(),
            authenticated_data: body.authenticated_data.into(),
            leaf_node: body.leaf_node.into(),
            signature: body.signature.into(),
        })
    }
}

/// Whether a value is known to be gone. What lies in a lane that is not open yet may be there.
fn is_spent(tape: &Tape, spot: Spot) -> bool {
    match state_of(tape, spot) {
        Ok(Lane::Open) => tape.preview(spot.index).is_err(),
        Ok(Lane::ToOpen) => false,
        Err(_) => true,
    }
}

/// Reads the version and the kind; returns what follows.
fn header(mut plaintext: &[u8]) -> Result<(Header, &[u8]), LeafNotifyError> {
    match plaintext.first() {
        Some(&NOTIFY_VERSION) => {}
        Some(&other) => return Err(LeafNotifyError::Version(other)),
        None => return Err(LeafNotifyError::Malformed),
    }
    let header = Header::tls_deserialize(&mut plaintext).map_err(|_| LeafNotifyError::Malformed)?;
    Ok((header, plaintext))
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
        content_type: ContentType::COMMIT,
        authenticated_data: VLByteSlice(&[]),
    }
    .tls_serialize_detached()
    .map_err(|_| TOO_LARGE)
}
