//! Signature keys that do not leave the token.

use std::fmt;

use cryptoki::{
    mechanism::{
        Mechanism,
        eddsa::{EddsaParams, EddsaSignatureScheme},
    },
    object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle},
    session::Session,
};
use sha2::{Digest as _, Sha256};

use super::{Token, TokenError, attributes, destroy, find};

/// The object identifiers of the curves, in DER.
const ED25519_OID: [u8; 5] = [0x06, 0x03, 0x2b, 0x65, 0x70];
const P256_OID: [u8; 10] = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];

/// The signature schemes of RFC 9420's cipher suites that a token can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SignatureAlgorithm {
    /// Ed25519 (RFC 8032): suites 1 and 3.
    Ed25519,
    /// ECDSA over P-256 with SHA-256: suite 2.
    EcdsaP256,
}

/// A signature key in a token.
#[derive(Clone)]
pub struct TokenSigner {
    token: Token,
    label: String,
    algorithm: SignatureAlgorithm,
    private_key: ObjectHandle,
    public_key: Vec<u8>,
}

impl TokenSigner {
    /// Generates a key in the token. It cannot be read from there, by anybody.
    ///
    /// # Errors
    ///
    /// [`TokenError::KeyExists`], [`TokenError::Refused`] if the token does not know the algorithm,
    /// [`TokenError::Extractable`] if the token makes keys that can leave it; that key is destroyed.
    pub fn generate(
        token: &Token,
        label: &str,
        algorithm: SignatureAlgorithm,
    ) -> Result<Self, TokenError> {
        let session = token.session();
        if !find(&session, &private(label))?.is_empty() {
            return Err(TokenError::KeyExists { label: label.to_owned() });
        }
        let mut id = [0; 16];
        let generate_id = session.generate_random_slice(&mut id);
        generate_id.map_err(TokenError::refused("give random numbers"))?;
        let name = [Attribute::Label(label.as_bytes().to_vec()), Attribute::Id(id.to_vec())];
        let mut for_public = name.to_vec();
        for_public.extend([
            Attribute::Token(true),
            Attribute::Verify(true),
            Attribute::EcParams(algorithm.oid().to_vec()),
        ]);
        let mut for_private = name.to_vec();
        for_private.extend([
            Attribute::Token(true),
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Sign(true),
        ]);
        let mechanism = algorithm.key_generation();
        let (public_key, private_key) = session
            .generate_key_pair(&mechanism, &for_public, &for_private)
            .map_err(TokenError::refused("generate a signature key"))?;
        let signer = Self::of(token, &session, label, private_key);
        if signer.is_err() {
            // What is reported is why, not that the clean-up failed as well.
            let _ = destroy(&session, private_key).and_then(|()| destroy(&session, public_key));
        }
        signer
    }

    /// Finds a key by its label.
    ///
    /// # Errors
    ///
    /// [`TokenError::NoKey`]; [`TokenError::KeyExists`] if the label is not unique;
    /// [`TokenError::Extractable`]; [`TokenError::UnknownKey`]; [`TokenError::Refused`].
    pub fn find(token: &Token, label: &str) -> Result<Self, TokenError> {
        let session = token.session();
        match find(&session, &private(label))?.as_slice() {
            [] => Err(TokenError::NoKey { label: label.to_owned() }),
            [key] => Self::of(token, &session, label, *key),
            _ => Err(TokenError::KeyExists { label: label.to_owned() }),
        }
    }

    /// The algorithm.
    pub fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }

    /// The public key as MLS writes it: 32 bytes for Ed25519, 65 (uncompressed) for P-256.
    pub fn public_key(&self) -> &[u8] {
        &self.public_key
    }

    /// Signs in the token, in the form that MLS takes: 64 bytes for Ed25519, DER for ECDSA.
    ///
    /// # Errors
    ///
    /// [`TokenError::Refused`], [`TokenError::Signature`].
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, TokenError> {
        let session = self.token.session();
        let signature = match self.algorithm {
            SignatureAlgorithm::Ed25519 => {
                let pure = EddsaParams::new(EddsaSignatureScheme::Ed25519);
                session.sign(&Mechanism::Eddsa(pure), self.private_key, message)
            }
            SignatureAlgorithm::EcdsaP256 => {
                let digest = Sha256::digest(message);
                session.sign(&Mechanism::Ecdsa, self.private_key, &digest)
            }
        };
        let signature = signature.map_err(TokenError::refused("sign"))?;
        let Some((r, s)) = signature.split_first_chunk::<32>().filter(|(_, s)| s.len() == 32)
        else {
            return Err(TokenError::Signature { found: signature.len() });
        };
        match self.algorithm {
            SignatureAlgorithm::Ed25519 => Ok(signature),
            SignatureAlgorithm::EcdsaP256 => Ok(der_signature(r, s)),
        }
    }

    /// Reads what there is to know about a private key, and refuses one that could leave the token.
    fn of(
        token: &Token,
        session: &Session,
        label: &str,
        private_key: ObjectHandle,
    ) -> Result<Self, TokenError> {
        let wanted = [AttributeType::Sensitive, AttributeType::Extractable, AttributeType::Id];
        let found = attributes(session, private_key, &wanted)?;
        let sealed_in = found.contains(&Attribute::Sensitive(true))
            && found.contains(&Attribute::Extractable(false));
        if !sealed_in {
            return Err(TokenError::Extractable { label: label.to_owned() });
        }
        let unknown = || TokenError::UnknownKey { label: label.to_owned() };
        let id = found.into_iter().find(|attribute| matches!(attribute, Attribute::Id(_)));
        let public = [Attribute::Class(ObjectClass::PUBLIC_KEY), id.ok_or_else(unknown)?];
        let public = *find(session, &public)?.first().ok_or_else(unknown)?;
        let wanted = [AttributeType::KeyType, AttributeType::EcPoint];
        let (mut algorithm, mut point) = (None, None);
        for attribute in attributes(session, public, &wanted)? {
            match attribute {
                Attribute::KeyType(KeyType::EC_EDWARDS) => {
                    algorithm = Some(SignatureAlgorithm::Ed25519);
                }
                Attribute::KeyType(KeyType::EC) => {
                    algorithm = Some(SignatureAlgorithm::EcdsaP256);
                }
                Attribute::EcPoint(bytes) => point = Some(bytes),
                _ => {}
            }
        }
        let (algorithm, point) = algorithm.zip(point).ok_or_else(unknown)?;
        let public_key = algorithm.public_key(&point).ok_or_else(unknown)?.to_vec();
        let label = label.to_owned();
        Ok(Self { token: token.clone(), label, algorithm, private_key, public_key })
    }
}

