//! Whose feed it is: the beacon's signature key.

use std::fmt;

use ed25519_dalek::Verifier as _;
use paired_mls_api::{DeviceId, SignatureScheme};
use thiserror::Error;

use crate::codec::put_vector;

/// The length of a [`KeyId`], in bytes.
pub const KEY_ID_LEN: usize = 8;

/// What names a beacon in a bundle: the first 8 bytes of the id of the device that has its key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub [u8; KEY_ID_LEN]);

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Why a public key is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "these bytes are no public key of the signature scheme: take those of the beacon's device card"
)]
pub struct NotAKey;

/// The public signature key of a beacon, as a listener knows it from its provisioning.
#[derive(Clone)]
pub struct BeaconKey {
    device: DeviceId,
    key: Key,
}

#[derive(Clone)]
enum Key {
    Ed25519(ed25519_dalek::VerifyingKey),
    P256(p256::ecdsa::VerifyingKey),
    P384(p384::ecdsa::VerifyingKey),
}

impl fmt::Debug for BeaconKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BeaconKey({})", self.device)
    }
}

impl BeaconKey {
    /// Reads a public key as an MLS leaf has it (RFC 9420 section 5.1.2).
    ///
    /// # Errors
    ///
    /// [`NotAKey`].
    pub fn new(scheme: SignatureScheme, public_key: &[u8]) -> Result<Self, NotAKey> {
        let key = match scheme {
            SignatureScheme::Ed25519 => {
                let bytes = public_key.try_into().map_err(|_| NotAKey)?;
                ed25519_dalek::VerifyingKey::from_bytes(bytes).map(Key::Ed25519).ok()
            }
            SignatureScheme::P256 => {
                p256::ecdsa::VerifyingKey::from_sec1_bytes(public_key).map(Key::P256).ok()
            }
            SignatureScheme::P384 => {
                p384::ecdsa::VerifyingKey::from_sec1_bytes(public_key).map(Key::P384).ok()
            }
            _ => None,
        };
        let key = key.ok_or(NotAKey)?;
        Ok(Self { device: DeviceId::of_key(scheme, public_key), key })
    }

    /// The device whose key it is.
    pub fn device(&self) -> &DeviceId {
        &self.device
    }

    /// What names the key in a bundle.
    pub fn id(&self) -> KeyId {
        let mut id = [0; KEY_ID_LEN];
        for (to, from) in id.iter_mut().zip(self.device.as_bytes()) {
            *to = *from;
        }
        KeyId(id)
    }

    /// Whether the beacon has signed `content`, a [`sign_content`].
    pub(crate) fn has_signed(&self, content: &[u8], signature: &[u8]) -> bool {
        match &self.key {
            Key::Ed25519(key) => ed25519_dalek::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify(content, &signature).is_ok()),
            Key::P256(key) => p256::ecdsa::Signature::from_der(signature)
                .is_ok_and(|signature| key.verify(content, &signature).is_ok()),
            Key::P384(key) => p384::ecdsa::Signature::from_der(signature)
                .is_ok_and(|signature| key.verify(content, &signature).is_ok()),
        }
    }
}

/// A beacon's signature key, wherever its private half is.
pub trait BeaconSigner {
    /// Why it may fail.
    type Error: std::error::Error + Send + Sync + 'static;

    /// The public half.
    fn key(&self) -> &BeaconKey;

    /// Signs `message`. The signature has the form that MLS has: ECDSA is DER.
    ///
    /// # Errors
    ///
    /// Those of the place where the key is.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Self::Error>;
}

/// The `SignContent` of RFC 9420 section 5.1.2, with a label that no structure of MLS has.
pub(crate) fn sign_content(tbs: &[u8]) -> Vec<u8> {
    let mut content = Vec::with_capacity(tbs.len() + 32);
    // Neither is as long as a vector may be at most.
    let _ = put_vector(&mut content, b"PMLS 02 FeedBundleTBS");
    let _ = put_vector(&mut content, tbs);
    content
}
