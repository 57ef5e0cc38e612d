//! What is delivered to a device that shares its leaf.

use openmls::prelude::{MlsGroup, ProcessedMessageContent, Sender, StagedCommit};
use paired_mls::{Event, wire::PublicCommit};

use paired_mls_group::{
    Committer, Library as _,
    gate::{brought_in, check_signature_keys, odd_events},
    identity::Asked,
    shared::{Said, Whose, act_in_own_name, alarms, doubt, is_private_commit, said, strike_off},
};

use super::LeafGroup;
use crate::{
    Device, Error, Inspection, PeerError, Platform, Received,
    group::parse,
    view::{self, credential, leaf},
    waiting::{Room, keep, keep_all},
};

/// What OpenMLS made of a message.
enum Heard {
    Received(Received),
    /// It is encrypted by the own leaf.
    OwnLeaf,
}

impl LeafGroup {
    /// Processes a message like [`Group::process`](crate::Group::process), and merges a commit of another member only if
    /// `policy`, which is the application's own and comes on top of the device's credential policy, accepts
    /// it.
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
        self.process_in(device, message, &[], policy)
    }

    /// The same, with proposals for which there was no room before: see [`Group::follow_with`](crate::Group::follow_with).
    pub(crate) fn process_in<P: Platform>(
        &mut self,
        device: &Device<P>,
        message: &[u8],
        refused: &[Vec<u8>],
        policy: impl FnOnce(&Inspection<'_>) -> bool,
    ) -> Result<Received, Error> {
        if let Some(received) = self.announcement(device, message)? {
            return Ok(received);
        }
        // What cannot be read here is for OpenMLS to judge: a member may send what it takes.
        let public = PublicCommit::decode(message).unwrap_or_default();
        if let Some(commit) = &public {
            match Whose::of(device, &self.mls, commit) {
                Whose::OwnLeaf => return self.follow(device, message, Some(commit), refused),
                Whose::OwnKey => {
                    if let Some(received) = self.follow_rejoin(device, message, commit)? {
                        return Ok(received);
                    }
                    // Not from the tape: somebody else with the signature key. It is processed as
                    // what it is, and this leaf is out of the group.
                }
                Whose::Others => {}
            }
        }
        match self.hear(device, message, refused, policy) {
            Ok(Heard::Received(received)) => Ok(received),
            Ok(Heard::OwnLeaf) if is_private_commit(message) => {
                self.follow(device, message, None, refused)
            }
            Ok(Heard::OwnLeaf) => Ok(Received::Own),
            // What was kept for it is undone, and kept again.
            Err(Error::Peer(PeerError::NotFromTheTape))
                if is_private_commit(message) && !refused.is_empty() =>
            {
                self.follow(device, message, None, refused)
            }
            Err(error) => Err(error),
        }
    }

    /// Processes what came to this device alone, and not in the order of the delivery service: a Notify, or
    /// what a partner says of the token.
    ///
    /// # Errors
    ///
    /// [`PeerError::Kind`] for everything else. Nothing has changed then.
    ///
    /// # Security
    ///
    /// Anybody can put something into a device's mailbox. A commit or a proposal that were taken from there
    /// would lead this device away from all others; they come from the log alone.
    pub fn process_notify<P: Platform>(
        &mut self,
        device: &Device<P>,
        message: &[u8],
    ) -> Result<Received, Error> {
        let said = self.announcement(device, message)?;
        said.ok_or_else(|| PeerError::Kind("Notify of a partner").into())
    }

    /// Keeps what a partner announces, or passes on what it says of the token; `None` if the message is
    /// of another kind.
    fn announcement<P: Platform>(
        &mut self,
        device: &Device<P>,
        message: &[u8],
    ) -> Result<Option<Received>, Error> {
        let current = self.epoch();
        let said = said(device.vault(), &self.record.tape, current, message)?;
        Ok(match said {
            None => None,
            Some(Said::Own) => Some(Received::Own),
            Some(Said::TokenWanted(by)) => Some(Received::TokenWanted { by }),
            Some(Said::TokenGiven(by)) => Some(Received::TokenGiven { by }),
            Some(Said::Commit { epoch, notify }) => {
                self.transact(device, |_, record| Ok(record.announce(current, epoch, notify)?))?;
                Some(Received::Announced)
            }
        })
    }

    /// Plain MLS.
    fn hear<P: Platform>(
        &mut self,
        device: &Device<P>,
        message: &[u8],
        refused: &[Vec<u8>],
        policy: impl FnOnce(&Inspection<'_>) -> bool,
    ) -> Result<Heard, Error> {
        let parsed = parse(message)?.try_into_protocol_message().map_err(PeerError::message)?;
        let lost = self.pending().map(|pending| pending.notify.spot.index);
        let before = self.identities.clone();
        let tape_info = device.vault().tape_info(&self.record.tape)?;
        let (heard, identities) = self.transact(device, |mls, record| {
            keep_all(mls, device, refused)?;
            let processed =
                mls.process_message(device.provider(), parsed).map_err(PeerError::message)?;
            let (epoch, claims) = (processed.epoch().as_u64(), credential(processed.credential()));
            let is_external = matches!(processed.sender(), Sender::NewMemberCommit);
            let sender = match processed.sender() {
                Sender::Member(index) => Some(leaf(*index)),
                _ => None,
            };
            let mut identities = None;
            let heard = match processed.into_content() {
                ProcessedMessageContent::ApplicationMessage(message) => {
                    let sender = sender.ok_or(PeerError::Kind("message of a member"))?;
                    let message = message.into_bytes();
                    let identity = before.of(sender, epoch, claims);
                    Heard::Received(Received::Application { sender, identity, message })
                }
                ProcessedMessageContent::ProposalMessage(proposal)
                | ProcessedMessageContent::ExternalJoinProposalMessage(proposal) => {
                    let act = act_in_own_name(device.own_leaf(mls), &view::proposed(&proposal)?);
                    keep(mls, device, *proposal, Room::Bounded)?;
                    Heard::Received(match act {
                        Some(act) => {
                            let (own, devices) = (tape_info.own_device, &tape_info.devices);
                            let events = doubt(record, own, devices, act);
                            Received::Impostor { events, heal: None }
                        }
                        None => Received::Proposal,
                    })
                }
                ProcessedMessageContent::StagedCommitMessage(staged) => {
                    let (commit, this) = (view::staged(&staged)?, device.this());
                    let by = match (sender, is_external) {
                        (Some(sender), _) => Committer::Member(sender),
                        (None, true) => {
                            let index = mls
                                .ext_commit_sender_index(&staged)
                                .map_err(Error::mls("find the leaf of an external committer"))?;
                            Committer::External(leaf(index))
                        }
                        (None, false) => return Err(PeerError::Kind("commit of a member").into()),
                    };
                    let own = mls.own_leaf_node().map(|own| own.signature_key().as_slice());
                    let alarms = alarms(own, tape_info.own_device, &commit, by);
                    if !policy(&Inspection::new(&staged, &alarms)) {
                        return Err(PeerError::Policy.into());
                    }
                    strike_off(&mut record.removals, &commit);
                    let asked = Asked::of(&this, mls, &before, &commit, by)?;
                    let mut events = merge(mls, device, *staged, &commit, lost, alarms)?;
                    let settled = asked.settle(&this, mls, &before)?;
                    events.extend(settled.events);
                    identities = Some(settled.identities);
                    Heard::Received(Received::Commit { events, heal: None })
                }
                ProcessedMessageContent::OwnPrivateMessage if refused.is_empty() => Heard::OwnLeaf,
                ProcessedMessageContent::OwnPrivateMessage => {
                    return Err(PeerError::NotFromTheTape.into());
                }
                ProcessedMessageContent::OwnPendingCommit => {
                    return Err(PeerError::NotFromTheTape.into());
                }
            };
            Ok((heard, identities))
        })?;
        self.identities = identities.unwrap_or(before);
        Ok(heard)
    }
}

/// Merges the commit of another member.
fn merge<P: Platform>(
    mls: &mut MlsGroup,
    device: &Device<P>,
    staged: StagedCommit,
    commit: &paired_mls_group::StagedCommit,
    lost: Option<paired_mls::Index>,
    mut events: Vec<Event>,
) -> Result<Vec<Event>, Error> {
    if lost.is_some() {
        events.push(Event::CommitLost { index: lost });
    }
    if staged.self_removed() {
        events.push(Event::Removed);
    }
    mls.merge_staged_commit(device.provider(), staged).map_err(Error::storage("merge a commit"))?;
    if mls.is_active() {
        let odd = check_signature_keys(device, mls, &[])?;
        events.extend(odd_events(device, mls, odd, &brought_in(commit)));
    }
    Ok(events)
}
