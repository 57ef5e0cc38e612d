//! What a command prints: for a person, or with `--json` for a script.

pub(crate) mod escape;

use std::{
    fmt,
    io::{self, Write as _},
};

use anstyle::{AnsiColor, Effects, Style};
use serde::Serialize;
use serde_json::json;

pub(crate) use self::escape::name as printable;
use crate::failure::{Exit, Failure};

/// What a command has to say: its fields are the JSON, its `Display` is what a person reads, without
/// a newline at the end.
///
/// Colours in it are removed where there is no terminal, or where `NO_COLOR` is set.
pub(crate) trait Printed: Serialize + fmt::Display {}

impl<T: Serialize + fmt::Display> Printed for T {}

/// How an error begins.
const ERROR: Style = AnsiColor::Red.on_default().effects(Effects::BOLD);

/// The form that is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Text.
    Text,
    /// One JSON object a line.
    Json,
}

/// Where a command prints.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    form: Form,
}

impl Output {
    /// Output of this form.
    pub fn new(form: Form) -> Self {
        Self { form }
    }

    /// What the command prints.
    pub(crate) fn form(self) -> Form {
        self.form
    }

    /// Prints a report, and hands it on at once. A command that goes on prints one for each event.
    pub(crate) fn show(self, report: &impl Printed) -> Result<(), Failure> {
        self.write(report).map_err(Failure::Output)
    }

    fn write(self, report: &impl Printed) -> io::Result<()> {
        let mut out = anstream::stdout().lock();
        match self.form {
            Form::Text => writeln!(out, "{report}")?,
            Form::Json => writeln!(out, "{}", serde_json::to_string(report)?)?,
        }
        out.flush()
    }

    /// Tells a person what happens while it does; nothing to a script.
    ///
    /// # Errors
    ///
    /// What the operating system says.
    pub fn tell(self, text: impl fmt::Display) -> io::Result<()> {
        if self.form == Form::Json {
            return Ok(());
        }
        let mut out = anstream::stdout().lock();
        writeln!(out, "{text}")?;
        out.flush()
    }

    /// Gives a script what a person was told by [`Output::tell`].
    ///
    /// # Errors
    ///
    /// What the operating system says.
    pub fn show_data(self, data: &impl Serialize) -> io::Result<()> {
        if self.form == Form::Text {
            return Ok(());
        }
        let mut out = anstream::stdout().lock();
        let written = serde_json::to_string(data).map_err(io::Error::from);
        let written = written.and_then(|line| writeln!(out, "{line}"));
        written.and_then(|()| out.flush())
    }

    /// Prints what is wrong with the command line, for a script.
    pub(crate) fn refuse(self, why: &str, exit: Exit) {
        let told = json!({ "error": why, "exit_code": exit as u8 });
        // There is nowhere left to report to if this fails.
        let _ = writeln!(anstream::stderr(), "{told}");
    }

    /// Prints why the command failed, to standard error.
    pub fn fail(self, why: impl fmt::Display, exit: Exit) {
        let told = match self.form {
            Form::Text => format!("{ERROR}pmls:{ERROR:#} {why}"),
            Form::Json => json!({ "error": why.to_string(), "exit_code": exit as u8 }).to_string(),
        };
        // There is nowhere left to report to if this fails.
        let _ = writeln!(anstream::stderr(), "{told}");
    }
}

/// The beginning of an identifier, which is enough to name it.
pub(crate) fn short(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}
