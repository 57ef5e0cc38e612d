//! The transcript of a pairing: what every tag binds.

use sha2::{Digest, Sha256, Sha384, Sha512};

use super::{
    codec::{TooLarge, Writer},
    messages::{Body, InitPairing, ShareRand},
    terms::Terms,
};
use crate::{CipherSuite, Secret};

/// The hash over both messages of a pairing, without their secrets.
///
/// ```text
/// struct {
///     opaque share_rand<V>;        // ShareRand with an empty seed
///     opaque init_pairing<V>;      // InitPairing with an empty private_key, if it has a key pair
/// } PairingTranscript;
///
/// transcript_hash = Hash(PairingTranscript)              // the suite's hash, Nh bytes
/// ```
///
/// It is the same for both roads of the seed: a device that has it from a file builds the ShareRand
/// that nobody sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transcript {
    hash: Vec<u8>,
}

impl Transcript {
    /// # Errors
    ///
    /// [`TooLarge`] if the devices do not fit a vector.
    pub(super) fn of(terms: &Terms) -> Result<Self, TooLarge> {
        let roster = terms.roster();
        let share_rand = ShareRand {
            pairing_id: roster.pairing_id(),
            cipher_suite: roster.suite().code_point(),
            seed: Secret::copy_of(&[]),
            devices: roster.devices().to_vec(),
        };
        let init_pairing = InitPairing::of(terms, Secret::copy_of(&[]));
        let mut writer = Writer::new();
        writer.opaque(share_rand.body()?.expose());
        writer.opaque(init_pairing.body()?.expose());
        Ok(Self { hash: hash(roster.suite(), writer.finish()?.expose()) })
    }

    /// `transcript_hash`, Nh bytes, not secret.
    pub fn hash(&self) -> &[u8] {
        &self.hash
    }
}

/// The hash that the directory's Accept names.
///
/// ```text
/// request_hash = Hash(InitPairing)
/// ```
pub(super) fn request_hash(terms: &Terms) -> Result<Vec<u8>, TooLarge> {
    // Only standard mode goes to the directory: there is no key pair in it.
    let body = InitPairing::of(terms, Secret::copy_of(&[])).body()?;
    Ok(hash(terms.roster().suite(), body.expose()))
}

/// The hash function of the suite (RFC 9420 section 17.1), which is its KDF's.
pub(crate) fn hash(suite: CipherSuite, bytes: &[u8]) -> Vec<u8> {
    match suite.kdf_len() {
        64 => Sha512::digest(bytes).to_vec(),
        48 => Sha384::digest(bytes).to_vec(),
        _ => Sha256::digest(bytes).to_vec(),
    }
}
