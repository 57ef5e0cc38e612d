//! What nobody uses ends, and those whom it concerns are told.

use paired_mls::PairingId;
use paired_mls_api::{
    Access, DeviceView, GroupId, GroupView, LogPage, OldDevices, PairingState, PairingView,
    Problem, ProblemKind, Recover, Recovered, RecoveryKeyView, RequestKey as _, path,
};
use paired_mls_service::Admin;

use crate::{
    backend::{Backend, Replica, on_both},
    device::{Device, random},
    key_packages::future_package,
    messages::*,
    pairings::{ask, request},
    subscriptions::Reader,
};

on_both!(
    a_group_that_nobody_uses_ends,
    a_group_that_is_used_stays,
    a_group_that_somebody_needs_stays,
    a_user_that_is_not_seen_ends,
    a_user_that_has_ended_comes_back_by_its_paper,
    a_user_that_has_ended_is_freed,
    who_listens_uses_the_account_and_the_group,
    a_user_that_something_needs_stays,
    a_pairing_that_does_not_come_about_ends,
    a_service_that_does_not_run_ends_nothing,
);

const DAY: u64 = 24 * 60 * 60;

/// Days go by, and on each it is looked what has ended.
async fn days(backend: &Backend, replica: &Replica, days: u64) {
    for _ in 0..days {
        backend.clock.forward(DAY);
        replica.state.sweep().await.unwrap();
    }
}

/// A device that has read a log to its end.
async fn read_all(replica: &Replica, device: &Device, group: &GroupId) {
    let log = path::of_group(path::GROUP_MESSAGES, group);
    let page: LogPage = device.get(replica, &log).await.json(200);
    device.get(replica, &format!("{log}?after={}", page.head)).await.json::<LogPage>(200);
    replica.state.sweep().await.unwrap();
}

/// A user that has ended, with its recovery key, and without the device that it had.
async fn ended(backend: &mut Backend) -> (Replica, Device, Device) {
    backend.config.limits.user_days = Some(30);
    let replica = backend.replica().await;
    let (alice, paper) = (Device::registered(&replica, "alice").await, Device::new("paper"));
    crate::recovery::put(&replica, &alice, &paper).await.done();
    days(backend, &replica, 32).await;
    alice.get(&replica, path::MAILBOX).await.problem(ProblemKind::UnknownDevice);
    (replica, alice, paper)
}

/// The paper is all that is left after years: it is as good as before.
async fn a_user_that_has_ended_comes_back_by_its_paper(mut backend: Backend) {
    let (replica, alice, paper) = ended(&mut backend).await;
    let new = Device::new("alice");
    let recover = async |paper: &Device| {
        let (user, device) = (alice.user.clone(), new.id.clone());
        let recover = Recover { user, device, old_devices: OldDevices::Keep };
        paper.post(&replica, path::RECOVERY, &recover).await
    };
    recover(&Device::new("paper")).await.problem(ProblemKind::NotRecoverable);
    new.register(&replica).await.problem(ProblemKind::Ended);
    recover(&paper).await.json::<Recovered>(200);
    Device::new("alice").register(&replica).await.problem(ProblemKind::NotApproved);
    assert_eq!(new.register(&replica).await.status, 201);
    let key: RecoveryKeyView = new.get(&replica, path::RECOVERY_KEY).await.json(200);
    assert_eq!(key.signature_key, Some(paper.public_key().into()), "it is good for the next time");
    // It ends again, and its device comes back by itself: the key is still there.
    days(&backend, &replica, 32).await;
    new.get(&replica, path::MAILBOX).await.problem(ProblemKind::UnknownDevice);
    assert_eq!(new.register(&replica).await.status, 201);
    let key: RecoveryKeyView = new.get(&replica, path::RECOVERY_KEY).await.json(200);
    assert_eq!(key.signature_key, Some(paper.public_key().into()));
}

/// Nothing is left of it, and the operator knows who it is.
async fn a_user_that_has_ended_is_freed(mut backend: Backend) {
    let (replica, alice, paper) = ended(&mut backend).await;
    let admin = Admin::open(&backend.config.database, backend.clock.clone()).await.unwrap();
    let new = Device::new("alice");
    let keep = paired_mls_service::OldDevices::Kept;
    assert_eq!(admin.free(&Device::new("bob").user, &new.id, keep).await.unwrap(), None);
    assert_eq!(admin.free(&alice.user, &new.id, keep).await.unwrap(), Some(0));
    Device::new("alice").register(&replica).await.problem(ProblemKind::NotApproved);
    assert_eq!(new.register(&replica).await.status, 201);
    let key: RecoveryKeyView = new.get(&replica, path::RECOVERY_KEY).await.json(200);
    assert_eq!(key.signature_key, Some(paper.public_key().into()));
}

