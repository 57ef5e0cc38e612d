//! What an operator decides.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use paired_mls_api::ServiceLimits;
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
    /// Proxies in front of it: their connections carry those of many, and are not counted by address.
    pub proxies: Vec<IpAddr>,
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
            proxies: Vec::new(),
            tls: None,
            authorities: Vec::new(),
            limits: Limits::default(),
            grace: Duration::from_secs(10),
        }
    }
}

impl Config {
    /// What differs in another configuration, by the names that operators use.
    pub(crate) fn differences(&self, other: &Self) -> Vec<&'static str> {
        let settings = [
            ("listen", self.listen == other.listen),
            ("metrics-listen", self.metrics_listen == other.metrics_listen),
            ("database", self.database == other.database),
            ("connections", self.connections == other.connections),
            ("database-bytes", self.database_bytes == other.database_bytes),
            ("proxies", self.proxies == other.proxies),
            ("tls-certificates, tls-private-key", self.tls == other.tls),
            ("authorities", self.authorities == other.authorities),
            ("grace", self.grace == other.grace),
        ];
        settings.into_iter().filter(|(_, same)| !same).map(|(name, _)| name).collect()
    }
}

/// A certificate chain and its private key, in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// How long the items of one mailbox are together, in bytes, in the same parts.
    pub mailbox_bytes: u64,
    /// KeyPackages of one device.
    pub key_packages: u64,
    /// How long they are together, in bytes.
    pub key_package_bytes: u64,
    /// For how many days an entry of a log is kept that everybody has read; for as long as a mailbox keeps
    /// an item at least, since before that a new member may not have come. For ever if `None`.
    pub log_days: Option<u64>,
    /// How long the messages of a log are together, in bytes: what everybody has read goes, and when nothing more can go,
    /// further ones are refused; commits, which let more go, an eighth and 1 MiB later. As long as they like if `None`.
    pub log_bytes: Option<u64>,
    /// Proposals that wait in one epoch of a group.
    pub proposals: u64,
    /// How long they are together, in bytes.
    pub proposal_bytes: u64,
    /// Those of one account among them.
    pub proposals_each: u64,
    /// How long those are together, in bytes.
    pub proposal_bytes_each: u64,
    /// After how many days an entry of a log goes that somebody has not read. Never if `None`: then a device
    /// that sleeps for years finds what it needs.
    pub log_unread_days: Option<u64>,
    /// After how many days a group ends that no member has read or written to, and in which nobody has missed anything. Never
    /// if `None`.
    pub group_days: Option<u64>,
    /// The same, though somebody has not read all of it. Never if `None`: then a device that sleeps for years finds its
    /// groups.
    pub group_unread_days: Option<u64>,
    /// After how many days a user ends that has made no request, is in no group, has no KeyPackage that has not
    /// ended, and no partner that is used. Never if `None`.
    pub user_days: Option<u64>,
    /// After how many days a pairing ends that has not come about, or of which no two devices are left. Never if
    /// `None`.
    pub pairing_days: Option<u64>,
    /// KeyPackages of one device that one account can claim in a day. The device's own account and its partners
    /// can claim all, and the last quarter is theirs.
    pub claims: u64,
    /// Devices of one user, revoked ones included.
    pub devices: u64,
    /// Recipients of one commit: of its Welcomes and envelopes.
    pub recipients: usize,
    /// What one request may write, in bytes: its messages and all copies of envelopes in mailboxes.
    pub written: usize,
    /// Entries on one page of a log or mailbox.
    pub page: u32,
    /// The messages or envelopes of one page, in bytes. One that is longer comes alone.
    pub page_bytes: usize,
    /// Subscriptions on one replica.
    pub subscriptions: usize,
    /// Subscriptions of one device, on each replica.
    pub device_subscriptions: usize,
    /// Requests of one device that are served at once, on each replica.
    pub device_requests: usize,
    /// Connections on which one device has signed requests, on each replica; those of named proxies are not counted.
    pub device_connections: usize,
    /// Connections of clients, on each replica; fewer if not as many files can be open.
    pub client_connections: usize,
    /// Connections from one address, on each replica: an IPv4 address, or the first half of an IPv6 one.
    pub connections_per_address: usize,
    /// How many seconds a new connection has until the head of its first request is there.
    pub head_seconds: u64,
    /// How many seconds a connection stays with nothing to do.
    pub idle_seconds: u64,
    /// How many seconds a body may take to come.
    pub body_seconds: u64,
    /// How many seconds a request may take to be served once it is there.
    pub request_seconds: u64,
    /// How many seconds a client may take for a part of an answer.
    pub answer_seconds: u64,
    /// Bodies of requests that are held at once, in bytes.
    pub bodies: usize,
    /// Entries and items that are held at once to be answered with, in bytes.
    pub answers: usize,
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
    /// What clients are told.
    pub(crate) fn shown(&self) -> ServiceLimits {
        let size = |size: usize| u64::try_from(size).unwrap_or(u64::MAX);
        ServiceLimits {
            body: size(self.body),
            written: size(self.written),
            recipients: size(self.recipients),
            page: self.page.into(),
            page_bytes: size(self.page_bytes),
            signature_window: self.signature_window,
            past_epochs: self.past_epochs,
            mailbox_items: self.mailbox_items,
            mailbox_seconds: self.mailbox_seconds,
            key_packages: self.key_packages,
            devices: self.devices,
            group_days: self.group_days,
            group_unread_days: self.group_unread_days,
            user_days: self.user_days,
            pairing_days: self.pairing_days,
            requests_per_second: self.requests_per_second.into(),
            device_requests: size(self.device_requests),
            device_subscriptions: size(self.device_subscriptions),
            device_connections: size(self.device_connections),
        }
    }

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
            // One envelope of the greatest length, in a stranger's part.
            ("mailbox-bytes", self.mailbox_bytes, 2 << 20, any),
            ("key-packages", self.key_packages, 1, any),
            ("key-package-bytes", self.key_package_bytes, 1 << 10, any),
            ("log-days", self.log_days.unwrap_or(1), 1, any),
            ("log-bytes", self.log_bytes.unwrap_or(1), 1, any),
            ("proposals", self.proposals, 1, any),
            ("proposal-bytes", self.proposal_bytes, 1 << 10, any),
            ("proposals-each", self.proposals_each, 1, any),
            ("proposal-bytes-each", self.proposal_bytes_each, 1 << 10, any),
            ("log-unread-days", self.log_unread_days.unwrap_or(1), 1, any),
            ("group-days", self.group_days.unwrap_or(1), 1, any),
            ("group-unread-days", self.group_unread_days.unwrap_or(1), 1, any),
            ("user-days", self.user_days.unwrap_or(1), 1, any),
            ("pairing-days", self.pairing_days.unwrap_or(1), 1, any),
            ("claims", self.claims, 1, any),
            ("devices", self.devices, 1, any),
            ("recipients", size(self.recipients), 1, any),
            ("written", size(self.written), 1 << 10, 1 << 30),
            ("page", self.page.into(), 1, 1 << 16),
            // A client reads no page that is much longer.
            ("page-bytes", size(self.page_bytes), 1 << 10, 32 << 20),
            ("subscriptions", size(self.subscriptions), 1, any),
            ("device-subscriptions", size(self.device_subscriptions), 1, any),
            ("device-requests", size(self.device_requests), 1, any),
            ("device-connections", size(self.device_connections), 1, any),
            ("client-connections", size(self.client_connections), 1, any),
            ("connections-per-address", size(self.connections_per_address), 1, any),
            ("head-seconds", self.head_seconds, 1, 3600),
            // The service itself says something on each subscription every 15 seconds.
            ("idle-seconds", self.idle_seconds, 1, 24 * 3600),
            ("body-seconds", self.body_seconds, 1, 3600),
            ("request-seconds", self.request_seconds, 1, 3600),
            ("answer-seconds", self.answer_seconds, 1, 24 * 3600),
            ("bodies", size(self.bodies), size(self.body), any),
            // Any entry, with its text.
            ("answers", size(self.answers), size(self.page_bytes.max(self.body)) * 3, any),
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
            mailbox_bytes: 64 << 20,
            key_package_bytes: 4 << 20,
            log_days: Some(90),
            log_bytes: Some(1 << 30),
            // What a device keeps, of one member and of all.
            proposals: 4_096,
            proposal_bytes: 16 << 20,
            proposals_each: 64,
            proposal_bytes_each: 1 << 20,
            log_unread_days: None,
            group_days: Some(2 * 365),
            group_unread_days: None,
            user_days: Some(2 * 365),
            pairing_days: Some(90),
            key_packages: 200,
            claims: 20,
            devices: 100,
            recipients: 1000,
            written: 32 << 20,
            page: 256,
            page_bytes: 1 << 20,
            subscriptions: 10_000,
            device_subscriptions: 256,
            device_requests: 32,
            // As many as it has requests and subscriptions at once.
            device_connections: 288,
            client_connections: 16_384,
            connections_per_address: 512,
            head_seconds: 10,
            idle_seconds: 60,
            body_seconds: 30,
            request_seconds: 30,
            answer_seconds: 120,
            bodies: 256 << 20,
            answers: 256 << 20,
        }
    }
}
