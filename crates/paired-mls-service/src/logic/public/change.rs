//! What a commit in the clear does to the members of its group.

use std::collections::{BTreeMap, BTreeSet};

use openmls::{
    group::{StageCommitError, StagedCommit},
    prelude::{
        GroupContext, MlsMessageIn, ProcessedMessageContent, Proposal, ProposalType, PublicGroup,
        PublicProcessMessageError, Sender as MlsSender,
    },
};
use openmls_rust_crypto::{MemoryStorage, RustCrypto};
use paired_mls::wire::{KeyPackage, LeafNode, Sender};
use paired_mls_openmls::KeyVectorCrypto;
use tls_codec::{DeserializeBytes as _, Serialize as _};

use super::{
    super::failure::MessageFault,
    base::{Base, Seat},
    commit::{PublicParts, Readable},
    leaf::devices,
};
use crate::store::Members;

/// What a commit does.
pub(in super::super) struct Change {
    /// The seat of the member that has sent it, before; nothing if it comes from outside.
    pub(in super::super) sender: Option<Seat>,
    /// The seats that it takes away.
    pub(in super::super) removed: Vec<Seat>,
    /// The KeyPackages that it adds, also by reference, and the leaves that it renews.
    pub(in super::super) added: Vec<KeyPackage>,
    /// The GroupContext of the new epoch, if that can be told.
    context: Option<GroupContext>,
    /// Who is a member afterwards, if that can be told.
    pub(in super::super) members: Option<Members>,
}

impl Change {
    /// Whether a GroupInfo can be that of the epoch which the commit begins.
    pub(in super::super) fn leads_to(&self, next: &Base) -> Leads {
        match &self.context {
            None => Leads::Perhaps,
            Some(context) if next.is_of(context) => Leads::There,
            Some(_) => Leads::Elsewhere,
        }
    }
}

/// Whether a commit leads to the epoch that a GroupInfo describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Leads {
    There,
    Elsewhere,
    /// That cannot be told.
    Perhaps,
}

/// Judges a commit by the GroupInfo of the epoch that it ends, with the proposals of this epoch. It takes a
/// while: not on a thread that serves.
pub(in super::super) fn judge(
    base: &Base,
    group: &[u8],
    message: &[u8],
    parts: &PublicParts,
    proposals: &[Vec<u8>],
) -> Result<Change, MessageFault> {
    let sender = match parts.sender {
        Sender::Member(leaf) => Some(leaf),
        _ => None,
    };
    if sender.is_none() {
        check_form(parts)?;
    }
    let staged = base.tracked(|tracked| stage(tracked, message, proposals));
    let staged = match staged.transpose()? {
        Some(Staged::Whole(staged)) => Some(staged),
        Some(Staged::Incomplete) => None,
        None => {
            verify(base, group, message, parts)?;
            None
        }
    };
    let (mut removes, mut added) = (parts.removes.clone(), parts.adds.clone());
    let mut seats = base.seats();
    let whole = staged.is_some() || (base.has_tree() && parts.references == Readable::Whole);
    if let Some(staged) = &staged {
        (removes, added) = proposed(staged, &mut seats)?;
    }
    let removed = removes.iter().filter_map(|leaf| seats.remove(leaf)).collect();
    let before = sender.and_then(|leaf| base.seat(leaf));
    if sender.is_some() && before.is_none() && base.has_tree() {
        return Err(MessageFault::Sender);
    }
    if let (Some(leaf), Some(path)) = (sender, parts.path_leaf()) {
        seats.insert(leaf, Seat::of(path));
    }
    let newcomers = added.iter().map(KeyPackage::leaf_node).map(Seat::of);
    let joins = parts.path_leaf().filter(|_| sender.is_none()).map(Seat::of);
    let after: Vec<_> = seats.into_values().chain(newcomers).chain(joins).collect();
    Ok(Change {
        sender: before,
        removed,
        added,
        context: staged.map(|staged| staged.group_context().clone()),
        members: whole.then(|| members(&after)),
    })
}

/// What an external commit may have in it (RFC 9420 section 12.2), before it is asked who is concerned.
fn check_form(parts: &PublicParts) -> Result<(), MessageFault> {
    if parts.path_leaf().is_none() {
        return Err(MessageFault::NoPath);
    }
    let inits = parts.others.iter().filter(|kind| **kind == ProposalType::ExternalInit).count();
    let foreign = [ProposalType::GroupContextExtensions, ProposalType::Reinit];
    let foreign = parts.others.iter().any(|kind| foreign.contains(kind));
    let members_only = !parts.adds.is_empty() || !parts.updates.is_empty() || foreign;
    match inits == 1 && parts.removes.len() <= 1 && !members_only {
        true => Ok(()),
        false => Err(MessageFault::ExternalProposals),
    }
}

