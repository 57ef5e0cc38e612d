//! What the database is stored on fails, and comes back.

use std::{
    fs::{self, File, Permissions},
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use paired_mls_api::{
    Access, GroupId, JSON, LogPage, MailboxPage, Problem, ProblemKind, Published, path,
};
use paired_mls_service::{AppState, StorageFault, StoreError};

use crate::{
    backend::{Backend, Replica},
    device::Device,
    messages::*,
    meta::plain,
    postgres, restart,
};

/// A file system in memory that is small.
pub(crate) struct Small {
    pub(crate) folder: PathBuf,
    _parent: tempfile::TempDir,
}

impl Small {
    /// Nothing for a user that may not mount; that is said.
    pub(crate) fn mount(size: &str) -> Option<Self> {
        let parent = tempfile::Builder::new().prefix("pmls").tempdir().unwrap();
        fs::set_permissions(parent.path(), Permissions::from_mode(0o755)).unwrap();
        let folder = parent.path().join("small");
        fs::create_dir(&folder).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(&folder)
            .output();
        if mounted.is_ok_and(|done| done.status.success()) {
            return Some(Self { folder, _parent: parent });
        }
        let line = "left out: the tests on a small disk: they need to mount one\n";
        std::io::stderr().write_all(line.as_bytes()).unwrap();
        None
    }

    fn remount(&self, how: &str) {
        let mount = Command::new("mount")
            .args(["-o", &format!("remount,{how}")])
            .arg(&self.folder)
            .status()
            .unwrap();
        assert!(mount.success());
    }

    /// Takes all the room there is.
    fn fill(&self) {
        let mut ballast = File::create(self.ballast()).unwrap();
        while ballast.write_all(&[0; 4096]).is_ok() {}
    }

    /// Takes all the room but so many bytes.
    pub(crate) fn fill_but(&self, free: u64) {
        self.fill();
        let ballast = File::options().write(true).open(self.ballast()).unwrap();
        let length = ballast.metadata().unwrap().len();
        ballast.set_len(length.saturating_sub(free)).unwrap();
    }

    /// Gives it back.
    pub(crate) fn empty(&self) {
        fs::remove_file(self.ballast()).unwrap();
    }

    fn ballast(&self) -> PathBuf {
        self.folder.join("ballast")
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        // Lazily: PostgreSQL keeps files open.
        let unmounted = Command::new("umount").arg("-l").arg(&self.folder).status();
        assert!(unmounted.unwrap().success());
    }
}

fn sqlite_at(folder: &Path) -> Backend {
    let mut backend = Backend::sqlite();
    backend.config.database = format!("sqlite://{}", folder.join("service.db").display());
    backend
}

async fn ready(replica: &Replica) -> u16 {
    plain(replica.app.clone(), "GET", path::READY).await.status.as_u16()
}

async fn append(replica: &Replica, device: &Device, group: &GroupId) -> Result<u64, Problem> {
    let message = long_application(group, 0, 8000);
    let path = path::of_group(path::GROUP_MESSAGES, group);
    let answer = device.post_mls(replica, &path, &message).await;
    match answer.status.as_u16() {
        201 => Ok(answer.json::<Published>(201).position),
        _ => Err(answer.problem(ProblemKind::Storage)),
    }
}

async fn entries(replica: &Replica, device: &Device, group: &GroupId) -> Vec<u64> {
    let mut found: Vec<u64> = Vec::new();
    loop {
        let after = found.last().copied().unwrap_or(0);
        let path = format!("{}?after={after}", path::of_group(path::GROUP_MESSAGES, group));
        let page: LogPage = device.get(replica, &path).await.json(200);
        if page.entries.is_empty() {
            return found;
        }
        found.extend(page.entries.iter().map(|entry| entry.position));
    }
}

/// Writes until there is no room, lets `make_room` make some, and goes on: nothing that was acknowledged
/// is lost, and nobody has to start anything again.
async fn fills_and_recovers(replica: &Replica, make_room: impl AsyncFnOnce(&Replica)) {
    let alice = Device::registered(replica, "writer").await;
    let group = new_group(replica, &alice, Access::Roster).await;
    assert_eq!(ready(replica).await, 204);
    let mut kept = Vec::new();
    let problem = loop {
        match append(replica, &alice, &group).await {
            Ok(position) => kept.push(position),
            Err(problem) => break problem,
        }
        assert!(kept.len() < 10_000, "it is never full");
    };
    assert!(problem.detail.unwrap().contains("no room"));
    assert!(problem.retry_after.is_some());
    assert_eq!(ready(replica).await, 507);
    for _ in 0..3 {
        append(replica, &alice, &group).await.unwrap_err();
    }
    make_room(replica).await;
    kept.push(append(replica, &alice, &group).await.unwrap());
    assert_eq!(ready(replica).await, 204);
    assert_eq!(entries(replica, &alice, &group).await, kept);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_database_that_may_not_grow_recovers() {
    let mut backend = Backend::sqlite();
    backend.config.database_bytes = Some(1 << 20);
    backend.config.limits.mailbox_seconds = 60;
    let replica = backend.replica().await;
    let bob = Device::registered(&replica, "bob").await;
    let mailbox = path::of_device(path::DEVICE_MAILBOX, &bob.id);
    for _ in 0..4 {
        let letter = envelope(&[0; 50_000]).0;
        bob.send(&replica, "POST", &mailbox, "application/octet-stream", letter).await.done();
    }
    fills_and_recovers(&replica, async |replica| {
        backend.clock.forward(61);
        replica.state.sweep().await.unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_full_disk_recovers() {
    let Some(disk) = Small::mount("6m") else { return };
    let replica = sqlite_at(&disk.folder).replica().await;
    let alice = Device::registered(&replica, "alice").await;
    disk.fill();
    fills_and_recovers_from(&replica, &alice, &disk).await;
    // The disk of a service that has just started.
    replica.state.close().await;
    disk.fill();
    let backend = sqlite_at(&disk.folder);
    match AppState::open(&backend.config, backend.clock.clone()).await {
        Ok(state) => drop(state),
        Err(error) => assert!(matches!(error, StoreError::Storage(..)), "{error:?}"),
    }
}

async fn fills_and_recovers_from(replica: &Replica, alice: &Device, disk: &Small) {
    // Even the nonce of a request finds no room in the end.
    let path = path::KEY_PACKAGES;
    let mut answered = 0;
    while alice.delete(replica, path).await.status == 204 {
        answered += 1;
        assert!(answered < 10_000, "it is never full");
    }
    alice.delete(replica, path).await.problem(ProblemKind::Storage);
    assert_eq!(ready(replica).await, 507);
    // Those who only read need no room.
    assert_eq!(alice.get(replica, path::MAILBOX).await.status, 200);
    fs::remove_file(disk.ballast()).unwrap();
    alice.delete(replica, path).await.done();
    assert_eq!(ready(replica).await, 204);
    fills_and_recovers(replica, async |replica| {
        disk.remount("size=12m");
        assert_eq!(ready(replica).await, 204);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_full_disk_of_postgres_recovers() {
    let (Some(disk), true) = (Small::mount("24m"), postgres::is_root()) else { return };
    let Some(database) = postgres::Elsewhere::fresh(&disk.folder) else { return };
    let mut backend = Backend::sqlite();
    backend.config.database.clone_from(&database.address);
    let replica = backend.replica().await;
    fills_and_recovers(&replica, async |_| disk.remount("size=64m")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_database_of_postgres_that_is_read_only_recovers() {
    let Some(backend) = Backend::postgres() else { return };
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let name = postgres::name_of(&backend.config.database);
    let set = |value: &str| {
        postgres::run(&format!(
            "ALTER DATABASE {name} SET default_transaction_read_only = {value}"
        ));
        // Sessions that are there go on as they are.
        postgres::end_sessions(name);
    };
    set("on");
    // The first request after that may still find a connection that has ended.
    let problem = loop {
        let answer = alice.get(&replica, path::MAILBOX).await;
        match answer.status.as_u16() {
            503 => _ = answer.problem(ProblemKind::Unavailable),
            _ => break answer.problem(ProblemKind::Storage),
        }
    };
    assert!(problem.detail.unwrap().contains("only be read"));
    assert_eq!(ready(&replica).await, 507);
    set("off");
    while alice.get(&replica, path::MAILBOX).await.problem_of() == Some(ProblemKind::Unavailable) {}
    assert_eq!(alice.get(&replica, path::MAILBOX).await.status, 200);
    assert_eq!(ready(&replica).await, 204);
}

/// Files of the process may not get longer: every write behind their end fails.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_disk_that_fails_recovers() {
    let backend = Backend::sqlite();
    let file = backend.folder.path().join("address");
    let (victim, remote) = restart::start_limited(&backend.config.database, &file, 1 << 20).await;
    let alice = remote.register("alice").await;
    let group = remote.group(&alice).await;
    let commits = path::of_group(path::GROUP_COMMITS, &group);
    let mut epoch = 0;
    let send = async |epoch| {
        let body = serde_json::to_vec(&publish(&group, epoch)).unwrap();
        remote.send(&alice, "POST", &commits, JSON, body).await.unwrap()
    };
    let refused = loop {
        let answer = send(epoch).await;
        if answer.status() != 201 {
            break answer;
        }
        epoch += 1;
        assert!(epoch < 10_000, "it never fails");
    };
    assert_eq!(refused.status(), 507);
    let problem: Problem = serde_json::from_slice(&refused.bytes().await.unwrap()).unwrap();
    assert_eq!(problem.known_kind(), Some(ProblemKind::Storage));
    victim.lift_limit();
    assert_eq!(send(epoch).await.status(), 201);
    let ready = remote.plain_get(path::READY).await;
    assert_eq!(ready.status(), 204);
    let mut after = 0;
    while after <= epoch {
        let path = format!("{}?after={after}", path::of_group(path::GROUP_MESSAGES, &group));
        let page: LogPage = remote.get(&alice, &path).await;
        for entry in page.entries {
            assert_eq!((entry.position, entry.epoch), (after + 1, after));
            after += 1;
        }
    }
}

/// A service whose database can only be read says so at once, and does not start.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_read_only_database_is_refused_at_start() {
    let (disk, backend) = match postgres::is_root() {
        // Permissions are nothing to root.
        true => {
            let Some(disk) = Small::mount("6m") else { return };
            let backend = sqlite_at(&disk.folder);
            (Some(disk), backend)
        }
        false => (None, Backend::sqlite()),
    };
    let replica = backend.replica().await;
    Device::registered(&replica, "alice").await;
    replica.state.close().await;
    drop(replica);
    let folder = backend.folder.path();
    match &disk {
        Some(disk) => disk.remount("ro"),
        None => {
            fs::set_permissions(folder.join("service.db"), Permissions::from_mode(0o400)).unwrap();
            fs::set_permissions(folder, Permissions::from_mode(0o500)).unwrap();
        }
    }
    let error = AppState::open(&backend.config, backend.clock.clone()).await.unwrap_err();
    let StoreError::Storage(fault, _) = error else { panic!("{error:?}") };
    assert!(matches!(fault, StorageFault::ReadOnly | StorageFault::Unopened), "{fault}");
    match &disk {
        Some(disk) => disk.remount("rw"),
        None => fs::set_permissions(folder, Permissions::from_mode(0o700)).unwrap(),
    }
}

/// Nobody but the owner reads the files, also those that were open to others before.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn files_are_private() {
    let backend = Backend::sqlite();
    let modes = || {
        ["service.db", "service.db-wal", "service.db-shm"].map(|name| {
            let metadata = fs::metadata(backend.folder.path().join(name)).unwrap();
            metadata.permissions().mode() & 0o777
        })
    };
    let replica = backend.replica().await;
    Device::registered(&replica, "alice").await;
    assert_eq!(modes(), [0o600; 3]);
    drop(replica);
    let file = backend.folder.path().join("service.db");
    fs::set_permissions(file, Permissions::from_mode(0o644)).unwrap();
    let replica = backend.replica().await;
    Device::registered(&replica, "bob").await;
    assert_eq!(modes(), [0o600; 3]);
}

/// What was fetched is not on the disk any more, neither in the database nor in the files beside it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_was_deleted_is_gone_from_the_disk() {
    let backend = Backend::sqlite();
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let mark = b"nobody shall read this when it is gone";
    let on_disk = || {
        let files = fs::read_dir(backend.folder.path()).unwrap();
        files.into_iter().any(|file| {
            let bytes = fs::read(file.unwrap().path()).unwrap();
            bytes.windows(mark.len()).any(|window| window == mark)
        })
    };
    let mailbox = path::of_device(path::DEVICE_MAILBOX, &alice.id);
    let letter = envelope(mark).0;
    alice.send(&replica, "POST", &mailbox, "application/octet-stream", letter).await.done();
    assert!(on_disk());
    let page: MailboxPage = alice.get(&replica, path::MAILBOX).await.json(200);
    let last = page.items.last().unwrap().position;
    alice.delete(&replica, &format!("{}?through={last}", path::MAILBOX)).await.done();
    replica.state.sweep().await.unwrap();
    assert!(!on_disk());
}
