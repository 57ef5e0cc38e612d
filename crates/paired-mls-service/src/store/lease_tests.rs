//! What becomes of a connection whose transaction does not end in order.

use std::{future::pending, sync::Arc};

use sqlx::Executor as _;

use super::{StorageFault, Store, StoreError, Transaction, Tx, row::uint};

pub(super) async fn store(folder: &tempfile::TempDir) -> Arc<Store> {
    let address = format!("sqlite://{}", folder.path().join("service.db").display());
    let store = Store::open(&address, 2, None, Arc::new(|_: &_| {})).await;
    Arc::new(store.unwrap())
}

/// Adds a user, and then does something else.
pub(super) struct Add(pub(super) u8, pub(super) Then);

pub(super) enum Then {
    Commit,
    Wait,
    /// From then on the connection can only read, like one whose disk was mounted anew.
    ReadOnly,
}

impl Transaction for Add {
    const NAME: &'static str = "add";
    type Output = ();

    async fn run(&self, tx: &mut Tx) -> Result<(), StoreError> {
        if let Then::ReadOnly = self.1 {
            tx.connection().execute("PRAGMA query_only = ON").await?;
        }
        let user = [self.0].to_vec();
        sqlx::query("INSERT INTO users (user_id) VALUES ($1)")
            .bind(user)
            .execute(tx.connection())
            .await?;
        match self.1 {
            Then::Wait => pending().await,
            _ => Ok(()),
        }
    }
}

pub(super) struct Count;

impl Transaction for Count {
    const NAME: &'static str = "count";
    const WRITES: bool = false;
    type Output = u64;

    async fn run(&self, tx: &mut Tx) -> Result<u64, StoreError> {
        let row = sqlx::query("SELECT COUNT(*) FROM users").fetch_one(tx.connection()).await?;
        uint(&row, 0)
    }
}

#[tokio::test]
async fn what_a_client_has_left_is_undone() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder).await;
    for user in 0..3 {
        let left = Add(user, Then::Wait);
        tokio::select! {
            _ = store.run(&left) => unreachable!(),
            () = tokio::time::sleep(std::time::Duration::from_millis(50)) => {}
        }
    }
    store.run(&Add(3, Then::Commit)).await.unwrap();
    assert_eq!(store.run(&Count).await.unwrap(), 1);
}

#[tokio::test]
async fn a_connection_that_has_failed_is_thrown_away() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder).await;
    store.ready().await.unwrap();
    for user in 0..3 {
        let error = store.run(&Add(user, Then::ReadOnly)).await.unwrap_err();
        assert_eq!(error.storage_fault(), Some(StorageFault::ReadOnly), "{error:?}");
    }
    // The next one has a connection that knows nothing of it.
    store.run(&Add(3, Then::Commit)).await.unwrap();
    store.ready().await.unwrap();
    assert_eq!(store.run(&Count).await.unwrap(), 1);
}
