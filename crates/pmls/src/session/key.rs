//! The device's signature key, wherever it is: in the vault, or in the vault's token.

use std::{fmt, sync::Arc};

use openmls_rust_crypto::RustCrypto;
use openmls_traits::{
    signatures::{Signer, SignerError},
    types::{Ciphersuite, SignatureScheme as MlsScheme},
};
use paired_mls::{CipherSuite, Vault};
use paired_mls_api::{DeviceId, RequestKey, SchemeError, SignatureScheme};
use paired_mls_feed::{BeaconKey, NotAKey};
use paired_mls_openmls::{UsageError, VaultKey, VaultSigner, VaultSignerError};
use paired_mls_vault::pkcs11::{TokenError, TokenSigner};
use thiserror::Error;

use super::SessionError;

/// The device's signature key: it signs MLS messages and requests. Clones share it.
#[derive(Clone)]
pub(crate) struct DeviceKey {
    public_key: Vec<u8>,
    scheme: SignatureScheme,
    mls_scheme: MlsScheme,
    place: Place,
}

#[derive(Clone)]
enum Place {
    Vault(Arc<VaultSigner<RustCrypto>>),
    Token(Arc<TokenSigner>),
}

/// Why a key did not sign.
#[derive(Debug, Error)]
pub(crate) enum KeyError {
    /// The vault.
    #[error(transparent)]
    Vault(#[from] VaultSignerError),
    /// The token.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// It signed in another form than that of its scheme.
    #[error(transparent)]
    Scheme(#[from] SchemeError),
}

impl DeviceKey {
    /// A key in the vault; `None` if it has none yet.
    pub(super) fn in_vault(
        vault: &Vault,
        key: VaultKey,
        suite: CipherSuite,
    ) -> Result<Option<Self>, SessionError> {
        let signer = VaultSigner::new(RustCrypto::default(), vault.clone(), key, suite)?;
        let Some(public_key) = signer.public_key()? else {
            return Ok(None);
        };
        Self::new(public_key, suite, Place::Vault(Arc::new(signer))).map(Some)
    }

    /// A key in a token.
    pub(super) fn in_token(signer: TokenSigner, suite: CipherSuite) -> Result<Self, SessionError> {
        let public_key = signer.public_key().to_vec();
        Self::new(public_key, suite, Place::Token(Arc::new(signer)))
    }

    fn new(public_key: Vec<u8>, suite: CipherSuite, place: Place) -> Result<Self, SessionError> {
        let scheme = SignatureScheme::of_suite(suite.code_point())?;
        let mls_scheme = mls_suite(suite)?.signature_algorithm();
        Ok(Self { public_key, scheme, mls_scheme, place })
    }

    /// The public key, as the listeners of a feed know it.
    pub(crate) fn beacon_key(&self) -> Result<BeaconKey, NotAKey> {
        BeaconKey::new(self.scheme, &self.public_key)
    }

    /// The id of the device that has this key.
    pub(crate) fn device(&self) -> DeviceId {
        DeviceId::of_key(self.scheme, &self.public_key)
    }

    /// A signature in the form that MLS has.
    pub(crate) fn sign_mls(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        match &self.place {
            Place::Vault(signer) => Ok(signer.sign_with_reason(message)?),
            Place::Token(signer) => Ok(signer.sign(message)?),
        }
    }
}

impl Signer for DeviceKey {
    fn sign(&self, payload: &[u8]) -> Result<Vec<u8>, SignerError> {
        self.sign_mls(payload).map_err(|_| SignerError::SigningError)
    }

    fn signature_scheme(&self) -> MlsScheme {
        self.mls_scheme
    }
}

impl RequestKey for DeviceKey {
    type Error = KeyError;

    fn scheme(&self) -> SignatureScheme {
        self.scheme
    }

    fn public_key(&self) -> Vec<u8> {
        self.public_key.clone()
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        Ok(self.scheme.from_mls(&self.sign_mls(message)?)?)
    }
}

impl fmt::Debug for DeviceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeviceKey({})", self.device())
    }
}

/// The suite as OpenMLS has it.
pub(crate) fn mls_suite(suite: CipherSuite) -> Result<Ciphersuite, UsageError> {
    Ciphersuite::try_from(suite.code_point()).map_err(|_| UsageError::CipherSuite)
}
