//! Signature keys that lie in the vault: the device's own one, and the one that the devices of a hidden
//! pairing share.

use openmls_traits::{
    crypto::OpenMlsCrypto,
    signatures::{Signer, SignerError},
    types::{Ciphersuite, CryptoError, SignatureScheme},
};
use paired_mls::{CipherSuite, PairingId, Secret, Vault, VaultError, pairing::SignatureKeyPair};
use thiserror::Error as ThisError;

use crate::{Error, UsageError};

/// Which key of a vault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VaultKey {
    /// The device's own one.
    Own,
    /// The one that the devices of this hidden pairing share.
    Anchor(PairingId),
}

/// Signs with a key that lies in the vault: it is read for one signature, and erased. For
/// [`Device::new`](crate::Device::new).
pub struct VaultSigner<C> {
    crypto: C,
    vault: Vault,
    key: VaultKey,
    scheme: SignatureScheme,
}

impl<C: OpenMlsCrypto> VaultSigner<C> {
    /// A signer for this key, of this suite, on a crypto provider of the caller's choice.
    ///
    /// # Errors
    ///
    /// [`UsageError::CipherSuite`] for a suite that OpenMLS does not know.
    pub fn new(
        crypto: C,
        vault: Vault,
        key: VaultKey,
        suite: CipherSuite,
    ) -> Result<Self, UsageError> {
        Ok(Self { crypto, vault, key, scheme: scheme(suite)? })
    }

    /// The public key; `None` if the vault has no such key.
    ///
    /// # Errors
    ///
    /// Those of the vault.
    pub fn public_key(&self) -> Result<Option<Vec<u8>>, VaultError> {
        self.with_key(|pair| pair.public_key.clone())
    }

    fn with_key<T>(
        &self,
        sign: impl FnOnce(&SignatureKeyPair) -> T,
    ) -> Result<Option<T>, VaultError> {
        match self.key {
            VaultKey::Own => self.vault.with_signature_key(sign),
            VaultKey::Anchor(pairing) => self.vault.with_anchor_key(pairing, sign),
        }
    }
}

/// Why a key in a vault did not sign.
#[derive(Debug, ThisError)]
#[non_exhaustive]
pub enum VaultSignerError {
    /// The vault failed.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The vault has no such key.
    #[error("the vault does not hold the signature key: set the device up, or pair, first")]
    NoKey,
    /// The key is none of its suite.
    #[error("the signature key cannot sign")]
    Crypto(#[source] CryptoError),
}

impl<C: OpenMlsCrypto> VaultSigner<C> {
    /// Signs like [`Signer::sign`], and says why it did not.
    ///
    /// # Errors
    ///
    /// [`VaultSignerError`].
    pub fn sign_with_reason(&self, payload: &[u8]) -> Result<Vec<u8>, VaultSignerError> {
        let sign = |pair: &SignatureKeyPair| {
            self.crypto.sign(self.scheme, payload, pair.private_key.expose())
        };
        let signed = self.with_key(sign)?.ok_or(VaultSignerError::NoKey)?;
        signed.map_err(VaultSignerError::Crypto)
    }
}

impl<C: OpenMlsCrypto> Signer for VaultSigner<C> {
    fn sign(&self, payload: &[u8]) -> Result<Vec<u8>, SignerError> {
        self.sign_with_reason(payload).map_err(|_| SignerError::SigningError)
    }

    fn signature_scheme(&self) -> SignatureScheme {
        self.scheme
    }
}

/// Makes a signature key pair: a device's own one, for
/// [`Vault::store_signature_key`](paired_mls::Vault::store_signature_key), or that of an anchor leaf,
/// for [`Request::Hidden`](paired_mls::pairing::Request::Hidden).
///
/// # Errors
///
/// [`UsageError::CipherSuite`], [`Error::Mls`].
pub fn generate_signature_key(
    crypto: &impl OpenMlsCrypto,
    suite: CipherSuite,
) -> Result<SignatureKeyPair, Error> {
    let (private_key, public_key) =
        crypto.signature_key_gen(scheme(suite)?).map_err(Error::mls("generate a signature key"))?;
    Ok(SignatureKeyPair { public_key, private_key: Secret::new(private_key) })
}

/// Whether a private key belongs to its public one, for
/// [`PairingBook::receive`](paired_mls::pairing::PairingBook::receive).
pub fn is_key_pair(
    crypto: &impl OpenMlsCrypto,
    suite: CipherSuite,
    pair: &SignatureKeyPair,
) -> bool {
    const PROBE: &[u8] = b"PMLS 02 is this the key of the anchor leaf";
    let Ok(scheme) = scheme(suite) else {
        return false;
    };
    let signature = crypto.sign(scheme, PROBE, pair.private_key.expose());
    signature.is_ok_and(|signature| {
        crypto.verify_signature(scheme, PROBE, &pair.public_key, &signature).is_ok()
    })
}

fn scheme(suite: CipherSuite) -> Result<SignatureScheme, UsageError> {
    let suite = Ciphersuite::try_from(suite.code_point()).map_err(|_| UsageError::CipherSuite)?;
    Ok(suite.signature_algorithm())
}
