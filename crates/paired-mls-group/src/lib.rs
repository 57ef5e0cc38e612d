//! The engine of Paired MLS: what a device decides about a group. It knows no MLS library; an adapter
//! connects it to one, by two traits.
//!
//! | | |
//! |---|---|
//! | [`Library`] | what the engine asks of an MLS library |
//! | [`Steering`] | what the library asks back while it makes or opens a message |
//! | [`Sending`], [`Receiving`], [`Replay`], [`AnyKey`] | who answers |
//! | [`node`] | a pairing that is anchored at a node |
//! | [`identity`] | who the members are |
//! | [`gate`] | signature keys over all leaves |
//! | [`shared`] | a leaf that several devices share |
//! | [`packages`] | KeyPackages from the tape |
//! | [`signal`] | what members say of their pairings |
//! | [`waiting`] | how many proposals wait for a commit |
//! | [`reserved`] | group identifiers that are used for something else |
//! | [`Outgoing`], [`Received`] | what a device sends, and what it has received |
//! | [`Error`] | what goes wrong, and who is to blame |

#![no_std]

extern crate alloc;

mod clock;
mod commit;
mod device;
mod error;
#[cfg(test)]
mod fake;
pub mod gate;
pub mod identity;
mod library;
pub mod node;
mod outgoing;
pub mod packages;
mod received;
pub mod reserved;
pub mod shared;
pub mod signal;
mod steer;
mod steering;
pub mod waiting;

pub use clock::Clock;
pub use commit::{Committer, Membership, Proposal, Proposed, Proposer, StagedCommit};
pub use device::ThisDevice;
pub use error::{BoxError, Error, GuardError, PeerError, UsageError};
pub use library::Library;
pub use outgoing::Outgoing;
pub use received::Received;
pub use shared::Difference;
pub use steer::{AnyKey, Receiving, Recorded, Replay, Sending, SignedCommit};
pub use steering::{
    Draw, Exporting, Opening, Refused, Sealed, Sealing, Signing, Steering, Verifying,
};
