//! `pmls serve`: what an operator decides, and how it ends.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    os::unix::net::UnixListener,
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use crate::{code, run, told, world::World};

/// A server with the settings of this file, and what it has said when it was ready.
fn serve(config: &Path) -> (Child, serde_json::Value) {
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
            assert_eq!(line["level"], "INFO", "{line}");
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
        "[serve]\nlisten = \"127.0.0.1:0\"\ndatabase = \"sqlite://{}\"\n[limits]\nkey-packages = 3\n",
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

/// A server whose logs somebody reads in the background.
struct Watched {
    server: Child,
    address: String,
    log: mpsc::Receiver<String>,
}

impl Watched {
    fn start(config: &Path) -> Self {
        let (mut server, serving) = serve(config);
        let (line, log) = mpsc::channel();
        let lines = BufReader::new(server.stderr.take().unwrap()).lines();
        thread::spawn(move || lines.map_while(Result::ok).try_for_each(|text| line.send(text)));
        Self { server, address: serving["listening"].as_str().unwrap().to_owned(), log }
    }

    fn signal(&self, signal: &str) {
        kill(&self.server, signal);
    }

    /// Waits for a line of the log with this text.
    fn says(&self, text: &str) -> String {
        let patience = Duration::from_secs(60);
        loop {
            let line = self.log.recv_timeout(patience).expect(text);
            if line.contains(text) {
                return line;
            }
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.server.kill().unwrap();
        self.server.wait().unwrap();
    }
}

fn kill(server: &Child, signal: &str) {
    let killed = Command::new("kill").args(["-s", signal, &server.id().to_string()]).status();
    assert!(killed.unwrap().success());
}

/// What the service answers to whoever asks.
fn ask(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_hangup_reads_the_configuration_again() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.toml");
    let write = |level: &str, page: &str, grace: u32| {
        let database = folder.path().join("service.db");
        let text = format!(
            "[serve]\nlisten = \"127.0.0.1:0\"\ndatabase = \"sqlite://{}\"\nlog-format = \"json\"\n\
             log-level = \"{level}\"\ngrace = {grace}\n[limits]\npage = {page}\n",
            database.display()
        );
        fs::write(&config, text).unwrap();
    };
    write("warn", "100", 1);
    let server = Watched::start(&config);
    assert!(ask(&server.address, "/v1").contains("\"page\":100"));

    write("info", "77", 1);
    server.signal("HUP");
    server.says("reloaded");
    assert!(ask(&server.address, "/v1").contains("\"page\":77"));
    // The level that the file says now: each request is told.
    server.says("served");

    for (level, page, why) in [
        ("info", "0", "the limit page is 0"),
        ("info", "\\\"many\\\"", "config.toml"),
        ("so=much", "50", "the log level so=much cannot be read"),
    ] {
        write(level, &page.replace('\\', ""), 1);
        server.signal("HUP");
        let line = server.says("not reloaded");
        assert!(line.contains(why), "{line}");
        assert!(ask(&server.address, "/v1").contains("\"page\":77"));
    }
    // Whatever holds from the next start on is named.
    write("info", "50", 2);
    fs::write(&config, fs::read_to_string(&config).unwrap().replace(":0\"", ":1\"")).unwrap();
    server.signal("HUP");
    assert!(server.says("reloaded, apart from").contains("\"later\":\"listen\""));
    assert!(ask(&server.address, "/v1").contains("\"page\":50"));
}

/// Nobody reads what the server logs: it serves all the same, and counts what is lost.
#[test]
fn a_reader_of_logs_who_stops_blocks_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.toml");
    let text = format!(
        "[serve]\nlisten = \"127.0.0.1:0\"\nmetrics-listen = \"127.0.0.1:0\"\n\
         database = \"sqlite://{}\"\nlog-level = \"trace\"\n",
        folder.path().join("service.db").display()
    );
    fs::write(&config, text).unwrap();
    let (mut server, serving) = serve(&config);
    let address = serving["listening"].as_str().unwrap();
    let metrics = serving["metrics"].as_str().unwrap();
    let lost = || {
        let text = ask(metrics, "/metrics");
        let line = text.lines().find(|line| line.starts_with("paired_mls_log_lines_lost "));
        line.unwrap().split(' ').nth(1).unwrap().parse::<u64>().unwrap()
    };
    assert_eq!(lost(), 0);
    let mut requests = 0;
    while lost() == 0 {
        for _ in 0..200 {
            assert!(ask(address, "/v1").starts_with("HTTP/1.1 200"));
        }
        requests += 200;
        assert!(requests < 100_000, "nothing is lost");
    }
    kill(&server, "TERM");
    let ended = server.wait().unwrap();
    assert!(ended.success(), "{ended}");
}

/// A database that does not answer while the server starts does not keep it from being stopped.
#[test]
fn a_server_that_starts_can_be_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let silent = UnixListener::bind(folder.path().join(".s.PGSQL.5432")).unwrap();
    let database = format!("postgres://pmls@localhost/pmls?host={}", folder.path().display());
    let mut server = Command::new(env!("CARGO_BIN_EXE_pmls"))
        .args(["serve", "--listen", "127.0.0.1:0", "--database", &database])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let connected = silent.accept().unwrap();
    kill(&server, "TERM");
    assert!(server.wait().unwrap().success());
    drop(connected);
}

#[test]
fn a_second_server_on_one_file_is_refused() {
    let world = World::new();
    let database = format!("sqlite://{}", world.folder().join("service.db").display());
    let refused =
        run(world.folder(), &["serve", "--listen", "127.0.0.1:0", "--database", &database]);
    assert_eq!(code(&refused), 3, "{}", told(&refused));
    assert!(told(&refused).contains("serves this database already"), "{}", told(&refused));
}
