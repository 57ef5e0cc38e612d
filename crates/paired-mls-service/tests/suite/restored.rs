//! A database that was restored from an older copy, or rewritten, is noticed.

use std::{fs, path::Path, time::Duration};

use axum::{body::Body, http::Request};
use paired_mls_api::{
    Access, GroupId, INCARNATION, JSON, LogChain, LogPage, MLS_MESSAGE, MailboxPage, OldDevices,
    ProblemKind, Recover, path,
};
use paired_mls_service::{Admin, Clock as _, KeyPackages};
use tower::ServiceExt as _;

use crate::{
    backend::{Backend, Replica, on_both},
    device::{Answer, Device},
    messages::*,
    postgres as server,
};

on_both!(
    every_entry_has_the_hash_of_the_log,
    entries_of_before_get_their_hash,
    a_restored_database_is_noticed,
    no_position_of_a_mailbox_is_given_twice,
    who_knows_another_incarnation_is_refused,
    who_registers_or_recovers_in_another_incarnation_is_refused,
);

async fn page(replica: &Replica, device: &Device, group: &GroupId, after: u64) -> LogPage {
    let path = format!("{}?after={after}", path::of_group(path::GROUP_MESSAGES, group));
    device.get(replica, &path).await.json(200)
}

/// Checks a page as a reader would, and returns the hash behind it.
fn check(page: &LogPage) -> LogChain {
    let mut chain = page.chain;
    for (entry, position) in page.entries.iter().zip(page.after + 1..) {
        chain = chain.and_entry(entry);
        assert_eq!((entry.position, entry.chain), (position, chain));
    }
    chain
}

async fn every_entry_has_the_hash_of_the_log(backend: Backend) {
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let group = new_group(&replica, &alice, Access::Roster).await;
    let empty = page(&replica, &alice, &group, 0).await;
    assert_eq!((empty.after, empty.chain), (0, LogChain::start(&group)));
    win(&replica, &alice, &group, &publish(&group, 0)).await;
    let messages = path::of_group(path::GROUP_MESSAGES, &group);
    for message in [proposal(&group, 1), application(&group, 1)] {
        assert_eq!(alice.post_mls(&replica, &messages, &message).await.status, 201);
    }
    win(&replica, &alice, &group, &publish(&group, 1)).await;
    let all = page(&replica, &alice, &group, 0).await;
    assert_eq!((all.chain, all.entries.len()), (LogChain::start(&group), 4));
    let end = check(&all);
    for after in 1..=4 {
        let rest = page(&replica, &alice, &group, after).await;
        assert_eq!((rest.after, rest.chain), (after, all.entries[after as usize - 1].chain));
        assert_eq!(check(&rest), end);
    }
}

async fn entries_of_before_get_their_hash(backend: Backend) {
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let group = new_group(&replica, &alice, Access::Roster).await;
    for epoch in 0..3 {
        win(&replica, &alice, &group, &publish(&group, epoch)).await;
    }
    let before = page(&replica, &alice, &group, 0).await;
    let pool = sqlx::AnyPool::connect(&backend.config.database).await.unwrap();
    sqlx::query("UPDATE log SET chain = NULL").execute(&pool).await.unwrap();
    pool.close().await;
    let again = backend.replica().await;
    assert_eq!(page(&again, &alice, &group, 0).await, before);
}

