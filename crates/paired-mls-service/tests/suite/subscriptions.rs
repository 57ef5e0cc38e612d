//! Subscriptions by Server-Sent Events, without a socket.

use std::time::Duration;

use axum::body::BodyDataStream;
use futures_util::StreamExt as _;
use paired_mls_api::{
    Access, GroupId, LogEntry, MailboxItem, ProblemKind, PublishCommit, RosterChange, path,
};
use paired_mls_service::Clock as _;
use serde::de::DeserializeOwned;
use tokio::time::timeout;
use tower::ServiceExt as _;

use crate::{
    backend::{Backend, Replica, on_both},
    device::{Answer, Device},
    messages::*,
};

on_both!(
    a_subscriber_catches_up_and_goes_on,
    a_subscriber_resumes_behind_the_last_event,
    a_slow_subscriber_misses_nothing,
    the_last_entry_is_the_own_removal,
    a_revoked_device_is_cut_off,
    a_mailbox_can_be_subscribed_to,
    a_stopping_replica_ends_subscriptions,
    subscriptions_are_bounded,
);

/// Long enough for a busy machine, and shorter than any polling.
const SOON: Duration = Duration::from_secs(20);

/// What a client sees of a stream of events.
pub(crate) struct Reader {
    body: BodyDataStream,
    text: String,
}

/// One event.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) id: u64,
    pub(crate) event: String,
    pub(crate) data: String,
}

impl Seen {
    pub(crate) fn read<T: DeserializeOwned>(&self) -> T {
        serde_json::from_str(&self.data).unwrap()
    }
}

impl Reader {
    pub(crate) async fn open(
        replica: &Replica,
        device: &Device,
        path: &str,
        last: Option<u64>,
    ) -> Result<Self, Answer> {
        let mut request = device.request(replica.clock.now(), "GET", path, "", Vec::new());
        if let Some(last) = last {
            request.headers_mut().insert("last-event-id", last.into());
        }
        let response = replica.app.clone().oneshot(request).await.unwrap();
        if response.status() != 200 {
            return Err(Answer::of(response).await);
        }
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["x-accel-buffering"], "no");
        Ok(Self { body: response.into_body().into_data_stream(), text: String::new() })
    }

    pub(crate) async fn log(
        replica: &Replica,
        device: &Device,
        group: &GroupId,
        after: u64,
    ) -> Self {
        let path = format!("{}?after={after}", path::of_group(path::GROUP_EVENTS, group));
        let Ok(reader) = Self::open(replica, device, &path, None).await else {
            panic!("refused");
        };
        reader
    }

    /// The next event; nothing if the stream has ended.
    pub(crate) async fn next(&mut self) -> Option<Seen> {
        timeout(SOON, self.event()).await.expect("an event in time")
    }

    async fn event(&mut self) -> Option<Seen> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let seen = parse(event);
                self.text = rest.to_owned();
                match seen {
                    Some(seen) => return Some(seen),
                    None => continue,
                }
            }
            let chunk = self.body.next().await?;
            self.text.push_str(std::str::from_utf8(&chunk.unwrap()).unwrap());
        }
    }

    /// The positions and kinds of the next events.
    pub(crate) async fn take(&mut self, count: usize) -> Vec<(u64, String)> {
        let mut taken = Vec::new();
        for _ in 0..count {
            let seen = self.next().await.expect("another event");
            taken.push((seen.id, seen.event));
        }
        taken
    }
}

/// An event, or nothing for a comment that keeps the connection alive.
fn parse(event: &str) -> Option<Seen> {
    let field = |name: &str| {
        let line = event.lines().find_map(|line| line.strip_prefix(name));
        line.map(|value| value.trim_start().to_owned())
    };
    Some(Seen {
        id: field("id:")?.parse().unwrap(),
        event: field("event:")?,
        data: field("data:")?,
    })
}

fn positions(taken: &[(u64, String)]) -> Vec<u64> {
    taken.iter().map(|(position, _)| *position).collect()
}

async fn a_subscriber_catches_up_and_goes_on(backend: Backend) {
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let group = new_group(&replica, &alice, Access::Roster).await;
    let messages = path::of_group(path::GROUP_MESSAGES, &group);
    win(&replica, &alice, &group, &publish(&group, 0)).await;
    let mut reader = Reader::log(&replica, &alice, &group, 0).await;
    assert_eq!(reader.take(1).await, [(1, "commit".to_owned())]);
    let message = application(&group, 1);
    assert_eq!(alice.post_mls(&replica, &messages, &message).await.status, 201);
    let seen = reader.next().await.unwrap();
    assert_eq!((seen.id, seen.event.as_str()), (2, "application"));
    assert_eq!(seen.read::<LogEntry>().message.0, message);
    assert_eq!(alice.post_mls(&replica, &messages, &proposal(&group, 1)).await.status, 201);
    assert_eq!(reader.take(1).await, [(3, "proposal".to_owned())]);
}

