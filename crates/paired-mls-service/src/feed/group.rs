//! Subscriptions to the log of a group.

use std::{collections::VecDeque, sync::Arc};

use paired_mls_api::{GroupId, LogEntry, UserId};
use tokio::sync::{broadcast, watch};

use super::{
    hub::{Hub, Left},
    subscriber::{Events, Next, Rendered, Source, subscription, wait},
};
use crate::{
    AppState,
    logic::{Caller, Failure, kept_after, visible},
    store::{EntriesAfter, GroupById, Removed, Standing, Store, StoreError, Topic},
};

/// How many entries a subscriber can be behind before it has to read by itself.
const CHANNEL: usize = 256;

/// An entry, on its way to all subscribers.
pub(super) struct Fanned {
    rendered: Rendered,
    /// The accounts for which it is the last.
    removed: Vec<UserId>,
}

/// The entries of a log after a cursor, and then as it grows, up to the commit that removes the caller's
/// account.
pub(crate) async fn group_events(
    state: &AppState,
    caller: &Caller,
    group: GroupId,
    after: u64,
) -> Result<Events, Failure> {
    let known = visible(state, &caller.user, &group).await?;
    let head = known.readable();
    if after > head {
        return Err(Failure::Beyond { head });
    }
    let after = kept_after(state, &group, after).await?;
    let topic = Topic::group(&group);
    // First the channel, then the database: nothing falls in between.
    let (passed, unread) = state.hub.join(&topic, CHANNEL);
    if let Some(sender) = unread {
        let reader = Reader {
            store: Arc::clone(&state.store),
            hub: Arc::clone(&state.hub),
            wakes: state.hub.watch(&topic),
            topic,
            group: group.clone(),
            page: state.limits.page,
            // What was before, each subscriber reads by itself.
            cursor: known.head,
        };
        tokio::spawn(reader.run(sender));
    }
    let source = Log {
        store: Arc::clone(&state.store),
        group,
        user: caller.user.clone(),
        page: state.limits.page,
        cursor: after,
        ready: VecDeque::new(),
        passed,
        way: Way::Database,
    };
    subscription(state, &caller.device, source)
}

fn render(entry: &LogEntry) -> Option<Rendered> {
    let json = serde_json::to_string(entry).ok()?.into();
    Some(Rendered { position: entry.position, event: entry.kind.name(), json })
}

/// Reads a log once, for all of its subscribers.
struct Reader {
    store: Arc<Store>,
    hub: Arc<Hub>,
    wakes: watch::Receiver<u64>,
    topic: Topic,
    group: GroupId,
    page: u32,
    cursor: u64,
}

impl Reader {
    async fn run(mut self, sender: broadcast::Sender<Arc<Fanned>>) {
        loop {
            self.wakes.mark_unchanged();
            if self.pass_on(&sender).await.is_err() {
                return self.hub.give_up(&self.topic);
            }
            wait(&mut self.wakes).await;
            if self.hub.leave(&self.topic, &sender) == Left::Gone {
                return;
            }
        }
    }

    async fn pass_on(&mut self, sender: &broadcast::Sender<Arc<Fanned>>) -> Result<(), StoreError> {
        loop {
            let page = EntriesAfter {
                group: &self.group,
                after: self.cursor,
                through: u64::MAX,
                limit: self.page,
            };
            let entries = self.store.run(&page).await?;
            let Some(last) = entries.last().map(|entry| entry.position) else { return Ok(()) };
            let removed = Removed { group: &self.group, after: self.cursor, through: last };
            let removed = self.store.run(&removed).await?;
            for rendered in entries.iter().filter_map(render) {
                let here = removed.iter().filter(|(position, _)| *position == rendered.position);
                let removed = here.map(|(_, user)| user.clone()).collect();
                // Nobody there is no error: the next turn ends it.
                let _receivers = sender.send(Arc::new(Fanned { rendered, removed }));
            }
            self.cursor = last;
        }
    }
}

/// Where a subscriber has its entries from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// It is behind, or was overtaken.
    Database,
    /// It is up to date.
    Channel,
}

/// One subscriber.
struct Log {
    store: Arc<Store>,
    group: GroupId,
    user: UserId,
    page: u32,
    cursor: u64,
    ready: VecDeque<LogEntry>,
    passed: broadcast::Receiver<Arc<Fanned>>,
    way: Way,
}

impl Source for Log {
    async fn next(&mut self) -> Next {
        loop {
            if let Some(entry) = self.ready.pop_front() {
                self.cursor = entry.position;
                return render(&entry).map_or(Next::End, Next::Item);
            }
            match self.way {
                Way::Database => match self.catch_up().await {
                    Ok(Caught::All) => self.way = Way::Channel,
                    Ok(Caught::Some) => {}
                    Ok(Caught::NoMore) | Err(_) => return Next::End,
                },
                Way::Channel => match self.passed.recv().await {
                    Ok(fanned) if fanned.rendered.position <= self.cursor => {}
                    Ok(fanned) if fanned.rendered.position == self.cursor.saturating_add(1) => {
                        return self.forward(&fanned);
                    }
                    Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => self.way = Way::Database,
                    // The client resumes.
                    Err(broadcast::error::RecvError::Closed) => return Next::End,
                },
            }
        }
    }
}

/// What was in the database.
enum Caught {
    Some,
    All,
    NoMore,
}

impl Log {
    fn forward(&mut self, fanned: &Fanned) -> Next {
        self.cursor = fanned.rendered.position;
        match fanned.removed.contains(&self.user) {
            true => Next::Last(fanned.rendered.clone()),
            false => Next::Item(fanned.rendered.clone()),
        }
    }

    async fn catch_up(&mut self) -> Result<Caught, StoreError> {
        let group = GroupById { group: &self.group, user: &self.user };
        let Some(found) = self.store.run(&group).await? else { return Ok(Caught::NoMore) };
        let page = EntriesAfter {
            group: &self.group,
            after: self.cursor.max(found.start),
            through: found.readable(),
            limit: self.page,
        };
        self.ready = self.store.run(&page).await?.into();
        Ok(match (self.ready.is_empty(), found.standing) {
            (false, _) => Caught::Some,
            (true, Standing::Listed) => Caught::All,
            (true, _) => Caught::NoMore,
        })
    }
}
