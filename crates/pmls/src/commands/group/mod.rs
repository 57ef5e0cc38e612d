//! `pmls group …`: groups, their members, and what they say.

mod args;
mod messages;
mod repair;
mod view;

use clap::Subcommand;
use paired_mls_api::Access;

use self::{
    args::{
        AddArgs, CreateArgs, ForgetArgs, LeaveArgs, NameArgs, PlanArgs, PolicyArgs, ReadArgs,
        RemoveArgs, RenameArgs, SendArgs, SignalArgs,
    },
    messages::read,
    repair::{PutBack, PutBackArgs},
    view::{GroupView, list},
};
use super::{caller::Caller, told};
use crate::{
    engine::{Change, Door, Engine, Report},
    failure::Failure,
    output::Printer,
};

/// What is to be done with groups.
#[derive(Subcommand)]
pub(crate) enum GroupCommand {
    /// Create a group with this device as its only member.
    Create(CreateArgs),
    /// List the groups of this device.
    List,
    /// Show a group and its members.
    Show(NameArgs),
    /// Give a group another name; names are this device's own.
    Rename(RenameArgs),
    /// Add users: all their devices that have a KeyPackage, or one.
    Add(AddArgs),
    /// Remove members.
    Remove(RemoveArgs),
    /// Propose to leave: another member carries it out with its next commit.
    Leave(LeaveArgs),
    /// Send a message.
    Send(SendArgs),
    /// Show the messages that have come; `pmls sync` fetches them.
    Read(ReadArgs),
    /// Come back from outside, by an external commit: after a loss of state.
    Rejoin(NameArgs),
    /// Put accounts back on the service's list of a group that a commit has taken off it.
    PutBack(PutBackArgs),
    /// Publish what others need to come in from outside, where the last commit brought none.
    PublishInfo(NameArgs),
    /// Erase what this device has of a group that it is not in any more: name, messages and keys.
    Forget(ForgetArgs),
    /// Say how the devices of a pairing come under an anchor of their own.
    Plan(PlanArgs),
    /// Choose what happens when an event has weakened a partner.
    Policy(PolicyArgs),
    /// Choose whether the group is told that this device is paired, and for whom it commits.
    Signal(SignalArgs),
}

impl GroupCommand {
    /// Whether it takes something from standard input.
    pub(super) fn reads_input(&self) -> bool {
        matches!(self, Self::Send(args) if args.message.is_none())
    }
}

pub(super) async fn run(
    command: &GroupCommand,
    engine: &mut Engine,
    caller: &Caller,
    output: Printer<'_>,
) -> Result<(), Failure> {
    let mut report = Report::default();
    let done = match command {
        GroupCommand::Create(args) => return create(engine, args, output).await,
        GroupCommand::List => return output.show(&list(engine)?),
        GroupCommand::Show(args) => {
            return output.show(&GroupView::of(&engine.group(&args.group)?));
        }
        GroupCommand::Rename(args) => {
            let row = engine.find(&args.group)?;
            engine.store().rename_group(&row.id, &args.name)?;
            return output.show(&list(engine)?);
        }
        GroupCommand::Add(args) => {
            let newcomers = args.newcomers.parse()?;
            engine.commit(&args.group, &Change::Add(newcomers), &mut report).await
        }
        GroupCommand::Remove(args) => {
            let targets = engine.group(&args.group)?.targets(&args.members)?;
            engine.commit(&args.group, &Change::Remove(targets), &mut report).await
        }
        GroupCommand::Leave(args) if args.cancel => engine.stay(&args.group, &mut report).await,
        GroupCommand::Leave(args) => engine.leave(&args.group, &mut report).await,
        GroupCommand::Send(args) => {
            let message = match &args.message {
                Some(message) => message.clone().into_bytes(),
                None => without_newline(caller.input().to_vec()),
            };
            engine.send(&args.group, &message, &mut report).await
        }
        GroupCommand::Read(args) => return output.show(&read(engine, args)?),
        GroupCommand::Rejoin(args) => engine.rejoin(&args.group, &mut report).await,
        GroupCommand::PutBack(args) => {
            let users = engine.put_back(&args.group, &args.users).await?;
            return output.show(&PutBack::new(&args.group, &users));
        }
        GroupCommand::PublishInfo(args) => {
            engine.publish_group_info(&args.group, &mut report).await
        }
        GroupCommand::Forget(args) => {
            engine.forget(&args.group, args.still_in.into(), &mut report).map(drop)
        }
        GroupCommand::Plan(args) => {
            return output
                .show(&engine.plan(&args.group, args.pairing.as_deref().unwrap_or_default())?);
        }
        GroupCommand::Policy(args) => {
            engine.set_heal_policy(&args.group, args.policy.into())?;
            return output.show(&GroupView::of(&engine.group(&args.group)?));
        }
        GroupCommand::Signal(args) => {
            engine.set_signal_policy(&args.group, args.signal.into())?;
            return output.show(&GroupView::of(&engine.group(&args.group)?));
        }
    };
    told(engine.outcome(done), &report, output)
}

async fn create(
    engine: &mut Engine,
    args: &CreateArgs,
    output: Printer<'_>,
) -> Result<(), Failure> {
    let door = if args.gate { Door::Gated } else { Door::Open };
    let access = if args.open { Access::Anyone } else { Access::Roster };
    let mut report = Report::default();
    let row = engine.create_group(&args.name, door, access, &mut report).await?;
    output.show(&GroupView::of(&engine.load(&row)?))
}

/// What a pipe hands over, without the newline that ends its line.
fn without_newline(mut message: Vec<u8>) -> Vec<u8> {
    if message.last() == Some(&b'\n') {
        message.pop();
    }
    message
}
