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
    },
    registry::{Registry, Unit},
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
    RequestsOfDevice,
    Rate,
    Subscriptions,
    SubscriptionsOfDevice,
    Bodies,
    BodyTime,
    RequestTime,
}

impl Refused {
    /// The name of the limit.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Connections => "client-connections",
            Self::ConnectionsOfAddress => "connections-per-address",
            Self::RequestsOfDevice => "device-requests",
            Self::Rate => "requests-per-second",
            Self::Subscriptions => "subscriptions",
            Self::SubscriptionsOfDevice => "device-subscriptions",
            Self::Bodies => "bodies",
            Self::BodyTime => "body-seconds",
            Self::RequestTime => "request-seconds",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Limit {
    limit: &'static str,
}

#[derive(Clone)]
struct Buckets;

impl MetricConstructor<Histogram> for Buckets {
    fn new_metric(&self) -> Histogram {
        Histogram::new([0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0])
    }
}

/// What one replica counts.
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<Request, Histogram, Buckets>,
    commits: Family<Outcome, Counter<u64, AtomicU64>>,
    subscriptions: Gauge<i64, AtomicI64>,
    refused: Family<Limit, Counter<u64, AtomicU64>>,
    bodies: Gauge<i64, AtomicI64>,
}

impl Metrics {
    /// `transactions` is what the store counts.
    pub(crate) fn new(transactions: Counter<u64, AtomicU64>) -> Self {
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
        registry.register("transactions", "Transactions of the database", transactions);
        registry.register("refused", "What was refused, by the limit", refused.clone());
        let bodies = Gauge::default();
        let help = "Bodies of requests that are held";
        registry.register_with_unit("bodies", help, Unit::Bytes, bodies.clone());
        Self { registry, requests, commits, subscriptions, refused, bodies }
    }

    pub(crate) fn request(&self, method: &'static str, route: &str, status: u16, took: Duration) {
        let labels = Request { method, route: route.to_owned(), status };
        self.requests.get_or_create(&labels).observe(took.as_secs_f64());
    }

    pub(crate) fn commit(&self, won: bool) {
        let outcome = if won { "won" } else { "refused" };
        self.commits.get_or_create(&Outcome { outcome }).inc();
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
    pub(crate) fn text(&self, bodies: u64) -> Result<String, fmt::Error> {
        self.bodies.set(i64::try_from(bodies).unwrap_or(i64::MAX));
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
