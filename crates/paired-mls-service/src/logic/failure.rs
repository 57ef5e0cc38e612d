//! Why a request was not served.

use std::sync::Arc;

use paired_mls::{pairing::DirectoryError, wire::WireError};
use paired_mls_api::{DeviceId, EnvelopeError, Problem, ProblemKind, SignatureError, UserId};
use thiserror::Error;

use crate::store::{Proposers, Refusal, StorageFault, StoreError};

/// Why a request was not served: one problem for each. To blame is the client, but for
/// [`Failure::Store`].
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum Failure {
    #[error("the {0} cannot be read")]
    Malformed(&'static str),
    #[error("the body has to be {0}")]
    MediaType(&'static str),
    #[error("a body has {0} bytes at most")]
    TooLarge(usize),
    #[error(
        "one request writes {0} bytes at most, with all copies in mailboxes: name fewer recipients"
    )]
    TooMuch(usize),
    #[error("Content-Digest, Signature-Input and Signature are needed, each once")]
    NoSignature,
    #[error(transparent)]
    Signature(#[from] SignatureError),
    #[error(
        "signed for another name than this service has: it was signed for {signed}, came for {seen}, \
         and the service is {names}"
    )]
    Authority { signed: String, seen: String, names: String },
    #[error(
        "the service is at the root of its name, not below {0}: give it a name of its own, and have \
         no proxy change a path"
    )]
    Prefix(String),
    #[error("the body took longer than {0} seconds")]
    SlowBody(u64),
    #[error("it took too long: look whether it took effect, then try again")]
    Slow,
    #[error("the service has failed: tell its operator the number of the request")]
    Broken,
    #[error("too much is read and written at once: try again")]
    Crowded,
    #[error("this device has {0} requests under way: wait until one is answered")]
    AtOnce(usize),
    #[error(
        "this device has {0} connections: end one of them first, and have the operator name the proxy, if there is one"
    )]
    Connected(usize),
    #[error(
        "this connection carries the requests of {0} devices: open another one, and have the operator name the proxy, \
         if there is one"
    )]
    Crowd(usize),
    #[error("this device has {0} subscriptions: end one of them first")]
    Subscribed(usize),
    #[error("the signature was made more than {0} seconds ago, or ahead of time: check the clock")]
    NotFresh(u64),
    #[error("sign each request anew, with a fresh nonce")]
    Replayed,
    #[error("register the device first")]
    UnknownDevice,
    #[error(
        "the device was revoked and never comes back: make new keys, and have another device of the user approve \
         them, or use the recovery key"
    )]
    Revoked { at: u64 },
    #[error("the operator of the service has shut the account out: ask there why")]
    Banned,
    #[error(
        "check the name and the recovery key; the key is another one if a device has replaced it. The \
         operator of the service can let a device in"
    )]
    NotRecoverable,
    #[error("{0}")]
    Forbidden(Rule),
    #[error("approve this device by another one of the user, then register it again")]
    NotApproved(DeviceId),
    #[error("it is not there, or not for this account")]
    NotFound,
    #[error(
        "the last commit brought no GroupInfo: a member has to publish that of the current epoch"
    )]
    StaleGroupInfo,
    #[error("{0}")]
    NoBase(BaseFault),
    #[error("the path takes other methods")]
    Method,
    #[error("take another id, unless it was this account that has created it before")]
    Exists,
    #[error("fetch the log and try again on the current epoch")]
    WrongEpoch(u64),
    #[error("another device asks for a different pairing under this identifier")]
    Conflict,
    #[error("{0}")]
    Message(MessageFault),
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    #[error("leave out whoever has none, or only revoked ones, and do the same again")]
    UnknownRecipient(Option<DeviceId>),
    #[error(
        "{} never was on the roster of the group: a member adds it",
        String::from_utf8_lossy(.0.as_bytes())
    )]
    NeverListed(UserId),
    #[error("drop some of what there is, or wait until its owner has")]
    Full(Option<DeviceId>),
    #[error("{0}")]
    Reserved(Reserve),
    #[error("wait a moment")]
    TooFast(u64),
    #[error("too many subscriptions on this replica: try again")]
    Busy,
    #[error("a number in the request is 2^63 or more")]
    OutOfRange,
    #[error(
        "the position is beyond the end, {head}: either it is wrong, or the service lost entries"
    )]
    Beyond { head: u64 },
    #[error(
        "synchronize first: what was read here is of before, and what came since may be missing"
    )]
    OtherIncarnation,
    #[error(
        "the entries up to position {through} were not kept any longer: come back into the group from \
         outside, or ask a member to add the device again"
    )]
    Pruned { through: u64 },
    #[error(
        "the log of the group has {most} bytes at most, and what it has is of this epoch, or has not been read \
         by each device of its members: commit, fetch the log with all of them, or ask the operator"
    )]
    LogFull { most: u64 },
    #[error(
        "{} in this epoch: a commit ends it, with them or without them; make one, or ask a member to, and \
         send this one again", proposers(*.0)
    )]
    Proposals(Proposers),
    #[error("{0}")]
    Ended(Over),
    #[error("{}", told(.0))]
    Store(Arc<StoreError>),
}

