//! Users and devices.

use paired_mls_api::{
    Approval, ApprovalView, DeviceView, ProblemKind, RegisterDevice, RequestKey as _, RevokeDevice,
    UserView, path,
};

use crate::{
    backend::{Backend, Replica, on_both},
    device::{Answer, Device},
};

const DAY: u64 = 24 * 60 * 60;

async fn approve(replica: &Replica, by: &Device, device: &Device) -> Answer {
    by.post(replica, path::APPROVALS, &Approval { device: device.id.clone() }).await
}

async fn approvals(replica: &Replica, by: &Device) -> Vec<ApprovalView> {
    by.get(replica, path::APPROVALS).await.json(200)
}

on_both!(
    a_further_device_is_approved_by_one_that_is_there,
    the_key_in_the_request_has_signed_it,
    a_user_revokes_its_own_devices_only,
    of_two_first_devices_one_is_the_first,
    an_approval_ends_after_a_day,
    approvals_are_listed_and_withdrawn,
    an_approval_ends_with_the_device_that_gave_it,
    approvals_that_have_ended_leave_room,
);

async fn a_further_device_is_approved_by_one_that_is_there(backend: Backend) {
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    // Again: the same answer.
    let view: DeviceView = alice.register(&replica).await.json(201);
    assert_eq!((&view.device, view.revoked_at), (&alice.id, None));

    let thief = Device::new("alice");
    let problem = thief.register(&replica).await.problem(ProblemKind::NotApproved);
    assert_eq!(problem.device.as_ref(), Some(&thief.id));
    let second = alice.sibling(&replica).await;
    // The approval was for one registration of one device.
    thief.register(&replica).await.problem(ProblemKind::NotApproved);
    // Nobody approves a device of another user.
    let bob = Device::registered(&replica, "bob").await;
    bob.post(&replica, path::APPROVALS, &Approval { device: thief.id.clone() }).await.done();
    thief.register(&replica).await.problem(ProblemKind::NotApproved);

    let user: UserView = bob.get(&replica, &path::of_user(&alice.user)).await.json(200);
    let mut expected = vec![alice.id.clone(), second.id.clone()];
    expected.sort();
    assert_eq!(user.devices.into_iter().map(|d| d.device).collect::<Vec<_>>(), expected);
    let unknown = path::of_user(&Device::new("carol").user);
    bob.get(&replica, &unknown).await.problem(ProblemKind::NotFound);
}

async fn the_key_in_the_request_has_signed_it(backend: Backend) {
    let replica = backend.replica().await;
    let (alice, other) = (Device::new("alice"), Device::new("alice"));
    let body = |key: Vec<u8>| RegisterDevice {
        user: alice.user.clone(),
        scheme: alice.scheme(),
        signature_key: key.into(),
    };
    let foreign = alice.post(&replica, path::DEVICES, &body(other.public_key())).await;
    foreign.problem(ProblemKind::Malformed);
    let short = alice.post(&replica, path::DEVICES, &body(vec![1; 31])).await;
    short.problem(ProblemKind::Malformed);
    // The key of a device belongs to one user for ever.
    let alice = Device::registered(&replica, "alice").await;
    let as_bob = Device { user: Device::new("bob").user, ..alice };
    as_bob.register(&replica).await.problem(ProblemKind::Forbidden);
}

async fn a_user_revokes_its_own_devices_only(backend: Backend) {
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let bob = Device::registered(&replica, "bob").await;
    let path = path::of_device(path::DEVICE, &alice.id);
    bob.delete(&replica, &path).await.problem(ProblemKind::NotFound);
    let second = alice.sibling(&replica).await;
    let first: RevokeDevice = second.delete(&replica, &path).await.json(200);
    backend.clock.forward(60);
    let again: RevokeDevice = second.delete(&replica, &path).await.json(200);
    assert_eq!(first, again);
    let view: DeviceView = bob.get(&replica, &path).await.json(200);
    assert_eq!(view.revoked_at, Some(first.revoked_at));
}

