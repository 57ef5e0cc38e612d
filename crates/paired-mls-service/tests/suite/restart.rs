//! A server that is killed in the middle and started again has lost nothing that it had accepted.

use std::{
    collections::BTreeMap,
    env, fs,
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use paired_mls_api::{
    Base64Url, GroupId, JSON, LogPage, MailboxItem, MailboxPage, Problem, PublishCommit, Published,
    path,
};
use paired_mls_service::{Config, LogFormat, Server, init_logging};

use crate::{
    backend::{Backend, on_both},
    device::Device,
    messages::*,
    sockets::Remote,
};

on_both!(a_killed_server_loses_nothing);

const ROUNDS: u64 = 6;
const DATABASE: &str = "PAIRED_MLS_TEST_DATABASE";
const ADDRESS_FILE: &str = "PAIRED_MLS_TEST_ADDRESS_FILE";
const LOGS: &str = "PAIRED_MLS_TEST_LOGS";

/// Not a test of its own: the process that is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_process() {
    let Ok(database) = env::var(DATABASE) else { return };
    let logs = env::var_os(LOGS).map(|_| init_logging(LogFormat::Json, "trace").unwrap());
    let mut config = Config::new(([127, 0, 0, 1], 0).into(), database);
    config.limits.mailbox_items = 1_000_000;
    config.limits.requests_per_second = 10_000;
    config.limits.request_burst = 10_000;
    let mut server = Server::start(&config).await.unwrap();
    let file = env::var(ADDRESS_FILE).unwrap();
    fs::write(format!("{file}.new"), server.listening().to_string()).unwrap();
    fs::rename(format!("{file}.new"), file).unwrap();
    server.ended().await.unwrap();
    drop(logs);
}

/// A server in a process of its own, killed when it is dropped.
pub(crate) struct Victim(Child);

