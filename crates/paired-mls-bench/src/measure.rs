//! Two ways to do the same, taken in turn: so that whatever else the machine does meets both.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use crate::{Failure, writes::mark};

/// What one piece of work took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timed {
    wall: Duration,
    /// Of all threads of this process.
    cpu: Duration,
}

impl Timed {
    pub(crate) fn cpu_us(self) -> f64 {
        1e6 * self.cpu.as_secs_f64()
    }
}

/// Who does it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// Stock OpenMLS.
    Ordinary,
    /// Paired MLS.
    Paired,
}

/// Whether each piece of work stands between marks, for a trace of system calls.
static MARKED: AtomicBool = AtomicBool::new(false);

/// Puts marks around each piece of work in `all`.
pub(crate) fn marked<T>(all: impl FnOnce() -> T) -> T {
    MARKED.store(true, Ordering::Relaxed);
    let done = all();
    MARKED.store(false, Ordering::Relaxed);
    done
}

/// Does `work`, and says what it took. What it returns is dropped afterwards.
pub(crate) fn time<T>(
    side: Side,
    operation: &'static str,
    work: impl FnOnce() -> Result<T, Failure>,
) -> Result<((&'static str, Timed), T), Failure> {
    let marked = MARKED.load(Ordering::Relaxed);
    if marked {
        mark(&format!("{} {operation}", side.name()))?;
    }
    let (wall, cpu) = (Instant::now(), cpu_time()?);
    let done = work()?;
    let timed = Timed { cpu: cpu_time()?.saturating_sub(cpu), wall: wall.elapsed() };
    if marked {
        mark("")?;
    }
    Ok(((operation, timed), done))
}

impl Side {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ordinary => "ordinary",
            Self::Paired => "paired",
        }
    }
}

fn cpu_time() -> Result<Duration, Failure> {
    Ok(Duration::try_from(clock_gettime(ClockId::ProcessCPUTime))?)
}

/// What the operations of one side took, each by its name, in the order of the other side's.
pub(crate) type Taken = Vec<(&'static str, Timed)>;

/// Both sides of one operation over all rounds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Comparison {
    pub(crate) operation: String,
    pub(crate) rounds: usize,
    /// Median of paired / ordinary of each round, in CPU time, and its quartiles.
    pub(crate) ratio: f64,
    pub(crate) q1: f64,
    pub(crate) q3: f64,
    /// The same median in wall time.
    pub(crate) wall_ratio: f64,
    /// Medians of CPU time in microseconds.
    pub(crate) ordinary_us: f64,
    pub(crate) paired_us: f64,
}

/// Runs both sides `rounds` times, each round beginning with the other one. One round before them is
/// not counted.
pub(crate) fn interleave(
    rounds: usize,
    mut ordinary: impl FnMut() -> Result<Taken, Failure>,
    mut paired: impl FnMut() -> Result<Taken, Failure>,
) -> Result<Vec<Comparison>, Failure> {
    ordinary()?;
    paired()?;
    let mut taken = Vec::new();
    for round in 0..rounds {
        taken.push(if round % 2 == 0 {
            let first = ordinary()?;
            (first, paired()?)
        } else {
            let first = paired()?;
            (ordinary()?, first)
        });
    }
    let names: Vec<_> =
        taken.first().map_or_else(Vec::new, |(one, _)| one.iter().map(|(name, _)| *name).collect());
    names.into_iter().map(|name| compare(name, &taken)).collect()
}

fn compare(name: &str, taken: &[(Taken, Taken)]) -> Result<Comparison, Failure> {
    let of = |side: &Taken| side.iter().find(|(of, _)| *of == name).map(|(_, timed)| *timed);
    let both = |(ordinary, paired): &(Taken, Taken)| Some((of(ordinary)?, of(paired)?));
    let pairs: Option<Vec<_>> = taken.iter().map(both).collect();
    let pairs = pairs.ok_or_else(|| format!("{name} was measured on one side only"))?;

    let each = |figure: fn(&(Timed, Timed)) -> f64| {
        let mut figures: Vec<_> = pairs.iter().map(figure).collect();
        figures.sort_by(f64::total_cmp);
        figures
    };
    let ratios = each(|(ordinary, paired)| paired.cpu.as_secs_f64() / ordinary.cpu.as_secs_f64());
    let wall = each(|(ordinary, paired)| paired.wall.as_secs_f64() / ordinary.wall.as_secs_f64());
    Ok(Comparison {
        operation: name.to_owned(),
        rounds: pairs.len(),
        ratio: quantile(&ratios, 0.5),
        q1: quantile(&ratios, 0.25),
        q3: quantile(&ratios, 0.75),
        wall_ratio: quantile(&wall, 0.5),
        ordinary_us: quantile(&each(|(ordinary, _)| ordinary.cpu_us()), 0.5),
        paired_us: quantile(&each(|(_, paired)| paired.cpu_us()), 0.5),
    })
}

/// A quantile of sorted figures, between two of them by proportion.
pub(crate) fn quantile(sorted: &[f64], part: f64) -> f64 {
    let place = part * sorted.len().saturating_sub(1) as f64;
    let at = |index: f64| sorted.get(index as usize).copied().unwrap_or(f64::NAN);
    let (below, above) = (at(place.floor()), at(place.ceil()));
    below + (above - below) * place.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timed(us: u64) -> Timed {
        let cpu = Duration::from_micros(us);
        Timed { wall: 2 * cpu, cpu }
    }

    #[test]
    fn quantiles_lie_between_figures() {
        assert_eq!(quantile(&[1.0, 2.0, 3.0, 4.0, 5.0], 0.25), 2.0);
        assert_eq!(quantile(&[1.0, 2.0], 0.5), 1.5);
        assert_eq!(quantile(&[7.0], 0.75), 7.0);
        assert!(quantile(&[], 0.5).is_nan());
    }

    #[test]
    fn the_ratio_is_that_of_rounds_and_not_of_medians() {
        // A machine that becomes ten times slower meets both sides.
        let round = |ordinary, paired| (vec![("x", timed(ordinary))], vec![("x", timed(paired))]);
        let taken = [round(100, 50), round(1000, 500), round(1000, 2000)];
        let compared = compare("x", &taken).expect("both sides were measured");
        assert_eq!((compared.ratio, compared.rounds), (0.5, 3));
        assert_eq!((compared.ordinary_us, compared.paired_us), (1000.0, 500.0));
    }

    #[test]
    fn an_operation_of_one_side_only_is_an_error() {
        let taken = [(vec![("x", timed(1))], vec![("y", timed(1))])];
        assert!(compare("x", &taken).is_err());
    }

    #[test]
    fn each_round_begins_with_the_other_side() {
        let order = std::cell::RefCell::new(String::new());
        let side = |name| {
            let order = &order;
            move || {
                order.borrow_mut().push(name);
                Ok(vec![("x", timed(1))])
            }
        };
        interleave(3, side('o'), side('p')).expect("both sides are measured");
        assert_eq!(order.into_inner(), "opoppoop");
    }
}
