//! The pairing is ending: who has stopped, and who has not said so yet.

use std::collections::BTreeSet;

use super::{Agreement, Ceased};
use crate::{
    DeviceId, Index, Notify, PairingId, Vault,
    pairing::{
        channel::{Outbound, Route},
        error::{CallerError, Failed, PairingError, PeerError, StateName},
        messages::{Body, CeaseAck, CeasePair, MessageType, PairingMessage},
        plan::Plan,
        tag::{TagInput, TagPurpose},
        terms::Terms,
    },
};

/// A device that draws nothing from the tape any more, and keeps it until every partner has said the
/// same: a commit that one of them sent before it knew can still be followed.
///
/// This type makes it impossible to commit with a tape that is being given up, and to erase it while
/// a partner still uses it.
///
/// With more than two devices *all* stop. A device that learns of the end tells those that it has not
/// heard from, so that one lost message keeps nobody in a pairing that others have left.
#[derive(Debug, PartialEq, Eq)]
pub struct Ceasing {
    pub(super) agreement: Agreement,
    /// The devices that this one knows to have ended the pairing: one, or several at once.
    pub(super) ended_by: BTreeSet<DeviceId>,
    /// The partners that have said that they stopped.
    pub(super) stopped: BTreeSet<DeviceId>,
    /// Made at the beginning, so that they can be sent again without the vault.
    pub(super) cease_pair: CeasePair,
    pub(super) cease_ack: CeaseAck,
}

/// What a device is after a message about the end.
#[derive(Debug)]
#[must_use]
pub enum Ending {
    /// Some partner has not said that it stopped.
    Ceasing(Ceasing),
    /// All have.
    Ceased(Ceased),
}

/// A sign that a partner has used the tape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Sighting {
    /// A Notify of this pairing, opened.
    Notify(Notify),
    /// The index of a commit, known otherwise.
    Index(Index),
}

/// A partner goes on with a pairing that this device has ended.
///
/// Nothing is lost: follow the commit as ever while the tape is there, and send CeasePair again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartnerContinues {
    /// The partner.
    pub device: DeviceId,
    /// The index that it used.
    pub index: Index,
    /// Whether it had said that it would not.
    pub promise: PartnerPromise,
}

/// Whether a partner has said that it stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartnerPromise {
    /// It has not: it may not know yet, or it ignores the request.
    Missing,
    /// It has: its commit was on its way before, or it does not keep its word.
    Given,
}

/// What a partner has said about the end.
struct Heard {
    /// The partner, which has stopped.
    device: DeviceId,
    /// Who has ended the pairing, if it said so.
    ended_by: Option<DeviceId>,
    send: Vec<Outbound>,
}

impl Ceasing {
    /// The device ends the pairing itself.
    pub(super) fn begin(
        vault: &Vault,
        agreement: &Agreement,
    ) -> Result<(Self, Outbound), PairingError> {
        let ceasing = Self::new(vault, agreement, agreement.own())?;
        let outbound = ceasing.cease_pair_to(agreement.partners())?;
        Ok((ceasing, outbound))
    }

    /// A partner has ended it.
    pub(super) fn after_cease_pair(
        vault: &Vault,
        agreement: &Agreement,
        cease: &CeasePair,
    ) -> Result<(Self, Vec<Outbound>), PairingError> {
        agreement.verify_cease_pair(vault, cease)?;
        let mut ceasing = Self::new(vault, agreement, cease.ended_by)?;
        ceasing.stopped.insert(cease.device);
        let mut send = vec![ceasing.ack_to(cease.device)?];
        let others = ceasing.waiting_for();
        if !others.is_empty() {
            send.push(ceasing.cease_pair_to(others)?);
        }
        Ok((ceasing, send))
    }

    /// ```text
    /// CeasePair.tag = ExpandWithLabel(accept_secret, "cease pair tag",
    ///                                 transcript_hash || device || ended_by, Nh)
    /// CeaseAck.tag  = ExpandWithLabel(accept_secret, "cease ack tag", transcript_hash || device, Nh)
    /// ```
    fn new(vault: &Vault, agreement: &Agreement, ended_by: DeviceId) -> Result<Self, PairingError> {
        let (pairing_id, device) = (agreement.pairing_id(), agreement.own());
        let tag = agreement.tag(vault, &agreement.cease_pair_input(ended_by)?)?;
        let cease_pair = CeasePair { pairing_id, device, ended_by, tag };
        let tag = agreement.tag(vault, &agreement.input(TagPurpose::CeaseAck))?;
        let cease_ack = CeaseAck { pairing_id, device, tag };
        let (agreement, ended_by) = (agreement.clone(), BTreeSet::from([ended_by]));
        Ok(Self { agreement, ended_by, stopped: BTreeSet::new(), cease_pair, cease_ack })
    }

    /// The pairing.
    pub fn pairing_id(&self) -> PairingId {
        self.agreement.pairing_id()
    }

    /// What the devices had agreed on.
    pub fn terms(&self) -> &Terms {
        self.agreement.terms()
    }

