//! What must hold on a link that loses, repeats, reorders, and on which others send too.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "the helpers of tests")]

mod help;
mod histories;
mod junk;
mod losses;
mod week;
