//! Whether the database takes what it is given.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use tokio::{sync::Mutex, time::Instant};

use super::{Store, StoreError, Transaction, Tx};

/// How many bytes are written. A database that takes them takes a message.
const FILLER: usize = 64 << 10;
/// For how long one that has taken them is believed. Whoever asks is a stranger, so it must not cost much.
const BELIEVED: Duration = Duration::from_secs(1);

/// When the database has last taken something.
#[derive(Default)]
pub(super) struct Readiness {
    taken: Mutex<Option<Instant>>,
    doubted: AtomicBool,
}

impl Readiness {
    /// What it is stored on has just failed.
    pub(super) fn doubt(&self) {
        self.doubted.store(true, Ordering::Relaxed);
    }
}

impl Store {
    /// Whether the database answers and takes what it is given: a row is written, unless one was taken a
    /// moment ago and nothing has failed since.
    ///
    /// # Errors
    ///
    /// [`StoreError`], why not.
    pub(crate) async fn ready(&self) -> Result<(), StoreError> {
        self.run(&Ping).await?;
        let mut taken = self.readiness.taken.lock().await;
        let doubted = self.readiness.doubted.swap(false, Ordering::Relaxed);
        if !doubted && taken.is_some_and(|at| at.elapsed() < BELIEVED) {
            return Ok(());
        }
        *taken = None;
        self.run(&Probe).await?;
        *taken = Some(Instant::now());
        Ok(())
    }
}

/// Asks whether the database answers.
struct Ping;

impl Transaction for Ping {
    const NAME: &'static str = "ping";
    const WRITES: bool = false;
    type Output = ();

    async fn run(&self, tx: &mut Tx) -> Result<(), StoreError> {
        sqlx::query("SELECT user_id FROM users LIMIT 1").execute(tx.connection()).await?;
        Ok(())
    }
}

/// Writes a row, and then drops the one before it: so there is room for one more.
struct Probe;

impl Transaction for Probe {
    const NAME: &'static str = "probe";
    type Output = ();

    async fn run(&self, tx: &mut Tx) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO probe (id, filler) SELECT COALESCE(MAX(id), 0) + 1, $1 FROM probe",
        )
        .bind(vec![0; FILLER])
        .execute(tx.connection())
        .await?;
        sqlx::query("DELETE FROM probe WHERE id < (SELECT MAX(id) FROM probe)")
            .execute(tx.connection())
            .await?;
        Ok(())
    }
}
