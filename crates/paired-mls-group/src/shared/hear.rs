//! What a delivered message is for a device behind a shared leaf.

use alloc::vec::Vec;

use paired_mls::{
    DeviceId, Event, TapeId, Vault,
    group::Act,
    leaf::{LeafMessage, LeafNotify, LeafNotifyError, LeafVaultError},
    wire::{ContentType, PrivateHeader, PublicCommit, Sender},
};

use crate::{Committer, Error, Library, Membership, PeerError, StagedCommit};

/// What a partner behind the leaf says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// A commit that ends `epoch` is on its way.
    Commit {
        /// The epoch.
        epoch: u64,
        /// What it takes to make it again.
        notify: LeafNotify,
    },
    /// It wants to send application messages.
    TokenWanted(DeviceId),
    /// It sends none any more.
    TokenGiven(DeviceId),
    /// It is this device's own.
    Own,
}

/// Reads what a partner says in `current` or a later epoch; `None` if the message is of another kind.
///
/// # Errors
///
/// [`PeerError::LeafNotify`] for a Notify that no partner sends, [`PeerError::Kind`] for one of a later version;
/// [`Error::Vault`].
pub fn said(
    vault: &Vault,
    tape: &TapeId,
    current: u64,
    message: &[u8],
) -> Result<Option<Said>, Error> {
    let epoch = match private_commit(message) {
        Some(epoch) if epoch >= current => epoch,
        _ => return Ok(None),
    };
    let said = match vault.open_leaf_message(tape, epoch, message) {
        Ok(said) => said,
        Err(LeafVaultError::Notify(LeafNotifyError::NotANotify)) => return Ok(None),
        Err(LeafVaultError::Notify(LeafNotifyError::OwnLane(_) | LeafNotifyError::Own)) => {
            return Ok(Some(Said::Own));
        }
        Err(LeafVaultError::Notify(error)) => return Err(PeerError::LeafNotify(error).into()),
        Err(error) => return Err(error.into()),
    };
    match said {
        LeafMessage::Commit(notify) => Ok(Some(Said::Commit { epoch, notify })),
        LeafMessage::TokenWanted(by) => Ok(Some(Said::TokenWanted(by))),
        LeafMessage::TokenGiven(by) => Ok(Some(Said::TokenGiven(by))),
        _ => Err(PeerError::Kind("message that this version knows").into()),
    }
}

/// The epoch of an encrypted commit, or of a Notify, which looks like one:
///
/// ```text
/// version, wire_format = 2, group_id<V>, epoch, content_type = 3, …
/// ```
fn private_commit(message: &[u8]) -> Option<u64> {
    let header = PrivateHeader::decode(message).ok()??;
    (header.content_type() == ContentType::COMMIT).then_some(header.epoch())
}

/// Whether a message is an encrypted commit, or looks like one.
pub fn is_private_commit(message: &[u8]) -> bool {
    private_commit(message).is_some()
}

/// Whose commit a message in the clear is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// Of the own leaf.
    OwnLeaf,
    /// An external commit with the signature key of the own leaf.
    OwnKey,
    /// Of somebody else, or of another epoch.
    Others,
}

impl Whose {
    /// Of a commit in the clear, in the group as it is.
    pub fn of<L: Library>(library: &L, group: &L::Group, commit: &PublicCommit) -> Self {
        let (content, own) = (commit.content(), library.own_leaf(group));
        let now = (library.group_id(group), library.epoch_mark(group).epoch);
        if (content.group_id(), content.epoch()) != now {
            return Self::Others;
        }
        match content.sender() {
            Sender::Member(index) if index == own.value() => Self::OwnLeaf,
            Sender::NewMemberCommit => {
                let path = commit.commit().and_then(|commit| commit.path());
                let key = path.map(|path| path.leaf_node().signature_key());
                let own = library.leaf(group, own);
                match own.is_some_and(|own| Some(own.signature_key()) == key) {
                    true => Self::OwnKey,
                    false => Self::Others,
                }
            }
            _ => Self::Others,
        }
    }
}

/// The alarm about a commit from outside that takes the leaf out, whose signature key is `own_key`, and comes in with
/// that key: it is of none of its devices, since theirs are from the tape.
pub fn alarms(
    own_key: Option<&[u8]>,
    own: DeviceId,
    staged: &StagedCommit,
    committer: Committer,
) -> Vec<Event> {
    let is_external = matches!(committer, Committer::External(_));
    let new = staged.path.as_ref().map(|leaf| leaf.signature_key());
    let taken = is_external && staged.membership == Membership::Removed && own_key == new;
    let alarm = Event::Impostor { device: own, act: Act::ExternalCommit };
    taken.then_some(alarm).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use paired_mls::group::EpochMark;

    use super::*;
    use crate::fake::{leaf, leaf_node, pairing};

    fn staged(key: u8, membership: Membership) -> StagedCommit {
        StagedCommit {
            proposals: Vec::new(),
            path: Some(leaf_node(key)),
            next: EpochMark { epoch: 2, confirmed_transcript_hash: Vec::new() },
            required_extensions: Vec::new(),
            membership,
        }
    }

    /// An alarm is a commit from outside, which takes the leaf out and has its key; each part alone is none.
    #[test]
    fn who_takes_the_leaf_with_its_own_key_is_an_impostor() {
        let (own, outside) = (DeviceId(1), Committer::External(leaf(0)));
        let removed = Membership::Removed;
        let of = |staged: &StagedCommit, by| alarms(Some(&[1]), own, staged, by);
        let alarm = Event::Impostor { device: own, act: Act::ExternalCommit };
        assert_eq!(of(&staged(1, removed), outside), [alarm]);
        assert_eq!(of(&staged(2, removed), outside), []);
        assert_eq!(of(&staged(1, Membership::Stays), outside), []);
        assert_eq!(of(&staged(1, removed), Committer::Member(leaf(3))), []);
    }

    /// What is no Notify at all is for the MLS library; what looks like one of an earlier epoch as well.
    #[test]
    fn what_is_no_notify_is_left_to_the_library() {
        let (_, vault, tape) = pairing();
        assert_eq!(said(&vault, &tape, 0, b"nonsense").unwrap(), None);
        let from_before = [&[0, 1, 0, 2, 5][..], b"group", &[0; 7], &[4, 3]].concat();
        assert_eq!(said(&vault, &tape, 5, &from_before).unwrap(), None);
    }
}
