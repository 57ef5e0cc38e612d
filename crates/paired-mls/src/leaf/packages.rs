//! KeyPackages from the tape: of a leaf that several devices share, or for a leaf refresh.
//!
//! Their private keys come from the tape and are in no MLS state: a device derives them when a
//! Welcome comes. What it stores is public: which index each KeyPackage was made with.
//!
//! ```text
//! struct {
//!     uint8 version = 2;
//!     Package packages<V>;
//! } LeafPackages;
//!
//! struct { uint64 index; Held held; opaque key_package<V>; } Package;     // an MLSMessage
//!
//! struct {
//!     uint8 kind;                        // 0 for whoever comes, 1 for a partner, 2 in a group
//!     select (kind) {
//!         case 1: uint16 device;
//!         case 2: opaque group_id<V>;
//!     };
//! } Held;
//! ```
//!
//! Version 1 has no `held`; it is read, and not written.
//!
//! A KeyPackage belongs to no group yet, so that its values come from a sub-tape of their own, that
//! of the reserved group identifier `PMLS 02 key packages`.

use tls_codec::{Deserialize as _, Serialize as _, TlsDeserialize, TlsSerialize, TlsSize, VLBytes};

use super::LeafRecordError;
use crate::{DeviceId, EpochContext, Index, Secret, Spot, tape::PACKAGES_OPENING};

const VERSION: u8 = 2;
const WITHOUT_HELD: u8 = 1;

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
    /// What it is for.
    pub held: Held,
}

/// What a KeyPackage from the tape is for. Each is used once, so two devices, or one in two groups, must not take the
/// same one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Held {
    /// For whoever comes first.
    #[default]
    Free,
    /// One of this device's own, in the refresh chain that is for this partner alone.
    ForPartner(DeviceId),
    /// One of a partner, that a commit of this device uses in this group.
    InGroup(Vec<u8>),
}

impl Held {
    /// Whether a commit in this group may use a partner's KeyPackage that is held so.
    pub fn is_free_in(&self, group_id: &[u8]) -> bool {
        match self {
            Self::Free => true,
            Self::ForPartner(_) => false,
            Self::InGroup(group) => group == group_id,
        }
    }
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
    held: WireHeld,
    key_package: VLBytes,
}

#[derive(Debug, TlsSize, TlsSerialize, TlsDeserialize)]
#[repr(u8)]
enum WireHeld {
    #[tls_codec(discriminant = 0)]
    Free,
    ForPartner(u16),
    InGroup(VLBytes),
}

impl From<&Held> for WireHeld {
    fn from(held: &Held) -> Self {
        match held {
            Held::Free => Self::Free,
            Held::ForPartner(device) => Self::ForPartner(device.0),
            Held::InGroup(group_id) => Self::InGroup(group_id.as_slice().into()),
        }
    }
}

impl From<WireHeld> for Held {
    fn from(held: WireHeld) -> Self {
        match held {
            WireHeld::Free => Self::Free,
            WireHeld::ForPartner(device) => Self::ForPartner(DeviceId(device)),
            WireHeld::InGroup(group_id) => Self::InGroup(group_id.into()),
        }
    }
}

#[derive(Debug, TlsSize, TlsDeserialize)]
struct WireWithoutHeld {
    version: u8,
    packages: Vec<WirePackageWithoutHeld>,
}

#[derive(Debug, TlsSize, TlsDeserialize)]
struct WirePackageWithoutHeld {
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
            held: WireHeld::from(&package.held),
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
        let malformed = |_| LeafRecordError::Malformed;
        let packages = match record.expose().first() {
            Some(&VERSION) => {
                let wire = Wire::tls_deserialize_exact(record.expose()).map_err(malformed)?;
                let packages = wire.packages.into_iter();
                packages
                    .map(|package| (package.index, package.held.into(), package.key_package))
                    .collect()
            }
            Some(&WITHOUT_HELD) => {
                let wire = WireWithoutHeld::tls_deserialize_exact(record.expose());
                let packages = wire.map_err(malformed)?.packages.into_iter();
                let free = packages.map(|package| (package.index, Held::Free, package.key_package));
                free.collect::<Vec<_>>()
            }
            Some(&other) => return Err(LeafRecordError::Version(other)),
            None => return Err(LeafRecordError::Malformed),
        };
        let packages = packages.into_iter().map(|(index, held, key_package)| LeafPackage {
            index: Index::from_bytes(index),
            key_package: key_package.into(),
            held,
        });
        Ok(Self(packages.collect()))
    }
}
