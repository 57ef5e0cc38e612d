//! The members of a group whose identity this device has not accepted.
//!
//! ```text
//! struct {
//!     uint8  version = 1;
//!     uint64 since;               // for earlier epochs nothing is known
//!     uint8  coverage;            // 1 listed, 2 crowded: nobody is verified
//!     Unverified unverified<V>;
//! } IdentityRecord;
//!
//! struct {
//!     uint32 leaf;
//!     uint64 from;                // the first epoch
//!     optional<uint64> until;     // the first epoch in which it is over
//!     optional<Credential> last;  // whom the leaf was last accepted as
//! } Unverified;
//! ```
//!
//! It lists exceptions: a leaf that is not in it was accepted as what it says. It lies in the vault: a
//! thief of the MLS state who can write there could otherwise make a false name a true one. Nothing in it
//! is secret. Who has a leaf of their own choice in the group can make it grow by one entry for each such
//! leaf; at [`MAX_UNVERIFIED`] entries, or when they are larger than a mebibyte, those of past epochs are
//! given up first, and then all: nobody counts as verified until the policy has been asked about
//! everybody again.

use std::collections::BTreeMap;

use thiserror::Error;
use tls_codec::{Deserialize as _, Serialize as _, TlsDeserialize, TlsSerialize, TlsSize, VLBytes};

use super::credential::Identity;
use crate::{
    RecordName, Secret, Vault, VaultError,
    anchor::LeafIndex,
    wire::{Credential, CredentialType},
};

const VERSION: u8 = 1;

/// How many members may be unverified one by one, over the current epoch and the past ones.
pub const MAX_UNVERIFIED: usize = 4_096;

/// How many bytes of accepted identities a record keeps.
const MAX_BYTES: usize = 1 << 20;

/// For how many epochs it is kept that a leaf was not verified then: application messages come late.
const PAST_EPOCHS: u64 = 64;

/// A time in which a leaf was not verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unverified {
    /// The first epoch.
    pub from: u64,
    /// The first epoch in which it is over; `None` while it is not.
    pub until: Option<u64>,
    /// Whom the leaf was last accepted as.
    pub last: Option<Credential>,
}

/// The members of a group whose identity is not accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identities {
    since: u64,
    coverage: Coverage,
    leaves: BTreeMap<LeafIndex, Vec<Unverified>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Coverage {
    #[default]
    Listed,
    Crowded,
}

/// A stored record of identities that cannot be read or written.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum IdentityRecordError {
    /// The bytes are no such record.
    #[error(
        "a stored record of identities is damaged: restore the vault from before, or join anew"
    )]
    Malformed,
    /// The record was written by a later version of this software.
    #[error(
        "a stored record of identities has format {0} and this software reads format 1: update it"
    )]
    Version(u8),
    /// The record does not fit the format's length fields.
    #[error("the record of identities is too large to be stored")]
    TooLarge,
}

impl Identities {
    /// Everybody is verified, from `epoch` on.
    pub fn all_verified(epoch: u64) -> Self {
        Self { since: epoch, ..Self::default() }
    }

    /// Who the member at `leaf` is in `epoch`, given what its leaf says then.
    pub fn of(&self, leaf: LeafIndex, epoch: u64, claims: Credential) -> Identity {
        let crowded = self.coverage == Coverage::Crowded || epoch < self.since;
        match self.at(leaf, epoch) {
            Some(entry) => Identity::Unverified { last: entry.last.clone(), claims },
            None if crowded => Identity::Unverified { last: None, claims },
            None => Identity::Verified(claims),
        }
    }

    fn at(&self, leaf: LeafIndex, epoch: u64) -> Option<&Unverified> {
        let of_leaf = self.leaves.get(&leaf)?;
        let covers = |entry: &&Unverified| {
            entry.from <= epoch && entry.until.is_none_or(|until| epoch < until)
        };
        of_leaf.iter().find(covers)
    }

    /// The leaves that are not verified in `epoch`; `None` if that is everybody's.
    pub fn unverified(&self, epoch: u64) -> Option<Vec<LeafIndex>> {
        if self.coverage == Coverage::Crowded {
            return None;
        }
        let leaves = self.leaves.keys().copied();
        Some(leaves.filter(|leaf| self.at(*leaf, epoch).is_some()).collect())
    }

    /// Goes back to what was so in `epoch`: what comes after it was written by a call that was
    /// interrupted, and whose commit is processed again.
    pub fn rewind(&mut self, epoch: u64) {
        self.leaves.retain(|_, entries| {
            entries.retain(|entry| entry.from <= epoch);
            for entry in entries.iter_mut() {
                entry.until = entry.until.filter(|until| *until <= epoch);
            }
            !entries.is_empty()
        });
    }

    /// From `epoch` on, whoever is at `leaf` is verified, or nobody is there.
    pub fn verify(&mut self, leaf: LeafIndex, epoch: u64) {
        let Some(entries) = self.leaves.get_mut(&leaf) else {
            return;
        };
        entries.retain(|entry| entry.from < epoch);
        for entry in entries.iter_mut() {
            entry.until = entry.until.or(Some(epoch));
        }
        if entries.is_empty() {
            self.leaves.remove(&leaf);
        }
    }