/// A subscription that stays open for years is use, for as long as it is open.
async fn who_listens_uses_the_account_and_the_group(mut backend: Backend) {
    backend.config.limits.user_days = Some(30);
    backend.config.limits.group_days = Some(30);
    let replica = backend.replica().await;
    let (alice, bob, group) = two(&replica).await;
    let eve = Device::registered(&replica, "eve").await;
    let mailbox = Reader::open(&replica, &eve, path::MAILBOX_EVENTS, None).await;
    let log = Reader::log(&replica, &bob, &group, 1).await;
    days(&backend, &replica, 100).await;
    assert!(is_there(&replica, &alice, &group).await);
    assert_eq!(eve.get(&replica, path::MAILBOX).await.status, 200);
    drop((mailbox, log));
    // What was open is closed, and then it is as for everybody.
    days(&backend, &replica, 32).await;
    let gone = alice.get(&replica, &path::of_group(path::GROUP, &group)).await;
    assert_ne!(gone.status, 200, "the group, and then the account");
    eve.get(&replica, path::MAILBOX).await.problem(ProblemKind::UnknownDevice);
}

/// Whether a group is there: a question that does not use it.
async fn is_there(replica: &Replica, device: &Device, group: &GroupId) -> bool {
    let answer = device.get(replica, &path::of_group(path::GROUP, group)).await;
    match answer.status.as_u16() {
        200 => answer.json::<GroupView>(200).group == *group,
        _ => answer.problem(ProblemKind::Ended).detail.is_none(),
    }
}

/// Alice and Bob in a group, of which both have read all.
async fn two(replica: &Replica) -> (Device, Device, GroupId) {
    let alice = Device::registered(replica, "alice").await;
    let bob = Device::registered(replica, "bob").await;
    let group = new_group(replica, &alice, Access::Roster).await;
    win(replica, &alice, &group, &adding(&group, 0, &[&bob])).await;
    read_all(replica, &alice, &group).await;
    read_all(replica, &bob, &group).await;
    (alice, bob, group)
}

async fn a_group_that_nobody_uses_ends(mut backend: Backend) {
    backend.config.limits.group_days = Some(30);
    let replica = backend.replica().await;
    let (alice, bob, group) = two(&replica).await;
    let mallory = Device::registered(&replica, "mallory").await;
    days(&backend, &replica, 30).await;
    assert!(is_there(&replica, &alice, &group).await);
    days(&backend, &replica, 1).await;
    // Each of those who were in it is told why, and what to do, whatever they ask; a stranger learns nothing.
    let at = |pattern| path::of_group(pattern, &group);
    for device in [&alice, &bob] {
        for pattern in [path::GROUP, path::GROUP_MESSAGES, path::GROUP_INFO, path::GROUP_EVENTS] {
            let problem: Problem =
                device.get(&replica, &at(pattern)).await.problem(ProblemKind::Ended);
            let told = problem.detail.unwrap();
            assert!(told.contains("nobody read") && told.contains("new group"), "{told}");
        }
        let commit = send(&replica, device, &group, &publish(&group, 1)).await;
        commit.problem(ProblemKind::Ended);
        let message = application(&group, 1);
        let said = device.post_mls(&replica, &at(path::GROUP_MESSAGES), &message).await;
        said.problem(ProblemKind::Ended);
    }
    mallory.get(&replica, &at(path::GROUP)).await.problem(ProblemKind::NotFound);
    send(&replica, &mallory, &group, &publish(&group, 1)).await.problem(ProblemKind::NotFound);
    // It is not told for ever.
    backend.clock.forward(3 * 366 * DAY);
    replica.state.sweep().await.unwrap();
    assert!(matches!(
        alice.get(&replica, &at(path::GROUP)).await.problem_of(),
        Some(ProblemKind::Ended)
    ));
    days(&backend, &replica, 1).await;
    alice.get(&replica, &at(path::GROUP)).await.problem(ProblemKind::NotFound);
}

