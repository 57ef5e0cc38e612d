//! Two devices in files, killed at random moments.
//!
//! ```text
//! town      this process, which nobody kills: the directory, the delivery service's door, stock members
//! device    each device is a process: it pairs by the protocol, enters the group, follows, and commits
//! member    its group: anchored at a node, or at a leaf
//! files     the folder that all of them share, and the vaults
//! stray     what must not lie outside of the vaults
//! ```
//!
//! A folder is the delivery service: the commit of an epoch is the file of that number, and who makes
//! it first has won. After some kills the devices begin again, with a new pairing in a new group, in the
//! same vaults.

mod device;
mod files;
mod member;
mod stray;
mod town;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use clap::{Args, ValueEnum};

use self::{
    device::Errand,
    files::{Home, NAMES, Round},
    stray::stray_secrets,
    town::Town,
};
use crate::Failure;

/// More kills than this without a pairing, and something is wrong.
const MOST_KILLS_PER_PAIRING: u64 = 500;

/// What `crash` can be told.
#[derive(Args)]
pub(crate) struct Options {
    /// How often a process is killed.
    #[arg(long, default_value_t = 1000)]
    runs: u64,
    /// Where the random moments begin.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    kind: Kind,
}

/// What kind of devices they are.
#[derive(Args, Clone, Copy)]
pub(crate) struct Kind {
    /// Where the tapes are.
    #[arg(long, value_enum, default_value_t = VaultKind::Plain)]
    vault: VaultKind,
    /// What the devices share in the group.
    #[arg(long, value_enum, default_value_t = AnchorKind::Node)]
    anchor: AnchorKind,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum VaultKind {
    /// Plain files.
    Plain,
    /// A file that is sealed under a passphrase, with a counter.
    Sealed,
}

impl VaultKind {
    /// In milliseconds: long enough for a device to begin, and to commit now and then.
    fn longest_life(self) -> u64 {
        match self {
            Self::Plain => 120,
            // Each write goes to the disk twice, with the counter.
            Self::Sealed => 300,
        }
    }

