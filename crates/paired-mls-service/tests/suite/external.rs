//! Commits from outside, and commits in the clear: what can be read is checked.

use openmls::prelude::Lifetime;
use paired_mls_api::{
    Access, CreateGroup, GroupId, GroupView, LogPage, ProblemKind, PublishCommit, RosterChange,
    path,
};

use crate::{
    backend::{Backend, Replica, on_both},
    device::{Answer, Device},
    member::{Member, Tree},
    messages::*,
};

on_both!(
    a_stranger_joins_an_open_group_by_a_commit_that_verifies,
    what_a_stranger_forges_is_refused,
    from_outside_only_the_own_account_changes,
    a_group_info_stays_until_another_one_comes,
    without_a_tree_nobody_comes_from_outside,
    a_member_publishes_what_others_join_by,
    a_leaf_whose_time_has_ended_keeps_nobody_out,
    a_newcomer_reads_from_where_it_joined,
    a_commit_in_the_clear_does_what_its_roster_change_says,
    a_commit_names_proposals_of_its_epoch,
    nobody_takes_the_name_of_somebody_else,
    a_group_info_that_is_made_up_keeps_no_member_out,
);

/// A group with its founder, open to all, whose GroupInfo is there.
async fn open_group(replica: &Replica, device: &Device) -> (GroupId, Member) {
    let group = device.new_group_id();
    let member = Member::founder(device, &group, Tree::Within);
    let group_info = Some(member.group_info(Tree::Within).into());
    let body = CreateGroup { group: group.clone(), epoch: 0, access: Access::Anyone, group_info };
    assert_eq!(device.post(replica, path::GROUPS, &body).await.status, 201);
    (group, member)
}

async fn fetch(replica: &Replica, device: &Device, group: &GroupId) -> Vec<u8> {
    let answer = device.get(replica, &path::of_group(path::GROUP_INFO, group)).await;
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    answer.body
}

async fn put(replica: &Replica, device: &Device, group: &GroupId, info: &[u8]) -> Answer {
    let path = path::of_group(path::GROUP_INFO, group);
    device.send(replica, "PUT", &path, paired_mls_api::MLS_MESSAGE, info.to_vec()).await
}

async fn log(replica: &Replica, device: &Device, group: &GroupId) -> LogPage {
    device.get(replica, &path::of_group(path::GROUP_MESSAGES, group)).await.json(200)
}

async fn epoch(replica: &Replica, device: &Device, group: &GroupId) -> u64 {
    let view = device.get(replica, &path::of_group(path::GROUP, group)).await;
    view.json::<GroupView>(200).epoch
}

async fn a_stranger_joins_an_open_group_by_a_commit_that_verifies(backend: Backend) {
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let bob = Device::registered(&replica, "bob").await;
    let (group, mut at_alice) = open_group(&replica, &alice).await;
    let mut at_bob = Member::of(&bob);
    let made = at_bob.come(&fetch(&replica, &bob, &group).await);
    win(&replica, &bob, &group, &made.publish(&[])).await;
    at_alice.follow(&made.commit);
    let authenticator = |at: &Member| at.mls().epoch_authenticator().as_slice().to_vec();
    assert_eq!(authenticator(&at_alice), authenticator(&at_bob));

    // The old state is lost: it comes back in the place of its old leaf, as a listed member too.
    put(&replica, &alice, &group, &at_alice.group_info(Tree::Within)).await.done();
    let again = Member::of(&bob).come(&fetch(&replica, &bob, &group).await);
    win(&replica, &bob, &group, &again.publish(&[])).await;
    at_alice.follow(&again.commit);
    assert_eq!(at_alice.mls().members().count(), 2);
}

/// Changes one octet of a message, counted from its end.
fn spoil(message: &[u8], from_end: usize) -> Vec<u8> {
    let mut spoilt = message.to_vec();
    let place = spoilt.len() - from_end;
    spoilt[place] ^= 1;
    spoilt
}

