//! The Notify: what stands where MLS would encrypt a path secret to the partner.
//!
//! It has exactly the shape and the length of an `HPKECiphertext` (RFC 9420 section 7.6) and says
//! only which position of the shared tape to use. It holds no keying material: whoever stole the
//! partner's MLS state learns nothing from it, and to everyone else it looks like the ciphertext
//! that it replaces.
//!
//! ```text
//! kem_output = a fresh, valid KEM public key; its private half is dropped at once
//! key        = ExpandWithLabel(notify_secret, "notify key",   kem_output, Nk)
//! nonce      = ExpandWithLabel(notify_secret, "notify nonce", kem_output, Nn)
//! plaintext  = version:u8 || device:u16 || position:u48 || level:u8 || opening:u48 || zeros, to Nh bytes
//! ciphertext = AEAD.Seal(key, nonce, aad = info, plaintext)
//! ```
//!
//! `info` is the `EncryptContext("UpdatePathNode", GroupContext)` that HPKE would have been given,
//! so that a Notify is bound to one group, epoch, tree and transcript: elsewhere it does not open,
//! and here its index is spent once it has been used.

use thiserror::Error;
use zeroize::Zeroizing;

use crate::{
    AeadError, DerivationTooLong, DeviceId, Index, RecordName, Secret, Spot, Tape, TapeId, Vault,
    VaultError, code_points::NOTIFY_VERSION,
};

/// The length of the fields before the padding: version, index, level and opening, in bytes.
const HEADER_LEN: usize = 1 + 8 + 1 + 6;

/// What a Notify says: use this position of the tape, and enter the path at this level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notify {
    /// Where on the tape of the group the value lies that the commit was made with.
    pub spot: Spot,
    /// Which path secret the receiver derives: `path_secret[level]`, counted over the sender's
    /// filtered direct path (RFC 9420 section 7.9).
    pub level: u8,
}

/// The two fields of an `HPKECiphertext` (RFC 9420 section 7.6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedNotify {
    /// Nenc bytes.
    pub kem_output: Vec<u8>,
    /// Nh + Nt bytes.
    pub ciphertext: Vec<u8>,
}

/// Why a Notify could not be written or was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NotifyError {
    /// The ciphertext is not a Notify for this group and epoch: an ordinary `HPKECiphertext`
    /// perhaps, which the receiver tries next, or one that was forged or taken from elsewhere.
    #[error("this is not a Notify of this pairing for this group and epoch")]
    NotANotify,
    /// The KEM output or the ciphertext does not have the length that the suite prescribes.
    #[error("{field} has {found} bytes and the cipher suite prescribes {expected}")]
    Length {
        /// Which field.
        field: &'static str,
        /// Its length, in bytes.
        found: usize,
        /// The suite's length, in bytes.
        expected: usize,
    },
    /// A partner wrote it with a version that this software does not know.
    #[error("the partner sent a Notify of version {0}: update the software of both devices")]
    Version(u8),
    /// A partner wrote something other than zeros into the padding.
    #[error("the partner sent a Notify whose padding is not zero")]
    Padding,
    /// The index belongs to a device that is not of the pairing.
    #[error("the partner sent a Notify for {0}, which is not a device of this pairing")]
    ForeignDevice(DeviceId),
    /// The index belongs to the receiver's own lane.
    #[error("the partner sent a Notify for index {0} of this device's own lane")]
    OwnLane(Index),
    /// An input does not fit RFC 9420's `KDFLabel`.
    #[error(transparent)]
    Derivation(#[from] DerivationTooLong),
}

impl Notify {
    /// Seals a Notify under the tape's `notify_secret`.
    ///
    /// `kem_output` must be a fresh public key of the suite's KEM: it is the only thing that
    /// separates the keys of two Notifies. `info` is what `hpke_seal` was given.
    pub(crate) fn seal(
        &self,
        tape: &Tape,
        kem_output: Vec<u8>,
        info: &[u8],
    ) -> Result<SealedNotify, NotifyError> {
        let suite = tape.suite();
        check_len("kem_output", kem_output.len(), suite.kem_output_len())?;
        let (key, nonce) = key_and_nonce(tape, &kem_output)?;

        let mut plaintext = Zeroizing::new(Vec::with_capacity(suite.kdf_len()));
        plaintext.push(NOTIFY_VERSION);
        plaintext.extend(self.spot.index.to_bytes());
        plaintext.push(self.level);
        let [_, _, opening @ ..] = self.spot.opening.to_be_bytes();
        plaintext.extend(opening);
        plaintext.resize(suite.kdf_len(), 0);

        // A block of Nh bytes is far below every AEAD's limit, so that sealing cannot fail.
        let ciphertext = suite
            .seal(&key, &nonce, info, &plaintext)
            .map_err(|AeadError| NotifyError::NotANotify)?;
        Ok(SealedNotify { kem_output, ciphertext })
    }

