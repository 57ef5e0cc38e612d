//! Who signs for a device. mls-rs would keep the secret key in the state of each group; so it never gets it.

use std::fmt;

use mls_rs::{
    CipherSuiteProvider, CryptoProvider,
    crypto::SignatureSecretKey,
    error::{IntoAnyError, MlsError},
};
use paired_mls::{CipherSuite, Secret, Vault, pairing::SignatureKeyPair};
use paired_mls_group::{BoxError, Error, UsageError};

use crate::view::mls_suite;

/// Signs with a device's signature key.
pub trait Signer: Send + Sync {
    /// Signs a serialized `SignContent` (RFC 9420 section 5.1.2).
    ///
    /// # Errors
    ///
    /// Whatever keeps the key from it.
    fn sign(&self, payload: &[u8]) -> Result<Vec<u8>, BoxError>;
}

/// Signs with the key that lies in the vault ([`Vault::store_signature_key`]): it is read for one signature, and
/// erased.
pub struct VaultSigner<C> {
    crypto: C,
    vault: Vault,
    suite: CipherSuite,
}

impl<C: CryptoProvider> VaultSigner<C> {
    /// A signer of this suite, on a crypto provider of the caller's choice.
    ///
    /// # Errors
    ///
    /// [`UsageError::CipherSuite`] for a suite that the provider does not know.
    pub fn new(crypto: C, vault: Vault, suite: CipherSuite) -> Result<Self, UsageError> {
        provider(&crypto, suite)?;
        Ok(Self { crypto, vault, suite })
    }
}

impl<C: CryptoProvider> Signer for VaultSigner<C> {
    fn sign(&self, payload: &[u8]) -> Result<Vec<u8>, BoxError> {
        let suite = provider(&self.crypto, self.suite)?;
        let signed = self.vault.with_signature_key(|pair| {
            let key = SignatureSecretKey::new_slice(pair.private_key.expose());
            suite.sign(&key, payload)
        });
        let signed = signed?.ok_or(UsageError::Signer)?;
        Ok(signed.map_err(IntoAnyError::into_any_error)?)
    }
}

impl<C> fmt::Debug for VaultSigner<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VaultSigner")
    }
}

/// Makes a signature key pair, for [`Vault::store_signature_key`].
///
/// # Errors
///
/// [`UsageError::CipherSuite`], [`Error::Mls`].
pub fn generate_signature_key(
    crypto: &impl CryptoProvider,
    suite: CipherSuite,
) -> Result<SignatureKeyPair, Error> {
    let (private_key, public_key) = provider(crypto, suite)?
        .signature_key_generate()
        .map_err(|error| MlsError::CryptoProviderError(error.into_any_error()))
        .map_err(Error::mls("generate a signature key"))?;
    let private_key = Secret::copy_of(private_key.as_bytes());
    Ok(SignatureKeyPair { public_key: public_key.into(), private_key })
}

/// The provider's suite.
pub(crate) fn provider<C: CryptoProvider>(
    crypto: &C,
    suite: CipherSuite,
) -> Result<C::CipherSuiteProvider, UsageError> {
    crypto.cipher_suite_provider(mls_suite(suite)).ok_or(UsageError::CipherSuite)
}
