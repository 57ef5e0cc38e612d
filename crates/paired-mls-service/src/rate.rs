//! How many requests a device may make.

use std::{
    num::NonZeroU32,
    sync::{PoisonError, RwLock, RwLockReadGuard},
};

use governor::{Quota, RateLimiter, clock::Clock as _, clock::DefaultClock, state::keyed};
use paired_mls_api::DeviceId;

use crate::Limits;

type Limiter = RateLimiter<DeviceId, keyed::DefaultKeyedStateStore<DeviceId>, DefaultClock>;

/// A limit for each device, on this replica.
pub(crate) struct Rate(RwLock<(Quota, Limiter)>);

impl Rate {
    pub(crate) fn new(limits: &Limits) -> Self {
        let quota = quota(limits);
        Self(RwLock::new((quota, RateLimiter::keyed(quota))))
    }

    /// From now on, this limit; if it is another one, each device begins anew.
    pub(crate) fn set(&self, limits: &Limits) {
        let new = quota(limits);
        let mut now = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if now.0 != new {
            *now = (new, RateLimiter::keyed(new));
        }
    }

    fn now(&self) -> RwLockReadGuard<'_, (Quota, Limiter)> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a request.
    ///
    /// # Errors
    ///
    /// After how many seconds there is room for the next.
    pub(crate) fn check(&self, device: &DeviceId) -> Result<(), u64> {
        let clock = DefaultClock::default();
        let early = self.now().1.check_key(device);
        early.map_err(|early| early.wait_time_from(clock.now()).as_secs().saturating_add(1))
    }

    /// Forgets devices that have not asked for a while.
    pub(crate) fn sweep(&self) {
        self.now().1.retain_recent();
    }
}

fn quota(limits: &Limits) -> Quota {
    let at_least_one = |number| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
    Quota::per_second(at_least_one(limits.requests_per_second))
        .allow_burst(at_least_one(limits.request_burst))
}
