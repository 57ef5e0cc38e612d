//! What this device receives.

use openmls::{
    group::{ProcessMessageError, StageCommitError},
    prelude::{
        MlsGroup, ProcessedMessage, ProcessedMessageContent, ProtocolMessage, QueuedProposal,
        Sender, StagedCommit,
    },
};
use paired_mls::{Event, anchor::LeafIndex};

use super::{
    PairedGroup,
    lifecycle::parse,
    merge::{merge_other, merge_own},
    refresh::renews_own_leaf,
    send::message_hash,
};
use paired_mls_group::{
    Committer, Received, Receiving, Steering as _,
    node::{Delivery, Merged, OwnPrivate, Paired},
};

use crate::{
    Device, Error, PeerError, Platform,
    steer::{OPENING, SteeredProvider},
    view::{self, credential, leaf, reference_of},
    waiting::{Room, keep, keep_all},
};

/// What became of a message within the transaction.
enum Done {
    /// It was no commit, or nothing that is merged here.
    Heard(Received),
    /// A commit was merged.
    Followed(Merged),
}

impl PairedGroup {
    /// Processes a message like [`Group::process`](crate::Group::process), and merges a commit only if `policy`, which is
    /// the application's own and comes on top of the device's credential policy, accepts it.
    ///
    /// # Errors
    ///
    /// [`PeerError::Policy`] if it does not; otherwise those of [`Group::process`](crate::Group::process).
    pub(crate) fn process_if<P: Platform>(
        &mut self,
        device: &Device<P>,
        message: &[u8],
        policy: impl FnOnce(&Inspection<'_>) -> bool,
    ) -> Result<Received, Error> {
        let mut received = self.follow_if(device, message, policy)?;
        if let Received::Commit { events, heal } | Received::Impostor { events, heal } =
            &mut received
        {
            // What was received is processed in any case, and its events are not lost.
            match self.heal_if_due(device) {
                Ok(due) => *heal = due,
                Err(_) => events.push(Event::HealingFailed),
            }
        }
        Ok(received)
    }

    /// Processes a message like [`Group::process_if`](crate::Group::process_if), and makes no commit that heals: for one of
    /// many that have come meanwhile. Call [`Group::heal_if_due`](crate::Group::heal_if_due) at their end.
    ///
    /// # Errors
    ///
    /// Those of [`Group::process_if`](crate::Group::process_if).
    pub(crate) fn follow_if<P: Platform>(
        &mut self,
        device: &Device<P>,
        message: &[u8],
        policy: impl FnOnce(&Inspection<'_>) -> bool,
    ) -> Result<Received, Error> {
        self.follow_in(device, message, &[], policy)
    }

    /// The same, with proposals for which there was no room before: see [`Group::follow_with`](crate::Group::follow_with).
    pub(crate) fn follow_in<P: Platform>(
        &mut self,
        device: &Device<P>,
        message: &[u8],
        refused: &[Vec<u8>],
        policy: impl FnOnce(&Inspection<'_>) -> bool,
    ) -> Result<Received, Error> {
        let parsed = parse(message)?.try_into_protocol_message().map_err(PeerError::message)?;
        let next_epoch = self.next_epoch();
        let tape = self.paired.as_ref().map(|paired| paired.record.tape.clone());
        let receiving = tape.as_ref().map(|tape| Receiving::new(device.vault(), tape, next_epoch));

        let identities = self.identities.clone();
        let done = self.transact(device, |mls, paired| {
            keep_all(mls, device, refused)?;
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
                    return Ok((Done::Heard(received), None));
                }
                ProcessedMessageContent::ProposalMessage(proposal)
                | ProcessedMessageContent::ExternalJoinProposalMessage(proposal) => {
                    let heard = match paired {
                        Some(paired) => usurped_by(paired, mls, &proposal)?,
                        None => None,
                    };
                    keep(mls, device, *proposal, Room::Bounded)?;
                    return Ok(match heard {
                        Some((events, next)) => {
                            let received = Received::Impostor { events, heal: None };
                            (Done::Heard(received), Some(next))
                        }
                        None => (Done::Heard(Received::Proposal), None),
                    });
                }
                ProcessedMessageContent::StagedCommitMessage(staged) => {
                    let member = Committer::Member(sender);
                    if !is_external && renews_own_leaf(device, paired, &staged, member)? {
                        return Err(PeerError::RefreshNeedsWelcome.into());
                    }
                    let committer = if is_external {
                        let index = mls
                            .ext_commit_sender_index(&staged)
                            .map_err(Error::mls("find the leaf of an external committer"))?;
                        if let Some(paired) = paired {
                            paired.reopen_for(device.vault(), &view::staged(&staged)?)?;
                        }
                        Committer::External(leaf(index))
                    } else {
                        member
                    };
                    let delivery = match receiving.as_ref().and_then(Receiving::opened) {
                        Some(notify) => Delivery::Notified(notify.spot.index),
                        None => Delivery::Plain,
                    };
                    merge_other(
                        mls,
                        paired,
                        device,
                        *staged,
                        (committer, delivery),
                        &identities,
                        policy,
                    )?
                }
                ProcessedMessageContent::OwnPendingCommit => {
                    merge_own(mls, paired, device, &identities)?
                }
                ProcessedMessageContent::OwnPrivateMessage => {
                    let own = mls.pending_commit().is_some();
                    let hash = || message_hash(mls, device, message);
                    let now = (mls.group_id().as_slice(), mls.epoch().as_u64());
                    let waiting = own.then_some(hash);
                    match OwnPrivate::of(device.vault(), paired, now, message, waiting)? {
                        OwnPrivate::Pending => merge_own(mls, paired, device, &identities)?,
                        OwnPrivate::Forged => return Err(PeerError::InOwnName.into()),
                        OwnPrivate::Other => return Ok((Done::Heard(Received::Own), None)),
                    }
                }
            };
            Ok((Done::Followed(merged), next))
        });
        if let (Err(Error::Peer(PeerError::InOwnName)), Some(tape)) = (&done, &tape) {
            // Or this device has made it, and what it has is a backup of before.
            device.vault().doubt(tape.pairing)?;
        }
        match done? {
            Done::Heard(received) => Ok(received),
            Done::Followed(mut merged) => {
                self.settle(device, &mut merged);
                Ok(Received::Commit { events: merged.events, heal: None })
            }
        }
    }
}

/// A commit that was received and not merged yet, for the application to judge.
#[derive(Debug)]
pub struct Inspection<'a> {
    staged: &'a StagedCommit,
    alarms: &'a [Event],
}