    /// After how many kills the devices pair anew. A sealed file is written as a whole, and grows with
    /// each pairing.
    fn kills_per_pairing(self) -> u64 {
        match self {
            Self::Plain => 20,
            Self::Sealed => 50,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum AnchorKind {
    /// A parent node: each device has a leaf.
    Node,
    /// One leaf, in standard mode.
    Leaf,
}

/// What a device is told.
#[derive(Args)]
pub(crate) struct DeviceOptions {
    folder: PathBuf,
    device: usize,
    #[command(flatten)]
    kind: Kind,
    /// Follow to the end and stop, instead of committing for ever.
    #[arg(long)]
    finish: bool,
}

/// Lives as one device, until it is killed or has finished.
pub(crate) fn live(options: &DeviceOptions) -> Result<(), Failure> {
    let home = Home::new(&options.folder, options.device, options.kind)?;
    let errand = if options.finish { Errand::Finish } else { Errand::Live };
    device::live(&home, errand)
}

/// Kills, restarts, and checks.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let (folder, kind) = (folder.path(), options.kind);
    for device in 0..NAMES.len() {
        Home::new(folder, device, kind)?.furnish()?;
    }
    let started = Instant::now();
    let mut towns = vec![Town::found(folder, kind, 0)?];
    let mut devices =
        [start(folder, kind, 0, Errand::Live)?, start(folder, kind, 1, Errand::Live)?];
    let (mut random, mut kills, mut since) = (options.seed | 1, 0, 0);
    loop {
        let Some(town) = towns.last_mut() else { return Err("there is no town".into()) };
        // An xorshift generator: the moments need no better randomness.
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        // On a busy machine nothing gets done in so short a life: it grows until something does.
        let patience = 1 + since / kind.vault.kills_per_pairing();
        town.serve_for(Duration::from_millis(random % (kind.vault.longest_life() * patience)))?;
        let is_settled = town.is_settled()?;
        if kills >= options.runs && is_settled {
            break;
        }
        let victim = usize::from(random & 0x1000 != 0);
        if let Some(process) = devices.get_mut(victim) {
            if let Some(status) = process.0.try_wait()? {
                return Err(format!("device {victim} stopped by itself: {status}").into());
            }
            process.kill()?;
            *process = start(folder, kind, victim, Errand::Live)?;
            (kills, since) = (kills + 1, since + 1);
        }
        if since >= MOST_KILLS_PER_PAIRING {
            return Err(format!("after {since} kills the devices are still not paired").into());
        }
        if since >= kind.vault.kills_per_pairing() && is_settled && kills < options.runs {
            since = 0;
            towns.push(Town::found(folder, kind, towns.len())?);
        }
        if kills % 100 == 0 {
            println!("{kills} kills, {} pairings", towns.len());
        }
    }
    drop(devices);
    // One after the other, so that the first hears the last of the second.
    for device in [0, 1, 0] {
        let status = start(folder, kind, device, Errand::Finish)?.0.wait()?;
        if !status.success() {
            return Err(format!("device {device} has lost its group: {status}").into());
        }
    }
    report(folder, kind, towns, kills, started.elapsed())
}

fn report(
    folder: &Path,
    kind: Kind,
    towns: Vec<Town>,
    kills: u64,
    elapsed: Duration,
) -> Result<(), Failure> {
    let (mut used, mut drawn) = (BTreeSet::new(), 0);
    let (mut commits, mut refreshes) = (0, 0);
    let homes = [0, 1].map(|device| Home::new(folder, device, kind));
    let homes = homes.into_iter().collect::<Result<Vec<_>, _>>()?;
    for index in homes.iter().map(Home::journal).collect::<Result<Vec<_>, _>>()?.concat() {
        drawn += 1;
        if !used.insert(index.clone()) {
            return Err(format!("index {index} was used twice").into());
        }
    }
    let pairings = towns.len();
    for (number, town) in towns.into_iter().enumerate() {
        let round = Round::new(folder, number);
        let states = homes.iter().map(|home| home.state(&round)).collect::<Result<Vec<_>, _>>()?;
        let expected = town.finish()?;
        if states.iter().any(|state| *state != expected) {
            return Err(format!("in group {number} the stock members are in {expected}, and the devices in {states:?}").into());
        }
        commits += round.commits()?;
        refreshes += round.count(".welcome-of-")?;
    }
    let stray = stray_secrets(folder, &homes, pairings)?;
    if !stray.is_empty() {
        return Err(format!("secrets of the tapes lie in {stray:?}").into());
    }
    if commits == 0 || drawn == 0 {
        return Err("nothing happened: give it more runs".into());
    }
    println!(
        "{kills} kills in {:.0} s: {pairings} pairings, {commits} commits accepted, {refreshes} leaf refreshes made, {drawn} indices drawn, \
         none twice; devices and stock members in the same epochs; no secret in a stray file",
        elapsed.as_secs_f64()
    );
    Ok(())
}

fn start(folder: &Path, kind: Kind, device: usize, errand: Errand) -> Result<Process, Failure> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("crash-device").arg(folder).arg(device.to_string()).stdin(Stdio::null());
    let name = |value: Option<clap::builder::PossibleValue>| {
        value.map(|value| value.get_name().to_owned()).unwrap_or_default()
    };
    command.arg("--vault").arg(name(kind.vault.to_possible_value()));
    command.arg("--anchor").arg(name(kind.anchor.to_possible_value()));
    if errand == Errand::Finish {
        command.arg("--finish");
    }
    Ok(Process(command.spawn()?))
}

/// A device's process, which does not outlive this one.
struct Process(Child);

impl Process {
    fn kill(&mut self) -> Result<(), Failure> {
        self.0.kill()?;
        self.0.wait()?;
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // One that has stopped by itself cannot be killed, and need not be.
        let _ = self.kill();
    }
}

/// Waits a little for what another process is to do.
fn pause() {
    sleep(Duration::from_millis(2));
}