async fn a_group_that_is_used_stays(mut backend: Backend) {
    backend.config.limits.group_days = Some(30);
    let replica = backend.replica().await;
    let (alice, bob, group) = two(&replica).await;
    // By somebody who only reads, and by somebody who writes.
    days(&backend, &replica, 20).await;
    read_all(&replica, &bob, &group).await;
    days(&backend, &replica, 20).await;
    assert!(is_there(&replica, &alice, &group).await);
    win(&replica, &alice, &group, &publish(&group, 1)).await;
    read_all(&replica, &alice, &group).await;
    read_all(&replica, &bob, &group).await;
    days(&backend, &replica, 30).await;
    assert!(is_there(&replica, &alice, &group).await);
    let message = application(&group, 2);
    let messages = path::of_group(path::GROUP_MESSAGES, &group);
    assert_eq!(alice.post_mls(&replica, &messages, &message).await.status, 201);
    read_all(&replica, &alice, &group).await;
    read_all(&replica, &bob, &group).await;
    days(&backend, &replica, 30).await;
    assert!(is_there(&replica, &alice, &group).await);
    days(&backend, &replica, 1).await;
    assert!(!is_there(&replica, &alice, &group).await);
}

/// A device that sleeps finds its group after years, unless the operator says otherwise.
async fn a_group_that_somebody_needs_stays(mut backend: Backend) {
    backend.config.limits.group_days = Some(30);
    let replica = backend.replica().await;
    let (alice, bob, group) = two(&replica).await;
    // Bob has not read the last one.
    win(&replica, &alice, &group, &publish(&group, 1)).await;
    read_all(&replica, &alice, &group).await;
    // And here nobody of Carol's ever has.
    let carol = Device::registered(&replica, "carol").await;
    let other = new_group(&replica, &alice, Access::Roster).await;
    win(&replica, &alice, &other, &adding(&other, 0, &[&carol])).await;
    read_all(&replica, &alice, &other).await;
    days(&backend, &replica, 100).await;
    assert!(is_there(&replica, &bob, &group).await);
    assert!(is_there(&replica, &carol, &other).await);
    let log: LogPage =
        bob.get(&replica, &path::of_group(path::GROUP_MESSAGES, &group)).await.json(200);
    assert_eq!(log.head, 2);
    // One whose device was revoked needs nothing.
    let gone = path::of_device(path::DEVICE, &carol.id);
    assert_eq!(carol.delete(&replica, &gone).await.status, 200);
    days(&backend, &replica, 1).await;
    assert!(!is_there(&replica, &alice, &other).await);
    let mut backend = backend;
    backend.config.limits.group_unread_days = Some(60);
    let replica = backend.replica().await;
    days(&backend, &replica, 59).await;
    assert!(is_there(&replica, &bob, &group).await);
    days(&backend, &replica, 1).await;
    assert!(!is_there(&replica, &bob, &group).await);
}

async fn a_user_that_is_not_seen_ends(mut backend: Backend) {
    backend.config.limits.user_days = Some(30);
    let replica = backend.replica().await;
    let eve = Device::registered(&replica, "eve").await;
    let second = eve.sibling(&replica).await;
    let lost = eve.sibling(&replica).await;
    assert_eq!(eve.delete(&replica, &path::of_device(path::DEVICE, &lost.id)).await.status, 200);
    let alice = Device::registered(&replica, "alice").await;
    days(&backend, &replica, 20).await;
    // One request by any of its devices is use.
    assert_eq!(second.get(&replica, path::MAILBOX).await.status, 200);
    days(&backend, &replica, 30).await;
    assert_eq!(alice.get(&replica, path::MAILBOX).await.status, 401, "she was not seen");
    let bob = Device::registered(&replica, "bob").await;
    let view =
        async |device: &Device| bob.get(&replica, &path::of_device(path::DEVICE, &device.id)).await;
    view(&eve).await.json::<DeviceView>(200);
    days(&backend, &replica, 1).await;
    view(&eve).await.problem(ProblemKind::NotFound);
    for device in [&eve, &second] {
        let problem = device.get(&replica, path::MAILBOX).await.problem(ProblemKind::UnknownDevice);
        let told = problem.detail.unwrap();
        assert!(told.contains("no device of the account") && told.contains("register"), "{told}");
    }
    // Nobody else takes the name, nor does a device that was revoked; its own devices do.
    let told = Device::new("eve").register(&replica).await.problem(ProblemKind::Ended).detail;
    assert!(told.unwrap().contains("another name"));
    lost.register(&replica).await.problem(ProblemKind::Ended);
    assert_eq!(second.register(&replica).await.status, 201);
    assert_eq!(second.get(&replica, path::MAILBOX).await.status, 200);
    // The others come back by its approval, as ever.
    eve.register(&replica).await.problem(ProblemKind::NotApproved);
    let approval = paired_mls_api::Approval { device: eve.id.clone() };
    second.post(&replica, path::APPROVALS, &approval).await.done();
    assert_eq!(eve.register(&replica).await.status, 201);
}

