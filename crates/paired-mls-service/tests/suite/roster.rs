//! What was done to a roster, and how it is undone.

use paired_mls_api::{
    Access, GroupId, GroupView, LogPage, ProblemKind, PublishCommit, Published, RosterChange,
    RosterRepair, RosterRepaired, UserId, path,
};

use crate::{
    backend::{Backend, Replica, on_both},
    device::{Answer, Device},
    messages::*,
};

on_both!(
    a_member_puts_back_who_was_removed,
    those_whom_one_commit_removed_put_themselves_back,
    a_removal_that_others_build_on_is_final,
    a_removal_is_final_after_a_week,
    nobody_comes_in_by_a_repair,
    an_operator_rolls_back_and_reopens_a_group,
);

const WEEK: u64 = 7 * 24 * 60 * 60;

fn removing(group: &GroupId, epoch: u64, devices: &[&Device]) -> PublishCommit {
    let remove = devices.iter().map(|device| device.user.clone()).collect();
    PublishCommit { roster: RosterChange { remove, add: Vec::new() }, ..publish(group, epoch) }
}

async fn put_back(replica: &Replica, by: &Device, group: &GroupId, users: &[&Device]) -> Answer {
    let put_back: Vec<UserId> = users.iter().map(|device| device.user.clone()).collect();
    by.post(replica, &path::of_group(path::GROUP_ROSTER, group), &RosterRepair { put_back }).await
}

/// Who is back, of whom this was asked.
async fn back(replica: &Replica, by: &Device, group: &GroupId, users: &[&Device]) -> Vec<UserId> {
    put_back(replica, by, group, users).await.json::<RosterRepaired>(200).put_back
}

async fn all_back(replica: &Replica, by: &Device, group: &GroupId, users: &[&Device]) {
    let users_of = users.iter().map(|device| device.user.clone()).collect::<Vec<_>>();
    assert_eq!(back(replica, by, group, users).await, users_of);
}

async fn say(replica: &Replica, who: &Device, group: &GroupId, epoch: u64) -> Answer {
    let messages = path::of_group(path::GROUP_MESSAGES, group);
    who.post_mls(replica, &messages, &application(group, epoch)).await
}

struct Cast {
    replica: Replica,
    group: GroupId,
    alice: Device,
    bob: Device,
    carol: Device,
    mallory: Device,
}

/// Four members, at epoch 1.
async fn cast(backend: &Backend) -> Cast {
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let bob = Device::registered(&replica, "bob").await;
    let carol = Device::registered(&replica, "carol").await;
    let mallory = Device::registered(&replica, "mallory").await;
    let group = new_group(&replica, &alice, Access::Roster).await;
    win(&replica, &alice, &group, &adding(&group, 0, &[&bob, &carol, &mallory])).await;
    Cast { replica, group, alice, bob, carol, mallory }
}

async fn a_member_puts_back_who_was_removed(backend: Backend) {
    let Cast { replica, group, alice, bob, carol, mallory } = cast(&backend).await;
    win(&replica, &mallory, &group, &removing(&group, 1, &[&carol, &bob])).await;
    say(&replica, &bob, &group, 1).await.problem(ProblemKind::Forbidden);
    all_back(&replica, &alice, &group, &[&bob, &carol]).await;
    for who in [&bob, &carol] {
        assert_eq!(say(&replica, who, &group, 1).await.status, 201);
    }
    // Again, and for one who is there, changes nothing.
    assert_eq!(back(&replica, &alice, &group, &[&bob, &alice]).await, []);
}

async fn those_whom_one_commit_removed_put_themselves_back(backend: Backend) {
    let Cast { replica, group, alice, bob, carol, mallory } = cast(&backend).await;
    win(&replica, &alice, &group, &removing(&group, 1, &[&carol])).await;
    // One after the other: each commit stands for itself.
    win(&replica, &mallory, &group, &removing(&group, 2, &[&alice, &bob])).await;
    // What the remover says itself does not make it final.
    assert_eq!(say(&replica, &mallory, &group, 3).await.status, 201);
    win(&replica, &mallory, &group, &publish(&group, 3)).await;
    put_back(&replica, &alice, &group, &[&carol]).await.problem(ProblemKind::Forbidden);
    put_back(&replica, &alice, &group, &[&bob, &carol]).await.problem(ProblemKind::Forbidden);
    say(&replica, &bob, &group, 4).await.problem(ProblemKind::Forbidden);
    all_back(&replica, &alice, &group, &[&alice, &bob]).await;
    win(&replica, &alice, &group, &publish(&group, 4)).await;
    assert_eq!(say(&replica, &bob, &group, 5).await.status, 201);
    // Who is back on the roster puts back whom it likes.
    all_back(&replica, &alice, &group, &[&carol]).await;
}

