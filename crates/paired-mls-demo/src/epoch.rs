//! Acts and epochs: what the story is told in.

use serde::Serialize;

use super::{
    picture::Picture,
    role::{Role, THIEF},
};

/// An act of the story.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Act {
    pub(crate) title: &'static str,
    pub(crate) intro: &'static str,
    pub(crate) epochs: Vec<Epoch>,
    /// What happens beside the story, at the end of the act.
    pub(crate) aside: Option<&'static str>,
}

/// One epoch of an act.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Epoch {
    pub(crate) number: u64,
    /// What happened.
    pub(crate) what: String,
    /// The commands of `pmls` that have done it.
    pub(crate) commands: Vec<String>,
    /// The length of the commit, in bytes; `None` where there was none.
    pub(crate) commit_bytes: Option<usize>,
    /// Whether the commit was a paired one.
    pub(crate) paired: bool,
    /// `exposed`, `secure` or `weakened`, for the sensor; `None` without a pairing.
    pub(crate) security: Option<String>,
    /// Who reads this epoch: a message was sent, and everybody has tried.
    pub(crate) readers: Vec<(&'static str, bool)>,
    /// Whether all members have the same epoch authenticator.
    pub(crate) together: bool,
    pub(crate) tree: Picture,
}

impl Epoch {
    /// Whether the thief reads it.
    pub(crate) fn thief_reads(&self) -> bool {
        self.is_read_by(THIEF)
    }

    /// Whether a member reads it.
    pub(crate) fn reads(&self, role: Role) -> bool {
        self.is_read_by(role.name())
    }

    /// What the sensor does in it.
    pub(crate) fn of_the_sensor(&self) -> String {
        let does = if self.reads(Role::Sensor) { "reads" } else { "is lost" };
        format!("epoch {}: the sensor {does}", self.number)
    }

    /// What the thief does in it.
    pub(crate) fn of_the_thief(&self) -> String {
        let does = if self.thief_reads() { "reads" } else { "is out" };
        format!("epoch {}: the thief {does}", self.number)
    }

    fn is_read_by(&self, name: &str) -> bool {
        self.readers.iter().any(|(who, reads)| *who == name && *reads)
    }
}

/// How many of these epochs the thief has read.
pub(crate) fn count_read(epochs: &[Epoch]) -> usize {
    epochs.iter().filter(|epoch| epoch.thief_reads()).count()
}
