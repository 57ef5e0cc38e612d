//! Welcomes: whoever adds an account writes to all of its devices.

use paired_mls_api::{
    Access, EnvelopeFor, LogPage, MailboxItem, MailboxPage, ProblemKind, PublishCommit, WelcomeFor,
    path,
};

use crate::{
    backend::{Backend, Replica, on_both},
    device::Device,
    messages::*,
};

on_both!(
    a_welcome_reaches_all_devices_of_its_accounts,
    a_device_out_of_reach_keeps_nobody_out,
    an_account_out_of_reach_is_named,
    each_welcome_has_to_arrive,
    accounts_leave_room_for_one_another,
);

fn welcome(content: &[u8], recipients: &[&Device]) -> WelcomeFor {
    let recipients = recipients.iter().map(|device| device.id.clone()).collect();
    WelcomeFor { recipients, envelope: envelope(content) }
}

async fn items(replica: &Replica, device: &Device) -> Vec<MailboxItem> {
    device.get(replica, path::MAILBOX).await.json::<MailboxPage>(200).items
}

async fn revoke(replica: &Replica, by: &Device, device: &Device) {
    let path = path::of_device(path::DEVICE, &device.id);
    assert_eq!(by.delete(replica, &path).await.status, 200);
}

/// Fills the mailbox of a device by a further one of its account.
async fn fill(replica: &Replica, device: &Device, by: &Device, items: usize) {
    let path = path::of_device(path::DEVICE_MAILBOX, &device.id);
    for _ in 0..items {
        let octets = "application/octet-stream";
        by.send(replica, "POST", &path, octets, envelope(b"old").0).await.done();
    }
}

async fn a_welcome_reaches_all_devices_of_its_accounts(backend: Backend) {
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let bob = Device::registered(&replica, "bob").await;
    let carol = Device::registered(&replica, "carol").await;
    let (second, third) = (bob.sibling(&replica).await, bob.sibling(&replica).await);
    let group = new_group(&replica, &alice, Access::Roster).await;
    // One that is named twice gets it once.
    let welcomes = vec![welcome(b"welcome", &[&bob, &second, &third, &carol, &second])];
    win(&replica, &alice, &group, &PublishCommit { welcomes, ..publish(&group, 0) }).await;
    for (n, device) in [&bob, &second, &third, &carol].into_iter().enumerate() {
        let items = items(&replica, device).await;
        assert_eq!(items.len(), 1, "device {n}");
        assert_eq!(items[0].envelope, envelope(b"welcome"));
    }
    for (epoch, member) in [(1, &third), (2, &carol)] {
        win(&replica, member, &group, &publish(&group, epoch)).await;
    }
}

async fn a_device_out_of_reach_keeps_nobody_out(mut backend: Backend) {
    backend.config.limits.mailbox_items = 4;
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let bob = Device::registered(&replica, "bob").await;
    let (lost, asleep) = (bob.sibling(&replica).await, bob.sibling(&replica).await);
    let group = new_group(&replica, &alice, Access::Roster).await;
    revoke(&replica, &bob, &lost).await;
    fill(&replica, &asleep, &bob, 4).await;
    let welcomes = vec![welcome(b"welcome", &[&lost, &asleep, &bob])];
    win(&replica, &alice, &group, &PublishCommit { welcomes, ..publish(&group, 0) }).await;
    assert_eq!(items(&replica, &bob).await.len(), 1);
    assert_eq!(items(&replica, &asleep).await.len(), 4);
    win(&replica, &bob, &group, &publish(&group, 1)).await;
}

async fn an_account_out_of_reach_is_named(mut backend: Backend) {
    backend.config.limits.mailbox_items = 4;
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let bob = Device::registered(&replica, "bob").await;
    let second = bob.sibling(&replica).await;
    let carol = Device::registered(&replica, "carol").await;
    let group = new_group(&replica, &alice, Access::Roster).await;
    fill(&replica, &bob, &second, 4).await;
    fill(&replica, &second, &bob, 4).await;
    let both = PublishCommit {
        welcomes: vec![welcome(b"welcome", &[&carol, &bob, &second])],
        ..publish(&group, 0)
    };
    let problem = send(&replica, &alice, &group, &both).await.problem(ProblemKind::Full);
    let named = problem.device.unwrap();
    assert!([&bob.id, &second.id].contains(&&named));
    // Nothing has happened.
    assert_eq!(items(&replica, &carol).await, []);
    let messages = path::of_group(path::GROUP_MESSAGES, &group);
    assert_eq!(alice.get(&replica, &messages).await.json::<LogPage>(200).head, 0);
    // Without the one that is out of reach, it does.
    let one = PublishCommit { welcomes: vec![welcome(b"welcome", &[&carol])], ..both.clone() };
    win(&replica, &alice, &group, &one).await;
    assert_eq!(items(&replica, &carol).await.len(), 1);

    // An account none of whose devices is left.
    revoke(&replica, &bob, &second).await;
    revoke(&replica, &bob, &bob).await;
    let gone = PublishCommit { welcomes: both.welcomes, ..publish(&group, 1) };
    send(&replica, &alice, &group, &gone).await.problem(ProblemKind::UnknownRecipient);
}

async fn each_welcome_has_to_arrive(backend: Backend) {
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let bob = Device::registered(&replica, "bob").await;
    let lost = bob.sibling(&replica).await;
    let group = new_group(&replica, &alice, Access::Roster).await;
    revoke(&replica, &bob, &lost).await;
    // One that arrives is no other one.
    let welcomes = vec![welcome(b"one", &[&bob]), welcome(b"other", &[&lost])];
    let commit = PublishCommit { welcomes, ..publish(&group, 0) };
    let problem = send(&replica, &alice, &group, &commit).await;
    assert_eq!(problem.problem(ProblemKind::UnknownRecipient).device, Some(lost.id));
    assert_eq!(items(&replica, &bob).await, []);
}

async fn accounts_leave_room_for_one_another(mut backend: Backend) {
    backend.config.limits.mailbox_items = 4;
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let partner = alice.sibling(&replica).await;
    let stranger = Device::registered(&replica, "stranger").await;
    let group = new_group(&replica, &stranger, Access::Roster).await;
    let letters = |epoch, count| {
        let letter = EnvelopeFor { recipient: alice.id.clone(), envelope: envelope(b"spam") };
        PublishCommit { envelopes: vec![letter; count], ..publish(&group, epoch) }
    };
    let welcomes = |epoch, count| {
        let welcomes = vec![welcome(b"spam", &[&alice]); count];
        PublishCommit { welcomes, ..publish(&group, epoch) }
    };
    // A letter that comes with a commit is no better than one that comes alone.
    let refused = send(&replica, &stranger, &group, &letters(0, 3)).await;
    assert_eq!(refused.problem(ProblemKind::Full).device.as_ref(), Some(&alice.id));
    win(&replica, &stranger, &group, &letters(0, 2)).await;
    send(&replica, &stranger, &group, &letters(1, 1)).await.problem(ProblemKind::Full);
    // Welcomes still arrive, but not without an end.
    send(&replica, &stranger, &group, &welcomes(1, 2)).await.problem(ProblemKind::Full);
    win(&replica, &stranger, &group, &welcomes(1, 1)).await;
    assert_eq!(items(&replica, &alice).await.len(), 3);
    // What the account itself has to say arrives.
    let own = new_group(&replica, &partner, Access::Roster).await;
    win(&replica, &partner, &own, &publish(&own, 0)).await;
    assert_eq!(items(&replica, &alice).await.len(), 4);
}
