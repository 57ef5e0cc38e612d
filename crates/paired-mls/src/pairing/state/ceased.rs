//! The pairing is over.

use std::collections::BTreeSet;

use super::{Agreement, Unpaired};
use crate::{
    DeviceId, PairingId, RecordName, TapeId, Vault,
    leaf::{LeafVaultError, PACKAGES_GROUP_ID},
    pairing::{
        channel::{Outbound, Route},
        error::{CallerError, PairingError, PeerError, StateName},
        messages::{Body, CeaseAck, MessageType, PairingMessage},
        plan::Plan,
        terms::Terms,
    },
};

/// A device for which the pairing is over. The tape is still there until [`Ceased::erase_tape`].
///
/// This type makes it impossible to erase the tape before every partner has stopped, short of
/// [`Ceasing::force_end`](super::Ceasing::force_end).
///
/// Store it first, then erase the tape: after a crash in between, load it and erase again.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "erase the tape"]
pub struct Ceased {
    pub(super) agreement: Agreement,
    pub(super) ended_by: BTreeSet<DeviceId>,
    pub(super) unconfirmed: Vec<DeviceId>,
    pub(super) cease_ack: CeaseAck,
}

impl Ceased {
    /// The pairing that is over.
    pub fn pairing_id(&self) -> PairingId {
        self.agreement.pairing_id()
    }

    /// What the devices had agreed on.
    pub fn terms(&self) -> &Terms {
        self.agreement.terms()
    }

    /// The partners that never said that they stopped: none, unless the end was forced.
    pub fn unconfirmed(&self) -> &[DeviceId] {
        &self.unconfirmed
    }

    /// What has to happen in the groups.
    pub fn plan(&self) -> Plan {
        Plan::new(self.agreement.terms(), &self.ended_by)
    }

    /// Erases the pairing's tape, its sub-tapes for `groups`, and what the vault knows of this pairing
    /// in these groups. May be called again.
    ///
    /// First process what the delivery service still holds for these groups: a commit that a partner
    /// sent before it stopped needs the tape.
    ///
    /// # Errors
    ///
    /// The vault's. Call it again: what was erased stays erased.
    pub fn erase_tape(&self, vault: &Vault, groups: &[Vec<u8>]) -> Result<(), LeafVaultError> {
        let pairing = self.pairing_id();
        for group_id in groups {
            let tape = TapeId { pairing, group_id: group_id.clone() };
            if vault.load_group(group_id)?.is_some_and(|record| record.tape == tape) {
                vault.erase(&RecordName::Group(group_id.clone()))?;
            }
            if vault.load_leaf(group_id)?.is_some_and(|record| record.tape == tape) {
                vault.erase(&RecordName::Leaf(group_id.clone()))?;
            }
            vault.erase(&RecordName::SubTape(tape))?;
        }
        let packages = TapeId { pairing, group_id: PACKAGES_GROUP_ID.to_vec() };
        vault.erase(&RecordName::SubTape(packages))?;
        vault.erase(&RecordName::LeafPackages(pairing))?;
        Ok(vault.erase(&RecordName::Pairing(pairing))?)
    }

    /// Answers a CeasePair that came again, since the partner did not get the answer.
    ///
    /// The tape is gone, so nobody checks who asks; the answer is the one that was given before. No
    /// answer is ever answered, so that two devices do not do so for ever.
    ///
    /// # Errors
    ///
    /// [`PeerError`] for anything but a partner's CeasePair of this pairing.
    pub fn answer(&self, message: &[u8]) -> Result<Outbound, PairingError> {
        let cease = match self.agreement.decode(message)? {
            PairingMessage::CeasePair(cease) => cease,
            other => return Err(super::out_of_order(&other, StateName::Ceased)),
        };
        if cease.device == self.agreement.own() {
            return Err(PeerError::Reflected(MessageType::CeasePair).into());
        }
        if !self.agreement.partners().contains(&cease.device) {
            return Err(PeerError::ForeignDevice(cease.device).into());
        }
        Ok(Outbound {
            route: Route::Partners(vec![cease.device]),
            message: self.cease_ack.message().map_err(CallerError::from)?,
        })
    }

    /// The device as it was before the pairing, with the same identity and signature key.
    ///
    /// Where the [plan](Ceased::plan) asks for new signature keys, begin with
    /// [`Unpaired::new`] and the new key instead.
    pub fn into_unpaired(self) -> Unpaired {
        Unpaired { own: self.agreement.own_party() }
    }
}
