//! The guard: nothing is signed before the commit was seen to be what the tape and the tree demand.

use paired_mls::wire::{Content, FramedContentTbs, SignContent};

use super::Sending;
use crate::GuardError;

impl Sending {
    /// Looks at what is about to be signed, and refuses a commit that is not paired. Anything but a commit
    /// passes.
    ///
    /// A library that one day draws its randomness in another order fails here, loudly, instead of
    /// sending an ordinary commit.
    pub(super) fn check(&self, payload: &[u8]) -> Result<(), GuardError> {
        let signed = SignContent::decode(payload).map_err(GuardError::Wire)?;
        if signed.label().map_err(GuardError::Wire)? != SignContent::FRAMED_CONTENT_TBS {
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
        for (level, (expected, node)) in self.levels.iter().zip(nodes).enumerate() {
            if node.encryption_key() != expected.public_key {
                return Err(GuardError::NodeKey { level });
            }
            let ciphertexts = node.encrypted_path_secret();
            if !ciphertexts.iter().all(|sealed| expected.has_written(sealed.kem_output())) {
                return Err(GuardError::Sealed { level });
            }
            if ciphertexts.len() != expected.recipients() {
                let (found, expected) = (ciphertexts.len(), expected.recipients());
                return Err(GuardError::Notifies { level, found, expected });
            }
        }
        Ok(())
    }
}
