//! Nonces of signed requests.
//!
//! The nonce of a request that may change something is spent in the transaction by which it first does, or
//! else in one of its own, before it is answered: so it takes effect at most once, whatever fails. That
//! transaction waits for the disk anyway.
//!
//! The nonce of a request that only reads does not wait for a disk. A service on SQLite is one process,
//! which remembers it; the replicas on a PostgreSQL server share a table there that is not written ahead.

use std::{
    collections::{BTreeMap, HashSet},
    future::Future,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use paired_mls_api::DeviceId;
use sha2::{Digest, Sha256};

use super::{Database, Store, StoreError, Transaction, Tx, row::int};

/// A nonce that is to be spent.
#[derive(Clone, Debug)]
pub(crate) struct Nonce {
    pub(crate) device: DeviceId,
    pub(crate) nonce: String,
    /// From when on the signature is too old anyway, by the clock of each replica.
    pub(crate) expires_at: u64,
}

impl Nonce {
    /// What is kept of it where nobody has to find it by its device: nothing that says whose it is.
    fn digest(&self) -> [u8; 16] {
        let digest = Sha256::new()
            .chain_update(self.device.as_bytes())
            .chain_update(self.nonce.as_bytes())
            .finalize();
        let mut short = [0; 16];
        short.iter_mut().zip(digest).for_each(|(short, byte)| *short = byte);
        short
    }

    /// Spends it inside a transaction: `true` if it was new.
    async fn spend(&self, tx: &mut Tx) -> Result<bool, StoreError> {
        let inserted = sqlx::query(
            "INSERT INTO nonces (device_id, nonce, expires_at) VALUES ($1, $2, $3)
             ON CONFLICT DO NOTHING",
        )
        .bind(self.device.as_bytes())
        .bind(self.nonce.as_str())
        .bind(int(self.expires_at)?)
        .execute(tx.connection())
        .await?;
        Ok(inserted.rows_affected() == 1)
    }
}

/// A nonce, and whether it is spent.
struct Ticket {
    nonce: Nonce,
    spent: AtomicBool,
}

tokio::task_local! {
    /// The nonce of the request that this task serves.
    static TICKET: Arc<Ticket>;
}

/// Spends the nonce of the request that is served, in its first transaction that writes.
pub(super) async fn spend_within(tx: &mut Tx) -> Result<(), StoreError> {
    let Ok(ticket) = TICKET.try_with(Arc::clone) else { return Ok(()) };
    match ticket.spent.load(Ordering::SeqCst) || ticket.nonce.spend(tx).await? {
        true => Ok(()),
        false => Err(StoreError::Replayed),
    }
}

/// The transaction has been committed, and with it the nonce.
pub(super) fn spent() {
    // Outside of a request there is none.
    let _none = TICKET.try_with(|ticket| ticket.spent.store(true, Ordering::SeqCst));
}

/// Spends a nonce alone.
struct Spend;

impl Transaction for Spend {
    const NAME: &'static str = "spend_nonce";
    type Output = ();

    /// Around every transaction of a request its nonce is spent.
    async fn run(&self, _: &mut Tx) -> Result<(), StoreError> {
        Ok(())
    }
}

impl Store {
    /// Serves a request that may change something, and spends its nonce with the first transaction that
    /// writes, or at the end.
    ///
    /// # Errors
    ///
    /// [`StoreError::Replayed`] if nothing was written and the nonce had been spent before. Where something
    /// was to be written, the transaction has failed in the same way.
    pub(crate) async fn once_for<T>(
        &self,
        nonce: Nonce,
        serve: impl Future<Output = T>,
    ) -> Result<T, StoreError> {
        let ticket = Arc::new(Ticket { nonce, spent: AtomicBool::new(false) });
        let kept = Arc::clone(&ticket);
        let serve = async {
            let served = serve.await;
            if !kept.spent.load(Ordering::SeqCst) {
                self.run(&Spend).await?;
            }
            Ok(served)
        };
        TICKET.scope(ticket, serve).await
    }

    /// Spends the nonce of a request that only reads.
    ///
    /// # Errors
    ///
    /// [`StoreError::Replayed`], or those of the database.
    pub(crate) async fn read_once(&self, nonce: &Nonce) -> Result<(), StoreError> {
        let new = match self.database {
            Database::Sqlite { .. } => self.reads.spend(nonce)?,
            Database::Postgres { .. } => self.run(&SpendRead(nonce)).await?,
        };
        if new { Ok(()) } else { Err(StoreError::Replayed) }
    }
}

impl Store {
    /// Forgets the nonces of reads that have expired. Returns how many.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub(crate) async fn forget_reads(&self, now: u64) -> Result<u64, StoreError> {
        match self.database {
            Database::Sqlite { .. } => Ok(self.reads.sweep(now)),
            Database::Postgres { .. } => self.run(&SweepReads { now }).await,
        }
    }
}

