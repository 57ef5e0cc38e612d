//! What can go wrong with groups, pairings and the service.

use paired_mls::{
    PairingId,
    pairing::{BookError, StateName},
};
use paired_mls_api::{DeviceId, EnvelopeError, IdError, SchemeError};
use paired_mls_client::ClientError;
use paired_mls_openmls::UsageError;
use thiserror::Error;

use crate::session::SessionError;

/// Why a command could not do what it was asked to.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum EngineError {
    /// The MLS side refused or failed.
    #[error(transparent)]
    Mls(#[from] paired_mls_openmls::Error),
    /// A step of the pairing protocol was refused or failed.
    #[error(transparent)]
    Book(#[from] BookError),
    /// The terms of a pairing are wrong.
    #[error(transparent)]
    Terms(#[from] paired_mls::pairing::TermsError),
    /// The devices cannot be placed.
    #[error(transparent)]
    Placement(#[from] paired_mls::anchor::PlacementError),
    /// A pairing message is too long.
    #[error(transparent)]
    TooLarge(#[from] paired_mls::pairing::TooLarge),
    /// The vault failed.
    #[error(transparent)]
    Vault(#[from] paired_mls::VaultError),
    /// The service is not there, or refused.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The service is not there, and what was to be sent waits here.
    #[error(
        "{source}; what was made is kept, and {waiting} {} with the next `pmls sync`",
        if *.waiting == 1 { "request goes out" } else { "requests go out" }
    )]
    Waiting {
        /// How many requests.
        waiting: usize,
        /// What happened.
        source: ClientError,
    },
    /// The service has refused what a command has sent.
    #[error(transparent)]
    Refused(#[from] Box<super::Refused>),
    /// The database of the MLS state failed.
    #[error(
        "the database of the MLS state failed: if the disk is full, free some space, and do the same again; nothing \
         is lost"
    )]
    Database(#[from] rusqlite::Error),
    /// A record of the command line is damaged.
    #[error("a record of the command line in the database cannot be read")]
    Record(#[from] serde_json::Error),
    /// The session failed.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// What came in an envelope is none, or what is to go into one is too long.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// A name on the wire is wrong.
    #[error(transparent)]
    Id(#[from] IdError),
    /// A suite that the service does not know.
    #[error(transparent)]
    Scheme(#[from] SchemeError),
    /// No randomness.
    #[error("the system gives no randomness")]
    NoRandomness,
    /// No group has this name.
    #[error("there is no group {}: `pmls group list` shows all", if .0.is_empty() { "without a name" } else { .0 })]
    NoGroup(String),
    /// Several groups begin like this.
    #[error("several groups begin with {0}: give more of the name")]
    Ambiguous(String),
    /// The name belongs to another group.
    #[error("another group is called {0}: choose another name")]
    NameTaken(String),
    /// This device is not in the group any more.
    #[error(
        "this device is not in {0} any more: ask a member to add it, or use `pmls group rejoin {0}`"
    )]
    NotIn(String),
    /// This device is on its way back into the group.
    #[error(
        "this device comes back into {0}, and the service has not said yet that it is in: `pmls sync` asks \
         again"
    )]
    Rejoining(String),
    /// No KeyPackage of somebody is there.
    #[error(
        "{0} has no KeyPackage of suite {1} at the service: run `pmls device publish` on one of its \
         devices"
    )]
    NoKeyPackage(String, u16),
    /// No KeyPackage of a partner is at hand.
    #[error(
        "device {0} has handed over no KeyPackage that its leaf could be renewed with now: run `pmls pair publish` on it, \
         or, if it will only receive, `pmls device provision`, and then `pmls sync` here"
    )]
    NoRenewal(u16),
    /// A group is to be forgotten that this device is in.
    #[error(
        "this device is in {0}: `pmls group leave {0}` leaves it, and `pmls group forget {0} --still-in` forgets \
         it all the same"
    )]
    StillIn(String),
    /// A name on the command line has an escape that is none.
    #[error(
        "{0} is no name: write it as it is shown; after a slash comes the beginning of a device's id, and after a \
         backslash another one, /, #, n, r, t, xHH or u{{HEX}}"
    )]
    Escape(String),
    /// A device removes others.
    #[error("that is this device itself: `pmls group leave {0}` leaves the group")]
    RemoveOneself(String),
    /// No such member.
    #[error(
        "{0} is no member of this group: `pmls group show` shows all, with the names that are taken here"
    )]
    NoMember(String),
    /// Others won every time.
    #[error("{0} commits of others came first each time: try again later")]
    AlwaysLost(u32),
    /// The log has a commit that cannot be followed.
    #[error(
        "{group} is stuck in epoch {epoch}, at entry {position} of its log: {why}. If others are stuck there too, \
         the service's operator can put it right, and `pmls sync` goes on; if not, `pmls group rejoin {group}` \
         comes back from outside"
    )]
    Stuck {
        /// The group.
        group: String,
        /// The epoch that it is stuck in.
        epoch: u64,
        /// The entry.
        position: u64,
        /// Why.
        why: String,
    },
    /// The log leaves something out.
    #[error(
        "the service leaves out the commit that ends epoch {epoch} of {group}: tell its operator; `pmls \
         group rejoin {group}` comes back from outside"
    )]
    Missing {
        /// The group.
        group: String,
        /// The epoch that this device is in.
        epoch: u64,
    },
    /// The log has a hole.
    #[error(
        "the service leaves out a part of the log of {group}: tell its operator; `pmls group rejoin {group}` \
         comes back from outside"
    )]
    Hole {
        /// The group.
        group: String,
        /// Where.
        source: ClientError,
    },
    /// The device was away for too long.
    #[error(
        "this device was away from {group} for longer than the service keeps its log: {source}. What was said \
         there meanwhile is lost to it; `pmls group rejoin {group}` comes back from outside"
    )]
    Pruned {
        /// The group.
        group: String,
        /// Where.
        source: ClientError,
    },
    /// The log is another one than that which was read.
    #[error(
        "the service has another log of {group} than the one that this device has read: its database was \
         restored from a backup, or changed. Nothing more is read or sent there, and what this device has is \
         kept; `pmls group rejoin {group}` goes on from what the service has. Whoever was removed from the \
         group since that backup is back in it: remove them again"
    )]
    OtherHistory {
        /// The group.
        group: String,
        /// What was found.
        source: ClientError,
    },
    /// The service was restored from a backup since a group was read there.
    #[error(
        "the service was restored from a backup since {0} was read there: what was sent in between may be missing, \
         and whoever was removed may be back. Nothing is read or sent in {0}, and what this device has is kept; \
         `pmls group rejoin {0}` goes on from what the service has"
    )]
    Restored(String),
    /// The service does not know a group.
    #[error(
        "the service has no group {0}, or this account is not on its list: if it was taken off against the members' \
         will, `pmls group put-back {0}` puts it back; else ask a member to add this device again, or forget the \
         group by `pmls group forget {0} --still-in`"
    )]
    NotAtTheService(String),
    /// The service keeps nothing for ever that nobody uses.
    #[error(
        "the service has ended {0}, because nobody read it or wrote to it for longer than it keeps an unused group: \
         nothing can be fetched or sent there any more, and what this device has of it is kept; `pmls group create` makes \
         a new one, and `pmls group forget {0} --still-in` clears this one up"
    )]
    Ended(String),
    /// The service has no GroupInfo.
    #[error(
        "the service has no GroupInfo of the epoch that {0} is in, or this account may not have it: ask a member \
         to run `pmls group publish-info` for it, or to add this device"
    )]
    NoGroupInfo(String),
    /// Somebody is to be put back who never was there.
    #[error(
        "the service puts nobody back on the list of {group} who never was there: {source}; `pmls group add {group} \
         USER` adds somebody"
    )]
    NeverListed {
        /// The group.
        group: String,
        /// What the service says.
        source: ClientError,
    },
    /// The service puts nobody back on the list of a group.
    #[error(
        "the service does not put them back on the list of {group}: {source}. After a removal that was meant, a member \
         has to add the account by `pmls group add {group} USER`, or, if the group is open, the device comes back by `pmls \
         group rejoin {group}`; after one that was not, a member has to put it back, or the service's operator by `pmls \
         admin reopen`"
    )]
    NotPutBack {
        /// The group.
        group: String,
        /// What the service says.
        source: ClientError,
    },
    /// No pairing has this name.
    #[error("there is no {}: `pmls pair status` shows all", match .0.as_str() {
        "" => "pairing that this could be about".to_owned(),
        id => format!("pairing {id}"),
    })]
    NoPairing(String),
    /// The digits differ.
    #[error(
        "the digits differ: somebody may be between the devices. The pairing is given up, and the other \
         device is told; begin again over another network"
    )]
    DigitsDiffer,
    /// There is nothing to compare yet.
    #[error(
        "there are no digits to compare yet, since not all of what they cover is here: run `pmls sync` on \
         both devices, and `pmls pair resend` on the one that asked"
    )]
    NoDigitsYet,
    /// The pairing is in another state.
    #[error("pairing {pairing} is {state}, and this needs it to be paired")]
    NotPaired {
        /// The pairing.
        pairing: PairingId,
        /// Its state.
        state: StateName,
    },
    /// The seed file is none.
    #[error("{0} is no seed file of this version: make one with `pmls pair seed`")]
    SeedFile(String),
    /// The service hands out a KeyPackage of somebody else.
    #[error(
        "the service gives a KeyPackage for {user}/{device} that is not of this device: nothing was done \
         with it. Compare the id with `pmls device show` on the device, and tell the service's operator"
    )]
    ForgedKeyPackage {
        /// The user that was asked for.
        user: String,
        /// The device that was asked for.
        device: DeviceId,
    },
    /// A KeyPackage by which nobody can be added.
    #[error(
        "{user}/{device} cannot be added by the KeyPackage that the service gives: {why}. Nobody was added; run \
         `pmls device publish` on that device, or add the others without it"
    )]
    BadKeyPackage {
        /// Whose it is.
        user: String,
        /// Of which device.
        device: DeviceId,
        /// What is wrong with it.
        why: Box<EngineError>,
    },
    /// This device has asked to leave.
    #[error(
        "this device has asked to leave {0}, and the next commit of another member carries that out: `pmls group \
         leave {0} --cancel` stays in it"
    )]
    IsLeaving(String),
    /// This device has not asked to leave.
    #[error("this device has not asked to leave {0}: there is nothing to cancel")]
    NotLeaving(String),
    /// A letter says that a device has proven its signature key, and it has not.
    #[error(
        "somebody sends a proof of the signature key of device {device} of pairing {pairing} that is none: it \
         was dropped"
    )]
    ForgedKeyProof {
        /// The pairing.
        pairing: PairingId,
        /// The device that it names.
        device: u16,
    },
    /// A partner has not proven the key that the shared leaf would list.
    #[error(
        "a partner has not proven yet that it shares the leaf of pairing {0}: let it run `pmls pair resend`, \
         then `pmls sync` here"
    )]
    NotProven(PairingId),
    /// Somebody says that it is somebody else.
    #[error(
        "device {device} says that it is of {says}, and the directory does not: whoever has it is not to be \
         trusted"
    )]
    Impostor {
        /// Who it says that it is.
        says: String,
        /// Its device.
        device: DeviceId,
    },
    /// The directory does not know a user.
    #[error("the service knows no user {0}: check the name, or wait until a device is registered")]
    NoUser(String),
    /// A partner makes more KeyPackages than anybody uses.
    #[error("there are enough KeyPackages of the partners in pairing {0}, and more are not kept")]
    TooManyPackages(PairingId),
    /// A Welcome is too long to be kept.
    #[error(
        "a Welcome of {0} bytes is longer than what is kept for a commit that is still to come"
    )]
    NoRoomForWelcome(usize),
    /// A token in a group without a shared leaf.
    #[error("in {0} this device has a leaf of its own, and needs no token")]
    NoSharedLeaf(String),
    /// A choice in a group with a shared leaf.
    #[error("in {0} this device shares its leaf: there is nothing to choose")]
    SharedLeaf(String),
    /// A user has several devices.
    #[error("{0} has several devices: name one as {0}/DEVICE; `pmls device list {0}` shows all")]
    SeveralDevices(String),
    /// A user has no such device.
    #[error("{0} has no such device besides this one: `pmls device list {0}` shows all")]
    NoDevice(String),
}

