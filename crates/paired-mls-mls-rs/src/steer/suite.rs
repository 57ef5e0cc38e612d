//! One cipher suite of mls-rs, which asks first.

use std::{fmt, sync::Arc};

use mls_rs::{
    CipherSuite, CipherSuiteProvider,
    crypto::{
        HpkeCiphertext, HpkePsk, HpkePublicKey, HpkeSecretKey, SignaturePublicKey,
        SignatureSecretKey,
    },
    error::{AnyError, IntoAnyError},
};
use paired_mls_group::{Draw, Exporting, Opening, Refused, Sealing, Signing, Steering, Verifying};
use thiserror::Error;
use zeroize::Zeroizing;

use super::{Slot, SteeredContext, context::EXTERNAL_INIT};
use crate::Signer;

/// The length of a `reuse_guard`, in bytes (RFC 9420 section 6.3.1).
const REUSE_GUARD_LEN: usize = 4;

/// A cipher suite whose answers the steering of the call may give. Signatures are those of a [`Signer`]; the
/// secret key that mls-rs has is not looked at.
#[derive(Clone)]
pub struct SteeredSuite<S> {
    inner: S,
    slot: Slot,
    signer: Arc<dyn Signer>,
}

/// Why the cryptography failed.
#[derive(Debug, Error)]
pub enum SteeredError<E> {
    /// The steering has refused to answer; it says why.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The device's signer made no signature.
    #[error("the device's signer did not sign")]
    Signer,
    /// mls-rs asks for what it did not ask for when this adapter was written.
    #[error("mls-rs asks for something that this adapter does not expect")]
    Unexpected,
    /// The provider's own error.
    #[error("the crypto provider failed")]
    Real(E),
}

impl<E: IntoAnyError> IntoAnyError for SteeredError<E> {
    fn into_dyn_error(self) -> Result<Box<dyn std::error::Error + Send + Sync>, Self> {
        Ok(match self {
            Self::Refused(refused) => refused.into(),
            Self::Signer => Box::new(SteeredError::<AnyError>::Signer),
            Self::Unexpected => Box::new(SteeredError::<AnyError>::Unexpected),
            Self::Real(error) => Box::new(error.into_any_error()),
        })
    }
}

impl<S: CipherSuiteProvider> SteeredSuite<S> {
    pub(super) fn new(inner: S, slot: Slot, signer: Arc<dyn Signer>) -> Self {
        Self { inner, slot, signer }
    }

    /// The answer of whoever is asked, if there is any.
    fn ask<T>(
        &self,
        question: impl FnOnce(&dyn Steering) -> Option<Result<T, Refused>>,
    ) -> Result<Option<T>, SteeredError<S::Error>> {
        let asked = self.slot.asked();
        let answer = asked.and_then(|asked| question(&*asked.steering));
        answer.transpose().map_err(SteeredError::Refused)
    }

    fn is_of(&self, key: &[u8], signature: &[u8], data: &[u8]) -> bool {
        self.inner.verify(&SignaturePublicKey::new_slice(key), signature, data).is_ok()
    }
}

impl<S: CipherSuiteProvider> CipherSuiteProvider for SteeredSuite<S> {
    type Error = SteeredError<S::Error>;
    type HpkeContextS = SteeredContext<S::HpkeContextS>;
    type HpkeContextR = S::HpkeContextR;

    /// mls-rs draws the path secret and the reuse guard so, and tells them apart by nothing but their length.
    fn random_bytes(&self, out: &mut [u8]) -> Result<(), Self::Error> {
        let draw = match out.len() {
            REUSE_GUARD_LEN => Draw::ReuseGuard,
            length if length == self.inner.kdf_extract_size() => Draw::PathSecret,
            _ => Draw::Other,
        };
        match self.ask(|steering| steering.draw(draw, out.len()))? {
            Some(drawn) if drawn.len() == out.len() => {
                out.copy_from_slice(drawn.expose());
                Ok(())
            }
            Some(_) => Err(SteeredError::Unexpected),
            None => self.inner.random_bytes(out).map_err(SteeredError::Real),
        }
    }