impl<'a> Inspection<'a> {
    pub(crate) fn new(staged: &'a StagedCommit, alarms: &'a [Event]) -> Self {
        Self { staged, alarms }
    }

    /// The commit.
    pub fn commit(&self) -> &'a StagedCommit {
        self.staged
    }

    /// What it does in the name of devices of the pairing and is not from the tape: each an
    /// [`Event::Impostor`].
    ///
    /// A commit that is refused for it is not lost by itself, but its epoch is: who refuses what the
    /// delivery service has accepted is out of step, and comes back by a rejoin. Healing is the other
    /// answer: the next paired commit locks the impostor out.
    pub fn alarms(&self) -> &'a [Event] {
        self.alarms
    }
}

/// The alarm about a proposal in the name of a device that does not make it, and the pairing after it.
fn usurped_by(
    paired: &Paired,
    mls: &MlsGroup,
    proposal: &QueuedProposal,
) -> Result<Option<(Vec<Event>, Paired)>, Error> {
    let waiting = mls.pending_proposals().map(|known| reference_of(known).to_vec());
    Ok(paired.usurped_by(&view::proposed(proposal)?, waiting))
}

/// Lets OpenMLS process a message, with the Notify tried before HPKE.
fn unprotect<P: Platform>(
    mls: &mut MlsGroup,
    device: &Device<P>,
    message: ProtocolMessage,
    receiving: Option<&Receiving>,
) -> Result<ProcessedMessage, Error> {
    let Some(receiving) = receiving else {
        return mls
            .process_message(device.provider(), message)
            .map_err(|error| refused(error).into());
    };
    let provider = SteeredProvider::new(device.provider(), receiving, OPENING);
    mls.process_message(&provider, message)
        .map_err(|error| receiving.take_error().unwrap_or(refused(error).into()))
}

/// Why OpenMLS does not accept a message. A commit that is signed with this device's key, and that it
/// has not made, is told from others.
fn refused<E>(error: ProcessMessageError<E>) -> PeerError
where
    E: std::error::Error + Send + Sync + 'static,
{
    match error {
        ProcessMessageError::InvalidCommit(StageCommitError::OwnCommitMismatch) => {
            PeerError::InOwnName
        }
        error => PeerError::message(error),
    }
}
