//! The total order of commits, and what else is in a log.

use paired_mls_api::{
    Access, CreateGroup, EntryKind, GroupView, LogPage, MailboxPage, ProblemKind, PublishCommit,
    Published, RosterChange, WelcomeFor, path,
};

use crate::{
    backend::{Backend, on_both},
    device::Device,
    member::{Member, Tree},
    messages::*,
};

on_both!(
    one_commit_wins_an_epoch,
    a_commit_takes_effect_as_a_whole_or_not_at_all,
    a_retry_changes_nothing,
    application_messages_may_be_late_and_proposals_not,
    the_roster_decides_who_reads_and_writes,
    an_external_commit_needs_an_open_group,
    messages_are_of_this_group_and_kind,
);

async fn one_commit_wins_an_epoch(backend: Backend) {
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let group = new_group(&replica, &alice, Access::Roster).await;

    let won = win(&replica, &alice, &group, &publish(&group, 0)).await;
    assert_eq!(won, Published { position: 1, epoch: 0 });
    let lost = send(&replica, &alice, &group, &publish(&group, 0)).await;
    let problem = lost.problem(ProblemKind::WrongEpoch);
    assert_eq!((problem.status, problem.current_epoch), (409, Some(1)));
    let early = send(&replica, &alice, &group, &publish(&group, 2)).await;
    assert_eq!(early.problem(ProblemKind::WrongEpoch).current_epoch, Some(1));

    let view: GroupView = alice.get(&replica, &path::of_group(path::GROUP, &group)).await.json(200);
    assert_eq!((view.epoch, view.head), (1, 1));
}

async fn a_commit_takes_effect_as_a_whole_or_not_at_all(backend: Backend) {
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let bob = Device::registered(&replica, "bob").await;
    let nobody = Device::new("nobody");
    let group = new_group(&replica, &alice, Access::Roster).await;
    let welcome = |device: &Device| WelcomeFor {
        recipients: vec![device.id.clone()],
        envelope: envelope(b"welcome"),
    };

    let commit =
        PublishCommit { welcomes: vec![welcome(&bob), welcome(&nobody)], ..publish(&group, 0) };
    let refused = send(&replica, &alice, &group, &commit).await;
    let problem = refused.problem(ProblemKind::UnknownRecipient);
    assert_eq!(problem.device, Some(nobody.id));
    let messages = path::of_group(path::GROUP_MESSAGES, &group);
    let log: LogPage = alice.get(&replica, &messages).await.json(200);
    assert_eq!((log.entries.len(), log.head), (0, 0));
    let mailbox: MailboxPage = bob.get(&replica, path::MAILBOX).await.json(200);
    assert_eq!(mailbox.items, []);
    bob.get(&replica, &messages).await.problem(ProblemKind::NotFound);

    let commit = PublishCommit { welcomes: vec![welcome(&bob)], ..commit };
    win(&replica, &alice, &group, &commit).await;
    let mailbox: MailboxPage = bob.get(&replica, path::MAILBOX).await.json(200);
    assert_eq!(mailbox.items.len(), 1);
    assert_eq!(mailbox.items[0].envelope, envelope(b"welcome"));
    let log: LogPage = bob.get(&replica, &messages).await.json(200);
    assert_eq!(log.entries[0].message, commit.commit);
    assert_eq!(log.entries[0].kind, EntryKind::Commit);
}

async fn a_retry_changes_nothing(backend: Backend) {
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let partner = alice.sibling(&replica).await;
    let group = new_group(&replica, &alice, Access::Roster).await;

    let commit = publish(&group, 0);
    let first = win(&replica, &alice, &group, &commit).await;
    let message = application(&group, 1);
    let messages = path::of_group(path::GROUP_MESSAGES, &group);
    let sent: Published = alice.post_mls(&replica, &messages, &message).await.json(201);
    win(&replica, &alice, &group, &publish(&group, 1)).await;

    let again: Published = send(&replica, &alice, &group, &commit).await.json(200);
    assert_eq!(again, first);
    let again: Published = alice.post_mls(&replica, &messages, &message).await.json(200);
    assert_eq!(again, sent);
    let log: LogPage = alice.get(&replica, &messages).await.json(200);
    assert_eq!(log.entries.iter().map(|entry| entry.position).collect::<Vec<_>>(), [1, 2, 3]);
    let mailbox: MailboxPage = partner.get(&replica, path::MAILBOX).await.json(200);
    assert_eq!(mailbox.items.len(), 2);
}

async fn application_messages_may_be_late_and_proposals_not(backend: Backend) {
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let group = new_group(&replica, &alice, Access::Roster).await;
    for epoch in 0..6 {
        win(&replica, &alice, &group, &publish(&group, epoch)).await;
    }
    let messages = path::of_group(path::GROUP_MESSAGES, &group);
    // Of the current epoch and four past ones.
    for (epoch, taken) in [(1, false), (2, true), (6, true), (7, false)] {
        let answer = alice.post_mls(&replica, &messages, &application(&group, epoch)).await;
        match taken {
            true => assert_eq!(answer.json::<Published>(201).epoch, epoch),
            false => {
                let problem = answer.problem(ProblemKind::WrongEpoch);
                assert_eq!(problem.current_epoch, Some(6));
            }
        }
    }
    for (epoch, taken) in [(5, false), (6, true), (7, false)] {
        let answer = alice.post_mls(&replica, &messages, &proposal(&group, epoch)).await;
        assert_eq!(answer.status == 201, taken, "epoch {epoch}");
    }
    // Nothing that was refused has left a gap.
    let log: LogPage = alice.get(&replica, &format!("{messages}?after=6")).await.json(200);
    let positions: Vec<_> = log.entries.iter().map(|entry| (entry.position, entry.epoch)).collect();
    assert_eq!(positions, [(7, 2), (8, 6), (9, 6)]);
    let page: LogPage = alice.get(&replica, &format!("{messages}?after=2&limit=3")).await.json(200);
    assert_eq!((page.entries.len(), page.entries[0].position, page.head), (3, 3, 9));
}

