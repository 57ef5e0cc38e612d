//! Paired MLS on unmodified mls-rs.
//!
//! A [`Device`] is one member's cryptography, MLS state, signer and vault; a [`Group`] is an MLS group whose commits,
//! once the device is paired in it, heal its partners. Other members run any implementation of RFC 9420 and notice
//! nothing.
//!
//! | supported | not yet |
//! |---|---|
//! | a pairing at a node, in standard mode | a leaf that devices share, in either mode |
//! | create, join, load, rejoin, add, remove, update, send, process, heal, cease, unpair; leaf refresh | the signal, KeyPackages of the last resort |
//! | cipher suites 1, 2 and 3, with the RustCrypto provider | other providers: not tested |
//! | basic credentials | other credentials |
//! | MLS state where a [`StateStorage`] puts it; one in memory is here | SQLite |
//!
//! What is not supported is no call here; where a message or the vault asks for it, an [`Unsupported`] says so.
//!
//! [`mls_rs`] is re-exported, since its types stand in this interface, and since this crate steers the cryptography of
//! exactly that version.

mod anybody;
mod clock;
mod config;
mod device;
mod group;
mod library;
mod rules;
mod signer;
mod steer;
mod storage;
#[cfg(test)]
mod testing;
mod unsupported;
mod view;

pub use mls_rs;

pub use anybody::Anybody;
pub use clock::SystemClock;
pub use config::{MlsState, SIGNATURE_KEY_PLACEHOLDER};
pub use device::{Device, Handshakes, Who};
pub use group::{Content, Group, Rejoin};
pub use paired_mls_group::waiting::{
    MAX_PROPOSAL_BYTES, MAX_PROPOSAL_BYTES_OF_ONE, MAX_PROPOSALS, MAX_PROPOSALS_OF_ONE,
};
pub use paired_mls_group::{
    BoxError, Clock, Error, GuardError, Outgoing, PeerError, Received, UsageError,
    identity::MemberIdentity, node::Footing,
};
pub use signer::{Signer, VaultSigner, generate_signature_key};
pub use steer::{Armed, Slot, SteeredContext, SteeredError, SteeredProvider, SteeredSuite};
pub use storage::{Change, MemoryState, ShelfError, StateName, StateStorage};
pub use unsupported::Unsupported;
