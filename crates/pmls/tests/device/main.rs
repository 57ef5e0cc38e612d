//! One device: its home, its vault, and what the directory knows of it, with a real server and a process
//! for each command.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "the helpers of tests")]

mod admin;
mod directory;
mod init;
mod recovery;
mod restore;
mod serve;
mod settings;
mod vault;
#[path = "../real/world.rs"]
#[allow(dead_code, reason = "another test program uses the rest")]
mod world;

use std::{fs, path::Path, process::Output};

use world::pmls;

/// Runs a command in a home, as a script would.
fn run(home: &Path, args: &[&str]) -> Output {
    pmls(home).args(args).output().unwrap()
}

/// What a command has printed, on both ways.
fn told(output: &Output) -> String {
    let (out, error) = (&output.stdout, &output.stderr);
    format!("{}{}", String::from_utf8_lossy(out), String::from_utf8_lossy(error))
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap_or(-1)
}

/// The id in what a command has printed.
fn device(output: &Output) -> String {
    assert!(output.status.success(), "{}", told(output));
    let last = String::from_utf8(output.stdout.clone()).unwrap();
    let report: serde_json::Value = serde_json::from_str(last.lines().last().unwrap()).unwrap();
    report["device"].as_str().unwrap().to_owned()
}

/// A file with a passphrase or PIN.
fn secret_file(folder: &Path, name: &str, secret: &str) -> String {
    let path = folder.join(name);
    fs::write(&path, format!("{secret}\n")).unwrap();
    path.display().to_string()
}

/// The files below a folder that hold these bytes.
fn files_with(folder: &Path, needle: &[u8]) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_with(&path, needle));
        } else if fs::read(&path).unwrap().windows(needle.len()).any(|window| window == needle) {
            found.push(path);
        }
    }
    found
}
