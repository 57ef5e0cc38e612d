//! What a delivered commit of the own leaf can be, and what it means once it was made again.
//!
//! ```text
//! the commit in the clear   what it says itself, at the index that its leaf's key tells
//! encrypted                 what partners have announced for this epoch
//! encrypted, unannounced    an empty commit, at the next positions of each lane
//! ```

use alloc::{vec, vec::Vec};

use paired_mls::{
    CipherSuite, DeviceId, EpochContext, Event, Secret, Spot, TapeId, Vault,
    leaf::{LeafNotify, LeafPending, LeafRecord, LeafUse, Origin, Speaker},
    wire::{LeafNode, PublicCommit, RatchetTree},
};

use super::{Difference, security, security_changed};
use crate::{Error, Library, PeerError};

/// How many positions of each partner's lane are tried on an encrypted commit whose Notify is lost (section 7 of
/// docs/PROFILE.md): each costs as much as a commit.
pub const BLIND_POSITIONS: usize = 4;

/// The epoch that a commit of the current epoch creates.
pub fn next_epoch<L: Library>(library: &L, group: &L::Group) -> EpochContext {
    let mark = library.epoch_mark(group);
    EpochContext {
        group_id: library.group_id(group).to_vec(),
        epoch: mark.epoch.saturating_add(1),
        confirmed_transcript_hash: mark.confirmed_transcript_hash,
    }
}

/// What a delivered commit of the own leaf can be: each is made again until one is the same.
///
/// `public` is the commit if it is not encrypted: then everything that a Notify says stands in it, but for the index,
/// which is recognised by the leaf's new key. There is none if that is not from the tape.
///
/// # Errors
///
/// [`Error::Vault`].
pub fn candidates<L: Library>(
    library: &L,
    vault: &Vault,
    group: &L::Group,
    record: &LeafRecord,
    public: Option<&PublicCommit>,
) -> Result<Vec<LeafNotify>, Error> {
    let context = next_epoch(library, group);
    let current = library.epoch_mark(group).epoch;
    let announced = record.announced.iter().filter(|known| known.epoch == current);
    let mut announced = announced.map(|known| &known.notify);
    let Some(commit) = public else {
        let announced: Vec<_> = announced.cloned().collect();
        if !announced.is_empty() {
            return Ok(announced);
        }
        return blind(library, vault, group, &record.tape, context.epoch);
    };
    let Some((content, path)) = commit.commit().and_then(|c| Some((c, c.path()?))) else {
        return Ok(Vec::new());
    };
    let said = |spot| LeafNotify {
        spot,
        proposals: content.proposals().to_vec(),
        authenticated_data: commit.content().authenticated_data().to_vec(),
        leaf_node: path.leaf_node().encode(),
        signature: commit.signature().to_vec(),
    };
    let spot = match announced.find(|notify| **notify == said(notify.spot)) {
        Some(notify) => Some(notify.spot),
        None => recognise(library, vault, &record.tape, &context, path.leaf_node())?,
    };
    Ok(spot.map(said).into_iter().collect())
}

/// What an empty commit would be: all that can be guessed of an encrypted one.
fn blind<L: Library>(
    library: &L,
    vault: &Vault,
    group: &L::Group,
    tape: &TapeId,
    epoch: u64,
) -> Result<Vec<LeafNotify>, Error> {
    let own = library.leaf(group, library.own_leaf(group));
    let leaf_node = own.map(|own| own.encode()).unwrap_or_default();
    let empty = |spot| LeafNotify {
        spot,
        proposals: Vec::new(),
        authenticated_data: Vec::new(),
        leaf_node: leaf_node.clone(),
        signature: Vec::new(),
    };
    let upcoming = vault.upcoming(tape, epoch, BLIND_POSITIONS)?;
    Ok(upcoming.into_iter().map(empty).collect())
}

/// Where on the tape the value is that a leaf's key was made with; `None` if it is not from there.
fn recognise<L: Library>(
    library: &L,
    vault: &Vault,
    tape: &TapeId,
    context: &EpochContext,
    leaf: &LeafNode,
) -> Result<Option<Spot>, Error> {
    let suite = vault.tape_info(tape)?.suite;
    let is_it = |material: &Secret| {
        let public = library.derive_public_key(suite, material);
        public.is_ok_and(|public| public == leaf.encryption_key())
    };
    Ok(vault.recognise(tape, LeafUse::Commit, context, is_it)?)
}

