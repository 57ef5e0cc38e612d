//! What a run has shown.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use crate::Failure;

/// How long honest clients waited for an answer.
#[derive(Clone, Default)]
pub(super) struct Waits(Arc<Mutex<[Vec<Duration>; 2]>>);

/// Whether the service was being disturbed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weather {
    Calm,
    Disturbed,
}

impl Waits {
    pub(super) fn add(&self, weather: Weather, time: Duration) {
        let mut waits = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let [calm, disturbed] = &mut *waits;
        match weather {
            Weather::Calm => calm.push(time),
            Weather::Disturbed => disturbed.push(time),
        }
    }

    fn sorted(&self) -> [Vec<Duration>; 2] {
        let mut waits = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        waits.iter_mut().for_each(|times| times.sort_unstable());
        waits
    }
}

/// What one honest client found when it looked back.
pub(super) struct Looked {
    pub(super) acknowledged: usize,
    pub(super) lost: usize,
    pub(super) refused_for_room: usize,
}

pub(super) struct Report {
    disturbances: [usize; 3],
    waits: [Vec<Duration>; 2],
    memory: u64,
    acknowledged: usize,
    lost: usize,
    refused_for_room: usize,
}

impl Report {
    pub(super) fn new(disturbances: [usize; 3], waits: &Waits, memory: u64) -> Self {
        let waits = waits.sorted();
        Self { disturbances, waits, memory, acknowledged: 0, lost: 0, refused_for_room: 0 }
    }

    pub(super) fn add(&mut self, looked: Looked) {
        self.acknowledged += looked.acknowledged;
        self.lost += looked.lost;
        self.refused_for_room += looked.refused_for_room;
    }

    /// Whether what was promised holds.
    pub(super) fn verdict(&self, memory: u64) -> Result<(), Failure> {
        match self {
            Self { acknowledged: 0, .. } => {
                Err("nothing was acknowledged: the run says nothing".into())
            }
            Self { lost, .. } if *lost > 0 => {
                Err(format!("{lost} acknowledged entries are lost or changed").into())
            }
            Self { memory: taken, .. } if *taken > memory => {
                Err(format!("the service took {} MiB of memory", taken >> 20).into())
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [kills, databases, disks] = self.disturbances;
        writeln!(f, "kills of the service:            {kills}")?;
        writeln!(f, "kills of the database:           {databases}")?;
        writeln!(f, "times the disk was full:         {disks}")?;
        writeln!(f, "acknowledged to honest clients:  {}", self.acknowledged)?;
        writeln!(f, "of these lost or changed:        {}", self.lost)?;
        writeln!(f, "refused since the disk was full: {}", self.refused_for_room)?;
        writeln!(f, "most memory of the service:      {} MiB", self.memory >> 20)?;
        let [calm, disturbed] = &self.waits;
        for (name, times) in [("left alone", calm), ("disturbed", disturbed)] {
            let [half, most, all] = [50, 99, 100].map(|percent| percentile(times, percent));
            writeln!(
                f,
                "honest requests, service {name}: {} in all, p50 {half:.1?}, p99 {most:.1?}, longest {all:.1?}",
                times.len()
            )?;
        }
        Ok(())
    }
}

fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let at = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(at).copied().unwrap_or_default()
}
