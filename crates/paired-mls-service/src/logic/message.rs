//! What the service reads of a message: the header, never the content.

use bytes::Bytes;
use paired_mls::wire::{ContentType, FramedHeader, MlsMessage, Sender};
use paired_mls_api::{EntryKind, Envelope, GroupId};
use sha2::{Digest, Sha256};

use super::{Failure, failure::MessageFault};
use crate::store::Joining;

/// What the header of a message says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub(super) epoch: u64,
    pub(super) kind: EntryKind,
    pub(super) standing: Joining,
}

/// Reads the header of a message to this group.
pub(super) fn header(group: &GroupId, message: &[u8]) -> Result<Header, Failure> {
    let MlsMessage::Framed(header) = MlsMessage::decode(message)? else {
        return Err(MessageFault::NotA("PublicMessage or PrivateMessage").into());
    };
    if header.group_id() != group.as_bytes() {
        return Err(MessageFault::OtherGroup.into());
    }
    // No group of this service gets there.
    if i64::try_from(header.epoch()).is_err() {
        return Err(Failure::OutOfRange);
    }
    Ok(Header { epoch: header.epoch(), kind: kind(&header)?, standing: standing(&header) })
}

fn kind(header: &FramedHeader) -> Result<EntryKind, MessageFault> {
    match header.content_type() {
        ContentType::COMMIT => Ok(EntryKind::Commit),
        ContentType::PROPOSAL => Ok(EntryKind::Proposal),
        // RFC 9420 section 6.2: a PublicMessage never carries application data.
        ContentType::APPLICATION if header.sender().is_some() => Err(MessageFault::InTheClear),
        ContentType::APPLICATION => Ok(EntryKind::Application),
        _ => Err(MessageFault::NotA("commit, proposal or application message")),
    }
}

fn standing(header: &FramedHeader) -> Joining {
    match header.sender() {
        Some(Sender::NewMemberCommit | Sender::NewMemberProposal) => Joining::Outside,
        _ => Joining::Inside,
    }
}

/// Checks that bytes are the GroupInfo of a group and epoch.
pub(super) fn group_info(group: &GroupId, epoch: u64, message: &[u8]) -> Result<(), Failure> {
    let MlsMessage::GroupInfo(header) = MlsMessage::decode(message)? else {
        return Err(MessageFault::NotA("GroupInfo").into());
    };
    if header.group_id() != group.as_bytes() {
        return Err(MessageFault::OtherGroup.into());
    }
    if header.epoch() != epoch {
        return Err(MessageFault::OtherEpoch.into());
    }
    Ok(())
}

/// Checks that bytes are an envelope.
pub(super) fn envelope(bytes: Vec<u8>) -> Result<Bytes, Failure> {
    Ok(Envelope::decode(bytes)?.into_bytes().into())
}

/// What makes two requests the same: the message itself, which no two senders can make alike.
pub(super) fn digest(message: &[u8]) -> Vec<u8> {
    Sha256::digest(message).to_vec()
}
