//! One suite for both databases. Every test gets a database of its own; the PostgreSQL server is one
//! that the suite starts.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails, fails")]

mod accounts;
mod admin;
mod backend;
mod backup;
mod commits;
mod connections;
mod device;
mod directory;
mod disk;
mod external;
mod key_packages;
mod limits;
mod logs;
mod mailboxes;
mod member;
mod messages;
mod meta;
mod numbers;
mod operation;
mod pages;
mod pairings;
mod postgres;
mod proposals;
mod race;
mod recovery;
mod replicas;
mod restart;
mod restored;
mod retention;
mod roster;
mod signatures;
mod sockets;
mod strangers;
mod subscriptions;
mod trace;
mod unused;
mod welcomes;
