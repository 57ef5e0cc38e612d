//! A pairing begins in a group.

use alloc::sync::Arc;

use paired_mls::{
    CipherSuite, GroupRecord, HealPolicy, Pairing, Phase, group::SecurityTable,
    pairing::SignalPolicy,
};

use super::{Paired, Standing};
use crate::{Error, Library, ThisDevice, UsageError};

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

    /// Whether it is this pairing, and goes on.
    pub fn is_of(&self, pairing: &Pairing) -> bool {
        self.record.tape.pairing == pairing.id
            && self.record.devices == pairing.devices
            && self.record.phase == Phase::Active
    }
}
