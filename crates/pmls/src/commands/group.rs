//! `pmls group …`: groups, their members, and what they say.

use std::{fmt, io::Read as _};

use clap::{Args, Subcommand, ValueEnum};
use paired_mls::{HealPolicy, anchor::LeafIndex, pairing::SignalPolicy};
use paired_mls_api::Access;
use paired_mls_openmls::{Announcement, announcements};
use serde::Serialize;

use super::{newcomer::Newcomers, told};
use crate::{
    engine::{Change, Door, Engine, EngineError, Group, GroupRow, Membership, Report, Which},
    failure::Failure,
    output::{Output, printable},
    settings::GlobalOptions,
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
    Leave(NameArgs),
    /// Send a message.
    Send(SendArgs),
    /// Show the messages that have come; `pmls sync` fetches them.
    Read(ReadArgs),
    /// Come back from outside, by an external commit: after a loss of state.
    Rejoin(NameArgs),
    /// Choose what happens when an event has weakened a partner.
    Policy(PolicyArgs),
    /// Choose whether the group is told that this device is paired, and for whom it commits.
    Signal(SignalArgs),
}

/// A new group.
#[derive(Args)]
pub(crate) struct CreateArgs {
    /// What this device calls it.
    name: String,
    /// Let in leaves with the signature keys of several devices; keeps out clients that do not know such.
    #[arg(long)]
    gate: bool,
    /// Let everybody who knows the group's identifier join from outside.
    #[arg(long)]
    open: bool,
}

/// A group.
#[derive(Args)]
pub(crate) struct NameArgs {
    /// The group's name, or the beginning of its identifier.
    group: String,
}

/// Another name.
#[derive(Args)]
pub(crate) struct RenameArgs {
    /// The group's name, or the beginning of its identifier.
    group: String,
    /// The new name.
    name: String,
}

/// New members.
#[derive(Args)]
pub(crate) struct AddArgs {
    /// The group's name, or the beginning of its identifier.
    group: String,
    #[command(flatten)]
    newcomers: Newcomers,
}

/// Members that go.
#[derive(Args)]
pub(crate) struct RemoveArgs {
    /// The group's name, or the beginning of its identifier.
    group: String,
    /// Users, or single leaves as a number with a hash: #3.
    #[arg(required = true, value_name = "USER|#LEAF")]
    members: Vec<String>,
}

/// A message.
#[derive(Args)]
pub(crate) struct SendArgs {
    /// The group's name, or the beginning of its identifier.
    group: String,
    /// What to say; standard input if it is left out.
    message: Option<String>,
}

/// Messages.
#[derive(Args)]
pub(crate) struct ReadArgs {
    /// The group's name, or the beginning of its identifier.
    group: String,
    /// Those that were shown already, too.
    #[arg(long)]
    all: bool,
}

/// A policy.
#[derive(Args)]
pub(crate) struct PolicyArgs {
    /// The group's name, or the beginning of its identifier.
    group: String,
    /// What this device does.
    policy: Policy,
}

