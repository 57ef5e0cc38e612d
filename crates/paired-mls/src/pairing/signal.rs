//! The draft's optional signal: a member tells the group that it is paired.
//!
//! "If there is a consideration that the lack of pairing awareness in the group may result in a
//! devices ejection from the group, it is possible to signal to the group that devices are paired and
//! updates have been performed on behalf of B." Members that do not know the extension carry and
//! ignore it: a leaf lists the types of its own extensions in its own capabilities (RFC 9420 section
//! 7.2), and nobody else need know them.

use std::collections::BTreeSet;

use thiserror::Error;

use super::{
    codec::{DecodeError, Reader, TooLarge, Writer},
    terms::{Mode, Terms},
    transcript::hash,
};
use crate::{CipherSuite, DeviceId, PairedDevice};

/// Whether the group is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SignalPolicy {
    /// Paired commits look like all others.
    #[default]
    Silent,
    /// Each paired commit carries a [`PairedSignal`] in the committer's leaf.
    Announce,
}

/// The body of the leaf-node extension `paired_signal`.
///
/// ```text
/// opaque SignatureKeyHash<V>;              // Hash(signature_key), the suite's hash, Nh bytes
///
/// struct {
///     SignatureKeyHash paired_with<V>;     // the partners, in ascending order of their numbers
///     SignatureKeyHash on_behalf_of<V>;    // those that this commit heals
/// } PairedSignal;
/// ```
///
/// # Security
///
/// It says which leaves are paired, to the group and, with public handshakes, to the delivery
/// service. Off by default, and refused in hidden mode, where no one is to know.
///
/// It is the committer's word, under its signature: nobody outside of the pairing can see whether a
/// commit has healed a partner. Take it as a reason to be patient with a silent member, not as a proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairedSignal {
    /// The hashes of the partners' signature keys.
    pub paired_with: Vec<Vec<u8>>,
    /// The hashes of the signature keys of those that the commit heals.
    pub on_behalf_of: Vec<Vec<u8>>,
}

/// A signal that is not made.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SignalError {
    /// Hidden mode is hidden.
    #[error("a pairing of hidden mode is not announced: turn the signal off")]
    HiddenMode,
    /// Not a device of the pairing.
    #[error("{0} is not a device of this pairing")]
    ForeignDevice(DeviceId),
    /// The signal does not fit a vector.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
}

impl PairedSignal {
    /// The signal of `own` for a commit that heals `healed`.
    ///
    /// # Errors
    ///
    /// [`SignalError::HiddenMode`], or [`SignalError::ForeignDevice`] for a device that is not of the
    /// pairing.
    pub fn new(terms: &Terms, own: DeviceId, healed: &[DeviceId]) -> Result<Self, SignalError> {
        if let Mode::Hidden { .. } = terms.mode() {
            return Err(SignalError::HiddenMode);
        }
        Self::of(terms.roster().suite(), &terms.pairing().devices, own, healed)
    }

    /// The same, for devices as their group knows them.
    ///
    /// # Errors
    ///
    /// Those of [`PairedSignal::new`]; hidden mode is told by the key that devices share.
    pub fn of(
        suite: CipherSuite,
        devices: &[PairedDevice],
        own: DeviceId,
        healed: &[DeviceId],
    ) -> Result<Self, SignalError> {
        let keys: BTreeSet<_> = devices.iter().map(|paired| &paired.signature_key).collect();
        if keys.len() < devices.len() {
            return Err(SignalError::HiddenMode);
        }
        let key_hash = |device: DeviceId| -> Result<Vec<u8>, SignalError> {
            let paired = devices.iter().find(|paired| paired.device == device);
            let paired = paired.ok_or(SignalError::ForeignDevice(device))?;
            Ok(hash(suite, &paired.signature_key))
        };
        key_hash(own)?;
        let partners = devices.iter().map(|paired| paired.device).filter(|device| *device != own);
        let hashes = |devices: Vec<DeviceId>| -> Result<Vec<_>, SignalError> {
            devices.into_iter().map(key_hash).collect()
        };
        Ok(Self {
            paired_with: hashes(partners.collect())?,
            on_behalf_of: hashes(healed.to_vec())?,
        })
    }

    /// The extension's `extension_data` (RFC 9420 section 7.2).
    ///
    /// # Errors
    ///
    /// [`SignalError::TooLarge`] if the partners do not fit a vector.
    pub fn encode(&self) -> Result<Vec<u8>, SignalError> {
        let mut writer = Writer::new();
        writer.list(&self.paired_with, |writer, hash| writer.opaque(hash));
        writer.list(&self.on_behalf_of, |writer, hash| writer.opaque(hash));
        Ok(writer.finish()?.expose().to_vec())
    }

    /// Reads an extension's `extension_data`.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] for bytes that are no signal, trailing bytes among them.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        Reader::whole("PairedSignal", bytes, |reader| {
            let hashes =
                |reader: &mut Reader<'_>, field| reader.list(field, |reader| reader.bytes(field));
            Ok(Self {
                paired_with: hashes(reader, "paired_with")?,
                on_behalf_of: hashes(reader, "on_behalf_of")?,
            })
        })
    }

    /// Whether the signal names the leaf with this signature key among the partners.
    pub fn is_paired_with(&self, suite: CipherSuite, signature_key: &[u8]) -> bool {
        self.paired_with.contains(&hash(suite, signature_key))
    }

    /// Whether the signal names the leaf with this signature key among those that were healed.
    pub fn heals(&self, suite: CipherSuite, signature_key: &[u8]) -> bool {
        self.on_behalf_of.contains(&hash(suite, signature_key))
    }
}