/// The leaf of an external commit, and where on the tape it was made from; `None` if it is not from there.
///
/// # Errors
///
/// [`Error::Vault`].
pub fn recognise_external<'a, L: Library>(
    library: &L,
    vault: &Vault,
    tape: &TapeId,
    context: &EpochContext,
    commit: &'a PublicCommit,
) -> Result<Option<(&'a LeafNode, Spot)>, Error> {
    let Some(path) = commit.commit().and_then(|commit| commit.path()) else {
        return Ok(None);
    };
    let spot = recognise(library, vault, tape, context, path.leaf_node())?;
    Ok(spot.map(|spot| (path.leaf_node(), spot)))
}

/// The leaf with this signature key, in the tree of a GroupInfo.
pub fn leaf_of<'a>(tree: &'a RatchetTree, signature_key: &[u8]) -> Option<&'a LeafNode> {
    let mut leaves = (0_u32..).zip(tree.nodes().iter().step_by(2));
    leaves.find_map(|(index, _)| {
        tree.leaf(index).filter(|leaf| leaf.signature_key() == signature_key)
    })
}

/// What a commit that was made again is compared with.
#[derive(Clone, Copy, Debug)]
pub enum Delivered<'a> {
    /// A message of the delivery service.
    Message(&'a [u8]),
    /// The own commit, of which the hash is known.
    Own(&'a LeafPending),
}

impl Delivered<'_> {
    /// Refuses a commit, an `MLSMessage`, that is another one than what was delivered.
    ///
    /// # Errors
    ///
    /// [`PeerError::Differs`]; [`Error::Mls`].
    pub fn check(
        &self,
        library: &impl Library,
        suite: CipherSuite,
        made: &[u8],
    ) -> Result<(), Error> {
        let (same, message) = match self {
            Self::Message(message) => (made == *message, *message),
            Self::Own(own) => {
                let hash = library.hash(suite, made);
                let hash = hash.map_err(|source| Error::Mls { step: "hash a message", source })?;
                (hash == own.hash, &[][..])
            }
        };
        match same {
            true => Ok(()),
            false => Err(PeerError::Differs(Difference::first(made, message)).into()),
        }
    }

    /// The own commit that waits and has lost the epoch to what was delivered.
    pub fn lost(&self, pending: Option<&LeafPending>) -> Option<Event> {
        match (self, pending) {
            (Self::Message(_), Some(pending)) => {
                Some(Event::CommitLost { index: Some(pending.notify.spot.index) })
            }
            _ => None,
        }
    }
}

/// A commit from the tape has created `epoch`: its device has the token, and the leaf is healed. Returns what is told.
///
/// What was announced for the epoch before stays until the next one is stored: a device that dies in between, and
/// cannot read the commit, needs it again.
pub fn follow(record: &mut LeafRecord, spot: Spot, epoch: u64, devices: &[DeviceId]) -> Vec<Event> {
    let by = spot.index.device();
    let before = (security(record), record.speaker.map(|speaker| speaker.device));
    record.speaker = Some(Speaker { device: by, since: epoch, origin: Origin::Commit });
    record.given = None;
    record.announced.retain(|known| known.epoch.saturating_add(1) >= epoch);
    healed(record, before, spot, devices)
}

/// What is told about a commit from the tape, in an epoch that `before` says how safe it was and who had the token.
pub fn healed(
    record: &LeafRecord,
    (security, holder): (paired_mls::EpochSecurity, Option<DeviceId>),
    spot: Spot,
    devices: &[DeviceId],
) -> Vec<Event> {
    let by = spot.index.device();
    let partners = devices.iter().copied().filter(|device| *device != by).collect();
    let mut events = vec![Event::Healed { by, devices: partners, index: Some(spot.index) }];
    events.extend(security_changed(record, security, devices));
    if holder != Some(by) {
        events.push(Event::TokenTaken { by });
    }
    events
}

#[cfg(test)]
mod tests;
