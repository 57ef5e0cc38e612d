//! An MLS group whose commits heal the partners of this device.
//!
//! ```text
//! lifecycle    how a group comes to be on a device, and how it goes
//! content      what a commit is to do
//! send         what the device sends
//! receive      what it receives
//! merge        a commit is merged
//! refresh      a partner's leaf is renewed
//! rejoin       an external commit
//! healing      the commit that heals, when it is due
//! pairing      what the pairing is in this group, from its beginning to its end
//! ```

mod content;
mod healing;
mod lifecycle;
mod merge;
mod pairing;
mod receive;
mod refresh;
mod rejoin;
mod send;
#[cfg(test)]
mod tests;

use std::mem;

use mls_rs::CryptoProvider;
use paired_mls::{
    EpochContext, Event,
    anchor::{LeafIndex, Tree},
    group::{Identities, credential::Identity},
    wire::RatchetTree,
};
use paired_mls_group::{
    Error, Membership, UsageError,
    identity::{self, MemberIdentity},
    node::{Merged, Paired},
};

pub use self::{content::Content, rejoin::Rejoin};
use crate::{Device, config::MlsState, view};

/// An MLS group, as a device has it, with a leaf of its own.
///
/// The caller delivers what a call returns, and then says what became of it:
///
/// ```text
/// add, remove, update, commit, …  ->  Outgoing  ->  the delivery service
///                                                     accepted:  confirm
///                                                     refused:   discard, then process the winner
/// ```
///
/// Before [`Group::pair`] it is an ordinary group. From then on *every* commit of this device is a paired commit: one
/// ordinary commit would keep a thief who is in the current epoch in the next one, so there is no call that makes one,
/// and none that makes an Update proposal; until the pairing [ends](Group::cease).
///
/// # Crashes
///
/// The vault is written before a tape value is used, and the MLS state is written as a whole or not at all. After a
/// restart [`Group::load`] finds the group as it was before or after the call that was interrupted; the caller feeds it
/// again whatever the delivery service has.
///
/// # Cost
///
/// mls-rs merges a commit as it processes it. So each call that changes the group works on a copy of it, which takes the
/// group's place once it is stored: time and room for as many nodes as the ratchet tree has.
pub struct Group<C: CryptoProvider + Clone> {
    state: MlsState<C>,
    /// Which members are not verified.
    identities: Identities,
    /// `None` without a pairing in this group.
    paired: Option<Paired>,
}

impl<C: CryptoProvider + Clone> Group<C> {
    /// The group's identifier.
    pub fn group_id(&self) -> &[u8] {
        self.state.mls.group_id()
    }

    /// The current epoch; of a group that this device was removed from, the one in which it is no member.
    pub fn epoch(&self) -> u64 {
        self.state.epoch()
    }

    /// The authenticator of the current epoch (RFC 9420 section 8.7): two members with the same are in the same epoch.
    ///
    /// # Errors
    ///
    /// [`Error::Mls`].
    pub fn epoch_authenticator(&self) -> Result<Vec<u8>, Error> {
        let secret = self.state.mls.epoch_authenticator();
        let secret = secret.map_err(Error::mls("tell the epoch authenticator"))?;
        Ok(secret.as_bytes().to_vec())
    }

    /// Whether this device is a member, as far as it has followed.
    pub fn membership(&self) -> Membership {
        self.state.membership
    }

    /// This device's leaf.
    pub fn own_leaf(&self) -> LeafIndex {
        view::leaf(self.state.mls.current_member_index())
    }

    /// The abstract ratchet tree of the current epoch, for placement and for pictures.
    ///
    /// # Errors
    ///
    /// [`Error::Mls`] if mls-rs exports a tree that does not parse.
    pub fn tree(&self) -> Result<Tree, Error> {
        Ok(Tree::from(&self.ratchet_tree()?))
    }

    /// The ratchet tree of the current epoch, as the extension of a GroupInfo has it (RFC 9420 section 12.4.3.3).
    ///
    /// # Errors
    ///
    /// [`Error::Mls`] if mls-rs exports a tree that does not parse.
    pub fn ratchet_tree(&self) -> Result<RatchetTree, Error> {
        view::ratchet_tree(&self.state.mls)
    }

