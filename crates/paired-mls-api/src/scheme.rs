//! The signature schemes that a request can be signed with.

use curve25519_dalek::edwards::CompressedEdwardsY;
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
    /// The bytes are no public key.
    #[error("this is no public key of the scheme, or one for which anybody can sign")]
    NotAKey,
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

    /// Whether these bytes are a public key of the scheme, as MLS has it, in the one form that it has, and one for
    /// which only the holder of a private key can sign: on Ed25519, a point outside the subgroup of prime order is
    /// none (RFC 8032 section 5.1, and the small orders of RFC 7748 section 7).
    ///
    /// # Errors
    ///
    /// [`SchemeError::NotAKey`].
    pub fn check_key(self, public_key: &[u8]) -> Result<(), SchemeError> {
        let is_key = public_key.len() == self.key_len()
            && match self {
                Self::Ed25519 => is_edwards_key(public_key),
                Self::P256 => p256::ecdsa::VerifyingKey::from_sec1_bytes(public_key).is_ok(),
                Self::P384 => p384::ecdsa::VerifyingKey::from_sec1_bytes(public_key).is_ok(),
            };
        is_key.then_some(()).ok_or(SchemeError::NotAKey)
    }

    pub(crate) fn algorithm(self) -> AlgorithmName {
        match self {
            Self::Ed25519 => AlgorithmName::Ed25519,
            Self::P256 => AlgorithmName::EcdsaP256Sha256,
            Self::P384 => AlgorithmName::EcdsaP384Sha384,
        }
    }
}

fn is_edwards_key(bytes: &[u8]) -> bool {
    let Ok(compressed) = CompressedEdwardsY::from_slice(bytes) else { return false };
    let Some(point) = compressed.decompress() else { return false };
    // A point has further encodings, which some libraries take for the same key.
    point.compress() == compressed && point.is_torsion_free() && !point.is_small_order()
}

#[cfg(test)]
mod tests {
    use curve25519_dalek::{constants::EIGHT_TORSION, edwards::EdwardsPoint};

    use super::*;

    #[test]
    fn a_key_for_which_anybody_can_sign_is_none() {
        let ed25519 = SignatureScheme::Ed25519;
        let key = ed25519_dalek::SigningKey::from_bytes(&[7; 32]).verifying_key().to_bytes();
        assert_eq!(ed25519.check_key(&key), Ok(()));
        let refused = |key: &[u8]| assert_eq!(ed25519.check_key(key), Err(SchemeError::NotAKey));
        let point = CompressedEdwardsY(key).decompress().unwrap();
        for torsion in EIGHT_TORSION {
            refused(torsion.compress().as_bytes());
            if torsion != EdwardsPoint::default() {
                refused((point + torsion).compress().as_bytes());
            }
        }
        // p + 1 and p for 1 and 0, also with a sign.
        let mut above = [0xff; 32];
        for (first, last) in [(0xee, 0x7f), (0xed, 0x7f), (0xee, 0xff), (0xed, 0xff)] {
            (above[0], above[31]) = (first, last);
            refused(&above);
        }
        // Some y above p is one of a point of prime order, in a form that is not its own.
        let other = (0xee..=0xff).find_map(|first| {
            (above[0], above[31]) = (first, 0x7f);
            let point = CompressedEdwardsY(above).decompress()?;
            (!point.is_small_order()).then_some(above)
        });
        refused(&other.unwrap());
        refused(&key[1..]);
        refused(&[]);
    }

    #[test]
    fn a_key_on_no_curve_is_none() {
        for scheme in [SignatureScheme::P256, SignatureScheme::P384] {
            let mut bytes = vec![7; scheme.key_len()];
            bytes[0] = 4;
            assert_eq!(scheme.check_key(&bytes), Err(SchemeError::NotAKey));
        }
        let key = p256::ecdsa::SigningKey::from_slice(&[7; 32]).unwrap();
        let point = key.verifying_key().to_sec1_point(false);
        assert_eq!(SignatureScheme::P256.check_key(point.as_bytes()), Ok(()));
        let short = key.verifying_key().to_sec1_point(true);
        assert_eq!(SignatureScheme::P256.check_key(short.as_bytes()), Err(SchemeError::NotAKey));
    }
}