async fn a_removal_that_others_build_on_is_final(backend: Backend) {
    let Cast { replica, group, alice, bob, carol, mallory } = cast(&backend).await;
    win(&replica, &alice, &group, &removing(&group, 1, &[&mallory])).await;
    // Of an epoch before: it says nothing about the commit.
    assert_eq!(say(&replica, &bob, &group, 1).await.status, 201);
    all_back(&replica, &mallory, &group, &[&mallory]).await;
    win(&replica, &alice, &group, &removing(&group, 2, &[&mallory])).await;
    assert_eq!(say(&replica, &bob, &group, 3).await.status, 201);
    let stands = put_back(&replica, &mallory, &group, &[&mallory]).await;
    let told = stands.problem(ProblemKind::Forbidden).detail.unwrap();
    assert!(told.contains("the removal stands") && told.contains("adds it again"), "{told}");
    // A commit says it, too.
    win(&replica, &alice, &group, &removing(&group, 3, &[&carol])).await;
    win(&replica, &bob, &group, &publish(&group, 4)).await;
    put_back(&replica, &carol, &group, &[&carol]).await.problem(ProblemKind::Forbidden);
}

async fn a_removal_is_final_after_a_week(backend: Backend) {
    let Cast { replica, group, alice, bob, .. } = cast(&backend).await;
    win(&replica, &alice, &group, &removing(&group, 1, &[&bob])).await;
    backend.clock.forward(WEEK - 1);
    all_back(&replica, &bob, &group, &[&bob]).await;
    win(&replica, &alice, &group, &removing(&group, 2, &[&bob])).await;
    backend.clock.forward(WEEK + 1);
    put_back(&replica, &bob, &group, &[&bob]).await.problem(ProblemKind::Forbidden);
    // Nothing of it stays.
    replica.state.sweep().await.unwrap();
    put_back(&replica, &bob, &group, &[&bob]).await.problem(ProblemKind::Forbidden);
}

async fn nobody_comes_in_by_a_repair(backend: Backend) {
    let Cast { replica, group, alice, mallory, .. } = cast(&backend).await;
    let stranger = Device::registered(&replica, "stranger").await;
    put_back(&replica, &stranger, &group, &[&stranger]).await.problem(ProblemKind::NotFound);
    let never = put_back(&replica, &mallory, &group, &[&stranger]).await;
    let told = never.problem(ProblemKind::NotFound).detail.unwrap();
    assert!(told.contains("stranger never was on the roster"), "{told}");
    let open = new_group(&replica, &alice, Access::Anyone).await;
    put_back(&replica, &stranger, &open, &[&stranger]).await.problem(ProblemKind::Forbidden);
}

async fn an_operator_rolls_back_and_reopens_a_group(backend: Backend) {
    let Cast { replica, group, alice, bob, carol, mallory } = cast(&backend).await;
    let said: Published = say(&replica, &bob, &group, 1).await.json(201);
    assert_eq!(said.position, 2);
    // Junk that nobody can process, and a newcomer with it.
    let stranger = Device::registered(&replica, "stranger").await;
    let junk = removing(&group, 1, &[&alice, &bob, &carol]);
    win(&replica, &mallory, &group, &junk).await;
    win(&replica, &mallory, &group, &adding(&group, 2, &[&stranger])).await;

    assert_eq!(replica.state.roll_back_group(&group, 5).await.unwrap(), None);
    let unknown = GroupId::new(*b"unknown").unwrap();
    assert_eq!(replica.state.roll_back_group(&unknown, 0).await.unwrap(), None);
    let rolled = replica.state.roll_back_group(&group, said.position).await.unwrap().unwrap();
    assert_eq!((rolled.epoch, rolled.head, rolled.entries), (1, 2, 2));
    let messages = path::of_group(path::GROUP_MESSAGES, &group);
    let page: LogPage = alice.get(&replica, &messages).await.json(200);
    assert_eq!((page.entries.len(), page.head), (2, 2));
    stranger.get(&replica, &messages).await.problem(ProblemKind::NotFound);
    // The group goes on from there.
    let won = win(&replica, &carol, &group, &publish(&group, 1)).await;
    assert_eq!((won.position, won.epoch), (3, 1));
    let view: GroupView = bob.get(&replica, &path::of_group(path::GROUP, &group)).await.json(200);
    assert_eq!((view.epoch, view.head), (2, 3));

    // Everybody was removed, and others have built on it.
    win(&replica, &mallory, &group, &removing(&group, 2, &[&alice, &bob])).await;
    win(&replica, &carol, &group, &publish(&group, 3)).await;
    put_back(&replica, &alice, &group, &[&alice]).await.problem(ProblemKind::Forbidden);
    assert_eq!(replica.state.reopen_group(&unknown).await.unwrap(), None);
    assert_eq!(replica.state.reopen_group(&group).await.unwrap(), Some(2));
    for who in [&alice, &bob] {
        assert_eq!(say(&replica, who, &group, 4).await.status, 201);
    }
}
