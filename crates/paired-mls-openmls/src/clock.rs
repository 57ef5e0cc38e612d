//! The clock of the system.

use std::time::{SystemTime, UNIX_EPOCH};

use paired_mls_group::Clock;

/// The clock of the system. One from before 1970 is taken to be of that day.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
    }
}
