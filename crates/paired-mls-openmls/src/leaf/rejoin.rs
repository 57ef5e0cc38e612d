//! Getting in from outside, by an external commit from the tape (RFC 9420 section 12.4.3.2).
//!
//! The other devices make it again from the public GroupInfo: those that are in the group have it
//! already, and those that are not are given it.

use openmls::{
    messages::group_info::VerifiableGroupInfo,
    prelude::{LeafNodeParameters, MlsGroup, MlsGroupJoinConfig},
};
use openmls_traits::OpenMlsProvider as _;
use paired_mls::{
    EpochContext, PairingId, Spot, TapeId,
    leaf::{LeafRecord, LeafUse, Origin, Speaker},
    wire::{LeafNode, PublicCommit, SignContent},
};
use paired_mls_group::{
    Recorded, Replay,
    gate::{Gate, check_signature_keys},
    identity,
    shared::{Delivered, healed, leaf_of, recognise_external, security},
};

use super::{
    LeafGroup,
    content::{again, parameters},
    kept,
    package::require_same_user,
};
use crate::{
    Device, Difference, Error, Outgoing, PeerError, Platform, Received,
    gate::{gate_capabilities, gate_of, leaf_extensions},
    group::{forget, read_group_info, tree_of},
    outgoing::{group_info, outgoing},
    provider::{atomically, undone},
    steer::{COMMIT, SteeredProvider, SteeredSigner, blame},
};

impl LeafGroup {
    /// Makes an external commit that takes the place of the leaf, if it is there. Nothing has changed but the tape.
    ///
    /// Returns what is to be delivered. Once the delivery service has accepted the commit, [`Group::enter`](crate::Group::enter)
    /// goes on with it, as the other devices do.
    ///
    /// # Errors
    ///
    /// [`PeerError`] for a GroupInfo that is damaged, forged, or carries no ratchet tree, and
    /// [`PeerError::Identity`] under a strict credential policy; [`Error::Guard`], [`Error::Vault`], [`Error::Mls`].
    pub(crate) fn rejoin<P: Platform>(
        device: &Device<P>,
        pairing: PairingId,
        info: &[u8],
        config: &MlsGroupJoinConfig,
    ) -> Result<Outgoing, Error> {
        let verifiable = read_group_info(info)?;
        let group_id = verifiable.group_context().group_id().as_slice().to_vec();
        let tape = device.vault().open_group(pairing, &group_id)?;
        device.vault().skip_ahead(&tape)?;
        let spot = device.vault().reserve(&tape, context(&verifiable).epoch)?;
        let leaf = leaf_of(&tree_of(&verifiable)?, device.signature_key()).cloned();
        let external = External { tape: &tape, spot, config, leaf: leaf.as_ref(), recorded: None };
        undone(device.provider(), || {
            let (mls, outgoing) = external.make(device, verifiable)?;
            check_signature_keys(device, &mls, &[])?;
            identity::check_present(&device.this(), &mls)?;
            Ok(outgoing)
        })
    }

    /// Comes into a group that a device of the pairing, this one or another, has brought the leaf into, by making its
    /// external commit again. `info` is the GroupInfo of the epoch that the commit ended.
    ///
    /// # Errors
    ///
    /// [`PeerError::NotFromTheTape`] if no device of the pairing has made the commit,
    /// [`PeerError::Differs`]; [`UsageError::OtherCredential`] if its leaf is of another user; otherwise as [`Group::rejoin`](crate::Group::rejoin).
    pub(crate) fn enter<P: Platform>(
        device: &Device<P>,
        pairing: PairingId,
        info: &[u8],
        commit: &[u8],
        config: &MlsGroupJoinConfig,
    ) -> Result<Self, Error> {
        let info = read_group_info(info)?;
        let tape =
            device.vault().open_group(pairing, info.group_context().group_id().as_slice())?;
        let public = PublicCommit::decode(commit).map_err(PeerError::message)?;
        let public = public.ok_or(PeerError::Kind("external commit"))?;
        let (leaf, spot) =
            recognise_external(device, device.vault(), &tape, &context(&info), &public)?
                .ok_or(PeerError::NotFromTheTape)?;
        require_same_user(device, &again(leaf.credential())?)?;
        let recorded = Some(public.signature());
        External { tape: &tape, spot, config, leaf: Some(leaf), recorded }.enter(
            device,
            info,
            Some(commit),
        )
    }

    /// Follows an external commit of the own leaf; `None` if it is not from the tape.
    pub(super) fn follow_rejoin<P: Platform>(
        &mut self,
        device: &Device<P>,
        message: &[u8],
        commit: &PublicCommit,
    ) -> Result<Option<Received>, Error> {
        let info = read_group_info(&group_info(&self.mls, device)?)?;
        let tape = self.record.tape.clone();
        let Some((leaf, spot)) =
            recognise_external(device, device.vault(), &tape, &context(&info), commit)?
        else {
            return Ok(None);
        };
        let config = self.mls.configuration().clone();
        let recorded = Some(commit.signature());
        let external = External { tape: &tape, spot, config: &config, leaf: Some(leaf), recorded };
        let (from, holder) = (security(&self.record), self.token());
        let lost = Delivered::Message(message).lost(self.pending());
        let devices = device.vault().tape_info(&tape)?.devices;
        *self = external.enter(device, info, Some(message))?;
        if spot.index.device() != device.vault().tape_info(&tape)?.own_device {
            // It may have lost what it knew of this device's lane.
            device.vault().reopen(&tape)?;
        }

        let mut events: Vec<_> = lost.into_iter().collect();
        events.extend(healed(&self.record, (from, holder), spot, &devices));
        Ok(Some(Received::Commit { events, heal: None }))
    }
}

