//! Whether the database takes what it is given.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, timeout},
};

use super::{Store, StoreError, Transaction, Tx};

/// How many bytes are written. A database that takes them takes a message.
const FILLER: usize = 64 << 10;
/// For how long one that has taken them is believed. Whoever asks is a stranger, so it must not cost much.
const BELIEVED: Duration = Duration::from_secs(1);
/// How long whoever asks waits for an answer.
const PATIENCE: Duration = Duration::from_millis(800);
/// After which time a look is given up, and another one is taken.
const GIVEN_UP: Duration = Duration::from_secs(10);

/// What a look has shown; nothing while it is being taken.
type Seen = Option<Result<Instant, Arc<StoreError>>>;

/// One look at the database, which goes on when whoever asked has gone away.
struct Look {
    seen: watch::Receiver<Seen>,
    task: JoinHandle<()>,
}

/// When the database has last taken something.
#[derive(Default)]
pub(super) struct Readiness {
    look: Mutex<Option<Look>>,
    doubted: AtomicBool,
}

impl Readiness {
    /// What it is stored on has just failed.
    pub(super) fn doubt(&self) {
        self.doubted.store(true, Ordering::Relaxed);
    }

    /// The look that is being taken, or a new one. Nobody who goes away stops it: others wait for it, too.
    fn look(&self, store: &Arc<Store>) -> watch::Receiver<Seen> {
        let mut look = self.look.lock().unwrap_or_else(PoisonError::into_inner);
        let doubted = self.doubted.swap(false, Ordering::Relaxed);
        let last = look
            .as_ref()
            .map(|Look { seen, .. }| (seen.borrow().clone(), seen.has_changed().is_ok()));
        let taken = match (last, &*look) {
            (Some((None, true)), Some(last)) => return last.seen.clone(),
            (Some((Some(Ok(at)), _)), _) if !doubted && at.elapsed() < BELIEVED => Some(at),
            _ => None,
        };
        let (done, new) = watch::channel(None);
        let store = Arc::clone(store);
        let task = tokio::spawn(async move {
            let seen = timeout(GIVEN_UP, store.takes(taken)).await;
            let seen = seen.unwrap_or(Err(StoreError::Silent));
            done.send_replace(Some(seen.map_err(Arc::new)));
        });
        *look = Some(Look { seen: new.clone(), task });
        new
    }

    /// Ends the look that is being taken: a database that is closed has not failed.
    pub(super) async fn end(&self) {
        let look = self.look.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Look { task, .. }) = look {
            task.abort();
            // An error says that it has been ended.
            let _ended = task.await;
        }
    }
}

impl Store {
    /// Whether the database answers and takes what it is given: a row is written, unless one was taken a
    /// moment ago and nothing has failed since. It says so within a second, whatever the database does.
    ///
    /// # Errors
    ///
    /// [`StoreError`], why not.
    pub(crate) async fn ready(self: &Arc<Self>) -> Result<(), Arc<StoreError>> {
        let mut look = self.readiness.look(self);
        match timeout(PATIENCE, look.wait_for(Option::is_some)).await {
            Ok(Ok(seen)) => match &*seen {
                Some(Err(error)) => Err(Arc::clone(error)),
                Some(Ok(_)) | None => Ok(()),
            },
            Ok(Err(_)) | Err(_) => Err(Arc::new(StoreError::Silent)),
        }
    }

    /// Whether it answers, and when it has taken something, if not a moment ago then now.
    async fn takes(&self, taken: Option<Instant>) -> Result<Instant, StoreError> {
        self.run(&Ping).await?;
        if let Some(taken) = taken {
            return Ok(taken);
        }
        self.run(&Probe).await?;
        Ok(Instant::now())
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

#[cfg(test)]
mod tests {
    use super::super::lease_tests;

    /// Whoever closes the database does not hear from a look that it has failed.
    #[tokio::test]
    async fn a_look_ends_before_the_database_closes() {
        let folder = tempfile::tempdir().unwrap();
        for _ in 0..20 {
            let store = lease_tests::store(&folder).await;
            let mut look = store.readiness.look(&store);
            store.close().await;
            let seen = look.wait_for(Option::is_some).await;
            assert!(!matches!(seen.as_deref(), Ok(Some(Err(_)))), "{:?}", seen.as_deref());
        }
    }
}
