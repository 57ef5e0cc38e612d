//! What the engine asks of mls-rs.

use std::borrow::Cow;

use mls_rs::{
    CipherSuiteProvider as _, CryptoProvider, crypto::SignaturePublicKey, error::IntoAnyError,
};
use paired_mls::{
    CipherSuite, Secret,
    anchor::{LeafIndex, Tree},
    group::EpochMark,
    wire::{LeafNode, RatchetTree},
};
use paired_mls_group::{BoxError, Error, Library, Membership};

use crate::{Device, config::MlsState, signer::provider, steer::key_len, view};

impl<C: CryptoProvider + Clone> Library for Device<C> {
    type Group = MlsState<C>;

    fn random(&self, length: usize) -> Result<Secret, BoxError> {
        let drawn = provider(self.crypto(), self.suite())?.random_bytes_vec(length);
        Ok(Secret::new(drawn.map_err(IntoAnyError::into_any_error)?))
    }

    fn hash(&self, suite: CipherSuite, input: &[u8]) -> Result<Vec<u8>, BoxError> {
        let hashed = provider(self.crypto(), suite)?.hash(input);
        Ok(hashed.map_err(IntoAnyError::into_any_error)?)
    }

    fn derive_public_key(&self, suite: CipherSuite, ikm: &Secret) -> Result<Vec<u8>, BoxError> {
        let derived = provider(self.crypto(), suite)?.kem_derive(ikm.expose());
        // The private half is dropped, and erased.
        let (_, public_key) = derived.map_err(IntoAnyError::into_any_error)?;
        Ok(public_key.as_ref().to_vec())
    }

    fn verify(&self, group: &MlsState<C>, key: &[u8], payload: &[u8], signature: &[u8]) -> bool {
        let key = SignaturePublicKey::new_slice(key);
        let suite = self.crypto().cipher_suite_provider(group.mls.cipher_suite());
        suite.is_some_and(|suite| suite.verify(&key, signature, payload).is_ok())
    }

    fn key_len(&self, group: &MlsState<C>) -> usize {
        key_len(group.mls.cipher_suite())
    }

    /// mls-rs is told the time where it makes a commit, and checks no lifetimes of what it receives.
    fn clock(&self) -> Option<u64> {
        None
    }

    fn group_id<'a>(&self, group: &'a MlsState<C>) -> &'a [u8] {
        &group.mls.context().group_id
    }

    fn required_extensions(&self, group: &MlsState<C>) -> Vec<u16> {
        view::required_extensions(&group.mls.context().extensions)
    }

    fn epoch_mark(&self, group: &MlsState<C>) -> EpochMark {
        EpochMark { epoch: group.epoch(), ..view::mark(group.mls.context()) }
    }

    fn membership(&self, group: &MlsState<C>) -> Membership {
        group.membership
    }

    fn own_leaf(&self, group: &MlsState<C>) -> LeafIndex {
        view::leaf(group.mls.current_member_index())
    }

    fn signature_keys<'a>(&self, group: &'a MlsState<C>) -> Vec<(LeafIndex, Cow<'a, [u8]>)> {
        let members = group.mls.roster().members_iter();
        members
            .map(|member| {
                let key: Vec<u8> = member.signing_identity.signature_key.into();
                (view::leaf(member.index), Cow::Owned(key))
            })
            .collect()
    }

    fn leaf(&self, group: &MlsState<C>, at: LeafIndex) -> Option<LeafNode> {
        view::leaf_at(&group.mls, at)
    }

    fn leaves(&self, group: &MlsState<C>) -> Result<Vec<(LeafIndex, LeafNode)>, Error> {
        let tree = view::ratchet_tree(&group.mls)?;
        let leaves = self.signature_keys(group).into_iter();
        Ok(leaves.filter_map(|(at, _)| Some((at, tree.leaf(at.value())?.clone()))).collect())
    }

    fn tree(&self, group: &MlsState<C>) -> Result<Tree, Error> {
        let tree: RatchetTree = view::ratchet_tree(&group.mls)?;
        Ok(Tree::from(&tree))
    }
}
