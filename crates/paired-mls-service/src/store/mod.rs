//! The database: whole transactions, each with a name.
//!
//! The same SQL runs on SQLite and on PostgreSQL; only the migrations differ. A [`Transaction`] is run
//! as a whole and, when the database gives up on it because of another one, run again. What orders
//! concurrent writers is always the row lock of an `UPDATE … RETURNING`: on the group for its log, on
//! the device for its mailbox. So positions become visible in their order, without gaps, on both
//! databases.

mod admin;
mod approval;
mod batch;
#[cfg(test)]
mod batch_tests;
mod chain;
mod connect;
mod counts;
mod deliver;
mod directory;
mod error;
mod file;
mod group;
mod here;
#[cfg(test)]
mod here_tests;
mod housekeeping;
mod key_package;
mod lease;
#[cfg(test)]
mod lease_tests;
mod log;
mod lookup;
mod mailbox;
mod nonce;
mod pairing;
mod part;
mod probe;
mod proposers;
mod publish;
mod recovery;
mod repair;
mod retention;
mod row;
mod shelf;
mod size;
mod topic;
mod unused;

use std::{
    error::Error as _,
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};

use sqlx::{AnyConnection, AnyPool};

pub(crate) use self::connect::Database;
pub(crate) use self::{
    admin::{
        Approvals, Ban, Bounds, Broken, ByOperator, DeleteApproval, DeleteDevice, DeleteGroup,
        DeleteLog, DeleteUser, Devices, DropDevices, EndedKeys, Facts, FreeDevice, Groups,
        GroupsAlone, Incarnation, KeyFault, KeyOfUser, Keys, Members as Roster, NewIncarnation,
        Orphans, OwnGroups, Pages, RecoveryKeys, ShutOut, Strays, Stretch, Touched, Unban, Users,
        Walk, Walked,
    },
    approval::{APPROVED, ApprovalsOf, Approve, WithdrawApproval},
    connect::{Heard, listen, sqlite_file},
    counts::Counts,
    directory::{Device, DeviceById, DevicesOfUser, Registration, RevokeDevice, TakeDevice},
    file::FileLock,
    group::{Anchoring, Group, GroupById, GroupInfo, OpenGroup, SetGroupInfo, Standing},
    housekeeping::{Amounts, Measure, Sweep},
    key_package::{
        ClaimKeyPackage, Claimed, CountKeyPackages, NewKeyPackage, StoreKeyPackages, Stored, Use,
        WithdrawKeyPackages,
    },
    log::{EntriesAfter, PageAfter, ProposalsOf, Removed},
    mailbox::{Ack, ItemsAfter, Letter, LetterKind, MailboxHead, Post},
    nonce::Nonce,
    pairing::{ArePaired, AskForPairing, PairingById, StoredPairing},
    proposers::{Most, ProposalRoom, Proposers},
    publish::{Age, Append, Appended, Joining, LogRoom, Members, Publish, Refusal, Room},
    recovery::{RecoverUser, Recovery, RecoveryKeyOf, SetRecoveryKey},
    repair::{PutBack, Reopen, RollBack},
    retention::{NoteReaders, Prune, PrunedThrough, Retention},
    size::{Size, Sizes},
    topic::Topic,
    unused::{HasEnded, HaveEnded, NoteListeners, NoteUse, Subject, Unused, Used},
};
use self::{batch::Writer, here::Here, lease::Lease, nonce::Reads, probe::Readiness, shelf::Shelf};
pub use self::{
    connect::require_file,
    error::{Holder, StorageFault, StoreError},
    repair::RolledBack,
    retention::Unread,
};

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
    /// Whether it is one statement, which needs no transaction around it. One that writes belongs to no request
    /// whose nonce is spent with it.
    const ONE: bool = false;
    /// What it gives.
    type Output: std::marker::Send;

    /// Does it once. It may be done several times, of which one takes effect.
    fn run(
        &self,
        tx: &mut Tx,
    ) -> impl Future<Output = Result<Self::Output, StoreError>> + std::marker::Send;

    /// The same without waiting for anything; nothing if that does not go.
    fn at_once(&self, _: &Here) -> Option<Self::Output> {
        None
    }

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
    /// Nothing on PostgreSQL.
    here: Option<Here>,
    readers: Shelf,
    writers: AnyPool,
    /// SQLite has one writer: whoever waits, waits here and in turn.
    writer: Option<Writer>,
    waker: Waker,
    /// Nonces of requests that only read, on SQLite.
    reads: Reads,
    counts: Counts,
    readiness: Readiness,
}

