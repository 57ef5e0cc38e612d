//! `pmls serve`: what an operator decides, and how it ends.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    process::{Child, Command, Stdio},
};

use crate::{code, run, told, world::World};

/// A server with the settings of this file, and what it has said when it was ready.
fn serve(config: &std::path::Path) -> (Child, serde_json::Value) {
    let mut server = Command::new(env!("CARGO_BIN_EXE_pmls"))
        .args(["serve", "--json", "--config"])
        .arg(config)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut line).unwrap();
    (server, serde_json::from_str(&line).unwrap())
}

#[cfg(unix)]
#[test]
fn a_signal_ends_it_gracefully() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.toml");
    let database = folder.path().join("service.db");
    let text = format!(
        "[serve]\nlisten = \"127.0.0.1:0\"\nmetrics-listen = \"127.0.0.1:0\"\n\
         database = \"sqlite://{}\"\nlog-format = \"json\"\n",
        database.display()
    );
    fs::write(&config, text).unwrap();
    for signal in ["TERM", "INT"] {
        let (mut server, serving) = serve(&config);
        assert_ne!(serving["listening"], serving["metrics"]);
        let killed = Command::new("kill").args(["-s", signal, &server.id().to_string()]).status();
        assert!(killed.unwrap().success());
        let mut log = String::new();
        server.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        assert!(server.wait().unwrap().success(), "{log}");
        assert!(database.exists());
        for line in log.lines() {
            let line: serde_json::Value = serde_json::from_str(line).expect("one object a line");
            assert_eq!(line["level"], "INFO");
        }
        assert!(log.contains("stopping"), "{log}");
    }
}

#[test]
fn a_limit_of_the_configuration_holds() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.toml");
    let database = folder.path().join("service.db");
    let text = format!(
        "[serve]\nlisten = \"127.0.0.1:0\"\ndatabase = \"sqlite://{}\"\n[limits]\nkey-packages = 2\n",
        database.display()
    );
    fs::write(&config, text).unwrap();
    let (mut server, serving) = serve(&config);
    let url = serving["url"].as_str().unwrap();
    let home = folder.path().join("home");
    let init = ["--server", url, "device", "init", "--user", "alice", "--vault", "plain"];
    let made = run(&home, &init);
    let fits = run(&home, &["device", "publish", "--count", "2"]);
    let too_many = run(&home, &["device", "publish", "--count", "1"]);
    server.kill().unwrap();
    server.wait().unwrap();
    assert_eq!((code(&made), code(&fits)), (0, 0), "{}{}", told(&made), told(&fits));
    assert_eq!(code(&too_many), 3, "{}", told(&too_many));
}

#[test]
fn a_port_that_is_taken_is_named() {
    let world = World::new();
    let address = world.url.strip_prefix("http://").unwrap();
    let database = format!("sqlite://{}", world.folder().join("other.db").display());
    let refused = run(world.folder(), &["serve", "--listen", address, "--database", &database]);
    assert_eq!(code(&refused), 3);
    assert!(told(&refused).contains(address), "{}", told(&refused));
}
