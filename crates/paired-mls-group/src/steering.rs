//! What an MLS library asks back while it works.
//!
//! A library takes its randomness, its cryptography and its signer from outside. The adapter hands it wrappers
//! that put each question to a [`Steering`] first:
//!
//! ```text
//!                 OpenMLS                                   mls-rs
//! draw            OpenMlsRand, told apart by their order    random_bytes of Nh bytes; kem_generate, for leaf and
//!                                                           init keys; random_bytes of 4 bytes
//! seal, open      hpke_seal, hpke_open                      the same
//! export          hpke_setup_sender_and_export              hpke_setup_s, then HpkeContextS::export
//! sign            Signer::sign                              CipherSuiteProvider::sign
//! verify          verify_signature                          CipherSuiteProvider::verify
//! ```
//!
//! Which draw serves what is for the adapter to know: OpenMLS tells them apart by their order, mls-rs by the
//! method. If it is wrong about it, the guard refuses to sign.

use alloc::vec::Vec;

use paired_mls::Secret;
use thiserror::Error as ThisError;

use crate::Error;

/// Answers a library while it makes or opens one message. `None` leaves the answer to the library.
///
/// # Concurrency
///
/// A library may ask from several threads at once.
pub trait Steering: Send + Sync {
    /// Instead of `length` bytes of randomness.
    ///
    /// # Errors
    ///
    /// [`Refused`]: the call of the library has to fail, here and below.
    fn draw(&self, _: Draw, _length: usize) -> Option<Result<Secret, Refused>> {
        None
    }

    /// Instead of HPKE's `SealBase`.
    ///
    /// # Errors
    ///
    /// [`Refused`].
    fn seal(&self, _: &Sealing<'_>) -> Option<Result<Sealed, Refused>> {
        None
    }

    /// Instead of HPKE's `OpenBase`.
    ///
    /// # Errors
    ///
    /// [`Refused`].
    fn open(&self, _: &Opening<'_>) -> Option<Result<Secret, Refused>> {
        None
    }

    /// Instead of HPKE's `SendExportBase`; returns the KEM output and the exported secret.
    ///
    /// # Errors
    ///
    /// [`Refused`].
    fn export(&self, _: &Exporting<'_>) -> Option<Result<(Vec<u8>, Secret), Refused>> {
        None
    }

    /// The signature of what the library has made. Nothing is staged or sent before it.
    ///
    /// # Errors
    ///
    /// [`Refused`] if it is not to be signed.
    fn sign(&self, asked: &Signing<'_>) -> Result<Vec<u8>, Refused> {
        (asked.own)()
    }

    /// Whether a signature is valid for a leaf.
    ///
    /// # Errors
    ///
    /// [`Refused`] if it is not.
    fn verify(&self, _: &Verifying<'_>) -> Option<Result<(), Refused>> {
        None
    }

    /// Why it has refused: the library itself says only that its call failed. Told once.
    fn take_error(&self) -> Option<Error> {
        None
    }
}

/// An answer was refused. [`Steering::take_error`] says why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ThisError)]
#[error("refused by the steering")]
pub struct Refused;

/// What the library needs randomness for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Draw {
    /// `path_secret[0]` of a commit: Nh bytes (RFC 9420 section 7.4).
    PathSecret,
    /// The input of `DeriveKeyPair` for the key of a leaf: Nh bytes.
    LeafKey,
    /// The input of `DeriveKeyPair` for the init key of a KeyPackage: Nh bytes.
    InitKey,
    /// The `reuse_guard` of a PrivateMessage: 4 bytes (RFC 9420 section 6.3.1).
    ReuseGuard,
    /// Anything else.
    Other,
}

/// What `SealBase` is asked for (RFC 9180 section 6.1).
pub struct Sealing<'a> {
    /// The recipient's public key.
    pub recipient: &'a [u8],
    /// The parameter `info`.
    pub info: &'a [u8],
    /// The additional data.
    pub aad: &'a [u8],
    /// What is sealed.
    pub plaintext: &'a [u8],
}

/// What `SealBase` returns (RFC 9180 section 6.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// The KEM output, `enc`.
    pub kem_output: Vec<u8>,
    /// The ciphertext.
    pub ciphertext: Vec<u8>,
}

/// What `OpenBase` is asked for, but for the private key (RFC 9180 section 6.1).
pub struct Opening<'a> {
    /// The KEM output, `enc`.
    pub kem_output: &'a [u8],
    /// The ciphertext.
    pub ciphertext: &'a [u8],
    /// The parameter `info`.
    pub info: &'a [u8],
}

/// What `SendExportBase` is asked for (RFC 9180 section 6.2).
pub struct Exporting<'a> {
    /// The recipient's public key.
    pub recipient: &'a [u8],
    /// The parameter `info`.
    pub info: &'a [u8],
    /// The parameter `exporter_context`.
    pub exporter_context: &'a [u8],
    /// The length of the exported secret, in bytes.
    pub length: usize,
}

/// What is to be signed.
pub struct Signing<'a> {
    /// The serialized `SignContent` (RFC 9420 section 5.1.2).
    pub payload: &'a [u8],
    /// Signs it with this device's own key.
    pub own: &'a dyn Fn() -> Result<Vec<u8>, Refused>,
    /// Whether a signature of it, the second argument, is of this public key, or list of keys, of a leaf.
    pub is_of: &'a dyn Fn(&[u8], &[u8]) -> bool,
}

/// Whose signature is to be verified.
pub struct Verifying<'a> {
    /// The serialized `SignContent` (RFC 9420 section 5.1.2).
    pub payload: &'a [u8],
    /// What stands in the field `signature_key` of the leaf.
    pub signature_key: &'a [u8],
    /// The length of one public key of the signature scheme, in bytes.
    pub key_len: usize,
    /// Whether the signature is of this public key.
    pub is_of: &'a dyn Fn(&[u8]) -> bool,
}