impl Store {
    /// Runs a transaction, again if need be.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails, or after the last attempt.
    pub(crate) async fn run<T: Transaction>(
        &self,
        transaction: &T,
    ) -> Result<T::Output, StoreError> {
        let started = Instant::now();
        if let Some(output) = self.here.as_ref().and_then(|here| transaction.at_once(here)) {
            self.counts.took(T::NAME, true, started.elapsed());
            return Ok(output);
        }
        // Whoever waits for something holds no room for what it asks then: there may be ten thousand.
        let ran = Box::pin(self.again(transaction)).await;
        self.counts.took(T::NAME, ran.is_ok(), started.elapsed());
        ran
    }

    async fn again<T: Transaction>(&self, transaction: &T) -> Result<T::Output, StoreError> {
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
                Err(
                    error @ (StoreError::OutOfRange | StoreError::Replayed | StoreError::Crowded),
                ) => {
                    return Err(error);
                }
                Err(error) => {
                    let cause = error.source().map(tracing::field::display);
                    tracing::warn!(transaction = T::NAME, attempt, %error, cause, "given up");
                    if error.storage_fault().is_some() || matches!(error, StoreError::Locked(_)) {
                        self.readiness.doubt();
                    }
                    return Err(error);
                }
            }
        }
    }

    async fn once<T: Transaction>(&self, transaction: &T) -> Result<T::Output, StoreError> {
        let lease = match (&self.writer, T::WRITES) {
            (Some(writer), true) => return self.in_batch(writer, transaction).await,
            (None, true) if T::ONE => Lease::alone(&self.readers).await,
            (None, true) => Lease::begin(&self.writers, "BEGIN").await,
            (_, false) if T::ONE => Lease::alone(&self.readers).await,
            (_, false) => Lease::reading(&self.readers).await,
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
        if T::ONE {
            tx.lease.end();
            return Ok(output);
        }
        if !T::keeps(&output) {
            tx.lease.rollback().await?;
            return Ok(output);
        }
        tx.lease.commit().await?;
        if T::WRITES {
            nonce::spent();
        }
        tx.woken.iter().for_each(|topic| (self.waker)(topic));
        Ok(output)
    }

    async fn within<T: Transaction>(
        &self,
        transaction: &T,
        tx: &mut Tx,
    ) -> Result<T::Output, StoreError> {
        if T::WRITES {
            nonce::spend_within(tx).await?;
        }
        let output = transaction.run(tx).await?;
        if let (Database::Postgres { .. }, true) = (&self.database, T::keeps(&output)) {
            connect::notify(tx).await?;
        }
        Ok(output)
    }

    /// Connections to the database, and how many of them are not in use.
    pub(crate) fn connections(&self) -> (u32, usize) {
        let writers = self.writer.as_ref().map(|_| &self.writers);
        let pools = || std::iter::once(self.readers.pool()).chain(writers);
        let size = |pool: &AnyPool| usize::try_from(pool.size()).unwrap_or(usize::MAX);
        // It may wrap around for a moment.
        let idle = |pool: &AnyPool| pool.num_idle().min(size(pool));
        let idle: usize = pools().map(idle).sum();
        (pools().map(|pool| pool.size()).sum(), idle + self.readers.idle())
    }

    /// How long it takes, and what is committed together.
    pub(crate) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Which database it is.
    pub(crate) fn database(&self) -> &Database {
        &self.database
    }

    /// Gives none of the connections any more: whoever waits for one is told at once.
    pub(crate) fn abandon(&self) {
        // They are closed from the call on; what is awaited is that those in use come back.
        self.here.iter().for_each(Here::close);
        drop((self.readers.close(), self.writers.close()));
    }

    /// Ends all connections.
    pub(crate) async fn close(&self) {
        self.readiness.end().await;
        if let Some(writer) = &self.writer {
            // A part whose request has gone away in its last step: nobody waits for it.
            let _nobody = self.between_batches(writer).await;
        }
        // The last to go writes the journal back.
        self.here.iter().for_each(Here::close);
        self.readers.close().await;
        self.writers.close().await;
    }
}
