//! The engine of Paired MLS: what a device decides about a group. It knows no MLS library; an adapter
//! connects it to one.

#![no_std]

extern crate alloc;

mod error;
mod shared;

pub use error::{BoxError, Error, GuardError, PeerError, UsageError};
pub use shared::Difference;