/// What has ended because nobody used it, and what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub(crate) enum Over {
    #[error(
        "nobody read the log of this group or wrote to it for longer than the service keeps an unused group: what the \
         device has of it stays there, and a new group has to be created"
    )]
    Group,
    #[error(
        "no device of the account made a request for longer than the service keeps an unused account: register this \
         device again, under the same name, and publish KeyPackages"
    )]
    Device,
    #[error(
        "the name is that of an account that has ended because nobody used it, and is kept for its devices: take \
         another name, or register a device that the account had"
    )]
    Name,
    #[error(
        "the pairing has ended, because its devices did not all ask for it, or no two of them are left: pair again"
    )]
    Pairing,
}

/// For whom the KeyPackages are kept that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub(crate) enum Reserve {
    #[error(
        "the account has claimed many KeyPackages of this device today, and the rest is for others: \
         try again tomorrow"
    )]
    Claims,
    #[error(
        "the last KeyPackages are kept for the account's own devices and those that are paired with \
         it: the device has to publish more, or one of the last resort"
    )]
    Stock,
}

/// Why nobody can join a group from outside now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub(crate) enum BaseFault {
    #[error(
        "a commit from outside is verified against the GroupInfo of its epoch, and the service has \
         none: a member has to publish it, with the ratchet tree in it"
    )]
    Missing,
    #[error(
        "a commit from outside is verified against the ratchet tree, and the GroupInfo of the epoch \
         has none: a member has to publish one that has"
    )]
    NoTree,
}

/// What an account may not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub(crate) enum Rule {
    #[error("only accounts on the roster of a group write to it; join it first")]
    NotListed,
    #[error(
        "the removal stands: it is older than a week, others have gone on after it, or this account was not removed \
         by the same commit. Somebody on the roster can put the account back, and a member adds it again"
    )]
    RemovalStands,
    #[error("a key of the KeyPackage's leaf belongs to no device of the account or its pairings")]
    ForeignKey,
    #[error(
        "the id is none of a group that this account creates: make one from the account's name and 16 new random bytes, as \
         the profile of the service says"
    )]
    ForeignGroupId,
    #[error("the key is registered for another user")]
    OtherUser,
    #[error(
        "a leaf in the message, or the leaf that sends it, is not this account's: it names another \
         user, or has a key of no device of the account or its pairings"
    )]
    ForeignLeaf,
    #[error(
        "a KeyPackage that the message adds is of no registered device of the user that it names"
    )]
    UnknownNewcomer,
    #[error("from outside, a commit removes no leaf but one of the own account")]
    ForeignRemoval,
    #[error(
        "from outside, a commit changes the roster for the own account only, and welcomes nobody"
    )]
    ForeignRoster,
    #[error("a pairing is requested by its own devices, in standard mode: {0}")]
    Pairing(PairingFault),
}

/// What is wrong with a request for a pairing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub(crate) enum PairingFault {
    #[error(
        "hidden mode goes over the 1-to-1 channel only; take the key in the request out of use"
    )]
    HiddenMode,
    #[error("the request does not list the device that sent it")]
    NotListed,
}

