//! How many requests a device may make.

use std::num::NonZeroU32;

use governor::{Quota, RateLimiter, clock::Clock as _, clock::DefaultClock, state::keyed};
use paired_mls_api::DeviceId;

use crate::Limits;

type Limiter = RateLimiter<DeviceId, keyed::DefaultKeyedStateStore<DeviceId>, DefaultClock>;

/// A limit for each device, on this replica.
pub(crate) struct Rate(Limiter);

impl Rate {
    pub(crate) fn new(limits: &Limits) -> Self {
        let at_least_one = |number| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::per_second(at_least_one(limits.requests_per_second))
            .allow_burst(at_least_one(limits.request_burst));
        Self(RateLimiter::keyed(quota))
    }

    /// Counts a request.
    ///
    /// # Errors
    ///
    /// After how many seconds there is room for the next.
    pub(crate) fn check(&self, device: &DeviceId) -> Result<(), u64> {
        let clock = DefaultClock::default();
        self.0
            .check_key(device)
            .map_err(|early| early.wait_time_from(clock.now()).as_secs().saturating_add(1))
    }

    /// Forgets devices that have not asked for a while.
    pub(crate) fn sweep(&self) {
        self.0.retain_recent();
    }
}
