//! What this device receives.

use openmls::prelude::{
    MlsGroup, ProcessedMessage, ProcessedMessageContent, ProtocolMessage, Sender, StagedCommit,
};
use paired_mls::{DeviceId, Event, HealPolicy, anchor::LeafIndex, group::credential::Identity};

use super::{
    Paired, PairedGroup,
    facts::{Committer, Reach},
    lifecycle::parse,
    merge::{Merged, merge_other, merge_own},
    refresh::renews_own_leaf,
    send::message_hash,
    standing::leaf,
};
use crate::{
    Device, Error, Outgoing, PeerError, Platform,
    identity::credential,
    steer::{Receiving, ReceivingProvider},
};

/// What a received message was.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Received {
    /// An application message.
    Application {
        /// The sender's leaf.
        sender: LeafIndex,
        /// Who the sender was in the message's epoch.
        identity: Identity,
        /// What it says.
        message: Vec<u8>,
    },
    /// A proposal, which waits for a commit.
    Proposal,
    /// A commit; the group is in the next epoch.
    Commit {
        /// What it changed for the pairing.
        events: Vec<Event>,
        /// Under [`HealPolicy::AtOnce`], after a weakening: the paired commit that heals. Deliver it.
        heal: Option<Outgoing>,
    },
    /// A Notify: a partner of a shared leaf announces a commit, which is still to come.
    Announced,
    /// A partner of a shared leaf wants to send application messages: this device gives it the token, or
    /// does not.
    TokenWanted {
        /// The partner.
        by: DeviceId,
    },
    /// A partner of a shared leaf sends no more application messages: whoever wants to takes the token,
    /// with a commit.
    TokenGiven {
        /// The partner.
        by: DeviceId,
    },
    /// A message of this device itself, which the delivery service sent back. An own commit that
    /// cannot be told from another of the same device waits for `confirm` or `discard`.
    Own,
}

impl PairedGroup {
    /// Processes a message for this group, a serialized `MLSMessage`; a commit is merged at once.
    ///
    /// A commit of a partner is followed by its Notify; every other message is plain MLS. A commit that
    /// takes this device out of the group is followed, also if it puts the device in again:
    /// [`PairedGroup::join`] by its Welcome then. Only where a partner does so with a KeyPackage from the
    /// tape, it is a leaf refresh, and goes to [`PairedGroup::process_refresh`]. Who a commit makes a leaf
    /// say that it is, the device's
    /// [`CredentialPolicy`](paired_mls::group::credential::CredentialPolicy) is asked about.
    ///
    /// # Errors
    ///
    /// [`Error::Peer`] for a message that cannot be accepted: a replay, a forgery, another epoch, a
    /// Notify of a kind that no partner sends. [`Error::Vault`], [`Error::Storage`]: nothing is lost,
    /// process the message again. The group is as it was before.
    pub fn process<P: Platform>(
        &mut self,
        device: &Device<P>,
        message: &[u8],
    ) -> Result<Received, Error> {
        self.process_if(device, message, |_| true)
    }

