//! What a feed carries: entries of logs, items of mailboxes, GroupInfos.

use paired_mls::{
    group::RefreshWelcome,
    wire::{ContentType, MlsMessage},
};
use paired_mls_api::{DeviceId, EntryKind, GroupId, LogChain, LogEntry};
use thiserror::Error;

/// The longest message of an object, in bytes: that of an envelope.
pub const MAX_MESSAGE: usize = 1 << 20;

/// Why something is not an object of a feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ObjectError {
    /// The message is too long.
    #[error("an object of a feed holds 1,048,576 bytes at most, not {0}")]
    TooLong(usize),
    /// The hash of the entry is not that of the log up to it.
    #[error(
        "the log entry does not follow from the hash of the log before it: fetch the log again"
    )]
    Chain,
    /// Positions in a log are from 1 on.
    #[error("a log has no entry at this position")]
    Position,
}

/// What a feed carries.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Object {
    /// An entry of the log of a group.
    Log(LogObject),
    /// What is in the mailbox of a device.
    Mail(MailObject),
    /// The GroupInfo of a group.
    GroupInfo(GroupInfoObject),
}

/// An entry of the log of a group, and the hash of the log before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogObject {
    group: GroupId,
    before: LogChain,
    entry: LogEntry,
}

impl LogObject {
    /// `before` is the hash of the log up to the entry, without it.
    ///
    /// # Errors
    ///
    /// [`ObjectError`].
    pub fn new(group: GroupId, before: LogChain, entry: LogEntry) -> Result<Self, ObjectError> {
        if entry.position == 0 {
            return Err(ObjectError::Position);
        }
        if entry.message.0.len() > MAX_MESSAGE {
            return Err(ObjectError::TooLong(entry.message.0.len()));
        }
        if before.and_entry(&entry) != entry.chain {
            return Err(ObjectError::Chain);
        }
        Ok(Self { group, before, entry })
    }

    /// The group.
    pub fn group(&self) -> &GroupId {
        &self.group
    }

    /// The hash of the log before the entry.
    pub fn before(&self) -> LogChain {
        self.before
    }

    /// The entry, with the hash of the log up to it.
    pub fn entry(&self) -> &LogEntry {
        &self.entry
    }

    /// The entry.
    pub fn into_entry(self) -> LogEntry {
        self.entry
    }
}

/// What is in the mailbox of a device: the content of an envelope, without its padding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailObject {
    /// Whose mailbox.
    pub device: DeviceId,
    /// The position there. Two objects of one device with the same position and content are the same.
    pub position: u64,
    /// The content.
    pub content: Vec<u8>,
}

/// The GroupInfo of a group, an `MLSMessage`. One of a later epoch takes its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupInfoObject {
    /// The group.
    pub group: GroupId,
    /// Its epoch.
    pub epoch: u64,
    /// The `MLSMessage`.
    pub message: Vec<u8>,
}

/// What an object is. It is read from the message itself, so nobody can say otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ObjectKind {
    /// A commit, of a log.
    Commit,
    /// A proposal, of a log.
    Proposal,
    /// An application message, of a log.
    Application,
    /// A Welcome, for a mailbox.
    Welcome,
    /// A Notify of a shared leaf, for a mailbox.
    Notify,
    /// The Welcome of a leaf refresh, for a mailbox.
    Refresh,
    /// Anything else for a mailbox.
    Mail,
    /// A GroupInfo.
    GroupInfo,
}

impl ObjectKind {
    /// Whether a bundle with it is sent at once.
    pub fn urgency(self) -> Urgency {
        match self {
            Self::Commit | Self::Welcome | Self::Notify | Self::Refresh => Urgency::Now,
            _ => Urgency::CanWait,
        }
    }
}

/// Whether somebody waits for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// The bundle is closed at once.
    Now,
    /// The bundle is closed when it is full or has waited long enough.
    CanWait,
}

impl Object {
    /// What it is.
    pub fn kind(&self) -> ObjectKind {
        match self {
            Self::Log(object) => match object.entry.kind {
                EntryKind::Commit => ObjectKind::Commit,
                EntryKind::Proposal => ObjectKind::Proposal,
                EntryKind::Application => ObjectKind::Application,
            },
            Self::Mail(object) => match MlsMessage::decode(&object.content) {
                Ok(MlsMessage::Welcome) => ObjectKind::Welcome,
                Ok(MlsMessage::Framed(header)) if header.content_type() == ContentType::COMMIT => {
                    ObjectKind::Notify
                }
                Ok(_) => ObjectKind::Mail,
                Err(_) if RefreshWelcome::decode(&object.content).is_ok() => ObjectKind::Refresh,
                Err(_) => ObjectKind::Mail,
            },
            Self::GroupInfo(_) => ObjectKind::GroupInfo,
        }
    }

    /// How long the message is, in bytes.
    pub fn len(&self) -> usize {
        match self {
            Self::Log(object) => object.entry.message.0.len(),
            Self::Mail(object) => object.content.len(),
            Self::GroupInfo(object) => object.message.len(),
        }
    }

    /// Whether the message is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
