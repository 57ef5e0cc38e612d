//! Replicas on one PostgreSQL database: what one writes wakes the subscribers of the others.

use paired_mls_api::{Access, MailboxItem, path};
use sqlx::AnyPool;

use crate::{
    backend::{Backend, Replica},
    device::Device,
    messages::*,
    subscriptions::Reader,
};

/// Commits by one replica, and reads by another one. A wake that was lost would be made up for after 30
/// seconds, later than a reader waits.
async fn commit_and_follow(one: &Replica, two: &Replica, between: impl AsyncFn()) {
    let alice = Device::registered(one, "alice").await;
    let partner = alice.sibling(one).await;
    let group = new_group(one, &alice, Access::Roster).await;
    win(one, &alice, &group, &publish(&group, 0)).await;
    let mut log = Reader::log(two, &partner, &group, 0).await;
    let opened = Reader::open(two, &partner, path::MAILBOX_EVENTS, None).await;
    let Ok(mut mailbox) = opened else { panic!("refused") };
    assert_eq!(log.take(1).await, [(1, "commit".to_owned())]);
    assert_eq!(mailbox.next().await.unwrap().event, "item");
    between().await;
    for epoch in 1..4 {
        let commit = publish(&group, epoch);
        win(one, &alice, &group, &commit).await;
        assert_eq!(log.take(1).await, [(epoch + 1, "commit".to_owned())]);
        let item: MailboxItem = mailbox.next().await.unwrap().read();
        assert_eq!(item.envelope, commit.account_envelope);
    }
    // Also the end of a device.
    let path = path::of_device(path::DEVICE, &partner.id);
    assert_eq!(alice.delete(one, &path).await.status, 200);
    assert!(log.next().await.is_none() && mailbox.next().await.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_wakes_the_subscribers_of_another() {
    let Some(backend) = Backend::postgres() else { return };
    let (one, two) = (backend.replica().await, backend.replica().await);
    commit_and_follow(&one, &two, async || {}).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_that_has_lost_its_connection_listens_again() {
    let Some(backend) = Backend::postgres() else { return };
    let (one, two) = (backend.replica().await, backend.replica().await);
    let pool = AnyPool::connect(&backend.config.database).await.unwrap();
    let cut = async || {
        let listeners = "SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity
                         WHERE datname = current_database() AND query LIKE 'LISTEN%'";
        let cut: i64 = sqlx::query_scalar(listeners).fetch_one(&pool).await.unwrap();
        assert_eq!(cut, 2);
    };
    commit_and_follow(&one, &two, cut).await;
}
