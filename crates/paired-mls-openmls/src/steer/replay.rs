//! Everything that a device of a shared leaf makes, from one tape value: the same bytes on each device.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use openmls_traits::{
    OpenMlsProvider,
    crypto::OpenMlsCrypto,
    random::OpenMlsRand,
    signatures::{Signer, SignerError},
    types::{CryptoError, ExporterSecret, HpkeCiphertext, KemOutput, SignatureScheme},
};
use paired_mls::{
    Secret,
    leaf::LeafRandomness,
    wire::{Content, FramedContentTbs, SignContent},
};
use thiserror::Error;
use tls_codec::{Deserialize as _, VLBytes};

use super::{CryptoHook, Exporting, FirstError, Sealing, SteeredCrypto, hpke};
use crate::{Error, GuardError, Platform, UsageError, device::AnySigner};

/// A provider whose randomness is one value of the tape, and nothing else.
pub(crate) struct ReplayProvider<'a, P: Platform> {
    inner: &'a P,
    crypto: SteeredCrypto<&'a P::CryptoProvider, &'a TapeRandomness>,
    rand: &'a TapeRandomness,
}

impl<'a, P: Platform> ReplayProvider<'a, P> {
    pub(crate) fn new(inner: &'a P, rand: &'a TapeRandomness) -> Self {
        Self { inner, crypto: SteeredCrypto { inner: inner.crypto(), hook: rand }, rand }
    }
}

impl<'a, P: Platform> OpenMlsProvider for ReplayProvider<'a, P> {
    type CryptoProvider = SteeredCrypto<&'a P::CryptoProvider, &'a TapeRandomness>;
    type RandProvider = TapeRandomness;
    type StorageProvider = P::StorageProvider;

    fn storage(&self) -> &P::StorageProvider {
        self.inner.storage()
    }

    fn crypto(&self) -> &Self::CryptoProvider {
        &self.crypto
    }

    fn rand(&self) -> &TapeRandomness {
        self.rand
    }
}

/// The randomness of one value of the tape. A library that draws something else, or more, gets an
/// error, and nothing is signed.
pub(crate) struct TapeRandomness {
    randomness: LeafRandomness,
    drawn: AtomicUsize,
    /// The reuse guard of the commit that was signed, until it is drawn.
    guard: Mutex<Option<Secret>>,
    error: FirstError,
}

/// OpenMLS has drawn randomness that the tape does not provide for.
#[derive(Debug, Error)]
#[error("OpenMLS drew {0} bytes of randomness that the tape does not provide for")]
pub(crate) struct UnexpectedDraw(usize);

impl TapeRandomness {
    pub(crate) fn new(randomness: LeafRandomness) -> Self {
        let (drawn, guard) = Default::default();
        Self { randomness, drawn, guard, error: FirstError::default() }
    }

    /// What went wrong behind OpenMLS' back, or else its own error.
    pub(crate) fn blame<E>(&self, step: &'static str) -> impl FnOnce(E) -> Error
    where
        E: std::error::Error + Send + Sync + 'static,
    {
        move |error| self.error.take().unwrap_or_else(|| Error::mls(step)(error))
    }

    /// A commit was signed: its reuse guard can be drawn now, once.
    fn signed(&self, framed_content_tbs: &[u8], signature: &[u8]) -> Option<()> {
        let guard = self.randomness.reuse_guard(framed_content_tbs, signature).ok()?;
        *self.guard.lock().unwrap_or_else(PoisonError::into_inner) = Some(guard);
        Some(())
    }

    fn unexpected(&self, length: usize) -> UnexpectedDraw {
        self.error.set(GuardError::Draw(length).into());
        UnexpectedDraw(length)
    }

    fn derived<T>(&self, derive: impl FnOnce() -> Result<T, Error>) -> Result<T, CryptoError> {
        derive().map_err(|error| {
            self.error.set(error);
            CryptoError::HpkeEncryptionError
        })
    }
}

impl OpenMlsRand for TapeRandomness {
    type Error = UnexpectedDraw;

    /// The reuse guard, once for each commit that was signed: nothing else is drawn as an array.
    fn random_array<const N: usize>(&self) -> Result<[u8; N], UnexpectedDraw> {
        let guard = self.guard.lock().unwrap_or_else(PoisonError::into_inner).take();
        let guard = guard.and_then(|guard| <[u8; N]>::try_from(guard.expose()).ok());
        guard.ok_or_else(|| self.unexpected(N))
    }

    fn random_vec(&self, len: usize) -> Result<Vec<u8>, UnexpectedDraw> {
        let n = self.drawn.fetch_add(1, Ordering::Relaxed);
        let draw = self.randomness.draw(n, len).ok_or_else(|| self.unexpected(len))?;
        Ok(draw.expose().to_vec())
    }
}

impl CryptoHook for TapeRandomness {
    fn seal(&self, asked: &Sealing<'_>) -> Option<Result<HpkeCiphertext, CryptoError>> {
        let seed = self.derived(|| {
            let Sealing { recipient, info, aad, plaintext, .. } = asked;
            Ok(self.randomness.ephemeral_seed(recipient, info, aad, plaintext)?)
        });
        Some(seed.and_then(|seed| hpke::seal(asked, &seed)))
    }

