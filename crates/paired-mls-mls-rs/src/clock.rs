//! What time it is.

use std::time::{SystemTime, UNIX_EPOCH};

/// Tells the time: for lifetimes of KeyPackages and leaves. mls-rs is told, and reads no clock of its own.
pub trait Clock: Send + Sync {
    /// The time, in seconds since 1970-01-01T00:00:00Z.
    fn now(&self) -> u64;
}

/// The clock of the system. One from before 1970 is taken to be of that day.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
    }
}

impl<F: Fn() -> u64 + Send + Sync> Clock for F {
    fn now(&self) -> u64 {
        self()
    }
}
