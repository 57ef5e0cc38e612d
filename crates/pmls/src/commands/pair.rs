//! `pmls pair …`: the pairing protocol.

use std::{
    fmt, fs,
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use clap::{Args, Subcommand, ValueEnum};
use paired_mls::{
    Secret,
    pairing::{PairingMessage, ShareRand},
};
use serde::Serialize;

use super::{caller::Caller, named, newcomer, told};
use crate::{
    engine::{
        CommittedBy, EndInGroup, EndView, Engine, EngineError, Invitation, PairingView, Partners,
        Report, Start, seed_of,
    },
    failure::Failure,
    output::{Printer, short},
};

/// What is to be done with pairings.
#[derive(Subcommand)]
pub(crate) enum PairCommand {
    /// Ask other devices to pair with this one.
    Start(StartArgs),
    /// Say that the digits are the same on both devices: run it on each of them.
    #[command(visible_alias = "accept")]
    Confirm(ConfirmArgs),
    /// Send again what this device has said last: where a partner does not answer.
    Resend(PairingArgs),
    /// Show all pairings, and the digits that wait to be compared.
    Status,
    /// Make a file with a seed, to be carried to the other devices by hand: the recommended way.
    Seed(SeedArgs),
    /// Take the seed out of such a file, on the devices that do not start the pairing.
    Load(LoadArgs),
    /// Make KeyPackages from the tape: of a shared leaf, or for a partner that will renew this device's
    /// leaf.
    Publish(PublishArgs),
    /// End a pairing.
    End(EndArgs),
    /// Give up a pairing that has not come about: the digits differ, or nobody wants it. The other device is told.
    Abandon(PairingArgs),
}

/// A new pairing.
#[derive(Args)]
pub(crate) struct StartArgs {
    /// The other devices: a user that has one device besides this one, or USER/DEVICE.
    #[arg(required = true, value_name = "USER[/DEVICE]")]
    with: Vec<String>,
    /// What the devices share in the groups.
    #[arg(long, default_value = "node")]
    anchor: Anchor,
    /// Share one signature key, so that the leaf says nothing of several devices; needs `--anchor leaf`.
    #[arg(long, default_value = "standard")]
    mode: Mode,
    /// Take the seed from a file that the other devices have too, and not from this device's randomness.
    #[arg(long, value_name = "FILE")]
    seed: Option<PathBuf>,
}

/// What the devices share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Anchor {
    /// A parent node in the ratchet tree; each device has its own leaf.
    Node,
    /// One leaf.
    Leaf,
}

/// Whose signature keys they use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// Each device its own.
    Standard,
    /// All the same.
    Hidden,
}

/// The comparison.
#[derive(Args)]
pub(crate) struct ConfirmArgs {
    /// The beginning of the pairing's identifier; not needed if only one waits.
    #[arg(value_parser = named())]
    pairing: Option<String>,
    /// The digits that the other device shows, to be compared with this one's: if they differ, the pairing is
    /// given up on both. Without them, the person at this device has compared.
    #[arg(long)]
    digits: Option<String>,
}

/// A pairing.
#[derive(Args)]
pub(crate) struct PairingArgs {
    /// The beginning of the pairing's identifier; not needed if there is only one.
    #[arg(value_parser = named())]
    pairing: Option<String>,
}

/// A new seed file.
#[derive(Args)]
pub(crate) struct SeedArgs {
    /// The file; it must not be there yet.
    file: PathBuf,
    /// The other devices.
    #[arg(required = true, value_name = "USER[/DEVICE]")]
    with: Vec<String>,
}

/// A seed file.
#[derive(Args)]
pub(crate) struct LoadArgs {
    /// The file. Destroy it afterwards, on every medium that it was on.
    file: PathBuf,
}

/// KeyPackages from the tape.
#[derive(Args)]
pub(crate) struct PublishArgs {
    /// The beginning of the pairing's identifier; not needed if there is only one.
    #[arg(value_parser = named())]
    pairing: Option<String>,
    /// How many.
    #[arg(long, default_value_t = 4)]
    count: usize,
}

