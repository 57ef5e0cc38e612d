//! Subscriptions by Server-Sent Events that resume by themselves.

use std::{marker::PhantomData, num::NonZeroUsize};

use bytes::Bytes;
use futures_util::{Stream, stream};
use paired_mls_api::{EVENT_STREAM, GroupId, LogEntry, MailboxItem};
use reqwest::Response;
use serde::de::DeserializeOwned;
use sse_core::{SseDecoder, SseEvent};
use tokio::time::{Duration, Instant};

use crate::{
    Client, ClientError, ClientKey, LogCursor, answer::media_type, backoff::Backoff,
    request::Request,
};

/// How many attempts in a row may fail before each further one is reported.
const QUIET: u32 = 5;
/// A connection that lasts as long was a good one, also if nothing came.
const GOOD: Duration = Duration::from_secs(60);
/// The longest event that is read, in bytes: more than the longest body that any service takes, 32 MiB,
/// as text.
const LONGEST: NonZeroUsize = NonZeroUsize::new(48 << 20).expect("it is not zero");

/// What a subscription delivers.
pub(crate) trait Positioned: DeserializeOwned {
    fn position(&self) -> u64;

    /// How it follows what is at `cursor`.
    fn place(&self, cursor: u64) -> Place;

    /// The cursor behind it, if it goes on from the one before it.
    fn step(&self, cursor: LogCursor) -> Result<LogCursor, ClientError>;
}

/// How something follows what was before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// It is the next.
    Next,
    /// It was there before.
    Seen,
    /// Something is missing in between.
    Gap,
}

impl Positioned for LogEntry {
    fn position(&self) -> u64 {
        self.position
    }

    /// The positions of a log have no gaps.
    fn place(&self, cursor: u64) -> Place {
        match self.position.checked_sub(cursor) {
            None | Some(0) => Place::Seen,
            Some(1) => Place::Next,
            Some(_) => Place::Gap,
        }
    }

    fn step(&self, cursor: LogCursor) -> Result<LogCursor, ClientError> {
        cursor.step(self)
    }
}

impl Positioned for MailboxItem {
    fn position(&self) -> u64 {
        self.position
    }

    /// What was fetched or has expired is not there any more.
    fn place(&self, cursor: u64) -> Place {
        if self.position > cursor { Place::Next } else { Place::Seen }
    }

    /// An item says nothing of those before it.
    fn step(&self, _: LogCursor) -> Result<LogCursor, ClientError> {
        Ok(self.position.into())
    }
}

/// What is at a path after a position, and then as it comes.
pub(crate) struct Subscription<K, T> {
    client: Client<K>,
    path: String,
    /// Behind the last one that was delivered.
    cursor: LogCursor,
    backoff: Backoff,
    state: State,
    /// The group of which nothing has been read yet: its log may begin later for this account.
    newcomer: Option<GroupId>,
    delivers: PhantomData<fn() -> T>,
}

enum State {
    /// Not connected.
    Away,
    /// Connected.
    Listening(Box<Events>),
    /// Nothing comes any more.
    Over,
}

impl<K: ClientKey, T: Positioned> Subscription<K, T> {
    pub(crate) fn new(client: Client<K>, path: String, after: LogCursor) -> Self {
        Self {
            client,
            path,
            cursor: after,
            backoff: Backoff::default(),
            state: State::Away,
            newcomer: None,
            delivers: PhantomData,
        }
    }

    /// The log of a group, from where the account joined.
    pub(crate) fn of_newcomer(self, group: GroupId) -> Self {
        Self { newcomer: Some(group), ..self }
    }

    pub(crate) fn stream(self) -> impl Stream<Item = Result<T, ClientError>> + Unpin + use<K, T> {
        Box::pin(stream::unfold(self, |mut subscription| async move {
            let next = subscription.next().await?;
            Some((next, subscription))
        }))
    }

