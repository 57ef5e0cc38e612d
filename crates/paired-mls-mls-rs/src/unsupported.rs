//! What this adapter does not do, and what to do instead.

use thiserror::Error;

/// What the adapter for mls-rs does not support.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Unsupported {
    /// A commit that starts the group anew (RFC 9420 section 11.2).
    #[error(
        "the commit starts the group anew, which no device here follows: join the new group by its Welcome"
    )]
    ReInit,
    /// The vault says that this device shares a leaf in the group.
    #[error(
        "the device shares its leaf in this group, which the adapter for mls-rs does not support: use the one for OpenMLS"
    )]
    SharedLeaf,
    /// The vault says that the pairing is announced.
    #[error(
        "the pairing is announced in this group, which the adapter for mls-rs does not support: use the one for OpenMLS"
    )]
    Signal,
}
