//! The sender's side: one paired commit, from the tape value to the guard's last check.

use std::{
    borrow::BorrowMut,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use openmls::prelude::{CommitBuilder, Complete, LoadedPsks, MlsGroup, QueuedProposal};
use openmls_traits::{
    crypto::OpenMlsCrypto,
    random::OpenMlsRand,
    types::{Ciphersuite, CryptoError, HpkeCiphertext},
};
use paired_mls::{
    DerivationTooLong, Notify, PathSecret, Secret, TapeId, Vault,
    anchor::Anchor,
    wire::{Content, FramedContentTbs, SignContent},
};

use super::{CryptoHook, FirstError, Guard, Sealing, SteeredCrypto, UPDATE_PATH_NODE};
use crate::{Device, Error, GuardError, Platform, device::AnySigner};

/// One paired commit in the making.
pub(crate) struct Sending<'a, C, R> {
    crypto: &'a C,
    rand: &'a R,
    ciphersuite: Ciphersuite,
    vault: &'a Vault,
    tape: &'a TapeId,
    path: PathSecret,
    levels: Vec<Level>,
    /// The Notifies that stand in the commit.
    written: Mutex<Vec<Written>>,
    pub(super) error: FirstError,
}

/// One level of the path at or below the anchor.
struct Level {
    path_secret: Secret,
    public_key: Vec<u8>,
    recipients: usize,
}

/// A Notify that was written, by its KEM output.
struct Written {
    level: usize,
    kem_output: Vec<u8>,
}

/// The paired commit of a device with this provider.
pub(crate) type SendingOf<'a, P> = Sending<
    'a,
    <P as openmls_traits::OpenMlsProvider>::CryptoProvider,
    <P as openmls_traits::OpenMlsProvider>::RandProvider,
>;

/// Builds a paired commit: the path from the tape, Notifies inside the anchor, and the guard's
/// check before anything is signed. Of the proposals that wait, it has those that `keeps` says.
///
/// # Errors
///
/// [`Error::Guard`] if OpenMLS did something else; [`Error::Vault`], [`Error::Mls`].
pub(crate) fn build_paired<'b, P: Platform, G: BorrowMut<MlsGroup>>(
    commit: CommitBuilder<'b, LoadedPsks, G>,
    device: &Device<P>,
    tape: &TapeId,
    ciphersuite: Ciphersuite,
    path: PathSecret,
    anchor: &Anchor,
    keeps: impl FnMut(&QueuedProposal) -> bool,
) -> Result<CommitBuilder<'b, Complete, G>, Error> {
    let sending = SendingOf::<P>::new(device, tape, ciphersuite, path, anchor)?;
    let rand = SteeredRand { sending: &sending, drawn: AtomicBool::new(false) };
    let crypto = SteeredCrypto { inner: sending.crypto, hook: &sending };
    guarded(commit, &sending, &rand, &crypto, device.signer(), keeps)
}

/// Builds a commit that nobody signs before the guard has seen it.
fn guarded<'b, C: OpenMlsCrypto, R: OpenMlsRand + Sync, G: BorrowMut<MlsGroup>>(
    commit: CommitBuilder<'b, LoadedPsks, G>,
    sending: &Sending<'_, C, R>,
    rand: &impl OpenMlsRand,
    crypto: &impl OpenMlsCrypto,
    signer: &AnySigner,
    keeps: impl FnMut(&QueuedProposal) -> bool,
) -> Result<CommitBuilder<'b, Complete, G>, Error> {
    (commit.build(rand, crypto, &Guard { signer, sending }, keeps))
        .map_err(|error| sending.error.take().unwrap_or(Error::mls("build a commit")(error)))
}

impl<'a, C: OpenMlsCrypto, R: OpenMlsRand> Sending<'a, C, R> {
    /// Derives the levels of `anchor` from the first path secret.
    fn new<P: Platform<CryptoProvider = C, RandProvider = R>>(
        device: &'a Device<P>,
        tape: &'a TapeId,
        ciphersuite: Ciphersuite,
        path: PathSecret,
        anchor: &Anchor,
    ) -> Result<Self, Error> {
        let crypto = device.provider().crypto();
        let levels = path
            .levels(anchor.levels())?
            .into_iter()
            .zip(anchor.path())
            .map(|(path_secret, level)| {
                let node_secret = path.node_secret(&path_secret)?;
                let key_pair = crypto
                    .derive_hpke_keypair(ciphersuite.hpke_config(), node_secret.expose())
                    .map_err(|_| GuardError::Crypto)?;
                let recipients = level.recipients().len();
                Ok(Level { path_secret, public_key: key_pair.public, recipients })
            })
            .collect::<Result<_, Error>>()?;
        Ok(Self {
            crypto,
            rand: device.provider().rand(),
            ciphersuite,
            vault: device.vault(),
            tape,
            path,
            levels,
            written: Mutex::default(),
            error: FirstError::default(),
        })
    }

