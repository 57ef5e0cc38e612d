//! Plain MLS that a paired device must survive, where it takes more than the conformance suite has.
#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "these are tests")]

mod calendar;
mod chain;
mod crowd;
mod doors;
mod odd;
mod packages;
mod returns;
mod years;
