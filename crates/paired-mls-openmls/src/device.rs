//! One device: what a member of a group needs to act.

use openmls::prelude::{
    BasicCredential, Capabilities, Ciphersuite, CredentialWithKey, KeyPackage, Lifetime,
};
use openmls_basic_credential::SignatureKeyPair;
use openmls_traits::{
    crypto::OpenMlsCrypto as _,
    signatures::{Signer, SignerError},
    types::SignatureScheme,
};
use paired_mls::{PairingId, Vault, group::credential::CredentialPolicy, leaf::KeyProofs};

use paired_mls_group::ThisDevice;

use crate::{
    Clock, Error, PackageKind, Platform, SystemClock, UsageError, gate::leaf_extensions,
    outgoing::message_bytes, view,
};

/// One device: cryptography and MLS storage, signer and credential, the vault, and what it knows of who
/// is who.
pub struct Device<P> {
    provider: P,
    vault: Vault,
    signer: AnySigner,
    credential: CredentialWithKey,
    credentials: Box<dyn CredentialPolicy>,
    clock: Box<dyn Clock>,
    key_proofs: Option<KeyProofs>,
    shared_leaf: Option<PairingId>,
}

impl<P: Platform> Device<P> {
    /// Combines the parts. `credential` carries the public key of `signer`; `credentials` says which
    /// signature keys belong to which identity, for every group of this device.
    pub fn new(
        provider: P,
        vault: Vault,
        signer: impl Signer + Send + Sync + 'static,
        credential: CredentialWithKey,
        credentials: impl CredentialPolicy + 'static,
    ) -> Self {
        let (signer, credentials) = (AnySigner(Box::new(signer)), Box::new(credentials));
        let clock = Box::new(SystemClock);
        let (key_proofs, shared_leaf) = (None, None);
        Self { provider, vault, signer, credential, credentials, clock, key_proofs, shared_leaf }
    }

    /// The same device with another clock than the system's.
    #[must_use]
    pub fn with_clock(self, clock: impl Clock + 'static) -> Self {
        Self { clock: Box::new(clock), ..self }
    }

    /// The same device with the proofs of the keys that its leaf lists, in their order: what each device of
    /// the leaf says by [`Device::prove_key`]. Without them it makes no leaf with several keys.
    #[must_use]
    pub fn with_key_proofs(self, proofs: KeyProofs) -> Self {
        Self { key_proofs: Some(proofs), ..self }
    }

    /// The same device behind the leaf that the devices of a pairing share, whose credential and signature keys
    /// it has: [`Group::join`](crate::Group::join) then knows the KeyPackages from that pairing's tape.
    #[must_use]
    pub fn with_shared_leaf(self, pairing: PairingId) -> Self {
        Self { shared_leaf: Some(pairing), ..self }
    }

    /// The pairing whose devices share this device's leaf; `None` if its leaves are its own.
    pub fn shared_leaf(&self) -> Option<PairingId> {
        self.shared_leaf
    }

    /// The proof that this device agrees to share a leaf of its credential, with the keys that it lists.
    ///
    /// # Errors
    ///
    /// [`UsageError::Signer`] if the signer fails.
    pub fn prove_key(&self) -> Result<Vec<u8>, Error> {
        let credential = view::credential(&self.credential.credential);
        let signed = KeyProofs::to_be_signed(self.signature_key(), &credential);
        Ok(self.signer.sign(&signed).map_err(|_| UsageError::Signer)?)
    }

    /// Whether a signature is the proof of a key that this device's leaf lists.
    pub fn is_key_proof(&self, key: &[u8], proof: &[u8]) -> bool {
        let credential = view::credential(&self.credential.credential);
        let signed = KeyProofs::to_be_signed(self.signature_key(), &credential);
        let scheme = self.signer.signature_scheme();
        self.provider.crypto().verify_signature(scheme, &signed, key, proof).is_ok()
    }

    /// The proofs of the keys that the leaf lists.
    pub fn key_proofs(&self) -> Option<&KeyProofs> {
        self.key_proofs.as_ref()
    }

