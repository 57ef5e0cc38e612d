//! Paired MLS on unmodified OpenMLS.
//!
//! A [`Device`] is one member's cryptography, storage, signer and vault; a [`Group`] is an MLS
//! group whose commits, once the device is paired in it, heal its partners. Other members run any
//! implementation of RFC 9420 and notice nothing. What a group has only at one of the two anchors is in
//! [`PairedGroup`], for a node, and in [`LeafGroup`], for a shared leaf.
//!
//! [`openmls`] is re-exported, since its types stand in this interface, and since this crate steers
//! the randomness of exactly that version.

mod clock;
mod content;
mod device;
mod facade;
mod gate;
mod group;
mod leaf;
mod library;
mod outgoing;
mod package;
mod pairing;
mod provider;
mod signal;
mod signer;
mod steer;
mod unusable;
mod view;
mod waiting;

pub use openmls;

pub use clock::SystemClock;
pub use content::Content;
pub use device::Device;
pub use facade::{Group, Rejoin};
pub use gate::{gate, gate_capabilities, is_gated, odd_leaves, proofs_extension};
pub use group::{Inspection, PairedGroup};
pub use leaf::LeafGroup;
pub use package::{MadeChain, PackageKind, check_key_package};
pub use paired_mls_group::waiting::{
    MAX_PROPOSAL_BYTES, MAX_PROPOSAL_BYTES_OF_ONE, MAX_PROPOSALS, MAX_PROPOSALS_OF_ONE,
};
pub use paired_mls_group::{
    AnyKey, BoxError, Clock, Difference, Error, GuardError, Outgoing, PeerError, Received,
    UsageError,
    identity::MemberIdentity,
    node::{Footing, Place, Provision},
    packages::{Adopted, Window},
    signal::Announcement,
};
pub use pairing::Channel;
#[cfg(feature = "sqlite")]
pub use provider::{JsonCodec, SqliteError, SqliteProvider};
pub use provider::{MemoryProvider, Platform};
pub use signal::announcements;
pub use signer::{VaultKey, VaultSigner, VaultSignerError, generate_signature_key, is_key_pair};
pub use steer::{
    CryptoHook, Encrypting, Exporting, KeyVectorCrypto, Sealing, SteeredCrypto, Verifying,
};
pub use view::ratchet_tree;