async fn what_a_stranger_forges_is_refused(backend: Backend) {
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let bob = Device::registered(&replica, "bob").await;
    let (group, _) = open_group(&replica, &alice).await;
    let info = fetch(&replica, &bob, &group).await;
    let as_bob = |commit: Vec<u8>| PublishCommit {
        account_envelope: cover(&commit),
        commit: commit.into(),
        ..publish(&group, 0)
    };
    // Without a path and with a random signature.
    let forged = send(&replica, &bob, &group, &as_bob(external_commit(&group, 0))).await;
    forged.problem(ProblemKind::InvalidMessage);
    // Somebody else's signature: the tag of 32 octets, with its length, comes after it.
    let made = Member::of(&bob).come(&info);
    let forged = send(&replica, &bob, &group, &as_bob(spoil(&made.commit, 40))).await;
    forged.problem(ProblemKind::InvalidMessage);
    // Under the name of another account, and with a key that the directory does not know.
    let posing = Member::named(&bob, b"alice").come(&info);
    let refused = send(&replica, &bob, &group, &posing.publish(&[])).await;
    refused.problem(ProblemKind::Forbidden);
    let unknown = Member::named(&Device::new("bob"), b"bob").come(&info);
    let refused = send(&replica, &bob, &group, &unknown.publish(&[])).await;
    refused.problem(ProblemKind::Forbidden);
    for posing in [&posing, &unknown] {
        let alone = PublishCommit { group_info: None, ..posing.publish(&[]) };
        send(&replica, &bob, &group, &alone).await.problem(ProblemKind::Forbidden);
    }
    // What another one has made, sent by this one.
    let carol = Device::registered(&replica, "carol").await;
    let refused = send(&replica, &carol, &group, &made.publish(&[])).await;
    refused.problem(ProblemKind::Forbidden);
    // A GroupInfo of the next epoch that is that of another group state.
    let other = Member::of(&bob).come(&info);
    let mixed = PublishCommit { group_info: other.group_info.map(Into::into), ..made.publish(&[]) };
    assert!(mixed.group_info.is_some());
    send(&replica, &bob, &group, &mixed).await.problem(ProblemKind::InvalidMessage);
    assert_eq!(epoch(&replica, &alice, &group).await, 0);
    win(&replica, &bob, &group, &made.publish(&[])).await;
}

async fn from_outside_only_the_own_account_changes(backend: Backend) {
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let bob = Device::registered(&replica, "bob").await;
    let carol = Device::registered(&replica, "carol").await;
    let (group, _) = open_group(&replica, &alice).await;
    let info = fetch(&replica, &bob, &group).await;
    let made = Member::of(&bob).come(&info);
    let changes = [
        RosterChange { remove: vec![alice.user.clone()], add: Vec::new() },
        RosterChange { remove: Vec::new(), add: vec![carol.user.clone()] },
    ];
    for roster in changes {
        let changing = PublishCommit { roster, ..made.publish(&[]) };
        send(&replica, &bob, &group, &changing).await.problem(ProblemKind::Forbidden);
    }
    let welcoming = adding(&group, 0, &[]);
    let welcomes = vec![paired_mls_api::WelcomeFor {
        recipients: vec![carol.id.clone()],
        envelope: envelope(b"welcome"),
    }];
    let welcoming = PublishCommit { welcomes, roster: welcoming.roster, ..made.publish(&[]) };
    send(&replica, &bob, &group, &welcoming).await.problem(ProblemKind::Forbidden);
    // A leaf of another account is not his to remove: OpenMLS removes the one that has the same key, so
    // the thief of a key tries.
    let thief = Device { user: bob.user.clone(), ..alice.clone() };
    let removing = Member::named(&thief, b"bob").come(&info);
    let refused = send(&replica, &bob, &group, &removing.publish(&[])).await;
    refused.problem(ProblemKind::Forbidden);
    // The own account may be named.
    let roster = RosterChange { remove: Vec::new(), add: vec![bob.user.clone()] };
    win(&replica, &bob, &group, &PublishCommit { roster, ..made.publish(&[]) }).await;
    win(&replica, &alice, &group, &publish(&group, 1)).await;
}

