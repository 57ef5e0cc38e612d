//! Lengths and times of ordinary and paired commits, side by side.
//!
//! The times are those that a person at the terminal waits: the whole command, with its process, its
//! disk and its requests. `./bench.sh` measures the cryptography alone.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::{DemoError, cast::Cast};

/// How many commits are timed.
pub(crate) const RUNS: usize = 7;

/// One quantity, for an ordinary and for a paired commit.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Pair {
    pub(crate) ordinary: f64,
    pub(crate) paired: f64,
}

/// The comparison.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Comparison {
    /// Lengths of the commits, in bytes.
    pub(crate) bytes: Pair,
    /// Median of `pmls update` on the phone, in milliseconds.
    pub(crate) commit_ms: Pair,
    /// Median of `pmls sync` on the sensor, in milliseconds.
    pub(crate) process_ms: Pair,
}

/// What was measured of one kind of commit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    bytes: usize,
    commit_ms: f64,
    process_ms: f64,
}

impl Comparison {
    pub(crate) fn of(ordinary: Measured, paired: Measured) -> Self {
        let pair = |quantity: fn(Measured) -> f64| Pair {
            ordinary: quantity(ordinary),
            paired: quantity(paired),
        };
        Self {
            bytes: pair(|measured| measured.bytes as f64),
            commit_ms: pair(|measured| measured.commit_ms),
            process_ms: pair(|measured| measured.process_ms),
        }
    }

    /// What was measured, with its unit.
    pub(crate) fn lines(&self) -> [(&'static str, Pair, &'static str); 3] {
        [
            ("Length of the commit", self.bytes, "bytes"),
            ("Making it: pmls update, on the phone", self.commit_ms, "ms"),
            ("Following it: pmls sync, on the sensor", self.process_ms, "ms"),
        ]
    }
}

/// The phone commits, and the sensor follows.
pub(crate) async fn measure(cast: &Cast<'_>) -> Result<Measured, DemoError> {
    let (mut commits, mut processing) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let started = Instant::now();
        cast.phone.news(&["update", cast.group]).await?;
        commits.push(started.elapsed());
        let started = Instant::now();
        cast.sensor.sync().await?;
        processing.push(started.elapsed());
    }
    let bytes = cast.service.last_commit(&cast.group_id)?.message.len();
    Ok(Measured { bytes, commit_ms: median(commits), process_ms: median(processing) })
}

fn median(mut durations: Vec<Duration>) -> f64 {
    durations.sort_unstable();
    durations.get(durations.len() / 2).map_or(0.0, |d| d.as_secs_f64() * 1e3)
}
