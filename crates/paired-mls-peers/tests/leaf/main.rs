//! A leaf that several devices share, on OpenMLS: what the conformance suite does not ask of every
//! adapter.
#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "these are tests")]

mod cast;
mod commits;
mod hidden;
mod nonces;
mod replay;
mod standard;
mod ungated;
