//! Users and devices.

use paired_mls_api::{
    Approval, DeviceView, ProblemKind, RegisterDevice, RequestKey as _, RevokeDevice, UserView,
    path,
};

use crate::{
    backend::{Backend, on_both},
    device::Device,
};

on_both!(
    a_further_device_is_approved_by_one_that_is_there,
    the_key_in_the_request_has_signed_it,
    a_user_revokes_its_own_devices_only,
    of_two_first_devices_one_is_the_first,
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
