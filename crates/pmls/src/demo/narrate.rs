//! The story on the terminal.

use std::fmt::Write as _;

use super::{
    Findings,
    cast::Role,
    story::{Act, Epoch},
    times::Pair,
};

struct Ink(bool);

impl Ink {
    fn paint(&self, code: &str, text: &str) -> String {
        if self.0 { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn bold(&self, text: &str) -> String {
        self.paint("1", text)
    }

    fn good(&self, text: &str) -> String {
        self.paint("32", text)
    }

    fn bad(&self, text: &str) -> String {
        self.paint("31", text)
    }
}

/// The whole story as text.
pub(crate) fn narrate(findings: &Findings, colour: bool) -> String {
    let ink = Ink(colour);
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = tell(&mut text, findings, &ink);
    text
}

fn tell(text: &mut String, findings: &Findings, ink: &Ink) -> std::fmt::Result {
    writeln!(text, "{}\n", ink.bold("Paired MLS: a phone heals a group on behalf of a sensor"))?;
    for role in Role::ALL {
        writeln!(text, "  {:<16}{}", role.name(), role.runs_on())?;
    }
    for (number, act) in (1..).zip(&findings.acts) {
        act_text(text, number, act, ink)?;
    }

    let comparison = &findings.comparison;
    writeln!(
        text,
        "\n{}",
        ink.bold("Side by side (this group of five; ./bench.sh measures for real)")
    )?;
    for (what, pair, unit) in [
        ("length of the commit", comparison.bytes, "bytes"),
        ("making it, on the phone", comparison.commit_ms, "ms"),
        ("processing it, on the sensor", comparison.process_ms, "ms"),
    ] {
        let Pair { ordinary, paired } = pair;
        let digits = if unit == "ms" { 2 } else { 0 };
        writeln!(
            text,
            "  {what:<30}ordinary {ordinary:>7.digits$} {unit:<6} paired {paired:>7.digits$} {unit:<6} ratio {:.2}",
            pair.ratio()
        )?;
    }

    writeln!(text, "\n{}", ink.bold("What this has shown"))?;
    for fact in &findings.facts {
        let mark = if fact.holds { ink.good("holds") } else { ink.bad("FAILS") };
        writeln!(text, "  {mark}  {}", fact.claim)?;
        writeln!(text, "         {}", fact.measured)?;
    }
    Ok(())
}

fn act_text(text: &mut String, number: u32, act: &Act, ink: &Ink) -> std::fmt::Result {
    writeln!(text, "\n{}", ink.bold(&format!("Act {number}: {}", act.title)))?;
    for line in wrapped(act.intro, 84) {
        writeln!(text, "  {line}")?;
    }
    for epoch in &act.epochs {
        epoch_text(text, epoch, ink)?;
    }
    Ok(())
}

fn epoch_text(text: &mut String, epoch: &Epoch, ink: &Ink) -> std::fmt::Result {
    writeln!(text)?;
    let bytes =
        epoch.commit_bytes.map(|bytes| format!(" ({bytes}\u{a0}bytes)")).unwrap_or_default();
    let mut lines = wrapped(&format!("{}{bytes}", epoch.what), 74).into_iter();
    let label = format!("epoch {:>2}", epoch.number);
    writeln!(text, "  {}  {}", ink.bold(&label), lines.next().unwrap_or_default())?;
    for line in lines {
        writeln!(text, "            {line}")?;
    }
    let readers = epoch.readers.iter().map(|(who, reads)| match (*who, *reads) {
        ("the thief", true) => ink.bad("THE THIEF"),
        ("the thief", false) => ink.good("not the thief"),
        (who, true) => who.to_owned(),
        (who, false) => ink.bad(&format!("not {who}")),
    });
    let readers = readers.collect::<Vec<_>>().join(", ");
    writeln!(text, "            can read this epoch: {readers}")?;
    if let Some(security) = epoch.security {
        let security = if security == "secure" { ink.good(security) } else { ink.bad(security) };
        writeln!(text, "            for the sensor this epoch is {security}")?;
    }
    Ok(())
}

/// The words of `text` in lines of at most `width` letters.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    // Not at no-break spaces.
    for word in text.split([' ', '\n']).filter(|word| !word.is_empty()) {
        if !line.is_empty() && line.len() + 1 + word.len() > width {
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
