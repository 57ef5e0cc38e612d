//! Messages, as they are shown.

use std::fmt;

use serde::Serialize;

use super::args::ReadArgs;
use crate::{
    engine::{Engine, Said, Which},
    failure::Failure,
};

/// Messages.
#[derive(Debug, Serialize)]
pub(super) struct Messages {
    group: String,
    messages: Vec<Said>,
    /// How many more there were, that were dropped unread.
    #[serde(skip_serializing_if = "is_zero")]
    missed: u64,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

pub(super) fn read(engine: &Engine, args: &ReadArgs) -> Result<Messages, Failure> {
    let row = engine.find(&args.group)?;
    let which = if args.all { Which::All } else { Which::Unread };
    let letters = engine.store().letters(&row.id, which)?;
    if let Some((last, _)) = letters.last() {
        engine.store().letters_read(&row.id, *last)?;
    }
    let missed = engine.store().missed(&row.id)?;
    engine.store().forget_missed(&row.id)?;
    Ok(Messages {
        missed,
        group: row.name,
        messages: letters.into_iter().map(|(_, one)| one.into()).collect(),
    })
}

impl fmt::Display for Messages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.missed > 0 {
            writeln!(f, "{} more were dropped unread, since there were too many", self.missed)?;
        }
        if self.messages.is_empty() {
            return f.write_str("no new messages");
        }
        for (n, said) in self.messages.iter().enumerate() {
            if n > 0 {
                writeln!(f)?;
            }
            f.write_str(&said.shown)?;
        }
        Ok(())
    }
}
