//! From the first path secret to those above it (RFC 9420 section 7.4).
//!
//! ```text
//! path_secret[n] = DeriveSecret(path_secret[n-1], "path")
//! node_secret[n] = DeriveSecret(path_secret[n],   "node")
//! node_priv[n], node_pub[n] = KEM.DeriveKeyPair(node_secret[n])
//! ```
//!
//! The key pair is the MLS library's to derive.

use super::Spot;
use crate::{CipherSuite, DerivationTooLong, Secret};

/// `path_secret[0]` of a paired commit.
#[derive(Debug)]
pub struct PathSecret {
    suite: CipherSuite,
    spot: Spot,
    secret: Secret,
}

impl PathSecret {
    pub(super) fn new(suite: CipherSuite, spot: Spot, secret: Secret) -> Self {
        Self { suite, spot, secret }
    }

    /// The cipher suite of the pairing.
    pub fn suite(&self) -> CipherSuite {
        self.suite
    }

    /// Where on the tape it comes from.
    pub fn spot(&self) -> Spot {
        self.spot
    }

    /// The secret itself: Nh bytes.
    pub fn secret(&self) -> &Secret {
        &self.secret
    }

    /// `path_secret[level]`.
    ///
    /// # Errors
    ///
    /// [`DerivationTooLong`] never in practice: every input has a fixed, short length.
    pub fn at_level(&self, level: u8) -> Result<Secret, DerivationTooLong> {
        let first = Secret::copy_of(self.secret.expose());
        (0..level).try_fold(first, |below, _| self.suite.derive_secret(&below, "path"))
    }

    /// `path_secret[0]` to `path_secret[levels - 1]`.
    ///
    /// # Errors
    ///
    /// [`DerivationTooLong`] never in practice, as above.
    pub fn levels(&self, levels: usize) -> Result<Vec<Secret>, DerivationTooLong> {
        let mut next = Secret::copy_of(self.secret.expose());
        (0..levels)
            .map(|_| {
                let above = self.suite.derive_secret(&next, "path")?;
                Ok(std::mem::replace(&mut next, above))
            })
            .collect()
    }

    /// The node secret of a path secret: the input of `KEM.DeriveKeyPair`.
    ///
    /// # Errors
    ///
    /// [`DerivationTooLong`] never in practice, as above.
    pub fn node_secret(&self, path_secret: &Secret) -> Result<Secret, DerivationTooLong> {
        self.suite.derive_secret(path_secret, "node")
    }
}
