//! How long the database takes, and what is committed together.

use std::{sync::atomic::AtomicU64, time::Duration};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, histogram::Histogram},
};

use crate::metrics::Buckets;

/// A transaction by its name, and how it ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Name {
    transaction: &'static str,
    outcome: &'static str,
}

/// What the database was asked for. A clone counts the same.
#[derive(Clone)]
pub(crate) struct Counts {
    /// How long transactions took, with waiting for their turn.
    pub(crate) transactions: Family<Name, Histogram, Buckets>,
    /// How many transactions were run.
    pub(crate) all: Counter<u64, AtomicU64>,
    /// How often something was committed on SQLite.
    pub(crate) batches: Counter<u64, AtomicU64>,
    /// How many transactions that were.
    pub(crate) parts: Counter<u64, AtomicU64>,
}

impl Default for Counts {
    fn default() -> Self {
        let transactions = Family::new_with_constructor(Buckets);
        let (all, batches, parts) = Default::default();
        Self { transactions, all, batches, parts }
    }
}

impl Counts {
    pub(super) fn batch(&self, parts: u64) {
        self.batches.inc();
        self.parts.inc_by(parts);
    }

    pub(super) fn took(&self, transaction: &'static str, done: bool, took: Duration) {
        self.all.inc();
        let outcome = if done { "done" } else { "failed" };
        let name = Name { transaction, outcome };
        self.transactions.get_or_create(&name).observe(took.as_secs_f64());
    }
}
