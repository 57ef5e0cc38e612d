//! The client of the service of Paired MLS: directory, KeyPackages, mailboxes and groups over HTTP, with
//! signed requests.
//!
//! ```no_run
//! # use paired_mls_api::GroupId;
//! use futures_util::StreamExt as _;
//! use paired_mls_client::{Client, ClientError, ClientKey, Server};
//!
//! # async fn example(key: impl ClientKey, group: &GroupId) -> Result<(), ClientError> {
//! let client = Client::new(Server::new("https://ds.example:8443")?, key)?;
//! let mut log = client.group_events(group, 0);
//! while let Some(entry) = log.next().await {
//!     let entry = entry?;
//!     println!("{:?} at {}", entry.kind, entry.position);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! A [`Client`] is one device at one [`Server`]. What it is given to send and what it gets are bytes: it
//! knows nothing of MLS, and trusts the service no more than its caller does. Whoever keeps a cursor, the
//! position of the last entry or item it has processed, can stop and go on at any time. With the hash of the
//! log up to there, a [`LogCursor`], it notices a service that has another log now.

mod answer;
mod backoff;
mod client;
mod clock;
mod directory;
mod error;
mod groups;
mod key_packages;
mod log;
mod mailbox;
mod page;
mod request;
mod server;
mod service;
mod subscription;

pub use self::{
    client::{Client, ClientKey},
    clock::WrongClock,
    error::ClientError,
    groups::Publication,
    log::LogCursor,
    server::{Server, ServerError},
};
