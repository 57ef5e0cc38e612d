//! The sender's side: one paired commit, from the tape value to the guard's last check.

use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use paired_mls::{
    DerivationTooLong, Notify, PathSecret, Secret, TapeId, Vault,
    anchor::{Anchor, Level as AnchorLevel},
};

use super::{FirstError, is_path_node};
use crate::{Draw, Error, GuardError, Library, Refused, Sealed, Sealing, Signing, Steering};

/// One paired commit in the making: the path from the tape, Notifies inside the anchor, and the guard's check
/// before anything is signed.
pub struct Sending {
    vault: Vault,
    tape: TapeId,
    path: PathSecret,
    drawn: AtomicBool,
    pub(super) levels: Vec<Level>,
    pub(super) error: FirstError,
}

/// One level of the path at or below the anchor.
pub(super) struct Level {
    path_secret: Secret,
    pub(super) public_key: Vec<u8>,
    /// The KEM outputs of its Notifies, one for each recipient that the tree demands.
    kem_outputs: Vec<Vec<u8>>,
    /// How many of them stand in the commit.
    written: AtomicUsize,
}

impl Level {
    fn new(
        library: &impl Library,
        path: &PathSecret,
        path_secret: Secret,
        level: &AnchorLevel,
    ) -> Result<Self, Error> {
        let suite = path.suite();
        let node_secret = path.node_secret(&path_secret)?;
        let key_of =
            |ikm: &Secret| library.derive_public_key(suite, ikm).map_err(|_| GuardError::Crypto);
        // The private half is dropped, and erased, with the key pair.
        let fresh = || {
            let random = library.random(suite.kdf_len()).map_err(|_| GuardError::Crypto)?;
            key_of(&random)
        };
        let kem_outputs = level.recipients().iter().map(|_| fresh());
        Ok(Self {
            public_key: key_of(&node_secret)?,
            kem_outputs: kem_outputs.collect::<Result<_, _>>()?,
            path_secret,
            written: AtomicUsize::new(0),
        })
    }

    /// How many Notifies the tree demands.
    pub(super) fn recipients(&self) -> usize {
        self.kem_outputs.len()
    }

    /// Whether a Notify that stands in the commit has this KEM output.
    pub(super) fn has_written(&self, kem_output: &[u8]) -> bool {
        let written = self.written.load(Ordering::Acquire);
        self.kem_outputs.iter().take(written).any(|known| known == kem_output)
    }
}

impl Sending {
    /// Derives the levels of `anchor` from the first path secret.
    ///
    /// # Errors
    ///
    /// [`GuardError::Crypto`] if the library cannot derive their keys.
    pub fn new(
        library: &impl Library,
        vault: &Vault,
        tape: &TapeId,
        path: PathSecret,
        anchor: &Anchor,
    ) -> Result<Self, Error> {
        let secrets = path.levels(anchor.levels())?.into_iter();
        let levels = secrets.zip(anchor.path());
        let levels = levels.map(|(secret, level)| Level::new(library, &path, secret, level));
        let levels = levels.collect::<Result<_, _>>()?;
        let (drawn, error) = (AtomicBool::new(false), FirstError::default());
        let (vault, tape) = (vault.clone(), tape.clone());
        Ok(Self { vault, tape, path, drawn, levels, error })
    }

    fn notify(&self, number: usize, level: &Level, info: &[u8]) -> Result<Sealed, Error> {
        let written = level.written.fetch_add(1, Ordering::AcqRel);
        let kem_output = level.kem_outputs.get(written).ok_or(GuardError::Notifies {
            level: number,
            found: written.saturating_add(1),
            expected: level.recipients(),
        })?;
        let notify = Notify {
            spot: self.path.spot(),
            level: u8::try_from(number).map_err(|_| DerivationTooLong)?,
        };
        let sealed = self.vault.seal_notify(&self.tape, &notify, kem_output.clone(), info)?;
        Ok(Sealed { kem_output: sealed.kem_output, ciphertext: sealed.ciphertext })
    }
}

impl Steering for Sending {
    /// The path secret, once. Everything else, the key of the leaf too, is the library's own.
    fn draw(&self, draw: Draw, length: usize) -> Option<Result<Secret, Refused>> {
        let secret = self.path.secret();
        let is_it = draw == Draw::PathSecret && length == secret.len();
        let first = is_it && !self.drawn.swap(true, Ordering::Relaxed);
        first.then(|| Ok(Secret::copy_of(secret.expose())))
    }

    fn seal(&self, asked: &Sealing<'_>) -> Option<Result<Sealed, Refused>> {
        if !is_path_node(asked.info) {
            return None;
        }
        let plaintext = Secret::copy_of(asked.plaintext);
        let mut levels = self.levels.iter().enumerate();
        let (number, level) = levels.find(|(_, level)| level.path_secret == plaintext)?;
        let sealed = self.notify(number, level, asked.info);
        Some(sealed.map_err(|error| self.error.set(error)))
    }

    fn sign(&self, asked: &Signing<'_>) -> Result<Vec<u8>, Refused> {
        self.check(asked.payload).map_err(|error| self.error.set(error))?;
        (asked.own)()
    }

    fn take_error(&self) -> Option<Error> {
        self.error.take()
    }
}

#[cfg(test)]
mod tests;