impl Drop for Victim {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Victim {
    /// Lets its files get as long as they like.
    pub(crate) fn lift_limit(&self) {
        let pid = self.0.id().to_string();
        let lifted = Command::new("prlimit").args(["--pid", &pid, "--fsize=unlimited"]).status();
        assert!(lifted.unwrap().success());
    }
}

/// Starts one whose files do not get longer than this, in bytes.
pub(crate) async fn start_limited(database: &str, file: &Path, bytes: u64) -> (Victim, Remote) {
    let mut command = Command::new("sh");
    // The signal would end the process; without it the write fails.
    command.args(["-c", "trap '' XFSZ; exec prlimit --fsize=\"$0:\" -- \"$@\""]);
    command.arg(bytes.to_string()).arg(env::current_exe().unwrap());
    spawn(&mut command, database, file).await
}

async fn start(database: &str, file: &Path) -> (Victim, Remote) {
    spawn(&mut Command::new(env::current_exe().unwrap()), database, file).await
}

/// Starts one that writes all the logs there are into a file.
pub(crate) async fn start_logging(database: &str, file: &Path, log: &Path) -> (Victim, Remote) {
    let mut command = Command::new(env::current_exe().unwrap());
    command.env(LOGS, "yes").stderr(fs::File::create(log).unwrap());
    spawn(&mut command, database, file).await
}

async fn spawn(command: &mut Command, database: &str, file: &Path) -> (Victim, Remote) {
    fs::remove_file(file).ok();
    let child = command
        .args(["--exact", "restart::child_process", "--nocapture"])
        .env(DATABASE, database)
        .env(ADDRESS_FILE, file)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let victim = Victim(child);
    let patience = Instant::now() + Duration::from_secs(60);
    loop {
        if let Ok(address) = fs::read_to_string(file) {
            let address: SocketAddr = address.parse().unwrap();
            return (victim, Remote::plain(address));
        }
        assert!(Instant::now() < patience, "the server does not start");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The commits that the service has accepted, by their epochs.
type Accepted = Arc<Mutex<BTreeMap<u64, PublishCommit>>>;

/// Commits until the server is gone. Returns a commit whose fate is unknown.
async fn commit_until_killed(
    remote: Remote,
    device: Device,
    group: GroupId,
    accepted: Accepted,
) -> PublishCommit {
    let path = path::of_group(path::GROUP_COMMITS, &group);
    let mut epoch = 0;
    loop {
        let commit = publish(&group, epoch);
        let body = serde_json::to_vec(&commit).unwrap();
        let Ok(answer) = remote.send(&device, "POST", &path, JSON, body).await else {
            return commit;
        };
        let status = answer.status();
        let Ok(body) = answer.bytes().await else { return commit };
        if status == 201 {
            let published: Published = serde_json::from_slice(&body).unwrap();
            let before = accepted.lock().unwrap().insert(published.epoch, commit);
            assert_eq!(before, None, "two winners of epoch {epoch}");
            epoch += 1;
        } else {
            let problem: Problem = serde_json::from_slice(&body).unwrap();
            epoch = problem.current_epoch.expect("another client was faster");
        }
    }
}

async fn a_killed_server_loses_nothing(backend: Backend) {
    let file = backend.folder.path().join("address");
    let (mut victim, mut remote) = start(&backend.config.database, &file).await;
    let alice = remote.register("alice").await;
    let partner = remote.sibling(&alice).await;
    let group = remote.group(&alice).await;
    let accepted = Accepted::default();
    for round in 0..ROUNDS {
        let before = accepted.lock().unwrap().len();
        let clients: Vec<_> = (0..4)
            .map(|_| {
                let (remote, alice) = (remote.clone(), alice.clone());
                tokio::spawn(commit_until_killed(remote, alice, group.clone(), accepted.clone()))
            })
            .collect();
        // However slow the machine is, something was accepted before the server is killed.
        while accepted.lock().unwrap().len() < before + 2 {
            assert!(!clients.iter().all(tokio::task::JoinHandle::is_finished));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tokio::time::sleep(Duration::from_millis(50 + 37 * round)).await;
        drop(victim);
        (victim, remote) = start(&backend.config.database, &file).await;
        for client in clients {
            settle(&remote, &alice, &group, &client.await.unwrap(), &accepted).await;
        }
    }
    let log = read_log(&remote, &alice, &group).await;
    let envelopes = read_mailbox(&remote, &partner).await;
    let accepted = accepted.lock().unwrap();
    assert!(accepted.len() as u64 > ROUNDS, "{} commits", accepted.len());
    // Whatever is in the log was accepted, or settled by a retry; and it is in one order.
    assert_eq!(log.len(), accepted.len());
    for (n, (position, epoch, message)) in log.iter().enumerate() {
        assert_eq!((*position, *epoch), (n as u64 + 1, n as u64));
        assert_eq!(&accepted[epoch].commit.0, message);
    }
    // The other device of the account has what belongs to each of them, once and in their order.
    assert!(envelopes.iter().eq(accepted.values().map(|commit| &commit.account_envelope)));
}

async fn read_mailbox(remote: &Remote, device: &Device) -> Vec<Base64Url> {
    let mut items: Vec<MailboxItem> = Vec::new();
    loop {
        let after = items.last().map_or(0, |item| item.position);
        let page: MailboxPage =
            remote.get(device, &format!("{}?after={after}", path::MAILBOX)).await;
        if page.items.is_empty() {
            return items.into_iter().map(|item| item.envelope).collect();
        }
        items.extend(page.items);
    }
}

/// A client that got no answer asks again: the answer is what it would have been.
async fn settle(
    remote: &Remote,
    device: &Device,
    group: &GroupId,
    commit: &PublishCommit,
    accepted: &Accepted,
) {
    let path = path::of_group(path::GROUP_COMMITS, group);
    let body = serde_json::to_vec(commit).unwrap();
    let answer = remote.send(device, "POST", &path, JSON, body).await.unwrap();
    let status = answer.status().as_u16();
    let body = answer.bytes().await.unwrap();
    if [200, 201].contains(&status) {
        let published: Published = serde_json::from_slice(&body).unwrap();
        let before = accepted.lock().unwrap().insert(published.epoch, commit.clone());
        assert_eq!(before, None);
    } else {
        assert_eq!(status, 409);
    }
}

async fn read_log(remote: &Remote, device: &Device, group: &GroupId) -> Vec<(u64, u64, Vec<u8>)> {
    let mut log: Vec<(u64, u64, Vec<u8>)> = Vec::new();
    loop {
        let after = log.last().map_or(0, |(position, ..)| *position);
        let path = format!("{}?after={after}", path::of_group(path::GROUP_MESSAGES, group));
        let page: LogPage = remote.get(device, &path).await;
        let entries = page.entries.into_iter();
        log.extend(entries.map(|entry| (entry.position, entry.epoch, entry.message.0)));
        if log.last().map_or(0, |(position, ..)| *position) == page.head {
            return log;
        }
    }
}
