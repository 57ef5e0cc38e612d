//! Random choices that a seed repeats.

use std::{env, fmt::Display, str::FromStr};

use super::Framing;

/// The variable that names the one run to be repeated.
const REPEATED: &str = "PAIRED_MLS_RUN";

/// A random run: what its dice are made of, how many devices there are, and the framing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RandomRun {
    pub(super) seed: u64,
    pub(super) devices: usize,
    pub(super) framing: Framing,
}

impl RandomRun {
    /// Does these runs, or the one that `PAIRED_MLS_RUN` names, and prints how each is repeated: a test that
    /// fails shows it. Returns whether it was all of them.
    pub(super) fn each(
        runs: &[(u64, usize, Framing)],
        test: &str,
        mut run: impl FnMut(Self),
    ) -> bool {
        let named = env::var(REPEATED).ok();
        let one = named.as_deref().map(|named| Self::parse(named).expect("seed,devices,framing"));
        let all = runs.iter().map(|&(seed, devices, framing)| Self { seed, devices, framing });
        for this in one.into_iter().chain(all.filter(|_| one.is_none())) {
            println!(
                "to repeat it: {REPEATED}={this} cargo test -p paired-mls-peers {test} -- --nocapture"
            );
            run(this);
        }
        one.is_none()
    }

    fn parse(named: &str) -> Option<Self> {
        let mut parts = named.split(',');
        let run = Self {
            seed: number(parts.next())?,
            devices: number(parts.next())?,
            framing: match parts.next()? {
                "public" => Framing::Public,
                "private" => Framing::Private,
                _ => return None,
            },
        };
        parts.next().is_none().then_some(run)
    }
}

fn number<T: FromStr>(part: Option<&str>) -> Option<T> {
    part?.parse().ok()
}

impl Display for RandomRun {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let framing = match self.framing {
            Framing::Public => "public",
            Framing::Private => "private",
        };
        write!(f, "{},{},{framing}", self.seed, self.devices)
    }
}

/// A die: SplitMix64, which is good enough to choose who acts.
pub(super) struct Dice(u64);

impl Dice {
    /// The die of this seed.
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `bound`, which is not 0.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % bound as u64) as usize
    }
}
