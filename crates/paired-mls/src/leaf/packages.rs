//! KeyPackages of a leaf that several devices share.
//!
//! Their private keys come from the tape and are in no MLS state: a device derives them when a
//! Welcome comes. What it stores is public: which index each KeyPackage was made with.
//!
//! ```text
//! struct {
//!     uint8 version = 1;
//!     Package packages<V>;
//! } LeafPackages;
//!
//! struct { uint64 index; opaque key_package<V>; } Package;     // an MLSMessage
//! ```
//!
//! A KeyPackage belongs to no group yet, so that its values come from a sub-tape of their own, that
//! of the reserved group identifier `PMLS 02 key packages`.

use tls_codec::{Deserialize as _, Serialize as _, TlsDeserialize, TlsSerialize, TlsSize, VLBytes};

use super::LeafRecordError;
use crate::{EpochContext, Index, Secret, Spot, tape::PACKAGES_OPENING};

const VERSION: u8 = 1;

/// The group identifier of the sub-tape that the KeyPackages of a shared leaf come from. No group may
/// have it.
pub const PACKAGES_GROUP_ID: &[u8] = b"PMLS 02 key packages";

/// A KeyPackage from the tape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeafPackage {
    /// The position of the tape that it was made with.
    pub index: Index,
    /// Its `MLSMessage`.
    pub key_package: Vec<u8>,
}

/// The KeyPackages of a leaf that no Welcome has used yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeafPackages(pub Vec<LeafPackage>);

#[derive(Debug, TlsSize, TlsSerialize, TlsDeserialize)]
struct Wire {
    version: u8,
    packages: Vec<WirePackage>,
}

#[derive(Debug, TlsSize, TlsSerialize, TlsDeserialize)]
struct WirePackage {
    index: [u8; 8],
    key_package: VLBytes,
}

impl LeafPackages {
    /// The context of their derivations: a KeyPackage is made for no epoch.
    pub fn context() -> EpochContext {
        EpochContext {
            group_id: PACKAGES_GROUP_ID.to_vec(),
            epoch: 0,
            confirmed_transcript_hash: Vec::new(),
        }
    }

    /// Where on the tape of the KeyPackages an index lies: the opening of its lanes is fixed.
    pub fn spot(index: Index) -> Spot {
        Spot { opening: PACKAGES_OPENING, index }
    }

    /// The bytes to store.
    ///
    /// # Errors
    ///
    /// [`LeafRecordError::TooLarge`] if a length exceeds the format's 2³⁰ − 1.
    pub fn to_record(&self) -> Result<Secret, LeafRecordError> {
        let packages = self.0.iter().map(|package| WirePackage {
            index: package.index.to_bytes(),
            key_package: package.key_package.as_slice().into(),
        });
        let wire = Wire { version: VERSION, packages: packages.collect() };
        let bytes = wire.tls_serialize_detached().map_err(|_| LeafRecordError::TooLarge)?;
        Ok(Secret::new(bytes))
    }

    /// Reads back what [`LeafPackages::to_record`] gave.
    ///
    /// # Errors
    ///
    /// [`LeafRecordError::Version`], [`LeafRecordError::Malformed`].
    pub fn from_record(record: &Secret) -> Result<Self, LeafRecordError> {
        match record.expose().first() {
            Some(&VERSION) => {}
            Some(&other) => return Err(LeafRecordError::Version(other)),
            None => return Err(LeafRecordError::Malformed),
        }
        let wire =
            Wire::tls_deserialize_exact(record.expose()).map_err(|_| LeafRecordError::Malformed)?;
        let packages = wire.packages.into_iter().map(|package| LeafPackage {
            index: Index::from_bytes(package.index),
            key_package: package.key_package.into(),
        });
        Ok(Self(packages.collect()))
    }
}
