//! Verification against leaves with several signature keys.

use std::sync::{Arc, Mutex, PoisonError};

use openmls_traits::{
    crypto::OpenMlsCrypto,
    types::{CryptoError, SignatureScheme},
};
use paired_mls::{leaf::SignatureKeys, wire::SignContent};

use super::{CryptoHook, SteeredCrypto, Verifying};

/// A crypto provider that knows leaves with several signature keys (the draft's standard mode): a
/// signature is valid if it is one of any key of the leaf. For everything else it is the real provider.
///
/// All members of a group with such leaves use it; members that do not are kept out by the group's
/// required capabilities.
pub type KeyVectorCrypto<C> = SteeredCrypto<Arc<C>, Arc<AnyKey>>;

/// Accepts a signature of any key of a leaf, and remembers whose it was.
#[derive(Debug, Default)]
pub struct AnyKey {
    signed: Mutex<Option<Vec<u8>>>,
}

impl<C: OpenMlsCrypto> KeyVectorCrypto<C> {
    /// Wraps the real provider.
    pub fn new(inner: C) -> Self {
        Self { inner: Arc::new(inner), hook: Arc::default() }
    }

    /// The signature key that has signed the last message which was verified, whichever of its leaf's
    /// keys that is: it tells which device has sent it.
    pub fn signed_by(&self) -> Option<Vec<u8>> {
        self.hook.signed.lock().unwrap_or_else(PoisonError::into_inner).clone()
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

impl CryptoHook for AnyKey {
    fn verify(
        &self,
        asked: &Verifying<'_>,
        verify: &dyn Fn(&[u8]) -> Result<(), CryptoError>,
    ) -> Option<Result<(), CryptoError>> {
        // What is neither one key nor several is left to the real provider, which refuses it.
        let keys = SignatureKeys::decode(asked.public_key, key_len(asked.scheme)).ok()?;
        let signed = keys.keys().iter().find(|key| verify(key).is_ok());
        let Some(key) = signed else {
            return Some(Err(CryptoError::InvalidSignature));
        };
        let content = SignContent::decode(asked.data);
        if content.is_ok_and(|content| content.label() == Ok(b"FramedContentTBS")) {
            let mut signed = self.signed.lock().unwrap_or_else(PoisonError::into_inner);
            *signed = Some(key.clone());
        }
        Some(Ok(()))
    }
}
