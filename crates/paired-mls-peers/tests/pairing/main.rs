//! The pairing protocol over real MLS: from the first message to the groups, and out again.
#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "these are tests")]

mod beginning;
mod cast;
mod ending;
mod ending_leaf;
mod forged;
mod many;
mod signal;
