//! The signature keys of a leaf that several devices share in standard mode.
//!
//! The draft makes a vector of `LeafNode.signature_key`. On the wire it is the field that RFC 9420 has,
//! with another content:
//!
//! ```text
//! opaque SignaturePublicKey<V>;
//! SignaturePublicKey signature_keys<V>;      // two or more keys
//! ```
//!
//! One key stands alone, as in RFC 9420, without a length of its own: such a leaf is plain MLS. The two
//! cannot be confused, since a key of a signature scheme has always the same length.

use thiserror::Error;
use tls_codec::{Deserialize as _, Serialize as _, VLByteSlice, VLBytes};

/// The signature keys of a leaf: one, or several of several devices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureKeys(Vec<Vec<u8>>);

/// The field `signature_key` of a leaf does not hold one key, nor several.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SignatureKeysError {
    /// There is no key.
    #[error("a leaf has one signature key at least")]
    Empty,
    /// A key does not have the length of the signature scheme's keys.
    #[error("a signature key has {found} bytes, and one of this cipher suite has {expected}")]
    Length {
        /// Its length, in bytes.
        found: usize,
        /// The length of every key, in bytes.
        expected: usize,
    },
    /// A key occurs twice.
    #[error("a signature key occurs twice")]
    Duplicate,
    /// The field is no vector of keys.
    #[error("the signature keys of the leaf cannot be parsed")]
    Malformed,
}

impl SignatureKeys {
    /// Takes keys of `key_len` bytes each, in this order.
    ///
    /// # Errors
    ///
    /// [`SignatureKeysError::Empty`], [`SignatureKeysError::Length`], [`SignatureKeysError::Duplicate`].
    pub fn new(keys: Vec<Vec<u8>>, key_len: usize) -> Result<Self, SignatureKeysError> {
        if keys.is_empty() {
            return Err(SignatureKeysError::Empty);
        }
        if let Some(key) = keys.iter().find(|key| key.len() != key_len) {
            return Err(SignatureKeysError::Length { found: key.len(), expected: key_len });
        }
        let twice = |(n, key): (usize, &Vec<u8>)| keys.iter().take(n).any(|other| other == key);
        if keys.iter().enumerate().any(twice) {
            return Err(SignatureKeysError::Duplicate);
        }
        Ok(Self(keys))
    }

    /// Reads the content of a leaf's field `signature_key`.
    ///
    /// # Errors
    ///
    /// [`SignatureKeysError`] if it holds neither one key of `key_len` bytes nor several.
    pub fn decode(content: &[u8], key_len: usize) -> Result<Self, SignatureKeysError> {
        if content.len() == key_len {
            return Self::new(vec![content.to_vec()], key_len);
        }
        let mut keys = Vec::new();
        let mut rest = content;
        while !rest.is_empty() {
            let key =
                VLBytes::tls_deserialize(&mut rest).map_err(|_| SignatureKeysError::Malformed)?;
            keys.push(key.into());
        }
        // One key with a length of its own would be a second form of the same leaf.
        if keys.len() == 1 {
            return Err(SignatureKeysError::Malformed);
        }
        Self::new(keys, key_len)
    }

    /// The content of the leaf's field.
    pub fn encode(&self) -> Vec<u8> {
        if let [key] = self.0.as_slice() {
            return key.clone();
        }
        // A key is shorter than 2³⁰ bytes, or `new` would not have taken it.
        let one = |key: &Vec<u8>| VLByteSlice(key).tls_serialize_detached().unwrap_or_default();
        self.0.iter().flat_map(one).collect()
    }

    /// The keys, in the order of the leaf.
    pub fn keys(&self) -> &[Vec<u8>] {
        &self.0
    }
}
