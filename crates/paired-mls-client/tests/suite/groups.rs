//! Groups.

use paired_mls_api::{GroupId, ProblemKind, PublishCommit, Published};
use paired_mls_client::Publication;

use crate::{
    cast::{Service, commit, creation, new_group},
    messages::{application, group_info, publish, random},
};

#[tokio::test]
async fn commits_have_one_order() {
    let service = Service::start().await;
    let alice = service.device("alice").await;
    let group = new_group(&alice).await;
    let (won, lost) = (publish(&group, 0), publish(&group, 0));
    let accepted = Publication::Accepted(Published { position: 1, epoch: 0 });
    assert_eq!(alice.publish_commit(&group, &won).await.unwrap(), accepted);
    let other = alice.publish_commit(&group, &lost).await.unwrap();
    assert_eq!(other, Publication::Lost { epoch: 1 });
    // The same again has the same place.
    assert_eq!(alice.publish_commit(&group, &won).await.unwrap(), accepted);

    let message = application(&group, 1);
    let published = alice.publish_message(&group, &message).await.unwrap();
    assert_eq!(published, Published { position: 2, epoch: 1 });
    assert_eq!(alice.publish_message(&group, &message).await.unwrap(), published);
    let view = alice.group(&group).await.unwrap();
    assert_eq!((view.epoch, view.head), (1, 2));

    let page = alice.log(&group, 0, Some(1)).await.unwrap();
    assert_eq!((page.entries.len(), page.head), (1, 2));
    assert_eq!(page.entries[0].message, won.commit);
    let page = alice.log(&group, 1, None).await.unwrap();
    assert_eq!(page.entries.len(), 1);
    assert_eq!(page.entries[0].message.0, message);
    service.stop().await;
}

#[tokio::test]
async fn the_group_info_is_that_of_the_epoch() {
    let service = Service::start().await;
    let alice = service.device("alice").await;
    let group = new_group(&alice).await;
    assert_eq!(alice.group_info(&group).await.unwrap(), None);
    let info = group_info(&group, 1);
    let published = PublishCommit { group_info: Some(info.clone().into()), ..publish(&group, 0) };
    let published = alice.publish_commit(&group, &published).await.unwrap();
    assert!(matches!(published, Publication::Accepted(_)));
    assert_eq!(alice.group_info(&group).await.unwrap(), Some(info));
    commit(&alice, &group, 1..2).await;
    assert_eq!(alice.group_info(&group).await.unwrap(), None);
    service.stop().await;
}

#[tokio::test]
async fn a_group_is_its_members_own() {
    let service = Service::start().await;
    let (alice, bob) = (service.device("alice").await, service.device("bob").await);
    let group = new_group(&alice).await;
    let error = bob.group(&group).await.unwrap_err();
    assert_eq!(error.problem(), Some(ProblemKind::NotFound));
    let error = bob.publish_commit(&group, &publish(&group, 0)).await.unwrap_err();
    assert_eq!(error.problem(), Some(ProblemKind::NotFound));
    let error = bob.create_group(&creation(&group)).await.unwrap_err();
    assert_eq!(error.problem(), Some(ProblemKind::Exists));
    assert_eq!(bob.group_info(&GroupId::new(random::<16>()).unwrap()).await.unwrap(), None);
    service.stop().await;
}
