//! How often something was done, and how long it took.

use std::{fmt, time::Duration};

/// What was measured of many that did the same at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate {
    /// How often it was done.
    done: usize,
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
        let rate = times.len() as f64 / within.as_secs_f64();
        Self { done: times.len(), rate, half: at(50), most: at(99) }
    }

    pub(super) fn done(&self) -> usize {
        self.done
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rate, half, most, .. } = self;
        let times = most.as_secs_f64() / half.as_secs_f64();
        write!(f, "{rate:8.0} /s, p50 {half:>8.1?}, p99 {most:>8.1?} ({times:.1} times p50)")
    }
}

/// The same, with the time of a processor that the service has spent on it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Served {
    pub(super) rate: Rate,
    pub(super) time: Duration,
}

impl Served {
    /// For one of them, in microseconds.
    pub(super) fn each(&self) -> f64 {
        self.time.as_secs_f64() * 1e6 / self.rate.done.max(1) as f64
    }
}

impl fmt::Display for Served {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {:.0} us of processor in the service", self.rate, self.each())
    }
}
