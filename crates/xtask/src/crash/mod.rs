//! Two devices in files, killed at random moments.
//!
//! A folder is the delivery service: the commit of an epoch is the file of that number, and who makes
//! it first has won. Each device is a process. It follows what is there, and then commits itself.

mod device;
mod files;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use clap::Args;

use self::{
    device::{DeviceFiles, NAMES},
    files::stray_secrets,
};
use crate::Failure;

/// What `crash` can be told.
#[derive(Args)]
pub(crate) struct Options {
    /// How often a process is killed.
    #[arg(long, default_value_t = 1000)]
    runs: u64,
    /// Where the random moments begin.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// What a device is told.
#[derive(Args)]
pub(crate) struct DeviceOptions {
    folder: PathBuf,
    device: usize,
    /// Follow to the end and stop, instead of committing for ever.
    #[arg(long)]
    finish: bool,
}

/// Lives as one device, until it is killed or has finished.
pub(crate) fn live(options: &DeviceOptions) -> Result<(), Failure> {
    DeviceFiles::new(&options.folder, options.device)?.live(options.finish)
}

/// Kills, restarts, and checks.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    device::pair(folder)?;

    let started = Instant::now();
    let mut random = options.seed | 1;
    let mut devices = [start(folder, 0, false)?, start(folder, 1, false)?];
    for run in 0..options.runs {
        // An xorshift generator: the moments need no better randomness.
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        sleep(Duration::from_millis(random % 120));
        let victim = usize::from(random & 0x1000 != 0);
        if let Some(process) = devices.get_mut(victim) {
            if let Some(status) = process.try_wait()? {
                return Err(format!("device {victim} stopped by itself: {status}").into());
            }
            process.kill()?;
            process.wait()?;
            *process = start(folder, victim, false)?;
        }
        if run % 100 == 99 {
            println!("{} kills, epoch {}", run + 1, epochs(folder)?);
        }
    }
    for process in &mut devices {
        process.kill()?;
        process.wait()?;
    }
    // One after the other, so that the first hears the last of the second.
    for device in [0, 1, 0] {
        let status = start(folder, device, true)?.wait()?;
        if !status.success() {
            return Err(format!("device {device} has lost its group: {status}").into());
        }
    }
    report(folder, options.runs, started.elapsed())
}

fn report(folder: &Path, runs: u64, elapsed: Duration) -> Result<(), Failure> {
    let mut states = BTreeSet::new();
    let mut used = BTreeSet::new();
    let mut drawn = 0;
    for device in 0..NAMES.len() {
        let files = DeviceFiles::new(folder, device)?;
        states.insert(files.state()?);
        for index in files.journal()? {
            drawn += 1;
            if !used.insert(index.clone()) {
                return Err(format!("index {index} was used twice").into());
            }
        }
    }
    if states.len() != 1 {
        return Err(format!("the devices are in different epochs: {states:?}").into());
    }
    let stray = stray_secrets(folder)?;
    if !stray.is_empty() {
        return Err(format!("secrets of the tape lie in {stray:?}").into());
    }
    let epochs = epochs(folder)?;
    if epochs == 0 || drawn == 0 {
        return Err("nothing happened: give it more runs".into());
    }
    println!(
        "{runs} kills in {:.0} s: {epochs} commits accepted, {drawn} indices drawn, none twice; \
         both devices in the same epoch; no secret in a stray file",
        elapsed.as_secs_f64()
    );
    Ok(())
}

/// The number of commits that the delivery service has accepted.
fn epochs(folder: &Path) -> Result<usize, Failure> {
    let log = fs::read_dir(folder.join("log"))?;
    let names = log.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let names: Vec<String> = names.collect::<Result<_, std::io::Error>>()?;
    Ok(names.iter().filter(|name| name.ends_with(".commit")).count())
}

fn start(folder: &Path, device: usize, finish: bool) -> Result<Child, Failure> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("crash-device").arg(folder).arg(device.to_string()).stdin(Stdio::null());
    if finish {
        command.arg("--finish");
    }
    Ok(command.spawn()?)
}