    /// A device with a new signature key and a basic credential of this identity.
    ///
    /// # Security
    ///
    /// The private signature key lives in this value only. To keep it, make the key pair yourself,
    /// store it apart from the MLS state, and use [`Device::new`].
    ///
    /// # Errors
    ///
    /// [`Error::Mls`] if the key cannot be generated.
    pub fn generate(
        provider: P,
        vault: Vault,
        ciphersuite: Ciphersuite,
        identity: &[u8],
        credentials: impl CredentialPolicy + 'static,
    ) -> Result<Self, Error> {
        let signer = SignatureKeyPair::new(ciphersuite.signature_algorithm())
            .map_err(Error::mls("generate a signature key"))?;
        let credential = CredentialWithKey {
            credential: BasicCredential::new(identity.to_vec()).into(),
            signature_key: signer.public().into(),
        };
        Ok(Self::new(provider, vault, signer, credential, credentials))
    }

    /// Makes a KeyPackage, with its private keys in the MLS storage; returns its `MLSMessage`.
    ///
    /// # Errors
    ///
    /// [`Error::Mls`] if OpenMLS cannot make or store it.
    pub fn key_package(&self, ciphersuite: Ciphersuite) -> Result<Vec<u8>, Error> {
        self.key_package_with(ciphersuite, Capabilities::default())
    }

    /// Makes a KeyPackage like [`Device::key_package`], of a member with these capabilities.
    ///
    /// # Errors
    ///
    /// [`Error::Mls`] if OpenMLS cannot make or store it.
    pub fn key_package_with(
        &self,
        ciphersuite: Ciphersuite,
        capabilities: Capabilities,
    ) -> Result<Vec<u8>, Error> {
        self.key_package_of(ciphersuite, capabilities, PackageKind::Once)
    }

    /// Makes a KeyPackage like [`Device::key_package_with`], for one group or for the last resort.
    ///
    /// # Errors
    ///
    /// [`Error::Mls`] if OpenMLS cannot make or store it.
    pub fn key_package_of(
        &self,
        ciphersuite: Ciphersuite,
        capabilities: Capabilities,
        kind: PackageKind,
    ) -> Result<Vec<u8>, Error> {
        self.key_package_for(ciphersuite, capabilities, kind, Lifetime::default())
    }

    /// Makes a KeyPackage like [`Device::key_package_of`], with this lifetime: it may begin later. OpenMLS accepts one of 84
    /// days and an hour at most.
    ///
    /// # Errors
    ///
    /// [`Error::Mls`] if OpenMLS cannot make or store it.
    pub fn key_package_for(
        &self,
        ciphersuite: Ciphersuite,
        capabilities: Capabilities,
        kind: PackageKind,
        lifetime: Lifetime,
    ) -> Result<Vec<u8>, Error> {
        let extensions = leaf_extensions(self, ciphersuite.signature_algorithm())?;
        let builder =
            KeyPackage::builder().key_package_lifetime(lifetime).leaf_node_extensions(extensions);
        let builder = kind.mark(builder, capabilities);
        let bundle = builder
            .build(ciphersuite, &self.provider, self.signer(), self.credential.clone())
            .map_err(Error::mls("make a KeyPackage"))?;
        message_bytes(bundle.into_key_package().into())
    }

    /// The time, in seconds since 1970.
    pub fn now(&self) -> u64 {
        self.clock.now()
    }

    /// The provider of cryptography, randomness and MLS storage.
    pub fn provider(&self) -> &P {
        &self.provider
    }

    /// The vault.
    pub fn vault(&self) -> &Vault {
        &self.vault
    }

    /// The credential with the public signature key.
    pub fn credential(&self) -> &CredentialWithKey {
        &self.credential
    }

    /// Which signature keys belong to which identity.
    pub fn credentials(&self) -> &dyn CredentialPolicy {
        &*self.credentials
    }

    /// The public signature key.
    pub fn signature_key(&self) -> &[u8] {
        self.credential.signature_key.as_slice()
    }

    /// This device, as the engine needs it.
    pub(crate) fn this(&self) -> ThisDevice<'_, Self> {
        ThisDevice {
            library: self,
            vault: &self.vault,
            credential: view::credential(&self.credential.credential),
            signature_key: self.signature_key(),
            credentials: &*self.credentials,
            now: self.now(),
        }
    }

    pub(crate) fn signature_scheme(&self) -> SignatureScheme {
        self.signer.signature_scheme()
    }

    pub(crate) fn signer(&self) -> &AnySigner {
        &self.signer
    }
}

/// A signer of any kind: OpenMLS takes signers of a known size only.
pub(crate) struct AnySigner(Box<dyn Signer + Send + Sync>);

impl Signer for AnySigner {
    fn sign(&self, payload: &[u8]) -> Result<Vec<u8>, SignerError> {
        self.0.sign(payload)
    }

    fn signature_scheme(&self) -> SignatureScheme {
        self.0.signature_scheme()
    }
}