async fn of_two_first_devices_one_is_the_first(backend: Backend) {
    let (one, two) = (backend.replica().await, backend.replica().await);
    for round in 0..8 {
        let (a, b) = (Device::new(&format!("user{round}")), Device::new(&format!("user{round}")));
        let (a, b) = tokio::join!(a.register(&one), b.register(&two));
        let (winner, loser) = if a.status == 201 { (a, b) } else { (b, a) };
        assert_eq!(winner.status, 201);
        loser.problem(ProblemKind::NotApproved);
    }
}

async fn an_approval_ends_after_a_day(backend: Backend) {
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let (late, timely) = (Device::new("alice"), Device::new("alice"));
    approve(&replica, &alice, &late).await.done();
    approve(&replica, &alice, &timely).await.done();
    backend.clock.forward(DAY);
    assert_eq!(timely.register(&replica).await.status, 201);
    backend.clock.forward(1);
    assert_eq!(approvals(&replica, &alice).await, []);
    late.register(&replica).await.problem(ProblemKind::NotApproved);
    // Given again, it is good for another day, and so it is when it is given in time.
    for _ in 0..2 {
        approve(&replica, &alice, &late).await.done();
        backend.clock.forward(DAY - 10);
    }
    assert!(replica.state.sweep().await.is_ok());
    assert_eq!(late.register(&replica).await.status, 201);
}

async fn approvals_are_listed_and_withdrawn(backend: Backend) {
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let second = alice.sibling(&replica).await;
    let bob = Device::registered(&replica, "bob").await;
    let (one, two) = (Device::new("alice"), Device::new("alice"));
    approve(&replica, &alice, &one).await.done();
    approve(&replica, &second, &two).await.done();
    let expires_at = paired_mls_service::Clock::now(&*replica.clock) + DAY;
    let view = |device: &Device, by: &Device| ApprovalView {
        device: device.id.clone(),
        approved_by: Some(by.id.clone()),
        expires_at,
    };
    let mut expected = vec![view(&one, &alice), view(&two, &second)];
    expected.sort_by(|a, b| a.device.cmp(&b.device));
    // Any device of the user sees them, and nobody else.
    assert_eq!(approvals(&replica, &alice).await, expected);
    assert_eq!(approvals(&replica, &second).await, expected);
    assert_eq!(approvals(&replica, &bob).await, []);
    // And takes them back.
    let path = path::of_device(path::APPROVAL, &one.id);
    bob.delete(&replica, &path).await.done();
    assert_eq!(approvals(&replica, &alice).await, expected);
    second.delete(&replica, &path).await.done();
    second.delete(&replica, &path).await.done();
    assert_eq!(approvals(&replica, &alice).await, [view(&two, &second)]);
    one.register(&replica).await.problem(ProblemKind::NotApproved);
    // One that is used is none any more.
    assert_eq!(two.register(&replica).await.status, 201);
    assert_eq!(approvals(&replica, &alice).await, []);
}

async fn an_approval_ends_with_the_device_that_gave_it(backend: Backend) {
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let stolen = alice.sibling(&replica).await;
    let (of_thief, of_alice) = (Device::new("alice"), Device::new("alice"));
    approve(&replica, &stolen, &of_thief).await.done();
    approve(&replica, &alice, &of_alice).await.done();
    let path = path::of_device(path::DEVICE, &stolen.id);
    assert_eq!(alice.delete(&replica, &path).await.status, 200);
    of_thief.register(&replica).await.problem(ProblemKind::NotApproved);
    assert_eq!(of_alice.register(&replica).await.status, 201);
}

async fn approvals_that_have_ended_leave_room(mut backend: Backend) {
    backend.config.limits.devices = 3;
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let others: Vec<_> = (0..4).map(|_| Device::new("alice")).collect();
    for device in &others[..3] {
        approve(&replica, &alice, device).await.done();
    }
    approve(&replica, &alice, &others[3]).await.problem(ProblemKind::Full);
    // One that is there is given again.
    approve(&replica, &alice, &others[0]).await.done();
    backend.clock.forward(DAY + 1);
    approve(&replica, &alice, &others[3]).await.done();
}
