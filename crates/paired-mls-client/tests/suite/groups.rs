//! Groups.

use futures_util::StreamExt as _;
use openmls::prelude::{
    BasicCredential, Ciphersuite, CredentialWithKey, MlsGroup, MlsGroupCreateConfig,
};
use openmls_basic_credential::SignatureKeyPair;
use openmls_rust_crypto::OpenMlsRustCrypto;
use openmls_traits::{OpenMlsProvider as _, types::SignatureScheme};
use paired_mls_api::{
    GroupId, ProblemKind, PublishCommit, Published, RequestKey as _, RosterChange, UserId,
};
use paired_mls_client::{Client, ClientError, Publication};

use crate::{
    cast::{Key, Service, commit, creation, new_group, registration},
    messages::{application, publish, random},
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

/// A device whose place in the log is gone is told so, with the way back, and not that there is nothing new.
#[tokio::test]
async fn a_place_that_is_gone_is_told() {
    // Room for two messages.
    let service = Service::with(|config, _| config.limits.log_bytes = Some(300)).await;
    let alice = service.device("alice").await;
    let group = new_group(&alice).await;
    commit(&alice, &group, 0..3).await;
    assert_eq!(alice.log(&group, 3, None).await.unwrap().entries.len(), 0);
    alice.publish_message(&group, &application(&group, 3)).await.unwrap();
    let gone = |error: &ClientError| {
        assert!(matches!(error, ClientError::Pruned { after: 1, through: 2 }), "{error:?}");
        assert!(error.to_string().contains("not kept the log up to position 2"), "{error}");
    };
    gone(&alice.log(&group, 1, None).await.unwrap_err());
    gone(&alice.group_events(&group, 1).next().await.unwrap().unwrap_err());
    // What is there is still to be had, by one who has read that far.
    assert_eq!(alice.log(&group, 2, None).await.unwrap().entries.len(), 2);
    service.stop().await;
}

/// The GroupInfo of a group at epoch 0, by its founder.
fn group_info(key: &Key, user: &str, group: &GroupId) -> Vec<u8> {
    let (public, private) = (key.public_key(), key.0.to_bytes().to_vec());
    let signer = SignatureKeyPair::from_raw(SignatureScheme::ED25519, private, public.clone());
    let credential = BasicCredential::new(user.as_bytes().to_vec()).into();
    let credential = CredentialWithKey { credential, signature_key: public.into() };
    let provider = OpenMlsRustCrypto::default();
    let config = MlsGroupCreateConfig::builder()
        .ciphersuite(Ciphersuite::MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519)
        .build();
    let id = openmls::prelude::GroupId::from_slice(group.as_bytes());
    let mls = MlsGroup::new_with_group_id(&provider, &signer, &config, id, credential).unwrap();
    mls.export_group_info(provider.crypto(), &signer, true).unwrap().to_bytes().unwrap()
}

#[tokio::test]
async fn the_group_info_is_that_of_the_epoch() {
    let service = Service::start().await;
    let key = Key::new();
    let alice = Client::new(service.address(), key.clone()).unwrap();
    alice.register(&registration(&key, "alice")).await.unwrap();
    let group = new_group(&alice).await;
    assert_eq!(alice.group_info(&group).await.unwrap(), None);
    let info = group_info(&key, "alice", &group);
    alice.publish_group_info(&group, &info).await.unwrap();
    assert_eq!(alice.group_info(&group).await.unwrap(), Some(info.clone()));
    commit(&alice, &group, 0..1).await;
    assert_eq!(alice.group_info(&group).await.unwrap(), None);
    let error = alice.publish_group_info(&group, &info).await.unwrap_err();
    assert_eq!(error.problem(), Some(ProblemKind::InvalidMessage));
    service.stop().await;
}

#[tokio::test]
async fn a_newcomer_begins_where_it_joined_and_is_put_back() {
    let service = Service::start().await;
    let (alice, bob) = (service.device("alice").await, service.device("bob").await);
    let group = new_group(&alice).await;
    commit(&alice, &group, 0..2).await;
    let bobs = vec![UserId::new("bob").unwrap()];
    let roster = RosterChange { add: bobs.clone(), remove: Vec::new() };
    let adding = PublishCommit { roster, ..publish(&group, 2) };
    let added = alice.publish_commit(&group, &adding).await.unwrap();
    assert_eq!(added, Publication::Accepted(Published { position: 3, epoch: 2 }));
    let mut events = bob.group_events(&group, 0);
    assert_eq!(events.next().await.unwrap().unwrap().position, 3);
    let page = bob.log(&group, 0, None).await.unwrap();
    assert_eq!(page.entries.iter().map(|entry| entry.position).collect::<Vec<_>>(), [3]);

    let roster = RosterChange { remove: bobs.clone(), add: Vec::new() };
    let removing = PublishCommit { roster, ..publish(&group, 3) };
    let removed = alice.publish_commit(&group, &removing).await.unwrap();
    assert!(matches!(removed, Publication::Accepted(_)));
    assert_eq!(events.next().await.unwrap().unwrap().position, 4);
    let error = bob.publish_message(&group, &application(&group, 4)).await.unwrap_err();
    assert_eq!(error.problem(), Some(ProblemKind::Forbidden));
    alice.put_back(&group, &bobs).await.unwrap();
    bob.publish_message(&group, &application(&group, 4)).await.unwrap();
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
    // An id of another user is refused, whether there is a group or not.
    let nowhere = GroupId::of_creator(&UserId::new("alice").unwrap(), random());
    for id in [&group, &nowhere] {
        let error = bob.create_group(&creation(id)).await.unwrap_err();
        assert_eq!(error.problem(), Some(ProblemKind::Forbidden));
    }
    let error = alice.create_group(&creation(&group)).await.unwrap_err();
    assert_eq!(error.problem(), Some(ProblemKind::Exists));
    assert_eq!(bob.group_info(&GroupId::new(random::<16>()).unwrap()).await.unwrap(), None);
    service.stop().await;
}
