//! Defaults, then the file, then the environment, then flags.

use std::fs;

use serde_json::{Value, json};

use crate::world::pmls;

#[test]
fn the_later_layer_wins_and_each_value_says_where_it_is_from() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.toml");
    let text = "[device]\nserver = \"https://file.example\"\nvault-path = \"/file\"\n\
                [serve]\nlisten = \"127.0.0.1:1\"\ngrace = 1\n[limits]\npage = 1\ndevices = 1\n";
    fs::write(&config, text).unwrap();
    let output = pmls(&folder.path().join("home"))
        .env("PMLS_CONFIG", &config)
        .env("PMLS_HOME", "/environment")
        .env("PMLS_VAULT_PATH", "/environment")
        .env("PMLS_GRACE", "2")
        .env("PMLS_LIMIT_DEVICES", "2")
        .args(["config", "show"])
        .output()
        .unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["file"], json!(config));
    let held = |table: &str, key: &str| {
        let held = &report[table][key];
        (held["value"].clone(), held["from"].as_str().unwrap().to_owned())
    };
    let home = json!(folder.path().join("home"));
    for (table, key, value, from) in [
        ("device", "home", home, "flag"),
        ("device", "vault-path", json!("/environment"), "environment"),
        ("device", "server", json!("https://file.example/"), "file"),
        ("serve", "grace", json!(2), "environment"),
        ("serve", "listen", json!("127.0.0.1:1"), "file"),
        ("serve", "connections", json!(16), "default"),
        ("limits", "devices", json!(2), "environment"),
        ("limits", "page", json!(1), "file"),
        ("limits", "recipients", json!(1000), "default"),
    ] {
        assert_eq!(held(table, key), (value, from.to_owned()), "{table}.{key}");
    }
}

#[test]
fn the_usual_configuration_file_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    let usual = home.join("no-configuration").join("pmls");
    fs::create_dir_all(&usual).unwrap();
    fs::write(usual.join("config.toml"), "[serve]\ngrcae = 1\n").unwrap();
    let output = pmls(&home).args(["device", "show"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("grcae") && error.contains("config.toml"), "{error}");
}