/// Drops the nonces of reads that have expired.
struct SweepReads {
    now: u64,
}

impl Transaction for SweepReads {
    const NAME: &'static str = "sweep_reads";
    type Output = u64;

    async fn run(&self, tx: &mut Tx) -> Result<u64, StoreError> {
        let gone = sqlx::query("DELETE FROM read_nonces WHERE expires_at < $1")
            .bind(int(self.now)?)
            .execute(tx.connection())
            .await?;
        Ok(gone.rows_affected())
    }
}

/// Spends the nonce of a request that only reads, on all replicas.
struct SpendRead<'a>(&'a Nonce);

impl Transaction for SpendRead<'_> {
    const NAME: &'static str = "spend_read_nonce";
    const ONE: bool = true;
    type Output = bool;

    async fn run(&self, tx: &mut Tx) -> Result<bool, StoreError> {
        let inserted = sqlx::query(
            "INSERT INTO read_nonces (digest, expires_at) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        )
        .bind(self.0.digest().as_slice())
        .bind(int(self.0.expires_at)?)
        .execute(tx.connection())
        .await?;
        Ok(inserted.rows_affected() == 1)
    }
}

/// What the one process of a service on SQLite has read for whom.
#[derive(Default)]
pub(crate) struct Reads {
    /// By when they expire, so that they are forgotten together.
    by_expiry: Mutex<BTreeMap<u64, HashSet<[u8; 16]>>>,
}

/// How many are remembered: as many reads as there are in four minutes at 16,000 in a second.
const MOST: usize = 4 << 20;

/// How many seconds are forgotten together.
const TOGETHER: u64 = 16;

impl Reads {
    fn spend(&self, nonce: &Nonce) -> Result<bool, StoreError> {
        let mut by_expiry = self.by_expiry.lock().unwrap_or_else(PoisonError::into_inner);
        if by_expiry.values().map(HashSet::len).sum::<usize>() >= MOST {
            return Err(StoreError::Crowded);
        }
        Ok(by_expiry.entry(nonce.expires_at / TOGETHER).or_default().insert(nonce.digest()))
    }

    /// Forgets those that have expired. Returns how many.
    pub(crate) fn sweep(&self, now: u64) -> u64 {
        let mut by_expiry = self.by_expiry.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = by_expiry.split_off(&(now / TOGETHER));
        let gone = std::mem::replace(&mut *by_expiry, kept);
        gone.values().map(|nonces| u64::try_from(nonces.len()).unwrap_or(u64::MAX)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_is_forgotten_when_it_has_expired() {
        let reads = Reads::default();
        let nonce = |nonce: &str, expires_at| Nonce {
            device: DeviceId::new([7; 32]).unwrap(),
            nonce: nonce.to_owned(),
            expires_at,
        };
        let new = |name, expires_at| reads.spend(&nonce(name, expires_at)).unwrap();
        assert!(new("one", 1000) && new("two", 1100));
        assert!(!new("one", 1000));
        assert_eq!(reads.sweep(1000), 0);
        assert!(!new("one", 1000));
        assert_eq!(reads.sweep(1050), 1);
        assert!(!new("two", 1100));
    }
}
