//! The tags of pairing messages: who wrote them holds the tape.

use subtle::ConstantTimeEq as _;

use super::{
    codec::{TooLarge, Writer},
    transcript::Transcript,
};
use crate::{DerivationTooLong, DeviceId, Secret, Tape};

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
    pub(crate) fn tag(&self, tape: &Tape, device: DeviceId) -> Result<Secret, DerivationTooLong> {
        let device = device.0.to_be_bytes();
        let context = [self.transcript.hash(), &device, self.details.expose()].concat();
        let suite = tape.suite();
        let (secret, label) = (tape.accept_secret(), self.purpose.label());
        suite.expand_with_label(secret, label, &context, suite.kdf_len())
    }

    /// Compares in constant time.
    pub(crate) fn verify(
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
pub(crate) enum Verified {
    Authentic,
    Forged,
}
