//! The pairing protocol, carried by mailboxes, the 1-to-1 channel and the directory.
//!
//! ```text
//! pair start      -> 1-to-1 channel (Welcome), ShareRand          standard mode: InitPairing -> directory
//!                                                                 hidden mode:   InitPairing -> channel, no key
//! sync            <- all of that: the digits cover it, and are shown
//! pair confirm    both users have compared the digits             hidden mode:   InitPairing -> channel, the key
//!                 they differ: Abandon -> channel
//! sync            <- Accept of each device: paired, and used in every group that all devices are in
//! pair end        -> CeasePair   <- CeaseAck: tapes erased, leaves leave
//! ```

mod channel;
mod ending;
mod offer;
mod settle;
mod start;
mod view;

use paired_mls::{
    PairingId,
    pairing::{
        AnchorKind, Outbound, PairingMessage, PairingState, Progress, Route, ShareRand, StateName,
    },
};
use paired_mls_openmls::{Channel, UsageError};
use serde::{Deserialize, Serialize};

pub(super) use self::{channel::CHANNEL_PREFIX, view::short_state};
pub(crate) use self::{
    ending::{CommittedBy, EndInGroup, EndView, Partners},
    start::Invitation,
    view::PairingView,
};
use super::{Engine, EngineError, Happening, Report, item::Item, leaf::LastResort};

/// What a pairing is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Start {
    /// Each device has a leaf and a key of its own.
    Node,
    /// One leaf, that lists the key of each device.
    Leaf,
    /// One leaf with one key, which says nothing of several devices.
    Hidden,
}

impl Start {
    /// The anchor that is asked for in standard mode.
    fn standard(self) -> Option<AnchorKind> {
        match self {
            Self::Node => Some(AnchorKind::Node),
            Self::Leaf => Some(AnchorKind::Leaf),
            Self::Hidden => None,
        }
    }
}

impl Engine {
    /// Stores what a step of the protocol has to send, for each way.
    pub(in crate::engine) fn follow_up(
        &self,
        progress: Progress,
        report: &mut Report,
    ) -> Result<(), EngineError> {
        let pairing = progress.pairing;
        self.device().provider().transaction(|| {
            progress.send.iter().try_for_each(|outbound| self.post(pairing, outbound))
        })?;
        if progress.state != StateName::Unpaired {
            report.pairing(pairing, progress.state);
        }
        self.tell_of_offer(pairing, report)
    }

    fn post(&self, pairing: PairingId, outbound: &Outbound) -> Result<(), EngineError> {
        match &outbound.route {
            Route::Directory => {
                let request = outbound.message.expose().to_vec().into();
                self.enqueue(&Item::Pairing(request))?;
            }
            Route::OneToOne => {
                let (id, record) = self
                    .channel_of(pairing)?
                    .ok_or_else(|| EngineError::NoPairing(pairing.to_string()))?;
                let mut channel = Channel::load(self.device(), &id)?;
                let message = channel.send(self.device(), outbound)?;
                for to in self.addresses(&record)? {
                    self.enqueue(&Item::letter(to, &message)?)?;
                }
            }
            Route::Partners(numbers) => {
                let accept = matches!(
                    PairingMessage::decode(outbound.message.expose()),
                    Ok(PairingMessage::Accept(_))
                );
                for (number, to) in self.partners_of(pairing)? {
                    if numbers.contains(&number) {
                        if accept {
                            self.send_proof(pairing, to.clone())?;
                        }
                        self.enqueue(&Item::letter(to, outbound.message.expose())?)?;
                    }
                }
            }
            _ => return Err(UsageError::NotForTheChannel.into()),
        }
        Ok(())
    }

    /// The pairing whose identifier begins like this; for nothing, the only one that is not over.
    pub(crate) fn find_pairing(&self, name: &str) -> Result<PairingId, EngineError> {
        let mut found = Vec::new();
        for id in self.book().pairings()? {
            let over = matches!(self.book().load(id)?, PairingState::Ceased(_));
            if id.to_string().starts_with(name) && !(name.is_empty() && over) {
                found.push(id);
            }
        }
        let mut found = found.into_iter();
        match (found.next(), found.next()) {
            (Some(id), None) => Ok(id),
            (Some(_), Some(_)) => Err(EngineError::Ambiguous(name.to_owned())),
            (None, _) => Err(EngineError::NoPairing(name.to_owned())),
        }
    }

    /// Sends again what this device has to say in the present state of a pairing.
    pub(crate) async fn resend(
        &mut self,
        name: &str,
        report: &mut Report,
    ) -> Result<PairingId, EngineError> {
        self.sync_mailbox(report).await?;
        let pairing = self.find_pairing(name)?;
        let progress = self.book().resend(pairing)?;
        let messages = progress.send.len();
        self.follow_up(progress, report)?;
        self.flush(report).await?;
        report.add(Happening::Resent { pairing: pairing.to_string(), messages });
        Ok(pairing)
    }

    /// Makes further KeyPackages from the tape of a pairing.
    pub(crate) async fn publish_packages(
        &mut self,
        name: &str,
        count: usize,
        report: &mut Report,
    ) -> Result<PairingId, EngineError> {
        self.sync_mailbox(report).await?;
        let pairing = self.find_pairing(name)?;
        let count = self.publish_from_tape(pairing, count, LastResort::Omitted)?;
        self.flush(report).await?;
        report.add(Happening::TapePackages { pairing: pairing.to_string(), count });
        Ok(pairing)
    }
}

/// Reads the message of a seed file.
pub(crate) fn seed_of(bytes: &[u8]) -> Option<ShareRand> {
    match PairingMessage::decode(bytes) {
        Ok(PairingMessage::ShareRand(share)) => Some(share),
        _ => None,
    }
}
