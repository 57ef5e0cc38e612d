//! The signature schemes that a request can be signed with.

use httpsig::prelude::AlgorithmName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A signature scheme of a device, by its name in RFC 9421 section 6.2.2.
///
/// RFC 9421 has none on P-521, the scheme of MLS cipher suite 5: a device of that suite cannot use the
/// service.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[non_exhaustive]
pub enum SignatureScheme {
    /// Ed25519, of MLS cipher suites 1 and 3.
    #[serde(rename = "ed25519")]
    Ed25519,
    /// ECDSA on P-256 with SHA-256, of MLS cipher suite 2.
    #[serde(rename = "ecdsa-p256-sha256")]
    P256,
    /// ECDSA on P-384 with SHA-384, of MLS cipher suite 7.
    #[serde(rename = "ecdsa-p384-sha384")]
    P384,
}

/// Why a signature scheme cannot be used, or a signature not be converted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SchemeError {
    /// RFC 9421 has no algorithm for it.
    #[error(
        "requests cannot be signed with the scheme of cipher suite {0}: use suite 1, 2, 3 or 7"
    )]
    Suite(u16),
    /// The name is none of the three.
    #[error("this is not the name of a signature scheme that requests are signed with")]
    UnknownName,
    /// The bytes are no signature in the form that MLS has.
    #[error("this is not a signature of the scheme, in the form that MLS has")]
    NotASignature,
}

impl SignatureScheme {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Ed25519, Self::P256, Self::P384];

    /// The scheme of an MLS cipher suite, by its code point.
    ///
    /// # Errors
    ///
    /// [`SchemeError::Suite`] if it has another one.
    pub fn of_suite(suite: u16) -> Result<Self, SchemeError> {
        match suite {
            1 | 3 => Ok(Self::Ed25519),
            2 => Ok(Self::P256),
            7 => Ok(Self::P384),
            other => Err(SchemeError::Suite(other)),
        }
    }

    /// The name in RFC 9421.
    pub fn name(self) -> &'static str {
        self.algorithm().as_str()
    }

    /// The scheme of this name.
    ///
    /// # Errors
    ///
    /// [`SchemeError::UnknownName`].
    pub fn from_name(name: &str) -> Result<Self, SchemeError> {
        Self::ALL.into_iter().find(|scheme| scheme.name() == name).ok_or(SchemeError::UnknownName)
    }

    /// The length of a public key as MLS has it, in bytes (RFC 9420 section 5.1.2).
    pub fn key_len(self) -> usize {
        match self {
            Self::Ed25519 => 32,
            Self::P256 => 65,
            Self::P384 => 97,
        }
    }

    /// A signature as RFC 9421 has it, from one as MLS has it: for ECDSA, `r || s` of fixed length
    /// instead of DER.
    ///
    /// # Errors
    ///
    /// [`SchemeError::NotASignature`].
    pub fn from_mls(self, signature: &[u8]) -> Result<Vec<u8>, SchemeError> {
        match self {
            Self::Ed25519 if signature.len() == 64 => Ok(signature.to_vec()),
            Self::Ed25519 => Err(SchemeError::NotASignature),
            Self::P256 => p256::ecdsa::Signature::from_der(signature)
                .map(|signature| signature.to_bytes().to_vec())
                .map_err(|_| SchemeError::NotASignature),
            Self::P384 => p384::ecdsa::Signature::from_der(signature)
                .map(|signature| signature.to_bytes().to_vec())
                .map_err(|_| SchemeError::NotASignature),
        }
    }

    pub(crate) fn algorithm(self) -> AlgorithmName {
        match self {
            Self::Ed25519 => AlgorithmName::Ed25519,
            Self::P256 => AlgorithmName::EcdsaP256Sha256,
            Self::P384 => AlgorithmName::EcdsaP384Sha384,
        }
    }
}
