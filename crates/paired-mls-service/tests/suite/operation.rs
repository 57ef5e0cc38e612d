//! What an operator does, and what goes wrong below a service that runs.

use std::{path::PathBuf, time::Duration};

use paired_mls_api::{JSON, Problem, ProblemKind, ServiceView, path};
use paired_mls_service::{AppState, Server, StartError, StoreError, TlsFiles};
use serde::de::DeserializeOwned;
use sqlx::{Connection as _, Executor as _, SqliteConnection};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{UnixListener, UnixStream},
    sync::watch,
    time::timeout,
};

use crate::{
    backend::{Backend, on_both},
    device::Device,
    messages::*,
    meta::plain,
    sockets::{Remote, install_provider},
};

on_both!(limits_are_reloaded, a_service_that_cannot_write_says_so_at_once);

/// Long enough for a busy machine, and shorter than anything that was waited for before.
const SOON: Duration = Duration::from_secs(9);

async fn read<T: DeserializeOwned>(answer: reqwest::Response) -> T {
    serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
}

async fn limits_are_reloaded(backend: Backend) {
    let mut server = Server::start(&backend.config).await.unwrap();
    let remote = Remote::plain(server.listening());
    let alice = remote.register("alice").await;
    let shown = async || read::<ServiceView>(remote.plain_get(path::SERVICE).await).await.limits;
    let at = server.listening();
    let post = async |bytes: usize| {
        let mailbox = path::of_device(path::DEVICE_MAILBOX, &alice.id);
        let letter = envelope(&vec![0; bytes]).0;
        // The connection of a body that is not read ends.
        let other = Remote::plain(at);
        let sent = other.send(&alice, "POST", &mailbox, "application/octet-stream", letter);
        sent.await.unwrap().status().as_u16()
    };
    let events =
        async || remote.send(&alice, "GET", path::MAILBOX_EVENTS, "", Vec::new()).await.unwrap();
    let before = shown().await;
    assert_eq!(post(20_000).await, 204);

    // What nobody could serve with changes nothing.
    let mut bad = backend.config.clone();
    bad.limits.body = 10_000;
    bad.limits.page = 0;
    let refused = server.reload(&bad).unwrap_err().to_string();
    assert!(refused.contains("the limit page is 0"), "{refused}");
    assert_eq!(shown().await, before);
    assert_eq!(post(20_000).await, 204);

    let mut changed = backend.config.clone();
    changed.limits.body = 10_000;
    changed.limits.device_subscriptions = 1;
    changed.listen = ([127, 0, 0, 1], 1).into();
    assert_eq!(server.reload(&changed).unwrap(), ["listen"]);
    assert_eq!(shown().await.body, 10_000);
    assert_eq!(post(20_000).await, 413);
    let first = events().await;
    assert_eq!(first.status(), 200);
    assert_eq!(events().await.status(), 429);
    changed.limits.device_subscriptions = 2;
    server.reload(&changed).unwrap();
    let second = events().await;
    assert_eq!(second.status(), 200);
    changed.limits.connections_per_address = 1;
    server.reload(&changed).unwrap();
    // Two connections from here are there already.
    let further = Remote::plain(server.listening());
    let url = format!("{}{}", further.base, path::LIVE);
    assert!(further.client.get(url).send().await.is_err());
    drop((first, second));
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn certificates_are_reloaded() {
    let mut backend = Backend::sqlite();
    let files = TlsFiles {
        certificates: backend.folder.path().join("chain.pem"),
        private_key: backend.folder.path().join("key.pem"),
    };
    let renew = || {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        std::fs::write(&files.certificates, made.cert.pem()).unwrap();
        std::fs::write(&files.private_key, made.signing_key.serialize_pem()).unwrap();
        reqwest::Certificate::from_pem(made.cert.pem().as_bytes()).unwrap()
    };
    let first = renew();
    backend.config.tls = Some(files.clone());
    let mut server = Server::start(&backend.config).await.unwrap();
    install_provider();
    let port = server.listening().port();
    let reached_by = async |root: &reqwest::Certificate| {
        let client = reqwest::Client::builder().tls_certs_only([root.clone()]).build().unwrap();
        client.get(format!("https://localhost:{port}{}", path::LIVE)).send().await.is_ok()
    };
    assert!(reached_by(&first).await);
    let second = renew();
    assert!(reached_by(&first).await && !reached_by(&second).await);
    server.reload(&backend.config).unwrap();
    assert!(!reached_by(&first).await && reached_by(&second).await);
    // A key that does not fit: the one that is there stays.
    renew();
    let other = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    std::fs::write(&files.private_key, other.signing_key.serialize_pem()).unwrap();
    let mut changed = backend.config.clone();
    changed.limits.page = 17;
    assert!(matches!(server.reload(&changed), Err(StartError::Tls(_))));
    assert!(reached_by(&second).await);
    let root = [second.clone()];
    let client = reqwest::Client::builder().tls_certs_only(root).build().unwrap();
    let service = client.get(format!("https://localhost:{port}{}", path::SERVICE)).send().await;
    let view: ServiceView = read(service.unwrap()).await;
    assert_ne!(view.limits.page, 17, "all of it, or nothing");
    server.stop().await.unwrap();
}

/// A further process with the file of a SQLite database.
async fn other_process(backend: &Backend) -> SqliteConnection {
    SqliteConnection::connect(&backend.config.database).await.unwrap()
}

/// Keeps the database from taking anything.
enum Obstacle {
    File(SqliteConnection),
    Server(sqlx::PgConnection),
}

impl Obstacle {
    async fn of(backend: &Backend) -> Self {
        if backend.config.database.starts_with("sqlite") {
            let mut other = other_process(backend).await;
            other.execute("BEGIN IMMEDIATE").await.unwrap();
            return Self::File(other);
        }
        let mut other = sqlx::PgConnection::connect(&backend.config.database).await.unwrap();
        other.execute("BEGIN; LOCK TABLE probe, mailbox IN ACCESS EXCLUSIVE MODE").await.unwrap();
        Self::Server(other)
    }

    async fn end(self) {
        match self {
            Self::File(mut other) => _ = other.execute("ROLLBACK").await.unwrap(),
            Self::Server(mut other) => _ = other.execute("ROLLBACK").await.unwrap(),
        }
    }
}

/// Readiness is answered while the database takes nothing, whatever it waits for, and is there again
/// when it does.
async fn a_service_that_cannot_write_says_so_at_once(backend: Backend) {
    let replica = backend.replica().await;
    let ready = async || plain(replica.app.clone(), "GET", path::READY).await;
    ready().await.done();
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let obstacle = Obstacle::of(&backend).await;
    let asked = futures_util::future::join_all((0..20).map(|_| ready()));
    for answer in timeout(SOON, asked).await.unwrap() {
        answer.problem(ProblemKind::Unavailable);
    }
    obstacle.end().await;
    let again = async { while ready().await.status != 204 {} };
    timeout(SOON, again).await.unwrap();
}

/// Another program that keeps the SQLite file locked is named to whoever has to write, and to each of many
/// who wait at once. Whoever only reads does not notice.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_locked_file_is_found() {
    let backend = Backend::sqlite();
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let mut other = other_process(&backend).await;
    other.execute("BEGIN IMMEDIATE").await.unwrap();
    let write = |_| alice.delete(&replica, path::KEY_PACKAGES);
    let answers = futures_util::future::join_all((0..16).map(write));
    for answer in timeout(SOON, answers).await.unwrap() {
        let problem = answer.problem(ProblemKind::Unavailable);
        assert!(problem.detail.unwrap().contains("keeps the database locked"));
        assert!(problem.retry_after.is_some());
    }
    assert_eq!(alice.get(&replica, path::MAILBOX).await.status, 200);
    // Nor does a service start on it for ever.
    let opened = AppState::open(&backend.config, backend.clock.clone());
    let opened = timeout(SOON, opened).await.unwrap();
    assert!(matches!(opened, Ok(_) | Err(StoreError::Locked(_))), "{opened:?}");
    other.execute("ROLLBACK").await.unwrap();
    alice.delete(&replica, path::KEY_PACKAGES).await.done();
}

