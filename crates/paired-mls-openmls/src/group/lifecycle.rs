//! How a group comes to be on a device: created, joined, loaded, rejoined.

use openmls::{
    group::JoinBuilder,
    prelude::{
        GroupEpoch, GroupId, MlsGroup, MlsGroupCreateConfig, MlsGroupJoinConfig, MlsMessageBodyIn,
        MlsMessageIn, ProcessedWelcome, RatchetTreeIn, StagedWelcome, Welcome,
    },
};
use openmls_traits::storage::StorageProvider as _;
use paired_mls::RecordName;
use tls_codec::DeserializeBytes as _;

use paired_mls_group::{
    gate::check_signature_keys,
    identity,
    node::Paired,
    reserved::{require_free, require_unreserved},
};

use super::PairedGroup;
use crate::{
    Device, Error, PeerError, Platform, UsageError,
    provider::{atomically, undone},
    steer::key_len,
};

impl PairedGroup {
    /// Creates a group with this device as its only member.
    ///
    /// # Errors
    ///
    /// [`UsageError::ReservedGroup`]; [`Error::Mls`] if OpenMLS cannot create or store it.
    pub(crate) fn create<P: Platform>(
        device: &Device<P>,
        group_id: &[u8],
        config: &MlsGroupCreateConfig,
    ) -> Result<Self, Error> {
        require_free(group_id)?;
        let provider = device.provider();
        let mls = atomically(provider, || {
            forget_shared(device, group_id)?;
            MlsGroup::new_with_group_id(
                provider,
                device.signer(),
                config,
                GroupId::from_slice(group_id),
                device.credential().clone(),
            )
            .map_err(Error::mls("create a group"))
        })?;
        let identities = identity::present(&device.this(), &mls)?;
        Ok(Self { mls, identities, paired: None })
    }

    /// Joins a group by a Welcome that carries the ratchet tree. What is left of an earlier
    /// membership in the same group, from which this device was removed, is erased. If the device was
    /// paired there, it is again, from its first commit on; all devices are exposed until one commits.
    ///
    /// A Welcome does not prove that this device was removed, and anybody who has one of its KeyPackages can
    /// write one. So as long as the device is a member, by the commits that it has followed, it is told
    /// to follow the rest first.
    ///
    /// # Errors
    ///
    /// [`UsageError::StillMember`] while the device is a member: the KeyPackage is not spent, keep the
    /// Welcome. [`PeerError::Message`] if the Welcome is for none of the device's KeyPackages, is
    /// damaged, or carries no ratchet tree; [`PeerError::Identity`] under a strict credential policy;
    /// [`PeerError::ReservedGroup`]; [`Error::Vault`].
    pub(crate) fn join<P: Platform>(
        device: &Device<P>,
        welcome: &[u8],
        config: &MlsGroupJoinConfig,
    ) -> Result<Self, Error> {
        let provider = device.provider();
        let MlsMessageBodyIn::Welcome(welcome) = parse(welcome)?.extract() else {
            return Err(PeerError::Kind("Welcome").into());
        };
        atomically(provider, || {
            let processed = ProcessedWelcome::new_from_welcome(provider, config, welcome)
                .map_err(PeerError::message)?;
            let group_id = processed.unverified_group_info().group_id();
            require_unreserved(group_id.as_slice())?;
            forget_inactive(device, group_id)?;
            forget_shared(device, group_id.as_slice())?;
            let mls = enter(device, processed, None)?;
            check_signature_keys(device, &mls, &[])?;
            let paired = Paired::came_back(device, device.vault(), &mls)?;
            let identities = identity::present(&device.this(), &mls)?;
            Ok(Self { mls, identities, paired })
        })
    }

    /// Gives the MLS state of the group up, whether or not this device has followed its own removal: the way
    /// out where the commits up to it cannot be had any more. It is as after a loss of that state: what
    /// the vault has of the pairing here stays, and the device comes in again by a Welcome, or by
    /// [`Group::rejoin`](crate::Group::rejoin).
    ///
    /// # Errors
    ///
    /// [`Error::Storage`]: load the group and call it again.
    pub(crate) fn forget<P: Platform>(self, device: &Device<P>) -> Result<(), Error> {
        atomically(device.provider(), || delete(device, self.mls))
    }

    /// Loads a group and its pairing.
    ///
    /// What the vault says of the pairing is compared with the group: see [`Group::security`](crate::Group::security).
    ///
    /// # Errors
    ///
    /// [`UsageError::NoSuchGroup`]; [`Error::Storage`]; [`Error::Vault`].
    pub(crate) fn load<P: Platform>(device: &Device<P>, group_id: &[u8]) -> Result<Self, Error> {
        let storage = device.provider().storage();
        let mls = MlsGroup::load(storage, &GroupId::from_slice(group_id))
            .map_err(Error::storage("load a group"))?
            .ok_or(UsageError::NoSuchGroup)?;
        let record = device.vault().load_group(group_id)?;
        let epoch = mls.epoch().as_u64();
        let record = record.map(|record| Paired::current(device.vault(), record, epoch));
        let paired =
            record.map(|record| Paired::load(device, device.vault(), &mls, record)).transpose()?;
        let identities = device.vault().load_identities(group_id)?;
        Ok(Self { mls, identities, paired: paired.flatten() })
    }
}

