//! What the device sends and receives.

use paired_mls::{Event, Index, anchor::LeafIndex};

#[cfg(doc)]
use crate::{PairedGroup, PeerError, UsageError};

use super::{Anchored, Group, on_both};
use crate::{Content, Device, Error, Inspection, Outgoing, Platform, Received};

impl Group {
    /// Commits with nothing but a new path and the proposals that were received: the call that heals. From a
    /// shared leaf it takes the token.
    ///
    /// # Errors
    ///
    /// As [`Group::commit`].
    pub fn update<P: Platform>(&mut self, device: &Device<P>) -> Result<Outgoing, Error> {
        self.commit(device, Content::new())
    }

    /// Adds the members of these KeyPackages, each a serialized `MLSMessage`, in this order.
    ///
    /// # Errors
    ///
    /// As [`Group::commit`].
    pub fn add<P: Platform>(
        &mut self,
        device: &Device<P>,
        key_packages: &[Vec<u8>],
    ) -> Result<Outgoing, Error> {
        self.commit(device, Content::new().adds(key_packages.iter().cloned()))
    }

    /// Removes the members at these leaves; from a shared leaf, the first with this commit, and each further one
    /// with one of the following.
    ///
    /// # Errors
    ///
    /// As [`Group::commit`].
    pub fn remove<P: Platform>(
        &mut self,
        device: &Device<P>,
        leaves: &[LeafIndex],
    ) -> Result<Outgoing, Error> {
        self.commit(device, Content::new().removes(leaves.iter().copied()))
    }

    /// Commits with this content and the proposals that were received. While the device is paired in the group
    /// this is a paired commit.
    ///
    /// # Errors
    ///
    /// [`Error::Peer`] for a KeyPackage that is not valid; [`UsageError::NotAtTheGate`] for one of a client that the
    /// group's gate keeps out, and [`UsageError::GateWouldStrand`] for a [gate](crate::gate()) that a member would not
    /// pass; [`UsageError::CommitPending`], [`UsageError::Removed`]; from a shared leaf [`UsageError::NoSuchMember`]
    /// for the removal of a blank leaf or the own one, [`UsageError::Ceasing`], and [`UsageError::NotListed`] if the
    /// leaf does not have this device's signature key; [`Error::Guard`] if OpenMLS made something other than it
    /// should: then nothing was signed; [`Error::Vault`], [`Error::Mls`], [`Error::Storage`]. A tape index that was
    /// drawn is burned in any case; the group is as it was before.
    pub fn commit<P: Platform>(
        &mut self,
        device: &Device<P>,
        content: Content,
    ) -> Result<Outgoing, Error> {
        on_both!(&mut self.anchored, group => group.commit(device, content))
    }

    /// Encrypts an application message; returns its `MLSMessage`.
    ///
    /// # Errors
    ///
    /// From a shared leaf [`UsageError::TokenElsewhere`] or
    /// [`UsageError::TokenGiven`]: [`Group::update`] takes the token.
    /// [`UsageError::StateIsOlder`],
    /// [`UsageError::Removed`]; [`Error::Mls`], for instance while proposals wait for a
    /// commit.
    pub fn send<P: Platform>(
        &mut self,
        device: &Device<P>,
        message: &[u8],
    ) -> Result<Vec<u8>, Error> {
        on_both!(&mut self.anchored, group => group.send(device, message))
    }

    /// Proposes that the device's leaf be removed; another member has to commit it.
    ///
    /// # Errors
    ///
    /// [`UsageError::CommitPending`],
    /// [`UsageError::Removed`]; from a shared leaf
    /// [`UsageError::EncryptedProposal`] where handshake messages are
    /// encrypted; [`Error::Mls`].
    pub fn leave<P: Platform>(&mut self, device: &Device<P>) -> Result<Vec<u8>, Error> {
        on_both!(&mut self.anchored, group => group.leave(device))
    }

    /// Merges this device's commit: the delivery service has accepted it.
    ///
    /// Returns what it changed.
    ///
    /// # Errors
    ///
    /// [`UsageError::NoCommitPending`]; [`Error::Storage`], [`Error::Vault`].
    pub fn confirm<P: Platform>(&mut self, device: &Device<P>) -> Result<Vec<Event>, Error> {
        on_both!(&mut self.anchored, group => group.confirm(device))
    }

    /// Drops this device's commit: the delivery service has refused it. Its tape index stays burned.
    ///
    /// # Errors
    ///
    /// [`UsageError::NoCommitPending`]; [`Error::Storage`], [`Error::Vault`].
    pub fn discard<P: Platform>(&mut self, device: &Device<P>) -> Result<(), Error> {
        on_both!(&mut self.anchored, group => group.discard(device))
    }

    /// Whether a commit of this device waits for the delivery service's answer.
    pub fn has_pending(&self) -> bool {
        match &self.anchored {
            Anchored::Node(group) => group.mls().pending_commit().is_some(),
            Anchored::Leaf(group) => group.pending_index().is_some(),
        }
    }

