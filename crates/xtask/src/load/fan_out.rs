//! How long a commit takes to reach all subscribers of its group.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::StreamExt as _;
use tokio::{sync::mpsc, task::JoinSet};

use super::{Failure, client::Client};

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
    client: &Arc<Client>,
    subscribers: usize,
    commits: u64,
) -> Result<Reached, Failure> {
    let group = client.create_group().await?;
    let (arrived, mut arrivals) = mpsc::unbounded_channel();
    let mut readers = JoinSet::new();
    for _ in 0..subscribers {
        let response = client.subscribe(&group).await?;
        let arrived = arrived.clone();
        readers.spawn(async move {
            let mut chunks = response.bytes_stream();
            while let Some(Ok(chunk)) = chunks.next().await {
                // One line of each event begins like this.
                let events = chunk.windows(4).filter(|window| window == b"id: ").count();
                let now = Instant::now();
                if (0..events).any(|_| arrived.send(now).is_err()) {
                    return;
                }
            }
        });
    }
    let (mut answered, mut half, mut all) = (Vec::new(), Vec::new(), Vec::new());
    for epoch in 0..commits {
        let started = Instant::now();
        let mut times = Vec::with_capacity(subscribers);
        let answer = async {
            client.commit(&group, epoch).await?;
            Ok::<_, Failure>(started.elapsed())
        };
        let arrive = async {
            while times.len() < subscribers {
                let Some(at) = arrivals.recv().await else { break };
                times.push(at.duration_since(started));
            }
        };
        let (answer, ()) = tokio::join!(answer, arrive);
        times.sort();
        answered.push(answer?);
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
