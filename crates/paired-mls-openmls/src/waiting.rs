//! Proposals that wait for a commit.

use openmls::prelude::{MlsGroup, MlsMessageIn, ProcessedMessageContent, QueuedProposal, Sender};
use paired_mls::wire::{ContentType, MlsMessage};
use paired_mls_group::waiting::{Of, Waiting};
use tls_codec::Size as _;

use crate::{Device, Error, PeerError, Platform, group::parse, view::reference_of};

/// How many proposals are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    /// So many that nobody fills the device.
    Bounded,
    /// All that a commit may carry out, which is there: they are gone with it.
    ForACommit,
}

/// Keeps a proposal, once.
///
/// # Errors
///
/// [`PeerError::TooManyProposals`]; [`Error::Storage`].
pub(crate) fn keep<P: Platform>(
    mls: &mut MlsGroup,
    device: &Device<P>,
    proposal: QueuedProposal,
    room: Room,
) -> Result<(), Error> {
    let mut waiting = Waiting::default();
    for known in mls.pending_proposals() {
        if reference_of(known) == reference_of(&proposal) {
            return Ok(());
        }
        let of = match same_sender(known.sender(), proposal.sender()) {
            true => Of::Sender,
            false => Of::Another,
        };
        waiting.add(of, known.proposal().tls_serialized_len());
    }
    if room == Room::Bounded && !waiting.takes(proposal.proposal().tls_serialized_len()) {
        return Err(PeerError::TooManyProposals.into());
    }
    mls.store_pending_proposal(device.provider().storage(), proposal)
        .map_err(Error::storage("store a proposal"))
}

/// Who is no member can have any name.
fn same_sender(one: &Sender, other: &Sender) -> bool {
    match (one, other) {
        (Sender::Member(one), Sender::Member(other)) => one == other,
        (Sender::Member(_), _) | (_, Sender::Member(_)) => false,
        _ => true,
    }
}

/// Keeps all proposals among these messages, in a transaction that a commit ends, or that is undone: that of an
/// encrypted one cannot be read a second time. What is no proposal of this epoch, or known, is passed over.
///
/// # Errors
///
/// [`Error::Storage`].
pub(crate) fn keep_all<P: Platform>(
    mls: &mut MlsGroup,
    device: &Device<P>,
    messages: &[Vec<u8>],
) -> Result<(), Error> {
    for message in messages.iter().filter(|message| is_proposal(message)) {
        let Ok(Ok(parsed)) = parse(message).map(MlsMessageIn::try_into_protocol_message) else {
            continue;
        };
        let Ok(processed) = mls.process_message(device.provider(), parsed) else { continue };
        if let ProcessedMessageContent::ProposalMessage(proposal)
        | ProcessedMessageContent::ExternalJoinProposalMessage(proposal) =
            processed.into_content()
        {
            keep(mls, device, *proposal, Room::ForACommit)?;
        }
    }
    Ok(())
}

/// Whether a message is a proposal.
fn is_proposal(message: &[u8]) -> bool {
    matches!(MlsMessage::decode(message), Ok(MlsMessage::Framed(header))
        if header.content_type() == ContentType::PROPOSAL)
}
