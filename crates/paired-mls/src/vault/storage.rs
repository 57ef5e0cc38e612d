//! Where a vault keeps its records.

use std::{fmt, sync::Arc};

use crate::{PairingId, Secret};

/// The name of one record in the vault.
///
/// Names are not secret: they are public identifiers.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum RecordName {
    /// The tape of a pairing.
    Pairing(PairingId),
    /// A pairing's sub-tape for one group.
    SubTape(TapeId),
    /// What a device knows of its pairing in one group, by the group's identifier.
    Group(Vec<u8>),
    /// What a device knows of a leaf that it shares in one group, by the group's identifier.
    Leaf(Vec<u8>),
    /// The members of a group whose identity is not verified, by the group's identifier.
    Identities(Vec<u8>),
    /// What tells a device's last own commit in a group without a pairing, by the group's identifier.
    OwnCommit(Vec<u8>),
    /// The signature keys that were first seen for each identity.
    Pins,
    /// The KeyPackages of a leaf that the devices of a pairing share.
    LeafPackages(PairingId),
    /// The list of all pairings of the device.
    Pairings,
    /// The state of a pairing.
    PairingState(PairingId),
    /// The signature key pair that the devices of a hidden pairing share.
    AnchorKey(PairingId),
    /// The device's own signature key pair.
    SignatureKey,
}

impl fmt::Display for RecordName {
    /// A name that is safe in a file system: letters, digits and dashes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hex = |f: &mut fmt::Formatter<'_>, bytes: &[u8]| {
            bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
        };
        match self {
            Self::Pairing(pairing) => write!(f, "pairing-{pairing}"),
            Self::SubTape(tape) => {
                write!(f, "tape-{}-", tape.pairing).and_then(|()| hex(f, &tape.group_id))
            }
            Self::Group(group_id) => f.write_str("group-").and_then(|()| hex(f, group_id)),
            Self::Leaf(group_id) => f.write_str("leaf-").and_then(|()| hex(f, group_id)),
            Self::Identities(group_id) => {
                f.write_str("identities-").and_then(|()| hex(f, group_id))
            }
            Self::OwnCommit(group_id) => f.write_str("own-commit-").and_then(|()| hex(f, group_id)),
            Self::Pins => f.write_str("pins"),
            Self::LeafPackages(pairing) => write!(f, "leaf-packages-{pairing}"),
            Self::Pairings => f.write_str("pairings"),
            Self::PairingState(pairing) => write!(f, "state-{pairing}"),
            Self::AnchorKey(pairing) => write!(f, "anchor-key-{pairing}"),
            Self::SignatureKey => f.write_str("signature-key"),
        }
    }
}

/// A pairing's sub-tape for one group.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TapeId {
    /// The pairing.
    pub pairing: PairingId,
    /// The group.
    pub group_id: Vec<u8>,
}

/// Where a vault keeps its records: secret bytes under a name.
///
/// # Obligations
///
/// - `store` is atomic and durable: whenever the process or the machine stops, the record
///   afterwards is the old or the new one, and once `store` has returned it is the new one.
/// - Nothing of an overwritten or removed record stays behind, as far as the medium allows it.
/// - Records are confidential at least as well as signature keys are, and do not lie in the MLS
///   library's storage.
/// - One writer at a time: a second process is refused or waits.
pub trait VaultStorage: Send + Sync {
    /// Reads a record; `None` if there is none of that name.
    ///
    /// # Errors
    ///
    /// Whatever keeps the storage from reading, with its cause and the next step.
    fn load(&self, name: &RecordName) -> Result<Option<Secret>, StorageError>;

    /// Writes a record, in place of one of the same name.
    ///
    /// # Errors
    ///
    /// Whatever keeps the storage from writing. Then the record is the old or the new one, as a
    /// whole; the vault releases nothing for it.
    fn store(&self, name: &RecordName, record: &Secret) -> Result<(), StorageError>;

    /// Removes a record; no error if there is none of that name.
    ///
    /// # Errors
    ///
    /// Whatever keeps the storage from removing it.
    fn remove(&self, name: &RecordName) -> Result<(), StorageError>;
}

/// A storage that somebody else holds as well, to ask it what is not a vault's to know.
impl<S: VaultStorage + ?Sized> VaultStorage for Arc<S> {
    fn load(&self, name: &RecordName) -> Result<Option<Secret>, StorageError> {
        (**self).load(name)
    }

    fn store(&self, name: &RecordName, record: &Secret) -> Result<(), StorageError> {
        (**self).store(name, record)
    }

    fn remove(&self, name: &RecordName) -> Result<(), StorageError> {
        (**self).remove(name)
    }
}

/// A failure of the storage behind a vault.
pub type StorageError = Box<dyn std::error::Error + Send + Sync>;
