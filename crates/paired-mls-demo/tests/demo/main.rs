//! The demo, as a newcomer and as a script would run it.
#![expect(clippy::unwrap_used, reason = "these are tests")]

mod tidy;

use std::{
    collections::BTreeSet,
    path::Path,
    process::{Command, Output},
};

use serde_json::Value;
use tempfile::TempDir;

/// The demo, with its temporary files in a folder of the test.
fn demo(folder: &Path) -> Command {
    let mut demo = Command::new(env!("CARGO_BIN_EXE_pmls-demo"));
    demo.env("TMPDIR", folder).current_dir(folder).arg("demo");
    demo
}

/// Plays the demo to its end; nothing stays behind.
fn play(args: &[&str]) -> (TempDir, Output) {
    let folder = tempfile::tempdir().unwrap();
    let output = demo(folder.path()).args(args).output().unwrap();
    tidy::nothing_is_left(folder.path());
    (folder, output)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn every_fact_holds_and_none_is_missing() {
    let (_folder, output) = play(&["--json", "--no-report"]);
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    let findings: Value = serde_json::from_slice(&output.stdout).expect("nothing but JSON");
    let facts = findings["facts"].as_array().unwrap();
    for fact in facts {
        assert_eq!(fact["holds"], true, "{fact}");
        assert!(!fact["claim"].as_str().unwrap().is_empty());
        assert!(!fact["measured"].as_str().unwrap().is_empty());
    }
    let ids: BTreeSet<_> = facts.iter().map(|fact| fact["id"].as_str().unwrap()).collect();
    let expected = BTreeSet::from([
        "brute-force-opens-nothing",
        "equal-length",
        "leaf-hidden-looks-ordinary",
        "leaf-lost-notify-survived",
        "leaf-paired-over-channel",
        "leaf-sensor-follows",
        "leaf-thief-follows-until-healed",
        "leaf-thief-out-at-first-tape-commit",
        "leaf-thief-stays-out",
        "leaf-token-enforced",
        "leaf-vault-separate",
        "replay-refused",
        "role-switch",
        "sensor-follows",
        "sensor-sent-nothing",
        "stock-mls-rs-same-epoch",
        "stock-openmls-same-epoch",
        "thief-follows-until-healed",
        "thief-out-at-first-paired-commit",
        "thief-reads-ordinary",
        "thief-stays-out",
        "vault-separate",
    ]);
    assert_eq!(ids, expected);

    let acts = findings["acts"].as_array().unwrap();
    assert_eq!(acts.len(), 4);
    let commands = acts.iter().flat_map(|act| act["epochs"].as_array().unwrap());
    let commands = commands.flat_map(|epoch| epoch["commands"].as_array().unwrap());
    let commands: Vec<_> = commands.map(|command| command.as_str().unwrap()).collect();
    assert!(commands.contains(&"phone$ pmls update family"), "{commands:?}");
    assert!(commands.contains(&"sensor$ pmls update friends"), "{commands:?}");
}

#[test]
fn the_report_is_one_file_that_needs_nothing_else() {
    let (folder, output) = play(&["--report", "report.html"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let told = text(&output.stdout);
    assert!(told.contains("can read this epoch: Alice's phone"), "{told}");
    assert!(!told.contains('\x1b'), "no colour where there is no terminal");

    let report = std::fs::read_to_string(folder.path().join("report.html")).unwrap();
    assert!(report.starts_with("<!doctype html>") && report.ends_with("</html>\n"));
    for outside in ["http", "<script", "src=", "url(", "@import"] {
        assert!(!report.contains(outside), "the report refers to {outside}");
    }
    assert_eq!(report.matches("<svg viewBox").count(), report.matches("<article>").count());
    assert!(report.contains(">Notify</text>") && report.contains("class=\"anchor\""));
    for tag in ["svg", "section", "article", "table", "tr", "td", "p", "ul", "li", "text"] {
        let opened = report.matches(&format!("<{tag}>")).count()
            + report.matches(&format!("<{tag} ")).count();
        assert_eq!(opened, report.matches(&format!("</{tag}>")).count(), "<{tag}>");
    }
}

#[test]
fn what_goes_wrong_is_said_with_the_next_step() {
    let (_folder, output) = play(&["--report", "/nowhere/at/all.html", "--json"]);
    assert_eq!(output.status.code(), Some(3));
    let error: Value = serde_json::from_slice(&output.stderr).unwrap();
    let error = error["error"].as_str().unwrap();
    assert!(error.contains("cannot write /nowhere/at/all.html"), "{error}");
    assert!(error.contains("choose another with --report"), "{error}");
    assert!(output.stdout.is_empty(), "before the story begins");

    let output = Command::new(env!("CARGO_BIN_EXE_pmls-demo")).arg("dance").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}
