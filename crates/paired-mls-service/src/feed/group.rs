//! Subscriptions to the log of a group.

use std::sync::Arc;

use paired_mls_api::{GroupId, LogEntry, UserId};
use tokio::sync::{broadcast, watch};

use super::{
    hub::{Hub, Left},
    ready::{AT_ONCE, CHUNK, Ready},
    subscriber::{Events, Next, Rendered, Source, subscription, wait},
};
use crate::{
    AppState,
    edge::{Budget, Place, Share},
    logic::{Caller, Cut, Failure, kept_after, use_group, visible},
    store::{EntriesAfter, GroupById, Removed, Sizes, Standing, Store, StoreError, Topic},
};

/// How many entries a subscriber can be behind before it has to read by itself.
const CHANNEL: usize = 256;

/// The longest entry that is passed on itself, in bytes.
const SHORT: usize = 16 << 10;

/// An entry, on its way to all subscribers.
pub(super) enum Fanned {
    /// The entry.
    Entry {
        rendered: Rendered,
        /// The accounts for which it is the last.
        removed: Vec<UserId>,
    },
    /// There are entries up to this position, to be read from the database.
    Look(u64),
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
    let mut heard = None;
    if known.standing == Standing::Listed {
        use_group(state, &group, &known).await;
        heard = state.hub.heard.take(&group);
    }
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
            answers: Arc::clone(&state.answers),
            // What was before, each subscriber reads by itself.
            cursor: known.head,
        };
        tokio::spawn(reader.run(sender));
    }
    let source = Log {
        store: Arc::clone(&state.store),
        group,
        user: caller.user.clone(),
        answers: Arc::clone(&state.answers),
        cursor: after,
        ready: Ready::default(),
        passed,
        way: Way::Database,
        _heard: heard,
    };
    subscription(state, &caller.device, source)
}

fn render(entry: &LogEntry, share: &Arc<Share>) -> Option<Rendered> {
    let json = serde_json::to_string(entry).ok()?.into();
    let (position, event) = (entry.position, entry.kind.name());
    Some(Rendered { position, event, json, _share: Some(Arc::clone(share)) })
}

/// Reads a log once, for all of its subscribers.
struct Reader {
    store: Arc<Store>,
    hub: Arc<Hub>,
    wakes: watch::Receiver<u64>,
    topic: Topic,
    group: GroupId,
    answers: Arc<Budget>,
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
            let (group, after) = (&self.group, self.cursor);
            let entries = EntriesAfter { group, after, through: u64::MAX, limit: AT_ONCE };
            let sizes = self.store.run(&Sizes(entries)).await?;
            let short = sizes.iter().take_while(|size| size.bytes <= SHORT).count();
            let cut = Cut::of(sizes.get(..short).unwrap_or_default(), CHUNK);
            let (Some(first), Some(last)) = (sizes.first(), sizes.last()) else { return Ok(()) };
            let share = cut.and_then(|cut| Some((cut, self.answers.take_now(cut.memory())?)));
            let Some((cut, share)) = share else {
                let through = if cut.is_some() { last.position } else { first.position };
                // Nobody there is no error: the next turn ends it.
                let _receivers = sender.send(Arc::new(Fanned::Look(through)));
                self.cursor = through;
                continue;
            };
            let (share, through) = (Arc::new(share), cut.through);
            let entries = EntriesAfter { through, ..entries };
            let entries = self.store.run(&entries).await?;
            let removed = self.store.run(&Removed { group, after, through }).await?;
            for rendered in entries.iter().filter_map(|entry| render(entry, &share)) {
                let here = removed.iter().filter(|(position, _)| *position == rendered.position);
                let removed = here.map(|(_, user)| user.clone()).collect();
                let _receivers = sender.send(Arc::new(Fanned::Entry { rendered, removed }));
            }
            self.cursor = through;
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
    answers: Arc<Budget>,
    cursor: u64,
    ready: Ready<LogEntry>,
    passed: broadcast::Receiver<Arc<Fanned>>,
    way: Way,
    /// A member listens: the group is used.
    _heard: Option<Place<GroupId>>,
}

impl Source for Log {
    async fn next(&mut self) -> Next {
        loop {
            if let Some((entry, share)) = self.ready.next() {
                self.cursor = entry.position;
                return render(&entry, &share).map_or(Next::End, Next::Item);
            }
            match self.way {
                Way::Database => match self.catch_up().await {
                    Ok(Caught::All) => self.way = Way::Channel,
                    Ok(Caught::Some) => {}
                    Ok(Caught::NoMore) | Err(_) => return Next::End,
                },
                Way::Channel => match self.passed.recv().await.as_deref() {
                    Ok(fanned) if fanned.position() <= self.cursor => {}
                    Ok(Fanned::Entry { rendered, removed })
                        if rendered.position == self.cursor.saturating_add(1) =>
                    {
                        return self.forward(rendered, removed);
                    }
                    Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => self.way = Way::Database,
                    // The client resumes.
                    Err(broadcast::error::RecvError::Closed) => return Next::End,
                },
            }
        }
    }
}

impl Fanned {
    fn position(&self) -> u64 {
        match self {
            Self::Entry { rendered, .. } => rendered.position,
            Self::Look(position) => *position,
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
    fn forward(&mut self, rendered: &Rendered, removed: &[UserId]) -> Next {
        self.cursor = rendered.position;
        match removed.contains(&self.user) {
            true => Next::Last(rendered.clone()),
            false => Next::Item(rendered.clone()),
        }
    }

    async fn catch_up(&mut self) -> Result<Caught, StoreError> {
        let group = GroupById { group: &self.group, user: &self.user };
        let Some(found) = self.store.run(&group).await? else { return Ok(Caught::NoMore) };
        let (group, after) = (&self.group, self.cursor.max(found.start));
        let entries = EntriesAfter { group, after, through: found.readable(), limit: AT_ONCE };
        let sizes = self.store.run(&Sizes(entries)).await?;
        let Some(cut) = Cut::of(&sizes, CHUNK) else {
            return Ok(match found.standing {
                Standing::Listed => Caught::All,
                _ => Caught::NoMore,
            });
        };
        let share = self.answers.take(cut.memory()).await;
        let entries = EntriesAfter { through: cut.through, ..entries };
        self.ready = Ready::new(self.store.run(&entries).await?, share);
        Ok(Caught::Some)
    }
}