    fn export(
        &self,
        asked: &Exporting<'_>,
    ) -> Option<Result<(KemOutput, ExporterSecret), CryptoError>> {
        let seed = self.derived(|| {
            let Exporting { recipient, info, exporter_context, .. } = asked;
            Ok(self.randomness.ephemeral_seed(recipient, info, exporter_context, &[])?)
        });
        Some(seed.and_then(|seed| hpke::export(asked, &seed)))
    }
}

/// A signer that remembers the commit it has signed, and that repeats the signatures of a partner's
/// commit where it is given them. An own signature that nobody would accept, since the leaf does not
/// list this device's key, is not given.
pub(crate) struct ReplaySigner<'a, C: OpenMlsCrypto> {
    signer: &'a AnySigner,
    crypto: &'a C,
    rand: &'a TapeRandomness,
    /// The public keys and signatures of the partner's commit, leaf first; empty for an own one.
    recorded: Vec<Recorded>,
    /// The keys of the leaf that the commit is sent from; `None` from outside of the group.
    leaf_keys: Option<Vec<u8>>,
    signed: Mutex<Option<SignedCommit>>,
}

/// A signature of a partner.
pub(crate) struct Recorded {
    /// The label of RFC 9420 section 5.1.2, without its prefix.
    pub(crate) label: &'static [u8],
    pub(crate) public_key: Vec<u8>,
    pub(crate) signature: Vec<u8>,
}

/// A commit, as it was signed.
#[derive(Clone, Debug)]
pub(crate) struct SignedCommit {
    pub(crate) proposals: Vec<u8>,
    pub(crate) authenticated_data: Vec<u8>,
    pub(crate) leaf_node: Vec<u8>,
    pub(crate) signature: Vec<u8>,
}

impl<'a, C: OpenMlsCrypto> ReplaySigner<'a, C> {
    pub(crate) fn new(
        signer: &'a AnySigner,
        crypto: &'a C,
        rand: &'a TapeRandomness,
        recorded: Vec<Recorded>,
    ) -> Self {
        Self { signer, crypto, rand, recorded, leaf_keys: None, signed: Mutex::default() }
    }

    /// The same, for commits from a leaf with these keys.
    pub(crate) fn with_leaf_keys(self, keys: &[u8]) -> Self {
        Self { leaf_keys: Some(keys.to_vec()), ..self }
    }

    /// The commit that was signed, if one was.
    pub(crate) fn signed(&self) -> Option<SignedCommit> {
        self.signed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether whoever receives a signature of this device looks for it among keys that list its own.
    fn is_listed(&self, content: &SignContent, payload: &[u8], signature: &[u8]) -> bool {
        let leaf = content.content();
        let keys = match content.label() {
            Ok(b"LeafNodeTBS") => leaf_node_keys(leaf),
            Ok(b"FramedContentTBS") => self.leaf_keys.clone(),
            _ => None,
        };
        let Some(keys) = keys else {
            return true;
        };
        self.crypto.verify_signature(self.signature_scheme(), payload, &keys, signature).is_ok()
    }

    fn remember(&self, content: &[u8], signature: &[u8]) -> Option<()> {
        let framed = FramedContentTbs::decode(content).ok()?;
        let Content::Commit(commit) = framed.content() else {
            return None;
        };
        let signed = SignedCommit {
            proposals: commit.proposals().to_vec(),
            authenticated_data: framed.authenticated_data().to_vec(),
            leaf_node: commit.path()?.leaf_node().encode(),
            signature: signature.to_vec(),
        };
        *self.signed.lock().unwrap_or_else(PoisonError::into_inner) = Some(signed);
        self.rand.signed(content, signature)
    }
}

impl<C: OpenMlsCrypto> Signer for ReplaySigner<'_, C> {
    /// A recorded signature is given only for what it is a valid signature of; where the payload is
    /// another one, the own signer signs, and the commits will differ.
    fn sign(&self, payload: &[u8]) -> Result<Vec<u8>, SignerError> {
        let content = SignContent::decode(payload).map_err(|_| SignerError::SigningError)?;
        let label = content.label().map_err(|_| SignerError::SigningError)?;
        let fits = |recorded: &&Recorded| {
            recorded.label == label
                && self
                    .crypto
                    .verify_signature(
                        self.signature_scheme(),
                        payload,
                        &recorded.public_key,
                        &recorded.signature,
                    )
                    .is_ok()
        };
        let signature = match self.recorded.iter().find(fits) {
            Some(recorded) => recorded.signature.clone(),
            None => self.signer.sign(payload)?,
        };
        if self.recorded.is_empty() && !self.is_listed(&content, payload, &signature) {
            self.rand.error.set(UsageError::NotListed.into());
            return Err(SignerError::SigningError);
        }
        if label == b"FramedContentTBS" {
            self.remember(content.content(), &signature);
        }
        Ok(signature)
    }

    fn signature_scheme(&self) -> SignatureScheme {
        self.signer.signature_scheme()
    }
}

/// The field `signature_key` of a `LeafNodeTBS` (RFC 9420 section 7.2), which is the second one.
fn leaf_node_keys(mut content: &[u8]) -> Option<Vec<u8>> {
    let _encryption_key = VLBytes::tls_deserialize(&mut content).ok()?;
    let keys = VLBytes::tls_deserialize(&mut content).ok()?;
    Some(keys.into())
}
