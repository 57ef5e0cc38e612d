//! Connections that only read.
//!
//! The pool asks a connection that comes back whether it is still there, and has a task do it. A file does not
//! hang up: for SQLite, a connection that has read in order is laid on the shelf, and the next one who reads takes it
//! from there. Each is used by one at a time, as with the pool.

use std::sync::{Arc, Mutex, PoisonError};

use sqlx::{Any, AnyPool, pool::PoolConnection};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The connections that only read.
pub(super) struct Shelf {
    pool: AnyPool,
    /// Nothing where connections go back to the pool.
    at_hand: Option<Arc<AtHand>>,
}

/// Those of SQLite.
struct AtHand {
    idle: Mutex<Vec<PoolConnection<Any>>>,
    /// One for each connection that there may be.
    turns: Arc<Semaphore>,
}

/// A connection, for one who reads.
pub(super) struct Taken {
    pub(super) connection: PoolConnection<Any>,
    /// Where it comes back to.
    turn: Option<(Arc<AtHand>, OwnedSemaphorePermit)>,
}

impl Taken {
    /// One that goes back to its pool.
    pub(super) fn from_pool(connection: PoolConnection<Any>) -> Self {
        Self { connection, turn: None }
    }

    /// Nobody needs it any more, and it has ended what it did in order.
    pub(super) fn give_back(self) {
        let Self { connection, turn: Some((at_hand, turn)) } = self else { return };
        let mut idle = at_hand.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if !at_hand.turns.is_closed() {
            idle.push(connection);
        }
        drop(idle);
        // Whoever is next finds it there.
        drop(turn);
    }
}

impl Drop for AtHand {
    /// Whoever has not closed the store may have no runtime any more, which the pool would need.
    fn drop(&mut self) {
        let idle = self.idle.get_mut().unwrap_or_else(PoisonError::into_inner);
        idle.drain(..).for_each(|connection| drop(connection.leak()));
    }
}

impl Shelf {
    /// Those of a file: the pool has as many.
    pub(super) fn of_file(pool: AnyPool, connections: u32) -> Self {
        let turns = usize::try_from(connections.max(1)).unwrap_or(Semaphore::MAX_PERMITS);
        let at_hand = AtHand { idle: Mutex::default(), turns: Arc::new(Semaphore::new(turns)) };
        Self { pool, at_hand: Some(Arc::new(at_hand)) }
    }

    /// Those of a server, which are shared with whoever writes.
    pub(super) fn of_server(pool: AnyPool) -> Self {
        Self { pool, at_hand: None }
    }

    /// Takes a connection, once there is one.
    pub(super) async fn take(&self) -> Result<Taken, sqlx::Error> {
        let Some(at_hand) = &self.at_hand else {
            return Ok(Taken::from_pool(self.pool.acquire().await?));
        };
        let patience = self.pool.options().get_acquire_timeout();
        let turn = tokio::time::timeout(patience, Arc::clone(&at_hand.turns).acquire_owned());
        let turn = turn.await.map_err(|_| sqlx::Error::PoolTimedOut)?;
        let turn = turn.map_err(|_| sqlx::Error::PoolClosed)?;
        let idle = at_hand.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = match idle {
            Some(connection) => connection,
            None => self.pool.acquire().await?,
        };
        Ok(Taken { connection, turn: Some((Arc::clone(at_hand), turn)) })
    }

    pub(super) fn pool(&self) -> &AnyPool {
        &self.pool
    }

    /// How many are not in use, apart from those that are idle in the pool.
    pub(super) fn idle(&self) -> usize {
        let at_hand = self.at_hand.as_ref();
        at_hand
            .map_or(0, |at_hand| at_hand.idle.lock().unwrap_or_else(PoisonError::into_inner).len())
    }

    /// Gives none any more: whoever waits for one is told at once. What is awaited is that those in use come back.
    pub(super) fn close(&self) -> impl Future<Output = ()> {
        if let Some(at_hand) = &self.at_hand {
            let mut idle = at_hand.idle.lock().unwrap_or_else(PoisonError::into_inner);
            at_hand.turns.close();
            idle.clear();
        }
        self.pool.close()
    }
}
