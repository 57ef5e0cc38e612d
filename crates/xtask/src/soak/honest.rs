//! Clients that behave: each commits, sends, reads, and remembers what the service has acknowledged.

use std::time::{Duration, Instant, SystemTime};

use paired_mls_api::GroupId;
use paired_mls_client::{ClientError, Publication, Server};
use tokio::{sync::watch, time::sleep};

use super::report::{Looked, Waits, Weather};
use crate::{
    Failure,
    load::client::{Client, create_group, message, new_commit, register_by},
};

/// A pause between two requests.
const PAUSE: Duration = Duration::from_millis(60);
/// How many entries are asked for at once.
const PAGE: u32 = 100;

/// How wrong a clock is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Skew {
    ahead: Duration,
    behind: Duration,
}

impl Skew {
    /// Positive if the clock is ahead.
    pub(super) fn seconds(seconds: i64) -> Self {
        let time = Duration::from_secs(seconds.unsigned_abs());
        let none = Duration::ZERO;
        if seconds < 0 {
            Self { ahead: none, behind: time }
        } else {
            Self { ahead: time, behind: none }
        }
    }
}

/// A client with a group of its own.
pub(super) struct Honest {
    client: Client,
    group: GroupId,
    epoch: u64,
    acknowledged: Vec<(u64, Vec<u8>)>,
    refused_for_room: usize,
}

/// A registered device.
pub(super) async fn client(url: &str, skew: Skew) -> Result<Client, Failure> {
    let server = Server::new(url)?;
    let clock = move || SystemTime::now() + skew.ahead - skew.behind;
    register_by(|key| Client::with_clock(server, key, clock)).await
}

/// A client whose clock is an hour wrong is refused, and is told that.
pub(super) async fn refused_for_its_clock(url: &str) -> Result<(), Failure> {
    for seconds in [-3600, 3600] {
        match client(url, Skew::seconds(seconds)).await {
            Err(error) if matches!(error.downcast_ref(), Some(ClientError::Clock(_))) => {}
            Err(error) => return Err(error),
            Ok(_) => return Err("a clock that is an hour wrong was believed".into()),
        }
    }
    Ok(())
}

impl Honest {
    pub(super) async fn register(url: &str, skew: Skew) -> Result<Self, Failure> {
        let client = client(url, skew).await?;
        let group = create_group(&client).await?;
        Ok(Self { client, group, epoch: 0, acknowledged: Vec::new(), refused_for_room: 0 })
    }

    /// Works until it is told to stop, and gives back what it remembers.
    pub(super) async fn live(
        mut self,
        stopped: watch::Receiver<bool>,
        calm: watch::Receiver<bool>,
        waits: Waits,
    ) -> Result<Self, Failure> {
        let mut round = 0_usize;
        while !*stopped.borrow() {
            let before = *calm.borrow();
            let started = Instant::now();
            let done = match round % 3 {
                0 => self.commit(&stopped).await?,
                1 => self.send().await?,
                _ => self.read().await?,
            };
            if done == Done::Answered {
                let calm = before && *calm.borrow();
                let weather = if calm { Weather::Calm } else { Weather::Disturbed };
                waits.add(weather, started.elapsed());
            }
            round += 1;
            sleep(PAUSE).await;
        }
        Ok(self)
    }

    /// Publishes a commit, the same one until its fate is known.
    async fn commit(&mut self, stopped: &watch::Receiver<bool>) -> Result<Done, Failure> {
        let body = new_commit(&self.group, self.epoch)?;
        while !*stopped.borrow() {
            match self.client.publish_commit(&self.group, &body).await {
                Ok(Publication::Accepted(published)) => {
                    self.acknowledged.push((published.position, body.commit.0.clone()));
                    self.epoch += 1;
                    return Ok(Done::Answered);
                }
                Ok(Publication::Lost { epoch }) => {
                    return Err(format!(
                        "a group with one committer is in epoch {epoch}, and not in {}",
                        self.epoch
                    )
                    .into());
                }
                Err(error) => self.bear(error).await?,
            }
        }
        Ok(Done::Stopped)
    }

    async fn send(&mut self) -> Result<Done, Failure> {
        let message = message(&self.group, self.epoch)?;
        match self.client.publish_message(&self.group, &message).await {
            Ok(published) => {
                self.acknowledged.push((published.position, message));
                Ok(Done::Answered)
            }
            Err(error) => self.bear(error).await.map(|()| Done::Failed),
        }
    }

    async fn read(&mut self) -> Result<Done, Failure> {
        let after = self.acknowledged.last().map_or(0, |(position, _)| position.saturating_sub(5));
        match self.client.log(&self.group, after, Some(PAGE)).await {
            Ok(_) => Ok(Done::Answered),
            Err(error) => self.bear(error).await.map(|()| Done::Failed),
        }
    }

    /// What a client has to live with; anything else ends the run.
    async fn bear(&mut self, error: ClientError) -> Result<(), Failure> {
        let full = matches!(error, ClientError::Storage { .. });
        if full {
            self.refused_for_room += 1;
        } else if !error.is_transient() {
            return Err(error.into());
        }
        sleep(PAUSE * 4).await;
        Ok(())
    }

    /// Asks for everything that was acknowledged.
    pub(super) async fn look_back(&self) -> Result<Looked, Failure> {
        let (mut after, mut found) = (0, std::collections::HashMap::new());
        loop {
            let page = self.client.log(&self.group, after, Some(PAGE)).await?;
            for entry in page.entries {
                after = entry.position;
                found.insert(entry.position, entry.message.0);
            }
            if after >= page.head {
                break;
            }
        }
        let is_there = |(position, message): &&(u64, Vec<u8>)| {
            found.get(position).is_some_and(|entry| entry == message)
        };
        let acknowledged = self.acknowledged.len();
        let lost = acknowledged - self.acknowledged.iter().filter(is_there).count();
        Ok(Looked { acknowledged, lost, refused_for_room: self.refused_for_room })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Done {
    Answered,
    Failed,
    Stopped,
}