/// One file of SQLite has one process that serves it: what was read is remembered there.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_second_server_on_one_file_is_refused() {
    let backend = Backend::sqlite();
    let server = Server::start(&backend.config).await.unwrap();
    let refused = |error: StartError| {
        let StartError::Database(error @ StoreError::Served { .. }) = error else {
            panic!("{error:?}")
        };
        error.to_string()
    };
    let told = refused(Server::start(&backend.config).await.unwrap_err());
    assert!(told.contains(&format!("(pid {})", std::process::id())), "{told}");
    // By another name of the same file, too.
    let link = backend.folder.path().join("link.db");
    std::os::unix::fs::symlink(backend.folder.path().join("service.db"), &link).unwrap();
    let mut config = backend.config.clone();
    config.database = format!("sqlite://{}", link.display());
    refused(Server::start(&config).await.unwrap_err());
    server.stop().await.unwrap();
    Server::start(&config).await.unwrap().stop().await.unwrap();
}

/// A way to the PostgreSQL server that can be blocked: then nothing is lost, and nothing arrives.
struct Way {
    folder: tempfile::TempDir,
    blocked: watch::Sender<bool>,
}

impl Way {
    fn to(socket: PathBuf) -> Self {
        let folder = tempfile::Builder::new().prefix("pmls").tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join(".s.PGSQL.5432")).unwrap();
        let blocked = watch::channel(false).0;
        let way = blocked.clone();
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let far = UnixStream::connect(socket.join(".s.PGSQL.5432")).await.unwrap();
                let (near, far) = (near.into_split(), far.into_split());
                for (mut from, mut to) in [(near.0, far.1), (far.0, near.1)] {
                    let mut blocked = way.subscribe();
                    tokio::spawn(async move {
                        let mut bytes = vec![0; 4096];
                        while let Ok(read @ 1..) = from.read(&mut bytes).await {
                            blocked.wait_for(|blocked| !blocked).await.ok()?;
                            to.write_all(bytes.get(..read)?).await.ok()?;
                        }
                        Some(())
                    });
                }
            }
        });
        Self { folder, blocked }
    }
}

