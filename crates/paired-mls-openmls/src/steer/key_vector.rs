//! Leaves with several signature keys.

use std::sync::Arc;

use openmls_traits::types::SignatureScheme;
use paired_mls_group::AnyKey;

use super::SteeredCrypto;

/// A crypto provider that knows leaves with several signature keys (the draft's standard mode): a
/// signature is valid if it is one of any key of the leaf. For everything else it is the real provider.
///
/// All members of a group with such leaves use it; members that do not are kept out by the group's
/// required capabilities.
pub type KeyVectorCrypto<C> = SteeredCrypto<Arc<C>, Arc<AnyKey>>;

impl<C> KeyVectorCrypto<C> {
    /// Wraps the real provider.
    pub fn new(inner: C) -> Self {
        Self { inner: Arc::new(inner), hook: Arc::default() }
    }

    /// The signature key that has signed the last message which was verified, whichever of its leaf's
    /// keys that is: it tells which device has sent it.
    pub fn signed_by(&self) -> Option<Vec<u8>> {
        self.hook.signed_by()
    }
}

/// The length of a public key, in bytes.
pub(crate) fn key_len(scheme: SignatureScheme) -> usize {
    match scheme {
        SignatureScheme::ED25519 => 32,
        SignatureScheme::ED448 => 57,
        SignatureScheme::ECDSA_SECP256R1_SHA256 => 65,
        SignatureScheme::ECDSA_SECP384R1_SHA384 => 97,
        SignatureScheme::ECDSA_SECP521R1_SHA512 => 133,
    }
}
