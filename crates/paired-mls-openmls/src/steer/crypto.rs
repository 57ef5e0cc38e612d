//! A crypto provider that lets a [`CryptoHook`] answer first, and passes on everything else.

use std::ops::Deref;

use openmls_traits::{
    crypto::OpenMlsCrypto,
    random::OpenMlsRand,
    types::{
        AeadType, Ciphersuite, CryptoError, ExporterSecret, HashType, HpkeCiphertext, HpkeConfig,
        HpkeKeyPair, KemOutput, SignatureScheme,
    },
};
use tls_codec::SecretVLBytes;

/// Answers for single calls of a crypto provider; `None` leaves the call to the real one.
///
/// # Concurrency
///
/// OpenMLS calls it from several threads at once.
pub trait CryptoHook: Send + Sync {
    /// Instead of `hpke_seal`.
    fn seal(&self, _: &Sealing<'_>) -> Option<Result<HpkeCiphertext, CryptoError>> {
        None
    }

    /// Instead of `hpke_open`.
    fn open(&self, _: &HpkeCiphertext, _info: &[u8]) -> Option<Result<Vec<u8>, CryptoError>> {
        None
    }

    /// Instead of `hpke_setup_sender_and_export`.
    fn export(
        &self,
        _: &Exporting<'_>,
    ) -> Option<Result<(KemOutput, ExporterSecret), CryptoError>> {
        None
    }

    /// Sees what `aead_encrypt` is asked for.
    fn encrypting(&self, _: &Encrypting<'_>) {}

    /// Instead of `verify_signature`; `verify` is the real one, for a key of the hook's choice.
    fn verify(
        &self,
        _: &Verifying<'_>,
        _verify: &dyn Fn(&[u8]) -> Result<(), CryptoError>,
    ) -> Option<Result<(), CryptoError>> {
        None
    }
}

/// What `hpke_seal` is asked for (RFC 9180 section 6.1).
pub struct Sealing<'a> {
    /// The algorithms.
    pub config: &'a HpkeConfig,
    /// The recipient's public key.
    pub recipient: &'a [u8],
    /// The parameter `info`.
    pub info: &'a [u8],
    /// The additional data.
    pub aad: &'a [u8],
    /// What is sealed.
    pub plaintext: &'a [u8],
}

/// What `aead_encrypt` is asked for (RFC 5116 section 2.1).
pub struct Encrypting<'a> {
    /// The key.
    pub key: &'a [u8],
    /// The nonce, which a key never sees twice.
    pub nonce: &'a [u8],
    /// The additional data.
    pub aad: &'a [u8],
    /// What is encrypted.
    pub plaintext: &'a [u8],
}

/// What `hpke_setup_sender_and_export` is asked for (RFC 9180 section 6.2).
pub struct Exporting<'a> {
    /// The algorithms.
    pub config: &'a HpkeConfig,
    /// The recipient's public key.
    pub recipient: &'a [u8],
    /// The parameter `info`.
    pub info: &'a [u8],
    /// The parameter `exporter_context`.
    pub exporter_context: &'a [u8],
    /// The length of the exported secret, in bytes.
    pub length: usize,
}

/// What `verify_signature` is asked for.
pub struct Verifying<'a> {
    /// The signature scheme.
    pub scheme: SignatureScheme,
    /// The serialized `SignContent` (RFC 9420 section 5.1.2).
    pub data: &'a [u8],
    /// The public key that the leaf names.
    pub public_key: &'a [u8],
    /// The signature.
    pub signature: &'a [u8],
}

/// The real provider, with a hook.
pub struct SteeredCrypto<C, H> {
    /// The real provider: a reference, or a smart pointer.
    pub inner: C,
    /// What answers first.
    pub hook: H,
}

