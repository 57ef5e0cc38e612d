//! Transactions that are committed together: SQLite has one writer, and each commit waits for the disk.
//!
//! Each is a savepoint of its own inside the batch, and so takes effect or not by itself. Whoever has done
//! its part takes a further turn, and commits the batch if nobody has before: those that have come in the
//! meantime have their part before that turn, since turns are given in order. Nobody is told that
//! something has happened before it is on the disk.

use std::{
    sync::{
        PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use sqlx::{AnyPool, Executor as _};
use tokio::sync::{Mutex, watch};

use super::{Lease, Store, StoreError, Topic, Transaction, Tx, nonce};

/// The one writer.
pub(super) struct Writer {
    pool: AnyPool,
    batches: AtomicU64,
    open: Mutex<Option<Batch>>,
    /// When it was last found that another process keeps the file locked.
    locked: std::sync::Mutex<Option<Instant>>,
}

/// What is committed together. If it is dropped before, nothing of it takes effect.
struct Batch {
    lease: Lease,
    woken: Vec<Topic>,
    number: u64,
    /// How many parts it has.
    parts: u64,
    done: watch::Sender<Fate>,
}

/// What has become of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Open,
    Committed,
    Undone,
}

impl Writer {
    pub(super) fn new(pool: AnyPool) -> Self {
        let (batches, open, locked) = Default::default();
        Self { pool, batches, open, locked }
    }

    /// The batch that is open, or a new one. It is taken out: whoever drops it has undone it. Whoever waits
    /// since `waits` does not wait for a lock that somebody has waited for in vain meanwhile.
    async fn batch(&self, open: &mut Option<Batch>, waits: Instant) -> Result<Batch, StoreError> {
        match open.take() {
            Some(batch) => Ok(batch),
            None => {
                let locked = *self.locked.lock().unwrap_or_else(PoisonError::into_inner);
                if locked.is_some_and(|at| at > waits) {
                    return Err(StoreError::Locked(None));
                }
                let begun = Lease::begin(&self.pool, "BEGIN IMMEDIATE").await;
                let lease = begun.map_err(StoreError::from).inspect_err(|error| {
                    if let StoreError::Locked(_) = error {
                        let mut locked = self.locked.lock().unwrap_or_else(PoisonError::into_inner);
                        *locked = Some(Instant::now());
                    }
                })?;
                let done = watch::channel(Fate::Open).0;
                let number = self.batches.fetch_add(1, Ordering::Relaxed);
                Ok(Batch { lease, woken: Vec::new(), number, parts: 0, done })
            }
        }
    }
}

impl Batch {
    /// Runs a statement that belongs to no transaction in it.
    async fn execute(&mut self, statement: &'static str) -> Result<(), sqlx::Error> {
        self.lease.connection().execute(statement).await.map(drop)
    }
}

impl Store {
    /// Runs a transaction as a part of a batch.
    pub(super) async fn in_batch<T: Transaction>(
        &self,
        writer: &Writer,
        transaction: &T,
    ) -> Result<T::Output, StoreError> {
        let (output, number, mut done) = {
            let waits = Instant::now();
            let mut open = writer.open.lock().await;
            let mut batch = writer.batch(&mut open, waits).await?;
            batch.execute("SAVEPOINT part").await?;
            let Batch { lease, woken, number, parts, done } = batch;
            let mut tx = Tx { lease, woken: Vec::new() };
            let ran = self.within(transaction, &mut tx).await;
            let Tx { lease, woken: further } = tx;
            let mut batch = Batch { lease, woken, number, parts, done };
            let keeps = match &ran {
                Ok(output) => T::keeps(output),
                Err(error) if error.spares_connection() => false,
                Err(_) => {
                    batch.lease.fail();
                    return ran;
                }
            };
            if !keeps {
                batch.execute("ROLLBACK TO part").await?;
                batch.execute("RELEASE part").await?;
                match batch.parts {
                    0 => batch.lease.rollback().await?,
                    _ => *open = Some(batch),
                }
                return ran;
            }
            batch.execute("RELEASE part").await?;
            batch.woken.extend(further);
            batch.parts += 1;
            let (number, done) = (batch.number, batch.done.subscribe());
            *open = Some(batch);
            (ran?, number, done)
        };
        let mut open = writer.open.lock().await;
        if let Some(batch) = open.take_if(|batch| batch.number == number) {
            self.commit(batch).await?;
        }
        drop(open);
        match done.wait_for(|fate| *fate != Fate::Open).await.map(|fate| *fate) {
            Ok(Fate::Committed) => {
                nonce::spent();
                Ok(output)
            }
            // Its parts are run again.
            Ok(_) | Err(_) => Err(StoreError::Undone),
        }
    }

    /// Waits for a turn in which the writer is not used, and keeps it free for as long as what is returned
    /// is held.
    pub(super) async fn between_batches<'a>(
        &self,
        writer: &'a Writer,
    ) -> Result<impl Sized + use<'a>, StoreError> {
        let mut open = writer.open.lock().await;
        if let Some(batch) = open.take() {
            self.commit(batch).await?;
        }
        Ok(open)
    }

    async fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        let Batch { lease, woken, parts, done, .. } = batch;
        let committed = lease.commit().await;
        self.counts.batch(parts);
        done.send_replace(if committed.is_ok() { Fate::Committed } else { Fate::Undone });
        woken.iter().filter(|_| committed.is_ok()).for_each(|topic| (self.waker)(topic));
        Ok(committed?)
    }
}
