//! Messages, as they are shown.

use std::fmt;

use serde::Serialize;

use super::args::ReadArgs;
use crate::{
    engine::{Engine, Which},
    failure::Failure,
    output::printable,
};

/// Messages.
#[derive(Debug, Serialize)]
pub(super) struct Messages {
    messages: Vec<Said>,
}

#[derive(Debug, Serialize)]
pub(super) struct Said {
    from: String,
    epoch: u64,
    text: String,
}

pub(super) fn read(engine: &Engine, args: &ReadArgs) -> Result<Messages, Failure> {
    let row = engine.find(&args.group)?;
    let which = if args.all { Which::All } else { Which::Unread };
    let letters = engine.store().letters(&row.id, which)?;
    if let Some((last, _)) = letters.last() {
        engine.store().letters_read(&row.id, *last)?;
    }
    let said = letters.into_iter().map(|(_, letter)| Said {
        from: letter.sender,
        epoch: letter.epoch,
        text: printable(&letter.message),
    });
    Ok(Messages { messages: said.collect() })
}

impl fmt::Display for Messages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.messages.is_empty() {
            return f.write_str("no new messages");
        }
        for (n, said) in self.messages.iter().enumerate() {
            if n > 0 {
                writeln!(f)?;
            }
            write!(f, "{}: {}", said.from, said.text)?;
        }
        Ok(())
    }
}