/// A signal.
#[derive(Args)]
pub(crate) struct SignalArgs {
    /// The group's name, or the beginning of its identifier.
    group: String,
    /// From this device's next commit on.
    signal: Signal,
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

pub(super) async fn run(
    command: &GroupCommand,
    options: &GlobalOptions,
    output: Output,
) -> Result<(), Failure> {
    let mut engine = Engine::open(options)?;
    let mut report = Report::default();
    let done = match command {
        GroupCommand::Create(args) => return create(&mut engine, args, output).await,
        GroupCommand::List => return output.show(&list(&engine)?),
        GroupCommand::Show(args) => {
            return output.show(&GroupView::of(&engine.group(&args.group)?));
        }
        GroupCommand::Rename(args) => {
            let row = engine.find(&args.group)?;
            engine.store().rename_group(&row.id, &args.name)?;
            return output.show(&list(&engine)?);
        }
        GroupCommand::Add(args) => {
            let newcomers = args.newcomers.parse()?;
            engine.commit(&args.group, &Change::Add(newcomers), &mut report).await
        }
        GroupCommand::Remove(args) => {
            let leaves = leaves(&engine.group(&args.group)?, &args.members)?;
            engine.commit(&args.group, &Change::Remove(leaves), &mut report).await
        }
        GroupCommand::Leave(args) => engine.leave(&args.group, &mut report).await.map(|_| ()),
        GroupCommand::Send(args) => {
            let message = match &args.message {
                Some(message) => message.clone().into_bytes(),
                None => from_stdin()?,
            };
            engine.send(&args.group, &message, &mut report).await
        }
        GroupCommand::Read(args) => return output.show(&read(&engine, args)?),
        GroupCommand::Rejoin(args) => engine.rejoin(&args.group, &mut report).await,
        GroupCommand::Policy(args) => {
            let policy = match args.policy {
                Policy::Manual => HealPolicy::Manual,
                Policy::AtOnce => HealPolicy::AtOnce,
                Policy::Refresh => HealPolicy::Refresh,
            };
            engine.set_heal_policy(&args.group, policy)?;
            return output.show(&GroupView::of(&engine.group(&args.group)?));
        }
        GroupCommand::Signal(args) => {
            let policy = match args.signal {
                Signal::Off => SignalPolicy::Silent,
                Signal::On => SignalPolicy::Announce,
            };
            engine.set_signal_policy(&args.group, policy)?;
            return output.show(&GroupView::of(&engine.group(&args.group)?));
        }
    };
    told(done, &report, output)
}

async fn create(engine: &mut Engine, args: &CreateArgs, output: Output) -> Result<(), Failure> {
    let door = if args.gate { Door::Gated } else { Door::Open };
    let access = if args.open { Access::Anyone } else { Access::Roster };
    let mut report = Report::default();
    let row = engine.create_group(&args.name, door, access, &mut report).await?;
    output.show(&GroupView::of(&engine.load(&row)?))
}

fn from_stdin() -> Result<Vec<u8>, Failure> {
    let mut message = Vec::new();
    std::io::stdin().read_to_end(&mut message).map_err(Failure::Input)?;
    if message.last() == Some(&b'\n') {
        message.pop();
    }
    Ok(message)
}

/// The leaves of the members that are named.
fn leaves(group: &Group, names: &[String]) -> Result<Vec<LeafIndex>, EngineError> {
    let mut leaves = Vec::new();
    for name in names {
        let number = name.strip_prefix('#').and_then(|number| number.parse().ok());
        let members = group.members();
        let before = leaves.len();
        leaves.extend(members.filter_map(|(leaf, member)| {
            let wanted = number == Some(leaf.value()) || (number.is_none() && member == *name);
            wanted.then_some(leaf)
        }));
        if leaves.len() == before {
            return Err(EngineError::NoMember(name.clone()));
        }
    }
    Ok(leaves)
}

/// A group for people and scripts.
#[derive(Debug, Serialize)]
struct GroupView {
    group: String,
    id: String,
    epoch: u64,
    authenticator: String,
    state: &'static str,
    shared_leaf: bool,
    pairing: Option<String>,
    members: Vec<MemberView>,
    /// What members say of their pairings; nobody can check it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    announcements: Vec<AnnouncementView>,
}

#[derive(Debug, Serialize)]
struct AnnouncementView {
    by: u32,
    paired_with: Vec<u32>,
    on_behalf_of: Vec<u32>,
}

impl From<Announcement> for AnnouncementView {
    fn from(announcement: Announcement) -> Self {
        let numbers = |leaves: Vec<LeafIndex>| leaves.into_iter().map(LeafIndex::value).collect();
        Self {
            by: announcement.by.value(),
            paired_with: numbers(announcement.paired_with),
            on_behalf_of: numbers(announcement.on_behalf_of),
        }
    }
}

impl fmt::Display for AnnouncementView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |leaves: &[u32]| {
            leaves.iter().map(|leaf| format!("#{leaf}")).collect::<Vec<_>>().join(", ")
        };
        write!(f, "#{} says that it is paired with {}", self.by, list(&self.paired_with))?;
        match self.on_behalf_of.is_empty() {
            true => Ok(()),
            false => write!(f, ", and has committed for {}", list(&self.on_behalf_of)),
        }
    }
}