/// The end of a pairing.
#[derive(Args)]
pub(crate) struct EndArgs {
    /// The beginning of the pairing's identifier; not needed if there is only one.
    #[arg(value_parser = named())]
    pairing: Option<String>,
    /// The partners are lost, or do not answer: take them out of the groups, and stay.
    #[arg(long)]
    force: bool,
    /// Say who would leave which group, and do nothing.
    #[arg(long)]
    dry_run: bool,
    /// Do not ask at a terminal.
    #[arg(long)]
    yes: bool,
}

impl PairCommand {
    /// The pairing that is named; empty where it is the only one, or none.
    fn pairing(&self) -> &str {
        let named = match self {
            Self::Confirm(ConfirmArgs { pairing, .. })
            | Self::Resend(PairingArgs { pairing })
            | Self::Abandon(PairingArgs { pairing })
            | Self::Publish(PublishArgs { pairing, .. })
            | Self::End(EndArgs { pairing, .. }) => pairing.as_deref(),
            Self::Start(_) | Self::Status | Self::Seed(_) | Self::Load(_) => None,
        };
        named.unwrap_or_default()
    }

    /// Whether it asks the person at the terminal.
    pub(super) fn asks(&self) -> bool {
        matches!(self, Self::End(args) if !args.dry_run && !args.yes)
    }
}

pub(super) async fn run(
    command: &PairCommand,
    engine: &mut Engine,
    caller: &Caller,
    output: Printer<'_>,
) -> Result<(), Failure> {
    let mut report = Report::default();
    let pairing = command.pairing();
    let done = match command {
        PairCommand::Start(args) => {
            let invitation = start(engine, args, caller, &mut report).await?;
            engine.outcome(Ok(()))?;
            return output.show(&invitation);
        }
        PairCommand::Confirm(args) => {
            let digits = args.digits.as_deref();
            engine.confirm_pairing(pairing, digits, &mut report).await.map(drop)
        }
        PairCommand::Resend(_) => engine.resend(pairing, &mut report).await.map(drop),
        PairCommand::Status => return output.show(&Pairings { pairings: engine.pairings()? }),
        PairCommand::Seed(args) => {
            let with = args.with.iter().map(|text| newcomer::parse(text));
            let seed = engine.make_seed(&with.collect::<Result<Vec<_>, _>>()?).await?;
            let pairing = seed.pairing_id.to_string();
            write_seed(&caller.file(&args.file), seed)?;
            return output.show(&SeedFile { pairing, file: args.file.clone() });
        }
        PairCommand::Load(args) => {
            let pairing = engine.load_seed(&read_seed(&caller.file(&args.file))?)?;
            return output
                .show(&SeedFile { pairing: pairing.to_string(), file: args.file.clone() });
        }
        PairCommand::Publish(args) => {
            engine.publish_packages(pairing, args.count, &mut report).await.map(drop)
        }
        PairCommand::End(args) => {
            let partners = args.force.into();
            output.show(&engine.plan_end(pairing, partners)?)?;
            if args.dry_run || !(args.yes || caller.goes_on()?) {
                return Ok(());
            }
            match partners {
                Partners::Lost => engine.force_end(pairing, &mut report).await.map(drop),
                Partners::Answer => engine.end_pairing(pairing, &mut report).await.map(drop),
            }
        }
        PairCommand::Abandon(_) => engine.abandon_pairing(pairing, &mut report).await,
    };
    told(engine.outcome(done), &report, output)
}

async fn start(
    engine: &mut Engine,
    args: &StartArgs,
    caller: &Caller,
    report: &mut Report,
) -> Result<Invitation, Failure> {
    let with = args.with.iter().map(|text| newcomer::parse(text));
    let with = with.collect::<Result<Vec<_>, _>>()?;
    let start = match (args.anchor, args.mode) {
        (Anchor::Node, Mode::Standard) => Start::Node,
        (Anchor::Leaf, Mode::Standard) => Start::Leaf,
        (Anchor::Leaf, Mode::Hidden) => Start::Hidden,
        (Anchor::Node, Mode::Hidden) => return Err(Failure::HiddenAtNode),
    };
    Ok(match &args.seed {
        None => engine.start_pairing(&with, start, report).await?,
        Some(file) => {
            let seed = read_seed(&caller.file(file))?;
            engine.start_with_seed(&with, start, &seed, report).await?
        }
    })
}