/// An external commit from the tape.
struct External<'a> {
    tape: &'a TapeId,
    spot: Spot,
    config: &'a MlsGroupJoinConfig,
    /// What the new leaf is like, but for its keys; without one, as OpenMLS' defaults or as the group
    /// requires.
    leaf: Option<&'a LeafNode>,
    /// The signature of a partner.
    recorded: Option<&'a [u8]>,
}

impl External<'_> {
    /// Makes the commit and merges it, as OpenMLS does at once; in a transaction.
    fn make<P: Platform>(
        &self,
        device: &Device<P>,
        info: VerifiableGroupInfo,
    ) -> Result<(MlsGroup, Outgoing), Error> {
        forget(device, info.group_context().group_id())?;
        let gate = gate_of(info.group_context().extensions());
        let value = device.vault().preview(self.tape, self.spot)?;
        let replay = Replay::new(value, LeafUse::Commit, &context(&info), self.signatures())?;
        let provider = SteeredProvider::new(device.provider(), &replay, COMMIT);
        let signer = SteeredSigner::new(device, &replay);
        let mut builder = MlsGroup::external_commit_builder()
            .with_config(self.config.clone())
            .skip_lifetime_validation()
            .build_group(&provider, info, device.credential().clone())
            .map_err(PeerError::message)?;
        if let Some(parameters) = self.parameters(device, gate)? {
            builder = builder.leaf_node_parameters(parameters);
        }
        let (mls, bundle) = builder
            .load_psks(provider.storage())
            .map_err(Error::mls("load the pre-shared keys of a commit"))?
            .build(provider.rand(), provider.crypto(), &signer, |_| true)
            .map_err(blame(&replay, "build an external commit"))?
            .finalize(&provider)
            .map_err(blame(&replay, "finish an external commit"))?;
        Ok((mls, outgoing(bundle)?))
    }

    /// What the new leaf is like: as the old one, or else as the group requires.
    fn parameters<P: Platform>(
        &self,
        device: &Device<P>,
        gate: Gate,
    ) -> Result<Option<LeafNodeParameters>, Error> {
        match self.leaf {
            Some(leaf) => parameters(leaf).map(Some),
            None if gate == Gate::Set => {
                let extensions = leaf_extensions(device, device.signature_scheme())?;
                let builder = LeafNodeParameters::builder().with_extensions(extensions);
                Ok(Some(builder.with_capabilities(gate_capabilities()).build()))
            }
            None => Ok(None),
        }
    }

    fn signatures(&self) -> Vec<Recorded> {
        let (Some(leaf), Some(signature)) = (self.leaf, self.recorded) else {
            return Vec::new();
        };
        let public_key = leaf.signature_key().to_vec();
        vec![
            Recorded {
                label: SignContent::LEAF_NODE_TBS,
                public_key: public_key.clone(),
                signature: leaf.signature().to_vec(),
            },
            Recorded {
                label: SignContent::FRAMED_CONTENT_TBS,
                public_key,
                signature: signature.to_vec(),
            },
        ]
    }

    /// Makes the commit, compares it with what was delivered, and takes the place of the old state.
    fn enter<P: Platform>(
        &self,
        device: &Device<P>,
        info: VerifiableGroupInfo,
        delivered: Option<&[u8]>,
    ) -> Result<LeafGroup, Error> {
        let epoch = context(&info).epoch;
        let (mls, record, identities) = atomically(device.provider(), || {
            let kept = kept(device, self.tape)?;
            let (mls, outgoing) = self.make(device, info).map_err(Error::received)?;
            if let Some(message) = delivered.filter(|message| **message != outgoing.commit) {
                let first = Difference::first(&outgoing.commit, message);
                return Err(PeerError::Differs(first).into());
            }
            check_signature_keys(device, &mls, &[])?;
            let (by, origin) = (self.spot.index.device(), Origin::Commit);
            let speaker = Some(Speaker { device: by, since: epoch, origin });
            let record =
                LeafRecord { speaker, ..kept.into_record(device, self.tape.clone(), &mls) };
            let identities = identity::present(&device.this(), &mls)?;
            device.vault().note_epoch(&record.tape, mls.epoch().as_u64())?;
            device.vault().store_leaf(&record)?;
            Ok((mls, record, identities))
        })?;
        let group = LeafGroup { mls, record, identities };
        // A failure leaves a value behind that the next commit erases.
        group.settle(device, self.spot, &mut Vec::new());
        Ok(group)
    }
}

/// The epoch that an external commit creates.
fn context(info: &VerifiableGroupInfo) -> EpochContext {
    let context = info.group_context();
    EpochContext {
        group_id: context.group_id().as_slice().to_vec(),
        epoch: context.epoch().as_u64().saturating_add(1),
        confirmed_transcript_hash: context.confirmed_transcript_hash().to_vec(),
    }
}