async fn a_group_info_stays_until_another_one_comes(backend: Backend) {
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let bob = Device::registered(&replica, "bob").await;
    let (group, mut at_alice) = open_group(&replica, &alice).await;
    let path = path::of_group(path::GROUP_INFO, &group);
    // One of the wrong epoch, of another group, or that is none.
    let made = at_alice.commit(&[], &[]);
    let (other, _) = open_group(&replica, &alice).await;
    let foreign = fetch(&replica, &alice, &other).await;
    let old = fetch(&replica, &alice, &group).await;
    for wrong in [group_info(&group, 1), foreign, old.clone(), spoil(&old, 1)] {
        let commit = PublishCommit { group_info: Some(wrong.into()), ..made.publish(&[]) };
        send(&replica, &alice, &group, &commit).await.problem(ProblemKind::InvalidMessage);
    }
    assert_eq!(fetch(&replica, &bob, &group).await, old);
    // None comes: the old one would lead nowhere, and is not given out, nor joined by.
    let late = Member::of(&bob).come(&old);
    let without = PublishCommit { group_info: None, ..made.publish(&[]) };
    win(&replica, &alice, &group, &without).await;
    let told = bob.get(&replica, &path).await.problem(ProblemKind::NotFound);
    assert!(told.detail.unwrap().contains("publish"));
    let lost = send(&replica, &bob, &group, &late.publish(&[])).await;
    assert_eq!(lost.problem(ProblemKind::WrongEpoch).current_epoch, Some(1));
    // With it, it is found again.
    at_alice.merge();
    put(&replica, &alice, &group, &at_alice.group_info(Tree::Within)).await.done();
    let made = Member::of(&bob).come(&fetch(&replica, &bob, &group).await);
    win(&replica, &bob, &group, &made.publish(&[])).await;
}

async fn without_a_tree_nobody_comes_from_outside(backend: Backend) {
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let bob = Device::registered(&replica, "bob").await;
    let group = alice.new_group_id();
    let at_alice = Member::founder(&alice, &group, Tree::Apart);
    let create = |group_info: Option<Vec<u8>>| CreateGroup {
        group: group.clone(),
        epoch: 0,
        access: Access::Anyone,
        group_info: group_info.map(Into::into),
    };
    let apart = create(Some(at_alice.group_info(Tree::Apart)));
    assert_eq!(alice.post(&replica, path::GROUPS, &apart).await.status, 201);
    let made = Member::of(&bob).come(&at_alice.group_info(Tree::Within));
    let refused = send(&replica, &bob, &group, &made.publish(&[])).await;
    let told = refused.problem(ProblemKind::NoGroupInfo).detail.unwrap();
    assert!(told.contains("tree") && told.contains("publish"), "{told}");
    put(&replica, &alice, &group, &at_alice.group_info(Tree::Apart))
        .await
        .problem(ProblemKind::InvalidMessage);
    put(&replica, &alice, &group, &at_alice.group_info(Tree::Within)).await.done();
    win(&replica, &bob, &group, &made.publish(&[])).await;

    // Nor without any.
    let none = new_group(&replica, &alice, Access::Anyone).await;
    let commit = external_commit(&none, 0);
    let commit = PublishCommit { commit: commit.into(), ..publish(&none, 0) };
    let refused = send(&replica, &bob, &none, &commit).await;
    assert!(refused.problem(ProblemKind::NoGroupInfo).detail.unwrap().contains("publish"));
}

