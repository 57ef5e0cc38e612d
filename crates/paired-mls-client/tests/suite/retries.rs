//! What is made again, and what is not.

use std::collections::BTreeSet;

use paired_mls_api::{Envelope, GroupId, UserId};
use paired_mls_client::{ClientError, Publication};

use crate::{
    cast::{Service, creation, new_group, register},
    faulty::{Fault, Faulty},
    key_packages::with_key_packages,
    messages::{publish, random},
};

#[tokio::test]
async fn what_changes_nothing_is_asked_again_with_a_new_signature() {
    let service = Faulty::start().await;
    let alice = register(&service.server, "alice").await;
    let group = new_group(&alice).await;
    let commit = publish(&group, 0);
    service.next([Fault::Unavailable, Fault::AnswerLost, Fault::AnswerLost]);
    let published = alice.publish_commit(&group, &commit).await.unwrap();
    assert!(matches!(published, Publication::Accepted(published) if published.position == 1));
    let seen = service.seen();
    assert_eq!(seen.len(), 4);
    assert_eq!(seen.into_iter().collect::<BTreeSet<_>>().len(), 4, "a nonce was used twice");
    assert_eq!(alice.group(&group).await.unwrap().head, 1);
}

#[tokio::test]
async fn it_is_asked_a_bounded_number_of_times() {
    let service = Faulty::start().await;
    let alice = register(&service.server, "alice").await;
    service.next([Fault::Unavailable; 5]);
    let error = alice.items(0, None).await.unwrap_err();
    assert!(matches!(error, ClientError::Unavailable { status: 502, .. }), "{error:?}");
    assert!(error.is_transient());
    assert_eq!(service.seen().len(), 5);
}

#[tokio::test]
async fn what_would_take_effect_twice_is_not_asked_again() {
    let service = Faulty::start().await;
    let bob = register(&service.server, "bob").await;
    let (alice, _) = with_key_packages(&service.server, "alice", 3).await;
    for fault in [Fault::AnswerLost, Fault::Unavailable] {
        let said = |error: &ClientError| match error {
            ClientError::NoAnswer { .. } => fault == Fault::AnswerLost,
            ClientError::Unavailable { .. } => fault == Fault::Unavailable,
            _ => false,
        };
        service.next([fault]);
        let envelope = Envelope::seal(b"hello").unwrap();
        let error = bob.post(alice.device(), &envelope).await.unwrap_err();
        assert!(said(&error), "{error:?}");
        assert_eq!(service.seen().len(), 1);

        service.next([fault]);
        let error = bob.claim(alice.device(), 1).await.unwrap_err();
        assert!(said(&error), "{error:?}");
        assert_eq!(service.seen().len(), 1);

        let group = GroupId::of_creator(&UserId::new("bob").unwrap(), random());
        service.next([fault]);
        let error = bob.create_group(&creation(&group)).await.unwrap_err();
        assert!(said(&error), "{error:?}");
        assert_eq!(service.seen().len(), 1);
        // What the error tells to do: look.
        assert_eq!(bob.group(&group).await.is_ok(), fault == Fault::AnswerLost);
    }
    assert_eq!(alice.items(0, None).await.unwrap().items.len(), 1);
    assert_eq!(alice.count().await.unwrap()[0].once, 2);
}

#[tokio::test]
async fn a_client_that_is_too_fast_waits_as_told() {
    let service = Faulty::start().await;
    let alice = register(&service.server, "alice").await;
    // Also what must not be made twice: it was not begun.
    let envelope = Envelope::seal(b"hello").unwrap();
    service.next([Fault::TooFast]);
    alice.post(alice.device(), &envelope).await.unwrap();
    assert_eq!(service.seen().len(), 2);
    assert_eq!(alice.items(0, None).await.unwrap().items.len(), 1);
}

#[tokio::test]
async fn the_limit_of_the_service_is_kept() {
    let service = Service::with(|config, _| {
        config.limits.requests_per_second = 1;
        config.limits.request_burst = 1;
    })
    .await;
    let alice = service.device("alice").await;
    assert_eq!(alice.items(0, None).await.unwrap().items, []);
    service.stop().await;
}

#[tokio::test]
async fn a_client_waits_for_a_service_that_is_started_again() {
    let service = Service::start().await;
    let alice = service.device("alice").await;
    let stopped = service.stop().await;
    let envelope = Envelope::seal(b"hello").unwrap();
    // Nothing was sent: even this is asked for again.
    let (posted, service) = tokio::join!(alice.post(alice.device(), &envelope), stopped.start());
    posted.unwrap();
    assert_eq!(alice.items(0, None).await.unwrap().items.len(), 1);
    service.stop().await;
}
