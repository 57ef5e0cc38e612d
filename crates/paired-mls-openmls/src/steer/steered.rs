//! The wrappers that put the questions of OpenMLS to a [`Steering`].

use std::{
    borrow::BorrowMut,
    sync::atomic::{AtomicUsize, Ordering},
};

use openmls::prelude::{CommitBuilder, Complete, LoadedPsks, MlsGroup};
use openmls_traits::{
    OpenMlsProvider,
    crypto::OpenMlsCrypto,
    random::OpenMlsRand,
    signatures::{Signer, SignerError},
    types::{CryptoError, ExporterSecret, HpkeCiphertext, KemOutput, SignatureScheme},
};
use paired_mls_group::{Draw, Opening, Refused, Signing, Steering};
use thiserror::Error as ThisError;

use super::{CryptoHook, Exporting, Sealing, SteeredCrypto, Verifying, key_len};
use crate::{Device, Error, Platform, device::AnySigner};

/// What OpenMLS draws as vectors while it makes a commit, in this order.
pub(crate) const COMMIT: &[Draw] = &[Draw::PathSecret, Draw::LeafKey];

/// What OpenMLS draws as vectors while it makes a KeyPackage, in this order.
pub(crate) const KEY_PACKAGE: &[Draw] = &[Draw::InitKey, Draw::LeafKey];

/// While OpenMLS opens a message, no draw is of any account.
pub(crate) const OPENING: &[Draw] = &[];

/// Builds a commit with the steering's answers. Nothing is staged yet.
pub(crate) fn build<'b, P: Platform, G: BorrowMut<MlsGroup>>(
    commit: CommitBuilder<'b, LoadedPsks, G>,
    device: &Device<P>,
    steering: &impl Steering,
) -> Result<CommitBuilder<'b, Complete, G>, Error> {
    let provider = SteeredProvider::new(device.provider(), steering, COMMIT);
    let signer = SteeredSigner::new(device, steering);
    commit
        .build(provider.rand(), provider.crypto(), &signer, |_| true)
        .map_err(blame(steering, "build a commit"))
}

/// Why the steering has refused, or else OpenMLS' own error.
pub(crate) fn blame<E>(steering: &impl Steering, step: &'static str) -> impl FnOnce(E) -> Error
where
    E: std::error::Error + Send + Sync + 'static,
{
    move |error| steering.take_error().unwrap_or_else(|| Error::mls(step)(error))
}

/// The device's provider, which asks the steering first.
pub(crate) struct SteeredProvider<'a, P: OpenMlsProvider, S> {
    inner: &'a P,
    crypto: SteeredCrypto<&'a P::CryptoProvider, &'a S>,
    rand: SteeredRand<'a, P::RandProvider, S>,
}

impl<'a, P: OpenMlsProvider, S: Steering> SteeredProvider<'a, P, S> {
    /// `order` is what OpenMLS draws vectors for, one after another.
    pub(crate) fn new(inner: &'a P, steering: &'a S, order: &'static [Draw]) -> Self {
        let crypto = SteeredCrypto { inner: inner.crypto(), hook: steering };
        let rand = SteeredRand { inner: inner.rand(), steering, order, drawn: AtomicUsize::new(0) };
        Self { inner, crypto, rand }
    }
}

impl<'a, P, S> OpenMlsProvider for SteeredProvider<'a, P, S>
where
    P: OpenMlsProvider<RandProvider: OpenMlsRand<Error: Send + Sync + 'static>>,
    S: Steering,
{
    type CryptoProvider = SteeredCrypto<&'a P::CryptoProvider, &'a S>;
    type RandProvider = SteeredRand<'a, P::RandProvider, S>;
    type StorageProvider = P::StorageProvider;

    fn storage(&self) -> &P::StorageProvider {
        self.inner.storage()
    }

    fn crypto(&self) -> &Self::CryptoProvider {
        &self.crypto
    }

    fn rand(&self) -> &Self::RandProvider {
        &self.rand
    }
}

/// Randomness that the steering may give.
pub(crate) struct SteeredRand<'a, R, S> {
    inner: &'a R,
    steering: &'a S,
    order: &'static [Draw],
    drawn: AtomicUsize,
}

/// OpenMLS gets no randomness.
#[derive(Debug, ThisError)]
pub(crate) enum SteeredRandError<E> {
    /// The steering has none for it.
    #[error(transparent)]
    Refused(Refused),
    /// The device's provider has none.
    #[error("no randomness can be drawn")]
    Real(E),
}

