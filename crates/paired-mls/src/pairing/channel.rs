//! The ways that a pairing message can go.

use std::fmt;

use super::terms::{Party, Roster};
use crate::{DeviceId, Secret};

/// The 1-to-1 channel: an MLS group of the devices of the pairing, and of nobody else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OneToOne {
    /// All members of that group in its current epoch, this device included, as the MLS library
    /// lists them.
    pub members: Vec<Party>,
    /// What is known of them.
    pub trust: ChannelTrust,
}

/// Why the members of the 1-to-1 channel are who they say they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChannelTrust {
    /// Nobody knows yet. The seed may be sent, since nothing is done with it before the digits are
    /// compared; a private signature key may not.
    Pending,
    /// People compared the [`ShortAuthString`](super::ShortAuthString) on all devices.
    Compared,
    /// The members' credentials were verified with an authentication service that the user trusts.
    Credentials,
}

impl OneToOne {
    /// Whether the channel has exactly the devices of `roster` in it.
    pub(super) fn is_of(&self, roster: &Roster) -> bool {
        let mut members: Vec<_> = self.members.iter().collect();
        let mut devices: Vec<_> = roster.devices().iter().map(|device| &device.party).collect();
        members.sort();
        devices.sort();
        members == devices
    }
}

/// The way that a message came.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Source<'a> {
    /// From hardware or an offline file that the user brought.
    Offline,
    /// As an application message of the 1-to-1 channel.
    OneToOne {
        /// The channel.
        channel: &'a OneToOne,
        /// The member that sent it, as the MLS library authenticated it.
        sender: &'a Party,
    },
    /// Over the authenticated connection to the directory.
    Directory,
    /// Any other way, such as a mailbox of the delivery service.
    Relay,
}

/// The way that a message must go.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Route {
    /// Over the 1-to-1 channel, and no other.
    OneToOne,
    /// To the directory, over a connection that it authenticates this device by.
    Directory,
    /// To these devices, in any way: nothing in it is secret, and a tag protects it.
    Partners(Vec<DeviceId>),
}

/// A message to send.
#[must_use = "send it"]
#[derive(Debug, PartialEq, Eq)]
pub struct Outbound {
    /// Where it must go.
    pub route: Route,
    /// The encoded message.
    pub message: Secret,
}

/// The kinds of [`Source`], for errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Way {
    /// [`Source::Offline`]
    Offline,
    /// [`Source::OneToOne`]
    OneToOne,
    /// [`Source::Directory`]
    Directory,
    /// [`Source::Relay`]
    Relay,
}

impl Source<'_> {
    /// Which way it is.
    pub fn way(self) -> Way {
        match self {
            Self::Offline => Way::Offline,
            Self::OneToOne { .. } => Way::OneToOne,
            Self::Directory => Way::Directory,
            Self::Relay => Way::Relay,
        }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Offline => "from an offline file",
            Self::OneToOne => "over the 1-to-1 channel",
            Self::Directory => "from the directory",
            Self::Relay => "over a relay",
        })
    }
}
