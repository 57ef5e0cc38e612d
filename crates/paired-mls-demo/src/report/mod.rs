//! The report: one HTML file that needs nothing else.

mod tree;

use std::fmt::{self, Write as _};

use super::{
    Findings,
    epoch::{Act, Epoch},
    facts::Fact,
    role::{Role, THIEF},
    times::{Comparison, Pair, RUNS},
};

const STYLE: &str = include_str!("style.css");

/// Text in which nothing is markup.
pub(crate) struct Escaped<'a>(pub(crate) &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '"' => f.write_str("&quot;"),
            c => f.write_char(c),
        })
    }
}

/// The report as an HTML document.
pub(crate) fn html(findings: &Findings) -> String {
    let mut page = String::new();
    // Writing to a String cannot fail.
    let _ = document(&mut page, findings);
    page
}

fn document(page: &mut String, findings: &Findings) -> fmt::Result {
    let holds = findings.facts.iter().filter(|fact| fact.holds).count();
    write!(
        page,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>Paired MLS: a phone heals a group on behalf of a sensor</title>\n\
         <style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n<header>\n\
         <h1>A phone heals a group on behalf of a sensor that never sends</h1>\n\
         <p class=\"lead\">Paired MLS (draft-fondevik-mls-pairedmls-02), played by real members: a \
         service, and a process for each command of each device. {holds} of {} facts hold.</p>\n\
         </header>\n",
        findings.facts.len()
    )?;
    cast(page)?;
    legend(page)?;
    for (number, act) in (1..).zip(&findings.acts) {
        act_section(page, number, act)?;
    }
    comparison(page, &findings.comparison)?;
    facts(page, &findings.facts)?;
    page.push_str("</main>\n</body>\n</html>\n");
    Ok(())
}

fn cast(page: &mut String) -> fmt::Result {
    page.push_str("<section>\n<h2>Who takes part</h2>\n<ul class=\"cast\">\n");
    for role in Role::ALL {
        let (name, runs_on) = (Escaped(role.name()), Escaped(role.runs_on()));
        writeln!(page, "<li><b>{name}</b> {runs_on}</li>")?;
    }
    page.push_str(
        "<li><b>The thief</b> a copy of the sensor’s folder, and whatever goes over the wire</li>\n\
         </ul>\n</section>\n",
    );
    Ok(())
}

fn legend(page: &mut String) -> fmt::Result {
    page.push_str("<section class=\"legend\">\n<h2>How to read the trees</h2>\n<ul>\n");
    for (class, text) in [
        ("known", "the thief has this node’s private key"),
        ("unknown", "he has not"),
        ("blank", "a blank node"),
        ("path", "renewed by this epoch’s commit"),
        ("anchor", "the anchor of the pairing"),
        ("notify", "a Notify in place of a ciphertext"),
    ] {
        writeln!(page, "<li>{} {text}</li>", tree::key(class))?;
    }
    page.push_str("</ul>\n</section>\n");
    Ok(())
}

fn act_section(page: &mut String, number: u32, act: &Act) -> fmt::Result {
    writeln!(
        page,
        "<section>\n<h2><span class=\"number\">Act {number}</span> {}</h2>\n<p>{}</p>\n\
         <div class=\"epochs\">",
        Escaped(act.title),
        Escaped(act.intro)
    )?;
    for epoch in &act.epochs {
        epoch_card(page, epoch)?;
    }
    page.push_str("</div>\n");
    if let Some(aside) = act.aside {
        writeln!(page, "<p class=\"aside\">{}</p>", Escaped(aside))?;
    }
    page.push_str("</section>\n");
    Ok(())
}

fn epoch_card(page: &mut String, epoch: &Epoch) -> fmt::Result {
    writeln!(page, "<article>\n<h3>Epoch {}</h3>\n<p>{}</p>", epoch.number, Escaped(&epoch.what))?;
    for command in &epoch.commands {
        writeln!(page, "<p class=\"command\"><code>{}</code></p>", Escaped(command))?;
    }
    page.push_str("<p class=\"tags\">");
    if let Some(bytes) = epoch.commit_bytes {
        let kind = if epoch.paired { "paired commit" } else { "ordinary commit" };
        write!(page, "<span>{kind}, {bytes} bytes</span> ")?;
    }
    if let Some(security) = &epoch.security {
        write!(page, "<span class=\"{security}\">{security} for the sensor</span>")?;
    }
    page.push_str("</p>\n");
    tree::svg(page, &epoch.tree)?;
    page.push_str("<p class=\"readers\">Can read: ");
    for (who, reads) in &epoch.readers {
        let class = match (*who == THIEF, reads) {
            (true, true) => "bad",
            (true, false) => "good",
            (false, true) => "",
            (false, false) => "bad",
        };
        let not = if *reads { "" } else { "not " };
        write!(page, "<span class=\"{class}\">{not}{}</span> ", Escaped(who))?;
    }
    page.push_str("</p>\n</article>\n");
    Ok(())
}

fn comparison(page: &mut String, comparison: &Comparison) -> fmt::Result {
    write!(
        page,
        "<section>\n<h2>Side by side</h2>\n<p>Whole commands in this group of five, each with its \
         process, its disk and its requests, one after the other on one machine; medians of {RUNS}. A \
         demo’s figures: <code>./bench.sh</code> measures for real.</p>\n<table>\n\
         <tr><th></th><th>ordinary</th><th>paired</th></tr>\n"
    )?;
    for (what, Pair { ordinary, paired }, unit) in comparison.lines() {
        writeln!(
            page,
            "<tr><td>{what}</td><td>{ordinary:.0} {unit}</td><td>{paired:.0} {unit}</td></tr>"
        )?;
    }
    page.push_str("</table>\n</section>\n");
    Ok(())
}

fn facts(page: &mut String, facts: &[Fact]) -> fmt::Result {
    page.push_str("<section>\n<h2>What this has shown</h2>\n<table class=\"facts\">\n");
    page.push_str("<tr><th></th><th>claim</th><th>measured</th></tr>\n");
    for fact in facts {
        let (class, mark) = if fact.holds { ("good", "✓") } else { ("bad", "✗") };
        writeln!(
            page,
            "<tr><td class=\"{class}\">{mark}</td><td>{}</td><td>{}</td></tr>",
            Escaped(fact.claim),
            Escaped(&fact.measured)
        )?;
    }
    page.push_str("</table>\n</section>\n");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Escaped;

    #[test]
    fn text_is_never_markup() {
        let escaped = Escaped("<b onclick=\"x\">&</b>").to_string();
        assert_eq!(escaped, "&lt;b onclick=&quot;x&quot;&gt;&amp;&lt;/b&gt;");
    }
}
