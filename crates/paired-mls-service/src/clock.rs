//! What time it is.

use std::time::{SystemTime, UNIX_EPOCH};

/// A day, in seconds.
pub(crate) const DAY: u64 = 24 * 60 * 60;

/// A clock. Tests have one that they set.
pub trait Clock: Send + Sync + 'static {
    /// Seconds since 1970-01-01T00:00:00Z.
    fn now(&self) -> u64;
}

/// The clock of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
    }
}
