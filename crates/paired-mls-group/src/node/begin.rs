//! A pairing begins in a group, or goes on in one that the device has come into again.

use alloc::sync::Arc;

use paired_mls::{
    CipherSuite, GroupRecord, HealPolicy, Pairing, Phase, RecordName, Vault, group::SecurityTable,
    pairing::SignalPolicy,
};

use super::{Paired, Standing, device_of};
use crate::{Error, Library, StagedCommit, ThisDevice, UsageError};

impl Paired {
    /// Pairs this device in a group of this suite, and has the vault remember it. All devices are exposed until one of
    /// them commits.
    ///
    /// # Errors
    ///
    /// [`UsageError::DeviceNotInGroup`] if a device is not a member; [`UsageError::SignatureKey`] if the pairing names
    /// another key for this device; [`UsageError::CipherSuite`]; [`Error::Vault`] if the vault has no such tape.
    pub fn begin<L: Library>(
        device: &ThisDevice<'_, L>,
        group: &L::Group,
        suite: CipherSuite,
        pairing: &Pairing,
    ) -> Result<Self, Error> {
        let ThisDevice { library, vault, .. } = device;
        let info = vault.pairing_info(pairing.id)?;
        if info.suite != suite {
            return Err(UsageError::CipherSuite.into());
        }
        let own = pairing.devices.iter().find(|paired| paired.device == info.own_device);
        if own.is_none_or(|own| own.signature_key != device.signature_key) {
            return Err(UsageError::SignatureKey.into());
        }
        let record = GroupRecord {
            tape: vault.open_group(pairing.id, library.group_id(group))?,
            devices: pairing.devices.clone(),
            heal_policy: HealPolicy::default(),
            phase: Phase::Active,
            signal: SignalPolicy::default(),
            security: SecurityTable::exposed(info.devices),
            epoch: library.epoch_mark(group),
            before: None,
            pending: None,
        };
        let standing = Standing::of(*library, group, &record)?;
        let mut devices = pairing.devices.iter().map(|paired| paired.device);
        if let Some(absent) = devices.find(|device| standing.leaf_of(*device).is_none()) {
            return Err(UsageError::DeviceNotInGroup(absent).into());
        }
        vault.note_epoch(&record.tape, record.epoch.epoch)?;
        vault.store_group(&record)?;
        Ok(Self { record, standing: Arc::new(standing) })
    }

    /// The pairing of a group that was joined anew. It goes on where it was, but that nobody is healed: what
    /// was is over. A pairing that was ending has ended.
    ///
    /// # Errors
    ///
    /// [`Error::Vault`], [`Error::Mls`].
    pub fn came_back<L: Library>(
        library: &L,
        vault: &Vault,
        group: &L::Group,
    ) -> Result<Option<Self>, Error> {
        let Some(mut record) = vault.load_group(library.group_id(group))? else {
            return Ok(None);
        };
        record.pending = None;
        let ended = record.phase == Phase::Ceasing;
        let name = RecordName::Group(record.tape.group_id.clone());
        match Self::load(library, vault, group, record)?.filter(|_| !ended) {
            Some(paired) => {
                vault.note_epoch(&paired.record.tape, library.epoch_mark(group).epoch)?;
                vault.store_group(&paired.record)?;
                Ok(Some(paired))
            }
            None => {
                vault.erase(&name)?;
                Ok(None)
            }
        }
    }

    /// A partner that comes back from outside may have lost what it knew of this device's lane of the tape:
    /// it is opened anew. `external` is an external commit.
    ///
    /// # Errors
    ///
    /// [`Error::Vault`].
    pub fn reopen_for(&self, vault: &Vault, external: &StagedCommit) -> Result<(), Error> {
        let newcomer = external.path.as_ref();
        match newcomer.and_then(|leaf| device_of(&self.record, leaf.signature_key())) {
            Some(_) => Ok(vault.reopen(&self.record.tape)?),
            None => Ok(()),
        }
    }

    /// Whether it is this pairing, and goes on.
    pub fn is_of(&self, pairing: &Pairing) -> bool {
        self.record.tape.pairing == pairing.id
            && self.record.devices == pairing.devices
            && self.record.phase == Phase::Active
    }
}
