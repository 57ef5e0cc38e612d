//! What the pairing is in this group, from its beginning to its end.

use mls_rs::CryptoProvider;
use paired_mls::{
    DeviceId, EpochSecurity, Freshness, GroupRecord, HealPolicy, Index, Pairing, Phase, TapeId,
    anchor::{Anchorage, LeafIndex},
};
use paired_mls_group::{
    Error, Membership, UsageError,
    node::{Footing, Paired, Standing},
    reserved::require_free,
};

use super::Group;
use crate::Device;

impl<C: CryptoProvider + Clone> Group<C> {
    /// Pairs this device in this group. The vault must hold the tape of the pairing; every device
    /// of the pairing makes this call for itself, in the same epoch or another.
    ///
    /// Returns how the devices stand in the tree: if strangers sit under the anchor, the pairing
    /// heals fewer partners or none until the devices are placed anew. Nothing changes if this pairing
    /// is used here already.
    ///
    /// # Errors
    ///
    /// [`UsageError::AlreadyPaired`] with another pairing; [`UsageError::DeviceNotInGroup`] if a device is not a
    /// member; [`UsageError::SignatureKey`] if the pairing names another key for this device;
    /// [`UsageError::CipherSuite`]; [`UsageError::CommitPending`]; [`UsageError::ReservedGroup`];
    /// [`Error::Vault`] if the vault has no such tape.
    pub fn pair(&mut self, device: &Device<C>, pairing: &Pairing) -> Result<Footing, Error> {
        if let Some(paired) = &self.paired {
            return match paired.is_of(pairing) {
                true => paired.standing.footing(),
                false => Err(UsageError::AlreadyPaired.into()),
            };
        }
        require_free(self.group_id())?;
        self.require_no_pending()?;
        let paired = Paired::begin(&device.this(), &self.state, device.suite(), pairing)?;
        let footing = paired.standing.footing();
        self.paired = Some(paired);
        footing
    }

    /// Whether this device is paired in this group.
    pub fn is_paired(&self) -> bool {
        self.paired.is_some()
    }

    /// The sub-tape of the pairing in this group; `None` without a pairing.
    pub fn pairing_tape(&self) -> Option<&TapeId> {
        self.paired.as_ref().map(|paired| &paired.record.tape)
    }

    /// The tape index of the own paired commit that waits; `None` if none does.
    pub fn pending_index(&self) -> Option<Index> {
        let paired = self.paired.as_ref().filter(|_| self.has_pending())?;
        paired.record.pending.as_ref()?.index
    }

    /// How safe the current epoch is for a device of the pairing; `None` for any other.
    ///
    /// It is about the group as it is: after a new membership, a restored backup of the MLS state or of
    /// the vault, all devices are exposed until a paired commit.
    pub fn security(&self, device: DeviceId) -> Option<EpochSecurity> {
        self.paired.as_ref()?.record.security.of(device)
    }

    /// The devices of the pairing that are members now, and their leaves.
    pub fn devices(&self) -> Vec<(DeviceId, LeafIndex)> {
        self.paired.as_ref().map(|paired| paired.standing.seats.clone()).unwrap_or_default()
    }

    /// Where a commit of this device would find its partners, as the tree is now.
    ///
    /// # Errors
    ///
    /// [`UsageError::NotPaired`]; [`Error::Locate`].
    pub fn anchorage(&self) -> Result<Anchorage, Error> {
        let standing = self.standing()?;
        standing.anchorage(standing.own, &[])
    }

    /// How the devices of the pairing stand in the tree now.
    ///
    /// # Errors
    ///
    /// [`UsageError::NotPaired`]; [`Error::Locate`].
    pub fn footing(&self) -> Result<Footing, Error> {
        self.standing()?.footing()
    }

    /// What happens when an event has weakened a partner.
    pub fn heal_policy(&self) -> Option<HealPolicy> {
        self.paired.as_ref().map(|paired| paired.record.heal_policy)
    }

    /// Chooses what happens when an event has weakened a partner.
    ///
    /// # Errors
    ///
    /// [`UsageError::NotPaired`], [`Error::Vault`].
    pub fn set_heal_policy(
        &mut self,
        device: &Device<C>,
        heal_policy: HealPolicy,
    ) -> Result<(), Error> {
        self.change_record(device, |record| record.heal_policy = heal_policy)
    }

    /// Compares the MLS state with the vault, of which one may come from a backup, and does what is to be done
    /// about a vault that is an older copy: nobody counts as healed until the next paired commit. Each commit does so
    /// by itself; to call it tells the caller.
    ///
    /// Returns how they stood. Without a pairing they are never compared.
    ///
    /// # Errors
    ///
    /// [`Error::Vault`].
    pub fn check_vault(&mut self, device: &Device<C>) -> Result<Freshness, Error> {
        let freshness = self.freshness(device)?;
        if freshness == Freshness::VaultIsOlder {
            self.change_record(device, |record| *record = Paired::outdated(record.clone()))?;
            if let Some(paired) = &self.paired {
                device.vault().catch_up(&paired.record.tape, self.epoch())?;
            }
        }
        Ok(freshness)
    }

    /// Whether this device still draws from the tape in this group; `None` without a pairing.
    pub fn phase(&self) -> Option<Phase> {
        self.paired.as_ref().map(|paired| paired.record.phase)
    }

    /// The pairing is ending: this device draws nothing more, so that its commits are ordinary ones, and nobody is
    /// healed by them. What partners have sent before they knew is still followed.
    ///
    /// # Errors
    ///
    /// [`UsageError::NotPaired`], [`Error::Vault`].
    pub fn cease(&mut self, device: &Device<C>) -> Result<(), Error> {
        self.change_record(device, |record| {
            record.phase = Phase::Ceasing;
            record.heal_policy = HealPolicy::Manual;
        })
    }

    /// Takes the pairing out of this group: its record, and its sub-tape, are erased. May be called again.
    ///
    /// # Errors
    ///
    /// [`UsageError::CommitPending`] while a paired commit of this device waits; [`Error::Vault`].
    pub fn unpair(&mut self, device: &Device<C>) -> Result<(), Error> {
        if self.pending_index().is_some() {
            return Err(UsageError::CommitPending.into());
        }
        if let Some(paired) = &self.paired {
            paired.erase(device.vault())?;
        }
        self.paired = None;
        Ok(())
    }

    pub(super) fn require_member(&self) -> Result<(), UsageError> {
        match self.state.membership {
            Membership::Stays => Ok(()),
            Membership::Removed => Err(UsageError::Removed),
        }
    }

    /// Refuses to send with ratchets that may have been used.
    pub(super) fn require_current_state(&self, device: &Device<C>) -> Result<(), Error> {
        match self.freshness(device)? {
            Freshness::StateIsOlder => Err(UsageError::StateIsOlder.into()),
            Freshness::Current | Freshness::VaultIsOlder => Ok(()),
        }
    }

    fn freshness(&self, device: &Device<C>) -> Result<Freshness, Error> {
        match &self.paired {
            Some(paired) if self.state.membership == Membership::Stays => {
                Ok(device.vault().freshness(&paired.record.tape, self.epoch())?)
            }
            _ => Ok(Freshness::Current),
        }
    }

    fn change_record(
        &mut self,
        device: &Device<C>,
        change: impl FnOnce(&mut GroupRecord),
    ) -> Result<(), Error> {
        self.paired.as_mut().ok_or(UsageError::NotPaired)?.change(device.vault(), change)
    }

    fn standing(&self) -> Result<&Standing, Error> {
        Ok(&self.paired.as_ref().ok_or(UsageError::NotPaired)?.standing)
    }
}
