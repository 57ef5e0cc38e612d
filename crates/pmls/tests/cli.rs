//! What the command line says, as a terminal shows it: help, errors, exit codes.

use std::process::Command;

/// Each file is a session at a terminal. After a change on purpose: `TRYCMD=overwrite cargo test -p pmls
/// --test cli`, and read the difference.
#[test]
fn the_terminal_shows_what_it_should() {
    let cases = trycmd::TestCases::new();
    // The sessions know nothing of the tester's own devices and settings.
    for setting in ["HOME", "CONFIG", "VAULT_PATH", "PASSPHRASE_FILE", "SERVER", "SERVER_ROOT"] {
        assert!(
            std::env::var_os(format!("PMLS_{setting}")).is_none(),
            "unset PMLS_{setting} first"
        );
    }
    cases
        .env("XDG_CONFIG_HOME", "/nonexistent")
        .env("XDG_DATA_HOME", "/nonexistent")
        .env("NO_COLOR", "1")
        .case("tests/cmd/*.trycmd");
}

/// The program of the demo is not installed with this one.
#[test]
fn without_the_demo_the_command_says_how_to_get_it() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let alone = folder.path().join("pmls");
    std::fs::hard_link(env!("CARGO_BIN_EXE_pmls"), &alone).unwrap();
    let output = Command::new(&alone).arg("demo").current_dir(folder.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(
        error.contains(&format!("there is no {}", alone.with_file_name("pmls-demo").display()))
    );
    assert!(error.contains("`cargo run --release -- demo`"), "{error}");
}