    /// From `epoch` on, the member at `leaf` is not verified.
    pub fn mark(&mut self, leaf: LeafIndex, epoch: u64, last: Option<Credential>) {
        self.verify(leaf, epoch);
        let entry = Unverified { from: epoch, until: None, last };
        self.leaves.entry(leaf).or_default().push(entry);
    }

    /// Gives up what is too old for any message of `epoch`, and more if there is too much.
    pub fn settle(&mut self, epoch: u64) {
        self.forget_until(epoch.saturating_sub(PAST_EPOCHS));
        if self.is_too_large() {
            self.forget_until(epoch);
        }
        if self.is_too_large() {
            self.leaves.clear();
            self.coverage = Coverage::Crowded;
        }
    }

    fn forget_until(&mut self, epoch: u64) {
        let mut since = self.since;
        self.leaves.retain(|_, entries| {
            entries.retain(|entry| match entry.until.filter(|until| *until <= epoch) {
                Some(until) => {
                    since = since.max(until);
                    false
                }
                None => true,
            });
            !entries.is_empty()
        });
        self.since = since;
    }

    fn is_too_large(&self) -> bool {
        let entries = || self.leaves.values().flatten();
        let bytes = entries().filter_map(|entry| entry.last.as_ref());
        let bytes: usize = bytes.map(|last| last.content().len()).sum();
        entries().count() > MAX_UNVERIFIED || bytes > MAX_BYTES
    }
}

#[derive(Debug, TlsSize, TlsSerialize, TlsDeserialize)]
struct Wire {
    version: u8,
    since: u64,
    coverage: u8,
    unverified: Vec<WireUnverified>,
}

#[derive(Debug, TlsSize, TlsSerialize, TlsDeserialize)]
struct WireUnverified {
    leaf: u32,
    from: u64,
    until: Option<u64>,
    last: Option<WireCredential>,
}

#[derive(Debug, TlsSize, TlsSerialize, TlsDeserialize)]
struct WireCredential {
    credential_type: u16,
    content: VLBytes,
}

impl Identities {
    /// The bytes to store.
    ///
    /// # Errors
    ///
    /// [`IdentityRecordError::TooLarge`] if a length exceeds the format's 2³⁰ − 1.
    pub fn to_record(&self) -> Result<Secret, IdentityRecordError> {
        let entries = self.leaves.iter().flat_map(|(leaf, entries)| {
            entries.iter().map(|entry| WireUnverified {
                leaf: leaf.value(),
                from: entry.from,
                until: entry.until,
                last: entry.last.as_ref().map(|last| WireCredential {
                    credential_type: last.credential_type().0,
                    content: last.content().into(),
                }),
            })
        });
        let wire = Wire {
            version: VERSION,
            since: self.since,
            coverage: match self.coverage {
                Coverage::Listed => 1,
                Coverage::Crowded => 2,
            },
            unverified: entries.collect(),
        };
        let bytes = wire.tls_serialize_detached().map_err(|_| IdentityRecordError::TooLarge)?;
        Ok(Secret::new(bytes))
    }

    /// Reads back what [`Identities::to_record`] gave.
    ///
    /// # Errors
    ///
    /// [`IdentityRecordError::Version`] for a format of the future, [`IdentityRecordError::Malformed`]
    /// for bytes that no record has, trailing bytes among them.
    pub fn from_record(record: &Secret) -> Result<Self, IdentityRecordError> {
        match record.expose().first() {
            Some(&VERSION) => {}
            Some(&other) => return Err(IdentityRecordError::Version(other)),
            None => return Err(IdentityRecordError::Malformed),
        }
        // Not the decoder from bytes: see `GroupRecord::from_record`.
        let wire = Wire::tls_deserialize_exact(record.expose())
            .map_err(|_| IdentityRecordError::Malformed)?;
        let mut leaves: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for entry in wire.unverified {
            let leaf = LeafIndex::new(entry.leaf).ok_or(IdentityRecordError::Malformed)?;
            let last = entry.last.map(|last| {
                Credential::new(CredentialType(last.credential_type), last.content.into())
            });
            let entry = Unverified { from: entry.from, until: entry.until, last };
            leaves.entry(leaf).or_default().push(entry);
        }
        let coverage = match wire.coverage {
            1 => Coverage::Listed,
            2 => Coverage::Crowded,
            _ => return Err(IdentityRecordError::Malformed),
        };
        Ok(Self { since: wire.since, coverage, leaves })
    }
}

impl Vault {
    /// Reads which members of a group are not verified; without a record, everybody is.
    ///
    /// # Errors
    ///
    /// [`VaultError::Content`] for a damaged record, [`VaultError::Storage`].
    pub fn load_identities(&self, group_id: &[u8]) -> Result<Identities, VaultError> {
        let name = RecordName::Identities(group_id.to_vec());
        Ok(self.shelf().read(&name, Identities::from_record)?.unwrap_or_default())
    }

    /// Stores which members of a group are not verified, if that is not what `before` says.
    ///
    /// # Errors
    ///
    /// [`VaultError::Storage`].
    pub fn store_identities(
        &self,
        group_id: &[u8],
        before: &Identities,
        identities: &Identities,
    ) -> Result<(), VaultError> {
        if before == identities {
            return Ok(());
        }
        let name = RecordName::Identities(group_id.to_vec());
        if *identities == Identities::default() {
            return self.erase(&name);
        }
        self.shelf().write(&name, identities.to_record())
    }
}

#[cfg(test)]
mod tests;