    async fn next(&mut self) -> Option<Result<T, ClientError>> {
        loop {
            let step = match &mut self.state {
                State::Over => return None,
                State::Away => self.connect().await,
                State::Listening(events) => match events.next().await {
                    Heard::Data(data) => match self.take(&data).await {
                        Ok(Some(item)) => return Some(Ok(item)),
                        taken => taken.map(|_| ()),
                    },
                    Heard::End => self.hang_up().await,
                    Heard::TooLong => Err(ClientError::TooLong { limit: LONGEST.get() }),
                },
            };
            if let Err(error) = step {
                self.state = if error.is_transient() { State::Away } else { State::Over };
                return Some(Err(error));
            }
        }
    }

    /// Connects, or waits after an attempt that has failed.
    async fn connect(&mut self) -> Result<(), ClientError> {
        let request = Request::get(self.path.clone()).with("after", self.cursor.position);
        let error = match self.client.open(&request).await {
            Ok(response) if media_type(response.headers()) == EVENT_STREAM => {
                self.state = State::Listening(Box::new(Events::new(response)));
                return Ok(());
            }
            Ok(response) => self.client.not_the_service(response.status()),
            Err(error) => self.cursor.explain(error),
        };
        if !error.is_transient() {
            return Err(error);
        }
        self.backoff.wait(error.retry_after()).await?;
        if self.backoff.failures() >= QUIET { Err(error) } else { Ok(()) }
    }

    /// A connection has ended: a subscription never does by itself. One that was good for nothing counts
    /// as a failed attempt, so that the next comes later.
    async fn hang_up(&mut self) -> Result<(), ClientError> {
        if let State::Listening(events) = &self.state
            && events.since.elapsed() >= GOOD
        {
            self.backoff = Backoff::default();
        }
        self.state = State::Away;
        self.backoff.wait(None).await
    }

    /// Reads what has come; nothing if it was there before.
    async fn take(&mut self, data: &str) -> Result<Option<T>, ClientError> {
        self.backoff = Backoff::default();
        let Ok(item) = serde_json::from_str::<T>(data) else {
            return Err(self.client.not_the_service(reqwest::StatusCode::OK));
        };
        let newcomer = self.newcomer.take();
        let (after, position) = (self.cursor.position, item.position());
        match item.place(after) {
            Place::Seen => Ok(None),
            Place::Gap if self.begins_at(newcomer, position).await => {
                self.cursor = item.step(after.into())?;
                Ok(Some(item))
            }
            Place::Gap => Err(ClientError::Gap { after, found: position }),
            Place::Next => {
                self.cursor = item.step(self.cursor)?;
                Ok(Some(item))
            }
        }
    }
}

impl<K: ClientKey, T> Subscription<K, T> {
    /// Whether this is the first position that a newcomer to a group reads.
    async fn begins_at(&self, newcomer: Option<GroupId>, position: u64) -> bool {
        let Some(group) = newcomer else { return false };
        let view = self.client.group(&group).await;
        view.is_ok_and(|view| view.start.checked_add(1) == Some(position))
    }
}

/// A connection by which events come.
struct Events {
    response: Response,
    decoder: SseDecoder,
    /// What has come and is not decoded yet.
    chunk: Bytes,
    since: Instant,
}

/// What comes next by a connection.
enum Heard {
    /// An event.
    Data(String),
    /// The connection has ended, in whatever way.
    End,
    /// The event does not end.
    TooLong,
}

impl Events {
    fn new(response: Response) -> Self {
        let decoder = SseDecoder::with_limit(LONGEST);
        Self { response, decoder, chunk: Bytes::new(), since: Instant::now() }
    }

    async fn next(&mut self) -> Heard {
        loop {
            match self.decoder.next(&mut self.chunk) {
                Some(Ok(SseEvent::Message(event))) => return Heard::Data(event.data),
                Some(Ok(SseEvent::Retry(_))) => {}
                Some(Err(_)) => return Heard::TooLong,
                None => match self.response.chunk().await {
                    Ok(Some(chunk)) => self.chunk = chunk,
                    Ok(None) | Err(_) => return Heard::End,
                },
            }
        }
    }
}