    /// The GroupInfo of the current epoch, an `MLSMessage`, with the ratchet tree in it: by it somebody comes in from
    /// outside.
    ///
    /// # Errors
    ///
    /// [`Error::Mls`].
    pub fn group_info(&self) -> Result<Vec<u8>, Error> {
        let info = self.state.mls.group_info_message_allowing_ext_commit(true);
        let info = info.and_then(|info| info.to_bytes());
        info.map_err(Error::mls("export the GroupInfo"))
    }

    /// The members, and who they are: for showing, addressing and counting them.
    ///
    /// # Errors
    ///
    /// [`Error::Mls`] if mls-rs exports a tree that does not parse.
    pub fn members(&self, device: &Device<C>) -> Result<Vec<MemberIdentity>, Error> {
        view::members(device, &self.state, &self.identities)
    }

    /// Who the member at this leaf is; `None` for a blank leaf.
    pub fn identity(&self, device: &Device<C>, leaf: LeafIndex) -> Option<Identity> {
        view::member(device, &self.state, &self.identities, leaf)
    }

    /// Asks the credential policy once more about the members that are not verified: it may know more by now.
    ///
    /// Returns who is verified now.
    ///
    /// # Errors
    ///
    /// [`Error::Vault`]; [`PeerError::Identity`](crate::PeerError::Identity) under a strict policy.
    pub fn recheck_identities(&mut self, device: &Device<C>) -> Result<Vec<Event>, Error> {
        let settled = identity::recheck(&device.this(), &self.state, &self.identities)?;
        self.identities = settled.identities;
        Ok(settled.events)
    }

    /// Whether a commit of this device waits for the delivery service's answer.
    pub fn has_pending(&self) -> bool {
        self.state.mls.has_pending_commit()
    }

    #[cfg(test)]
    pub(crate) fn state(&self) -> &MlsState<C> {
        &self.state
    }

    #[cfg(test)]
    pub(crate) fn state_mut(&mut self) -> &mut MlsState<C> {
        &mut self.state
    }

    fn require_no_pending(&self) -> Result<(), Error> {
        if self.state.membership == Membership::Removed {
            return Err(UsageError::Removed.into());
        }
        if self.has_pending() {
            return Err(UsageError::CommitPending.into());
        }
        Ok(())
    }

    /// The epoch that a commit of the current epoch creates.
    fn next_epoch(&self) -> EpochContext {
        let context = self.state.mls.context();
        EpochContext {
            group_id: context.group_id.clone(),
            epoch: context.epoch.saturating_add(1),
            confirmed_transcript_hash: context.confirmed_transcript_hash.to_vec(),
        }
    }

    /// Runs `work` on a copy of the MLS state, which is then stored and takes its place. `work` returns, besides its
    /// value, what is next for the pairing, if it changes: the vault is written first, and both are idempotent.
    ///
    /// After an error, whatever changed in memory is thrown away: storage and vault are the truth.
    fn transact<T>(
        &mut self,
        device: &Device<C>,
        work: impl FnOnce(
            &MlsState<C>,
            &mut MlsState<C>,
            Option<&Paired>,
        ) -> Result<(T, Option<Paired>), Error>,
    ) -> Result<T, Error> {
        let Self { state: before, paired, .. } = self;
        let mut state = before.clone();
        let done = work(before, &mut state, paired.as_ref()).and_then(|(value, next)| {
            if let Some(next) = &next {
                next.store(device.vault(), before.epoch(), state.epoch())?;
            }
            state.keep()?;
            Ok((value, next))
        });
        match done {
            Ok((value, next)) => {
                self.state = state;
                self.paired = next.or(self.paired.take());
                Ok(value)
            }
            Err(error) => {
                before.handles.shelf.drop_staged();
                *self = Self::load(device, self.group_id())?;
                Err(error)
            }
        }
    }

    /// The new epoch is stored.
    fn settle(&mut self, device: &Device<C>, merged: &mut Merged) {
        self.identities = mem::take(&mut merged.identities);
        if let Some(paired) = &self.paired {
            merged.spend(device.vault(), &paired.record.tape);
        }
    }
}
