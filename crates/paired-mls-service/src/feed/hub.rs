//! Who waits for what.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use paired_mls_api::GroupId;
use tokio::sync::{broadcast, watch};

use super::group::Fanned;
use crate::{edge::Counted, store::Topic};

/// The waiting subscribers of a replica.
pub(crate) struct Hub {
    /// The groups of which a member hears.
    pub(crate) heard: Counted<GroupId>,
    /// How often each topic was woken. A receiver sees that it was, not how often: nothing piles up.
    wakes: Mutex<HashMap<Topic, watch::Sender<u64>>>,
    /// The tasks that read logs.
    groups: Mutex<HashMap<Topic, broadcast::Sender<Arc<Fanned>>>>,
}

impl Default for Hub {
    fn default() -> Self {
        let (wakes, groups) = Default::default();
        Self { heard: Counted::new(usize::MAX), wakes, groups }
    }
}

impl Hub {
    /// Something new in a topic.
    pub(crate) fn wake(&self, topic: &Topic) {
        if let Some(sender) = lock(&self.wakes).get(topic) {
            sender.send_modify(|count| *count = count.wrapping_add(1));
        }
    }

    /// Maybe something new in every topic.
    pub(crate) fn wake_all(&self) {
        for sender in lock(&self.wakes).values() {
            sender.send_modify(|count| *count = count.wrapping_add(1));
        }
    }

    /// Waits for a topic from now on.
    pub(crate) fn watch(&self, topic: &Topic) -> watch::Receiver<u64> {
        let mut wakes = lock(&self.wakes);
        wakes.entry(topic.clone()).or_insert_with(|| watch::channel(0).0).subscribe()
    }

    /// Forgets topics that nobody waits for.
    pub(crate) fn sweep(&self) {
        lock(&self.wakes).retain(|_, sender| sender.receiver_count() > 0);
    }

    /// Joins those who are passed the entries of a log. Returns also the other end, if nobody reads the
    /// log yet: then the caller has to see to it.
    pub(super) fn join(
        &self,
        topic: &Topic,
        capacity: usize,
    ) -> (broadcast::Receiver<Arc<Fanned>>, Option<broadcast::Sender<Arc<Fanned>>>) {
        let mut groups = lock(&self.groups);
        if let Some(sender) = groups.get(topic) {
            return (sender.subscribe(), None);
        }
        let (sender, receiver) = broadcast::channel(capacity);
        groups.insert(topic.clone(), sender.clone());
        (receiver, Some(sender))
    }

    /// Ends a reader that nobody needs any more. It goes on if someone has joined in the meantime.
    pub(super) fn leave(&self, topic: &Topic, sender: &broadcast::Sender<Arc<Fanned>>) -> Left {
        let mut groups = lock(&self.groups);
        if sender.receiver_count() > 0 {
            return Left::Needed;
        }
        groups.remove(topic);
        Left::Gone
    }

    /// Ends a reader that cannot go on; those who are passed its entries read by themselves.
    pub(super) fn give_up(&self, topic: &Topic) {
        lock(&self.groups).remove(topic);
    }
}

/// Whether a reader is still needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    Needed,
    Gone,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
