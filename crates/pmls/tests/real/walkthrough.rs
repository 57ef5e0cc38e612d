//! The walk-through of the README, line by line, with a real server and a process for each line.

use std::{fs, path::Path};

use crate::world::World;

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
    let random = text.starts_with("pmlsr1-")
        || of(43, base64)
        || of(22, base64)
        || of(16, |c| c.is_ascii_hexdigit())
        || of(5, |c| c.is_ascii_digit())
        || of(8, base64);
    if random { word.replace(text, "[..]") } else { word.to_owned() }
}

#[test]
fn the_walk_through_of_the_readme_is_true() {
    let world = World::new();
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
    let readme = fs::read_to_string(readme).unwrap();
    let (_, walk) = readme.split_once("## By hand").unwrap();
    let (walk, _) = walk.split_once("\n## ").unwrap();
    assert!(walk.contains("```console\n$ pmls --home phone"), "the walk-through is there");
    let case = world.folder().join("walk.md");
    fs::write(&case, with_wildcards(walk)).unwrap();
    // trycmd works in the folder of this name.
    fs::create_dir(world.folder().join("walk.in")).unwrap();

    let cases = trycmd::TestCases::new();
    cases
        .env("PMLS_SERVER", &world.url)
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
