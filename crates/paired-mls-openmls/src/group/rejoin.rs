//! Coming back from outside, by an external commit (RFC 9420 section 12.4.3.2).
//!
//! OpenMLS merges such a commit as it makes it. So it is made apart from the MLS state, which it replaces once the
//! delivery service has accepted it.

use openmls::{
    messages::group_info::VerifiableGroupInfo,
    prelude::{GroupId, MlsGroup, MlsGroupJoinConfig, MlsMessageBodyIn},
};
use openmls_traits::OpenMlsProvider as _;
use paired_mls::{
    EpochContext, PairingId, Secret,
    wire::{PublicCommit, RatchetTree},
};
use paired_mls_group::{
    Sending,
    gate::check_signature_keys,
    identity,
    node::{Paired, Seat},
    reserved::require_unreserved,
};
use tls_codec::{Deserialize as _, Serialize as _, VLBytes};

use super::{
    PairedGroup,
    lifecycle::{delete, forget_shared, parse},
    suite_of,
};
use crate::{
    Device, Error, Outgoing, PeerError, Platform, UsageError,
    gate::gate_of,
    outgoing::outgoing,
    provider::{Scratch, atomically},
    signal::new_leaf,
    steer::build,
};

impl PairedGroup {
    /// Makes an external commit that takes the place of the device's old leaf, if there is one. Nothing has changed
    /// but the tape.
    ///
    /// If the vault knows this device as paired in the group, and the new leaf shares a subtree
    /// with a partner and no stranger, this too is a paired commit: it heals the partners.
    ///
    /// Returns what is to be delivered, and the state that [`Group::enter`](crate::Group::enter) goes on with.
    ///
    /// # Errors
    ///
    /// [`PeerError`] for a GroupInfo that is damaged, forged, of a reserved group identifier, or carries no
    /// ratchet tree, and [`PeerError::Identity`] under a strict credential policy;
    /// [`Error::Guard`], [`Error::Vault`], [`Error::Mls`], [`Error::Storage`].
    pub(crate) fn rejoin<P: Platform>(
        device: &Device<P>,
        group_info: &[u8],
        config: &MlsGroupJoinConfig,
    ) -> Result<(Outgoing, Secret), Error> {
        let info = read(group_info)?;
        let context = info.group_context();
        let ciphersuite = context.ciphersuite();
        let next_epoch = EpochContext {
            group_id: context.group_id().as_slice().to_vec(),
            epoch: context.epoch().as_u64().saturating_add(1),
            confirmed_transcript_hash: context.confirmed_transcript_hash().to_vec(),
        };
        let record = device.vault().load_group(&next_epoch.group_id)?;
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
        let leaf = new_leaf(gate_of(info.group_context().extensions()), told.as_ref())?;

        let scratch = Scratch::new(device.provider());
        let commit = MlsGroup::external_commit_builder()
            .with_config(config.clone())
            .skip_lifetime_validation()
            .build_group(&scratch, info, device.credential().clone())
            .map_err(PeerError::message)?
            .leaf_node_parameters(leaf)
            .load_psks(device.provider().storage())
            .map_err(Error::mls("load the pre-shared keys of a commit"))?;
        let path = match (&record, &seat) {
            (Some(record), Some(seat)) => seat.draw(device.vault(), record, &next_epoch)?,
            _ => None,
        };
        let anchor = seat.as_ref().and_then(|seat| seat.anchor.as_ref());
        let mut drawn_from = None;
        let built = match (&record, anchor, path) {
            (Some(record), Some(anchor), Some(path)) => {
                let sending = Sending::new(device, device.vault(), &record.tape, path, anchor)?;
                drawn_from = Some(record.tape.pairing);
                build(commit, device, &sending)?
            }
            _ => commit
                .build(scratch.rand(), scratch.crypto(), device.signer(), |_| true)
                .map_err(Error::mls("build an external commit"))?,
        };
        let (mls, bundle) =
            built.finalize(&scratch).map_err(Error::mls("finish an external commit"))?;
        let pairing = record.as_ref().map(|record| record.devices.as_slice()).unwrap_or_default();
        check_signature_keys(device, &mls, pairing)?;
        identity::check_present(&device.this(), &mls)?;
        let waiting = Waiting { drawn_from, scratch };
        Ok((outgoing(bundle)?, waiting.encode()?))
    }

