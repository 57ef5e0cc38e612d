//! Coming back from outside, by an external commit (RFC 9420 section 12.4.3.2).

use openmls::{
    messages::group_info::VerifiableGroupInfo,
    prelude::{GroupId, MlsGroup, MlsGroupJoinConfig, MlsMessageBodyIn},
};
use paired_mls::{
    DeviceId, EpochContext, GroupRecord, Phase,
    anchor::{Anchor, Changes, LeafIndex, Tree},
    group::{Authorship, CommitFacts},
    wire::RatchetTree,
};
use paired_mls_group::{
    Sending, identity,
    node::{Paired, Standing, device_of},
};
use tls_codec::Serialize as _;

use super::{
    PairedGroup,
    lifecycle::{delete, forget_shared, parse, require_unreserved},
    suite_of,
};
use crate::{
    Device, Error, Outgoing, PeerError, Platform, UsageError, provider::atomically,
    signal::new_leaf, steer::build, view::mark,
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
            Some(record) => Some(Seat::find(&info, record, device.signature_key())?),
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
                seat.renew(record, device.signature_key(), &mls)?;
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

/// The place that an external commit takes.
struct Seat {
    standing: Standing,
    anchor: Option<Anchor>,
}

impl Seat {
    /// The old leaf goes, and the new one takes the leftmost blank leaf then.
    fn find(
        info: &VerifiableGroupInfo,
        record: &GroupRecord,
        own_key: &[u8],
    ) -> Result<Self, Error> {
        let tree = info
            .extensions()
            .ratchet_tree()
            .ok_or(PeerError::Kind("GroupInfo with a ratchet tree"))?
            .ratchet_tree()
            .tls_serialize_detached()
            .map_err(Error::mls("serialize a ratchet tree"))?;
        let tree = RatchetTree::decode(&tree).map_err(PeerError::message)?;

        let members = (0_u32..).zip(tree.nodes().iter().step_by(2));
        let members: Vec<_> = members
            .filter_map(|(index, _)| Some((LeafIndex::new(index)?, tree.leaf(index)?)))
            .collect();
        let is_own = |key: &[u8]| key == own_key;
        let removes = members.iter().filter(|(_, leaf)| is_own(leaf.signature_key()));
        let changes = Changes {
            removes: removes.map(|(index, _)| *index).collect(),
            adds: 1,
            ..Changes::default()
        };
        let partners = members.iter().filter(|(_, leaf)| !is_own(leaf.signature_key()));
        let mut seats: Vec<_> = partners
            .filter_map(|(index, leaf)| Some((device_of(record, leaf.signature_key())?, *index)))
            .collect();

        let (tree, added) = Tree::from(&tree).after(&changes)?.into_parts();
        let own = added.first().copied().unwrap_or(LeafIndex::FIRST);
        seats.extend(device_of(record, own_key).map(|device| (device, own)));
        let standing = Standing { tree, own, seats };
        // A pairing that is ending stays so, and nothing more is drawn for it.
        let anchor = match record.phase {
            Phase::Active => standing.anchorage(own, &[])?.anchor().cloned(),
            Phase::Ceasing => None,
        };
        Ok(Self { standing, anchor })
    }

    /// The partners that the commit heals.
    fn healed(&self) -> Vec<DeviceId> {
        let covered = self.anchor.as_ref().map(Anchor::covered).unwrap_or_default();
        covered.iter().filter_map(|leaf| self.standing.device_at(*leaf)).collect()
    }

    /// The new epoch: this device is new from the leaf up, and the covered partners are healed.
    fn renew(&self, record: &mut GroupRecord, own_key: &[u8], mls: &MlsGroup) -> Result<(), Error> {
        record.pending = None;
        let Standing { tree, own, .. } = &self.standing;
        let facts = CommitFacts {
            committer: device_of(record, own_key).map(|device| (device, Authorship::Proven)),
            healed: self.healed(),
            path: Some(*own),
            newcomers: vec![*own],
            notified: self.anchor.clone(),
            ..CommitFacts::default()
        };
        let mut security = record.security.clone();
        security.apply(&facts, tree, |device| self.standing.leaf_of(device))?;
        record.advance(mark(mls.public_group().group_context()), security);
        Ok(())
    }
}

/// Removes what the storage still has of the group.
pub(crate) fn forget<P: Platform>(device: &Device<P>, group_id: &GroupId) -> Result<(), Error> {
    let storage = device.provider().storage();
    let old = MlsGroup::load(storage, group_id).map_err(Error::storage("load a group"))?;
    old.map_or(Ok(()), |old| delete(device, old))
}
