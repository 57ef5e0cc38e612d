//! Load on the service, over loopback, which is a process of its own: how many requests it serves in a second and
//! what time of a processor each takes it, and how long a commit takes to reach the subscribers, and in what
//! memory. Beside it, in the same run: requests that are not signed and need no database, and what the bare
//! database does with the same transactions, each committed by itself.

mod bare;
pub(crate) mod client;
mod fan_out;
mod rate;
mod reads;

use std::{
    path::{Path, PathBuf},
    sync::Mutex,
    time::{Duration, Instant},
};

use clap::Args;
use paired_mls_api::GroupId;
use paired_mls_service::{Config, Server};
use tokio::task::JoinSet;

use self::{
    bare::{Kind, Writers},
    client::{Client, commit, create_group, register, send},
    rate::{Rate, Served},
};
use crate::{Failure, service::Service};

/// What `load` can be told.
#[derive(Args)]
pub(crate) struct Options {
    /// The database: `postgres://…`, or `sqlite://…`; a temporary SQLite file if it is left out.
    #[arg(long)]
    database: Option<String>,
    /// How long each rate is measured, in seconds.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Clients at once.
    #[arg(long, default_value_t = 64)]
    clients: usize,
    /// Subscribers of one group.
    #[arg(long, default_value_t = 1000)]
    subscribers: usize,
    /// Commits that are sent to them, one after the other.
    #[arg(long, default_value_t = 20)]
    commits: u64,
    /// The program of the service that the subscribers listen to; `pmls` beside this one if it is left out.
    #[arg(long)]
    pmls: Option<PathBuf>,
}

/// Measures and prints.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    raise_open_files();
    // An error says that there is one.
    let _there = rustls::crypto::ring::default_provider().install_default();
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(measure(options))
}

async fn measure(options: &Options) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let file = |name| format!("sqlite://{}", folder.path().join(name).display());
    let database = options.database.clone().unwrap_or_else(|| file("service.db"));
    let bare = options.database.clone().unwrap_or_else(|| file("bare.db"));
    let (seconds, clients) = (Duration::from_secs(options.seconds), options.clients);

    // What the bare database does, first: the same tables, filled by the service.
    let mut config = Config::new(([127, 0, 0, 1], 0).into(), bare.clone());
    (config.limits.requests_per_second, config.limits.request_burst) = (u32::MAX, u32::MAX);
    let made = Server::start(&config).await?;
    let client = register(made.listening()).await?;
    let groups = groups(&client, clients).await?;
    let user = client.device_view(client.device()).await?.user;
    made.stop().await?;
    let writers = Writers { user, device: client.device().clone(), groups };
    let bare_commits = bare::transactions(&bare, &writers, Kind::Commit, seconds).await?;
    let bare_messages = bare::transactions(&bare, &writers, Kind::Message, seconds).await?;

    let limits = unlimited(options.clients);
    let service = Service::start(options.pmls.as_deref(), &database, folder.path(), limits)?;
    println!(
        "{clients} clients at once, {} s each, the service a process of its own:",
        options.seconds
    );
    reads::measure(&service, clients, seconds).await?;
    let client = register(service.address()).await?;
    println!("  bare commits:   {bare_commits}");
    let done = served(&service, commits(&client, clients, seconds)).await?;
    println!("  commits:        {done}, {:.2} of bare", done.rate.rate / bare_commits.rate);
    println!("  bare messages:  {bare_messages}");
    let done = served(&service, messages(&client, clients, seconds)).await?;
    println!("  messages:       {done}, {:.2} of bare", done.rate.rate / bare_messages.rate);
    let done = served(&service, commits(&client, 1, seconds)).await?;
    println!("  commits, alone: {done}");
    service.stop()?;
    fan_out(options, folder.path()).await
}

/// What the service has spent on what was measured.
async fn served(
    service: &Service,
    measured: impl Future<Output = Result<Rate, Failure>>,
) -> Result<Served, Failure> {
    let gone = || service.processor_time().ok_or("the service is gone");
    let before = gone()?;
    let rate = measured.await?;
    Ok(Served { rate, time: gone()?.saturating_sub(before) })
}