/// What is wrong with a message.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum MessageFault {
    #[error("it is no MLSMessage: {0}")]
    Wire(#[from] WireError),
    #[error("it is no {0}")]
    NotA(&'static str),
    #[error("it is of another group")]
    OtherGroup,
    #[error("the GroupInfo is not of the epoch that the commit starts")]
    OtherEpoch,
    #[error("an application message must be encrypted")]
    InTheClear,
    #[error(
        "the KeyPackage has ended, ends before it begins, or lasts longer than 84 days and 1 hour"
    )]
    Lifetime,
    #[error(
        "the KeyPackage has an extension of a GREASE type, and members on OpenMLS 0.9.2 cannot add \
         it: make it without one"
    )]
    Grease,
    #[error("the credential of the KeyPackage is not the user's")]
    Credential,
    #[error("the KeyPackage does not verify, or has a cipher suite that is not supported")]
    KeyPackage,
    #[error("it is no request for a pairing: {0}")]
    Pairing(DirectoryError),
    #[error("the GroupInfo cannot be read, or does not verify")]
    GroupInfo,
    #[error("the GroupInfo has no ratchet tree: make it with the extension ratchet_tree")]
    NoTree,
    #[error("the GroupInfo does not describe the epoch that the commit begins")]
    ForeignGroupInfo,
    #[error("a proposal in it cannot be read")]
    Proposal,
    #[error("a commit from outside needs a path")]
    NoPath,
    #[error(
        "a commit from outside has one ExternalInit, at most one Remove, and nothing else that \
         concerns other members"
    )]
    ExternalProposals,
    #[error("its sender has no leaf in the group")]
    Sender,
    #[error("the commit does not verify by the keys of the leaf that sends it")]
    CommitSignature,
    #[error("no member would take the commit: {0}")]
    Commit(String),
    #[error("the roster change removes an account that keeps a leaf")]
    StillAMember(UserId),
    #[error("the roster change adds an account that has no leaf, or a Welcome is for one")]
    NotAMember(UserId),
}

impl From<MessageFault> for Failure {
    fn from(fault: MessageFault) -> Self {
        Self::Message(fault)
    }
}

impl From<WireError> for Failure {
    fn from(error: WireError) -> Self {
        Self::Message(error.into())
    }
}

impl From<Rule> for Failure {
    fn from(rule: Rule) -> Self {
        Self::Forbidden(rule)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::OutOfRange => Self::OutOfRange,
            StoreError::Replayed => Self::Replayed,
            StoreError::Crowded => Self::Crowded,
            error => Self::Store(Arc::new(error)),
        }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NoGroup => Self::NotFound,
            Refusal::NotListed => Rule::NotListed.into(),
            Refusal::Epoch(current) => Self::WrongEpoch(current),
            Refusal::UnknownDevice(device) => Self::UnknownRecipient(Some(device)),
            Refusal::UnknownUser => Self::UnknownRecipient(None),
            Refusal::NeverListed(user) => Self::NeverListed(user),
            Refusal::RemovalStands => Rule::RemovalStands.into(),
            Refusal::Full(device) => Self::Full(Some(device)),
            Refusal::TooMuch(limit) => Self::TooMuch(limit),
            Refusal::Proposals(whose) => Self::Proposals(whose),
            Refusal::LogFull { most } => Self::LogFull { most },
            Refusal::StillAMember(user) => MessageFault::StillAMember(user).into(),
            Refusal::NotAMember(user) => MessageFault::NotAMember(user).into(),
        }
    }
}

impl From<DirectoryError> for Failure {
    fn from(error: DirectoryError) -> Self {
        match error {
            DirectoryError::HiddenMode => Rule::Pairing(PairingFault::HiddenMode).into(),
            DirectoryError::NotListed => Rule::Pairing(PairingFault::NotListed).into(),
            DirectoryError::Differs(_) => Self::Conflict,
            other => MessageFault::Pairing(other).into(),
        }
    }
}

/// After how many seconds it is worth asking a service again whose operator has to act first.
const AFTER_STORAGE: u64 = 30;

/// What a client is told of the database.
fn told(error: &StoreError) -> &'static str {
    match error.storage_fault() {
        None if matches!(error, StoreError::Locked(_)) => {
            "another program keeps the database locked: try again, and tell the operator"
        }
        None => "the database does not answer: try again",
        Some(StorageFault::Full) => {
            "there is no room in the database: ask the operator to make some"
        }
        Some(StorageFault::ReadOnly) => "the database can only be read now: tell the operator",
        Some(_) => "the database, or what it is stored on, fails: tell the operator",
    }
}

/// Who has as many proposals as may be.
fn proposers(whose: Proposers) -> &'static str {
    match whose {
        Proposers::Account => {
            "the account has as many proposals as it may have, or as long ones, that wait in the group"
        }
        Proposers::All => "as many proposals as may, or as long ones, wait in the group",
    }
}

impl Failure {
    /// Whether the same request might be served at another time, although nothing of what it concerns has changed.
    pub(crate) fn passes(&self) -> bool {
        matches!(
            self,
            Self::TooFast(_)
                | Self::AtOnce(_)
                | Self::Connected(_)
                | Self::Crowd(_)
                | Self::SlowBody(_)
                | Self::Crowded
                | Self::Banned
        )
    }

