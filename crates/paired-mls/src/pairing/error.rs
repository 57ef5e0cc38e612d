//! Why a step of the pairing failed, by blame, and the state that is still there.

use std::fmt;

use thiserror::Error;

use super::{
    channel::Way,
    codec::{DecodeError, TooLarge},
    messages::MessageType,
    terms::TermsError,
};
use crate::{DeviceId, PairingId, TapeError, VaultError};

/// Why a step of the pairing failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PairingError {
    /// The message was at fault: its sender, or someone on the way.
    #[error(transparent)]
    Peer(#[from] PeerError),
    /// The call was at fault.
    #[error(transparent)]
    Caller(#[from] CallerError),
    /// The vault refused.
    #[error(transparent)]
    Vault(#[from] VaultError),
}

/// A message that is refused. To blame is its sender, or someone on the way.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PeerError {
    /// The bytes are no message.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// A message of a later version of the protocol.
    #[error("pairing message type {0} is unknown: update this device's software")]
    UnknownMessage(u8),
    /// The message belongs to another step. It may be given again later.
    #[error("{message} does not belong here: this device is {state}")]
    OutOfOrder {
        /// What came.
        message: MessageType,
        /// The state of this device.
        state: StateName,
    },
    /// The message must not come this way.
    #[error("{message} came {way}, where it must not be: {rule}")]
    WrongWay {
        /// What came.
        message: MessageType,
        /// How it came.
        way: Way,
        /// How it must come.
        rule: WayRule,
    },
    /// The message is of another pairing.
    #[error("the message belongs to pairing {found} and this one is {expected}")]
    OtherPairing {
        /// What the message says.
        found: PairingId,
        /// The pairing of this state.
        expected: PairingId,
    },
    /// Nobody can pair like this.
    #[error(transparent)]
    Terms(#[from] TermsError),
    /// The seed has the wrong length.
    #[error("the seed is refused: {0}")]
    Seed(TapeError),
    /// This device is not in the list of devices.
    #[error("the message lists other devices: this one is not among them")]
    NotListed,
    /// InitPairing and ShareRand do not say the same.
    #[error(
        "InitPairing lists other devices, keys or another cipher suite than the seed came with"
    )]
    RosterDiffers,
    /// The 1-to-1 channel has other members than the pairing.
    #[error("the members of the 1-to-1 channel are not exactly the devices of the pairing")]
    ChannelMembers,
    /// InitPairing was sent by someone other than the initiator that it names.
    #[error("the request names {0} as its initiator, and another device sent it")]
    NotFromInitiator(DeviceId),
    /// The key of a shared leaf comes with other terms than were announced.
    #[error("the request that brings the leaf's key does not say what was announced before")]
    TermsDiffer,
    /// The private key does not belong to the public one.
    #[error("the private signature key does not belong to the anchor's public key")]
    KeyPairMismatch,
    /// The message names a device that is not of the pairing.
    #[error("{0} is not a device of this pairing")]
    ForeignDevice(DeviceId),
    /// This device's own message came back.
    #[error("this device's own {0} came back to it")]
    Reflected(MessageType),
    /// The tag does not authenticate.
    #[error(
        "the tag of {message} does not authenticate {device}: it was forged, or made under other terms"
    )]
    WrongTag {
        /// What came.
        message: MessageType,
        /// Who is said to have sent it.
        device: DeviceId,
    },
    /// The directory confirms another request than this device's.
    #[error("the directory accepted another request than this device sent")]
    OtherRequest,
}

/// A call that is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CallerError {
    /// Nobody can pair like this.
    #[error(transparent)]
    Terms(#[from] TermsError),
    /// The seed does not have Nh bytes.
    #[error(transparent)]
    Seed(TapeError),
    /// The list of devices does not have this device in it.
    #[error("this device, with its identity and signature key, is not in the list of devices")]
    NotListed,
    /// The 1-to-1 channel has other members than the pairing.
    #[error(
        "the members of the 1-to-1 channel are not exactly the devices of the pairing: whoever is \
         in it learns the secret"
    )]
    ChannelMembers,
    /// Nobody has compared the digits.
    #[error("the 1-to-1 channel is not verified: compare the short authentication string first")]
    ChannelNotVerified,
    /// The key of the shared leaf has not been handed over yet, or is not this device's to give.
    #[error(
        "the shared leaf's key has not been handed over yet: compare the digits on all devices"
    )]
    NoAnchorKey,
    /// The directory has not accepted yet.
    #[error("the directory has not accepted the pairing yet")]
    NotRegistered,
    /// Not another device of the pairing.
    #[error("{0} is not a partner of this device")]
    NotAPartner(DeviceId),
    /// A vector is too long.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
}

/// The ways that a message may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum WayRule {
    /// ShareRand.
    #[error("a seed comes from an offline file or over the 1-to-1 channel")]
    Seed,
    /// InitPairing of standard mode.
    #[error("a request of standard mode goes through the directory")]
    Standard,
    /// InitPairing of hidden mode.
    #[error("a request of hidden mode goes over the 1-to-1 channel only; take its key out of use")]
    Hidden,
    /// Abandon.
    #[error("that a pairing is given up is said over the 1-to-1 channel")]
    Abandon,
    /// The directory's Accept.
    #[error("only the directory sends it")]
    DirectoryOnly,
}

/// The states of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum StateName {
    /// [`Unpaired`](super::Unpaired)
    #[error("unpaired, and waits for a seed")]
    Unpaired,
    /// [`Seeded`](super::Seeded)
    #[error("seeded, and waits for a request")]
    Seeded,
    /// [`Invited`](super::Invited)
    #[error("invited, and waits for confirmations")]
    Invited,
    /// [`Paired`](super::Paired)
    #[error("paired")]
    Paired,
    /// [`Ceasing`](super::Ceasing)
    #[error("ending the pairing")]
    Ceasing,
    /// [`Ceased`](super::Ceased)
    #[error("done with this pairing")]
    Ceased,
}

/// A step that failed, with the state as it was before.
pub struct Failed<S, E = PairingError>(Box<(S, E)>);

impl<S, E> Failed<S, E> {
    pub(super) fn new(state: S, error: E) -> Self {
        Self(Box::new((state, error)))
    }

    /// Why it failed.
    pub fn error(&self) -> &E {
        &self.0.1
    }

    /// The state, unchanged: try again, or go another way.
    pub fn into_state(self) -> S {
        self.0.0
    }

    /// The state and the reason.
    pub fn into_parts(self) -> (S, E) {
        *self.0
    }
}

impl<S, E: fmt::Debug> fmt::Debug for Failed<S, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Failed").field(self.error()).finish()
    }
}

impl<S, E: fmt::Display> fmt::Display for Failed<S, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error().fmt(f)
    }
}

impl<S, E: std::error::Error> std::error::Error for Failed<S, E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error().source()
    }
}
