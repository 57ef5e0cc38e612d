//! Mailboxes.

use paired_mls_api::{EnvelopeFor, MailboxPage, ProblemKind, PublishCommit, path};

use crate::{
    backend::{Backend, Replica, on_both},
    device::{Answer, Device},
    messages::*,
};

on_both!(
    items_stay_until_they_are_dropped,
    strangers_cannot_fill_a_mailbox,
    a_full_mailbox_does_not_keep_a_partner_from_committing,
    items_expire,
);

async fn post(replica: &Replica, from: &Device, to: &Device, content: &[u8]) -> Answer {
    let path = path::of_device(path::DEVICE_MAILBOX, &to.id);
    from.send(replica, "POST", &path, "application/octet-stream", envelope(content).0).await
}

async fn items(replica: &Replica, device: &Device, query: &str) -> Vec<u64> {
    let page: MailboxPage =
        device.get(replica, &format!("{}{query}", path::MAILBOX)).await.json(200);
    page.items.into_iter().map(|item| item.position).collect()
}

async fn items_stay_until_they_are_dropped(backend: Backend) {
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let bob = Device::registered(&replica, "bob").await;
    for content in [b"one", b"two", b"six"] {
        post(&replica, &alice, &bob, content).await.done();
    }
    let all = items(&replica, &bob, "").await;
    let [one, two, three] = all[..] else { panic!("{all:?}") };
    assert!(one < two && two < three);
    assert_eq!(items(&replica, &bob, &format!("?after={one}&limit=1")).await, [two]);
    assert_eq!(items(&replica, &alice, "").await, [0; 0]);
    bob.delete(&replica, &format!("/v1/mailbox?through={two}")).await.done();
    assert_eq!(items(&replica, &bob, "").await, [three]);
    bob.delete(&replica, &format!("/v1/mailbox?through={three}")).await.done();
    // Positions never repeat.
    post(&replica, &alice, &bob, b"ten").await.done();
    let rest = items(&replica, &bob, "").await;
    assert!(rest.len() == 1 && rest[0] > three);

    let nobody = Device::new("nobody");
    let problem = post(&replica, &alice, &nobody, b"x").await;
    assert_eq!(problem.problem(ProblemKind::UnknownRecipient).device, Some(nobody.id));
    bob.delete(&replica, path::MAILBOX).await.problem(ProblemKind::Malformed);
}

async fn strangers_cannot_fill_a_mailbox(mut backend: Backend) {
    backend.config.limits.mailbox_items = 4;
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let partner = alice.sibling(&replica).await;
    let stranger = Device::registered(&replica, "stranger").await;
    for _ in 0..2 {
        post(&replica, &stranger, &alice, b"spam").await.done();
    }
    let full = post(&replica, &stranger, &alice, b"spam").await;
    assert_eq!(full.problem(ProblemKind::Full).device.as_ref(), Some(&alice.id));
    for _ in 0..2 {
        post(&replica, &partner, &alice, b"notify").await.done();
    }
    post(&replica, &partner, &alice, b"notify").await.problem(ProblemKind::Full);
}

async fn a_full_mailbox_does_not_keep_a_partner_from_committing(mut backend: Backend) {
    backend.config.limits.mailbox_items = 2;
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let asleep = alice.sibling(&replica).await;
    let bob = Device::registered(&replica, "bob").await;
    let group = new_group(&replica, &alice, paired_mls_api::Access::Roster).await;
    for epoch in 0..4 {
        win(&replica, &alice, &group, &publish(&group, epoch)).await;
    }
    assert_eq!(items(&replica, &asleep, "").await.len(), 2);
    // What is addressed to others has to arrive.
    let to_bob = EnvelopeFor { recipient: bob.id.clone(), envelope: envelope(b"hello") };
    let commit = PublishCommit { envelopes: vec![to_bob; 3], ..publish(&group, 4) };
    let full = send(&replica, &alice, &group, &commit).await.problem(ProblemKind::Full);
    assert_eq!(full.device.as_ref(), Some(&bob.id));
    assert_eq!(items(&replica, &bob, "").await, [0; 0]);
}

async fn items_expire(mut backend: Backend) {
    backend.config.limits.mailbox_seconds = 3600;
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let bob = Device::registered(&replica, "bob").await;
    post(&replica, &alice, &bob, b"old").await.done();
    backend.clock.forward(3000);
    post(&replica, &alice, &bob, b"new").await.done();
    let both = items(&replica, &bob, "").await;
    backend.clock.forward(601);
    replica.state.sweep().await.unwrap();
    assert_eq!(items(&replica, &bob, "").await, both[1..]);
}
