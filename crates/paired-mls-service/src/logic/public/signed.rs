//! Signatures of RFC 9420, where OpenMLS does not verify them as part of something larger.

use openmls::prelude::Ciphersuite;
use openmls_rust_crypto::RustCrypto;
use openmls_traits::crypto::OpenMlsCrypto as _;
use paired_mls::wire::{LeafNode, PublicCommit};
use paired_mls_openmls::KeyVectorCrypto;
use tls_codec::{Serialize as _, Size as _, VLByteSlice};

use super::base::Base;

impl Base {
    /// Verifies a signature under the cipher suite of the group (RFC 9420 section 5.1.2):
    ///
    /// ```text
    /// VerifyWithLabel(VerificationKey, Label, Content, SignatureValue) =
    ///     Signature.Verify(VerificationKey, SignContent, SignatureValue)
    /// ```
    pub(super) fn verify(
        &self,
        label: &[u8],
        content: &[u8],
        key: &[u8],
        signature: &[u8],
    ) -> Result<(), ()> {
        let suite = Ciphersuite::try_from(self.suite()).map_err(|_| ())?;
        let label = [b"MLS 1.0 ", label].concat();
        let mut signed = VLByteSlice(&label).tls_serialize_detached().map_err(|_| ())?;
        signed.extend(VLByteSlice(content).tls_serialize_detached().map_err(|_| ())?);
        let crypto = KeyVectorCrypto::new(RustCrypto::default());
        let scheme = suite.signature_algorithm();
        crypto.verify_signature(scheme, &signed, key, signature).map_err(|_| ())
    }

    /// Verifies the signature of a commit in the clear by the key that its sender has (RFC 9420 section
    /// 6.1): over all of the message before it, and the GroupContext.
    pub(super) fn verify_commit(
        &self,
        message: &[u8],
        commit: &PublicCommit,
        key: &[u8],
    ) -> Result<(), ()> {
        let signed = message.len().checked_sub(commit.content().rest().len()).ok_or(())?;
        let mut signed = message.get(..signed).ok_or(())?.to_vec();
        signed.extend_from_slice(self.context_bytes());
        self.verify(b"FramedContentTBS", &signed, key, commit.signature())
    }

    /// Verifies the signature of a leaf by its own key, for its place in this group (RFC 9420 section
    /// 7.2): over all of it before the signature, the group's id, and the index.
    pub(super) fn verify_leaf(&self, group: &[u8], index: u32, leaf: &LeafNode) -> Result<(), ()> {
        let mut signed = leaf.encode();
        let signature = VLByteSlice(leaf.signature()).tls_serialized_len();
        signed.truncate(signed.len().checked_sub(signature).ok_or(())?);
        signed.extend(VLByteSlice(group).tls_serialize_detached().map_err(|_| ())?);
        signed.extend_from_slice(&index.to_be_bytes());
        self.verify(b"LeafNodeTBS", &signed, leaf.signature_key(), leaf.signature())
    }
}
