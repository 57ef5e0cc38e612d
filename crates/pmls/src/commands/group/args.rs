//! The arguments of `pmls group …`.

use clap::{Args, ValueEnum};
use paired_mls::{HealPolicy, pairing::SignalPolicy};

use super::super::{named, newcomer::Newcomers, visible};

/// A new group.
#[derive(Args)]
pub(crate) struct CreateArgs {
    /// What this device calls it.
    #[arg(value_parser = visible())]
    pub(super) name: String,
    /// Let in leaves with the signature keys of several devices; keeps out clients that do not know such.
    #[arg(long)]
    pub(super) gate: bool,
    /// Let everybody who knows the group's identifier join from outside.
    #[arg(long)]
    pub(super) open: bool,
}

/// A group.
#[derive(Args)]
pub(crate) struct NameArgs {
    /// The group's name, or the beginning of its identifier.
    pub(super) group: String,
}

/// A group that is over.
#[derive(Args)]
pub(crate) struct ForgetArgs {
    /// The group's name, or the beginning of its identifier.
    pub(super) group: String,
    /// Also one that this device is still in: others go on sending to it, and nobody reads that.
    #[arg(long)]
    pub(super) still_in: bool,
}

/// Another name.
#[derive(Args)]
pub(crate) struct RenameArgs {
    /// The group's name, or the beginning of its identifier.
    pub(super) group: String,
    /// The new name.
    #[arg(value_parser = visible())]
    pub(super) name: String,
}

/// New members.
#[derive(Args)]
pub(crate) struct AddArgs {
    /// The group's name, or the beginning of its identifier.
    pub(super) group: String,
    #[command(flatten)]
    pub(super) newcomers: Newcomers,
}

/// A group to leave.
#[derive(Args)]
pub(crate) struct LeaveArgs {
    /// The group's name, or the beginning of its identifier.
    pub(super) group: String,
    /// Take it back: stay in the group, as long as nobody has carried it out.
    #[arg(long)]
    pub(super) cancel: bool,
}

/// Members that go.
#[derive(Args)]
pub(crate) struct RemoveArgs {
    /// The group's name, or the beginning of its identifier.
    pub(super) group: String,
    /// Users, or single leaves as a number with a hash: #3.
    #[arg(required = true, value_name = "USER|#LEAF")]
    pub(super) members: Vec<String>,
}

/// A message.
#[derive(Args)]
pub(crate) struct SendArgs {
    /// The group's name, or the beginning of its identifier.
    pub(super) group: String,
    /// What to say; standard input if it is left out.
    pub(super) message: Option<String>,
}

/// Messages.
#[derive(Args)]
pub(crate) struct ReadArgs {
    /// The group's name, or the beginning of its identifier.
    pub(super) group: String,
    /// Those that were shown already, too.
    #[arg(long)]
    pub(super) all: bool,
}

/// Devices that are to stand together.
#[derive(Args)]
pub(crate) struct PlanArgs {
    /// The group's name, or the beginning of its identifier.
    pub(super) group: String,
    /// The beginning of the pairing's identifier; not needed if there is only one.
    #[arg(value_parser = named())]
    pub(super) pairing: Option<String>,
}

/// A policy.
#[derive(Args)]
pub(crate) struct PolicyArgs {
    /// The group's name, or the beginning of its identifier.
    pub(super) group: String,
    /// What this device does.
    pub(super) policy: Policy,
}

/// A signal.
#[derive(Args)]
pub(crate) struct SignalArgs {
    /// The group's name, or the beginning of its identifier.
    pub(super) group: String,
    /// From this device's next commit on.
    pub(super) signal: Signal,
}

/// Whether a group is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Signal {
    /// Nobody is told; the default.
    Off,
    /// The device's leaf says it, to all members.
    On,
}

/// What a device does after a weakening.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Policy {
    /// Nothing until `pmls update`: right for a device that may not send.
    Manual,
    /// A paired commit.
    AtOnce,
    /// The same, with a new leaf for the partner where it has offered one.
    Refresh,
}

impl From<Policy> for HealPolicy {
    fn from(policy: Policy) -> Self {
        match policy {
            Policy::Manual => Self::Manual,
            Policy::AtOnce => Self::AtOnce,
            Policy::Refresh => Self::Refresh,
        }
    }
}

impl From<Signal> for SignalPolicy {
    fn from(signal: Signal) -> Self {
        match signal {
            Signal::Off => Self::Silent,
            Signal::On => Self::Announce,
        }
    }
}
