//! What the service does not take.

use std::time::Duration;

use axum::{body::Body, http::Request};
use paired_mls_api::{
    Access, Approval, ApprovalView, GroupId, JSON, ProblemKind, PublishCommit, RegisterDevice,
    RequestKey as _, WelcomeFor, path,
};
use paired_mls_service::{Admin, Clock as _, Config, LimitError, Limits, Server, StartError};
use tower::ServiceExt as _;

use crate::{
    backend::{Backend, Replica, on_both},
    device::{Answer, Device},
    messages::*,
};

on_both!(
    bodies_are_bounded,
    bodies_are_taken_up_to_the_limit,
    rates_are_bounded,
    what_was_refused_for_a_while_cannot_be_sent_again,
    devices_are_bounded,
    recipients_are_bounded,
    what_one_request_writes_is_bounded,
    the_devices_of_the_account_count_too,
);

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

async fn bodies_are_taken_up_to_the_limit(backend: Backend) {
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let group = new_group(&replica, &alice, Access::Roster).await;
    let messages = path::of_group(path::GROUP_MESSAGES, &group);
    let limit = backend.config.limits.body;
    // Two MiB is what the library under the service would take.
    for length in [(2 << 20) + 1, limit] {
        let answer = alice.post_mls(&replica, &messages, &vec![0; length]).await;
        answer.problem(ProblemKind::InvalidMessage);
    }
    let longer = alice.post_mls(&replica, &messages, &vec![0; limit + 1]).await;
    longer.problem(ProblemKind::TooLarge);
}

/// A commit that welcomes as many strangers, each with a copy of an envelope of this content.
fn welcoming(group: &GroupId, count: usize, content: &[u8]) -> PublishCommit {
    let recipients = (0..count).map(|_| Device::new("nobody").id).collect();
    let welcomes = vec![WelcomeFor { recipients, envelope: envelope(content) }];
    PublishCommit { welcomes, ..publish(group, 0) }
}

async fn what_one_request_writes_is_bounded(mut backend: Backend) {
    backend.config.limits.written = 64 << 10;
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let group = new_group(&replica, &alice, Access::Roster).await;
    // Before anything is looked up: also for a group that is not there.
    let nowhere = GroupId::new(*b"nowhere").unwrap();
    for group in [&group, &nowhere] {
        let sent = welcoming(group, 5, &[7; 10_000]);
        let problem = send(&replica, &alice, group, &sent).await.problem(ProblemKind::TooLarge);
        assert!(problem.detail.unwrap().contains("65536 bytes"));
    }
    let sent = welcoming(&group, 3, &[7; 10_000]);
    send(&replica, &alice, &group, &sent).await.problem(ProblemKind::UnknownRecipient);
    let sent = welcoming(&nowhere, 14_000, b"short");
    send(&replica, &alice, &nowhere, &sent).await.problem(ProblemKind::Full);
}

async fn the_devices_of_the_account_count_too(mut backend: Backend) {
    backend.config.limits.written = 3 << 10;
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let group = new_group(&replica, &alice, Access::Roster).await;
    for epoch in 0..3 {
        win(&replica, &alice, &group, &publish(&group, epoch)).await;
        alice.sibling(&replica).await;
    }
    send(&replica, &alice, &group, &publish(&group, 3)).await.problem(ProblemKind::TooLarge);
}

#[tokio::test]
async fn limits_that_nothing_could_keep_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("service.db").display());
    let zero: [fn(&mut Limits); 5] = [
        |limits| limits.page = 0,
        |limits| limits.body = 0,
        |limits| limits.subscriptions = 0,
        |limits| limits.request_burst = 0,
        |limits| limits.body = 1 << 30,
    ];
    for change in zero {
        let mut config = Config::new(([127, 0, 0, 1], 0).into(), url.clone());
        change(&mut config.limits);
        let refused = Server::start(&config).await.unwrap_err();
        assert!(matches!(refused, StartError::Limit(LimitError { .. })), "{refused}");
    }
    assert_eq!(Limits::default().check(), Ok(()));
}

/// Somebody who sees requests inside of TLS sends again what was refused, once there is room.
async fn what_was_refused_for_a_while_cannot_be_sent_again(mut backend: Backend) {
    backend.config.limits.requests_per_second = 1;
    backend.config.limits.request_burst = 2;
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let approval = Approval { device: Device::new("alice").id };
    let body = serde_json::to_vec(&approval).unwrap();
    let send =
        async |request| Answer::of(replica.app.clone().oneshot(request).await.unwrap()).await;
    let twice = |by: &Device, path, body: &[u8]| {
        let (parts, _) =
            by.request(backend.clock.now(), "POST", path, JSON, body.to_vec()).into_parts();
        [(); 2].map(|()| Request::from_parts(parts.clone(), Body::from(body.to_vec())))
    };
    // Of a device, and of one that registers.
    let new = Device::new("alice");
    let registration = RegisterDevice {
        user: new.user.clone(),
        scheme: new.scheme(),
        signature_key: new.public_key().into(),
    };
    let registration = serde_json::to_vec(&registration).unwrap();
    let mut refused = Vec::new();
    for (by, path, body) in [(&alice, path::APPROVALS, &body), (&new, path::DEVICES, &registration)]
    {
        loop {
            let [first, again] = twice(by, path, body);
            if send(first).await.problem_of() == Some(ProblemKind::TooFast) {
                break refused.push((by, again));
            }
        }
    }
    let before: Vec<ApprovalView> = within(&replica, &alice).await;
    let taken = before.first().map(|approval| approval.expires_at);
    backend.clock.forward(1);
    for (by, again) in refused {
        // Until there is room.
        let asks = async || by.get(&replica, path::MAILBOX).await.problem_of();
        while asks().await == Some(ProblemKind::TooFast) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
        send(again).await.problem(ProblemKind::Replayed);
    }
    let after: Vec<ApprovalView> = within(&replica, &alice).await;
    assert_eq!(after.first().map(|approval| approval.expires_at), taken, "nothing was renewed");

    // The same where the user was shut out for a while.
    let admin = Admin::open(&backend.config.database, backend.clock.clone()).await.unwrap();
    admin.ban(&alice.user).await.unwrap();
    let [first, again] = twice(&alice, path::APPROVALS, &body);
    send(first).await.problem(ProblemKind::Banned);
    admin.unban(&alice.user).await.unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    send(again).await.problem(ProblemKind::Replayed);
}

/// The approvals of a user, once there is room to ask.
async fn within(replica: &Replica, device: &Device) -> Vec<ApprovalView> {
    loop {
        let answer = device.get(replica, path::APPROVALS).await;
        if answer.problem_of() != Some(ProblemKind::TooFast) {
            return answer.json(200);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
