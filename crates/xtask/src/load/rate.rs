//! How often something was done, and how long it took.

use std::{fmt, time::Duration};

/// What was measured of many that did the same at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate {
    /// In a second.
    pub(super) rate: f64,
    half: Duration,
    most: Duration,
}

impl Rate {
    /// Of the times that each took, within this time.
    pub(super) fn of(mut times: Vec<Duration>, within: Duration) -> Self {
        times.sort();
        let at = |share: usize| times.get(times.len() * share / 100).copied().unwrap_or_default();
        Self { rate: times.len() as f64 / within.as_secs_f64(), half: at(50), most: at(99) }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rate, half, most } = self;
        let times = most.as_secs_f64() / half.as_secs_f64();
        write!(f, "{rate:8.0} /s, p50 {half:>8.1?}, p99 {most:>8.1?} ({times:.1} times p50)")
    }
}
