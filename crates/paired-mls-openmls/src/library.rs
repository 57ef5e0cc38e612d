//! What the engine asks of OpenMLS.

use openmls::prelude::{Ciphersuite, MlsGroup};
use openmls_traits::{crypto::OpenMlsCrypto as _, random::OpenMlsRand as _};
use paired_mls::{
    CipherSuite, Secret,
    anchor::{LeafIndex, Tree},
    group::EpochMark,
};
use paired_mls_group::{BoxError, Library, Membership};

use crate::{Device, Error, Platform, view};

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

    fn epoch_mark(&self, group: &MlsGroup) -> EpochMark {
        view::mark(group.public_group().group_context())
    }

    fn membership(&self, group: &MlsGroup) -> Membership {
        if group.is_active() { Membership::Stays } else { Membership::Removed }
    }

    fn own_leaf(&self, group: &MlsGroup) -> LeafIndex {
        view::leaf(group.own_leaf_index())
    }

    fn signature_keys(&self, group: &MlsGroup) -> Vec<(LeafIndex, Vec<u8>)> {
        let leaves = group.treesync().full_leaves();
        leaves
            .map(|(index, leaf)| (view::leaf(index), leaf.signature_key().as_slice().to_vec()))
            .collect()
    }

    fn tree(&self, group: &MlsGroup) -> Result<Tree, Error> {
        view::ratchet_tree(group)
    }
}