#[derive(Debug, Serialize)]
struct MemberView {
    leaf: u32,
    user: String,
}

impl GroupView {
    fn of(group: &Group) -> Self {
        let member = |(leaf, user): (LeafIndex, String)| MemberView { leaf: leaf.value(), user };
        Self {
            group: group.row.name.clone(),
            id: group.row.id.to_string(),
            epoch: group.epoch(),
            authenticator: hex::encode(group.mls().epoch_authenticator().as_slice()),
            state: group.row.state.name(),
            shared_leaf: group.shared().is_some(),
            pairing: group.pairing().map(|pairing| pairing.to_string()),
            members: group.members().map(member).collect(),
            announcements: announcements(group.mls()).into_iter().map(Into::into).collect(),
        }
    }
}

impl fmt::Display for GroupView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.group)?;
        writeln!(f, "  id             {}", self.id)?;
        writeln!(f, "  epoch          {}", self.epoch)?;
        let short = self.authenticator.get(..16).unwrap_or_default();
        writeln!(f, "  authenticator  {short}…")?;
        if let Some(pairing) = &self.pairing {
            let leaf = if self.shared_leaf { ", behind a shared leaf" } else { "" };
            writeln!(f, "  pairing        {}{leaf}", pairing.get(..8).unwrap_or(pairing))?;
        }
        f.write_str("  members      ")?;
        self.members
            .iter()
            .try_for_each(|member| write!(f, "  #{} {}", member.leaf, member.user))?;
        self.announcements.iter().try_for_each(|announcement| write!(f, "\n  {announcement}"))
    }
}

/// All groups.
#[derive(Debug, Serialize)]
struct GroupList {
    groups: Vec<Line>,
}

#[derive(Debug, Serialize)]
struct Line {
    group: String,
    id: String,
    state: &'static str,
    epoch: Option<u64>,
    unread: usize,
}

fn list(engine: &Engine) -> Result<GroupList, Failure> {
    let line = |row: GroupRow| -> Result<Line, EngineError> {
        let epoch = match row.state {
            Membership::Gone => None,
            Membership::Active | Membership::Leaving => Some(engine.load(&row)?.epoch()),
        };
        let unread = engine.store().letters(&row.id, Which::Unread)?.len();
        let (id, state) = (row.id.to_string(), row.state.name());
        Ok(Line { group: row.name, id, state, epoch, unread })
    };
    let groups = engine.store().groups()?.into_iter().map(line).collect::<Result<_, _>>()?;
    Ok(GroupList { groups })
}

impl fmt::Display for GroupList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.groups.is_empty() {
            return f.write_str("no groups: `pmls group create NAME` makes one");
        }
        for (n, line) in self.groups.iter().enumerate() {
            if n > 0 {
                writeln!(f)?;
            }
            write!(f, "{:16} {:8}", line.group, line.state)?;
            if let Some(epoch) = line.epoch {
                write!(f, " epoch {epoch}")?;
            }
            if line.unread > 0 {
                write!(f, ", {} unread", line.unread)?;
            }
        }
        Ok(())
    }
}

/// Messages.
#[derive(Debug, Serialize)]
struct Messages {
    messages: Vec<Said>,
}

#[derive(Debug, Serialize)]
struct Said {
    from: String,
    epoch: u64,
    text: String,
}

fn read(engine: &Engine, args: &ReadArgs) -> Result<Messages, Failure> {
    let row = engine.find(&args.group)?;
    let which = if args.all { Which::All } else { Which::Unread };
    let letters = engine.store().letters(&row.id, which)?;
    if let Some((last, _)) = letters.last() {
        engine.store().letters_read(&row.id, *last)?;
    }
    let said = letters.into_iter().map(|(_, letter)| Said {
        from: letter.sender,
        epoch: letter.epoch,
        text: printable(&letter.message),
    });
    Ok(Messages { messages: said.collect() })
}

impl fmt::Display for Messages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.messages.is_empty() {
            return f.write_str("no new messages");
        }
        for (n, said) in self.messages.iter().enumerate() {
            if n > 0 {
                writeln!(f)?;
            }
            write!(f, "{}: {}", said.from, said.text)?;
        }
        Ok(())
    }
}
