//! What a command prints: for a person, or with `--json` for a script.

pub(crate) mod escape;

use std::{
    cell::RefCell,
    fmt,
    io::{self, Write as _},
};

use anstyle::{AnsiColor, Effects, Style};
use serde::{Deserialize, Serialize};
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

/// The streams of this process.
pub type Output = Printer<'static>;

/// Where a command prints, and in which form.
#[derive(Clone, Copy, Debug)]
pub struct Printer<'a> {
    form: Form,
    to: To<'a>,
}

#[derive(Clone, Copy, Debug)]
enum To<'a> {
    /// The streams of this process.
    Process,
    /// Another process, which has asked this one to do a command.
    Caller(&'a Told),
}

/// What a command has said that is done for another process.
#[derive(Debug)]
pub(crate) struct Told {
    lines: RefCell<Vec<Line>>,
    /// Where this process itself prints.
    beside: Output,
}

/// A piece of output, with its newline, and the stream that it is for.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Line {
    /// Standard output.
    Out(String),
    /// Standard error.
    Err(String),
}

impl Told {
    pub(crate) fn new(beside: Output) -> Self {
        Self { lines: RefCell::default(), beside }
    }

    /// What was said, in order.
    pub(crate) fn into_lines(self) -> Vec<Line> {
        self.lines.into_inner()
    }
}

impl Line {
    /// Prints it where it belongs.
    pub(crate) fn print(&self) -> io::Result<()> {
        match self {
            Self::Out(text) => {
                let mut out = anstream::stdout().lock();
                out.write_all(text.as_bytes()).and_then(|()| out.flush())
            }
            Self::Err(text) => anstream::stderr().write_all(text.as_bytes()),
        }
    }
}

impl Output {
    /// Output of this form, to the streams of this process.
    pub fn new(form: Form) -> Self {
        Self { form, to: To::Process }
    }
}

impl<'a> Printer<'a> {
    /// Output for another process.
    pub(crate) fn told(form: Form, told: &'a Told) -> Self {
        Self { form, to: To::Caller(told) }
    }

    /// What the command prints.
    pub(crate) fn form(self) -> Form {
        self.form
    }

    /// Prints a report, and hands it on at once. A command that goes on prints one for each event.
    pub(crate) fn show(self, report: &impl Printed) -> Result<(), Failure> {
        self.write(report).map_err(Failure::Output)
    }

    /// Prints events where the process that does this command for another tells what it lives through;
    /// nothing where it does it for itself. If that fails, it is no failure of the command.
    pub(crate) fn show_beside(self, events: &[impl Printed]) {
        if let To::Caller(told) = self.to {
            let _ = events.iter().try_for_each(|event| told.beside.show(event));
        }
    }

    fn write(self, report: &impl Printed) -> io::Result<()> {
        self.say(match self.form {
            Form::Text => format!("{report}\n"),
            Form::Json => serde_json::to_string(report)? + "\n",
        })
    }

    fn say(self, text: String) -> io::Result<()> {
        self.put(Line::Out(text))
    }

    fn put(self, line: Line) -> io::Result<()> {
        match self.to {
            To::Process => line.print(),
            To::Caller(told) => {
                told.lines.borrow_mut().push(line);
                Ok(())
            }
        }
    }

    /// Tells a person what happens while it does; nothing to a script.
    ///
    /// # Errors
    ///
    /// What the operating system says.
    pub fn tell(self, text: impl fmt::Display) -> io::Result<()> {
        match self.form {
            Form::Json => Ok(()),
            Form::Text => self.say(format!("{text}\n")),
        }
    }

    /// Gives a script what a person was told by [`Printer::tell`].
    ///
    /// # Errors
    ///
    /// What the operating system says.
    pub fn show_data(self, data: &impl Serialize) -> io::Result<()> {
        match self.form {
            Form::Text => Ok(()),
            Form::Json => self.say(serde_json::to_string(data)? + "\n"),
        }
    }

    /// Prints what is wrong with the command line, for a script.
    pub(crate) fn refuse(self, why: &str, exit: Exit) {
        let told = json!({ "error": why, "exit_code": exit as u8 }).to_string();
        // There is nowhere left to report to if this fails.
        let _ = self.put(Line::Err(told + "\n"));
    }

    /// Prints why the command failed, to standard error.
    pub fn fail(self, why: impl fmt::Display, exit: Exit) {
        let told = match self.form {
            Form::Text => format!("{ERROR}pmls:{ERROR:#} {why}"),
            Form::Json => json!({ "error": why.to_string(), "exit_code": exit as u8 }).to_string(),
        };
        // There is nowhere left to report to if this fails.
        let _ = self.put(Line::Err(told + "\n"));
    }
}

/// The beginning of an identifier, which is enough to name it.
pub(crate) fn short(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}
