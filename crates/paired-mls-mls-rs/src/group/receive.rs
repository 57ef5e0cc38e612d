//! What this device receives.

use std::sync::Arc;

use mls_rs::{
    CryptoProvider, MlsMessage,
    error::MlsError,
    group::{CommitMessageDescription, ProposalMessageDescription, ReceivedMessage},
};
use paired_mls::{
    Event,
    wire::{self, ContentType},
};
use paired_mls_group::{
    Committer, Error, PeerError, Proposed, Received, Receiving, Steering as _,
    node::{Delivery, Merged, OwnPrivate, Paired, renews_own_leaf},
    waiting::{Of, Waiting},
};

use super::{
    Group,
    merge::Merging,
    send::{apply_own, message_hash},
};
use crate::{
    Device,
    config::MlsState,
    steer::{OPENING, Witness},
    view::{self, Described},
};

/// What became of a message.
enum Done {
    /// It was no commit, or nothing that is merged here.
    Heard(Received),
    /// A commit was merged.
    Followed(Merged),
}

impl<C: CryptoProvider + Clone> Group<C> {
    /// Processes a message for this group, a serialized `MLSMessage`; a commit is merged at once. After that the
    /// commit is made that heals, if one is due: [`Received::Commit`] has it.
    ///
    /// A commit of a partner is followed by its Notify, and every other message is plain MLS. A commit that
    /// takes this device out of the group is followed, also if it puts the device in again: [`Group::join`] by its
    /// Welcome then. Only where a partner does so with a KeyPackage from the tape, it is a leaf refresh, and goes to
    /// [`Group::process_refresh`]. Who a commit makes a leaf say that it is, the device's
    /// [`CredentialPolicy`](paired_mls::group::credential::CredentialPolicy) is asked about.
    ///
    /// mls-rs keeps of epochs that are over who had which key, and not who said to be whom: who has sent a message of
    /// such an epoch is told as it is now.
    ///
    /// # Errors
    ///
    /// [`Error::Peer`] for a message that cannot be accepted: a replay, a forgery, another epoch, a
    /// Notify of a kind that no partner sends; [`PeerError::RefreshNeedsWelcome`]; and, as a [`PeerError::Message`] with
    /// [`Unsupported::ReInit`](crate::Unsupported::ReInit), a commit that starts the group anew. [`Error::Vault`], [`Error::Storage`]: nothing is lost,
    /// process the message again. The group is as it was before.
    pub fn process(&mut self, device: &Device<C>, message: &[u8]) -> Result<Received, Error> {
        let mut received = self.follow(device, message)?;
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

    /// Processes a message like [`Group::process`], and makes no commit that heals: for one of many that have come
    /// meanwhile. Call [`Group::heal_if_due`] at their end.
    ///
    /// # Errors
    ///
    /// Those of [`Group::process`].
    pub fn follow(&mut self, device: &Device<C>, message: &[u8]) -> Result<Received, Error> {
        self.follow_with(device, &[], message)
    }

    /// Follows a commit that carries out proposals for which there was [no room](PeerError::TooManyProposals): they
    /// are given again, and are gone with it.
    ///
    /// # Errors
    ///
    /// Those of [`Group::process`].
    pub fn follow_with(
        &mut self,
        device: &Device<C>,
        refused: &[Vec<u8>],
        message: &[u8],
    ) -> Result<Received, Error> {
        self.require_member()?;
        let next_epoch = self.next_epoch();
        let tape = self.paired.as_ref().map(|paired| paired.record.tape.clone());
        let receiving = tape.as_ref().map(|tape| Receiving::new(device.vault(), tape, next_epoch));
        let receiving = receiving.map(Arc::new);
        let witness = Arc::new(Witness::new(receiving.clone()));
        let identities = self.identities.clone();
        let done = self.transact(device, |before, state, paired| {
            keep_all(state, refused);
            let merging = Merging { device, before, paired, identities: &identities };
            process_in(&merging, state, message, &witness, receiving.as_deref())
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

/// Processes a message in a copy of the group.
fn process_in<C: CryptoProvider + Clone>(
    merging: &Merging<'_, C>,
    state: &mut MlsState<C>,
    message: &[u8],
    witness: &Arc<Witness>,
    receiving: Option<&Receiving>,
) -> Result<(Done, Option<Paired>), Error> {
    let &Merging { device, before, paired, identities } = merging;
    match unprotect(state, parse(message)?, witness)? {
        Opened::Application { sender, said } => {
            let at = view::leaf(sender);
            let identity = view::member(device, before, identities, at);
            let identity = identity.ok_or(PeerError::message(MlsError::MemberNotFound))?;
            Ok((Done::Heard(Received::Application { sender: at, identity, message: said }), None))
        }
        Opened::Proposal(heard) => proposal_in(before, paired, &heard),
        Opened::Commit(description) => {
            if let Some(described) = own_pending(device, before, state)? {
                let (merged, next) = merging.own(state, &described)?;
                return Ok((Done::Followed(merged), next));
            }
            let described = Described::of(device, before, state, &description, witness.path())?;
            let (merged, next) = follow_other(merging, state, &described, receiving)?;
            Ok((Done::Followed(merged), next))
        }
        // mls-rs says so of a commit in the clear once its signature is valid, and of an encrypted message before it
        // reads it.
        Opened::FromSelf if is_public(message) => Err(PeerError::InOwnName.into()),
        Opened::FromSelf => {
            let waiting =
                before.mls.has_pending_commit().then_some(|| message_hash(device, message));
            let now = (before.mls.group_id(), before.mls.current_epoch());
            match OwnPrivate::of(device.vault(), paired, now, message, waiting)? {
                OwnPrivate::Pending => {
                    let described = apply_own(device, before, state)?;
                    let (merged, next) = merging.own(state, &described)?;
                    Ok((Done::Followed(merged), next))
                }
                OwnPrivate::Forged => Err(PeerError::InOwnName.into()),
                OwnPrivate::Other => Ok((Done::Heard(Received::Own), None)),
            }
        }
    }
}

/// A commit of another member, or of somebody from outside.
fn follow_other<C: CryptoProvider + Clone>(
    merging: &Merging<'_, C>,
    state: &mut MlsState<C>,
    described: &Described,
    receiving: Option<&Receiving>,
) -> Result<(Merged, Option<Paired>), Error> {
    let (device, paired) = (merging.device, merging.paired);
    if renews_own_leaf(&device.this(), paired, &described.staged, described.committer)? {
        return Err(PeerError::RefreshNeedsWelcome.into());
    }
    if let (Committer::External(_), Some(paired)) = (described.committer, paired) {
        paired.reopen_for(device.vault(), &described.staged)?;
    }
    let delivery = match receiving.and_then(Receiving::opened) {
        Some(notify) => Delivery::Notified(notify.spot.index),
        None => Delivery::Plain,
    };
    merging.other(state, described, delivery)
}

/// A proposal: mls-rs has put it to those that wait.
fn proposal_in<C: CryptoProvider + Clone>(
    before: &MlsState<C>,
    paired: Option<&Paired>,
    heard: &ProposalMessageDescription,
) -> Result<(Done, Option<Paired>), Error> {
    let known = before.mls.get_cached_proposals();
    let proposed = view::heard(heard)?;
    let mut waiting = Waiting::default();
    for other in &known {
        if other.proposal_ref().as_slice() == proposed.reference {
            return usurped(paired, &proposed, before);
        }
        let same = view::same_sender(*other.sender(), proposed.by);
        waiting.add(if same { Of::Sender } else { Of::Another }, view::length(other.proposal()));
    }
    if !waiting.takes(view::length(&heard.proposal)) {
        return Err(PeerError::TooManyProposals.into());
    }
    usurped(paired, &proposed, before)
}

/// The alarm about a proposal in the name of a device that does not make it.
fn usurped<C: CryptoProvider + Clone>(
    paired: Option<&Paired>,
    proposed: &Proposed,
    before: &MlsState<C>,
) -> Result<(Done, Option<Paired>), Error> {
    let waiting = view::waiting(&before.mls)?.into_iter().map(|known| known.reference);
    let usurped = paired.and_then(|paired| paired.usurped_by(proposed, waiting));
    Ok(match usurped {
        Some((events, next)) => {
            (Done::Heard(Received::Impostor { events, heal: None }), Some(next))
        }
        None => (Done::Heard(Received::Proposal), None),
    })
}

/// The own commit that waits, if that is what has been merged in `after`.
fn own_pending<C: CryptoProvider + Clone>(
    device: &Device<C>,
    before: &MlsState<C>,
    after: &MlsState<C>,
) -> Result<Option<Described>, Error> {
    if !before.mls.has_pending_commit() {
        return Ok(None);
    }
    let mut own = before.clone();
    let described = apply_own(device, before, &mut own)?;
    let is_own = view::mark(own.mls.context()) == view::mark(after.mls.context());
    Ok(is_own.then_some(described))
}

/// What mls-rs makes of a message.
pub(super) enum Opened {
    Application {
        sender: u32,
        said: Vec<u8>,
    },
    Proposal(Box<ProposalMessageDescription>),
    Commit(CommitMessageDescription),
    /// It is of this device's leaf.
    FromSelf,
}

/// Lets mls-rs process a message, with the Notify tried before HPKE.
pub(super) fn unprotect<C: CryptoProvider + Clone>(
    state: &mut MlsState<C>,
    message: MlsMessage,
    witness: &Arc<Witness>,
) -> Result<Opened, Error> {
    let slot = state.handles.slot.clone();
    let armed = slot.arm(witness.clone(), OPENING);
    let processed = state.mls.process_incoming_message(message);
    drop(armed);
    match processed {
        Ok(ReceivedMessage::ApplicationMessage(message)) => {
            Ok(Opened::Application { sender: message.sender_index, said: message.data().to_vec() })
        }
        Ok(ReceivedMessage::Proposal(proposal)) => Ok(Opened::Proposal(Box::new(proposal))),
        Ok(ReceivedMessage::Commit(description)) => Ok(Opened::Commit(description)),
        Ok(_) => Err(PeerError::Kind("message to a group").into()),
        Err(MlsError::CantProcessMessageFromSelf) => Ok(Opened::FromSelf),
        Err(error) => Err(witness.take_error().unwrap_or_else(|| PeerError::message(error).into())),
    }
}

/// Parses a framed message, without trailing bytes.
pub(super) fn parse(message: &[u8]) -> Result<MlsMessage, PeerError> {
    match wire::MlsMessage::decode(message).map_err(PeerError::message)? {
        wire::MlsMessage::Framed(_) => {}
        _ => return Err(PeerError::Kind("message to a group")),
    }
    MlsMessage::from_bytes(message).map_err(PeerError::message)
}

/// Keeps all proposals among these messages, in a copy of the group whose next commit ends them. What is no proposal of
/// this epoch, or known, is passed over.
fn keep_all<C: CryptoProvider + Clone>(state: &mut MlsState<C>, messages: &[Vec<u8>]) {
    for message in messages.iter().filter(|message| is_proposal(message)) {
        if let Ok(parsed) = parse(message) {
            // It is in the commit's interest, and not in this message's: a failure shows there.
            let _ = state.mls.process_incoming_message(parsed);
        }
    }
}

fn is_proposal(message: &[u8]) -> bool {
    let content = header(message).map(|header| header.content_type());
    content == Some(ContentType::PROPOSAL)
}

fn is_public(message: &[u8]) -> bool {
    header(message).is_some_and(|header| header.sender().is_some())
}

fn header(message: &[u8]) -> Option<wire::FramedHeader> {
    match wire::MlsMessage::decode(message) {
        Ok(wire::MlsMessage::Framed(header)) => Some(header),
        _ => None,
    }
}