async fn a_member_publishes_what_others_join_by(backend: Backend) {
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let bob = Device::registered(&replica, "bob").await;
    let group = alice.new_group_id();
    let at_alice = Member::founder(&alice, &group, Tree::Within);
    let create =
        CreateGroup { group: group.clone(), epoch: 0, access: Access::Anyone, group_info: None };
    assert_eq!(alice.post(&replica, path::GROUPS, &create).await.status, 201);
    let info = at_alice.group_info(Tree::Within);
    put(&replica, &bob, &group, &info).await.problem(ProblemKind::Forbidden);
    put(&replica, &alice, &group, &spoil(&info, 1)).await.problem(ProblemKind::InvalidMessage);
    // One that another member has signed, or that somebody has made up.
    let posing = Member::founder(&bob, &group, Tree::Within).group_info(Tree::Within);
    put(&replica, &alice, &group, &posing).await.problem(ProblemKind::Forbidden);
    put(&replica, &alice, &group, &info).await.done();
    let made_up = Member::founder(&alice, &group, Tree::Within).group_info(Tree::Within);
    put(&replica, &alice, &group, &made_up).await.problem(ProblemKind::InvalidMessage);
    assert_eq!(fetch(&replica, &bob, &group).await, info);
    win(&replica, &alice, &group, &publish(&group, 0)).await;
    put(&replica, &alice, &group, &info).await.problem(ProblemKind::InvalidMessage);
}

async fn a_leaf_whose_time_has_ended_keeps_nobody_out(backend: Backend) {
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let sensor = Device::registered(&replica, "sensor").await;
    let bob = Device::registered(&replica, "bob").await;
    let carol = Device::registered(&replica, "carol").await;
    let (group, mut at_alice) = open_group(&replica, &alice).await;
    // It ends in two seconds, and never commits.
    let brief = Member::of(&sensor).key_package_for(Lifetime::new(2));
    let made = at_alice.commit(&[brief], &[]);
    win(&replica, &alice, &group, &made.publish(&[&sensor])).await;
    at_alice.merge();
    tokio::time::sleep(std::time::Duration::from_millis(3100)).await;
    put(&replica, &alice, &group, &at_alice.group_info(Tree::Within)).await.done();
    let info = fetch(&replica, &bob, &group).await;
    let made = Member::of(&bob).come(&info);
    // It is verified all the same.
    for from_end in [40, 300] {
        let forged =
            PublishCommit { commit: spoil(&made.commit, from_end).into(), ..made.publish(&[]) };
        let refused = send(&replica, &bob, &group, &forged).await;
        assert!([403, 422].contains(&refused.status.as_u16()), "{from_end}");
    }
    let posing = Member::named(&bob, b"alice").come(&info);
    let refused = send(&replica, &bob, &group, &posing.publish(&[])).await;
    refused.problem(ProblemKind::Forbidden);
    win(&replica, &bob, &group, &made.publish(&[])).await;
    at_alice.follow(&made.commit);
    put(&replica, &alice, &group, &at_alice.group_info(Tree::Within)).await.done();
    let made = Member::of(&carol).come(&fetch(&replica, &carol, &group).await);
    win(&replica, &carol, &group, &made.publish(&[])).await;
    at_alice.follow(&made.commit);
}

async fn a_newcomer_reads_from_where_it_joined(backend: Backend) {
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let bob = Device::registered(&replica, "bob").await;
    let carol = Device::registered(&replica, "carol").await;
    let (group, mut at_alice) = open_group(&replica, &alice).await;
    let messages = path::of_group(path::GROUP_MESSAGES, &group);
    let before = application(&group, 0);
    assert_eq!(alice.post_mls(&replica, &messages, &before).await.status, 201);
    let made = Member::of(&bob).come(&fetch(&replica, &bob, &group).await);
    win(&replica, &bob, &group, &made.publish(&[])).await;
    at_alice.follow(&made.commit);
    let page = log(&replica, &bob, &group).await;
    let positions = |page: &LogPage| page.entries.iter().map(|e| e.position).collect::<Vec<_>>();
    assert_eq!((positions(&page), page.head), (vec![2], 2));
    let view: GroupView = bob.get(&replica, &path::of_group(path::GROUP, &group)).await.json(200);
    assert_eq!((view.start, view.head), (1, 2));

    // By a Welcome, too.
    let made = at_alice.commit(&[Member::of(&carol).key_package()], &[]);
    win(&replica, &alice, &group, &made.publish(&[&carol])).await;
    at_alice.merge();
    assert_eq!(positions(&log(&replica, &carol, &group).await), [3]);
    // One that is removed and comes again reads on from where it joined first: its log has no hole.
    let leaf = |at: &Member, name: &[u8]| {
        let mut members = at.mls().members();
        members.find(|m| m.credential.serialized_content() == name).unwrap().index.u32()
    };
    let gone = at_alice.commit(&[], &[leaf(&at_alice, b"carol")]);
    win(&replica, &alice, &group, &gone.publish(&[])).await;
    at_alice.merge();
    assert_eq!(positions(&log(&replica, &carol, &group).await), [3, 4]);
    let between = at_alice.commit(&[], &[]);
    win(&replica, &alice, &group, &between.publish(&[])).await;
    at_alice.merge();
    assert_eq!(positions(&log(&replica, &carol, &group).await), [3, 4]);
    let back = at_alice.commit(&[Member::of(&carol).key_package()], &[]);
    win(&replica, &alice, &group, &back.publish(&[&carol])).await;
    assert_eq!(positions(&log(&replica, &carol, &group).await), [3, 4, 5, 6]);
    assert_eq!(positions(&log(&replica, &alice, &group).await), [1, 2, 3, 4, 5, 6]);
}

