//! Every device has confirmed.

use super::{Agreement, Ceasing, Ending};
use crate::{
    DeviceId, PairingId, Vault,
    pairing::{
        channel::Outbound,
        error::{Failed, PairingError, StateName},
        messages::PairingMessage,
        terms::Terms,
    },
};

/// A device whose partners have all confirmed: they hold the same tape and know the same keys.
///
/// This type makes it impossible to heal a group on behalf of a device that never agreed to it.
#[derive(Debug, PartialEq, Eq)]
pub struct Paired {
    pub(in crate::pairing) agreement: Agreement,
}

/// What a device is after a message that it received while paired.
#[derive(Debug)]
#[must_use]
pub enum Continuation {
    /// Nothing has changed.
    Paired(Paired),
    /// A partner has ended the pairing.
    Ending(Ending),
}

impl Paired {
    /// The pairing: what the vault opens the groups' sub-tapes for.
    pub fn pairing_id(&self) -> PairingId {
        self.agreement.pairing_id()
    }

    /// What the devices have agreed on.
    pub fn terms(&self) -> &Terms {
        self.agreement.terms()
    }

    /// This device's number in the pairing.
    pub fn own_device(&self) -> DeviceId {
        self.agreement.own()
    }

    /// This device's Accept once more, for a partner that did not get it.
    ///
    /// # Errors
    ///
    /// The vault's.
    pub fn accept(&self, vault: &Vault) -> Result<Outbound, PairingError> {
        self.agreement.accept(vault)
    }

    /// Ends the pairing.
    ///
    /// Returns the state and a CeasePair for every partner. From here on this device draws nothing
    /// from the tape; it keeps it, to follow what partners sent before they knew.
    ///
    /// # Errors
    ///
    /// The vault's.
    pub fn end(self, vault: &Vault) -> Result<(Ceasing, Outbound), Failed<Self>> {
        match Ceasing::begin(vault, &self.agreement) {
            Ok(begun) => Ok(begun),
            Err(error) => Err(Failed::new(self, error)),
        }
    }

    /// Receives a CeasePair, or an Accept that came twice.
    ///
    /// Returns the next state and what to send. With two devices in the pairing a CeasePair leads to
    /// [`Ceased`](super::Ceased) at once; with more this device waits for the others.
    ///
    /// # Errors
    ///
    /// [`PeerError`](crate::pairing::PeerError) for a message that no partner made for this pairing,
    /// or that belongs elsewhere.
    pub fn receive(
        self,
        vault: &Vault,
        message: &[u8],
    ) -> Result<(Continuation, Vec<Outbound>), Failed<Self>> {
        match self.check(vault, message) {
            Ok(Some((ceasing, send))) => Ok((Continuation::Ending(ceasing.settle()), send)),
            Ok(None) => Ok((Continuation::Paired(self), Vec::new())),
            Err(error) => Err(Failed::new(self, error)),
        }
    }

    fn check(
        &self,
        vault: &Vault,
        bytes: &[u8],
    ) -> Result<Option<(Ceasing, Vec<Outbound>)>, PairingError> {
        match self.agreement.decode(bytes)? {
            PairingMessage::CeasePair(cease) => {
                Ceasing::after_cease_pair(vault, &self.agreement, &cease).map(Some)
            }
            PairingMessage::Accept(accept) => {
                self.agreement.verify_accept(vault, &accept).map(|()| None)
            }
            other => Err(super::out_of_order(&other, StateName::Paired)),
        }
    }
}
