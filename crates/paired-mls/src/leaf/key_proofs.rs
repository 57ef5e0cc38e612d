//! Proofs that the holders of a leaf's signature keys want them to stand there.
//!
//! Whoever signs a leaf proves one of the keys that it lists. Each other one is proven by a signature of its
//! holder, in a leaf extension of type `paired_mls`:
//!
//! ```text
//! struct {
//!     opaque     label<V> = "PMLS 02 ListedKeyTBS";
//!     opaque     signature_keys<V>;          // the content of the leaf's field signature_key
//!     Credential credential;
//! } ListedKeyTBS;
//!
//! opaque KeyProof<V>;                        // a signature over ListedKeyTBS, as the group's suite makes it
//! KeyProof key_proofs<V>;                    // one for each listed key, in the order of the keys
//! ```
//!
//! A proof does not cover the leaf's encryption key, nor the group: the leaf is renewed by commits of one
//! device, and goes into groups, while the others are passive and sign nothing. Nor can it cover the extension
//! that it stands in. What is signed is exactly what its holder agrees to: to share a leaf of this credential
//! with the holders of these keys. Nobody else can use it, since a leaf that lists these keys is signed by one
//! of them.

use thiserror::Error;
use tls_codec::{
    Deserialize as _, Serialize as _, TlsDeserialize, TlsSerialize, TlsSize, VLByteSlice, VLBytes,
};

use crate::{
    DeviceId, PairingId,
    code_points::{PAIRING_VERSION, pairing_message},
    leaf::SignatureKeys,
    wire::{Credential, ExtensionType, LeafNode},
};

const LABEL: &[u8] = b"PMLS 02 ListedKeyTBS";

/// The signatures of all keys that a leaf lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyProofs(Vec<Vec<u8>>);

/// The proofs of a leaf's keys are not there, or not right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KeyProofsError {
    /// The extension holds no vector of signatures.
    #[error("the proofs of the leaf's signature keys cannot be parsed")]
    Malformed,
    /// There are more proofs than keys, or fewer.
    #[error("the leaf lists {keys} signature keys, and has {proofs} proofs of them")]
    Number {
        /// How many keys the leaf lists.
        keys: usize,
        /// How many proofs it has.
        proofs: usize,
    },
    /// A signature is not one of its key, over what the leaf says.
    #[error("the signature key at place {place} of the leaf is not proven by its holder")]
    NotProven {
        /// The place of the key in the leaf, from 0.
        place: usize,
    },
}

impl KeyProofs {
    /// The extension's type.
    pub const EXTENSION_TYPE: ExtensionType =
        ExtensionType(crate::code_points::EXTENSION_TYPE_PAIRED_MLS);

    /// Takes the signatures, in the order of the leaf's keys.
    pub fn new(signatures: Vec<Vec<u8>>) -> Self {
        Self(signatures)
    }

    /// Reads the data of the extension.
    ///
    /// # Errors
    ///
    /// [`KeyProofsError::Malformed`].
    pub fn decode(data: &[u8]) -> Result<Self, KeyProofsError> {
        let (mut rest, mut signatures) = (data, Vec::new());
        while !rest.is_empty() {
            let signature =
                VLBytes::tls_deserialize(&mut rest).map_err(|_| KeyProofsError::Malformed)?;
            signatures.push(signature.into());
        }
        Ok(Self(signatures))
    }

    /// The data of the extension.
    pub fn encode(&self) -> Vec<u8> {
        self.0.iter().flat_map(|signature| vector(signature)).collect()
    }

    /// The signatures, in the order of the leaf's keys.
    pub fn signatures(&self) -> &[Vec<u8>] {
        &self.0
    }

    /// What the holder of a listed key signs: `ListedKeyTBS`.
    pub fn to_be_signed(signature_keys: &[u8], credential: &Credential) -> Vec<u8> {
        let mut signed = vector(LABEL);
        signed.extend(vector(signature_keys));
        signed.extend(credential.tls_serialize_detached().unwrap_or_default());
        signed
    }

