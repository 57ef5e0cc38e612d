//! Load on the service, over loopback, in this process: how many commits it orders in a second, and how
//! long one takes to reach its subscribers. What the bare database does is measured in the same run,
//! since it is what the service cannot be faster than.

mod bare;
pub(crate) mod client;
mod fan_out;

use std::time::{Duration, Instant};

use clap::Args;
use paired_mls_service::{Config, Server};
use tokio::task::JoinSet;

use self::client::{Client, commit, create_group, register};
use crate::Failure;

/// What `load` can be told.
#[derive(Args)]
pub(crate) struct Options {
    /// The database: `postgres://…`, or `sqlite://…`; a temporary SQLite file if it is left out.
    #[arg(long)]
    database: Option<String>,
    /// How long each rate is measured, in seconds.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Clients that commit at once.
    #[arg(long, default_value_t = 16)]
    clients: usize,
    /// Subscribers of one group.
    #[arg(long, default_value_t = 1000)]
    subscribers: usize,
    /// Commits that are sent to them, one after the other.
    #[arg(long, default_value_t = 20)]
    commits: u64,
}

/// Measures and prints.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    raise_open_files();
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(measure(options))
}

async fn measure(options: &Options) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let file = |name| format!("sqlite://{}", folder.path().join(name).display());
    let database = options.database.clone().unwrap_or_else(|| file("service.db"));
    let bare = options.database.clone().unwrap_or_else(|| file("bare.db"));
    let (seconds, clients) = (Duration::from_secs(options.seconds), options.clients);

    let mut config = Config::new(([127, 0, 0, 1], 0).into(), database);
    config.limits.requests_per_second = u32::MAX;
    config.limits.request_burst = u32::MAX;
    config.limits.subscriptions = options.subscribers + 16;
    let server = Server::start(&config).await?;
    let client = register(server.listening()).await?;

    let rate = bare::transactions(&bare, clients, seconds).await?;
    println!("bare database, two statements a transaction, {clients} at once: {rate:8.0} /s");
    let rate = commits(&client, 1, seconds).await?;
    println!("commits, one group, one client:                    {rate:8.0} /s");
    let rate = commits(&client, clients, seconds).await?;
    println!("commits, {clients} groups, one client each:                {rate:8.0} /s");
    let reached = fan_out::measure(&client, options.subscribers, options.commits).await?;
    println!("fan-out of one commit to {} subscribers:", options.subscribers);
    println!("  answered to its sender after (median):         {:>8.1?}", reached.answered);
    println!("  half of the subscribers have it after (median): {:>8.1?}", reached.half);
    println!("  all of them have it after (median):             {:>8.1?}", reached.all);
    println!("  deliveries: {:.0} /s", reached.rate);
    server.stop().await?;
    Ok(())
}

/// Commits in a second, by clients that each have a group of their own.
async fn commits(client: &Client, clients: usize, time: Duration) -> Result<f64, Failure> {
    let mut tasks = JoinSet::new();
    let started = Instant::now();
    for _ in 0..clients {
        let client = client.clone();
        tasks.spawn(async move {
            let group = create_group(&client).await?;
            let mut epoch = 0;
            while started.elapsed() < time {
                commit(&client, &group, epoch).await?;
                epoch += 1;
            }
            Ok::<_, Failure>(epoch)
        });
    }
    let mut done = 0;
    while let Some(finished) = tasks.join_next().await {
        done += finished??;
    }
    Ok(done as f64 / started.elapsed().as_secs_f64())
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
