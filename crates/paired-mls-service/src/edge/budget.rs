//! Memory that requests share.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

/// Permits are counted in this unit, so that they fit their type.
const UNIT: usize = 1 << 10;

/// How many bytes may be held at once.
pub(crate) struct Budget {
    permits: Arc<Semaphore>,
    units: u32,
}

/// A part of a [`Budget`], given back when it is dropped.
pub(crate) struct Share {
    _permit: Option<OwnedSemaphorePermit>,
}

impl Budget {
    /// A budget of as many bytes.
    pub(crate) fn new(bytes: usize) -> Self {
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX).max(1);
        let permits = usize::try_from(units).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        Self { permits: Arc::new(Semaphore::new(permits)), units }
    }

    /// What is more than there is of it at all takes all of it, and so comes alone.
    fn units(&self, bytes: usize) -> u32 {
        u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX).min(self.units)
    }

    /// Waits until as many bytes are free; those who wait take turns.
    pub(crate) async fn take(&self, bytes: usize) -> Share {
        let permits = Arc::clone(&self.permits);
        let permit = permits.acquire_many_owned(self.units(bytes)).await;
        Share { _permit: permit.ok() }
    }

    /// The same for some time; `None` after it.
    pub(crate) async fn take_within(&self, bytes: usize, time: Duration) -> Option<Share> {
        timeout(time, self.take(bytes)).await.ok()
    }

    /// The same without waiting.
    pub(crate) fn take_now(&self, bytes: usize) -> Option<Share> {
        let permits = Arc::clone(&self.permits);
        let permit = permits.try_acquire_many_owned(self.units(bytes)).ok()?;
        Some(Share { _permit: Some(permit) })
    }

    /// How many bytes are held.
    pub(crate) fn held(&self) -> u64 {
        let free = u64::try_from(self.permits.available_permits()).unwrap_or(u64::MAX);
        u64::from(self.units).saturating_sub(free).saturating_mul(UNIT as u64)
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
        drop(all);
        assert_eq!(budget.held(), 0);
    }
}