fn private(label: &str) -> [Attribute; 2] {
    [Attribute::Class(ObjectClass::PRIVATE_KEY), Attribute::Label(label.as_bytes().to_vec())]
}

impl SignatureAlgorithm {
    fn oid(self) -> &'static [u8] {
        match self {
            Self::Ed25519 => &ED25519_OID,
            Self::EcdsaP256 => &P256_OID,
        }
    }

    fn key_generation(self) -> Mechanism<'static> {
        match self {
            Self::Ed25519 => Mechanism::EccEdwardsKeyPairGen,
            Self::EcdsaP256 => Mechanism::EccKeyPairGen,
        }
    }

    /// The public key out of `CKA_EC_POINT`: PKCS #11 2.40 wraps it in an OCTET STRING, 3.0 writes
    /// Ed25519 keys as a BIT STRING, and some tokens wrap nothing.
    fn public_key(self, point: &[u8]) -> Option<&[u8]> {
        match (self, point) {
            (Self::Ed25519, [0x04, 32, key @ ..] | [0x03, 33, 0, key @ ..]) if key.len() == 32 => {
                Some(key)
            }
            (Self::Ed25519, key) if key.len() == 32 => Some(key),
            (Self::EcdsaP256, [0x04, 65, key @ ..] | key) if is_uncompressed(key) => Some(key),
            _ => None,
        }
    }
}

fn is_uncompressed(point: &[u8]) -> bool {
    point.len() == 65 && point.first() == Some(&0x04)
}

/// `SEQUENCE { INTEGER r, INTEGER s }`, in DER.
fn der_signature(r: &[u8], s: &[u8]) -> Vec<u8> {
    let (r, s) = (der_integer(r), der_integer(s));
    let len = u8::try_from(r.len().saturating_add(s.len())).expect("two integers of 35 bytes");
    [&[0x30, len], r.as_slice(), s.as_slice()].concat()
}

/// An INTEGER of at most 32 bytes: without leading zeros, but never negative.
fn der_integer(bytes: &[u8]) -> Vec<u8> {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    let digits = bytes.get(zeros..).unwrap_or_default();
    let sign: &[u8] = if digits.first().is_none_or(|first| *first >= 0x80) { &[0] } else { &[] };
    let len = u8::try_from(sign.len().saturating_add(digits.len())).expect("at most 33 bytes");
    [&[0x02, len], sign, digits].concat()
}

impl fmt::Debug for TokenSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenSigner")
            .field("label", &self.label)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_minimal_and_positive() {
        assert_eq!(der_integer(&[0; 32]), [2, 1, 0]);
        assert_eq!(der_integer(&[0, 0, 0x7f]), [2, 1, 0x7f]);
        assert_eq!(der_integer(&[0, 0x80, 1]), [2, 3, 0, 0x80, 1]);
        assert_eq!(der_signature(&[0xff; 32], &[0xff; 32]).len(), 72);
    }

    #[test]
    fn points_are_read_in_every_form_and_nothing_else() {
        let ed25519 = SignatureAlgorithm::Ed25519;
        let key = [9; 32];
        for prefix in [&[][..], &[4, 32], &[3, 33, 0]] {
            assert_eq!(ed25519.public_key(&[prefix, &key].concat()), Some(&key[..]));
        }
        let p256 = SignatureAlgorithm::EcdsaP256;
        let key = [&[4][..], &[7; 64]].concat();
        assert_eq!(p256.public_key(&key), Some(&key[..]));
        assert_eq!(p256.public_key(&[&[4, 65], &key[..]].concat()), Some(&key[..]));
        for wrong in [&[][..], &[4], &[4, 32], &[2; 33], &[5; 65]] {
            assert_eq!((ed25519.public_key(wrong), p256.public_key(wrong)), (None, None));
        }
    }
}
