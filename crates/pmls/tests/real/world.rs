//! A server, and devices with a home each.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

/// A service on a port of its own, with its database in a folder of the test.
pub(crate) struct World {
    folder: TempDir,
    server: Child,
    pub(crate) url: String,
    /// What the server is started with besides.
    options: &'static [&'static str],
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(&[])
    }

    /// One whose server is started with these options.
    pub(crate) fn with(options: &'static [&'static str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (server, url) = serve(folder.path(), "127.0.0.1:0", options);
        Self { folder, server, url, options }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Kills the server where it stands.
    pub(crate) fn kill(&mut self) {
        self.server.kill().unwrap();
        self.server.wait().unwrap();
    }

    /// Starts it again, on the same port and database.
    pub(crate) fn restart(&mut self) {
        let port = self.url.rsplit(':').next().unwrap();
        let listen = format!("127.0.0.1:{port}");
        let (server, url) = serve(self.folder.path(), &listen, self.options);
        assert_eq!(url, self.url);
        self.server = server;
    }

    /// Alice and Bob, in a group that she has made and that both call `family`.
    pub(crate) fn family(&self) -> [Device; 2] {
        let [alice, bob] = ["alice", "bob"].map(|user| self.device(user));
        alice.run(&["group", "create", "family"]);
        alice.run(&["group", "add", "family", "bob"]);
        bob.sync();
        bob.call_it("family");
        [alice, bob]
    }

    /// A device of a user that has none yet, with KeyPackages at the service.
    pub(crate) fn device(&self, user: &str) -> Device {
        let device = self.unregistered(user, user);
        device.run(&["device", "publish", "--count", "8"]);
        device
    }

    /// A device of a user with any name.
    pub(crate) fn device_at(&self, home: &Path, user: &str) -> Device {
        let init = self.init(home, user, "device");
        assert!(init.status.success(), "{}", String::from_utf8_lossy(&init.stderr));
        let device = Device { home: home.to_owned() };
        device.run(&["device", "publish", "--count", "4"]);
        device
    }

    /// A further device of a user.
    pub(crate) fn another(&self, first: &Device, user: &str, name: &str) -> Device {
        let home = self.folder().join(name);
        let init = self.init(&home, user, name);
        let device = Device { home };
        let id = match init.status.code() {
            Some(0) => None,
            _ => Some(device.id()),
        };
        if let Some(id) = id {
            first.run(&["device", "approve", &id]);
            device.run(&["device", "register"]);
        }
        device.run(&["device", "publish", "--count", "8"]);
        device
    }

    /// The same on another cipher suite.
    pub(crate) fn device_of_suite(&self, user: &str, suite: &str) -> Device {
        let home = self.folder().join(format!("{user}-{suite}"));
        let init = self.init_with(&home, &format!("{user}-{suite}"), user, &["--suite", suite]);
        assert!(init.status.success(), "{}", String::from_utf8_lossy(&init.stderr));
        let device = Device { home };
        device.run(&["device", "publish", "--count", "8"]);
        device
    }

    fn unregistered(&self, user: &str, name: &str) -> Device {
        let home = self.folder().join(name);
        let init = self.init(&home, user, name);
        assert!(init.status.success(), "{}", String::from_utf8_lossy(&init.stderr));
        Device { home }
    }

    fn init(&self, home: &Path, user: &str, name: &str) -> Output {
        self.init_with(home, user, name, &[])
    }

    fn init_with(&self, home: &Path, user: &str, name: &str, more: &[&str]) -> Output {
        let mut command = pmls(home);
        command.args(["--server", &self.url, "device", "init", "--vault", "plain"]);
        command.args(["--user", user, "--name", name]).args(more).output().unwrap()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // It may be dead already.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn serve(folder: &Path, listen: &str, options: &[&str]) -> (Child, String) {
    let database = format!("sqlite://{}", folder.join("service.db").display());
    let mut server = Command::new(env!("CARGO_BIN_EXE_pmls"))
        .args(["serve", "--listen", listen, "--database", &database, "--json"])
        .args(["--requests-per-second", "100000", "--request-burst", "100000"])
        .args(options)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let serving: Value = serde_json::from_str(&line).unwrap();
    (server, serving["url"].as_str().unwrap().to_owned())
}

/// The command line of the device in this home, without whatever the tester's own environment says.
pub(crate) fn pmls(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pmls"));
    for (name, _) in
        std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PMLS_"))
    {
        command.env_remove(name);
    }
    command.env("XDG_CONFIG_HOME", home.join("no-configuration"));
    command.arg("--json").arg("--home").arg(home).stdin(Stdio::null());
    command
}

/// A device.
#[derive(Clone)]
pub(crate) struct Device {
    pub(crate) home: PathBuf,
}

impl Device {
    /// Runs a command that works; what it has printed.
    pub(crate) fn run(&self, args: &[&str]) -> Value {
        let output = pmls(&self.home).args(args).output().unwrap();
        let (out, error) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "{} {args:?}: {out}{error}", self.home.display());
        serde_json::from_str(out.lines().last().unwrap_or("null")).unwrap()
    }

    /// Runs a command that fails; its exit code and error.
    pub(crate) fn fails(&self, args: &[&str]) -> (i32, String) {
        let output = pmls(&self.home).args(args).output().unwrap();
        let (out, error) = (text(&output.stdout), text(&output.stderr));
        assert!(!output.status.success(), "{args:?} worked: {out}");
        (output.status.code().unwrap_or(-1), error)
    }

    /// The same, with this on standard input.
    pub(crate) fn fails_with(&self, args: &[&str], input: &[u8]) -> (i32, String) {
        let output = self.given(args, input);
        assert!(!output.status.success(), "{args:?} worked: {}", text(&output.stdout));
        (output.status.code().unwrap_or(-1), text(&output.stderr))
    }

    /// Runs a command with this on standard input.
    pub(crate) fn given(&self, args: &[&str], input: &[u8]) -> Output {
        let mut command = pmls(&self.home);
        let command = command.args(args).stdin(Stdio::piped());
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdin = process.stdin.take().unwrap();
        // It may not read to the end.
        let _ = stdin.write_all(input);
        drop(stdin);
        process.wait_with_output().unwrap()
    }

    pub(crate) fn id(&self) -> String {
        self.run(&["device", "show"])["device"].as_str().unwrap().to_owned()
    }

    pub(crate) fn sync(&self) -> Vec<Value> {
        self.run(&["sync"])["events"].as_array().unwrap().clone()
    }

    /// Calls the only group of the device by this name.
    pub(crate) fn call_it(&self, name: &str) {
        let groups = self.run(&["group", "list"]);
        let groups = groups["groups"].as_array().unwrap();
        assert_eq!(groups.len(), 1, "{groups:?}");
        self.run(&["group", "rename", groups[0]["group"].as_str().unwrap(), name]);
    }

    pub(crate) fn authenticator(&self, group: &str) -> String {
        self.run(&["group", "show", group])["authenticator"].as_str().unwrap().to_owned()
    }

    pub(crate) fn epoch(&self, group: &str) -> u64 {
        self.run(&["group", "show", group])["epoch"].as_u64().unwrap()
    }

    /// What others have said that was not read yet.
    pub(crate) fn read(&self, group: &str) -> Vec<String> {
        let read = self.run(&["group", "read", group]);
        let messages = read["messages"].as_array().unwrap().iter();
        messages
            .map(|said| format!("{}: {}", text_of(&said["from"]), text_of(&said["text"])))
            .collect()
    }
}

