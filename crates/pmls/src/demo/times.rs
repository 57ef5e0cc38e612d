//! Lengths and times of paired and ordinary commits, side by side.
//!
//! These are a demo's figures, taken in a group of five; `./bench.sh` measures for real.

use std::time::{Duration, Instant};

use paired_mls::conformance::{Adapter as _, Content, Listener, Member, Refused};
use paired_mls_peers::{OpenMlsAdapter, OpenMlsDevice};
use serde::Serialize;

use super::cast::{Cast, SUITE};

const RUNS: usize = 31;

/// One quantity, for an ordinary and for a paired commit.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Pair {
    pub(crate) ordinary: f64,
    pub(crate) paired: f64,
}

impl Pair {
    pub(crate) fn ratio(self) -> f64 {
        self.paired / self.ordinary
    }
}

/// The comparison.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Comparison {
    /// Lengths of the commits, in bytes.
    pub(crate) bytes: Pair,
    /// Median of making a commit, in milliseconds.
    pub(crate) commit_ms: Pair,
    /// Median of processing it on the sensor, in milliseconds.
    pub(crate) process_ms: Pair,
}

/// Measures in two groups that are alike but for the pairing, in turns.
pub(crate) fn compare(ordinary: &mut Cast, paired: &mut Cast) -> Result<Comparison, Refused> {
    let mut commits = [Vec::new(), Vec::new()];
    let mut processing = [Vec::new(), Vec::new()];
    let mut lengths = [0, 0];
    for _ in 0..RUNS {
        for (side, cast) in [&mut *ordinary, &mut *paired].into_iter().enumerate() {
            let started = Instant::now();
            let sent = cast.phone.commit(&Content::default())?;
            let made = started.elapsed();

            let mut sensor: OpenMlsDevice =
                OpenMlsAdapter::new(&[SUITE]).steal_with_vault(&cast.sensor);
            let started = Instant::now();
            sensor.process(&sent.commit)?;
            let processed = started.elapsed();
            cast.phone.discard()?;

            if let (Some(c), Some(p), Some(length)) =
                (commits.get_mut(side), processing.get_mut(side), lengths.get_mut(side))
            {
                c.push(made);
                p.push(processed);
                *length = sent.commit.len();
            }
        }
    }
    let [ordinary, paired] = lengths;
    Ok(Comparison {
        bytes: Pair { ordinary: ordinary as f64, paired: paired as f64 },
        commit_ms: medians(commits),
        process_ms: medians(processing),
    })
}

fn medians([ordinary, paired]: [Vec<Duration>; 2]) -> Pair {
    let median = |mut durations: Vec<Duration>| {
        durations.sort_unstable();
        durations.get(durations.len() / 2).map_or(0.0, |d| d.as_secs_f64() * 1e3)
    };
    Pair { ordinary: median(ordinary), paired: median(paired) }
}