    fn kind(&self) -> ProblemKind {
        match self {
            Self::Malformed(_) | Self::OutOfRange => ProblemKind::Malformed,
            Self::Beyond { .. } => ProblemKind::Beyond,
            Self::OtherIncarnation => ProblemKind::OtherIncarnation,
            Self::Pruned { .. } => ProblemKind::Pruned,
            Self::MediaType(_) => ProblemKind::MediaType,
            Self::TooLarge(_) | Self::TooMuch(_) => ProblemKind::TooLarge,
            Self::NoSignature | Self::Signature(_) | Self::Authority { .. } => {
                ProblemKind::Unsigned
            }
            Self::SlowBody(_) => ProblemKind::TooSlow,
            Self::Subscribed(_) => ProblemKind::Full,
            Self::NotFresh(_) => ProblemKind::NotFresh,
            Self::Replayed => ProblemKind::Replayed,
            Self::UnknownDevice | Self::Revoked { .. } | Self::Ended(Over::Device) => {
                ProblemKind::UnknownDevice
            }
            Self::Banned => ProblemKind::Banned,
            Self::NotRecoverable => ProblemKind::NotRecoverable,
            Self::Forbidden(_) => ProblemKind::Forbidden,
            Self::NotApproved(_) => ProblemKind::NotApproved,
            Self::NotFound | Self::NeverListed(_) | Self::Prefix(_) | Self::StaleGroupInfo => {
                ProblemKind::NotFound
            }
            Self::NoBase(_) => ProblemKind::NoGroupInfo,
            Self::Ended(Over::Group | Over::Name | Over::Pairing) => ProblemKind::Ended,
            Self::Method => ProblemKind::Method,
            Self::Exists => ProblemKind::Exists,
            Self::WrongEpoch(_) => ProblemKind::WrongEpoch,
            Self::Conflict => ProblemKind::Conflict,
            Self::Message(_) => ProblemKind::InvalidMessage,
            Self::Envelope(_) => ProblemKind::InvalidEnvelope,
            Self::UnknownRecipient(_) => ProblemKind::UnknownRecipient,
            Self::Full(_) => ProblemKind::Full,
            Self::LogFull { .. } => ProblemKind::LogFull,
            Self::Proposals(_) => ProblemKind::TooManyProposals,
            Self::Reserved(_) => ProblemKind::Reserved,
            Self::Store(error) if error.storage_fault().is_some() => ProblemKind::Storage,
            Self::TooFast(_) | Self::AtOnce(_) | Self::Connected(_) | Self::Crowd(_) => {
                ProblemKind::TooFast
            }
            Self::Busy | Self::Slow | Self::Broken | Self::Crowded | Self::Store(_) => {
                ProblemKind::Unavailable
            }
        }
    }

    /// The document that the client gets.
    pub(crate) fn problem(&self) -> Problem {
        let mut problem = Problem::new(self.kind());
        problem.detail = Some(self.to_string());
        match self {
            Self::Beyond { head } => problem.head = Some(*head),
            Self::Pruned { through } => problem.pruned_through = Some(*through),
            Self::WrongEpoch(current) => problem.current_epoch = Some(*current),
            Self::Revoked { at } => problem.revoked_at = Some(*at),
            Self::NotApproved(device) => problem.device = Some(device.clone()),
            Self::UnknownRecipient(device) | Self::Full(device) => {
                problem.device.clone_from(device)
            }
            Self::TooFast(seconds) => problem.retry_after = Some(*seconds),
            Self::Store(error) if error.storage_fault().is_some() => {
                problem.retry_after = Some(AFTER_STORAGE);
            }
            Self::AtOnce(_)
            | Self::Connected(_)
            | Self::Crowd(_)
            | Self::Busy
            | Self::Slow
            | Self::Crowded
            | Self::Store(_) => {
                problem.retry_after = Some(1);
            }
            _ => {}
        }
        problem
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reader sees both, one after the other.
    #[test]
    fn no_detail_says_what_the_title_says() {
        let failures = [
            Failure::UnknownDevice,
            Failure::Revoked { at: 1 },
            Failure::Banned,
            Failure::NotRecoverable,
            Failure::NotFound,
            Failure::Method,
            Failure::Exists,
            Failure::WrongEpoch(1),
            Failure::Conflict,
            Failure::UnknownRecipient(None),
            Failure::Full(None),
            Failure::TooFast(1),
            Failure::Busy,
            Failure::Replayed,
            Failure::NoSignature,
            Failure::OtherIncarnation,
            Failure::SlowBody(1),
            Failure::TooLarge(1),
            Failure::StaleGroupInfo,
            Failure::Broken,
            Failure::Crowded,
        ];
        for failure in failures {
            let problem = failure.problem();
            let detail = problem.detail.clone().unwrap().to_lowercase();
            let title = problem.title.to_lowercase();
            assert!(!detail.contains(&title) && !title.contains(&detail), "{problem}");
        }
    }
}
