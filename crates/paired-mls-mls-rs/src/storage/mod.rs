//! Where the MLS state of a device lies: its groups, and the private keys of its KeyPackages.
//!
//! ```text
//! StateStorage     records, and whole transactions: what an application provides
//! Shelf            what mls-rs is handed for one group: it stages what is written, until all of it is kept or dropped
//! ```

mod memory;
mod record;
mod shelf;

use paired_mls::Secret;
use paired_mls_group::BoxError;

pub use self::memory::MemoryState;
pub(crate) use self::shelf::Shelf;
pub use self::shelf::ShelfError;

/// The name of one record of the MLS state.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum StateName {
    /// A group, by its identifier.
    Group(Vec<u8>),
    /// The private keys of a KeyPackage, by its reference (RFC 9420 section 5.2).
    KeyPackage(Vec<u8>),
}

/// A record that changes: what is stored under the name from now on, or `None` to erase it.
pub type Change = (StateName, Option<Secret>);

/// Where the MLS state lies. It is never the vault: a pairing protects against whoever steals this state.
///
/// # Concurrency
///
/// One process has the storage to itself.
pub trait StateStorage: Send + Sync {
    /// Loads a record; `None` if there is none of that name.
    ///
    /// # Errors
    ///
    /// Whatever keeps the storage from it.
    fn load(&self, name: &StateName) -> Result<Option<Secret>, BoxError>;

    /// Makes all of these changes as one transaction: they are durable when it returns, or none of them is made. What is
    /// erased cannot be read again.
    ///
    /// # Errors
    ///
    /// Whatever keeps the storage from it.
    fn apply(&self, changes: Vec<Change>) -> Result<(), BoxError>;
}
