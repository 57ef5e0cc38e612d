//! What an operator decides.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use thiserror::Error;

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
    /// How long the file of a SQLite database may get, in bytes; as long as the disk takes if `None`.
    /// PostgreSQL has limits of its own.
    pub database_bytes: Option<u64>,
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
            database_bytes: None,
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
    /// What one request may write, in bytes: its messages and all copies of envelopes in mailboxes.
    pub written: usize,
    /// Entries on one page of a log or mailbox.
    pub page: u32,
    /// Subscriptions on one replica.
    pub subscriptions: usize,
}

/// A limit that nothing could keep, or that would keep out everything. To blame is the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the limit {name} is {value}: it has to be from {least} to {most}")]
pub struct LimitError {
    name: &'static str,
    value: u64,
    least: u64,
    most: u64,
}

impl Limits {
    /// Checks that a service with these limits can serve.
    ///
    /// # Errors
    ///
    /// [`LimitError`] for the first one that is out of its range.
    pub fn check(&self) -> Result<(), LimitError> {
        let size = |size: usize| u64::try_from(size).unwrap_or(u64::MAX);
        let (any, seconds) = (u64::MAX, 10 * 366 * 24 * 60 * 60);
        for (name, value, least, most) in [
            // No client reads an entry that is longer.
            ("body", size(self.body), 1 << 10, 32 << 20),
            ("requests-per-second", self.requests_per_second.into(), 1, any),
            ("request-burst", self.request_burst.into(), 1, any),
            ("signature-window", self.signature_window, 4, 24 * 60 * 60),
            // A quarter of a mailbox is for the account itself.
            ("mailbox-items", self.mailbox_items, 4, any),
            ("mailbox-seconds", self.mailbox_seconds, 1, seconds),
            ("key-packages", self.key_packages, 1, any),
            ("devices", self.devices, 1, any),
            ("recipients", size(self.recipients), 1, any),
            ("written", size(self.written), 1 << 10, 1 << 30),
            ("page", self.page.into(), 1, 1 << 16),
            ("subscriptions", size(self.subscriptions), 1, any),
        ] {
            if !(least..=most).contains(&value) {
                return Err(LimitError { name, value, least, most });
            }
        }
        Ok(())
    }
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
            written: 32 << 20,
            page: 256,
            subscriptions: 10_000,
        }
    }
}
