//! The states of a device in one pairing, each a type.
//!
//! ```text
//! Unpaired ── seed ──► Seeded ── InitPairing ──► Invited ── Accepts ──► Paired ── CeasePair ──┐
//!                                                                                             ▼
//!                                                         Ceased ◄── CeaseAck, or by force ── Ceasing
//! ```
//!
//! A step consumes the state and gives the next one, or the same one back inside
//! [`Failed`](super::Failed): no step leaves a device without a state. Every check comes before the
//! first change.
//!
//! A device stores each state before it sends what the step gave it to send; `to_record` and
//! `from_record` do that. Nothing in a record is secret, but whoever can change one can end a pairing:
//! keep it where the vault is.

mod ceased;
mod ceasing;
mod invited;
mod paired;
mod record;
mod seeded;
mod unpaired;

pub use self::{
    ceased::Ceased,
    ceasing::{Ceasing, Ending, PartnerContinues, PartnerPromise, Sighting},
    invited::{Confirmation, Invited},
    paired::{Continuation, Paired},
    record::{PairingState, StateRecordError},
    seeded::{Joined, Request, Seeded},
    unpaired::Unpaired,
};
use super::{
    channel::ChannelTrust,
    error::{CallerError, PairingError, PeerError, StateName},
    messages::{MessageType, PairingMessage},
    tag::{TagError, TagInput, TagPurpose},
    terms::Terms,
    transcript::Transcript,
};
use crate::{DeviceId, PairingId, Vault};

/// How the seed reached this device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Road {
    /// From hardware or an offline file.
    Offline,
    /// Over the 1-to-1 channel.
    OneToOne(ChannelTrust),
}

impl Road {
    /// Whether the tape may be used: nobody else can have the seed.
    fn check(self) -> Result<(), CallerError> {
        match self {
            Self::Offline | Self::OneToOne(ChannelTrust::Compared | ChannelTrust::Credentials) => {
                Ok(())
            }
            Self::OneToOne(ChannelTrust::Pending) => Err(CallerError::ChannelNotVerified),
        }
    }

    /// The same road, now that its channel is known to be safe. An offline seed needs no channel.
    fn verified(self, trust: ChannelTrust) -> Self {
        match self {
            Self::Offline => Self::Offline,
            Self::OneToOne(_) => Self::OneToOne(trust),
        }
    }
}

/// What a device knows of a pairing that it has terms for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Agreement {
    own: DeviceId,
    terms: Terms,
    transcript: Transcript,
}

impl Agreement {
    fn new(own: DeviceId, terms: Terms) -> Result<Self, CallerError> {
        Ok(Self { own, transcript: Transcript::of(&terms)?, terms })
    }

    pub(super) fn own(&self) -> DeviceId {
        self.own
    }

    pub(super) fn terms(&self) -> &Terms {
        &self.terms
    }

    pub(super) fn pairing_id(&self) -> PairingId {
        self.terms.roster().pairing_id()
    }

    pub(super) fn transcript(&self) -> &Transcript {
        &self.transcript
    }

    /// Every device of the pairing except this one.
    pub(super) fn partners(&self) -> Vec<DeviceId> {
        self.terms.roster().numbers().into_iter().filter(|device| *device != self.own).collect()
    }

    fn input(&self, purpose: TagPurpose) -> TagInput<'_> {
        TagInput::new(purpose, &self.transcript)
    }

    pub(super) fn tag(&self, vault: &Vault, input: &TagInput<'_>) -> Result<Vec<u8>, PairingError> {
        Ok(vault.pairing_tag(self.pairing_id(), input)?)
    }

    /// Checks that `device` is a partner and that it wrote `tag`.
    pub(super) fn verify(
        &self,
        vault: &Vault,
        message: MessageType,
        device: DeviceId,
        input: &TagInput<'_>,
        tag: &[u8],
    ) -> Result<(), PairingError> {
        if device == self.own {
            return Err(PeerError::Reflected(message).into());
        }
        if !self.terms.roster().numbers().contains(&device) {
            return Err(PeerError::ForeignDevice(device).into());
        }
        match vault.verify_pairing_tag(self.pairing_id(), device, input, tag) {
            Ok(()) => Ok(()),
            Err(TagError::Wrong(device)) => Err(PeerError::WrongTag { message, device }.into()),
            Err(TagError::Vault(error)) => Err(error.into()),
        }
    }

    pub(super) fn decode(&self, bytes: &[u8]) -> Result<PairingMessage, PeerError> {
        decode_for(self.pairing_id(), bytes)
    }
}

/// Reads a message that must be of this pairing and of a known type.
fn decode_for(expected: PairingId, bytes: &[u8]) -> Result<PairingMessage, PeerError> {
    let message = PairingMessage::decode(bytes)?;
    if let PairingMessage::Unknown { message_type, .. } = message {
        return Err(PeerError::UnknownMessage(message_type));
    }
    match message.pairing_id() {
        Some(found) if found != expected => Err(PeerError::OtherPairing { found, expected }),
        _ => Ok(message),
    }
}

fn out_of_order(message: &PairingMessage, state: StateName) -> PairingError {
    PeerError::OutOfOrder { message: message.message_type(), state }.into()
}
