//! What the engine asks of an MLS library.

use alloc::vec::Vec;

use paired_mls::{CipherSuite, Secret};

use crate::BoxError;

/// An MLS library, as one device has it: an adapter implements this trait once.
///
/// The structures are those of RFC 9420, in the types of the core; no type of a library passes through.
pub trait Library {
    /// Random bytes for one secret.
    ///
    /// # Errors
    ///
    /// Whatever keeps the library from it.
    fn random(&self, length: usize) -> Result<Secret, BoxError>;

    /// The public key of `DeriveKeyPair(ikm)`, of the suite's KEM (RFC 9180 section 7.1.3). The private key is
    /// erased.
    ///
    /// # Errors
    ///
    /// Whatever keeps the library from it.
    fn derive_public_key(&self, suite: CipherSuite, ikm: &Secret) -> Result<Vec<u8>, BoxError>;
}