    /// The tape index of the own commit that waits; `None` if none does, or it is not from a tape.
    pub fn pending_index(&self) -> Option<Index> {
        on_both!(&self.anchored, group => group.pending_index())
    }

    /// Processes a message for this group, a serialized `MLSMessage`; a commit is merged at once. After that the
    /// commit is made that heals, if one is due: [`Received::Commit`] has it.
    ///
    /// A commit of a partner is followed by its Notify, and every other message is plain MLS. A commit that
    /// takes this device out of the group is followed, also if it puts the device in again: [`Group::join`] by its
    /// Welcome then. Only where a partner does so with a KeyPackage from the tape, it is a leaf refresh, and goes to
    /// [`PairedGroup::process_refresh`]. Who a commit makes a leaf say that it is, the device's
    /// [`CredentialPolicy`](paired_mls::group::credential::CredentialPolicy) is asked about. Behind a shared leaf a
    /// commit of the leaf is made again, and a Notify is kept until its commit comes.
    ///
    /// # Errors
    ///
    /// [`Error::Peer`] for a message that cannot be accepted: a replay, a forgery, another epoch, a
    /// Notify of a kind that no partner sends. [`PeerError::Differs`], [`PeerError::NotFromTheTape`] for a commit of
    /// the own shared leaf that cannot be followed: if its Notify is still to come, process the Notify and then the
    /// commit again; otherwise come back by [`Group::rejoin`]. [`Error::Vault`], [`Error::Storage`]: nothing is lost,
    /// process the message again. The group is as it was before.
    pub fn process<P: Platform>(
        &mut self,
        device: &Device<P>,
        message: &[u8],
    ) -> Result<Received, Error> {
        self.process_if(device, message, |_| true)
    }

    /// Processes a message like [`Group::process`], and merges a commit of another member only if `policy`, which
    /// is the application's own and comes on top of the device's credential policy, accepts it.
    ///
    /// # Errors
    ///
    /// [`PeerError::Policy`] if it does not; otherwise those of [`Group::process`].
    pub fn process_if<P: Platform>(
        &mut self,
        device: &Device<P>,
        message: &[u8],
        policy: impl FnOnce(&Inspection<'_>) -> bool,
    ) -> Result<Received, Error> {
        on_both!(&mut self.anchored, group => group.process_if(device, message, policy))
    }

    /// Processes a message like [`Group::process`], and makes no commit that heals: for one of many that have come
    /// meanwhile. Call [`Group::heal_if_due`] at their end.
    ///
    /// # Errors
    ///
    /// Those of [`Group::process`].
    pub fn follow<P: Platform>(
        &mut self,
        device: &Device<P>,
        message: &[u8],
    ) -> Result<Received, Error> {
        self.follow_if(device, message, |_| true)
    }

    /// Processes a message like [`Group::follow`], with a policy like [`Group::process_if`].
    ///
    /// # Errors
    ///
    /// Those of [`Group::process_if`].
    pub fn follow_if<P: Platform>(
        &mut self,
        device: &Device<P>,
        message: &[u8],
        policy: impl FnOnce(&Inspection<'_>) -> bool,
    ) -> Result<Received, Error> {
        match &mut self.anchored {
            Anchored::Node(group) => group.follow_if(device, message, policy),
            Anchored::Leaf(group) => group.process_if(device, message, policy),
        }
    }

    /// Processes a commit like [`Group::follow`], together with proposals for which there was no room
    /// ([`PeerError::TooManyProposals`](crate::PeerError::TooManyProposals)): messages of this epoch, from the
    /// delivery service. What of it is no proposal, or of no use, is passed over.
    ///
    /// # Errors
    ///
    /// Those of [`Group::process`].
    pub fn follow_with<P: Platform>(
        &mut self,
        device: &Device<P>,
        refused: &[Vec<u8>],
        commit: &[u8],
    ) -> Result<Received, Error> {
        match &mut self.anchored {
            Anchored::Node(group) => group.follow_in(device, commit, refused, |_| true),
            Anchored::Leaf(group) => group.process_in(device, commit, refused, |_| true),
        }
    }

    /// Makes the commit that heals, if the policy demands one and it would heal somebody; returns `None`
    /// if nothing is to be done. Deliver the commit, and then say what became of it. Every commit of a shared leaf
    /// heals it, so that none is ever due there.
    ///
    /// [`Group::process`] calls it after each commit. Call it after [`Group::load`], after the
    /// commits that came while a device was off, and from time to time: a commit that the delivery
    /// service has refused is made again so. Not right after [`Group::discard`]: first process the
    /// commit that has won.
    ///
    /// # Errors
    ///
    /// As [`Group::commit`].
    pub fn heal_if_due<P: Platform>(
        &mut self,
        device: &Device<P>,
    ) -> Result<Option<Outgoing>, Error> {
        match &mut self.anchored {
            Anchored::Node(group) => group.heal_if_due(device),
            Anchored::Leaf(_) => Ok(None),
        }
    }
}