async fn a_commit_in_the_clear_does_what_its_roster_change_says(backend: Backend) {
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let bob = Device::registered(&replica, "bob").await;
    let carol = Device::registered(&replica, "carol").await;
    let (group, mut at_alice) = open_group(&replica, &alice).await;
    let mut at_bob = Member::of(&bob);
    let made = at_alice.commit(&[at_bob.key_package()], &[]);
    // A Welcome for somebody who is not added, and a newcomer on the roster who is not.
    let elsewhere = made.publish(&[&bob, &carol]);
    send(&replica, &alice, &group, &elsewhere).await.problem(ProblemKind::InvalidMessage);
    let roster = RosterChange { add: vec![carol.user.clone()], remove: Vec::new() };
    let more = PublishCommit { roster, ..made.publish(&[&bob]) };
    send(&replica, &alice, &group, &more).await.problem(ProblemKind::InvalidMessage);
    win(&replica, &alice, &group, &made.publish(&[&bob])).await;
    at_alice.merge();
    at_bob.join(made.welcome.as_ref().unwrap(), at_alice.mls());

    // Bob keeps his leaf, whatever the roster change says.
    let made = at_alice.commit(&[], &[]);
    let roster = RosterChange { remove: vec![bob.user.clone()], add: Vec::new() };
    let lying = PublishCommit { roster: roster.clone(), ..made.publish(&[]) };
    send(&replica, &alice, &group, &lying).await.problem(ProblemKind::InvalidMessage);
    // A signature that is not Alice's, under her seat.
    let forged = PublishCommit { commit: spoil(&made.commit, 80).into(), ..made.publish(&[]) };
    send(&replica, &alice, &group, &forged).await.problem(ProblemKind::InvalidMessage);
    // What Bob has made, sent by Alice, and what Alice has made, sent by Bob.
    let of_bob = at_bob.commit(&[], &[]);
    let crossed = send(&replica, &alice, &group, &of_bob.publish(&[])).await;
    crossed.problem(ProblemKind::Forbidden);
    let crossed = send(&replica, &bob, &group, &made.publish(&[])).await;
    crossed.problem(ProblemKind::Forbidden);
    at_alice.discard();
    // He loses it, and nobody says so.
    let bobs = at_bob.mls().own_leaf_index().u32();
    let made = at_alice.commit(&[], &[bobs]);
    win(&replica, &alice, &group, &made.publish(&[])).await;
    at_alice.merge();
    send(&replica, &bob, &group, &publish(&group, 3)).await.problem(ProblemKind::Forbidden);
}

