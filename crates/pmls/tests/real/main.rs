//! The command line as it is used: a server process, and a process for each command of each device.
#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "these are tests")]

mod adders;
mod backup;
mod beside;
mod crowd;
mod ended;
mod ending;
mod feed;
mod kill;
mod leaf;
mod leaving;
mod living;
mod middle;
mod names;
mod node;
mod proxy;
mod pruned;
mod recover;
mod repair;
mod restored;
mod status;
mod stranger;
mod strangers;
mod truth;
mod walkthrough;
mod watch;
mod world;
mod years;