    /// Checks what is about to be signed. Anything but a commit passes.
    pub(super) fn check(&self, payload: &[u8]) -> Result<(), GuardError> {
        let signed = SignContent::decode(payload).map_err(GuardError::Wire)?;
        if signed.label().map_err(GuardError::Wire)? != b"FramedContentTBS" {
            return Ok(());
        }
        let framed = FramedContentTbs::decode(signed.content()).map_err(GuardError::Wire)?;
        let Content::Commit(commit) = framed.content() else {
            return Ok(());
        };
        let nodes = commit.path().ok_or(GuardError::NoPath)?.nodes();
        if nodes.len() < self.levels.len() {
            return Err(GuardError::PathLength { found: nodes.len(), expected: self.levels.len() });
        }

        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        for (level, (expected, node)) in self.levels.iter().zip(nodes).enumerate() {
            if node.encryption_key() != expected.public_key {
                return Err(GuardError::NodeKey { level });
            }
            let is_notify = |kem_output: &[u8]| {
                written.iter().any(|w| w.level == level && w.kem_output == kem_output)
            };
            let ciphertexts = node.encrypted_path_secret();
            if !ciphertexts.iter().all(|ciphertext| is_notify(ciphertext.kem_output())) {
                return Err(GuardError::Sealed { level });
            }
            if ciphertexts.len() != expected.recipients {
                let (found, expected) = (ciphertexts.len(), expected.recipients);
                return Err(GuardError::Notifies { level, found, expected });
            }
        }
        Ok(())
    }

    fn notify(&self, level: usize, info: &[u8]) -> Result<HpkeCiphertext, Error> {
        let random = self.rand.random_vec(self.ciphersuite.hash_length());
        let random = random.map(Secret::new).map_err(|_| GuardError::Crypto)?;
        // The private half is dropped, and erased, with the key pair.
        let kem_output = self
            .crypto
            .derive_hpke_keypair(self.ciphersuite.hpke_config(), random.expose())
            .map_err(|_| GuardError::Crypto)?
            .public;
        let notify = Notify {
            spot: self.path.spot(),
            level: u8::try_from(level).map_err(|_| DerivationTooLong)?,
        };
        let sealed = self.vault.seal_notify(self.tape, &notify, kem_output, info)?;
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        written.push(Written { level, kem_output: sealed.kem_output.clone() });
        Ok(HpkeCiphertext {
            kem_output: sealed.kem_output.into(),
            ciphertext: sealed.ciphertext.into(),
        })
    }
}

impl<C: OpenMlsCrypto, R: OpenMlsRand + Sync> CryptoHook for Sending<'_, C, R> {
    fn seal(&self, asked: &Sealing<'_>) -> Option<Result<HpkeCiphertext, CryptoError>> {
        let info = asked.info;
        let is_path_node =
            SignContent::decode(info).is_ok_and(|context| context.label() == Ok(UPDATE_PATH_NODE));
        let plaintext = Secret::copy_of(asked.plaintext);
        let level = self.levels.iter().position(|level| level.path_secret == plaintext)?;
        is_path_node.then(|| {
            self.notify(level, info).map_err(|error| {
                self.error.set(error);
                CryptoError::HpkeEncryptionError
            })
        })
    }
}

/// Randomness whose first draw of Nh bytes is the path secret.
struct SteeredRand<'a, C, R> {
    sending: &'a Sending<'a, C, R>,
    drawn: AtomicBool,
}

impl<C, R: OpenMlsRand> OpenMlsRand for SteeredRand<'_, C, R> {
    type Error = R::Error;

    fn random_array<const N: usize>(&self) -> Result<[u8; N], Self::Error> {
        self.sending.rand.random_array()
    }

    fn random_vec(&self, len: usize) -> Result<Vec<u8>, Self::Error> {
        let path_secret = self.sending.path.secret().expose();
        if len == path_secret.len() && !self.drawn.swap(true, Ordering::Relaxed) {
            return Ok(path_secret.to_vec());
        }
        self.sending.rand.random_vec(len)
    }
}

#[cfg(test)]
mod tests;
