//! Paired MLS: an active device heals a group on behalf of a passive one.
//!
//! This crate is the core of an implementation of the internet draft *Paired MLS: PCS in Limited
//! Modes* (draft-fondevik-mls-pairedmls-02): the shared random tape, the Notify, the arithmetic of
//! the anchor, and the vault that keeps the tape apart from the MLS state. It does no I/O, reads no
//! clock, and knows no MLS library; adapters connect it to one.
//!
//! | module | what is in it |
//! |---|---|
//! | [`tape`] | the shared random tape: a value is read once, and then nobody can compute it |
//! | [`notify`] | the Notify, which says which position of the tape to use |
//! | [`anchor`] | the node above the devices of a pairing, and where to place them in a tree |
//! | [`pairing`] | how devices come to share a tape, and how they stop |
//! | [`group`] | a pairing in one group: how safe each epoch is, and what happened |
//! | [`leaf`] | several devices behind one leaf |
//! | [`vault`] | secure storage for tapes |
//! | [`wire`] | read-only views of the public structures of RFC 9420 that a guard checks |

pub mod anchor;
pub mod code_points;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod group;
pub mod leaf;
pub mod notify;
pub mod pairing;
mod presentation;
mod secret;
mod suite;
pub mod tape;
pub mod vault;
#[cfg(test)]
mod vectors;
pub mod wire;

pub use group::{
    EpochSecurity, Event, GroupRecord, HealPolicy, LeafKey, PairedDevice, Pairing, Phase,
};
pub use notify::{Notify, NotifyError, SealedNotify};
pub use pairing::{PairingError, PairingMessage, PairingState, ShortAuthString, Unpaired};
pub use secret::Secret;
pub use suite::{AeadError, CipherSuite, DerivationTooLong, UnsupportedCipherSuite};
pub use tape::{
    DeviceId, EpochContext, FIRST_OPENING, Index, MAX_LANE_NODES, PairingId, PathSecret,
    RecordError, SKIPPED_OPENINGS, Seed, Spot, Tape, TapeError, TapeValue,
};
pub use vault::{
    Freshness, RecordName, StorageError, TapeId, TapeInfo, Vault, VaultError, VaultStorage,
};