async fn the_roster_decides_who_reads_and_writes(backend: Backend) {
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let bob = Device::registered(&replica, "bob").await;
    let second = bob.sibling(&replica).await;
    let group = new_group(&replica, &alice, Access::Roster).await;
    let messages = path::of_group(path::GROUP_MESSAGES, &group);

    // A stranger cannot even see that the group is there.
    bob.get(&replica, &messages).await.problem(ProblemKind::NotFound);
    send(&replica, &bob, &group, &publish(&group, 0)).await.problem(ProblemKind::NotFound);

    win(&replica, &alice, &group, &adding(&group, 0, &[&bob])).await;
    // All devices of the account are one.
    win(&replica, &second, &group, &publish(&group, 1)).await;

    let remove = RosterChange { remove: vec![bob.user.clone()], add: Vec::new() };
    let removal = PublishCommit { roster: remove, ..publish(&group, 2) };
    win(&replica, &alice, &group, &removal).await;
    win(&replica, &alice, &group, &publish(&group, 3)).await;
    // It can read why it is out, and no more.
    let log: LogPage = bob.get(&replica, &messages).await.json(200);
    assert_eq!((log.entries.len(), log.head), (3, 3));
    send(&replica, &bob, &group, &publish(&group, 4)).await.problem(ProblemKind::Forbidden);
    let late = second.post_mls(&replica, &messages, &application(&group, 4)).await;
    late.problem(ProblemKind::Forbidden);

    // Removed and added in one commit, as a leaf refresh does: it stays.
    win(&replica, &alice, &group, &adding(&group, 4, &[&bob])).await;
    let roster = RosterChange { remove: vec![bob.user.clone()], add: vec![bob.user.clone()] };
    win(&replica, &alice, &group, &PublishCommit { roster, ..publish(&group, 5) }).await;
    win(&replica, &bob, &group, &publish(&group, 6)).await;
}

async fn an_external_commit_needs_an_open_group(backend: Backend) {
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let bob = Device::registered(&replica, "bob").await;
    let mut groups = Vec::new();
    for access in [Access::Roster, Access::Anyone] {
        let group = alice.new_group_id();
        let info = Member::founder(&alice, &group, Tree::Within).group_info(Tree::Within);
        let group_info = Some(info.clone().into());
        let body = CreateGroup { group: group.clone(), epoch: 0, access, group_info };
        assert_eq!(alice.post(&replica, path::GROUPS, &body).await.status, 201);
        groups.push((group, info));
    }
    let join = |who: &Device, info: &[u8]| Member::of(who).come(info).publish(&[]);
    let [(closed, closed_info), (open, open_info)] = groups.try_into().unwrap();

    let refused = send(&replica, &bob, &closed, &join(&bob, &closed_info)).await;
    refused.problem(ProblemKind::NotFound);
    send(&replica, &bob, &open, &publish(&open, 0)).await.problem(ProblemKind::Forbidden);
    win(&replica, &bob, &open, &join(&bob, &open_info)).await;
    win(&replica, &bob, &open, &publish(&open, 1)).await;
    // A member that has lost its state comes back to a closed group in the same way.
    win(&replica, &alice, &closed, &join(&alice, &closed_info)).await;
}

async fn messages_are_of_this_group_and_kind(backend: Backend) {
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let group = new_group(&replica, &alice, Access::Roster).await;
    let other = new_group(&replica, &alice, Access::Roster).await;
    let messages = path::of_group(path::GROUP_MESSAGES, &group);

    for message in [application(&other, 0), commit(&group, 0), b"\0\x01\0\x02".to_vec(), Vec::new()]
    {
        let refused = alice.post_mls(&replica, &messages, &message).await;
        refused.problem(ProblemKind::InvalidMessage);
    }
    for message in [application(&group, 0), commit(&other, 0), group_info(&group, 0)] {
        let refused = PublishCommit { commit: message.into(), ..publish(&group, 0) };
        let refused = send(&replica, &alice, &group, &refused).await;
        refused.problem(ProblemKind::InvalidMessage);
    }
    let unpadded = PublishCommit { account_envelope: vec![0; 100].into(), ..publish(&group, 0) };
    let refused = send(&replica, &alice, &group, &unpadded).await;
    refused.problem(ProblemKind::InvalidEnvelope);
    let json = alice.post(&replica, &messages, &"text").await;
    json.problem(ProblemKind::MediaType);
    let again = CreateGroup { group, epoch: 0, access: Access::Roster, group_info: None };
    alice.post(&replica, path::GROUPS, &again).await.problem(ProblemKind::Exists);
}