/// The signatures, where OpenMLS cannot follow the group.
fn verify(
    base: &Base,
    group: &[u8],
    message: &[u8],
    parts: &PublicParts,
) -> Result<(), MessageFault> {
    let Some(commit) = &parts.commit else { return Err(MessageFault::NotA("commit")) };
    let (leaf, index) = match parts.sender {
        Sender::Member(index) if base.has_tree() => {
            (base.leaf(index).ok_or(MessageFault::Sender)?, index)
        }
        // Whose key it is cannot be told.
        Sender::Member(_) => return Ok(()),
        _ if parts.references == Readable::InPart => return Err(MessageFault::ExternalProposals),
        _ => {
            let freed = parts.removes.iter().copied();
            let index = freed.chain([base.first_blank()]).min().unwrap_or_default();
            (parts.path_leaf().ok_or(MessageFault::NoPath)?, index)
        }
    };
    let signed = base.verify_commit(message, commit, leaf.signature_key());
    signed.map_err(|()| MessageFault::CommitSignature)?;
    let signed = |leaf: &LeafNode| base.verify_leaf(group, index, leaf);
    parts.path_leaf().map_or(Ok(()), signed).map_err(|()| MessageFault::CommitSignature)
}

/// What OpenMLS says of a commit.
enum Staged {
    /// It would be taken, as far as somebody can tell who is not in the group.
    Whole(Box<StagedCommit>),
    /// It names a proposal that was not sent in the clear.
    Incomplete,
}

fn stage(
    group: &mut PublicGroup,
    message: &[u8],
    proposals: &[Vec<u8>],
) -> Result<Staged, MessageFault> {
    let crypto = KeyVectorCrypto::new(RustCrypto::default());
    let storage = MemoryStorage::default();
    let mut stored = Vec::new();
    for proposal in proposals {
        // One that is no good is one that no member would commit.
        let Ok(ProcessedMessageContent::ProposalMessage(queued)) =
            process(group, &crypto, proposal)
        else {
            continue;
        };
        let reference = queued.proposal_reference_ref().clone();
        if group.add_proposal(&storage, *queued).is_ok() {
            stored.push(reference);
        }
    }
    let processed = process(group, &crypto, message);
    for reference in &stored {
        // The memory of this call: it cannot fail in a way that matters to the next.
        let _removed = group.remove_proposal(&storage, reference);
    }
    match processed {
        Ok(ProcessedMessageContent::StagedCommitMessage(staged)) => Ok(Staged::Whole(staged)),
        Err(Unprocessed::Public(PublicProcessMessageError::InvalidCommit(
            StageCommitError::MissingProposal,
        ))) => Ok(Staged::Incomplete),
        Err(Unprocessed::Public(error)) => Err(MessageFault::Commit(error.to_string())),
        Err(Unprocessed::Unreadable) | Ok(_) => Err(MessageFault::NotA("commit")),
    }
}

enum Unprocessed {
    Unreadable,
    Public(PublicProcessMessageError),
}

fn process(
    group: &PublicGroup,
    crypto: &KeyVectorCrypto<RustCrypto>,
    message: &[u8],
) -> Result<ProcessedMessageContent, Unprocessed> {
    let message = MlsMessageIn::tls_deserialize_exact_bytes(message);
    let message = message.map_err(|_| Unprocessed::Unreadable)?.try_into_protocol_message();
    let message = message.map_err(|_| Unprocessed::Unreadable)?;
    let processed = group.process_message(crypto, message).map_err(Unprocessed::Public)?;
    Ok(processed.into_content())
}

/// The leaves that go, and the KeyPackages that come; renews the seats of Update proposals.
fn proposed(
    staged: &StagedCommit,
    seats: &mut BTreeMap<u32, Seat>,
) -> Result<(Vec<u32>, Vec<KeyPackage>), MessageFault> {
    let (mut removes, mut added) = (Vec::new(), Vec::new());
    for queued in staged.queued_proposals() {
        match (queued.proposal(), queued.sender()) {
            (Proposal::Remove(remove), _) => removes.push(remove.removed().u32()),
            (Proposal::SelfRemove, MlsSender::Member(leaf)) => removes.push(leaf.u32()),
            (Proposal::Add(add), _) => {
                let key_package = add.key_package().tls_serialize_detached();
                let key_package = key_package.map_err(|_| MessageFault::Proposal)?;
                added.push(KeyPackage::decode(&key_package)?);
            }
            (Proposal::Update(update), MlsSender::Member(leaf)) => {
                let node = update.leaf_node().tls_serialize_detached();
                let node = LeafNode::decode(&node.map_err(|_| MessageFault::Proposal)?)?;
                seats.insert(leaf.u32(), Seat::of(&node));
            }
            _ => {}
        }
    }
    Ok((removes, added))
}

fn members(seats: &[Seat]) -> Members {
    let identities = seats.iter().map(|seat| seat.identity.clone()).collect::<BTreeSet<_>>();
    let devices = seats.iter().flat_map(|seat| devices(&seat.signature_key)).collect();
    Members { identities, devices }
}