    /// The partners that have not said that they stopped.
    pub fn waiting_for(&self) -> Vec<DeviceId> {
        let partners = self.agreement.partners().into_iter();
        partners.filter(|device| !self.stopped.contains(device)).collect()
    }

    /// What has to happen in the groups.
    pub fn plan(&self) -> Plan {
        Plan::new(self.agreement.terms(), &self.ended_by)
    }

    /// CeasePair again, for the partners that have not answered.
    ///
    /// # Errors
    ///
    /// [`CallerError::TooLarge`], which a message of this size never is.
    pub fn resend(&self) -> Result<Outbound, PairingError> {
        self.cease_pair_to(self.waiting_for())
    }

    /// Receives a CeaseAck, or a partner's own CeasePair, which says as much.
    ///
    /// Returns the next state and what to send.
    ///
    /// # Errors
    ///
    /// [`PeerError`](crate::pairing::PeerError) for a message that no partner made for this pairing,
    /// or that belongs elsewhere.
    pub fn receive(
        self,
        vault: &Vault,
        message: &[u8],
    ) -> Result<(Ending, Vec<Outbound>), Failed<Self>> {
        match self.check(vault, message) {
            Ok(Heard { device, ended_by, send }) => {
                let mut state = self;
                state.stopped.insert(device);
                state.ended_by.extend(ended_by);
                Ok((state.settle(), send))
            }
            Err(error) => Err(Failed::new(self, error)),
        }
    }

    fn check(&self, vault: &Vault, bytes: &[u8]) -> Result<Heard, PairingError> {
        match self.agreement.decode(bytes)? {
            PairingMessage::CeasePair(cease) => {
                self.agreement.verify_cease_pair(vault, &cease)?;
                let (device, ended_by) = (cease.device, Some(cease.ended_by));
                Ok(Heard { device, ended_by, send: vec![self.ack_to(device)?] })
            }
            PairingMessage::CeaseAck(ack) => {
                let input = self.agreement.input(TagPurpose::CeaseAck);
                self.agreement.verify(
                    vault,
                    MessageType::CeaseAck,
                    ack.device,
                    &input,
                    &ack.tag,
                )?;
                Ok(Heard { device: ack.device, ended_by: None, send: Vec::new() })
            }
            other => Err(super::out_of_order(&other, StateName::Ceasing)),
        }
    }

    /// Whether a sign of the tape's use means that a partner goes on with the pairing.
    ///
    /// Returns the event to report; `None` for an index of no partner, this device's own among them.
    pub fn detect(&self, sighting: Sighting) -> Option<PartnerContinues> {
        let index = match sighting {
            Sighting::Notify(notify) => notify.spot.index,
            Sighting::Index(index) => index,
        };
        let device = index.device();
        let promise = match self.stopped.contains(&device) {
            true => PartnerPromise::Given,
            false => PartnerPromise::Missing,
        };
        let partner = self.agreement.partners().contains(&device);
        partner.then_some(PartnerContinues { device, index, promise })
    }

    /// Ends the pairing without the partners that have not answered: they are lost for ever, or
    /// refuse.
    ///
    /// # Security
    ///
    /// A commit that such a partner still makes with the tape cannot be followed once the tape is
    /// erased. In every group, remove the partner's leaf, or the shared one, first.
    pub fn force_end(self) -> Ceased {
        let unconfirmed = self.waiting_for();
        Ceased {
            agreement: self.agreement,
            ended_by: self.ended_by,
            unconfirmed,
            cease_ack: self.cease_ack,
        }
    }

    pub(super) fn settle(self) -> Ending {
        match self.waiting_for().is_empty() {
            true => Ending::Ceased(self.force_end()),
            false => Ending::Ceasing(self),
        }
    }

    fn cease_pair_to(&self, devices: Vec<DeviceId>) -> Result<Outbound, PairingError> {
        let message = self.cease_pair.message().map_err(CallerError::from)?;
        Ok(Outbound { route: Route::Partners(devices), message })
    }

    fn ack_to(&self, device: DeviceId) -> Result<Outbound, PairingError> {
        let message = self.cease_ack.message().map_err(CallerError::from)?;
        Ok(Outbound { route: Route::Partners(vec![device]), message })
    }
}

impl Agreement {
    fn verify_cease_pair(&self, vault: &Vault, cease: &CeasePair) -> Result<(), PairingError> {
        let input = self.cease_pair_input(cease.ended_by)?;
        self.verify(vault, MessageType::CeasePair, cease.device, &input, &cease.tag)?;
        match self.terms().roster().party(cease.ended_by) {
            Some(_) => Ok(()),
            None => Err(PeerError::ForeignDevice(cease.ended_by).into()),
        }
    }

    fn cease_pair_input(&self, ended_by: DeviceId) -> Result<TagInput<'_>, CallerError> {
        Ok(CeasePair::input(&self.transcript, ended_by)?)
    }
}

impl From<Notify> for Sighting {
    fn from(notify: Notify) -> Self {
        Self::Notify(notify)
    }
}

impl From<Index> for Sighting {
    fn from(index: Index) -> Self {
        Self::Index(index)
    }
}