impl fmt::Display for EndView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "The end of pairing {} with {}:", short(&self.pairing), self.with.join(" and "))?;
        if self.waits_for_partners {
            f.write_str("\n  first the partners have to answer; `--force` does not wait for them")?;
        }
        for EndInGroup { group, leave, stay, committed_by } in &self.groups {
            write!(f, "\n  {group}: {} ", leave.join(" and "))?;
            match committed_by {
                CommittedBy::ThisDevice => {
                    f.write_str("is taken out by a commit of this device")?
                }
                CommittedBy::AnotherMember => {
                    f.write_str("leaves, and another member has to commit that")?;
                }
            }
            if !stay.is_empty() {
                write!(f, "; {} stays", stay.join(" and "))?;
            }
        }
        if self.pair_anew {
            f.write_str("\n  the devices that did not end it may pair again among themselves")?;
        }
        Ok(())
    }
}

/// A seed file: one line that says what it is, and the protocol's ShareRand message in base64.
const HEADER: &str = "paired-mls seed, version 02";

fn write_seed(path: &Path, seed: ShareRand) -> Result<(), Failure> {
    let encoded = PairingMessage::ShareRand(seed).encode().map_err(EngineError::from)?;
    let text = Secret::new(STANDARD.encode(encoded.expose()).into_bytes());
    let failed = || Failure::file("write", path);
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(failed())?;
    file.write_all(HEADER.as_bytes()).map_err(failed())?;
    file.write_all(b"\n").map_err(failed())?;
    file.write_all(text.expose()).map_err(failed())?;
    file.write_all(b"\n").map_err(failed())?;
    file.sync_all().map_err(failed())
}

fn read_seed(path: &Path) -> Result<ShareRand, Failure> {
    let text = Secret::new(fs::read(path).map_err(Failure::file("read", path))?);
    let wrong = || EngineError::SeedFile(path.display().to_string());
    let text = str::from_utf8(text.expose()).map_err(|_| wrong())?;
    let body = text.strip_prefix(HEADER).ok_or_else(wrong)?;
    let message = Secret::new(STANDARD.decode(body.trim()).map_err(|_| wrong())?);
    Ok(seed_of(message.expose()).ok_or_else(wrong)?)
}

/// A seed file that was written or read.
#[derive(Debug, Serialize)]
struct SeedFile {
    pairing: String,
    file: PathBuf,
}

impl fmt::Display for SeedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = short(&self.pairing);
        write!(
            f,
            "pairing {id}: its seed is in {}. Whoever reads this file follows the devices for ever: \
             destroy it once each device has it",
            self.file.display()
        )
    }
}

impl fmt::Display for Invitation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = short(&self.id);
        writeln!(f, "pairing {id} with {}", self.with.join(" and "))?;
        match &self.digits {
            Some(digits) => write!(
                f,
                "Compare these digits with those of `pmls sync` on the other device, and then run `pmls \
                 pair confirm` on both:\n{digits}"
            ),
            None => f.write_str("The other device joins with `pmls pair load` and `pmls sync`."),
        }
    }
}

/// All pairings.
#[derive(Debug, Serialize)]
struct Pairings {
    pairings: Vec<PairingView>,
}

impl fmt::Display for Pairings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.pairings.is_empty() {
            return f.write_str("no pairings: `pmls pair start USER` begins one");
        }
        for (n, pairing) in self.pairings.iter().enumerate() {
            if n > 0 {
                writeln!(f)?;
            }
            write!(f, "{pairing}")?;
        }
        Ok(())
    }
}

impl fmt::Display for PairingView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let short = self.id.get(..8).unwrap_or("(new)");
        write!(f, "{short}  {}", self.state)?;
        if let (Some(mode), Some(anchor)) = (self.mode, self.anchor) {
            write!(f, ", {mode} mode, anchor at a {anchor}")?;
        }
        if let Some(own) = self.own_device {
            write!(f, ", this is device {own}")?;
        }
        for partner in &self.with {
            write!(f, "\n    device {}: {}", partner.number, partner.user)?;
            if let Some(device) = partner.device.get(..8) {
                write!(f, "/{device}")?;
            }
        }
        if !self.groups.is_empty() {
            write!(f, "\n    in {}", self.groups.join(", "))?;
        }
        match &self.digits {
            Some(digits) => write!(f, "\n    to be compared, then `pmls pair confirm`:\n{digits}"),
            None => Ok(()),
        }
    }
}
