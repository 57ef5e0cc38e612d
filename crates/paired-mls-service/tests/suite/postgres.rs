//! A PostgreSQL server of our own, for as long as the tests run.

use std::{
    env, fs,
    io::Read as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

static SERVER: OnceLock<Option<PathBuf>> = OnceLock::new();
static NEXT: AtomicU64 = AtomicU64::new(0);

/// The address of a fresh, empty database, or `None` if there is no PostgreSQL on this machine.
pub(crate) fn fresh_database() -> Option<String> {
    let socket = SERVER.get_or_init(start).as_ref()?;
    let name = format!("test{}", NEXT.fetch_add(1, Ordering::Relaxed));
    run(&format!("CREATE DATABASE {name}"));
    Some(address(socket, &name))
}

/// A database with its tables in a folder, on a server of its own: a server on which a disk is full writes what is in its
/// memory for whoever needs room there next, and so fails the sessions of others. It is gone when this is dropped.
pub(crate) struct Elsewhere {
    pub(crate) address: String,
    socket: PathBuf,
}

impl Elsewhere {
    /// Only root can give the folder to the server.
    pub(crate) fn fresh(folder: &Path) -> Option<Self> {
        let socket = start()?;
        assert!(Command::new("chown").arg("postgres").arg(folder).status().unwrap().success());
        run_at(&socket, &format!("CREATE TABLESPACE small LOCATION '{}'", folder.display()));
        run_at(&socket, "CREATE DATABASE small TABLESPACE small");
        Some(Self { address: address(&socket, "small"), socket })
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        run_at(&self.socket, "DROP DATABASE small WITH (FORCE)");
        run_at(&self.socket, "DROP TABLESPACE small");
    }
}

fn address(socket: &Path, name: &str) -> String {
    format!("postgres://postgres@localhost/{name}?host={}", socket.display())
}

/// The name of the database at this address.
pub(crate) fn name_of(address: &str) -> &str {
    address.split(['/', '?']).nth(3).unwrap()
}

/// Ends all sessions of a database.
pub(crate) fn end_sessions(name: &str) {
    run(&format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
    ));
}

/// Runs a statement on the server that the tests share, outside of their databases.
pub(crate) fn run(statement: &str) {
    run_at(SERVER.get_or_init(start).as_ref().unwrap(), statement);
}

fn run_at(socket: &Path, statement: &str) {
    let done = Command::new(programs().unwrap().join("psql"))
        .args(["-q", "-U", "postgres", "-d", "postgres", "-h"])
        .arg(socket)
        .args(["-o", "/dev/null", "-c", statement])
        .status()
        .unwrap();
    assert!(done.success(), "{statement}");
}

/// Where `initdb`, `postgres` and `psql` are: Debian keeps them off the path, by their version.
fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let debian = versions.map(|version| version.path().join("bin"));
    let path = env::var_os("PATH").unwrap_or_default();
    let complete =
        |bin: &PathBuf| ["initdb", "postgres", "psql"].iter().all(|name| bin.join(name).exists());
    debian.chain(env::split_paths(&path)).find(complete)
}

fn start() -> Option<PathBuf> {
    let Some(programs) = programs() else {
        // Written past the capture of the test harness: one line, that is always seen.
        let line = "left out: the PostgreSQL tests: no PostgreSQL server (Debian: postgresql)\n";
        std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes()).unwrap();
        assert!(env::var("CI").as_deref() != Ok("true"), "no PostgreSQL server");
        return None;
    };
    let folder = tempfile::Builder::new().prefix("pmls").tempdir().unwrap().keep();
    // PostgreSQL does not run as root; Debian's package brings a user for it.
    let root = is_root();
    if root {
        assert!(Command::new("chown").arg("postgres").arg(&folder).status().unwrap().success());
    }
    // The server ends, and its folder goes, when this process ends, however it does: then nobody holds
    // the other end of the pipe.
    let script = r#"
        "$1/initdb" -D "$2/data" -U postgres -A trust --no-sync >"$2/initdb.log" 2>&1 || exit 1
        "$1/postgres" -D "$2/data" -k "$2" -c listen_addresses= -c max_connections=300 \
            -c fsync=off -c log_min_messages=fatal >"$2/postgres.log" 2>&1 &
        server=$!
        until "$1/psql" -q -U postgres -d postgres -h "$2" -c "" >/dev/null 2>&1; do
            kill -0 $server || exit 1
            sleep 0.1
        done
        echo ready
        exec >/dev/null
        cat >/dev/null
        kill -INT $server
        wait $server
        rm -rf "$2"
    "#;
    let mut shell = match root {
        true => Command::new("runuser"),
        false => Command::new("sh"),
    };
    if root {
        shell.args(["-u", "postgres", "--", "sh"]);
    }
    let mut child = shell
        .args(["-c", script, "sh"])
        .arg(&programs)
        .arg(&folder)
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut ready = [0; 5];
    child.stdout.take().unwrap().read_exact(&mut ready).unwrap();
    assert_eq!(&ready, b"ready", "{}", read(&folder.join("postgres.log")));
    // It lives, and its pipe stays open, to the end of this process.
    std::mem::forget(child.stdin.take());
    std::thread::spawn(move || child.wait());
    Some(folder)
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

pub(crate) fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().unwrap();
    id.stdout.trim_ascii() == b"0"
}