    /// mls-rs makes the keys of leaves and of KeyPackages so.
    fn kem_generate(&self) -> Result<(HpkeSecretKey, HpkePublicKey), Self::Error> {
        let length = self.inner.kdf_extract_size();
        let draw = self.slot.asked().map(|asked| (asked.next_key(), asked));
        let drawn = draw.and_then(|(draw, asked)| asked.steering.draw(draw, length));
        match drawn.transpose()? {
            Some(ikm) => self.inner.kem_derive(ikm.expose()).map_err(SteeredError::Real),
            None => self.inner.kem_generate().map_err(SteeredError::Real),
        }
    }

    fn hpke_seal(
        &self,
        remote_key: &HpkePublicKey,
        info: &[u8],
        aad: Option<&[u8]>,
        pt: &[u8],
    ) -> Result<HpkeCiphertext, Self::Error> {
        let asked = Sealing {
            recipient: remote_key.as_ref(),
            info,
            aad: aad.unwrap_or_default(),
            plaintext: pt,
        };
        match self.ask(|steering| steering.seal(&asked))? {
            Some(sealed) => {
                Ok(HpkeCiphertext { kem_output: sealed.kem_output, ciphertext: sealed.ciphertext })
            }
            None => self.inner.hpke_seal(remote_key, info, aad, pt).map_err(SteeredError::Real),
        }
    }

    fn hpke_open(
        &self,
        ciphertext: &HpkeCiphertext,
        local_secret: &HpkeSecretKey,
        local_public: &HpkePublicKey,
        info: &[u8],
        aad: Option<&[u8]>,
    ) -> Result<Zeroizing<Vec<u8>>, Self::Error> {
        let HpkeCiphertext { kem_output, ciphertext: sealed } = ciphertext;
        let asked = Opening { kem_output, ciphertext: sealed, info };
        match self.ask(|steering| steering.open(&asked))? {
            Some(opened) => Ok(opened.expose().to_vec().into()),
            None => (self.inner)
                .hpke_open(ciphertext, local_secret, local_public, info, aad)
                .map_err(SteeredError::Real),
        }
    }

    /// For the one secret that MLS exports from such a context.
    fn hpke_setup_s(
        &self,
        remote_key: &HpkePublicKey,
        info: &[u8],
    ) -> Result<(Vec<u8>, Self::HpkeContextS), Self::Error> {
        let asked = Exporting {
            recipient: remote_key.as_ref(),
            info,
            exporter_context: EXTERNAL_INIT,
            length: self.inner.kdf_extract_size(),
        };
        if let Some((kem_output, secret)) = self.ask(|steering| steering.export(&asked))? {
            return Ok((kem_output, SteeredContext::Exported(secret)));
        }
        let (kem_output, context) =
            self.inner.hpke_setup_s(remote_key, info).map_err(SteeredError::Real)?;
        Ok((kem_output, SteeredContext::Real(context)))
    }

    fn sign(&self, _: &SignatureSecretKey, data: &[u8]) -> Result<Vec<u8>, Self::Error> {
        let own = || self.signer.sign(data).map_err(|_| Refused);
        let Some(asked) = self.slot.asked() else {
            return own().map_err(|Refused| SteeredError::Signer);
        };
        let is_of = |key: &[u8], signature: &[u8]| self.is_of(key, signature, data);
        Ok(asked.steering.sign(&Signing { payload: data, own: &own, is_of: &is_of })?)
    }

    fn verify(
        &self,
        public_key: &SignaturePublicKey,
        signature: &[u8],
        data: &[u8],
    ) -> Result<(), Self::Error> {
        let is_of = |key: &[u8]| self.is_of(key, signature, data);
        let asked = Verifying {
            payload: data,
            signature_key: public_key,
            key_len: key_len(self.inner.cipher_suite()),
            is_of: &is_of,
        };
        match self.ask(|steering| steering.verify(&asked))? {
            Some(()) => Ok(()),
            None => self.inner.verify(public_key, signature, data).map_err(SteeredError::Real),
        }
    }

    // From here on, the real suite answers.

    fn cipher_suite(&self) -> CipherSuite {
        self.inner.cipher_suite()
    }

    fn hash(&self, data: &[u8]) -> Result<Vec<u8>, Self::Error> {
        self.inner.hash(data).map_err(SteeredError::Real)
    }

