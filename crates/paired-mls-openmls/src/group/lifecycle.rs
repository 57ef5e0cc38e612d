//! How a group comes to be on a device: created, joined, loaded, rejoined.

use openmls::prelude::{
    GroupEpoch, GroupId, MlsGroup, MlsGroupCreateConfig, MlsGroupJoinConfig, MlsMessageBodyIn,
    MlsMessageIn, ProcessedWelcome, Welcome,
};
use openmls_traits::storage::StorageProvider as _;
use tls_codec::DeserializeBytes as _;

use super::{Paired, PairedGroup};
use crate::{
    Device, Error, PeerError, Platform, UsageError,
    gate::check_signature_keys,
    identity,
    provider::{atomically, undone},
};

impl PairedGroup {
    /// Creates a group with this device as its only member.
    ///
    /// # Errors
    ///
    /// [`Error::Mls`] if OpenMLS cannot create or store it.
    pub fn create<P: Platform>(
        device: &Device<P>,
        group_id: &[u8],
        config: &MlsGroupCreateConfig,
    ) -> Result<Self, Error> {
        let provider = device.provider();
        let mls = atomically(provider, || {
            MlsGroup::new_with_group_id(
                provider,
                device.signer(),
                config,
                GroupId::from_slice(group_id),
                device.credential().clone(),
            )
            .map_err(Error::mls("create a group"))
        })?;
        let identities = identity::present(device, &mls)?;
        Ok(Self { mls, identities, paired: None })
    }

    /// Joins a group by a Welcome that carries the ratchet tree. What is left of an earlier
    /// membership in the same group, from which this device was removed, is erased.
    ///
    /// # Errors
    ///
    /// [`PeerError::Message`] if the Welcome is for none of the device's KeyPackages, is damaged, or
    /// carries no ratchet tree; [`PeerError::Identity`] under a strict credential policy; [`Error::Vault`].
    pub fn join<P: Platform>(
        device: &Device<P>,
        welcome: &[u8],
        config: &MlsGroupJoinConfig,
    ) -> Result<Self, Error> {
        let provider = device.provider();
        let MlsMessageBodyIn::Welcome(welcome) = parse(welcome)?.extract() else {
            return Err(PeerError::Kind("Welcome").into());
        };
        let (mls, identities) = atomically(provider, || {
            let processed = ProcessedWelcome::new_from_welcome(provider, config, welcome)
                .map_err(PeerError::message)?;
            forget_inactive(device, processed.unverified_group_info().group_id())?;
            let staged = processed.into_staged_welcome(provider, None);
            let mls = staged
                .and_then(|staged| staged.into_group(provider))
                .map_err(PeerError::message)?;
            check_signature_keys(&mls)?;
            let identities = identity::present(device, &mls)?;
            Ok((mls, identities))
        })?;
        Ok(Self { mls, identities, paired: None })
    }

    /// Loads a group and its pairing.
    ///
    /// # Errors
    ///
    /// [`UsageError::NoSuchGroup`]; [`Error::Storage`]; [`Error::Vault`].
    pub fn load<P: Platform>(device: &Device<P>, group_id: &[u8]) -> Result<Self, Error> {
        let storage = device.provider().storage();
        let mls = MlsGroup::load(storage, &GroupId::from_slice(group_id))
            .map_err(Error::storage("load a group"))?
            .ok_or(UsageError::NoSuchGroup)?;
        let record = device.vault().load_group(group_id)?;
        let paired = record.map(|record| Paired::load(&mls, record)).transpose()?;
        let identities = device.vault().load_identities(group_id)?;
        Ok(Self { mls, identities, paired })
    }
}

/// The group that a Welcome to one of the device's own KeyPackages leads into. Nothing changes: a device
/// that is in several kinds of groups learns of which kind this one is.
///
/// # Errors
///
/// [`PeerError::Message`] if the Welcome is for none of the device's KeyPackages, or is damaged.
pub fn welcome_group_id<P: Platform>(device: &Device<P>, welcome: &[u8]) -> Result<Vec<u8>, Error> {
    let MlsMessageBodyIn::Welcome(welcome) = parse(welcome)?.extract() else {
        return Err(PeerError::Kind("Welcome").into());
    };
    undone(device.provider(), || group_id_of(device, welcome))
}

/// Takes the KeyPackage out of the storage: in a transaction that is undone.
pub(crate) fn group_id_of<P: Platform>(
    device: &Device<P>,
    welcome: Welcome,
) -> Result<Vec<u8>, Error> {
    let config = MlsGroupJoinConfig::default();
    let processed = ProcessedWelcome::new_from_welcome(device.provider(), &config, welcome)
        .map_err(PeerError::message)?;
    Ok(processed.unverified_group_info().group_id().as_slice().to_vec())
}

/// Erases what the storage has of a group that this device was removed from.
pub(crate) fn forget_inactive<P: Platform>(
    device: &Device<P>,
    group_id: &GroupId,
) -> Result<(), Error> {
    let storage = device.provider().storage();
    let old = MlsGroup::load(storage, group_id).map_err(Error::storage("load a group"))?;
    match old.filter(|old| !old.is_active()) {
        Some(old) => delete_inactive(device, old),
        None => Ok(()),
    }
}

/// Erases a group that this device was removed from. OpenMLS' `delete` erases the keys of the epoch that
/// the group is in by then, and leaves those of the last epoch in which this device was a member.
pub(crate) fn delete_inactive<P: Platform>(
    device: &Device<P>,
    mut old: MlsGroup,
) -> Result<(), Error> {
    let storage = device.provider().storage();
    let last = GroupEpoch::from(old.epoch().as_u64().saturating_sub(1));
    let own = old.own_leaf_index().u32();
    for epoch in [last, old.epoch()] {
        storage
            .delete_encryption_epoch_key_pairs(old.group_id(), &epoch, own)
            .map_err(Error::storage("erase the keys of an epoch"))?;
    }
    old.delete(storage).map_err(Error::storage("delete a group"))
}

/// Parses an `MLSMessage`, without trailing bytes.
pub(crate) fn parse(bytes: &[u8]) -> Result<MlsMessageIn, PeerError> {
    MlsMessageIn::tls_deserialize_exact_bytes(bytes).map_err(PeerError::message)
}