/// Copies a database that nobody uses.
fn copy(backend: &Backend, from: &Path, to: &Path) {
    match backend.config.database.strip_prefix("sqlite:") {
        Some(_) => _ = fs::copy(from, to).unwrap(),
        None => {
            let of = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
            server::end_sessions(&of(from));
            server::run(&format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", of(to)));
            server::run(&format!("CREATE DATABASE {} TEMPLATE {}", of(to), of(from)));
        }
    }
}

async fn stop(replica: Replica) {
    replica.state.close().await;
}

async fn a_restored_database_is_noticed(backend: Backend) {
    let database = match backend.config.database.strip_prefix("sqlite:") {
        Some(_) => backend.folder.path().join("service.db"),
        None => server::name_of(&backend.config.database).into(),
    };
    let backup = database
        .with_file_name(format!("backup_{}", database.file_stem().unwrap().to_str().unwrap()));
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let bob = Device::registered(&replica, "bob").await;
    let (still, busy) = (
        new_group(&replica, &alice, Access::Roster).await,
        new_group(&replica, &alice, Access::Roster).await,
    );
    win(&replica, &alice, &still, &publish(&still, 0)).await;
    win(&replica, &alice, &busy, &publish(&busy, 0)).await;
    stop(replica).await;
    copy(&backend, &database, &backup);

    let replica = backend.replica().await;
    for epoch in 1..4 {
        win(&replica, &alice, &busy, &publish(&busy, epoch)).await;
    }
    let mailbox = path::of_device(path::DEVICE_MAILBOX, &alice.id);
    let octets = "application/octet-stream";
    bob.send(&replica, "POST", &mailbox, octets, envelope(b"lost").0).await.done();
    let read = page(&replica, &alice, &busy, 0).await;
    let end = check(&read);
    let quiet = page(&replica, &alice, &still, 1).await.chain;
    let items: MailboxPage = alice.get(&replica, path::MAILBOX).await.json(200);
    let last = items.items.last().unwrap().position;
    stop(replica).await;

    copy(&backend, &backup, &database);
    let replica = backend.replica().await;
    // Nothing has happened in one group since the backup: it goes on.
    assert_eq!(page(&replica, &alice, &still, 1).await.chain, quiet);
    // The other one, and the mailbox, end before what was read.
    let path = format!("{}?after=4", path::of_group(path::GROUP_MESSAGES, &busy));
    let problem = alice.get(&replica, &path).await.problem(ProblemKind::Beyond);
    assert_eq!(problem.head, Some(1));
    let events = format!("{}?after=4", path::of_group(path::GROUP_EVENTS, &busy));
    alice.get(&replica, &events).await.problem(ProblemKind::Beyond);
    let after = format!("{}?after={last}", path::MAILBOX);
    alice.get(&replica, &after).await.problem(ProblemKind::Beyond);
    // It goes on in another way, up to where it was read and further: the hash says so.
    for epoch in 1..5 {
        win(&replica, &alice, &busy, &publish(&busy, epoch)).await;
        let now = page(&replica, &alice, &busy, 0).await;
        assert_ne!(check(&now), end);
    }
    assert_ne!(page(&replica, &alice, &busy, 4).await.chain, end);
}

/// What comes after a restore is behind all that came before it.
async fn no_position_of_a_mailbox_is_given_twice(backend: Backend) {
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let mailbox = path::of_device(path::DEVICE_MAILBOX, &alice.id);
    let post = async || {
        let octets = "application/octet-stream";
        alice.send(&replica, "POST", &mailbox, octets, envelope(b"x").0).await.done();
        let items: MailboxPage = alice.get(&replica, path::MAILBOX).await.json(200);
        items.items.last().unwrap().position
    };
    let (first, second) = (post().await, post().await);
    assert_eq!(second, first + 1);
    // As if the second had never been.
    let pool = sqlx::AnyPool::connect(&backend.config.database).await.unwrap();
    for undone in ["DELETE FROM mailbox", "UPDATE devices SET mailbox_head = 0"] {
        sqlx::query(undone).execute(&pool).await.unwrap();
    }
    pool.close().await;
    backend.clock.forward(1);
    assert!(post().await > second);
}

/// A request that names the incarnation that it knows takes effect in that one only.
async fn who_knows_another_incarnation_is_refused(backend: Backend) {
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let group = new_group(&replica, &alice, Access::Roster).await;
    let ask = async |method: &str, path: &str, body: Vec<u8>, known: Option<&str>| {
        let now = backend.clock.now();
        let media = if body.is_empty() { "" } else { MLS_MESSAGE };
        let mut request = alice.request(now, method, path, media, body);
        if let Some(known) = known {
            request.headers_mut().insert(INCARNATION, known.parse().unwrap());
        }
        let response = replica.app.clone().oneshot(request).await.unwrap();
        let named = response.headers()[INCARNATION].to_str().unwrap().to_owned();
        (named, Answer::of(response).await)
    };
    let messages = path::of_group(path::GROUP_MESSAGES, &group);
    let (old, answer) = ask("GET", path::MAILBOX, Vec::new(), None).await;
    assert_eq!(answer.status, 200);
    let known = Some(old.as_str());
    assert_eq!(ask("POST", &messages, application(&group, 0), known).await.1.status, 201);

    let admin = Admin::open(&backend.config.database, backend.clock.clone()).await.unwrap();
    admin.mark_restored(KeyPackages::Kept, [7; 16]).await.unwrap();
    // A replica that runs hears of it by itself.
    let new = loop {
        let (now, answer) = ask("GET", path::MAILBOX, Vec::new(), known).await;
        if now != old {
            answer.problem(ProblemKind::OtherIncarnation);
            break now;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let refused = ask("POST", &messages, application(&group, 0), known).await.1;
    refused.problem(ProblemKind::OtherIncarnation);
    assert_eq!(page(&replica, &alice, &group, 0).await.entries.len(), 1, "nothing was written");
    let answer = ask("POST", &messages, application(&group, 0), Some(&new)).await.1;
    assert_eq!(answer.status, 201);

    // Somebody else who sends what was refused again, without the header that nobody has signed.
    let message = application(&group, 0);
    let now = backend.clock.now();
    let request = alice.request(now, "POST", &messages, MLS_MESSAGE, message.clone());
    let (mut parts, _) = request.into_parts();
    let again = Request::from_parts(parts.clone(), Body::from(message.clone()));
    parts.headers.insert(INCARNATION, old.parse().unwrap());
    parts.headers.append(INCARNATION, new.parse().unwrap());
    let refused = Request::from_parts(parts, Body::from(message));
    let refused = Answer::of(replica.app.clone().oneshot(refused).await.unwrap()).await;
    refused.problem(ProblemKind::OtherIncarnation);
    let again = Answer::of(replica.app.clone().oneshot(again).await.unwrap()).await;
    again.problem(ProblemKind::Replayed);
    assert_eq!(page(&replica, &alice, &group, 0).await.entries.len(), 2);
}

/// The same holds for requests that no registered device has signed.
async fn who_registers_or_recovers_in_another_incarnation_is_refused(backend: Backend) {
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let (paper, new) = (Device::new("paper"), Device::new("alice"));
    crate::recovery::put(&replica, &alice, &paper).await.done();
    let recover = Recover {
        user: alice.user.clone(),
        device: new.id.clone(),
        old_devices: OldDevices::Revoke,
    };
    let recover = serde_json::to_vec(&recover).unwrap();
    let now = backend.clock.now();
    let requests = || {
        let recovery = paper.request(now, "POST", path::RECOVERY, JSON, recover.clone());
        [recovery, Device::new("bob").register_request(now)]
    };
    let send =
        async |request| Answer::of(replica.app.clone().oneshot(request).await.unwrap()).await;
    for request in requests() {
        let (mut parts, body) = request.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        let again = Request::from_parts(parts.clone(), Body::from(body.clone()));
        parts.headers.insert(INCARNATION, "AAAA".parse().unwrap());
        let refused = send(Request::from_parts(parts, Body::from(body))).await;
        refused.problem(ProblemKind::OtherIncarnation);
        send(again).await.problem(ProblemKind::Replayed);
    }
    assert_eq!(alice.get(&replica, path::MAILBOX).await.status, 200, "nobody was revoked");
    let known = replica.app.clone().oneshot(requests().into_iter().next().unwrap()).await.unwrap();
    let known = known.headers()[INCARNATION].clone();
    for mut request in requests() {
        request.headers_mut().insert(INCARNATION, known.clone());
        let answer = send(request).await;
        assert!(answer.status.is_success(), "{}", String::from_utf8_lossy(&answer.body));
    }
}
