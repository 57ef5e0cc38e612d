//! Messages of the form that MLS has, with random content: all that the service reads is their header.

use paired_mls_api::{
    Access, Base64Url, CreateGroup, Envelope, GroupId, PublishCommit, Published, RosterChange, path,
};

use crate::{
    backend::Replica,
    device::{Answer, Device, random},
};

const APPLICATION: u8 = 1;
const PROPOSAL: u8 = 2;
const COMMIT: u8 = 3;

/// An application message with a ciphertext of so many bytes.
pub(crate) fn long_application(group: &GroupId, epoch: u64, len: u16) -> Vec<u8> {
    long(group, epoch, APPLICATION, len)
}

/// A proposal with a ciphertext of so many bytes.
pub(crate) fn long_proposal(group: &GroupId, epoch: u64, len: u16) -> Vec<u8> {
    long(group, epoch, PROPOSAL, len)
}

fn long(group: &GroupId, epoch: u64, content_type: u8, len: u16) -> Vec<u8> {
    let mut message = private(group, epoch, content_type);
    message.truncate(message.len() - 61);
    assert!((64..16384).contains(&len));
    message.extend_from_slice(&(0x4000 | len).to_be_bytes());
    let start = message.len();
    message.resize(start + usize::from(len), 0);
    // No database makes it shorter.
    getrandom::fill(&mut message[start..]).unwrap();
    message
}

fn private(group: &GroupId, epoch: u64, content_type: u8) -> Vec<u8> {
    let mut message = vec![0, 1, 0, 2];
    vector(&mut message, group.as_bytes());
    message.extend_from_slice(&epoch.to_be_bytes());
    message.push(content_type);
    vector(&mut message, b"");
    vector(&mut message, &random::<28>());
    vector(&mut message, &random::<60>());
    message
}

fn vector(message: &mut Vec<u8>, bytes: &[u8]) {
    assert!(bytes.len() < 64);
    message.push(bytes.len() as u8);
    message.extend_from_slice(bytes);
}

pub(crate) fn commit(group: &GroupId, epoch: u64) -> Vec<u8> {
    private(group, epoch, COMMIT)
}

pub(crate) fn proposal(group: &GroupId, epoch: u64) -> Vec<u8> {
    private(group, epoch, PROPOSAL)
}

pub(crate) fn application(group: &GroupId, epoch: u64) -> Vec<u8> {
    private(group, epoch, APPLICATION)
}

/// A commit in the clear of someone who joins by it, without a path.
pub(crate) fn external_commit(group: &GroupId, epoch: u64) -> Vec<u8> {
    let mut message = vec![0, 1, 0, 1];
    vector(&mut message, group.as_bytes());
    message.extend_from_slice(&epoch.to_be_bytes());
    message.push(4);
    vector(&mut message, b"");
    message.push(COMMIT);
    vector(&mut message, &[]);
    message.push(0);
    vector(&mut message, &random::<32>());
    vector(&mut message, &random::<32>());
    message
}

pub(crate) fn group_info(group: &GroupId, epoch: u64) -> Vec<u8> {
    let mut message = vec![0, 1, 0, 4, 0, 1, 0, 1];
    vector(&mut message, group.as_bytes());
    message.extend_from_slice(&epoch.to_be_bytes());
    message.extend_from_slice(&random::<32>());
    message
}

/// An envelope with nothing to say.
pub(crate) fn cover(commit: &[u8]) -> Base64Url {
    let cover = Envelope::cover(commit, |random| getrandom::fill(random).unwrap());
    cover.unwrap().into_bytes().into()
}

/// An envelope that says this.
pub(crate) fn envelope(content: &[u8]) -> Base64Url {
    Envelope::seal(content).unwrap().into_bytes().into()
}

/// A commit with nothing that belongs to it.
pub(crate) fn publish(group: &GroupId, epoch: u64) -> PublishCommit {
    let commit = commit(group, epoch);
    PublishCommit {
        account_envelope: cover(&commit),
        commit: commit.into(),
        welcomes: Vec::new(),
        envelopes: Vec::new(),
        group_info: None,
        roster: RosterChange::default(),
    }
}

/// A group with one account, at epoch 0.
pub(crate) async fn new_group(replica: &Replica, creator: &Device, access: Access) -> GroupId {
    let group = creator.new_group_id();
    let body = CreateGroup { group: group.clone(), epoch: 0, access, group_info: None };
    assert_eq!(creator.post(replica, path::GROUPS, &body).await.status, 201);
    group
}

/// Sends a commit.
pub(crate) async fn send(
    replica: &Replica,
    device: &Device,
    group: &GroupId,
    commit: &PublishCommit,
) -> Answer {
    device.post(replica, &path::of_group(path::GROUP_COMMITS, group), commit).await
}

/// Sends a commit that wins.
pub(crate) async fn win(
    replica: &Replica,
    device: &Device,
    group: &GroupId,
    commit: &PublishCommit,
) -> Published {
    send(replica, device, group, commit).await.json(201)
}

/// A commit that adds accounts.
pub(crate) fn adding(group: &GroupId, epoch: u64, devices: &[&Device]) -> PublishCommit {
    let add = devices.iter().map(|device| device.user.clone()).collect();
    let roster = RosterChange { add, remove: Vec::new() };
    PublishCommit { roster, ..publish(group, epoch) }
}
