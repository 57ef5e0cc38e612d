//! A long run of the real service: honest clients beside hostile ones, while service and database are
//! killed, the disk fills up, and clocks are wrong.
//!
//! What an honest client was told to be stored is asked back at the end, byte for byte. How much
//! memory the service took, and how long honest clients waited, is measured while it runs.

mod database;
mod disk;
mod honest;
mod hostile;
mod report;
mod slow;

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use clap::{Args, ValueEnum};
use tokio::{sync::watch, task::JoinSet};

use self::{
    database::Database,
    disk::Disk,
    honest::{Honest, Skew},
    report::{Report, Waits},
};
use crate::{
    Failure,
    service::{Memory, Service},
};

/// What `soak` can be told.
#[derive(Args)]
pub(crate) struct Options {
    /// How long it runs, in minutes.
    #[arg(long, default_value_t = 60)]
    minutes: u64,
    /// Clients that behave.
    #[arg(long, default_value_t = 8)]
    clients: usize,
    /// Clients that do not.
    #[arg(long, default_value_t = 4)]
    hostile: usize,
    /// Clients that subscribe and hardly read.
    #[arg(long, default_value_t = 4)]
    slow: usize,
    /// The database behind the service.
    #[arg(long, value_enum, default_value_t = DatabaseKind::Sqlite)]
    database: DatabaseKind,
    /// The most resident memory that the service may take, in MiB.
    #[arg(long, default_value_t = 256)]
    memory: u64,
    /// The service's program; `pmls` beside this one if it is left out.
    #[arg(long)]
    pmls: Option<PathBuf>,
}

/// Where the service keeps what it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum DatabaseKind {
    /// A file, on a small disk of its own.
    Sqlite,
    /// A PostgreSQL server of its own, which is killed as well; its data on that disk.
    Postgres,
}

/// What is done to the service, in turn.
#[derive(Clone, Copy, Debug)]
enum Disturbance {
    KillService,
    KillDatabase,
    FillDisk,
}

/// How long the service is left alone after each disturbance.
const PEACE: Duration = Duration::from_secs(12);
/// How long the disk stays full: longer than a client keeps trying.
const FULL: Duration = Duration::from_secs(20);
/// How wrong the clock of some clients is, within what the service takes.
const SKEWS: [i64; 4] = [0, -90, 20, 0];

/// Runs it and prints the report.
///
/// # Errors
///
/// What was acknowledged and is lost, more memory than allowed, or a service that does not come back.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(soak(options))
}

async fn soak(options: &Options) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let disk = Disk::mount(folder.path())?;
    println!("disk: {}", disk.says());
    let database = Database::start(options.database, disk.path())?;
    let mut service =
        Service::start(options.pmls.as_deref(), &database.url(), folder.path(), Vec::new())?;
    let memory = Memory::default();

    let (stop, stopped) = watch::channel(false);
    let (calm, calmness) = watch::channel(true);
    let waits = Waits::default();
    let mut honest = JoinSet::new();
    for number in 0..options.clients {
        let skew = Skew::seconds(SKEWS.get(number % SKEWS.len()).copied().unwrap_or(0));
        let client = Honest::register(service.url(), skew).await?;
        honest.spawn(client.live(stopped.clone(), calmness.clone(), waits.clone()));
    }
    honest::refused_for_its_clock(service.url()).await?;
    let mut others = JoinSet::new();
    for number in 0..options.hostile {
        others.spawn(hostile::live(service.address(), number, stopped.clone()));
    }
    for _ in 0..options.slow {
        others.spawn(slow::live(service.url().to_owned(), stopped.clone()));
    }

    let until = Instant::now() + Duration::from_secs(60 * options.minutes);
    let disturbances = disturb(&mut service, &database, &disk, &memory, &calm, until).await?;
    stop.send_replace(true);
    let mut lived = Vec::new();
    while let Some(client) = honest.join_next().await {
        lived.push(client??);
    }
    others.shutdown().await;

    let mut report = Report::new(disturbances, &waits, memory.peak());
    for client in lived {
        report.add(client.look_back().await?);
    }
    service.stop()?;
    println!("{report}");
    report.verdict(options.memory << 20)
}

/// Disturbs the service until the time is over, and leaves it in peace at the end. Returns how often each
/// thing was done.
async fn disturb(
    service: &mut Service,
    database: &Database,
    disk: &Disk,
    memory: &Memory,
    calm: &watch::Sender<bool>,
    until: Instant,
) -> Result<[usize; 3], Failure> {
    let kinds = [Disturbance::KillService, Disturbance::FillDisk, Disturbance::KillDatabase];
    let mut done = [0; 3];
    for kind in kinds.into_iter().cycle() {
        memory.watch(service, PEACE).await?;
        if Instant::now() >= until {
            return Ok(done);
        }
        calm.send_replace(false);
        let [kills, databases, disks] = &mut done;
        match kind {
            Disturbance::KillService => {
                service.kill_and_restart()?;
                *kills += 1;
            }
            Disturbance::KillDatabase if database.kill_and_restart()? => *databases += 1,
            Disturbance::FillDisk if disk.fill()? => {
                memory.watch(service, FULL).await?;
                disk.free()?;
                *disks += 1;
            }
            Disturbance::KillDatabase | Disturbance::FillDisk => {}
        }
        service.wait_until_ready().await?;
        calm.send_replace(true);
    }
    Ok(done)
}
