//! Proposals that wait in a group.

use paired_mls_api::{Access, GroupId, ProblemKind, path};

use crate::{
    backend::{Backend, Replica, on_both},
    device::{Answer, Device},
    messages::*,
};

on_both!(
    who_proposes_for_ever_shuts_out_himself,
    all_proposals_of_an_epoch_are_bounded,
    proposals_are_bounded_in_bytes,
    a_roll_back_forgets_who_has_proposed,
);

async fn propose(replica: &Replica, by: &Device, group: &GroupId, proposal: &[u8]) -> Answer {
    by.post_mls(replica, &path::of_group(path::GROUP_MESSAGES, group), proposal).await
}

/// A group of so many accounts, in epoch 1.
async fn group_of(replica: &Replica, names: &[&str]) -> (Vec<Device>, GroupId) {
    let mut devices = Vec::new();
    for name in names {
        devices.push(Device::registered(replica, name).await);
    }
    let group = new_group(replica, &devices[0], Access::Roster).await;
    let others: Vec<_> = devices[1..].iter().collect();
    win(replica, &devices[0], &group, &adding(&group, 0, &others)).await;
    (devices, group)
}

/// One account proposes for ever: its own further ones are refused, and it is told what helps. The others go on, and
/// the next epoch is a new one.
async fn who_proposes_for_ever_shuts_out_himself(mut backend: Backend) {
    backend.config.limits.proposals_each = 3;
    let replica = backend.replica().await;
    let (devices, group) = group_of(&replica, &["alice", "bob"]).await;
    let [alice, bob] = &devices[..] else { panic!("there are two") };
    let siblings = alice.sibling(&replica).await;
    let first = proposal(&group, 1);
    assert_eq!(propose(&replica, alice, &group, &first).await.status, 201);
    for by in [&siblings, alice] {
        assert_eq!(propose(&replica, by, &group, &proposal(&group, 1)).await.status, 201);
    }
    for by in [alice, &siblings] {
        let refused = propose(&replica, by, &group, &proposal(&group, 1)).await;
        let problem = refused.problem(ProblemKind::TooManyProposals);
        let told = problem.detail.unwrap();
        assert!(told.contains("the account has") && told.contains("a commit ends it"), "{told}");
    }
    // What has its place keeps it, messages are no proposals, and the others go on.
    assert_eq!(propose(&replica, alice, &group, &first).await.status, 200);
    assert_eq!(propose(&replica, alice, &group, &application(&group, 1)).await.status, 201);
    assert_eq!(propose(&replica, bob, &group, &proposal(&group, 1)).await.status, 201);
    win(&replica, bob, &group, &publish(&group, 1)).await;
    for _ in 0..3 {
        assert_eq!(propose(&replica, alice, &group, &proposal(&group, 2)).await.status, 201);
    }
    let refused = propose(&replica, alice, &group, &proposal(&group, 2)).await;
    refused.problem(ProblemKind::TooManyProposals);
}

/// Many accounts fill an epoch together: a commit has room, and makes some.
async fn all_proposals_of_an_epoch_are_bounded(mut backend: Backend) {
    backend.config.limits.proposals_each = 2;
    backend.config.limits.proposals = 5;
    let replica = backend.replica().await;
    let (devices, group) = group_of(&replica, &["alice", "bob", "carol"]).await;
    for by in &devices[..2] {
        for _ in 0..2 {
            assert_eq!(propose(&replica, by, &group, &proposal(&group, 1)).await.status, 201);
        }
    }
    let carol = &devices[2];
    assert_eq!(propose(&replica, carol, &group, &proposal(&group, 1)).await.status, 201);
    let refused = propose(&replica, carol, &group, &proposal(&group, 1)).await;
    let told = refused.problem(ProblemKind::TooManyProposals).detail.unwrap();
    assert!(told.contains("as many proposals as may"), "{told}");
    win(&replica, carol, &group, &publish(&group, 1)).await;
    assert_eq!(propose(&replica, carol, &group, &proposal(&group, 2)).await.status, 201);
}

/// The same by bytes, of one account and of all.
async fn proposals_are_bounded_in_bytes(mut backend: Backend) {
    backend.config.limits.proposal_bytes_each = 20_000;
    backend.config.limits.proposal_bytes = 30_000;
    let replica = backend.replica().await;
    let (devices, group) = group_of(&replica, &["alice", "bob"]).await;
    let said = async |by: usize, len| {
        let proposal = long_proposal(&group, 1, len);
        propose(&replica, &devices[by], &group, &proposal).await
    };
    assert_eq!(said(0, 16_000).await.status, 201);
    let told = said(0, 16_000).await.problem(ProblemKind::TooManyProposals).detail.unwrap();
    assert!(told.contains("the account has"), "{told}");
    assert_eq!(said(0, 2_000).await.status, 201, "what was refused is not counted");
    let told = said(1, 15_000).await.problem(ProblemKind::TooManyProposals).detail.unwrap();
    assert!(!told.contains("the account has"), "{told}");
    assert_eq!(said(1, 10_000).await.status, 201);
}

/// The operator rolls the log back: what has gone is not counted.
async fn a_roll_back_forgets_who_has_proposed(mut backend: Backend) {
    backend.config.limits.proposals_each = 2;
    let replica = backend.replica().await;
    let (devices, group) = group_of(&replica, &["alice", "bob"]).await;
    for _ in 0..2 {
        assert_eq!(propose(&replica, &devices[0], &group, &proposal(&group, 1)).await.status, 201);
    }
    replica.state.roll_back_group(&group, 1).await.unwrap().unwrap();
    for _ in 0..2 {
        assert_eq!(propose(&replica, &devices[0], &group, &proposal(&group, 1)).await.status, 201);
    }
}
