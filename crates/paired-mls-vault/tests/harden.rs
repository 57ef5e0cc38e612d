//! What the process is protected with, seen from the operating system.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "the helpers of tests")]

mod support;

use std::fs;

use paired_mls::Secret;
use paired_mls_vault::{Protection, SealedFile, harden_process};
use rustix::{
    process::{DumpableBehavior, Resource, Rlimit, dumpable_behavior, setrlimit},
    thread::{CapabilitySet, capabilities, set_capabilities},
};

fn in_a_process_of_its_own(test: &str, body: impl FnOnce()) {
    if support::is_inside(test) {
        return body();
    }
    let output = support::rerun(test).output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && printed.contains("1 passed"), "{printed}{errors}");
}

fn locked_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmLck:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

fn no_core_dumps() -> bool {
    let limits = fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    line.split_whitespace().filter(|word| *word == "0").count() == 2
}

#[test]
fn the_report_says_what_is_so() {
    in_a_process_of_its_own("the_report_says_what_is_so", || {
        let report = harden_process();
        assert!(matches!(report.core_dumps, Protection::InPlace), "{report:?}");
        assert!(matches!(report.other_processes, Protection::InPlace), "{report:?}");
        assert!(no_core_dumps());
        assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
        let locked = matches!(report.swap, Protection::InPlace);
        assert_eq!(locked, locked_kib() > 0, "{report:?}");

        // The full work of the default parameters goes on as before.
        let folder = tempfile::tempdir().unwrap();
        let vault = SealedFile::at(folder.path().join("vault"));
        vault.create(&Secret::copy_of(b"passphrase")).unwrap();
    });
}

#[test]
fn a_process_without_the_right_is_told_its_limit_and_goes_on() {
    in_a_process_of_its_own("a_process_without_the_right_is_told_its_limit_and_goes_on", || {
        let limit = Rlimit { current: Some(1 << 16), maximum: Some(1 << 16) };
        setrlimit(Resource::Memlock, limit).unwrap();
        let mut sets = capabilities(None).unwrap();
        sets.effective.remove(CapabilitySet::IPC_LOCK);
        set_capabilities(None, sets).unwrap();

        let report = harden_process();
        assert!(matches!(report.swap, Protection::Limited { bytes: 65_536 }), "{report:?}");
        assert!(matches!(report.core_dumps, Protection::InPlace), "{report:?}");
        assert_eq!(locked_kib(), 0);
    });
}