/// Everybody catches up until nobody has anything to say to anybody.
pub(crate) fn settle(devices: &[&Device]) -> Vec<Value> {
    let mut events = Vec::new();
    for _ in 0..4 {
        for device in devices {
            events.extend(device.sync());
        }
    }
    events
}

/// All devices are in the same epoch of this group.
pub(crate) fn agree(devices: &[&Device], group: &str) {
    let all: Vec<_> = devices.iter().map(|device| device.authenticator(group)).collect();
    assert!(all.windows(2).all(|pair| pair[0] == pair[1]), "{all:?}");
}

/// What commits have changed for pairings.
pub(crate) fn changes(events: &[Value]) -> Vec<Value> {
    let commits = events.iter().filter(|event| event["event"] == "commit");
    commits.flat_map(|commit| commit["events"].as_array().cloned().unwrap_or_default()).collect()
}

/// Whether a commit has healed these devices of a pairing.
pub(crate) fn healed(events: &[Value], devices: &[u16]) -> bool {
    changes(events)
        .iter()
        .any(|change| change["what"] == "healed" && change["devices"] == serde_json::json!(devices))
}

pub(crate) fn text_of(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Copies a folder as it is.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type().unwrap().is_dir() {
            copy(&source, &target);
        } else {
            fs::copy(source, target).unwrap();
        }
    }
    fs::set_permissions(to, fs::metadata(from).unwrap().permissions()).unwrap();
}
