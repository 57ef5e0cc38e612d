//! A random play: all peers in one group with the devices of a pairing, and thieves who look on.
//!
//! After each step all epoch authenticators are equal, and what the security table claims of who can know the epoch,
//! which it computes from the tree alone, is compared with what a thief of each device can do. Every step has dice of
//! its own, made of the seed and the number of the step: so a play is repeated, and a step can be left out of it.

mod dice;
mod follower;
mod shrink;
mod table;
mod thieves;

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
};

use paired_mls::{CipherSuite, conformance::Framing};
use thiserror::Error;

use self::{dice::Dice, table::Table};
pub use self::{follower::follow, shrink::shrink};

/// What is played.
#[derive(Clone, Debug)]
pub struct Play {
    /// The cipher suite.
    pub suite: CipherSuite,
    /// The framing of handshake messages.
    pub framing: Framing,
    /// How many devices the pairing has: a power of two, so that they stand under a node of their own.
    pub devices: usize,
    /// What the dice are made of.
    pub seed: u64,
    /// Where the programs of the foreign peers are; without them only the peers in Rust play.
    pub tools: Option<PathBuf>,
}

/// Whether each step is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Telling {
    /// One line for each.
    Steps,
    /// Nothing.
    Nothing,
}

/// What a play has come across.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Commits, by the one who made them.
    pub commits: BTreeMap<String, usize>,
    /// Application messages that everybody else has read, by their sender.
    pub messages: BTreeMap<String, usize>,
    /// Members who came back.
    pub returns: BTreeMap<String, usize>,
    /// A thief with everything of a device was locked out by the commit that healed it.
    pub healed: usize,
    /// A thief with a second leak did not follow, and a device claimed that.
    pub kept_out: usize,
    /// A device did not know of the last healing of another, so that its claim is about another thief.
    pub unaware: usize,
    /// A commit had no path: a thief with a second leak has followed.
    pub without_path: usize,
    /// A device said that it was weakened, and a thief with a second leak did follow.
    pub weakened: usize,
    /// Pairs of a key and a ciphertext that thieves have tried.
    pub attempts: usize,
}

/// Something is not as it has to be.
#[derive(Debug, Error)]
#[error("step {step}: {why}")]
pub struct Failed {
    /// In this step.
    pub step: usize,
    /// What it is.
    pub why: String,
}

impl Play {
    /// Plays these steps, in this order.
    ///
    /// # Errors
    ///
    /// [`Failed`]: members are not together, a claim does not hold, or somebody has refused or panicked.
    pub fn run(&self, steps: &[usize], telling: Telling) -> Result<Tally, Failed> {
        let mut step = 0;
        let played = catch_unwind(AssertUnwindSafe(|| {
            let mut table = Table::set(self)?;
            for n in steps {
                step = *n;
                let told = table.step(&mut Dice::of(self.seed, *n))?;
                if telling == Telling::Steps {
                    println!("step {n}: {told}");
                }
            }
            Ok::<_, paired_mls::conformance::Refused>(table.tally)
        }));
        match played {
            Ok(Ok(tally)) => Ok(tally),
            Ok(Err(why)) => Err(Failed { step, why: chain(&*why) }),
            Err(panic) => {
                let said = panic.downcast_ref::<String>().cloned();
                let said = said.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
                Err(Failed { step, why: format!("a panic: {}", said.unwrap_or_default()) })
            }
        }
    }
}

/// An error with its causes.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