    /// Opens a Notify and checks everything in it.
    ///
    /// # Errors
    ///
    /// [`NotifyError::NotANotify`] or [`NotifyError::Length`] where ordinary HPKE has to be tried;
    /// any other error is about a Notify that a partner did write, and no way to go on.
    pub(crate) fn open(
        tape: &Tape,
        sealed: &SealedNotify,
        info: &[u8],
    ) -> Result<Self, NotifyError> {
        let suite = tape.suite();
        check_len("kem_output", sealed.kem_output.len(), suite.kem_output_len())?;
        check_len("ciphertext", sealed.ciphertext.len(), suite.kdf_len() + suite.aead_tag_len())?;
        let (key, nonce) = key_and_nonce(tape, &sealed.kem_output)?;
        let plaintext = (suite.open(&key, &nonce, info, &sealed.ciphertext))
            .map_err(|AeadError| NotifyError::NotANotify)?;

        let notify = Self::parse(plaintext.expose())?;
        let index = notify.spot.index;
        let device = index.device();
        if device == tape.own_device() {
            return Err(NotifyError::OwnLane(index));
        }
        if !tape.devices().contains(&device) {
            return Err(NotifyError::ForeignDevice(device));
        }
        Ok(notify)
    }

    fn parse(plaintext: &[u8]) -> Result<Self, NotifyError> {
        let (header, padding) = plaintext
            .split_first_chunk::<HEADER_LEN>()
            .expect("the length was checked, and no KDF output is shorter than the header");
        let [version, a, b, c, d, e, f, g, h, level, opening @ ..] = *header;
        if version != NOTIFY_VERSION {
            return Err(NotifyError::Version(version));
        }
        if padding.iter().any(|byte| *byte != 0) {
            return Err(NotifyError::Padding);
        }
        let index = Index::from_bytes([a, b, c, d, e, f, g, h]);
        let opening = opening.iter().fold(0, |n, byte| n << 8 | u64::from(*byte));
        Ok(Self { spot: Spot { opening, index }, level })
    }
}

fn key_and_nonce(tape: &Tape, kem_output: &[u8]) -> Result<(Secret, Secret), DerivationTooLong> {
    let suite = tape.suite();
    let derive =
        |label, length| suite.expand_with_label(tape.notify_secret(), label, kem_output, length);
    Ok((
        derive("notify key", suite.aead_key_len())?,
        derive("notify nonce", suite.aead_nonce_len())?,
    ))
}

impl Vault {
    /// Writes a Notify. `kem_output` is a fresh public key of the suite's KEM, whose private half
    /// the caller has dropped; `info` is what `hpke_seal` was given.
    ///
    /// # Errors
    ///
    /// [`VaultError::Missing`] for an unknown tape, [`NotifyError::Length`] for a KEM output of
    /// another suite.
    pub fn seal_notify(
        &self,
        tape: &TapeId,
        notify: &Notify,
        kem_output: Vec<u8>,
        info: &[u8],
    ) -> Result<SealedNotify, VaultError> {
        let tape = self.shelf().load_tape(&RecordName::SubTape(tape.clone()))?;
        Ok(notify.seal(&tape, kem_output, info)?)
    }

    /// Opens a Notify.
    ///
    /// # Errors
    ///
    /// [`NotifyError::NotANotify`] where the receiver goes on with ordinary HPKE; every other
    /// error refuses the message.
    pub fn open_notify(
        &self,
        tape: &TapeId,
        sealed: &SealedNotify,
        info: &[u8],
    ) -> Result<Notify, VaultError> {
        let tape = self.shelf().load_tape(&RecordName::SubTape(tape.clone()))?;
        Ok(Notify::open(&tape, sealed, info)?)
    }
}

fn check_len(field: &'static str, found: usize, expected: usize) -> Result<(), NotifyError> {
    (found == expected).then_some(()).ok_or(NotifyError::Length { field, found, expected })
}

#[cfg(test)]
mod tests;