impl<R: OpenMlsRand, S: Steering> OpenMlsRand for SteeredRand<'_, R, S> {
    type Error = SteeredRandError<R::Error>;

    /// OpenMLS draws the reuse guard as an array, and nothing else.
    fn random_array<const N: usize>(&self) -> Result<[u8; N], Self::Error> {
        let Some(drawn) = self.steering.draw(Draw::ReuseGuard, N) else {
            return self.inner.random_array().map_err(SteeredRandError::Real);
        };
        let drawn = drawn.map_err(SteeredRandError::Refused)?;
        <[u8; N]>::try_from(drawn.expose()).map_err(|_| SteeredRandError::Refused(Refused))
    }

    fn random_vec(&self, len: usize) -> Result<Vec<u8>, Self::Error> {
        let n = self.drawn.fetch_add(1, Ordering::Relaxed);
        let draw = self.order.get(n).copied().unwrap_or(Draw::Other);
        match self.steering.draw(draw, len) {
            Some(Ok(drawn)) => Ok(drawn.expose().to_vec()),
            Some(Err(refused)) => Err(SteeredRandError::Refused(refused)),
            None => self.inner.random_vec(len).map_err(SteeredRandError::Real),
        }
    }
}

/// The device's signer, which asks the steering first.
pub(crate) struct SteeredSigner<'a, C, S> {
    signer: &'a AnySigner,
    crypto: &'a C,
    steering: &'a S,
}

impl<'a, C, S> SteeredSigner<'a, C, S> {
    pub(crate) fn new<P: Platform<CryptoProvider = C>>(
        device: &'a Device<P>,
        steering: &'a S,
    ) -> Self {
        Self { signer: device.signer(), crypto: device.provider().crypto(), steering }
    }
}

impl<C: OpenMlsCrypto, S: Steering> Signer for SteeredSigner<'_, C, S> {
    fn sign(&self, payload: &[u8]) -> Result<Vec<u8>, SignerError> {
        let scheme = self.signature_scheme();
        let own = || self.signer.sign(payload).map_err(|_| Refused);
        let is_of = |key: &[u8], signature: &[u8]| {
            self.crypto.verify_signature(scheme, payload, key, signature).is_ok()
        };
        let asked = Signing { payload, own: &own, is_of: &is_of };
        self.steering.sign(&asked).map_err(|Refused| SignerError::SigningError)
    }

    fn signature_scheme(&self) -> SignatureScheme {
        self.signer.signature_scheme()
    }
}

impl<S: Steering> CryptoHook for S {
    fn seal(&self, asked: &Sealing<'_>) -> Option<Result<HpkeCiphertext, CryptoError>> {
        let &Sealing { recipient, info, aad, plaintext, .. } = asked;
        let asked = paired_mls_group::Sealing { recipient, info, aad, plaintext };
        let sealed = Steering::seal(self, &asked)?.map(|sealed| HpkeCiphertext {
            kem_output: sealed.kem_output.into(),
            ciphertext: sealed.ciphertext.into(),
        });
        Some(sealed.map_err(|Refused| CryptoError::HpkeEncryptionError))
    }

    fn open(&self, asked: &HpkeCiphertext, info: &[u8]) -> Option<Result<Vec<u8>, CryptoError>> {
        let (kem_output, ciphertext) = (asked.kem_output.as_slice(), asked.ciphertext.as_slice());
        let opened = Steering::open(self, &Opening { kem_output, ciphertext, info })?;
        let opened = opened.map(|secret| secret.expose().to_vec());
        Some(opened.map_err(|Refused| CryptoError::HpkeDecryptionError))
    }

    fn export(
        &self,
        asked: &Exporting<'_>,
    ) -> Option<Result<(KemOutput, ExporterSecret), CryptoError>> {
        let &Exporting { recipient, info, exporter_context, length, .. } = asked;
        let asked = paired_mls_group::Exporting { recipient, info, exporter_context, length };
        let exported = Steering::export(self, &asked)?;
        let exported = exported.map(|(enc, secret)| (enc, secret.expose().to_vec().into()));
        Some(exported.map_err(|Refused| CryptoError::HpkeEncryptionError))
    }

    fn verify(
        &self,
        asked: &Verifying<'_>,
        verify: &dyn Fn(&[u8]) -> Result<(), CryptoError>,
    ) -> Option<Result<(), CryptoError>> {
        let &Verifying { scheme, data: payload, public_key: signature_key, .. } = asked;
        let is_of = |key: &[u8]| verify(key).is_ok();
        let key_len = key_len(scheme);
        let asked = paired_mls_group::Verifying { payload, signature_key, key_len, is_of: &is_of };
        let verified = Steering::verify(self, &asked)?;
        Some(verified.map_err(|Refused| CryptoError::InvalidSignature))
    }
}