async fn a_subscriber_resumes_behind_the_last_event(backend: Backend) {
    let (one, two) = (backend.replica().await, backend.replica().await);
    let alice = Device::registered(&one, "alice").await;
    let group = new_group(&one, &alice, Access::Roster).await;
    for epoch in 0..5 {
        win(&one, &alice, &group, &publish(&group, epoch)).await;
    }
    let path = path::of_group(path::GROUP_EVENTS, &group);
    // On another replica, by the header that browsers send.
    let Ok(mut reader) = Reader::open(&two, &alice, &path, Some(3)).await else {
        panic!("refused")
    };
    assert_eq!(positions(&reader.take(2).await), [4, 5]);
    let bad = Reader::open(&two, &alice, &format!("{path}?after=x"), None).await;
    bad.err().unwrap().problem(ProblemKind::Malformed);
}

async fn a_slow_subscriber_misses_nothing(mut backend: Backend) {
    backend.config.limits.page = 7;
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let group = new_group(&replica, &alice, Access::Roster).await;
    let messages = path::of_group(path::GROUP_MESSAGES, &group);
    let mut slow = Reader::log(&replica, &alice, &group, 0).await;
    let mut fast = Reader::log(&replica, &alice, &group, 0).await;
    assert_eq!(alice.post_mls(&replica, &messages, &application(&group, 0)).await.status, 201);
    assert_eq!(positions(&slow.take(1).await), [1]);
    // More than the channel holds, while one of them does not read.
    for n in 2..=400 {
        assert_eq!(alice.post_mls(&replica, &messages, &application(&group, 0)).await.status, 201);
        if n % 50 == 0 {
            fast.take(50).await;
        }
    }
    assert_eq!(positions(&slow.take(399).await), (2..=400).collect::<Vec<_>>());
}

async fn the_last_entry_is_the_own_removal(backend: Backend) {
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let bob = Device::registered(&replica, "bob").await;
    let group = new_group(&replica, &alice, Access::Roster).await;
    win(&replica, &alice, &group, &adding(&group, 0, &[&bob])).await;
    let mut at_bob = Reader::log(&replica, &bob, &group, 0).await;
    let mut at_alice = Reader::log(&replica, &alice, &group, 0).await;
    assert_eq!(positions(&at_bob.take(1).await), [1]);
    let roster = RosterChange { remove: vec![bob.user.clone()], add: Vec::new() };
    win(&replica, &alice, &group, &PublishCommit { roster, ..publish(&group, 1) }).await;
    win(&replica, &alice, &group, &publish(&group, 2)).await;
    assert_eq!(positions(&at_bob.take(1).await), [2]);
    assert!(at_bob.next().await.is_none());
    assert_eq!(positions(&at_alice.take(3).await), [1, 2, 3]);
}

async fn a_revoked_device_is_cut_off(backend: Backend) {
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let lost = alice.sibling(&replica).await;
    let group = new_group(&replica, &alice, Access::Roster).await;
    win(&replica, &alice, &group, &publish(&group, 0)).await;
    let mut log = Reader::log(&replica, &lost, &group, 0).await;
    assert_eq!(positions(&log.take(1).await), [1]);
    let path = path::of_device(path::DEVICE, &lost.id);
    assert_eq!(alice.delete(&replica, &path).await.status, 200);
    assert!(log.next().await.is_none());
}

async fn a_mailbox_can_be_subscribed_to(backend: Backend) {
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let partner = alice.sibling(&replica).await;
    let group = new_group(&replica, &alice, Access::Roster).await;
    let opened = Reader::open(&replica, &partner, path::MAILBOX_EVENTS, None).await;
    let Ok(mut reader) = opened else { panic!("refused") };
    let mut last = 0;
    for epoch in 0..3 {
        let commit =
            PublishCommit { account_envelope: envelope(b"notify"), ..publish(&group, epoch) };
        win(&replica, &alice, &group, &commit).await;
        let seen = reader.next().await.unwrap();
        let item: MailboxItem = seen.read();
        assert_eq!((seen.event.as_str(), seen.id), ("item", item.position));
        assert_eq!(item.envelope, envelope(b"notify"));
        assert!(item.position > last);
        last = item.position;
    }
}

async fn a_stopping_replica_ends_subscriptions(backend: Backend) {
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let group = new_group(&replica, &alice, Access::Roster).await;
    let mut reader = Reader::log(&replica, &alice, &group, 0).await;
    replica.state.stop();
    assert!(reader.next().await.is_none());
}

async fn subscriptions_are_bounded(mut backend: Backend) {
    backend.config.limits.subscriptions = 1;
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let first = Reader::open(&replica, &alice, path::MAILBOX_EVENTS, None).await;
    assert!(first.is_ok());
    let second = Reader::open(&replica, &alice, path::MAILBOX_EVENTS, None).await;
    second.err().unwrap().problem(ProblemKind::Unavailable);
    drop(first);
    let third = Reader::open(&replica, &alice, path::MAILBOX_EVENTS, None).await;
    assert!(third.is_ok());
}
