//! Memory that requests share.

use std::{
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

/// Permits are counted in this unit, so that they fit their type.
const UNIT: usize = 1 << 10;

/// How many bytes may be held at once.
pub(crate) struct Budget {
    room: RwLock<Room>,
    /// In units.
    held: Arc<AtomicU64>,
}

/// What can be held as long as an operator does not change it.
#[derive(Clone)]
struct Room {
    permits: Arc<Semaphore>,
    units: u32,
}

/// A part of a [`Budget`], given back when it is dropped.
pub(crate) struct Share {
    _permit: Option<OwnedSemaphorePermit>,
    units: u32,
    held: Arc<AtomicU64>,
}

impl Drop for Share {
    fn drop(&mut self) {
        self.held.fetch_sub(self.units.into(), Ordering::Relaxed);
    }
}

impl Room {
    fn new(bytes: usize) -> Self {
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX).max(1);
        let permits = usize::try_from(units).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        Self { permits: Arc::new(Semaphore::new(permits)), units }
    }

    /// What is more than there is of it at all takes all of it, and so comes alone.
    fn units(&self, bytes: usize) -> u32 {
        u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX).min(self.units)
    }
}

impl Budget {
    /// A budget of as many bytes.
    pub(crate) fn new(bytes: usize) -> Self {
        Self { room: RwLock::new(Room::new(bytes)), held: Arc::default() }
    }

    /// From now on as many bytes. What is held, or waited for, counts against what there was before.
    pub(crate) fn set(&self, bytes: usize) {
        let mut room = self.room.write().unwrap_or_else(PoisonError::into_inner);
        let new = Room::new(bytes);
        if new.units != room.units {
            *room = new;
        }
    }

    fn room(&self) -> Room {
        self.room.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn share(&self, permit: Option<OwnedSemaphorePermit>, units: u32) -> Share {
        self.held.fetch_add(units.into(), Ordering::Relaxed);
        Share { _permit: permit, units, held: Arc::clone(&self.held) }
    }

    /// Waits until as many bytes are free; those who wait take turns.
    pub(crate) async fn take(&self, bytes: usize) -> Share {
        let room = self.room();
        let units = room.units(bytes);
        let permit = room.permits.acquire_many_owned(units).await;
        self.share(permit.ok(), units)
    }

    /// The same for some time; `None` after it.
    pub(crate) async fn take_within(&self, bytes: usize, time: Duration) -> Option<Share> {
        timeout(time, self.take(bytes)).await.ok()
    }

    /// The same without waiting.
    pub(crate) fn take_now(&self, bytes: usize) -> Option<Share> {
        let room = self.room();
        let units = room.units(bytes);
        let permit = room.permits.try_acquire_many_owned(units).ok()?;
        Some(self.share(Some(permit), units))
    }

    /// How many bytes are held.
    pub(crate) fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed).saturating_mul(UNIT as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_taken_is_given_back() {
        let budget = Budget::new(10 * UNIT);
        let first = budget.take(6 * UNIT).await;
        assert_eq!(budget.held(), 6 * UNIT as u64);
        assert!(budget.take_now(5 * UNIT).is_none());
        let second = budget.take_now(4 * UNIT).unwrap();
        drop((first, second));
        // More than there is comes alone.
        let all = budget.take(usize::MAX).await;
        assert_eq!(budget.held(), 10 * UNIT as u64);
        assert!(budget.take_within(1, Duration::from_millis(1)).await.is_none());
        // A larger one has room at once; what is held still counts.
        budget.set(20 * UNIT);
        let more = budget.take_now(20 * UNIT).unwrap();
        assert_eq!(budget.held(), 30 * UNIT as u64);
        drop((all, more));
        budget.set(UNIT);
        let one = budget.take_now(20 * UNIT).unwrap();
        assert!(budget.take_now(1).is_none());
        drop(one);
        assert_eq!(budget.held(), 0);
    }
}