    /// Processes a message like [`PairedGroup::process`], and merges a commit only if `policy`, which is
    /// the application's own and comes on top of the device's credential policy, accepts it.
    ///
    /// # Errors
    ///
    /// [`PeerError::Policy`] if it does not; otherwise those of [`PairedGroup::process`].
    pub fn process_if<P: Platform>(
        &mut self,
        device: &Device<P>,
        message: &[u8],
        policy: impl FnOnce(&StagedCommit) -> bool,
    ) -> Result<Received, Error> {
        let parsed = parse(message)?.try_into_protocol_message().map_err(PeerError::message)?;
        let next_epoch = self.next_epoch();
        let tape = self.paired.as_ref().map(|paired| paired.record.tape.clone());
        let receiving = tape.as_ref().map(|tape| Receiving::new(device.vault(), tape, next_epoch));

        let identities = self.identities.clone();
        let (received, merged) = self.transact(device, |mls, paired| {
            let processed = unprotect(mls, device, parsed, receiving.as_ref())?;
            let (epoch, claims) = (processed.epoch().as_u64(), credential(processed.credential()));
            let is_external = matches!(processed.sender(), Sender::NewMemberCommit);
            let sender = match processed.sender() {
                Sender::Member(index) => leaf(*index),
                _ => LeafIndex::FIRST,
            };
            let (merged, next) = match processed.into_content() {
                ProcessedMessageContent::ApplicationMessage(message) => {
                    let message = message.into_bytes();
                    let identity = identities.of(sender, epoch, claims);
                    let received = Received::Application { sender, identity, message };
                    return Ok(((received, None), None));
                }
                ProcessedMessageContent::ProposalMessage(proposal)
                | ProcessedMessageContent::ExternalJoinProposalMessage(proposal) => {
                    mls.store_pending_proposal(device.provider().storage(), *proposal)
                        .map_err(Error::storage("store a proposal"))?;
                    return Ok(((Received::Proposal, None), None));
                }
                ProcessedMessageContent::StagedCommitMessage(staged) => {
                    if !policy(&staged) {
                        return Err(PeerError::Policy.into());
                    }
                    if !is_external && renews_own_leaf(device, paired, &staged, sender)? {
                        return Err(PeerError::RefreshNeedsWelcome.into());
                    }
                    let committer = if is_external {
                        let index = mls
                            .ext_commit_sender_index(&staged)
                            .map_err(Error::mls("find the leaf of an external committer"))?;
                        Committer::External(leaf(index))
                    } else {
                        Committer::Member(sender)
                    };
                    let reach = match receiving.as_ref().and_then(Receiving::opened) {
                        Some(notify) => Reach::Notified(Some(notify.index)),
                        None => Reach::Unknown,
                    };
                    merge_other(mls, paired, device, *staged, committer, reach, &identities)?
                }
                ProcessedMessageContent::OwnPendingCommit => {
                    merge_own(mls, paired, device, &identities)?
                }
                ProcessedMessageContent::OwnPrivateMessage
                    if is_pending(mls, paired, device, message)? =>
                {
                    merge_own(mls, paired, device, &identities)?
                }
                ProcessedMessageContent::OwnPrivateMessage => {
                    return Ok(((Received::Own, None), None));
                }
            };
            Ok(((Received::Own, Some(merged)), next))
        })?;

        let Some(mut merged) = merged else {
            return Ok(received);
        };
        self.settle(device, &mut merged);
        let Merged { mut events, weakened, .. } = merged;
        let mut heal = None;
        // The commit that was received is merged in any case, and its events are not lost.
        let healing = match self.heal_policy() {
            Some(HealPolicy::AtOnce) if weakened => Some(self.update(device)),
            Some(HealPolicy::Refresh) if weakened => Some(self.refresh_or_update(device)),
            _ => None,
        };
        match healing {
            Some(Ok(outgoing)) => heal = Some(outgoing),
            Some(Err(_)) => events.push(Event::HealingFailed),
            None => {}
        }
        Ok(Received::Commit { events, heal })
    }
}

/// Lets OpenMLS process a message, with the Notify tried before HPKE.
fn unprotect<P: Platform>(
    mls: &mut MlsGroup,
    device: &Device<P>,
    message: ProtocolMessage,
    receiving: Option<&Receiving<'_>>,
) -> Result<ProcessedMessage, Error> {
    let Some(receiving) = receiving else {
        return Ok(mls.process_message(device.provider(), message).map_err(PeerError::message)?);
    };
    let provider = ReceivingProvider::new(device.provider(), receiving);
    mls.process_message(&provider, message)
        .map_err(|error| receiving.take_error().unwrap_or(PeerError::message(error).into()))
}

/// Whether a message is the own commit that waits.
fn is_pending<P: Platform>(
    mls: &MlsGroup,
    paired: Option<&Paired>,
    device: &Device<P>,
    message: &[u8],
) -> Result<bool, Error> {
    let Some(pending) = paired.and_then(|paired| paired.record.pending.as_ref()) else {
        return Ok(false);
    };
    Ok(mls.pending_commit().is_some() && pending.hash == message_hash(mls, device, message)?)
}
