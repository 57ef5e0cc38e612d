//! The client against a real service: in this process, on a socket, with SQLite in a folder that is
//! removed.
#![expect(clippy::unwrap_used, reason = "a test that fails, fails")]

mod cast;
mod directory;
mod failures;
mod faulty;
mod groups;
mod key_packages;
mod mailbox;
mod messages;
mod retries;
mod subscriptions;
mod tls;