impl<C, H> OpenMlsCrypto for SteeredCrypto<C, H>
where
    C: Deref<Target: OpenMlsCrypto> + Send + Sync,
    H: Deref<Target: CryptoHook> + Send + Sync,
{
    fn hpke_seal(
        &self,
        config: HpkeConfig,
        recipient: &[u8],
        info: &[u8],
        aad: &[u8],
        plaintext: &[u8],
    ) -> Result<HpkeCiphertext, CryptoError> {
        let asked = Sealing { config: &config, recipient, info, aad, plaintext };
        match self.hook.seal(&asked) {
            Some(answer) => answer,
            None => self.inner.hpke_seal(config, recipient, info, aad, plaintext),
        }
    }

    fn hpke_open(
        &self,
        config: HpkeConfig,
        input: &HpkeCiphertext,
        sk_r: &[u8],
        info: &[u8],
        aad: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        (self.hook.open(input, info))
            .unwrap_or_else(|| self.inner.hpke_open(config, input, sk_r, info, aad))
    }

    fn hpke_setup_sender_and_export(
        &self,
        config: HpkeConfig,
        recipient: &[u8],
        info: &[u8],
        exporter_context: &[u8],
        length: usize,
    ) -> Result<(KemOutput, ExporterSecret), CryptoError> {
        let asked = Exporting { config: &config, recipient, info, exporter_context, length };
        match self.hook.export(&asked) {
            Some(answer) => answer,
            None => self.inner.hpke_setup_sender_and_export(
                config,
                recipient,
                info,
                exporter_context,
                length,
            ),
        }
    }

    fn verify_signature(
        &self,
        scheme: SignatureScheme,
        data: &[u8],
        public_key: &[u8],
        signature: &[u8],
    ) -> Result<(), CryptoError> {
        let verify = |key: &[u8]| self.inner.verify_signature(scheme, data, key, signature);
        let asked = Verifying { scheme, data, public_key, signature };
        self.hook.verify(&asked, &verify).unwrap_or_else(|| verify(public_key))
    }

    // From here on, the real provider answers.

    fn supports(&self, ciphersuite: Ciphersuite) -> Result<(), CryptoError> {
        self.inner.supports(ciphersuite)
    }

    fn supported_ciphersuites(&self) -> Vec<Ciphersuite> {
        self.inner.supported_ciphersuites()
    }

    fn hkdf_extract(
        &self,
        hash_type: HashType,
        salt: &[u8],
        ikm: &[u8],
    ) -> Result<SecretVLBytes, CryptoError> {
        self.inner.hkdf_extract(hash_type, salt, ikm)
    }

    fn hmac(
        &self,
        hash_type: HashType,
        key: &[u8],
        message: &[u8],
    ) -> Result<SecretVLBytes, CryptoError> {
        self.inner.hmac(hash_type, key, message)
    }

    fn hkdf_expand(
        &self,
        hash_type: HashType,
        prk: &[u8],
        info: &[u8],
        okm_len: usize,
    ) -> Result<SecretVLBytes, CryptoError> {
        self.inner.hkdf_expand(hash_type, prk, info, okm_len)
    }

    fn hash(&self, hash_type: HashType, data: &[u8]) -> Result<Vec<u8>, CryptoError> {
        self.inner.hash(hash_type, data)
    }

    fn aead_encrypt(
        &self,
        alg: AeadType,
        key: &[u8],
        data: &[u8],
        nonce: &[u8],
        aad: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        self.hook.encrypting(&Encrypting { key, nonce, aad, plaintext: data });
        self.inner.aead_encrypt(alg, key, data, nonce, aad)
    }

    fn aead_decrypt(
        &self,
        alg: AeadType,
        key: &[u8],
        ct_tag: &[u8],
        nonce: &[u8],
        aad: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        self.inner.aead_decrypt(alg, key, ct_tag, nonce, aad)
    }

    fn signature_key_gen(&self, alg: SignatureScheme) -> Result<(Vec<u8>, Vec<u8>), CryptoError> {
        self.inner.signature_key_gen(alg)
    }

    fn sign(&self, alg: SignatureScheme, data: &[u8], key: &[u8]) -> Result<Vec<u8>, CryptoError> {
        self.inner.sign(alg, data, key)
    }

    fn hpke_setup_receiver_and_export(
        &self,
        config: HpkeConfig,
        enc: &[u8],
        sk_r: &[u8],
        info: &[u8],
        exporter_context: &[u8],
        exporter_length: usize,
    ) -> Result<ExporterSecret, CryptoError> {
        self.inner.hpke_setup_receiver_and_export(
            config,
            enc,
            sk_r,
            info,
            exporter_context,
            exporter_length,
        )
    }

    fn derive_hpke_keypair(
        &self,
        config: HpkeConfig,
        ikm: &[u8],
    ) -> Result<HpkeKeyPair, CryptoError> {
        self.inner.derive_hpke_keypair(config, ikm)
    }
}

impl<C, H> OpenMlsRand for SteeredCrypto<C, H>
where
    C: Deref<Target: OpenMlsRand>,
{
    type Error = <C::Target as OpenMlsRand>::Error;

    fn random_array<const N: usize>(&self) -> Result<[u8; N], Self::Error> {
        self.inner.random_array()
    }

    fn random_vec(&self, len: usize) -> Result<Vec<u8>, Self::Error> {
        self.inner.random_vec(len)
    }
}