    /// Checks that each key that a leaf lists is proven. One that stands alone needs no proof beside the
    /// leaf's own signature.
    ///
    /// `verify` is given a key, what was signed, and the signature.
    ///
    /// # Errors
    ///
    /// [`KeyProofsError`].
    pub fn check(
        leaf: &LeafNode,
        keys: &SignatureKeys,
        verify: impl Fn(&[u8], &[u8], &[u8]) -> bool,
    ) -> Result<(), KeyProofsError> {
        let keys = keys.keys();
        if keys.len() == 1 {
            return Ok(());
        }
        let proofs = Self::decode(leaf.extension(Self::EXTENSION_TYPE).unwrap_or_default())?;
        if proofs.0.len() != keys.len() {
            return Err(KeyProofsError::Number { keys: keys.len(), proofs: proofs.0.len() });
        }
        let signed = Self::to_be_signed(leaf.signature_key(), leaf.credential());
        let proven = |(key, proof): (&Vec<u8>, &Vec<u8>)| verify(key, &signed, proof);
        let wrong = keys.iter().zip(&proofs.0).position(|pair| !proven(pair));
        wrong.map_or(Ok(()), |place| Err(KeyProofsError::NotProven { place }))
    }

    /// Whether a leaf has the proof of one of its keys.
    pub fn is_proven(
        leaf: &LeafNode,
        keys: &SignatureKeys,
        key: &[u8],
        verify: impl Fn(&[u8], &[u8], &[u8]) -> bool,
    ) -> bool {
        let data = leaf.extension(Self::EXTENSION_TYPE).unwrap_or_default();
        let place = keys.keys().iter().position(|listed| listed == key);
        let proofs = Self::decode(data).ok();
        let proof = place.and_then(|place| proofs.as_ref()?.0.get(place));
        let signed = Self::to_be_signed(leaf.signature_key(), leaf.credential());
        proof.is_some_and(|proof| verify(key, &signed, proof))
    }
}

/// The proof of one device, on its way to its partners, beside the pairing protocol:
///
/// ```text
/// struct {
///     uint8  version = 2;
///     uint8  message_type = 10;
///     opaque body<V>;                // of KeyProofBody
/// } KeyProofMessage;
///
/// struct {
///     opaque   pairing_id[16];
///     uint16   device;
///     KeyProof key_proof;
/// } KeyProofBody;
/// ```
///
/// It needs no tag: the signature is of a key that the pairing names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyProofMessage {
    /// The pairing.
    pub pairing: PairingId,
    /// The device whose key it is.
    pub device: DeviceId,
    /// Its signature.
    pub proof: Vec<u8>,
}

#[derive(Debug, TlsSize, TlsSerialize, TlsDeserialize)]
struct Wire {
    pairing_id: [u8; 16],
    device: u16,
    proof: VLBytes,
}

impl KeyProofMessage {
    /// Reads a message; the signature is not verified.
    ///
    /// # Errors
    ///
    /// [`KeyProofsError::Malformed`] for anything else, also for what follows.
    pub fn decode(message: &[u8]) -> Result<Self, KeyProofsError> {
        let [PAIRING_VERSION, pairing_message::KEY_PROOF, body @ ..] = message else {
            return Err(KeyProofsError::Malformed);
        };
        let malformed = |_| KeyProofsError::Malformed;
        // Not the decoder from bytes: see `GroupRecord::from_record`.
        let body = VLBytes::tls_deserialize_exact(body).map_err(malformed)?;
        let wire = Wire::tls_deserialize_exact(body.as_slice()).map_err(malformed)?;
        Ok(Self {
            pairing: PairingId(wire.pairing_id),
            device: DeviceId(wire.device),
            proof: wire.proof.into(),
        })
    }

    /// The serialized message.
    pub fn encode(&self) -> Vec<u8> {
        let proof = self.proof.as_slice().into();
        let wire = Wire { pairing_id: self.pairing.0, device: self.device.0, proof };
        let body = vector(&wire.tls_serialize_detached().unwrap_or_default());
        [&[PAIRING_VERSION, pairing_message::KEY_PROOF], body.as_slice()].concat()
    }
}

/// A signature, or a key, is shorter than 2³⁰ bytes.
fn vector(bytes: &[u8]) -> Vec<u8> {
    VLByteSlice(bytes).tls_serialize_detached().unwrap_or_default()
}