/// How a commit reaches subscribers of a service that is a process of its own, and what memory that takes.
async fn fan_out(options: &Options, folder: &Path) -> Result<(), Failure> {
    let subscribers = options.subscribers;
    let database = match &options.database {
        Some(database) => database.clone(),
        None => format!("sqlite://{}", folder.join("fan-out.db").display()),
    };
    let service =
        Service::start(options.pmls.as_deref(), &database, folder, unlimited(subscribers))?;
    let client = register(service.address()).await?;
    let mib = |bytes: Option<u64>| bytes.unwrap_or_default() >> 20;
    let before = mib(service.memory());
    let reached = fan_out::measure(&client, subscribers, options.commits).await?;
    println!("fan-out of one commit to {subscribers} subscribers of a process:");
    println!("  answered to its sender after (median):          {:>8.1?}", reached.answered);
    println!("  half of the subscribers have it after (median): {:>8.1?}", reached.half);
    println!("  all of them have it after (median):             {:>8.1?}", reached.all);
    println!("  deliveries: {:.0} /s", reached.rate);
    println!("  resident memory: {before} MiB before, {} MiB at most", mib(service.memory()));
    service.stop()
}

/// The options of a service that one device can load by as many connections, and with it one address.
fn unlimited(connections: usize) -> Vec<String> {
    let (most, any) = (2 * connections + 16, u32::MAX.to_string());
    let mut options = Vec::new();
    for name in ["--requests-per-second", "--request-burst"] {
        options.extend([name.to_owned(), any.clone()]);
    }
    for name in [
        "--subscriptions",
        "--device-subscriptions",
        "--device-requests",
        "--device-connections",
        "--client-connections",
        "--connections-per-address",
    ] {
        options.extend([name.to_owned(), most.to_string()]);
    }
    options
}

async fn groups(client: &Client, count: usize) -> Result<Vec<GroupId>, Failure> {
    let mut groups = Vec::new();
    for _ in 0..count {
        groups.push(create_group(client).await?);
    }
    Ok(groups)
}

/// Does something over and over, by as many clients at once.
async fn repeated<F, D>(
    clients: usize,
    time: Duration,
    mut client: impl FnMut() -> D,
) -> Result<Rate, Failure>
where
    D: FnMut() -> F + Send + 'static,
    F: Future<Output = Result<(), Failure>> + Send,
{
    let mut tasks = JoinSet::new();
    let started = Instant::now();
    for _ in 0..clients {
        let mut act = client();
        tasks.spawn(async move {
            let mut times = Vec::new();
            while started.elapsed() < time {
                let begun = Instant::now();
                act().await?;
                times.push(begun.elapsed());
            }
            Ok::<_, Failure>(times)
        });
    }
    let mut times = Vec::new();
    while let Some(finished) = tasks.join_next().await {
        times.extend(finished??);
    }
    Ok(Rate::of(times, started.elapsed()))
}

/// Commits, by clients that each have a group of their own.
async fn commits(client: &Client, clients: usize, time: Duration) -> Result<Rate, Failure> {
    let groups = Mutex::new(groups(client, clients).await?);
    repeated(clients, time, || {
        let (client, group) = (client.clone(), next(&groups));
        let mut epoch = 0;
        move || {
            let (client, group, now) = (client.clone(), group.clone(), epoch);
            epoch += 1;
            async move { commit(&client, &group?, now).await }
        }
    })
    .await
}

/// Application messages, by clients that each have a group of their own.
async fn messages(client: &Client, clients: usize, time: Duration) -> Result<Rate, Failure> {
    let groups = Mutex::new(groups(client, clients).await?);
    repeated(clients, time, || {
        let (client, group) = (client.clone(), next(&groups));
        move || {
            let (client, group) = (client.clone(), group.clone());
            async move { send(&client, &group?).await }
        }
    })
    .await
}

/// A group that no other client has.
fn next(groups: &Mutex<Vec<GroupId>>) -> Result<GroupId, &'static str> {
    let mut groups = groups.lock().map_err(|_| "another client has failed")?;
    groups.pop().ok_or("there are fewer groups than clients")
}

/// A connection takes two files here, one at each end.
fn raise_open_files() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if setrlimit(Resource::Nofile, limit).is_err() {
        eprintln!(
            "xtask: the number of open files stays {:?}",
            getrlimit(Resource::Nofile).current
        );
    }
}