async fn a_commit_names_proposals_of_its_epoch(backend: Backend) {
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let bob = Device::registered(&replica, "bob").await;
    let (group, mut at_alice) = open_group(&replica, &alice).await;
    let mut at_bob = Member::of(&bob);
    let made = at_alice.commit(&[at_bob.key_package()], &[]);
    win(&replica, &alice, &group, &made.publish(&[&bob])).await;
    at_alice.merge();
    at_bob.join(made.welcome.as_ref().unwrap(), at_alice.mls());

    let bobs = at_bob.mls().own_leaf_index().u32();
    let removal = at_alice.propose_removal(bobs);
    let messages = path::of_group(path::GROUP_MESSAGES, &group);
    // Not in the name of somebody else.
    let posing = bob.post_mls(&replica, &messages, &removal).await;
    posing.problem(ProblemKind::Forbidden);
    assert_eq!(alice.post_mls(&replica, &messages, &removal).await.status, 201);
    let made = at_alice.commit(&[], &[]);
    let roster = RosterChange { add: vec![bob.user.clone()], remove: Vec::new() };
    let lying = PublishCommit { roster, ..made.publish(&[]) };
    send(&replica, &alice, &group, &lying).await.problem(ProblemKind::InvalidMessage);
    win(&replica, &alice, &group, &made.publish(&[])).await;
    send(&replica, &bob, &group, &publish(&group, 2)).await.problem(ProblemKind::Forbidden);
}

async fn nobody_takes_the_name_of_somebody_else(backend: Backend) {
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let bob = Device::registered(&replica, "bob").await;
    let (group, mut at_alice) = open_group(&replica, &alice).await;
    let messages = path::of_group(path::GROUP_MESSAGES, &group);
    // In the leaf of a path, of an Update, and of an Add, by value and by proposal.
    let posing = at_alice.commit_as(b"bob").publish(&[]);
    for group_info in [None, posing.group_info.clone()] {
        let posing = PublishCommit { group_info, ..posing.clone() };
        send(&replica, &alice, &group, &posing).await.problem(ProblemKind::Forbidden);
    }
    at_alice.discard();
    let posing = Member::named(&alice, b"bob").key_package();
    let unknown = Member::of(&Device::new("bob")).key_package();
    for key_package in [&posing, &unknown] {
        let proposal = Member::founder(&bob, &group, Tree::Within).propose_add(key_package);
        let refused = bob.post_mls(&replica, &messages, &proposal).await;
        refused.problem(ProblemKind::Forbidden);
    }
    let made = at_alice.commit(&[unknown], &[]);
    let refused = send(&replica, &alice, &group, &made.publish(&[])).await;
    refused.problem(ProblemKind::Forbidden);
    at_alice.discard();
    let update = at_alice.propose_update(b"bob");
    alice.post_mls(&replica, &messages, &update).await.problem(ProblemKind::Forbidden);
    // The same under the own name is taken.
    let key_package = Member::of(&bob).key_package();
    let (group, mut at_alice) = open_group(&replica, &alice).await;
    let messages = path::of_group(path::GROUP_MESSAGES, &group);
    for proposal in [at_alice.propose_update(b"alice"), at_alice.propose_add(&key_package)] {
        assert_eq!(alice.post_mls(&replica, &messages, &proposal).await.status, 201);
    }
}

async fn a_group_info_that_is_made_up_keeps_no_member_out(backend: Backend) {
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let mallory = Device::registered(&replica, "mallory").await;
    // Nobody has published what the group is.
    let group = new_group(&replica, &alice, Access::Roster).await;
    let mut at_alice = Member::founder(&alice, &group, Tree::Within);
    let made = at_alice.commit(&[Member::of(&mallory).key_package()], &[]);
    let without = PublishCommit { group_info: None, ..made.publish(&[&mallory]) };
    win(&replica, &alice, &group, &without).await;
    at_alice.merge();
    // A group of the same id, in the same epoch, with nobody else in it.
    let mut made_up = Member::founder(&mallory, &group, Tree::Within);
    made_up.commit(&[], &[]);
    made_up.merge();
    put(&replica, &mallory, &group, &made_up.group_info(Tree::Within)).await.done();
    let made = at_alice.commit(&[], &[]);
    win(&replica, &alice, &group, &made.publish(&[])).await;
    // Whose leaf it is, is looked at all the same.
    at_alice.merge();
    let posing = at_alice.commit_as(b"mallory");
    let refused = send(&replica, &alice, &group, &posing.publish(&[])).await;
    refused.problem(ProblemKind::Forbidden);
}
