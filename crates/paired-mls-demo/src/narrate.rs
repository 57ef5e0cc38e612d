//! The story on the terminal, while it happens.

use std::fmt;

use anstyle::{AnsiColor, Style};
use pmls::Output;

use super::{
    DemoError,
    epoch::{Act, Epoch},
    facts::Fact,
    role::{Role, THIEF},
    times::{Comparison, Pair, RUNS},
};

const STRONG: Style = Style::new().bold();
const QUIET: Style = Style::new().dimmed();
const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default();

/// The width of the text, in letters.
const WIDTH: usize = 84;

/// Who tells the story; to a script, nothing until its end.
pub(crate) struct Narrator(Output);

impl Narrator {
    pub(crate) fn new(output: Output) -> Self {
        Self(output)
    }

    fn tell(&self, text: impl fmt::Display) -> Result<(), DemoError> {
        self.0.tell(text).map_err(DemoError::Output)
    }

    /// The title, and who plays.
    pub(crate) fn opening(&self) -> Result<(), DemoError> {
        let title = "Paired MLS: a phone heals a group on behalf of a sensor";
        self.tell(format!("{}\n", ink(STRONG, title)))?;
        let cast = Role::ALL.map(|role| format!("  {:<16}{}\n", role.name(), role.runs_on()));
        self.tell(format!(
            "{}  {:<16}{}",
            cast.concat(),
            "The thief",
            "a copy of the sensor's folder"
        ))?;
        self.tell("")?;
        for line in wrapped(
            "The service, each stock member and each command is a process of its own; they meet at a \
             port of this machine. After each commit somebody sends a message, everybody fetches what \
             waits, and who can read it is seen.",
            WIDTH,
        ) {
            self.tell(format!("  {line}"))?;
        }
        Ok(())
    }

    /// An act begins.
    pub(crate) fn act(&self, number: usize, act: &Act) -> Result<(), DemoError> {
        self.tell(format!("\n{}", ink(STRONG, &format!("Act {number}: {}", act.title))))?;
        wrapped(act.intro, WIDTH).iter().try_for_each(|line| self.tell(format!("  {line}")))
    }

    /// Something beside the story.
    pub(crate) fn aside(&self, text: &str) -> Result<(), DemoError> {
        self.tell(format!("\n  {}", ink(QUIET, text)))
    }

    /// An epoch has passed.
    pub(crate) fn epoch(&self, epoch: &Epoch) -> Result<(), DemoError> {
        let bytes =
            epoch.commit_bytes.map(|bytes| format!(" ({bytes}\u{a0}bytes)")).unwrap_or_default();
        let mut lines = wrapped(&format!("{}{bytes}", epoch.what), WIDTH - 10).into_iter();
        let label = ink(STRONG, &format!("epoch {:>2}", epoch.number));
        self.tell(format!("\n  {label}  {}", lines.next().unwrap_or_default()))?;
        let mut more: Vec<_> = lines.collect();
        more.extend(epoch.commands.iter().map(|command| ink(QUIET, command)));
        let readers = epoch.readers.iter().map(|(who, reads)| match (*who, *reads) {
            (THIEF, true) => ink(BAD, "THE THIEF"),
            (THIEF, false) => ink(GOOD, "not the thief"),
            (who, true) => who.to_owned(),
            (who, false) => ink(BAD, &format!("not {who}")),
        });
        let readers = readers.collect::<Vec<_>>().join(", ");
        more.push(format!("can read this epoch: {readers}"));
        if let Some(security) = epoch.security.as_deref() {
            let security = ink(if security == "secure" { GOOD } else { BAD }, security);
            more.push(format!("for the sensor this epoch is {security}"));
        }
        more.iter().try_for_each(|line| self.tell(format!("            {line}")))
    }

    /// What was measured, and what was shown.
    pub(crate) fn closing(&self, comparison: &Comparison, facts: &[Fact]) -> Result<(), DemoError> {
        self.tell(format!("\n{}", ink(STRONG, "Side by side")))?;
        for (what, pair, unit) in comparison.lines() {
            let Pair { ordinary, paired } = pair;
            self.tell(format!(
                "  {what:<42}ordinary {ordinary:>5.0} {unit:<6} paired {paired:>5.0} {unit}"
            ))?;
        }
        let note = format!(
            "Whole commands, one after the other on this machine; medians of {RUNS}. ./bench.sh \
             measures for real."
        );
        self.tell(format!("  {}", ink(QUIET, &note)))?;
        self.tell(format!("\n{}", ink(STRONG, "What this has shown")))?;
        for fact in facts {
            let mark = if fact.holds { ink(GOOD, "holds") } else { ink(BAD, "FAILS") };
            self.tell(format!("  {mark}  {}", fact.claim))?;
            for line in wrapped(&fact.measured, WIDTH - 7) {
                self.tell(format!("         {}", ink(QUIET, &line)))?;
            }
        }
        Ok(())
    }

    /// Where the report is.
    pub(crate) fn report(&self, path: &std::path::Path) -> Result<(), DemoError> {
        let path = path.display();
        self.tell(format!("\nThe report, with the ratchet tree of each epoch: {path}"))
    }
}

/// Colours are removed again where there is no terminal.
fn ink(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

/// The words of `text` in lines of at most `width` letters.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    // Not at no-break spaces.
    for word in text.split([' ', '\n']).filter(|word| !word.is_empty()) {
        let length = line.chars().count() + 1 + word.chars().count();
        if !line.is_empty() && length > width {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    lines
}
