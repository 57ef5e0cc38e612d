//! Subscriptions that resume by themselves.

use futures_util::{Stream, StreamExt as _};
use paired_mls_api::{Envelope, LogEntry, ProblemKind};
use paired_mls_client::ClientError;

use crate::{
    cast::{Service, commit, new_group, register},
    faulty::{Fault, Faulty},
};

/// The positions of the next entries.
async fn positions(
    log: &mut (impl Stream<Item = Result<LogEntry, ClientError>> + Unpin),
    number: usize,
) -> Vec<u64> {
    let entries: Vec<_> = log.take(number).collect().await;
    entries.into_iter().map(|entry| entry.unwrap().position).collect()
}

#[tokio::test]
async fn a_log_is_delivered_from_a_position_and_as_it_grows() {
    let service = Service::start().await;
    let alice = service.device("alice").await;
    let group = new_group(&alice).await;
    commit(&alice, &group, 0..3).await;
    let mut log = alice.group_events(&group, 1);
    assert_eq!(positions(&mut log, 2).await, [2, 3]);
    let (next, ()) = tokio::join!(positions(&mut log, 2), commit(&alice, &group, 3..5));
    assert_eq!(next, [4, 5]);
    service.stop().await;
}

#[tokio::test]
async fn a_mailbox_is_delivered_as_it_fills() {
    let service = Service::start().await;
    let (alice, bob) = (service.device("alice").await, service.device("bob").await);
    let mut mailbox = bob.mailbox_events(0);
    let mut position = 0;
    for text in ["one", "two"] {
        let envelope = Envelope::seal(text.as_bytes()).unwrap();
        let (item, posted) = tokio::join!(mailbox.next(), alice.post(bob.device(), &envelope));
        posted.unwrap();
        let item = item.unwrap().unwrap();
        assert!(item.position > position);
        assert_eq!(item.envelope.0, envelope.as_bytes());
        position = item.position;
        bob.ack(position).await.unwrap();
    }
    service.stop().await;
}

#[tokio::test]
async fn a_server_that_is_started_again_leaves_no_gap_and_no_duplicate() {
    let service = Service::start().await;
    let alice = service.device("alice").await;
    let group = new_group(&alice).await;
    commit(&alice, &group, 0..2).await;
    let (mut log, mut mailbox) = (alice.group_events(&group, 0), alice.mailbox_events(0));
    assert_eq!(positions(&mut log, 1).await, [1]);
    let envelope = Envelope::seal(b"one").unwrap();
    let (first, posted) = tokio::join!(mailbox.next(), alice.post(alice.device(), &envelope));
    posted.unwrap();
    let first = first.unwrap().unwrap().position;

    // What is written while nobody listens comes, too.
    let service = service.stop().await.start().await;
    commit(&alice, &group, 2..4).await;
    alice.post(alice.device(), &envelope).await.unwrap();
    let (entries, ()) = tokio::join!(positions(&mut log, 5), commit(&alice, &group, 4..6));
    assert_eq!(entries, [2, 3, 4, 5, 6]);
    assert!(mailbox.next().await.unwrap().unwrap().position > first);
    service.stop().await;
}

#[tokio::test]
async fn a_subscription_outlives_failures() {
    let service = Faulty::start().await;
    let alice = register(&service.server, "alice").await;
    let group = new_group(&alice).await;
    commit(&alice, &group, 0..2).await;
    service.next([Fault::Unavailable, Fault::AnswerLost, Fault::Unavailable]);
    let mut log = alice.group_events(&group, 0);
    assert_eq!(positions(&mut log, 2).await, [1, 2]);
    assert_eq!(service.seen().len(), 4);
}

#[tokio::test]
async fn a_service_that_is_away_for_long_is_reported_and_waited_for() {
    let service = Faulty::start().await;
    let alice = register(&service.server, "alice").await;
    let group = new_group(&alice).await;
    commit(&alice, &group, 0..1).await;
    service.next([Fault::Unavailable; 6]);
    let mut log = alice.group_events(&group, 0);
    for seen in [5, 6] {
        let error = log.next().await.unwrap().unwrap_err();
        assert!(matches!(error, ClientError::Unavailable { .. }), "{error:?}");
        assert_eq!(service.attempts(), seen);
    }
    assert_eq!(positions(&mut log, 1).await, [1]);
}

#[tokio::test]
async fn a_subscription_that_is_refused_ends() {
    let service = Service::start().await;
    let (alice, bob) = (service.device("alice").await, service.device("bob").await);
    let group = new_group(&alice).await;
    let mut log = bob.group_events(&group, 0);
    let error = log.next().await.unwrap().unwrap_err();
    assert_eq!(error.problem(), Some(ProblemKind::NotFound));
    assert!(log.next().await.is_none());
    service.stop().await;
}

#[tokio::test]
async fn a_device_that_is_revoked_hears_of_it() {
    let service = Service::start().await;
    let alice = service.device("alice").await;
    let mut mailbox = alice.mailbox_events(0);
    let envelope = Envelope::seal(b"one").unwrap();
    let (item, posted) = tokio::join!(mailbox.next(), alice.post(alice.device(), &envelope));
    posted.unwrap();
    item.unwrap().unwrap();
    alice.revoke(alice.device()).await.unwrap();
    let error = mailbox.next().await.unwrap().unwrap_err();
    assert_eq!(error.problem(), Some(ProblemKind::UnknownDevice));
    assert!(mailbox.next().await.is_none());
    service.stop().await;
}