    /// The delivery service has accepted a [rejoin](crate::Group::rejoin): its state takes the place of the old one.
    ///
    /// # Errors
    ///
    /// [`UsageError::OtherRejoin`] if the state is not the one that the commit leads to;
    /// [`PeerError`], [`Error::Vault`], [`Error::Storage`]: nothing is lost, call it again.
    pub(crate) fn enter<P: Platform>(
        device: &Device<P>,
        group_info: &[u8],
        commit: &[u8],
        state: &[u8],
    ) -> Result<Self, Error> {
        let info = read(group_info)?;
        let group_id = info.group_context().group_id().clone();
        let waiting = Waiting::decode(device.provider(), state)?;
        let mls = waiting.scratch.load(&group_id)?.filter(|mls| leads_to(commit, mls));
        let mls = mls.ok_or(UsageError::OtherRejoin)?;
        let (mls, identities, paired) = atomically(device.provider(), || {
            forget(device, &group_id)?;
            forget_shared(device, group_id.as_slice())?;
            waiting.scratch.put(&mls)?;
            let identities = identity::present(&device.this(), &mls)?;
            let (this, tree) = (device.this(), || tree_of(&info));
            let paired = Paired::entered(&this, &mls, tree, waiting.drawn_from)?;
            Ok((mls, identities, paired))
        })?;
        Ok(Self { mls, identities, paired })
    }
}

/// The state that an external commit leads to, if the delivery service accepts it.
struct Waiting<'a, P> {
    /// The pairing from whose tape the commit was made; `None` if it is an ordinary one.
    drawn_from: Option<PairingId>,
    scratch: Scratch<'a, P>,
}

impl<'a, P: Platform> Waiting<'a, P> {
    fn encode(&self) -> Result<Secret, Error> {
        let pairing = self.drawn_from.map(|pairing| pairing.0.to_vec()).unwrap_or_default();
        let pairing = VLBytes::new(pairing).tls_serialize_detached();
        let pairing = pairing.map_err(Error::mls("serialize the state of a rejoin"))?;
        Ok(Secret::new([&pairing, self.scratch.records()?.expose()].concat()))
    }

    fn decode(provider: &'a P, mut state: &[u8]) -> Result<Self, UsageError> {
        let other = UsageError::OtherRejoin;
        let Ok(pairing) = VLBytes::tls_deserialize(&mut state) else {
            return Err(other);
        };
        let drawn_from = match pairing.as_slice() {
            [] => None,
            pairing => Some(PairingId(pairing.try_into().map_err(|_| other)?)),
        };
        Ok(Self { drawn_from, scratch: Scratch::with_records(provider, state)? })
    }
}

/// Whether the group is in the epoch that an external commit creates: the tags are the same.
fn leads_to(commit: &[u8], mls: &MlsGroup) -> bool {
    let Ok(Some(commit)) = PublicCommit::decode(commit) else {
        return false;
    };
    let tag = VLBytes::new(commit.confirmation_tag().to_vec()).tls_serialize_detached();
    tag.is_ok_and(|tag| mls.confirmation_tag().tls_serialize_detached() == Ok(tag))
}

/// Reads a GroupInfo.
pub(crate) fn read(message: &[u8]) -> Result<VerifiableGroupInfo, PeerError> {
    let MlsMessageBodyIn::GroupInfo(info) = parse(message)?.extract() else {
        return Err(PeerError::Kind("GroupInfo"));
    };
    require_unreserved(info.group_context().group_id().as_slice())?;
    Ok(info)
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
