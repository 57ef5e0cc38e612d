//! The signature key that the devices of a hidden pairing share: it lies in the vault.

use openmls_traits::{
    crypto::OpenMlsCrypto,
    signatures::{Signer, SignerError},
    types::{Ciphersuite, SignatureScheme},
};
use paired_mls::{CipherSuite, PairingId, Secret, Vault, pairing::SignatureKeyPair};

use crate::{Error, UsageError};

/// Signs with the key of a hidden pairing's anchor leaf, which lies in the vault: it is read for one
/// signature, and erased. For [`Device::new`](crate::Device::new).
pub struct AnchorSigner<C> {
    crypto: C,
    vault: Vault,
    pairing: PairingId,
    scheme: SignatureScheme,
}

impl<C: OpenMlsCrypto> AnchorSigner<C> {
    /// A signer for the key of `pairing`, on a crypto provider of the caller's choice.
    ///
    /// # Errors
    ///
    /// [`UsageError::CipherSuite`] for a suite that OpenMLS does not know.
    pub fn new(
        crypto: C,
        vault: Vault,
        pairing: PairingId,
        suite: CipherSuite,
    ) -> Result<Self, UsageError> {
        Ok(Self { crypto, vault, pairing, scheme: scheme(suite)? })
    }
}

impl<C: OpenMlsCrypto> Signer for AnchorSigner<C> {
    fn sign(&self, payload: &[u8]) -> Result<Vec<u8>, SignerError> {
        let sign = |pair: &SignatureKeyPair| {
            self.crypto.sign(self.scheme, payload, pair.private_key.expose())
        };
        let signed = self.vault.with_anchor_key(self.pairing, sign);
        match signed {
            Ok(Some(Ok(signature))) => Ok(signature),
            _ => Err(SignerError::SigningError),
        }
    }

    fn signature_scheme(&self) -> SignatureScheme {
        self.scheme
    }
}

/// Makes the key pair of an anchor leaf, for
/// [`Request::Hidden`](paired_mls::pairing::Request::Hidden).
///
/// # Errors
///
/// [`UsageError::CipherSuite`], [`Error::Mls`].
pub fn generate_anchor_key(
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
