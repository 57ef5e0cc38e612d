//! Transactions that are committed together, and what becomes of them if one is not.

use std::{sync::Arc, time::Duration};

use sqlx::{AnyPool, Executor as _};
use tokio::task::JoinSet;

use super::{
    Store,
    lease_tests::{Add, Count, Then, store},
};

/// Keeps everybody from writing, until it is committed.
async fn hold(folder: &tempfile::TempDir) -> sqlx::Transaction<'static, sqlx::Any> {
    let address = format!("sqlite://{}", folder.path().join("service.db").display());
    let pool = AnyPool::connect(&address).await.unwrap();
    pool.begin_with("BEGIN IMMEDIATE").await.unwrap()
}

async fn run(store: Arc<Store>, user: u8, then: Then) -> u8 {
    store.run(&Add(user, then)).await.unwrap();
    user
}

/// Long enough for those who write to wait in their turn. Where it is not, there are more batches.
const A_WHILE: Duration = Duration::from_millis(300);

#[tokio::test(flavor = "multi_thread")]
async fn those_who_wait_are_committed_together() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(store(&folder).await);
    let before = (store.counts().batches.get(), store.counts().parts.get());
    let held = hold(&folder).await;
    let mut tasks = JoinSet::new();
    for user in 0..20 {
        tasks.spawn(run(Arc::clone(&store), user, Then::Commit));
    }
    tokio::time::sleep(A_WHILE).await;
    held.rollback().await.unwrap();
    assert_eq!(tasks.join_all().await.len(), 20);
    assert_eq!(store.run(&Count).await.unwrap(), 20);
    let (batches, parts) = (store.counts().batches.get(), store.counts().parts.get());
    let (batches, parts) = (batches - before.0, parts - before.1);
    assert!(parts == 20 && batches < 20, "{parts} in {batches}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_dropped_takes_nobody_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(store(&folder).await);
    let held = hold(&folder).await;
    let mut tasks = JoinSet::new();
    tasks.spawn(run(Arc::clone(&store), 1, Then::Commit));
    tokio::time::sleep(A_WHILE).await;
    let dropped = tokio::spawn(run(Arc::clone(&store), 2, Then::Wait));
    tokio::time::sleep(A_WHILE).await;
    tasks.spawn(run(Arc::clone(&store), 3, Then::Commit));
    tokio::time::sleep(A_WHILE).await;
    held.rollback().await.unwrap();
    tokio::time::sleep(A_WHILE).await;
    dropped.abort();
    assert_eq!(tasks.join_all().await.len(), 2);
    assert_eq!(store.run(&Count).await.unwrap(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_fails_takes_nobody_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(store(&folder).await);
    let held = hold(&folder).await;
    let mut tasks = JoinSet::new();
    for user in 0..5 {
        tasks.spawn(run(Arc::clone(&store), user, Then::Commit));
    }
    let other = Arc::clone(&store);
    let failing = tokio::spawn(async move { other.run(&Add(9, Then::ReadOnly)).await });
    for user in 5..10 {
        tasks.spawn(run(Arc::clone(&store), user, Then::Commit));
    }
    tokio::time::sleep(A_WHILE).await;
    held.rollback().await.unwrap();
    assert!(failing.await.unwrap().is_err());
    assert_eq!(tasks.join_all().await.len(), 10);
    assert_eq!(store.run(&Count).await.unwrap(), 10);
}

#[tokio::test]
async fn a_reader_does_not_wait_for_one_who_writes() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder).await;
    let held = hold(&folder).await;
    assert_eq!(store.run(&Count).await.unwrap(), 0);
    drop(held);
    let pool = AnyPool::connect(&format!("sqlite://{}/service.db", folder.path().display())).await;
    pool.unwrap().execute("SELECT 1").await.unwrap();
}
