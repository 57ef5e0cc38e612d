//! What is not kept for ever, and who is told.

use paired_mls_api::{Access, GroupId, LogChain, LogPage, MailboxPage, ProblemKind, path};
use paired_mls_service::Unread;

use crate::{
    backend::{Backend, Replica, on_both},
    device::{Answer, Device},
    messages::*,
};

on_both!(
    what_everybody_has_read_goes,
    what_somebody_needs_stays,
    a_long_log_is_cut,
    a_log_that_is_full_takes_commits,
    an_operator_drops_what_is_needed,
    what_is_left_goes_on_from_what_went,
    mailboxes_are_bounded_in_bytes,
);

const DAY: u64 = 24 * 60 * 60;

async fn ask(replica: &Replica, device: &Device, group: &GroupId, after: u64) -> Answer {
    let path = format!("{}?after={after}", path::of_group(path::GROUP_MESSAGES, group));
    device.get(replica, &path).await
}

async fn read(replica: &Replica, device: &Device, group: &GroupId, after: u64) -> Vec<u64> {
    let page: LogPage = ask(replica, device, group, after).await.json(200);
    page.entries.into_iter().map(|entry| entry.position).collect()
}

/// Alice and Bob in a group whose log has five commits, noted today.
async fn five(replica: &Replica) -> (Device, Device, GroupId) {
    let alice = Device::registered(replica, "alice").await;
    let bob = Device::registered(replica, "bob").await;
    let group = new_group(replica, &alice, Access::Roster).await;
    win(replica, &alice, &group, &adding(&group, 0, &[&bob])).await;
    for epoch in 1..5 {
        win(replica, &alice, &group, &publish(&group, epoch)).await;
    }
    replica.state.sweep().await.unwrap();
    (alice, bob, group)
}

async fn what_everybody_has_read_goes(mut backend: Backend) {
    backend.config.limits.log_days = Some(40);
    let replica = backend.replica().await;
    let (alice, bob, group) = five(&replica).await;
    for (device, after) in [(&alice, 5), (&bob, 2)] {
        read(&replica, device, &group, after).await;
    }
    backend.clock.forward(40 * DAY);
    replica.state.sweep().await.unwrap();
    assert_eq!(read(&replica, &bob, &group, 1).await, [2, 3, 4, 5]);
    backend.clock.forward(DAY);
    replica.state.sweep().await.unwrap();
    assert_eq!(read(&replica, &bob, &group, 2).await, [3, 4, 5]);
    let problem = ask(&replica, &bob, &group, 1).await.problem(ProblemKind::Pruned);
    assert_eq!(problem.pruned_through, Some(2));
    let events = format!("{}?after=1", path::of_group(path::GROUP_EVENTS, &group));
    bob.get(&replica, &events).await.problem(ProblemKind::Pruned);
    // Whoever has read nothing begins with what there is.
    assert_eq!(read(&replica, &alice, &group, 0).await, [3, 4, 5]);
}

async fn what_somebody_needs_stays(mut backend: Backend) {
    backend.config.limits.log_days = Some(40);
    backend.config.limits.log_bytes = Some(1);
    let replica = backend.replica().await;
    let (alice, bob, group) = five(&replica).await;
    // Bob's device sleeps: it has never read. And a further one of Alice has read less than the other.
    let sleepy = alice.sibling(&replica).await;
    read(&replica, &alice, &group, 5).await;
    backend.clock.forward(4000 * DAY);
    replica.state.sweep().await.unwrap();
    assert_eq!(read(&replica, &bob, &group, 0).await, [1, 2, 3, 4, 5]);
    read(&replica, &bob, &group, 5).await;
    read(&replica, &sleepy, &group, 3).await;
    replica.state.sweep().await.unwrap();
    assert_eq!(read(&replica, &sleepy, &group, 3).await, [4, 5]);
    ask(&replica, &sleepy, &group, 2).await.problem(ProblemKind::Pruned);
    // A device that is revoked needs nothing any more.
    let path = path::of_device(path::DEVICE, &sleepy.id);
    assert_eq!(alice.delete(&replica, &path).await.status, 200);
    replica.state.sweep().await.unwrap();
    ask(&replica, &alice, &group, 4).await.problem(ProblemKind::Pruned);
    // The operator may decide otherwise.
    let mut backend = backend;
    backend.config.limits.log_unread_days = Some(40);
    let replica = backend.replica().await;
    for epoch in 5..8 {
        win(&replica, &alice, &group, &publish(&group, epoch)).await;
    }
    replica.state.sweep().await.unwrap();
    backend.clock.forward(41 * DAY);
    replica.state.sweep().await.unwrap();
    let problem = ask(&replica, &bob, &group, 5).await.problem(ProblemKind::Pruned);
    assert_eq!(problem.pruned_through, Some(8));
}

async fn a_long_log_is_cut(mut backend: Backend) {
    backend.config.limits.log_bytes = Some(50_000);
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let group = new_group(&replica, &alice, Access::Roster).await;
    let messages = path::of_group(path::GROUP_MESSAGES, &group);
    let say = async |epoch| {
        let message = long_application(&group, epoch, 8000);
        assert_eq!(alice.post_mls(&replica, &messages, &message).await.status, 201);
    };
    for _ in 0..4 {
        say(0).await;
    }
    // The operator gives less room.
    backend.config.limits.log_bytes = Some(20_000);
    let replica = backend.replica().await;
    read(&replica, &alice, &group, 4).await;
    replica.state.sweep().await.unwrap();
    // The epoch goes on.
    assert_eq!(read(&replica, &alice, &group, 0).await.len(), 4);
    win(&replica, &alice, &group, &publish(&group, 0)).await;
    replica.state.sweep().await.unwrap();
    assert_eq!(read(&replica, &alice, &group, 0).await, [3, 4, 5]);
}

