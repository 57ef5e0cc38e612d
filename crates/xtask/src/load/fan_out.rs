//! How long a commit takes to reach all subscribers of its group.

use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use tokio::{sync::mpsc, task::JoinSet};

use super::{
    Failure,
    client::{Client, commit, create_group},
};

/// What was measured.
pub(super) struct Reached {
    /// When its sender had the answer.
    pub(super) answered: Duration,
    /// When half of the subscribers had it.
    pub(super) half: Duration,
    /// When all of them had it.
    pub(super) all: Duration,
    /// Deliveries in a second, while it was delivered.
    pub(super) rate: f64,
}

/// Sends commits, one after the other, and waits each time for all subscribers to have it.
pub(super) async fn measure(
    client: &Client,
    subscribers: usize,
    commits: u64,
) -> Result<Reached, Failure> {
    let group = create_group(client).await?;
    let (arrived, mut arrivals) = mpsc::unbounded_channel();
    let mut readers = JoinSet::new();
    for _ in 0..subscribers {
        let mut log = client.group_events(&group, 0);
        let arrived = arrived.clone();
        readers.spawn(async move {
            while let Some(entry) = log.next().await {
                if arrived.send(entry.map(|_| Instant::now())).is_err() {
                    return;
                }
            }
        });
    }
    drop(arrived);
    // The first one tells that all of them listen.
    commit(client, &group, 0).await?;
    for _ in 0..subscribers {
        arrivals.recv().await.ok_or("nobody listens")??;
    }
    let (mut answered, mut half, mut all) = (Vec::new(), Vec::new(), Vec::new());
    for epoch in 1..=commits {
        let started = Instant::now();
        let mut times = Vec::with_capacity(subscribers);
        let answer = async {
            commit(client, &group, epoch).await?;
            Ok::<_, Failure>(started.elapsed())
        };
        let arrive = async {
            while times.len() < subscribers {
                let at = arrivals.recv().await.ok_or("nobody listens")??;
                times.push(at.duration_since(started));
            }
            Ok(())
        };
        let (answer, ()) = tokio::try_join!(answer, arrive)?;
        times.sort();
        answered.push(answer);
        half.extend(times.get(subscribers / 2));
        all.extend(times.last());
    }
    readers.shutdown().await;
    let all = median(all);
    let rate = subscribers as f64 / all.as_secs_f64();
    Ok(Reached { answered: median(answered), half: median(half), all, rate })
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}