async fn a_user_that_something_needs_stays(mut backend: Backend) {
    backend.config.limits.user_days = Some(30);
    let replica = backend.replica().await;
    // In a group; with a KeyPackage whose time begins in a month, as a device that only receives; paired with somebody who
    // is seen.
    let (alice, bob, _) = two(&replica).await;
    let sensor = Device::registered(&replica, "sensor").await;
    future_package(&replica, &sensor, replica_now(&backend)).await;
    let partner = Device::registered(&replica, "partner").await;
    let active = Device::registered(&replica, "active").await;
    let pairing = PairingId(random());
    let wish = request(pairing, &[&partner, &active]);
    assert_eq!(ask(&replica, &partner, &wish).await.status, 202);
    assert_eq!(ask(&replica, &active, &wish).await.status, 200);
    let nobody = Device::registered(&replica, "nobody").await;
    for _ in 0..5 {
        days(&backend, &replica, 20).await;
        assert_eq!(active.get(&replica, path::MAILBOX).await.status, 200);
    }
    let known = async |device: &Device| {
        active.get(&replica, &path::of_device(path::DEVICE, &device.id)).await.status.as_u16()
    };
    for device in [&alice, &bob, &sensor, &partner] {
        assert_eq!(known(device).await, 200, "{:?}", device.user);
    }
    assert_eq!(known(&nobody).await, 404);
    let view: PairingView = partner.get(&replica, &path::of_pairing(&pairing.0)).await.json(200);
    assert_eq!(view.state, PairingState::Registered);
    // Once its last KeyPackage has ended, nobody can add it any more.
    days(&backend, &replica, 20).await;
    assert_eq!(active.get(&replica, path::MAILBOX).await.status, 200);
    assert_eq!(known(&sensor).await, 404);
}

fn replica_now(backend: &Backend) -> u64 {
    paired_mls_service::Clock::now(&*backend.clock)
}

async fn a_pairing_that_does_not_come_about_ends(mut backend: Backend) {
    backend.config.limits.pairing_days = Some(30);
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let bob = Device::registered(&replica, "bob").await;
    let [waiting, registered] = [PairingId(random()), PairingId(random())];
    let at = |pairing: &PairingId| path::of_pairing(&pairing.0);
    let wish = request(waiting, &[&alice, &bob]);
    assert_eq!(ask(&replica, &alice, &wish).await.status, 202);
    let done = request(registered, &[&alice, &bob]);
    assert_eq!(ask(&replica, &alice, &done).await.status, 202);
    assert_eq!(ask(&replica, &bob, &done).await.status, 200);
    replica.state.sweep().await.unwrap();
    days(&backend, &replica, 30).await;
    assert_eq!(alice.get(&replica, &at(&waiting)).await.status, 200);
    days(&backend, &replica, 1).await;
    let told = alice.get(&replica, &at(&waiting)).await.problem(ProblemKind::Ended).detail.unwrap();
    assert!(told.contains("pair again"), "{told}");
    bob.get(&replica, &at(&waiting)).await.problem(ProblemKind::NotFound);
    // One that has come about stays for as long as its devices.
    days(&backend, &replica, 100).await;
    assert_eq!(alice.get(&replica, &at(&registered)).await.status, 200);
    assert_eq!(bob.delete(&replica, &path::of_device(path::DEVICE, &bob.id)).await.status, 200);
    days(&backend, &replica, 30).await;
    assert_eq!(alice.get(&replica, &at(&registered)).await.status, 200);
    days(&backend, &replica, 1).await;
    alice.get(&replica, &at(&registered)).await.problem(ProblemKind::Ended);
}

/// Nobody could have used it while it did not run.
async fn a_service_that_does_not_run_ends_nothing(mut backend: Backend) {
    backend.config.limits.group_days = Some(30);
    backend.config.limits.user_days = Some(30);
    let replica = backend.replica().await;
    let (alice, _, group) = two(&replica).await;
    let eve = Device::registered(&replica, "eve").await;
    replica.state.sweep().await.unwrap();
    backend.clock.forward(1000 * DAY);
    let replica = backend.replica().await;
    replica.state.sweep().await.unwrap();
    assert!(is_there(&replica, &alice, &group).await);
    let view = async || alice.get(&replica, &path::of_device(path::DEVICE, &eve.id)).await;
    assert_eq!(view().await.status, 200);
    days(&backend, &replica, 29).await;
    assert!(is_there(&replica, &alice, &group).await);
    assert_eq!(view().await.status, 200);
    days(&backend, &replica, 2).await;
    assert!(!is_there(&replica, &alice, &group).await);
    view().await.problem(ProblemKind::NotFound);
}
