//! The short authentication string of the 1-to-1 channel.

use std::fmt;

use super::transcript::Transcript;
use crate::{CipherSuite, DerivationTooLong, Secret};

/// How many groups of digits there are.
const GROUPS: usize = 12;

/// How many bytes one group of digits is made from.
const GROUP_LEN: usize = 5;

/// 60 decimal digits that two people compare, or that one device reads off the other's screen.
///
/// Equal digits on all devices mean that nobody sits between them in the 1-to-1 channel.
///
/// ```text
/// exporter_secret = MLS-Exporter("PMLS 02 short auth string", "", Nh)
/// bytes           = ExpandWithLabel(exporter_secret, label, context, 60)
/// group[i]        = bytes[5·i .. 5·i + 5] as an integer, modulo 100000          i = 0 … 11
///
/// before the pairing messages:  label = "short auth channel",  context = ""
/// after them:                   label = "short auth pairing",  context = transcript_hash
/// ```
///
/// # Why 60 digits
///
/// Someone between the devices runs two MLS groups and may try keys, offline, until both show the
/// same digits: a birthday search of half the string's bits. A short string (30 bits) needs a
/// commitment round before anybody's key is known, which MLS does not have. 60 digits are 199 bits,
/// the search is 2⁹⁹, and no message is added. Digits are read alike in most languages.
///
/// # Security
///
/// The exporter secret depends on the channel's epoch: all devices derive it in the same one. In
/// hidden mode compare *before* the private key is sent, since a key that has leaked stays leaked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ShortAuthString([u32; GROUPS]);

impl ShortAuthString {
    /// The digits of the channel alone: available before anything is sent.
    ///
    /// # Errors
    ///
    /// [`DerivationTooLong`] if `exporter_secret` is shorter than Nh bytes.
    pub fn of_channel(
        suite: CipherSuite,
        exporter_secret: &Secret,
    ) -> Result<Self, DerivationTooLong> {
        Self::expand(suite, exporter_secret, "short auth channel", &[])
    }

    /// The digits of the channel and of the pairing messages of all devices.
    ///
    /// # Errors
    ///
    /// [`DerivationTooLong`] if `exporter_secret` is shorter than Nh bytes.
    pub fn derive(
        suite: CipherSuite,
        exporter_secret: &Secret,
        transcript: &Transcript,
    ) -> Result<Self, DerivationTooLong> {
        Self::expand(suite, exporter_secret, "short auth pairing", transcript.hash())
    }

    fn expand(
        suite: CipherSuite,
        exporter_secret: &Secret,
        label: &str,
        context: &[u8],
    ) -> Result<Self, DerivationTooLong> {
        let bytes = suite.expand_with_label(exporter_secret, label, context, GROUPS * GROUP_LEN)?;
        let mut groups = [0; GROUPS];
        for (group, chunk) in groups.iter_mut().zip(bytes.expose().chunks_exact(GROUP_LEN)) {
            let number = chunk.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
            *group = u32::try_from(number % 100_000).map_err(|_| DerivationTooLong)?;
        }
        Ok(Self(groups))
    }
}

impl fmt::Display for ShortAuthString {
    /// Twelve groups of five digits, four to a line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, group) in self.0.iter().enumerate() {
            let separator = match position {
                0 => "",
                _ if position % 4 == 0 => "\n",
                _ => " ",
            };
            write!(f, "{separator}{group:05}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for ShortAuthString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ShortAuthString(<redacted>)")
    }
}
