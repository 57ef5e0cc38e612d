//! Messages of the form that MLS has, with random content: all that the service reads is their header.

use paired_mls_api::{Envelope, GroupId, PublishCommit, RosterChange};

const APPLICATION: u8 = 1;
const COMMIT: u8 = 3;

/// Fresh random bytes.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).unwrap();
    bytes
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

pub(crate) fn application(group: &GroupId, epoch: u64) -> Vec<u8> {
    private(group, epoch, APPLICATION)
}

/// A commit with nothing that belongs to it.
pub(crate) fn publish(group: &GroupId, epoch: u64) -> PublishCommit {
    let commit = private(group, epoch, COMMIT);
    let cover = Envelope::cover(&commit, |random| getrandom::fill(random).unwrap()).unwrap();
    PublishCommit {
        commit: commit.into(),
        account_envelope: cover.into_bytes().into(),
        welcomes: Vec::new(),
        envelopes: Vec::new(),
        group_info: None,
        roster: RosterChange::default(),
    }
}
