//! Coming back from outside, by an external commit (RFC 9420 section 12.4.3.2).

use openmls::{
    messages::group_info::VerifiableGroupInfo,
    prelude::{GroupId, MlsGroup, MlsGroupJoinConfig, MlsMessageBodyIn},
};
use paired_mls::{EpochContext, wire::RatchetTree};
use paired_mls_group::{
    Library as _, Sending, identity,
    node::{Paired, Seat},
};
use tls_codec::Serialize as _;

use super::{
    PairedGroup,
    lifecycle::{delete, forget_shared, parse, require_unreserved},
    suite_of,
};
use crate::{
    Device, Error, Outgoing, PeerError, Platform, UsageError, provider::atomically,
    signal::new_leaf, steer::build,
};

impl PairedGroup {
    /// Comes back into a group from outside, by an external commit that takes the place of the
    /// device's old leaf, if there is one: after a loss of the MLS state, or of too many messages.
    ///
    /// If the vault knows this device as paired in the group, and the new leaf shares a subtree
    /// with a partner and no stranger, this too is a paired commit: it heals the partners.
    ///
    /// OpenMLS merges the commit at once. If the delivery service refuses it, call this again with the
    /// GroupInfo of the epoch that won.
    ///
    /// # Errors
    ///
    /// [`PeerError`] for a GroupInfo that is damaged, forged, of a reserved group identifier, or carries no
    /// ratchet tree; [`Error::Guard`], [`Error::Vault`], [`Error::Mls`], [`Error::Storage`].
    pub fn rejoin<P: Platform>(
        device: &Device<P>,
        group_info: &[u8],
        config: &MlsGroupJoinConfig,
    ) -> Result<(Self, Outgoing), Error> {
        let MlsMessageBodyIn::GroupInfo(info) = parse(group_info)?.extract() else {
            return Err(PeerError::Kind("GroupInfo").into());
        };
        let context = info.group_context();
        let group_id = context.group_id().clone();
        require_unreserved(group_id.as_slice())?;
        let ciphersuite = context.ciphersuite();
        let next_epoch = EpochContext {
            group_id: group_id.as_slice().to_vec(),
            epoch: context.epoch().as_u64().saturating_add(1),
            confirmed_transcript_hash: context.confirmed_transcript_hash().to_vec(),
        };
        let mut record = device.vault().load_group(group_id.as_slice())?;
        let seat = match &record {
            Some(record) => Some(Seat::find(&tree_of(&info)?, record, device.signature_key())?),
            None => None,
        };

        let told = match (&record, &seat) {
            (Some(record), Some(seat)) => {
                let suite = suite_of(ciphersuite).ok_or(UsageError::CipherSuite)?;
                Paired::signal(record, &seat.standing, suite, &seat.healed())?
            }
            _ => None,
        };
        let leaf = told.as_ref().map(new_leaf).transpose()?.unwrap_or_default();

        let provider = device.provider();
        let (mls, identities, outgoing) = atomically(provider, || {
            forget(device, &group_id)?;
            forget_shared(device, group_id.as_slice())?;
            let commit = MlsGroup::external_commit_builder()
                .with_config(config.clone())
                .skip_lifetime_validation()
                .build_group(provider, info, device.credential().clone())
                .map_err(PeerError::message)?
                .leaf_node_parameters(leaf)
                .load_psks(provider.storage())
                .map_err(Error::mls("load the pre-shared keys of a commit"))?;
            let anchor = seat.as_ref().and_then(|seat| seat.anchor.as_ref());
            let built = match (&record, anchor) {
                (Some(record), Some(anchor)) => {
                    device.vault().skip_ahead(&record.tape)?;
                    let value = device.vault().draw(&record.tape, next_epoch.epoch)?;
                    let path = value.into_path_secret(&next_epoch)?;
                    let sending = Sending::new(device, device.vault(), &record.tape, path, anchor)?;
                    build(commit, device, &sending, |_| true)?
                }
                _ => commit
                    .build(provider.rand(), provider.crypto(), device.signer(), |_| true)
                    .map_err(Error::mls("build an external commit"))?,
            };
            let (mls, bundle) =
                built.finalize(provider).map_err(Error::mls("finish an external commit"))?;
            if let (Some(record), Some(seat)) = (&mut record, &seat) {
                seat.renew(record, device.signature_key(), device.epoch_mark(&mls))?;
                device.vault().note_epoch(&record.tape, mls.epoch().as_u64())?;
                device.vault().store_group(record)?;
            }
            let identities = identity::present(&device.this(), &mls)?;
            Ok((mls, identities, Outgoing::new(bundle)?))
        })?;
        let paired = record
            .map(|record| Paired::load(device, device.vault(), &mls, record))
            .transpose()?
            .flatten();
        // A value that is still in flight is of an epoch that is gone; the next merge erases it.
        Ok((Self { mls, identities, paired }, outgoing))
    }
}

/// The ratchet tree that a GroupInfo carries.
pub(crate) fn tree_of(info: &VerifiableGroupInfo) -> Result<RatchetTree, Error> {
    let tree = info
        .extensions()
        .ratchet_tree()
        .ok_or(PeerError::Kind("GroupInfo with a ratchet tree"))?
        .ratchet_tree()
        .tls_serialize_detached()
        .map_err(Error::mls("serialize a ratchet tree"))?;
    Ok(RatchetTree::decode(&tree).map_err(PeerError::message)?)
}

/// Removes what the storage still has of the group.
pub(crate) fn forget<P: Platform>(device: &Device<P>, group_id: &GroupId) -> Result<(), Error> {
    let storage = device.provider().storage();
    let old = MlsGroup::load(storage, group_id).map_err(Error::storage("load a group"))?;
    old.map_or(Ok(()), |old| delete(device, old))
}
