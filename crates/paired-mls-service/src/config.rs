//! What an operator decides.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

/// How a server runs.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where it listens. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where it serves metrics, in the clear; not at all if `None`.
    pub metrics_listen: Option<SocketAddr>,
    /// `sqlite://<path>` or `postgres://…`. A file that is not there is created.
    pub database: String,
    /// How many connections to the database it keeps at most.
    pub connections: u32,
    /// The certificate; without one the service speaks plain HTTP, for behind a proxy.
    pub tls: Option<TlsFiles>,
    /// The names, with port where it is not the default, that clients reach this service by. A request
    /// that was signed for another name is refused. Empty takes any name, and then a request to one
    /// service could be replayed to another one that knows the same device.
    pub authorities: Vec<String>,
    /// What it takes and keeps.
    pub limits: Limits,
    /// How long it waits for requests to end when it is told to stop.
    pub grace: Duration,
}

impl Config {
    /// A server on `listen` with this database, and the default for everything else.
    pub fn new(listen: SocketAddr, database: impl Into<String>) -> Self {
        Self {
            listen,
            metrics_listen: None,
            database: database.into(),
            connections: 16,
            tls: None,
            authorities: Vec::new(),
            limits: Limits::default(),
            grace: Duration::from_secs(10),
        }
    }
}

/// A certificate chain and its private key, in PEM.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The chain, the server's own certificate first.
    pub certificates: PathBuf,
    /// The private key.
    pub private_key: PathBuf,
}

/// What the service takes and keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest body, in bytes.
    pub body: usize,
    /// Requests of one device in one second, on each replica.
    pub requests_per_second: u32,
    /// How many may come at once.
    pub request_burst: u32,
    /// How old a signature may be, in seconds; it may be from the future by a quarter of that.
    pub signature_window: u64,
    /// Of how many past epochs application messages are taken.
    pub past_epochs: u64,
    /// Items in one mailbox. A quarter of them is for the account's own devices, and another quarter for
    /// them and for Welcomes, so that strangers cannot shut them out.
    pub mailbox_items: u64,
    /// After how many seconds an item is dropped that nobody has fetched.
    pub mailbox_seconds: u64,
    /// KeyPackages of one device.
    pub key_packages: u64,
    /// Devices of one user, revoked ones included.
    pub devices: u64,
    /// Recipients of one commit: of its Welcomes and envelopes.
    pub recipients: usize,
    /// Entries on one page of a log or mailbox.
    pub page: u32,
    /// Subscriptions on one replica.
    pub subscriptions: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body: 4 << 20,
            requests_per_second: 50,
            request_burst: 200,
            signature_window: 120,
            past_epochs: 4,
            mailbox_items: 1000,
            mailbox_seconds: 30 * 24 * 60 * 60,
            key_packages: 200,
            devices: 100,
            recipients: 1000,
            page: 256,
            subscriptions: 10_000,
        }
    }
}
