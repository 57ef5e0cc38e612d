//! What the command line says, as a terminal shows it: help, errors, exit codes.

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
