//! Numbers for Prometheus: counts and times, and no ids.

use std::{
    fmt,
    sync::atomic::{AtomicI64, AtomicU64},
    time::Duration,
};

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{
        counter::Counter,
        family::{Family, MetricConstructor},
        gauge::Gauge,
        histogram::Histogram,
        info::Info,
    },
    registry::{Registry, Unit},
};

use crate::{
    log_format::lost_lines,
    store::{Amounts, Counts},
};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    method: &'static str,
    route: String,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

/// What is refused because of a limit, or given up after its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    Connections,
    ConnectionsOfAddress,
    ConnectionsOfDevice,
    RequestsOfDevice,
    Rate,
    Subscriptions,
    SubscriptionsOfDevice,
    Bodies,
    Answers,
    BodyTime,
    RequestTime,
}

impl Refused {
    /// The name of the limit.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Connections => "client-connections",
            Self::ConnectionsOfAddress => "connections-per-address",
            Self::ConnectionsOfDevice => "device-connections",
            Self::RequestsOfDevice => "device-requests",
            Self::Rate => "requests-per-second",
            Self::Subscriptions => "subscriptions",
            Self::SubscriptionsOfDevice => "device-subscriptions",
            Self::Bodies => "bodies",
            Self::Answers => "answers",
            Self::BodyTime => "body-seconds",
            Self::RequestTime => "request-seconds",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Limit {
    limit: &'static str,
}

/// The buckets of all times, in seconds.
#[derive(Clone)]
pub(crate) struct Buckets;

impl MetricConstructor<Histogram> for Buckets {
    fn new_metric(&self) -> Histogram {
        Histogram::new([0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0])
    }
}

/// What a replica holds at the moment.
pub(crate) struct Holds {
    /// Bodies of requests, in bytes.
    pub(crate) bodies: u64,
    /// What is answered with, in bytes.
    pub(crate) answers: u64,
    /// Connections to the database, and those that are not in use.
    pub(crate) connections: (u32, usize),
}

/// What one replica counts.
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<Request, Histogram, Buckets>,
    commits: Family<Outcome, Counter<u64, AtomicU64>>,
    subscriptions: Gauge<i64, AtomicI64>,
    refused: Family<Limit, Counter<u64, AtomicU64>>,
    bodies: Gauge<i64, AtomicI64>,
    answers: Gauge<i64, AtomicI64>,
    lost_lines: Gauge<i64, AtomicI64>,
    database: Database,
}

/// How full the database is, since the last sweep, and its connections.
#[derive(Default)]
struct Database {
    bytes: Gauge<i64, AtomicI64>,
    items: Gauge<i64, AtomicI64>,
    fullest: Gauge<i64, AtomicI64>,
    connections: Gauge<i64, AtomicI64>,
    idle: Gauge<i64, AtomicI64>,
    sweeps: Counter<u64, AtomicU64>,
    swept: Counter<u64, AtomicU64>,
}

impl Database {
    fn registered(registry: &mut Registry) -> Self {
        let new = Self::default();
        let help = "The size of the database";
        registry.register_with_unit("database", help, Unit::Bytes, new.bytes.clone());
        for (name, help, gauge) in [
            ("mailbox_items", "Items in all mailboxes", &new.items),
            ("mailbox_fullest", "Items in the mailbox that has the most", &new.fullest),
            ("database_connections", "Connections to the database", &new.connections),
            ("database_connections_idle", "Those that are not in use", &new.idle),
        ] {
            registry.register(name, help, gauge.clone());
        }
        registry.register("sweeps", "How often what has expired was dropped", new.sweeps.clone());
        registry.register("swept_rows", "Rows that were dropped by it", new.swept.clone());
        new
    }
}

fn gauge(number: impl TryInto<i64>) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}

impl Metrics {
    /// The numbers of a replica, with those of its database.
    pub(crate) fn new(counts: &Counts) -> Self {
        let mut registry = Registry::with_prefix("paired_mls");
        let requests = Family::new_with_constructor(Buckets);
        let commits = Family::default();
        let subscriptions = Gauge::default();
        let refused = Family::default();
        registry.register_with_unit(
            "request_duration",
            "Time from the head of a request to the head of its answer",
            Unit::Seconds,
            requests.clone(),
        );
        registry.register("commits", "Commits that were sent, won or refused", commits.clone());
        registry.register("subscriptions", "Open subscriptions", subscriptions.clone());
        registry.register("transactions", "Transactions of the database", counts.all.clone());
        registry.register("refused", "What was refused, by the limit", refused.clone());
        let bodies = Gauge::default();
        let help = "Bodies of requests that are held";
        registry.register_with_unit("bodies", help, Unit::Bytes, bodies.clone());
        let answers = Gauge::default();
        let help = "Entries and items that are held to be answered with";
        registry.register_with_unit("answers", help, Unit::Bytes, answers.clone());
        let lost_lines = Gauge::default();
        let help = "Lines of the logs that nobody took, and that are lost";
        registry.register("log_lines_lost", help, lost_lines.clone());
        let version = vec![("version", env!("CARGO_PKG_VERSION"))];
        registry.register("build", "The software", Info::new(version));
        registry.register_with_unit(
            "transaction_duration",
            "Time of a transaction, with waiting for its turn",
            Unit::Seconds,
            counts.transactions.clone(),
        );
        let help = "Transactions that were committed on SQLite";
        registry.register("batched", help, counts.parts.clone());
        registry.register("batches", "Commits on SQLite", counts.batches.clone());
        let database = Database::registered(&mut registry);
        Self {
            registry,
            requests,
            commits,
            subscriptions,
            refused,
            bodies,
            answers,
            lost_lines,
            database,
        }
    }

    pub(crate) fn request(&self, method: &'static str, route: &str, status: u16, took: Duration) {
        let labels = Request { method, route: route.to_owned(), status };
        self.requests.get_or_create(&labels).observe(took.as_secs_f64());
    }

    pub(crate) fn commit(&self, won: bool) {
        let outcome = if won { "won" } else { "refused" };
        self.commits.get_or_create(&Outcome { outcome }).inc();
    }

    /// What has expired was dropped, so many rows.
    pub(crate) fn swept(&self, rows: u64) {
        self.database.sweeps.inc();
        self.database.swept.inc_by(rows);
    }

    /// How much there is.
    pub(crate) fn amounts(&self, amounts: &Amounts) {
        self.database.bytes.set(gauge(amounts.database));
        self.database.items.set(gauge(amounts.items));
        self.database.fullest.set(gauge(amounts.fullest));
    }

    pub(crate) fn refused(&self, limit: Refused) {
        self.refused.get_or_create(&Limit { limit: limit.name() }).inc();
    }

    /// Counts a subscription for as long as what it returns lives.
    pub(crate) fn subscription(&self) -> OpenSubscription {
        self.subscriptions.inc();
        OpenSubscription(self.subscriptions.clone())
    }

    /// All of it, in the text format of OpenMetrics.
    pub(crate) fn text(&self, held: Holds) -> Result<String, fmt::Error> {
        self.bodies.set(gauge(held.bodies));
        self.answers.set(gauge(held.answers));
        self.database.connections.set(gauge(held.connections.0));
        self.database.idle.set(gauge(held.connections.1));
        self.lost_lines.set(gauge(lost_lines()));
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

/// A subscription that is counted.
pub(crate) struct OpenSubscription(Gauge<i64, AtomicI64>);

impl Drop for OpenSubscription {
    fn drop(&mut self) {
        self.0.dec();
    }
}
