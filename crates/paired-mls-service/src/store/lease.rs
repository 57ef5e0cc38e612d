//! A connection on loan from its pool, for one transaction.

use sqlx::{AnyConnection, AnyPool, Executor as _};
use tokio::runtime::Handle;

use super::{
    error::is_conflict,
    shelf::{Shelf, Taken},
};

/// A connection inside a transaction. Only one that has ended its transaction in order goes back to the
/// pool as it is.
///
/// SQLite ends a transaction by itself when its disk fails, and a driver that counts transactions then
/// has one too many for good; so the statements are sent from here. If the lease is dropped in between,
/// because the client has gone, the transaction is undone first; if that fails, or if the database has
/// failed, the connection is thrown away.
pub(super) struct Lease {
    /// Nothing once it is given back.
    connection: Option<Taken>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Inside a transaction, or perhaps.
    Open,
    /// Outside of one, and perhaps in the middle of a statement that reads.
    Alone,
    /// What was done has ended.
    Ended,
    /// The database has failed, and nobody knows in which state it is.
    Failed,
}

impl Lease {
    /// Takes a connection, and begins a transaction by this statement.
    pub(super) async fn begin(
        pool: &AnyPool,
        statement: &'static str,
    ) -> Result<Self, sqlx::Error> {
        Self::open(Taken::from_pool(pool.acquire().await?), statement).await
    }

    /// Takes a connection that only reads, and begins a transaction.
    pub(super) async fn reading(shelf: &Shelf) -> Result<Self, sqlx::Error> {
        Self::open(shelf.take().await?, "BEGIN").await
    }

    /// Takes a connection for a single statement that reads.
    pub(super) async fn alone(shelf: &Shelf) -> Result<Self, sqlx::Error> {
        Ok(Self { connection: Some(shelf.take().await?), state: State::Alone })
    }

    async fn open(connection: Taken, statement: &'static str) -> Result<Self, sqlx::Error> {
        let mut lease = Self { connection: Some(connection), state: State::Open };
        lease.execute(statement).await?;
        Ok(lease)
    }

    /// Runs statements.
    pub(super) fn connection(&mut self) -> &mut AnyConnection {
        let taken = self.connection.as_mut().expect("it is there until the lease is dropped");
        &mut taken.connection
    }

    /// Makes what was done take effect.
    pub(super) async fn commit(mut self) -> Result<(), sqlx::Error> {
        self.execute("COMMIT").await?;
        self.state = State::Ended;
        Ok(())
    }

    /// Undoes what was done.
    pub(super) async fn rollback(mut self) -> Result<(), sqlx::Error> {
        self.execute("ROLLBACK").await?;
        self.state = State::Ended;
        Ok(())
    }

    /// The single statement has ended in order.
    pub(super) fn end(mut self) {
        self.state = State::Ended;
    }

    /// Throws the connection away.
    pub(super) fn fail(mut self) {
        self.state = State::Failed;
    }

    async fn execute(&mut self, statement: &'static str) -> Result<(), sqlx::Error> {
        let done = self.connection().execute(statement).await;
        if let Err(error) = &done {
            // Another transaction was in the way: this one has not begun, or can still be undone.
            let undone = statement.starts_with("BEGIN") && is_conflict(error);
            self.state = if undone { State::Ended } else { State::Failed };
        }
        done.map(drop)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(mut taken) = self.connection.take() else { return };
        match (self.state, Handle::try_current()) {
            (State::Ended, _) => taken.give_back(),
            // The pool looks whether it is as it should be.
            (State::Alone, _) => {}
            (State::Open, Ok(runtime)) => {
                runtime.spawn(async move {
                    if taken.connection.execute("ROLLBACK").await.is_err() {
                        taken.connection.close_on_drop();
                    }
                });
            }
            (State::Open | State::Failed, _) => taken.connection.close_on_drop(),
        }
    }
}
