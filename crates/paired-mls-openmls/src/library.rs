//! What the engine asks of OpenMLS.

use std::borrow::Cow;

use openmls::prelude::{Ciphersuite, LeafNodeIndex, MlsGroup};
use openmls_traits::{crypto::OpenMlsCrypto as _, random::OpenMlsRand as _};
use paired_mls::{
    CipherSuite, Secret,
    anchor::{LeafIndex, Tree},
    group::EpochMark,
    wire::LeafNode,
};
use paired_mls_group::{BoxError, Library, Membership};

use crate::{Clock as _, Device, Error, Platform, SystemClock, steer::key_len, view};

impl<P: Platform> Library for Device<P> {
    type Group = MlsGroup;

    fn random(&self, length: usize) -> Result<Secret, BoxError> {
        Ok(Secret::new(self.provider().rand().random_vec(length)?))
    }

    fn hash(&self, suite: CipherSuite, input: &[u8]) -> Result<Vec<u8>, BoxError> {
        let algorithm = Ciphersuite::try_from(suite.code_point())?.hash_algorithm();
        Ok(self.provider().crypto().hash(algorithm, input)?)
    }

    fn derive_public_key(&self, suite: CipherSuite, ikm: &Secret) -> Result<Vec<u8>, BoxError> {
        let config = Ciphersuite::try_from(suite.code_point())?.hpke_config();
        Ok(self.provider().crypto().derive_hpke_keypair(config, ikm.expose())?.public)
    }

    fn verify(&self, group: &MlsGroup, key: &[u8], payload: &[u8], signature: &[u8]) -> bool {
        let scheme = group.ciphersuite().signature_algorithm();
        self.provider().crypto().verify_signature(scheme, payload, key, signature).is_ok()
    }

    fn key_len(&self, group: &MlsGroup) -> usize {
        key_len(group.ciphersuite().signature_algorithm())
    }

    /// OpenMLS reads that of the system.
    fn clock(&self) -> Option<u64> {
        Some(SystemClock.now())
    }

    fn group_id<'a>(&self, group: &'a MlsGroup) -> &'a [u8] {
        group.group_id().as_slice()
    }

    fn required_extensions(&self, group: &MlsGroup) -> Vec<u16> {
        view::required_extensions(group.extensions())
    }

    fn epoch_mark(&self, group: &MlsGroup) -> EpochMark {
        view::mark(group.public_group().group_context())
    }

    fn membership(&self, group: &MlsGroup) -> Membership {
        if group.is_active() { Membership::Stays } else { Membership::Removed }
    }

    fn own_leaf(&self, group: &MlsGroup) -> LeafIndex {
        view::leaf(group.own_leaf_index())
    }

    fn signature_keys<'a>(&self, group: &'a MlsGroup) -> Vec<(LeafIndex, Cow<'a, [u8]>)> {
        let leaves = group.treesync().full_leaves();
        leaves
            .map(|(index, leaf)| (view::leaf(index), leaf.signature_key().as_slice().into()))
            .collect()
    }

    fn leaf(&self, group: &MlsGroup, at: LeafIndex) -> Option<LeafNode> {
        let leaf = group.public_group().leaf(LeafNodeIndex::new(at.value()))?;
        view::leaf_node(leaf).ok()
    }

    fn leaves(&self, group: &MlsGroup) -> Result<Vec<(LeafIndex, LeafNode)>, Error> {
        let leaves = group.treesync().full_leaves();
        leaves.map(|(index, leaf)| Ok((view::leaf(index), view::leaf_node(leaf)?))).collect()
    }

    fn tree(&self, group: &MlsGroup) -> Result<Tree, Error> {
        view::ratchet_tree(group)
    }
}