    fn mac(&self, key: &[u8], data: &[u8]) -> Result<Vec<u8>, Self::Error> {
        self.inner.mac(key, data).map_err(SteeredError::Real)
    }

    fn aead_seal(
        &self,
        key: &[u8],
        data: &[u8],
        aad: Option<&[u8]>,
        nonce: &[u8],
    ) -> Result<Vec<u8>, Self::Error> {
        self.inner.aead_seal(key, data, aad, nonce).map_err(SteeredError::Real)
    }

    fn aead_open(
        &self,
        key: &[u8],
        ciphertext: &[u8],
        aad: Option<&[u8]>,
        nonce: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, Self::Error> {
        self.inner.aead_open(key, ciphertext, aad, nonce).map_err(SteeredError::Real)
    }

    fn aead_key_size(&self) -> usize {
        self.inner.aead_key_size()
    }

    fn aead_nonce_size(&self) -> usize {
        self.inner.aead_nonce_size()
    }

    fn kdf_extract(&self, salt: &[u8], ikm: &[u8]) -> Result<Zeroizing<Vec<u8>>, Self::Error> {
        self.inner.kdf_extract(salt, ikm).map_err(SteeredError::Real)
    }

    fn kdf_expand(
        &self,
        prk: &[u8],
        info: &[u8],
        len: usize,
    ) -> Result<Zeroizing<Vec<u8>>, Self::Error> {
        self.inner.kdf_expand(prk, info, len).map_err(SteeredError::Real)
    }

    fn kdf_extract_size(&self) -> usize {
        self.inner.kdf_extract_size()
    }

    fn hpke_seal_psk(
        &self,
        remote_key: &HpkePublicKey,
        info: &[u8],
        aad: Option<&[u8]>,
        pt: &[u8],
        psk: HpkePsk<'_>,
    ) -> Result<HpkeCiphertext, Self::Error> {
        self.inner.hpke_seal_psk(remote_key, info, aad, pt, psk).map_err(SteeredError::Real)
    }

    fn hpke_open_psk(
        &self,
        ciphertext: &HpkeCiphertext,
        local_secret: &HpkeSecretKey,
        local_public: &HpkePublicKey,
        info: &[u8],
        aad: Option<&[u8]>,
        psk: HpkePsk<'_>,
    ) -> Result<Zeroizing<Vec<u8>>, Self::Error> {
        (self.inner)
            .hpke_open_psk(ciphertext, local_secret, local_public, info, aad, psk)
            .map_err(SteeredError::Real)
    }

    fn hpke_setup_r(
        &self,
        kem_output: &[u8],
        local_secret: &HpkeSecretKey,
        local_public: &HpkePublicKey,
        info: &[u8],
    ) -> Result<Self::HpkeContextR, Self::Error> {
        let context = self.inner.hpke_setup_r(kem_output, local_secret, local_public, info);
        context.map_err(SteeredError::Real)
    }

    fn kem_derive(&self, ikm: &[u8]) -> Result<(HpkeSecretKey, HpkePublicKey), Self::Error> {
        self.inner.kem_derive(ikm).map_err(SteeredError::Real)
    }

    fn kem_public_key_validate(&self, key: &HpkePublicKey) -> Result<(), Self::Error> {
        self.inner.kem_public_key_validate(key).map_err(SteeredError::Real)
    }

    fn signature_key_generate(
        &self,
    ) -> Result<(SignatureSecretKey, SignaturePublicKey), Self::Error> {
        self.inner.signature_key_generate().map_err(SteeredError::Real)
    }

    fn signature_key_derive_public(
        &self,
        secret_key: &SignatureSecretKey,
    ) -> Result<SignaturePublicKey, Self::Error> {
        self.inner.signature_key_derive_public(secret_key).map_err(SteeredError::Real)
    }
}

impl<S> fmt::Debug for SteeredSuite<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SteeredSuite").field("slot", &self.slot).finish_non_exhaustive()
    }
}

/// The length of a public key of a suite's signature scheme, in bytes; 0 for a suite that is not known.
pub(crate) fn key_len(suite: CipherSuite) -> usize {
    match suite {
        CipherSuite::CURVE25519_AES128 | CipherSuite::CURVE25519_CHACHA => 32,
        CipherSuite::P256_AES128 => 65,
        _ => 0,
    }
}