/// From now on the device has a leaf of its own in the group: what the vault has of a leaf that it shared there
/// before is not so any more.
pub(super) fn forget_shared<P: Platform>(device: &Device<P>, group_id: &[u8]) -> Result<(), Error> {
    match device.vault().load_leaf(group_id)? {
        Some(_) => Ok(device.vault().erase(&RecordName::Leaf(group_id.to_vec()))?),
        None => Ok(()),
    }
}

/// The group that a Welcome to one of the device's own KeyPackages leads into. Nothing changes: a device
/// that is in several kinds of groups learns of which kind this one is.
///
/// # Errors
///
/// [`PeerError::Message`] if the Welcome is for none of the device's KeyPackages, or is damaged.
pub(crate) fn welcome_group_id<P: Platform>(
    device: &Device<P>,
    welcome: &[u8],
) -> Result<Vec<u8>, Error> {
    let MlsMessageBodyIn::Welcome(welcome) = parse(welcome)?.extract() else {
        return Err(PeerError::Kind("Welcome").into());
    };
    undone(device.provider(), || group_id_of(device, welcome))
}

/// The signature keys of the leaf that has made a Welcome. Nothing changes.
///
/// # Errors
///
/// [`UsageError::StillMember`] while this device is in the group; otherwise as [`PairedGroup::join`].
pub(crate) fn welcome_sender<P: Platform>(
    device: &Device<P>,
    welcome: &[u8],
) -> Result<Vec<Vec<u8>>, Error> {
    let MlsMessageBodyIn::Welcome(welcome) = parse(welcome)?.extract() else {
        return Err(PeerError::Kind("Welcome").into());
    };
    undone(device.provider(), || sender_of(device, welcome))
}

/// Takes the KeyPackage out of the storage, and what is left of the group: in a transaction that is undone.
pub(crate) fn sender_of<P: Platform>(
    device: &Device<P>,
    welcome: Welcome,
) -> Result<Vec<Vec<u8>>, Error> {
    let config = MlsGroupJoinConfig::default();
    let processed = ProcessedWelcome::new_from_welcome(device.provider(), &config, welcome)
        .map_err(PeerError::message)?;
    forget_inactive(device, processed.unverified_group_info().group_id())?;
    let staged = staged_welcome(device, processed, None)?;
    let scheme = staged.group_context().ciphersuite().signature_algorithm();
    let sender = staged.welcome_sender().map_err(PeerError::message)?;
    Ok(identity::signature_keys(sender.signature_key().as_slice(), key_len(scheme)))
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

/// Enters a group. Leaves of others whose lifetime has ended are no hindrance: to check them is a
/// recommendation of RFC 9420 section 7.3, and whoever does cannot come into a group that goes on without
/// them. Who is new in a group is checked by its members.
pub(crate) fn enter<P: Platform>(
    device: &Device<P>,
    processed: ProcessedWelcome,
    tree: Option<RatchetTreeIn>,
) -> Result<MlsGroup, Error> {
    let staged = staged_welcome(device, processed, tree)?;
    Ok(staged.into_group(device.provider()).map_err(PeerError::message)?)
}

/// The same, up to where nothing is stored yet.
pub(super) fn staged_welcome<P: Platform>(
    device: &Device<P>,
    processed: ProcessedWelcome,
    tree: Option<RatchetTreeIn>,
) -> Result<StagedWelcome, PeerError> {
    let mut builder = JoinBuilder::new(device.provider(), processed).skip_lifetime_validation();
    if let Some(tree) = tree {
        builder = builder.with_ratchet_tree(tree);
    }
    builder.build().map_err(PeerError::message)
}

/// Erases what the storage has of a group that this device was removed from.
///
/// # Errors
///
/// [`UsageError::StillMember`] if it was not, as far as it knows.
pub(crate) fn forget_inactive<P: Platform>(
    device: &Device<P>,
    group_id: &GroupId,
) -> Result<(), Error> {
    let storage = device.provider().storage();
    match MlsGroup::load(storage, group_id).map_err(Error::storage("load a group"))? {
        Some(old) if old.is_active() => Err(UsageError::StillMember.into()),
        Some(old) => delete(device, old),
        None => Ok(()),
    }
}

/// Erases a group. OpenMLS' `delete` erases the keys of the epoch that the group is in by then; of a
/// group that this device was removed from, it leaves those of the last epoch in which the device was a
/// member.
pub(crate) fn delete<P: Platform>(device: &Device<P>, mut old: MlsGroup) -> Result<(), Error> {
    let storage = device.provider().storage();
    let last = GroupEpoch::from(old.epoch().as_u64().saturating_sub(1));
    let own = old.own_leaf_index().u32();
    for epoch in [last, old.epoch()] {
        storage
            .delete_encryption_epoch_key_pairs(old.group_id(), &epoch, own)
            .map_err(Error::storage("erase the keys of an epoch"))?;
    }
    device.vault().erase(&RecordName::OwnCommit(old.group_id().as_slice().to_vec()))?;
    old.delete(storage).map_err(Error::storage("delete a group"))
}

/// Parses an `MLSMessage`, without trailing bytes.
pub(crate) fn parse(bytes: &[u8]) -> Result<MlsMessageIn, PeerError> {
    MlsMessageIn::tls_deserialize_exact_bytes(bytes).map_err(PeerError::message)
}