/// A log that nobody reads is full in the end. Commits still have room, and what everybody has read makes some.
async fn a_log_that_is_full_takes_commits(mut backend: Backend) {
    backend.config.limits.log_bytes = Some(50_000);
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let bob = Device::registered(&replica, "bob").await;
    let group = new_group(&replica, &alice, Access::Roster).await;
    win(&replica, &alice, &group, &adding(&group, 0, &[&bob])).await;
    let messages = path::of_group(path::GROUP_MESSAGES, &group);
    let say = async |epoch| {
        let message = long_application(&group, epoch, 8000);
        alice.post_mls(&replica, &messages, &message).await
    };
    let fill = async |epoch| {
        let mut said = 0;
        loop {
            let answer = say(epoch).await;
            if answer.status != 201 {
                let problem = answer.problem(ProblemKind::LogFull);
                assert!(problem.detail.unwrap().contains("50000 bytes"));
                return said;
            }
            said += 1;
            assert!(said < 50, "nothing is refused");
        }
    };
    // The commit, and six of these.
    assert_eq!(fill(1).await, 6);
    assert_eq!(read(&replica, &bob, &group, 0).await, [1, 2, 3, 4, 5, 6, 7]);
    // Everybody has read them, and they are of this epoch.
    for device in [&alice, &bob] {
        read(&replica, device, &group, 7).await;
    }
    say(1).await.problem(ProblemKind::LogFull);
    win(&replica, &alice, &group, &publish(&group, 1)).await;
    // No sweep has to come: what has to be dropped goes when somebody needs its room.
    assert_eq!(say(2).await.status, 201);
    let problem = ask(&replica, &bob, &group, 1).await.problem(ProblemKind::Pruned);
    let gone = problem.pruned_through.unwrap();
    assert!((1..7).contains(&gone), "no more than has to go: {gone}");
    // Bob sleeps from here on: what he needs stays, whatever is to be said.
    fill(2).await;
    win(&replica, &alice, &group, &publish(&group, 2)).await;
    say(3).await.problem(ProblemKind::LogFull);
    assert_eq!(read(&replica, &bob, &group, 7).await[0], 8);
    // What is gone does not count any more after a roll-back either.
    replica.state.roll_back_group(&group, 8).await.unwrap().unwrap();
    assert_eq!(say(2).await.status, 201);
}

async fn an_operator_drops_what_is_needed(backend: Backend) {
    let replica = backend.replica().await;
    let (_, bob, group) = five(&replica).await;
    let prune = async |unread| replica.state.prune_group(&group, 3, unread).await.unwrap();
    assert_eq!(prune(Unread::Kept).await, 0);
    assert_eq!(prune(Unread::Dropped).await, 3);
    assert_eq!(prune(Unread::Dropped).await, 0);
    assert_eq!(read(&replica, &bob, &group, 0).await, [4, 5]);
    let problem = ask(&replica, &bob, &group, 1).await.problem(ProblemKind::Pruned);
    assert_eq!(problem.pruned_through, Some(3));
}

async fn what_is_left_goes_on_from_what_went(backend: Backend) {
    let replica = backend.replica().await;
    let (alice, _, group) = five(&replica).await;
    let before: LogPage = ask(&replica, &alice, &group, 0).await.json(200);
    replica.state.prune_group(&group, 5, Unread::Dropped).await.unwrap();
    let empty: LogPage = ask(&replica, &alice, &group, 0).await.json(200);
    assert_eq!((empty.after, empty.head, empty.entries.len()), (5, 5, 0));
    assert_eq!(empty.chain, before.entries[4].chain);
    win(&replica, &alice, &group, &publish(&group, 5)).await;
    let next: LogPage = ask(&replica, &alice, &group, 5).await.json(200);
    let chain: LogChain = before.entries[4].chain;
    assert_eq!(next.entries[0].chain, chain.and_entry(&next.entries[0]));
}

async fn mailboxes_are_bounded_in_bytes(mut backend: Backend) {
    backend.config.limits.mailbox_bytes = 2 << 20;
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let partner = alice.sibling(&replica).await;
    let stranger = Device::registered(&replica, "stranger").await;
    let mailbox = path::of_device(path::DEVICE_MAILBOX, &alice.id);
    let post = async |from: &Device| {
        let letter = envelope(&[1; 200_000]).0;
        from.send(&replica, "POST", &mailbox, "application/octet-stream", letter).await
    };
    for _ in 0..4 {
        post(&stranger).await.done();
    }
    post(&stranger).await.problem(ProblemKind::Full);
    for _ in 0..4 {
        post(&partner).await.done();
    }
    post(&partner).await.problem(ProblemKind::Full);
    // On two pages, which are bounded in bytes as well.
    let mut after = 0;
    for _ in 0..2 {
        let path = format!("{}?after={after}", path::MAILBOX);
        let page: MailboxPage = alice.get(&replica, &path).await.json(200);
        assert_eq!(page.items.len(), 4);
        after = page.items[3].position;
    }
}