/// A server whose database does not answer any more is ready for nothing, says so, and stops when it is told
/// to, also with requests that wait for the database.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_server_stops_although_its_database_does_not_answer() {
    let Some(mut backend) = Backend::postgres() else { return };
    let (address, socket) = backend.config.database.split_once("host=").unwrap();
    let way = Way::to(socket.into());
    backend.config.database = format!("{address}host={}", way.folder.path().display());
    backend.config.grace = Duration::from_secs(3600);
    backend.config.connections = 2;
    let server = Server::start(&backend.config).await.unwrap();
    let remote = Remote::plain(server.listening());
    let alice = remote.register("alice").await;
    assert_eq!(remote.plain_get(path::READY).await.status(), 204);
    way.blocked.send_replace(true);
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let ready = timeout(SOON, remote.plain_get(path::READY)).await.unwrap();
    assert_eq!(ready.status(), 503);
    // Of these, some have a connection, and some wait for one.
    let waiting: Vec<_> = (0..6)
        .map(|_| {
            let (remote, alice) = (remote.clone(), alice.clone());
            tokio::spawn(async move {
                let answer = remote.send(&alice, "DELETE", path::KEY_PACKAGES, JSON, vec![]).await;
                let Ok(answer) = answer else { return };
                assert_eq!(answer.status(), 503);
                read::<Problem>(answer).await;
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(300)).await;
    timeout(SOON, server.stop()).await.expect("at once").unwrap();
    for request in waiting {
        timeout(SOON, request).await.unwrap().unwrap();
    }
}

/// The same for a database that is not there at all any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_server_stops_although_its_database_is_gone() {
    let Some(mut backend) = Backend::postgres() else { return };
    backend.config.grace = Duration::from_secs(3600);
    let server = Server::start(&backend.config).await.unwrap();
    let remote = Remote::plain(server.listening());
    let alice = remote.register("alice").await;
    let name = crate::postgres::name_of(&backend.config.database).to_owned();
    crate::postgres::run(&format!("ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false"));
    crate::postgres::end_sessions(&name);
    let waiting = tokio::spawn(async move {
        // It may be cut off.
        let _answer = remote.send(&alice, "DELETE", path::KEY_PACKAGES, JSON, vec![]).await;
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    timeout(SOON, server.stop()).await.expect("at once").unwrap();
    timeout(SOON, waiting).await.unwrap().unwrap();
}
