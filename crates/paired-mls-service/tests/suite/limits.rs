//! What the service does not take.

use paired_mls_api::{Access, Approval, ProblemKind, path};

use crate::{
    backend::{Backend, on_both},
    device::Device,
    messages::*,
};

on_both!(bodies_are_bounded, rates_are_bounded, devices_are_bounded, recipients_are_bounded);

async fn bodies_are_bounded(mut backend: Backend) {
    backend.config.limits.body = 4096;
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let group = new_group(&replica, &alice, Access::Roster).await;
    let messages = path::of_group(path::GROUP_MESSAGES, &group);
    let long = alice.post_mls(&replica, &messages, &[0; 4097]).await;
    long.problem(ProblemKind::TooLarge);
    let short = alice.post_mls(&replica, &messages, &[0; 4096]).await;
    short.problem(ProblemKind::InvalidMessage);
}

async fn rates_are_bounded(mut backend: Backend) {
    backend.config.limits.requests_per_second = 1;
    backend.config.limits.request_burst = 3;
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let bob = Device::registered(&replica, "bob").await;
    for _ in 0..2 {
        assert_eq!(alice.get(&replica, path::MAILBOX).await.status, 200);
    }
    let problem = alice.get(&replica, path::MAILBOX).await.problem(ProblemKind::TooFast);
    assert_eq!(problem.retry_after, Some(1));
    // Each device has its own limit.
    assert_eq!(bob.get(&replica, path::MAILBOX).await.status, 200);
}

async fn devices_are_bounded(mut backend: Backend) {
    backend.config.limits.devices = 2;
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    alice.sibling(&replica).await;
    let third = Device::new("alice");
    alice.post(&replica, path::APPROVALS, &Approval { device: third.id.clone() }).await.done();
    third.register(&replica).await.problem(ProblemKind::Full);
}

async fn recipients_are_bounded(mut backend: Backend) {
    backend.config.limits.recipients = 1;
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let bob = Device::registered(&replica, "bob").await;
    let group = new_group(&replica, &alice, Access::Roster).await;
    let two = adding(&group, 0, &[&alice, &bob]);
    send(&replica, &alice, &group, &two).await.problem(ProblemKind::Full);
    win(&replica, &alice, &group, &adding(&group, 0, &[&bob])).await;
}
