//! The database: whole transactions, each with a name.
//!
//! The same SQL runs on SQLite and on PostgreSQL; only the migrations differ. A [`Transaction`] is run
//! as a whole and, when the database gives up on it because of another one, run again. What orders
//! concurrent writers is always the row lock of an `UPDATE … RETURNING`: on the group for its log, on
//! the device for its mailbox. So positions become visible in their order, without gaps, on both
//! databases.

mod approval;
mod chain;
mod connect;
mod deliver;
mod directory;
mod error;
mod file;
mod group;
mod housekeeping;
mod key_package;
mod lease;
#[cfg(test)]
mod lease_tests;
mod log;
mod mailbox;
mod nonce;
mod pairing;
mod probe;
mod publish;
mod repair;
mod retention;
mod row;
mod topic;

use std::{
    error::Error as _,
    future::Future,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use prometheus_client::metrics::counter::Counter;
use sqlx::{AnyConnection, AnyPool};
use tokio::sync::Mutex;

pub(crate) use self::connect::Database;
pub(crate) use self::{
    approval::{ApprovalsOf, Approve, WithdrawApproval},
    connect::{Heard, listen},
    directory::{Device, DeviceById, DevicesOfUser, Registration, RevokeDevice, TakeDevice},
    group::{Anchoring, Group, GroupById, GroupInfo, OpenGroup, SetGroupInfo, Standing},
    housekeeping::Sweep,
    key_package::{
        ClaimKeyPackage, Claimed, CountKeyPackages, NewKeyPackage, StoreKeyPackages, Stored, Use,
        WithdrawKeyPackages,
    },
    log::{EntriesAfter, PageAfter, ProposalsOf, Removed},
    mailbox::{Ack, ItemsAfter, Letter, LetterKind, MailboxHead, Post},
    nonce::SpendNonce,
    pairing::{ArePaired, AskForPairing, PairingById, StoredPairing},
    publish::{Age, Append, Appended, Joining, Members, Publish, Refusal, Room},
    repair::{PutBack, Reopen, RollBack},
    retention::{NoteReaders, Prune, PrunedThrough, Retention},
    topic::Topic,
};
pub use self::{
    error::{StorageFault, StoreError},
    repair::RolledBack,
    retention::Unread,
};
use self::{lease::Lease, probe::Readiness};

/// A connection inside a transaction.
pub(crate) struct Tx {
    lease: Lease,
    woken: Vec<Topic>,
}

impl Tx {
    /// Runs statements.
    fn connection(&mut self) -> &mut AnyConnection {
        self.lease.connection()
    }

    /// Wakes the subscribers of `topic`, on every replica, once the transaction is committed.
    fn wake(&mut self, topic: Topic) {
        self.woken.push(topic);
    }
}

/// Something that happens as a whole, or not at all.
pub(crate) trait Transaction: Sync {
    /// Its name, for logs and metrics.
    const NAME: &'static str;
    /// Whether it writes.
    const WRITES: bool = true;
    /// What it gives.
    type Output: std::marker::Send;

    /// Does it once. It may be done several times, of which one takes effect.
    fn run(
        &self,
        tx: &mut Tx,
    ) -> impl Future<Output = Result<Self::Output, StoreError>> + std::marker::Send;

    /// Whether what was done is to stay. If not, it is as if it had not been.
    fn keeps(_: &Self::Output) -> bool {
        true
    }
}

/// Who is told when a topic has something new.
pub(crate) type Waker = Arc<dyn Fn(&Topic) + std::marker::Send + Sync>;

/// How often a transaction is tried.
const ATTEMPTS: u32 = 12;

/// A database.
pub(crate) struct Store {
    database: Database,
    readers: AnyPool,
    writers: AnyPool,
    /// SQLite has one writer: whoever waits, waits here and in turn.
    turn: Option<Mutex<()>>,
    waker: Waker,
    readiness: Readiness,
    /// How many transactions were run.
    transactions: Counter<u64, AtomicU64>,
}

impl Store {
    /// How many transactions were run.
    pub(crate) fn transactions(&self) -> Counter<u64, AtomicU64> {
        self.transactions.clone()
    }

    /// Runs a transaction, again if need be.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails, or after the last attempt.
    pub(crate) async fn run<T: Transaction>(
        &self,
        transaction: &T,
    ) -> Result<T::Output, StoreError> {
        self.transactions.inc();
        let mut attempt = 1;
        loop {
            match self.once(transaction).await {
                Ok(output) => return Ok(output),
                Err(error) if error.is_transient() && attempt < ATTEMPTS => {
                    tracing::debug!(transaction = T::NAME, attempt, "run again");
                    tokio::time::sleep(Duration::from_millis(2 << attempt.min(7))).await;
                    attempt += 1;
                }
                // To blame is the request.
                Err(StoreError::OutOfRange) => return Err(StoreError::OutOfRange),
                Err(error) => {
                    let cause = error.source().map(tracing::field::display);
                    tracing::warn!(transaction = T::NAME, attempt, %error, cause, "given up");
                    if error.storage_fault().is_some() {
                        self.readiness.doubt();
                    }
                    return Err(error);
                }
            }
        }
    }

    async fn once<T: Transaction>(&self, transaction: &T) -> Result<T::Output, StoreError> {
        let _turn = match &self.turn {
            Some(turn) if T::WRITES => Some(turn.lock().await),
            _ => None,
        };
        let lease = match (&self.database, T::WRITES) {
            // A writer that began as a reader could not wait for another process that writes.
            (Database::Sqlite { .. }, true) => Lease::begin(&self.writers, "BEGIN IMMEDIATE").await,
            (_, true) => Lease::begin(&self.writers, "BEGIN").await,
            (_, false) => Lease::begin(&self.readers, "BEGIN").await,
        };
        let mut tx = Tx { lease: lease?, woken: Vec::new() };
        let output = match self.within(transaction, &mut tx).await {
            Ok(output) => output,
            Err(error) => {
                if !error.spares_connection() {
                    tx.lease.fail();
                }
                return Err(error);
            }
        };
        if !T::keeps(&output) {
            tx.lease.rollback().await?;
            return Ok(output);
        }
        tx.lease.commit().await?;
        tx.woken.iter().for_each(|topic| (self.waker)(topic));
        Ok(output)
    }

    async fn within<T: Transaction>(
        &self,
        transaction: &T,
        tx: &mut Tx,
    ) -> Result<T::Output, StoreError> {
        let output = transaction.run(tx).await?;
        if let (Database::Postgres { .. }, true) = (&self.database, T::keeps(&output)) {
            connect::notify(tx).await?;
        }
        Ok(output)
    }

    /// Which database it is.
    pub(crate) fn database(&self) -> &Database {
        &self.database
    }

    /// Ends all connections.
    pub(crate) async fn close(&self) {
        self.readers.close().await;
        self.writers.close().await;
    }
}
