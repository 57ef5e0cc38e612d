//! The tags of pairing messages: who wrote them holds the tape.

use subtle::ConstantTimeEq as _;
use thiserror::Error;

use super::{
    codec::{TooLarge, Writer},
    transcript::Transcript,
};
use crate::{
    DerivationTooLong, DeviceId, PairingId, RecordName, Secret, Tape, TapeError, Vault, VaultError,
};

/// Why a tag was not accepted.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TagError {
    /// The message was not written by the device that it names, or not under these terms.
    #[error("the tag of the pairing message does not authenticate {0}")]
    Wrong(DeviceId),
    /// The vault could not tell.
    #[error(transparent)]
    Vault(#[from] VaultError),
}

/// What a tag is for. Each purpose has its own label, so that no tag passes for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TagPurpose {
    /// Confirms the pairing.
    Accept,
    /// Ends the pairing.
    CeasePair,
    /// Confirms the end.
    CeaseAck,
}

impl TagPurpose {
    fn label(self) -> &'static str {
        match self {
            Self::Accept => "accept tag",
            Self::CeasePair => "cease pair tag",
            Self::CeaseAck => "cease ack tag",
        }
    }
}

/// What a tag is computed over, apart from the device that writes it.
///
/// Only this module's messages make one: a vault writes no tag over bytes that a caller chose.
#[derive(Debug)]
pub struct TagInput<'a> {
    purpose: TagPurpose,
    transcript: &'a Transcript,
    details: Secret,
}

impl<'a> TagInput<'a> {
    pub(super) fn new(purpose: TagPurpose, transcript: &'a Transcript) -> Self {
        Self { purpose, transcript, details: Secret::copy_of(&[]) }
    }

    pub(super) fn with_details(
        purpose: TagPurpose,
        transcript: &'a Transcript,
        details: impl FnOnce(&mut Writer),
    ) -> Result<Self, TooLarge> {
        let mut writer = Writer::new();
        details(&mut writer);
        Ok(Self { purpose, transcript, details: writer.finish()? })
    }

    /// What the tag is for.
    pub fn purpose(&self) -> TagPurpose {
        self.purpose
    }

    /// ```text
    /// tag = ExpandWithLabel(accept_secret, label, transcript_hash || device || details, Nh)
    /// ```
    ///
    /// `transcript_hash` has Nh bytes and `device` two, so that no two inputs give the same context.
    fn tag(&self, tape: &Tape, device: DeviceId) -> Result<Secret, DerivationTooLong> {
        let device = device.0.to_be_bytes();
        let context = [self.transcript.hash(), &device, self.details.expose()].concat();
        let suite = tape.suite();
        let (secret, label) = (tape.accept_secret(), self.purpose.label());
        suite.expand_with_label(secret, label, &context, suite.kdf_len())
    }

    /// Compares in constant time.
    fn verify(
        &self,
        tape: &Tape,
        device: DeviceId,
        tag: &[u8],
    ) -> Result<Verified, DerivationTooLong> {
        let expected = self.tag(tape, device)?;
        let equal = bool::from(expected.expose().ct_eq(tag));
        Ok(if equal { Verified::Authentic } else { Verified::Forged })
    }
}

/// Whether a tag is the one that only a device of the pairing can write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
enum Verified {
    Authentic,
    Forged,
}

impl Vault {
    /// Writes the tag of a pairing message, of Nh bytes and always in this device's name.
    ///
    /// # Errors
    ///
    /// [`VaultError::Missing`] for an unknown pairing.
    pub fn pairing_tag(
        &self,
        pairing: PairingId,
        input: &TagInput<'_>,
    ) -> Result<Vec<u8>, VaultError> {
        let tape = self.shelf().load_tape(&RecordName::Pairing(pairing))?;
        Ok(input.tag(&tape, tape.own_device())?.expose().to_vec())
    }

    /// Verifies, in constant time, the tag of a pairing message that the partner `device` wrote.
    ///
    /// # Errors
    ///
    /// [`TagError::Wrong`] if it did not, or if `device` is this one: what comes from outside is
    /// never this device's own. [`TapeError::ForeignDevice`] if it is not of the pairing,
    /// [`VaultError::Missing`] for an unknown pairing.
    pub fn verify_pairing_tag(
        &self,
        pairing: PairingId,
        device: DeviceId,
        input: &TagInput<'_>,
        tag: &[u8],
    ) -> Result<(), TagError> {
        let tape = self.shelf().load_tape(&RecordName::Pairing(pairing))?;
        if !tape.devices().contains(&device) {
            return Err(VaultError::from(TapeError::ForeignDevice(device)).into());
        }
        match input.verify(&tape, device, tag).map_err(VaultError::from)? {
            Verified::Authentic if device != tape.own_device() => Ok(()),
            Verified::Authentic | Verified::Forged => Err(TagError::Wrong(device)),
        }
    }
}