impl EngineError {
    /// Whether the service has looked at a request and refused it, so that it would again.
    pub(super) fn is_final(&self) -> bool {
        matches!(self, Self::Client(ClientError::Refused(_)))
            && !matches!(self, Self::Client(error) if error.is_transient())
    }

    /// Whether one group cannot be followed, and all others can.
    pub(crate) fn is_of_one_group(&self) -> bool {
        matches!(
            self,
            Self::Stuck { .. }
                | Self::Missing { .. }
                | Self::Hole { .. }
                | Self::OtherHistory { .. }
                | Self::Restored(_)
                | Self::Pruned { .. }
                | Self::NoGroupInfo(_)
                | Self::NotAtTheService(_)
                | Self::Ended(_)
        )
    }

    /// Whether the network or the service is at fault, so that it may work later.
    pub(crate) fn is_network(&self) -> bool {
        match self {
            Self::Client(error) => error.is_transient(),
            Self::Waiting { .. } => true,
            _ => false,
        }
    }

    /// Whether somebody may have meant harm by what led to this. What comes twice, too late, for another
    /// device, or is nonsense, is ordinary life with a mailbox that anybody can write to.
    pub(super) fn is_suspicious(&self) -> bool {
        use paired_mls::pairing::{PairingError, PeerError as Refused};
        use paired_mls_openmls::{Error, PeerError};
        match self {
            Self::Impostor { .. } | Self::ForgedKeyPackage { .. } | Self::ForgedKeyProof { .. } => {
                true
            }
            Self::Book(BookError::Pairing(PairingError::Peer(refused))) => matches!(
                refused,
                Refused::WrongTag { .. }
                    | Refused::ChannelMembers
                    | Refused::NotFromInitiator(_)
                    | Refused::KeyPairMismatch
                    | Refused::RosterDiffers
                    | Refused::TermsDiffer
                    | Refused::OtherRequest
            ),
            Self::Mls(Error::Peer(refused)) => {
                !matches!(refused, PeerError::Message(_) | PeerError::Level(_) | PeerError::Kind(_))
            }
            _ => false,
        }
    }

    /// Whether it says something of this device, its network or the service, and nothing of the message
    /// that was to be processed: that one can be processed again.
    pub(super) fn is_local(&self) -> bool {
        use paired_mls_openmls::Error;
        match self {
            Self::Client(_) => !self.is_final(),
            Self::Mls(error) => matches!(error, Error::Vault(_) | Error::Storage { .. }),
            Self::Book(error) => matches!(error, BookError::Vault(_)),
            Self::Waiting { .. }
            | Self::Session(_)
            | Self::Database(_)
            | Self::Vault(_)
            | Self::NoRandomness => true,
            _ => false,
        }
    }
}

impl From<UsageError> for EngineError {
    fn from(error: UsageError) -> Self {
        Self::Mls(error.into())
    }
}

impl From<paired_mls::leaf::LeafVaultError> for EngineError {
    fn from(error: paired_mls::leaf::LeafVaultError) -> Self {
        Self::Book(error.into())
    }
}
