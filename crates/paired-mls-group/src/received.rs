//! What a received message was.

use alloc::vec::Vec;

use paired_mls::{DeviceId, Event, anchor::LeafIndex, group::credential::Identity};

use crate::Outgoing;

/// What a received message was.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Received {
    /// An application message.
    Application {
        /// The sender's leaf, in the epoch of the message.
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
        /// The paired commit that heals, if one is due by the heal policy. Deliver it.
        heal: Option<Outgoing>,
    },
    /// An alarm: a proposal in the name of a device of the pairing that the device does not make. It waits
    /// for somebody to commit it, which this device does not.
    Impostor {
        /// The alarm, and what it changes.
        events: Vec<Event>,
        /// As for a commit.
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
