//! Errors, split by who is to blame.

use paired_mls::{
    DerivationTooLong, DeviceId, NotifyError, VaultError,
    anchor::{LocateError, TreeError},
    wire::WireError,
};
use thiserror::Error;

/// Why a call failed. Unless its documentation says otherwise, the group is as it was before.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// A peer sent something that cannot be accepted.
    #[error("the message was refused: {0}")]
    Peer(#[from] PeerError),
    /// The call does not fit the state of the group.
    #[error(transparent)]
    Usage(#[from] UsageError),
    /// The vault failed or refused.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The guard refused to sign what the MLS library made.
    #[error("the commit was not signed, and its tape index is burned: {0}")]
    Guard(#[from] GuardError),
    /// The MLS library failed.
    #[error("OpenMLS failed to {step}")]
    Mls {
        /// What it was asked to do.
        step: &'static str,
        /// What it says.
        source: BoxError,
    },
    /// The storage of the MLS state failed.
    #[error("the storage of the MLS state failed to {step}")]
    Storage {
        /// What it was asked to do.
        step: &'static str,
        /// What it says.
        source: BoxError,
    },
}

/// The cause of a failure in a library below.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A message that this device refuses.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PeerError {
    /// A Notify of a partner is not acceptable.
    #[error(transparent)]
    Notify(NotifyError),
    /// The tape refuses the index that a Notify names.
    #[error(transparent)]
    Tape(paired_mls::TapeError),
    /// A Notify names a level that no path has.
    #[error("a Notify names level {0}, above any ratchet tree")]
    Level(u8),
    /// OpenMLS does not accept the message.
    #[error("OpenMLS does not accept it")]
    Message(#[source] BoxError),
    /// It is a message of another kind.
    #[error("it is no {0}")]
    Kind(&'static str),
    /// The application's own check turned the commit down.
    #[error("the application's policy turned the commit down")]
    Policy,
}

/// A call that does not fit the state of the group.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum UsageError {
    /// An own commit still waits for the delivery service's answer.
    #[error("a commit of this device waits: merge it, or discard it, first")]
    CommitPending,
    /// There is no own commit to merge.
    #[error("no commit of this device waits")]
    NoCommitPending,
    /// This device is paired in this group already.
    #[error("this device is paired in this group already: end that pairing first")]
    AlreadyPaired,
    /// A call that needs a pairing, in a group without one.
    #[error("this device is not paired in this group: call `pair` first")]
    NotPaired,
    /// A device of the pairing is not a member.
    #[error("{0} of the pairing is not a member of this group: add it first")]
    DeviceNotInGroup(DeviceId),
    /// The pairing's tape was made for another cipher suite.
    #[error("the tape of the pairing is for another cipher suite than the group's")]
    CipherSuite,
    /// The signature key of this device is not the one that the pairing names for it.
    #[error("the pairing names another signature key for this device")]
    SignatureKey,
    /// This device was removed from the group.
    #[error("this device was removed from the group: ask to be added again, or rejoin")]
    Removed,
    /// There is no group of that identifier in the storage.
    #[error("the storage holds no group of that identifier")]
    NoSuchGroup,
}

/// What the guard found in a commit before it was signed. It means that the MLS library does not
/// do what this adapter was written for: a defect, or an upgrade that was not tested.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum GuardError {
    /// The commit has no path, so that it would heal nobody.
    #[error("OpenMLS made a commit without a path")]
    NoPath,
    /// A node below the anchor does not have the key that the tape gives.
    #[error("level {level} of the path does not have the key that the tape gives")]
    NodeKey {
        /// The level, from 0.
        level: usize,
    },
    /// The path has fewer levels than the anchor.
    #[error("the path has {found} levels and the anchor {expected}")]
    PathLength {
        /// Levels of the path.
        found: usize,
        /// Levels up to the anchor.
        expected: usize,
    },
    /// A level does not carry a Notify for each partner below it, and nothing else.
    #[error("level {level} carries {found} Notifies and the tree demands {expected}")]
    Notifies {
        /// The level, from 0.
        level: usize,
        /// Notifies found.
        found: usize,
        /// Recipients that the tree demands.
        expected: usize,
    },
    /// A level carries a ciphertext that is no Notify.
    #[error("level {level} carries a path secret sealed to a partner's key")]
    Sealed {
        /// The level, from 0.
        level: usize,
    },
    /// The commit cannot be parsed.
    #[error("the commit cannot be parsed: {0}")]
    Wire(WireError),
    /// The pairing and the ratchet tree do not fit together.
    #[error(transparent)]
    Locate(LocateError),
    /// A key could not be derived.
    #[error("OpenMLS' crypto provider could not derive a key")]
    Crypto,
}

impl PeerError {
    pub(crate) fn message<E>(source: E) -> Self
    where
        E: std::error::Error + Send + Sync + 'static,
    {
        Self::Message(Box::new(source))
    }
}

impl Error {
    pub(crate) fn mls<E>(step: &'static str) -> impl FnOnce(E) -> Self
    where
        E: std::error::Error + Send + Sync + 'static,
    {
        move |source| Self::Mls { step, source: Box::new(source) }
    }

    pub(crate) fn storage<E>(step: &'static str) -> impl FnOnce(E) -> Self
    where
        E: std::error::Error + Send + Sync + 'static,
    {
        move |source| Self::Storage { step, source: Box::new(source) }
    }
}

impl From<WireError> for Error {
    fn from(error: WireError) -> Self {
        Self::mls("export a structure that parses")(error)
    }
}

impl From<TreeError> for Error {
    fn from(error: TreeError) -> Self {
        Self::mls("keep the ratchet tree consistent")(error)
    }
}

impl From<DerivationTooLong> for Error {
    fn from(error: DerivationTooLong) -> Self {
        Self::Vault(error.into())
    }
}
