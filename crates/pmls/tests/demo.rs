//! The demo, as a newcomer and as a script would run it.

use std::{collections::BTreeSet, process::Command};

use serde_json::Value;

const PMLS: &str = env!("CARGO_BIN_EXE_pmls");

#[test]
fn every_fact_holds_and_none_is_missing() {
    let output = Command::new(PMLS).args(["demo", "--json", "--no-report"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
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
        "leaf-sensor-follows",
        "leaf-thief-follows-until-healed",
        "leaf-thief-out-at-first-tape-commit",
        "leaf-thief-stays-out",
        "leaf-token-enforced",
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
    assert_eq!(findings["acts"].as_array().unwrap().len(), 4);
}

#[test]
fn the_report_is_one_file_that_needs_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.html");
    let output = Command::new(PMLS).arg("demo").arg("--report").arg(&path).output().unwrap();
    assert!(output.status.success());
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(told.contains("can read this epoch: Alice's phone"), "{told}");
    assert!(!told.contains('\x1b'), "no colour where there is no terminal");

    let report = std::fs::read_to_string(&path).unwrap();
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
    let output = Command::new(PMLS)
        .args(["demo", "--report", "/nowhere/at/all.html", "--json"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("cannot write /nowhere/at/all.html"), "{error}");
    assert!(error.contains("choose another with --report"), "{error}");

    let output = Command::new(PMLS).arg("dance").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}
