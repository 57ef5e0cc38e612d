//! How a group with a shared leaf comes to be on a device.

use openmls::prelude::{GroupId, MlsGroupJoinConfig, MlsMessageBodyIn, ProcessedWelcome};
use paired_mls::{
    PairingId,
    leaf::{LeafRecord, Origin, Speaker},
};

use paired_mls_group::{
    gate::check_signature_keys, identity, packages::spend, reserved::require_unreserved,
    shared::current,
};

use super::{LeafGroup, kept, reload};
use crate::{
    Device, Error, PeerError, Platform, UsageError,
    group::{delete, enter, forget_inactive, group_id_of, parse, sender_of},
    package::{erase, package_for, restore},
    provider::{atomically, undone},
};

impl LeafGroup {
    /// Joins a group by a Welcome to a KeyPackage [from the tape](crate::Group::publish), which carries
    /// the ratchet tree. Every device of the pairing processes the same Welcome. The token goes to the
    /// device that made the KeyPackage.
    ///
    /// # Errors
    ///
    /// [`UsageError::NoTapeKeyPackage`] if the Welcome is for none of the KeyPackages of this pairing
    /// that this device has published or adopted; [`UsageError::StillMember`] while the leaf is in the
    /// group, by the commits that this device has followed; [`PeerError::Message`] if it is damaged or
    /// carries no ratchet tree; [`PeerError::ReservedGroup`]; [`Error::Vault`], [`Error::Storage`].
    pub(crate) fn join<P: Platform>(
        device: &Device<P>,
        pairing: PairingId,
        welcome: &[u8],
        config: &MlsGroupJoinConfig,
    ) -> Result<Self, Error> {
        let MlsMessageBodyIn::Welcome(welcome) = parse(welcome)?.extract() else {
            return Err(PeerError::Kind("Welcome").into());
        };
        let package = package_for(device, pairing, &welcome)?;
        let provider = device.provider();
        let (mls, record, identities) = atomically(provider, || {
            restore(device, pairing, device.credential(), &package)?;
            let processed = ProcessedWelcome::new_from_welcome(provider, config, welcome)
                .map_err(PeerError::message)?;
            let group_id = processed.unverified_group_info().group_id().clone();
            require_unreserved(group_id.as_slice())?;
            forget_inactive(device, &group_id)?;
            let mls = enter(device, processed, None)?;
            erase(device, &package)?;
            check_signature_keys(device, &mls, &[])?;

            let tape = device.vault().open_group(pairing, group_id.as_slice())?;
            let (by, since) = (package.index.device(), mls.epoch().as_u64());
            let speaker = Some(Speaker { device: by, since, origin: Origin::Welcome });
            let phase = kept(device, &tape)?.phase;
            let record = LeafRecord { speaker, phase, ..LeafRecord::new(tape) };
            let identities = identity::present(&device.this(), &mls)?;
            device.vault().note_epoch(&record.tape, since)?;
            device.vault().store_leaf(&record)?;
            Ok((mls, record, identities))
        })?;
        spend(device.vault(), pairing, package.index)?;
        Ok(Self { mls, record, identities })
    }

    /// Gives the MLS state of the group up, whether or not this device has followed the removal of the leaf:
    /// as [`Group::forget`](crate::Group::forget).
    ///
    /// # Errors
    ///
    /// [`Error::Storage`]: load the group and call it again.
    pub(crate) fn forget<P: Platform>(self, device: &Device<P>) -> Result<(), Error> {
        atomically(device.provider(), || delete(device, self.mls))
    }

    /// The group that a Welcome to a KeyPackage from the tape leads into. Nothing changes.
    ///
    /// # Errors
    ///
    /// As [`Group::join`](crate::Group::join).
    pub(crate) fn welcome_group_id<P: Platform>(
        device: &Device<P>,
        pairing: PairingId,
        welcome: &[u8],
    ) -> Result<Vec<u8>, Error> {
        let MlsMessageBodyIn::Welcome(parsed) = parse(welcome)?.extract() else {
            return Err(PeerError::Kind("Welcome").into());
        };
        let package = package_for(device, pairing, &parsed)?;
        undone(device.provider(), || {
            restore(device, pairing, device.credential(), &package)?;
            group_id_of(device, parsed)
        })
    }

    /// The signature keys of the leaf that has made a Welcome to a KeyPackage from the tape. Nothing changes.
    ///
    /// # Errors
    ///
    /// As [`Group::join`](crate::Group::join).
    pub(crate) fn welcome_sender<P: Platform>(
        device: &Device<P>,
        pairing: PairingId,
        welcome: &[u8],
    ) -> Result<Vec<Vec<u8>>, Error> {
        let MlsMessageBodyIn::Welcome(parsed) = parse(welcome)?.extract() else {
            return Err(PeerError::Kind("Welcome").into());
        };
        let package = package_for(device, pairing, &parsed)?;
        undone(device.provider(), || {
            restore(device, pairing, device.credential(), &package)?;
            sender_of(device, parsed)
        })
    }

    /// Loads a group in which this device shares its leaf.
    ///
    /// # Errors
    ///
    /// [`UsageError::NoSuchGroup`]; [`UsageError::NotPaired`] if the vault knows of no shared leaf in
    /// it; [`Error::Storage`]; [`Error::Vault`].
    pub(crate) fn load<P: Platform>(device: &Device<P>, group_id: &[u8]) -> Result<Self, Error> {
        let mls = reload(device, &GroupId::from_slice(group_id))?;
        let record = device.vault().load_leaf(group_id)?.ok_or(UsageError::NotPaired)?;
        let record = current(device.vault(), record, mls.epoch().as_u64());
        let identities = device.vault().load_identities(group_id)?;
        Ok(Self { mls, record, identities })
    }
}
