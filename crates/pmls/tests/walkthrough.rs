//! The walk-through of the README, line by line, with a real server and a process for each line.
#![allow(clippy::unwrap_used, reason = "these are tests")]

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use serde_json::Value;

/// A server that dies with the test.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // It may be dead already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn serve(folder: &Path) -> (Server, String) {
    let mut server = Command::new(env!("CARGO_BIN_EXE_pmls"))
        .args(["serve", "--listen", "127.0.0.1:0", "--json"])
        .current_dir(folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let serving: Value = serde_json::from_str(&line).unwrap();
    let url = serving.get("url").and_then(Value::as_str).unwrap().to_owned();
    (Server(server), url)
}

/// What is random in a real run may be anything in the next one: identifiers, keys and digits. The address
/// and the folder are those of the test. trycmd wants an empty line after an output that ends with a line.
fn with_wildcards(readme: &str) -> String {
    let line = |line: &str| match line.strip_prefix("Server  ").or(line.strip_prefix("Home    ")) {
        Some(_) => format!("{}[..]", line.get(..8).unwrap_or_default()),
        None if line.starts_with("$ ") => line.to_owned(),
        None => line.split_inclusive([' ', '/', ':', ',']).map(word).collect(),
    };
    let mut told = String::new();
    let mut before = "";
    for text in readme.lines() {
        let ends = (text.starts_with("$ ") && !before.starts_with("```")) || text == "```";
        told.push_str(if ends { "\n" } else { "" });
        told.push_str(&line(text));
        told.push('\n');
        before = text;
    }
    told
}

fn word(word: &str) -> String {
    let text = word.trim_end_matches([' ', '/', ':', ',']);
    let of = |len: usize, part: fn(char) -> bool| {
        let name = text.strip_prefix("group-").unwrap_or(text).trim_end_matches('…');
        name.chars().count() == len
            && name.chars().all(part)
            && name.contains(|c: char| {
                c.is_ascii_digit() || c.is_ascii_uppercase() || c == '_' || c == '-'
            })
    };
    let base64 = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let random = of(43, base64)
        || of(22, base64)
        || of(16, |c| c.is_ascii_hexdigit())
        || of(5, |c| c.is_ascii_digit())
        || of(8, base64);
    if random { word.replace(text, "[..]") } else { word.to_owned() }
}

#[test]
fn the_walk_through_of_the_readme_is_true() {
    let folder = tempfile::tempdir().unwrap();
    let (_server, url) = serve(folder.path());
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
    let readme = fs::read_to_string(readme).unwrap();
    let (_, walk) = readme.split_once("## By hand").unwrap();
    let (walk, _) = walk.split_once("\n## ").unwrap();
    assert!(walk.contains("```console\n$ pmls --home phone"), "the walk-through is there");
    let case = folder.path().join("walk.md");
    fs::write(&case, with_wildcards(walk)).unwrap();
    // trycmd works in the folder of this name.
    fs::create_dir(folder.path().join("walk.in")).unwrap();

    let cases = trycmd::TestCases::new();
    cases
        .env("PMLS_SERVER", &url)
        .env("XDG_CONFIG_HOME", "/nonexistent")
        .env("NO_COLOR", "1")
        .case(case);
}

#[test]
fn what_is_random_is_told_from_what_is_said() {
    let cases = [
        ("pairing cc925228: paired", "pairing [..]: paired"),
        ("65502 68584 98229 61908", "[..] [..] [..] [..]"),
        ("joined group-VPSkT1gu", "joined [..]"),
        ("phone/_5CVIp4C healed this device", "phone/[..] healed this device"),
        ("family, epoch 2, authenticator 14a1d1a18c5ddb53…", "family, epoch 2, authenticator [..]"),
        ("Compare these digits", "Compare these digits"),
    ];
    for (real, expected) in cases {
        assert_eq!(with_wildcards(real).trim_end(), expected);
    }
}
