//! Load on the service, over loopback: how many requests it serves in a second, in this process, and how
//! long a commit takes to reach the subscribers of one that is a process of its own, and in what memory. Beside it, in the same run: requests that are not signed
//! and need no database, and what the bare database does with the same transactions, each committed by
//! itself.

mod bare;
pub(crate) mod client;
mod fan_out;
mod rate;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    pin::Pin,
    sync::Mutex,
    time::{Duration, Instant},
};

use clap::Args;
use paired_mls_api::{GroupId, path};
use paired_mls_service::{Config, Server};
use tokio::task::JoinSet;

use self::{
    bare::{Kind, Writers},
    client::{Client, commit, create_group, register, send, write_to_itself},
    rate::Rate,
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
    let made = Server::start(&unlimited(bare.clone(), options)).await?;
    let client = register(made.listening()).await?;
    let groups = groups(&client, clients).await?;
    let user = client.device_view(client.device()).await?.user;
    made.stop().await?;
    let writers = Writers { user, device: client.device().clone(), groups };
    let bare_commits = bare::transactions(&bare, &writers, Kind::Commit, seconds).await?;
    let bare_messages = bare::transactions(&bare, &writers, Kind::Message, seconds).await?;

    let server = Server::start(&unlimited(database, options)).await?;
    let address = server.listening();
    let client = register(address).await?;
    println!("{clients} clients at once, {} s each:", options.seconds);
    let unsigned = repeated(clients, seconds, || unsigned(address)).await?;
    println!("  unsigned GET:   {unsigned}");
    let signed = repeated(clients, seconds, || reader(&client)).await?;
    println!("  signed GET:     {signed}, {:.2} of unsigned", signed.rate / unsigned.rate);
    // The first finds nothing new, as most do; the second finds a letter.
    write_to_itself(&client).await?;
    let found = repeated(clients, seconds, || reader(&client)).await?;
    println!("  … of a letter:  {found}, {:.2} of unsigned", found.rate / unsigned.rate);
    println!("  bare commits:   {bare_commits}");
    let rate = commits(&client, clients, seconds).await?;
    println!("  commits:        {rate}, {:.2} of bare", rate.rate / bare_commits.rate);
    println!("  bare messages:  {bare_messages}");
    let rate = messages(&client, clients, seconds).await?;
    println!("  messages:       {rate}, {:.2} of bare", rate.rate / bare_messages.rate);
    let rate = commits(&client, 1, seconds).await?;
    println!("  commits, alone: {rate}");
    server.stop().await?;
    fan_out(options, folder.path()).await
}

/// How a commit reaches subscribers of a service that is a process of its own, and what memory that takes.
async fn fan_out(options: &Options, folder: &Path) -> Result<(), Failure> {
    let (subscribers, most) = (options.subscribers, options.subscribers + 16);
    let limits = [
        ("--requests-per-second", usize::try_from(u32::MAX)?),
        ("--request-burst", usize::try_from(u32::MAX)?),
        ("--subscriptions", most),
        ("--device-subscriptions", most),
        ("--device-requests", most),
        ("--device-connections", most),
        ("--client-connections", most),
        ("--connections-per-address", most),
    ];
    let limits = limits.iter().flat_map(|(name, value)| [(*name).to_owned(), value.to_string()]);
    let database = match &options.database {
        Some(database) => database.clone(),
        None => format!("sqlite://{}", folder.join("fan-out.db").display()),
    };
    let service = Service::start(options.pmls.as_deref(), &database, folder, limits.collect())?;
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

/// A service that one device can load, and with it one address.
fn unlimited(database: String, options: &Options) -> Config {
    let mut config = Config::new(([127, 0, 0, 1], 0).into(), database);
    config.limits.requests_per_second = u32::MAX;
    config.limits.request_burst = u32::MAX;
    config.limits.subscriptions = options.subscribers + 16;
    config.limits.device_subscriptions = options.subscribers + 16;
    config.limits.device_requests = options.clients + 16;
    config.limits.connections_per_address = options.subscribers + 2 * options.clients + 16;
    config.limits.device_connections = config.limits.connections_per_address;
    config
}

async fn groups(client: &Client, count: usize) -> Result<Vec<GroupId>, Failure> {
    let mut groups = Vec::new();
    for _ in 0..count {
        groups.push(create_group(client).await?);
    }
    Ok(groups)
}

/// Something that is under way.
type Act = Pin<Box<dyn Future<Output = Result<(), Failure>> + Send>>;

/// Does something over and over, by as many clients at once.
async fn repeated<F, D>(
    clients: usize,
    time: Duration,
    client: impl Fn() -> D,
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

/// Asks something that is signed by nobody, and needs no database.
fn unsigned(address: SocketAddr) -> impl FnMut() -> Act {
    let (client, url) = (reqwest::Client::new(), format!("http://{address}{}", path::LIVE));
    move || {
        let request = client.get(&url).send();
        Box::pin(async move {
            request.await?.error_for_status()?;
            Ok(())
        })
    }
}

/// Reads its mailbox.
fn reader(client: &Client) -> impl FnMut() -> Act + use<> {
    let client = client.clone();
    move || {
        let client = client.clone();
        Box::pin(async move {
            client.items(0, None).await?;
            Ok(())
        })
    }
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
