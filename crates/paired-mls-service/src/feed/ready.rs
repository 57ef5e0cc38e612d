//! What was read for a subscriber, and waits for it.

use std::{collections::VecDeque, sync::Arc};

use crate::edge::Share;

/// How many bytes are read at once for one subscriber. What is longer comes alone.
pub(super) const CHUNK: usize = 64 << 10;

/// How many entries or items are read at once.
pub(super) const AT_ONCE: u32 = 256;

/// Entries or items, and the memory that was set aside for them: it is given back when the last one has
/// been passed on.
pub(super) struct Ready<T> {
    queue: VecDeque<T>,
    share: Option<Arc<Share>>,
}

impl<T> Default for Ready<T> {
    fn default() -> Self {
        Self { queue: VecDeque::new(), share: None }
    }
}

impl<T> Ready<T> {
    pub(super) fn new(queue: Vec<T>, share: Share) -> Self {
        Self { queue: queue.into(), share: Some(Arc::new(share)) }
    }

    /// The next one.
    pub(super) fn next(&mut self) -> Option<(T, Arc<Share>)> {
        let share = self.share.clone()?;
        let next = self.queue.pop_front();
        if self.queue.is_empty() {
            self.share = None;
        }
        Some((next?, share))
    }
}
