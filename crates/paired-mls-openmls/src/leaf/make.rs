//! A commit from a value of the tape: the same bytes on every device of the leaf.

use openmls::prelude::{GroupId, LeafNodeIndex, MlsGroup};
use openmls_traits::{OpenMlsProvider as _, crypto::OpenMlsCrypto as _};
use paired_mls::{
    Spot, TapeId,
    leaf::{LeafNotify, LeafUse},
    wire::{self, SignContent},
};
use paired_mls_group::{Recorded, Replay, shared::next_epoch};

use super::{content::Prepared, reload};
use crate::{
    Device, Error, GuardError, Outgoing, PeerError, Platform,
    outgoing::outgoing,
    provider::undone,
    steer::{COMMIT, SteeredProvider, SteeredSigner, blame},
};

/// A commit that was made. It is staged in the group that it was made in.
pub(super) struct Made {
    pub(super) outgoing: Outgoing,
    /// What it takes to make it again.
    pub(super) notify: LeafNotify,
}

/// Makes a commit with the value at `spot`, and stages it in `mls`.
///
/// The signatures of a partner are repeated where `recorded` has them.
pub(super) fn make<P: Platform>(
    mls: &mut MlsGroup,
    device: &Device<P>,
    tape: &TapeId,
    spot: Spot,
    content: Prepared,
    recorded: Vec<Recorded>,
) -> Result<Made, Error> {
    let value = device.vault().preview(tape, spot)?;
    let keys = mls.own_leaf_node().map(|own| own.signature_key().as_slice().to_vec());
    let replay = Replay::new(value, LeafUse::Commit, &next_epoch(device, mls), recorded)?
        .with_leaf_keys(&keys.unwrap_or_default());
    let provider = SteeredProvider::new(device.provider(), &replay, COMMIT);
    let signer = SteeredSigner::new(device, &replay);

    content.arrange(mls, device)?;
    mls.set_aad(content.authenticated_data);
    let removes = content.removes.iter().map(|leaf| LeafNodeIndex::new(leaf.value()));
    let mut builder = mls
        .commit_builder()
        .propose_adds(content.adds)
        .propose_removals(removes)
        .add_proposals(content.others)
        .force_self_update(true);
    if let Some(extensions) = content.extensions {
        builder = builder
            .propose_group_context_extensions(extensions)
            .map_err(Error::mls("propose extensions of the group"))?;
    }
    if let Some(parameters) = content.leaf {
        builder = builder.leaf_node_parameters(parameters);
    }
    let bundle = builder
        .load_psks(provider.storage())
        .map_err(Error::mls("load the pre-shared keys of a commit"))?
        .build(provider.rand(), provider.crypto(), &signer, |_| true)
        .map_err(blame(&replay, "build a commit"))?
        .stage_commit(&provider)
        .map_err(blame(&replay, "stage a commit"))?;

    let signed = replay.signed().ok_or(GuardError::NoPath)?;
    let notify = LeafNotify {
        spot,
        proposals: signed.proposals,
        authenticated_data: signed.authenticated_data,
        leaf_node: signed.leaf_node,
        signature: signed.signature,
    };
    Ok(Made { outgoing: outgoing(bundle)?, notify })
}

/// Makes a commit in a copy of the group, of which nothing is kept.
pub(super) fn rehearse<P: Platform>(
    device: &Device<P>,
    group_id: &GroupId,
    work: impl FnOnce(&mut MlsGroup) -> Result<Made, Error>,
) -> Result<Made, Error> {
    undone(device.provider(), || work(&mut reload(device, group_id)?))
}

/// Makes the commit again that a Notify is about, and stages it in `mls`.
pub(super) fn remake<P: Platform>(
    mls: &mut MlsGroup,
    device: &Device<P>,
    tape: &TapeId,
    notify: &LeafNotify,
) -> Result<Made, Error> {
    let content = Prepared::from_notify(mls, device, notify)?;
    let leaf = wire::LeafNode::decode(&notify.leaf_node).map_err(PeerError::message)?;
    let own = mls.own_leaf_node().map(|own| own.signature_key().as_slice().to_vec());
    let recorded = vec![
        Recorded {
            label: SignContent::LEAF_NODE_TBS,
            public_key: leaf.signature_key().to_vec(),
            signature: leaf.signature().to_vec(),
        },
        Recorded {
            label: SignContent::FRAMED_CONTENT_TBS,
            public_key: own.unwrap_or_default(),
            signature: notify.signature.clone(),
        },
    ];
    make(mls, device, tape, notify.spot, content, recorded)
}

/// What tells a commit when the delivery service delivers it.
pub(super) fn message_hash<P: Platform>(
    mls: &MlsGroup,
    device: &Device<P>,
    message: &[u8],
) -> Result<Vec<u8>, Error> {
    let crypto = device.provider().crypto();
    crypto.hash(mls.ciphersuite().hash_algorithm(), message).map_err(Error::mls("hash a message"))
}
