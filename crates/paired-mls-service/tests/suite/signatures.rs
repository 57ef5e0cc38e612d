//! Who makes a request, and that it is made once.

use axum::{body::Body, http::Request};
use paired_mls_api::{Access, ProblemKind, path};
use paired_mls_service::Clock as _;
use tower::ServiceExt as _;

use crate::{
    backend::{Backend, Replica, on_both},
    device::{AUTHORITY, Answer, Device},
    messages::*,
};

on_both!(
    a_request_is_taken_once_on_every_replica,
    a_read_is_taken_once_on_every_replica,
    a_refused_request_has_spent_its_nonce,
    a_signature_is_fresh,
    every_change_to_a_request_is_noticed,
    a_revoked_device_is_nobody,
    only_the_name_of_the_service_is_taken,
    a_nonce_outlives_the_window_of_the_slowest_clock,
    a_path_prefix_is_refused_with_the_reason,
);

async fn send(replica: &Replica, request: Request<Body>) -> Answer {
    Answer::of(replica.app.clone().oneshot(request).await.unwrap()).await
}

fn copy(request: &Request<Body>) -> Request<Body> {
    let mut copy = Request::builder().method(request.method()).uri(request.uri());
    for (name, value) in request.headers() {
        copy = copy.header(name, value);
    }
    copy.body(Body::empty()).unwrap()
}

async fn a_request_is_taken_once_on_every_replica(backend: Backend) {
    let (one, two) = (backend.replica().await, backend.replica().await);
    let alice = Device::registered(&one, "alice").await;
    let request = alice.request(one.clock.now(), "DELETE", path::KEY_PACKAGES, "", Vec::new());
    send(&one, copy(&request)).await.done();
    send(&one, copy(&request)).await.problem(ProblemKind::Replayed);
    send(&two, copy(&request)).await.problem(ProblemKind::Replayed);
    // Also once its nonce is forgotten, since it is then too old.
    backend.clock.forward(121);
    send(&two, request).await.problem(ProblemKind::NotFresh);
}

async fn a_read_is_taken_once_on_every_replica(backend: Backend) {
    let (one, two) = (backend.replica().await, backend.replica().await);
    let alice = Device::registered(&one, "alice").await;
    let paths = [path::MAILBOX, path::MAILBOX_EVENTS, path::KEY_PACKAGES];
    for path in paths {
        let request = alice.request(one.clock.now(), "GET", path, "", Vec::new());
        assert_eq!(send_head(&one, copy(&request)).await, 200);
        send(&one, copy(&request)).await.problem(ProblemKind::Replayed);
        // A service on SQLite is one process: no other one would have to know it.
        if backend.config.database.starts_with("postgres") {
            send(&two, copy(&request)).await.problem(ProblemKind::Replayed);
        }
        one.state.sweep().await.unwrap();
        send(&one, copy(&request)).await.problem(ProblemKind::Replayed);
    }
    let request = alice.request(one.clock.now(), "GET", path::MAILBOX, "", Vec::new());
    assert_eq!(send_head(&one, copy(&request)).await, 200);
    backend.clock.forward(121);
    send(&one, copy(&request)).await.problem(ProblemKind::NotFresh);
    // In the end nothing is kept.
    backend.clock.forward(300);
    assert!(one.state.sweep().await.unwrap() >= 4);
}

async fn a_refused_request_has_spent_its_nonce(backend: Backend) {
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let bob = Device::new("bob");
    let mailbox = path::of_device(path::DEVICE_MAILBOX, &bob.id);
    let letter = envelope(b"hello").0;
    let octets = "application/octet-stream";
    let post = || alice.request(replica.clock.now(), "POST", &mailbox, octets, letter.clone());
    let (request, again) = copies(post(), &letter);
    send(&replica, request).await.problem(ProblemKind::UnknownRecipient);
    assert_eq!(bob.register(&replica).await.status, 201);
    // What was refused does not take effect because somebody sends it again.
    send(&replica, again).await.problem(ProblemKind::Replayed);
    // Of many at once one takes effect.
    let other = backend.replica().await;
    let (first, mut further) = copies(post(), &letter);
    let mut at_once = tokio::task::JoinSet::new();
    for number in 0..8 {
        let (one, rest) = copies(further, &letter);
        further = rest;
        let replica = if number % 2 == 0 { replica.clone() } else { other.clone() };
        at_once.spawn(async move { send(&replica, one).await.status });
    }
    at_once.spawn({
        let replica = replica.clone();
        async move { send(&replica, first).await.status }
    });
    let statuses = at_once.join_all().await;
    assert_eq!(statuses.iter().filter(|status| **status == 204).count(), 1, "{statuses:?}");
    assert!(statuses.iter().all(|status| [204, 401].contains(&status.as_u16())), "{statuses:?}");
    let page: paired_mls_api::MailboxPage = bob.get(&replica, path::MAILBOX).await.json(200);
    assert_eq!(page.items.len(), 1);
}

/// The same request twice, with its body.
fn copies(request: Request<Body>, body: &[u8]) -> (Request<Body>, Request<Body>) {
    let mut second = copy(&request);
    *second.body_mut() = Body::from(body.to_vec());
    let mut first = copy(&request);
    *first.body_mut() = Body::from(body.to_vec());
    (first, second)
}

/// The status of an answer that may have no end.
async fn send_head(replica: &Replica, request: Request<Body>) -> u16 {
    replica.app.clone().oneshot(request).await.unwrap().status().as_u16()
}

/// On SQLite; a PostgreSQL server has as many writers as it has connections.
#[tokio::test(flavor = "multi_thread")]
async fn reads_do_not_wait_for_one_who_writes() {
    let backend = Backend::sqlite();
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let group = new_group(&replica, &alice, Access::Roster).await;
    let pool = sqlx::AnyPool::connect(&backend.config.database).await.unwrap();
    let held = pool.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let paths = [path::MAILBOX.to_owned(), path::of_group(path::GROUP_MESSAGES, &group)];
    for path in paths.iter().cycle().take(20) {
        assert_eq!(alice.get(&replica, path).await.status, 200);
    }
    held.rollback().await.unwrap();
}

async fn a_signature_is_fresh(backend: Backend) {
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let now = replica.clock.now();
    for (created, fresh) in
        [(now - 121, false), (now - 120, true), (now + 30, true), (now + 31, false)]
    {
        let answer =
            send(&replica, alice.request(created, "GET", path::MAILBOX, "", Vec::new())).await;
        match fresh {
            true => assert_eq!(answer.status, 200),
            false => _ = answer.problem(ProblemKind::NotFresh),
        }
    }
}

async fn every_change_to_a_request_is_noticed(backend: Backend) {
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let signed = || alice.request(replica.clock.now(), "GET", path::MAILBOX, "", Vec::new());

    let mut request = signed();
    *request.uri_mut() = "/v1/mailbox?after=1".parse().unwrap();
    send(&replica, request).await.problem(ProblemKind::Unsigned);
    let mut request = signed();
    *request.uri_mut() = path::KEY_PACKAGES.parse().unwrap();
    send(&replica, request).await.problem(ProblemKind::Unsigned);
    let mut request = signed();
    *request.body_mut() = Body::from("more");
    send(&replica, request).await.problem(ProblemKind::Unsigned);
    let mut request = signed();
    request.headers_mut().insert("host", "other.example".parse().unwrap());
    send(&replica, request).await.problem(ProblemKind::Unsigned);
    for header in ["signature", "signature-input", "content-digest", "host"] {
        let mut request = signed();
        request.headers_mut().remove(header);
        send(&replica, request).await.problem(ProblemKind::Unsigned);
    }
    // A refused request has not spent its nonce.
    let mut request = signed();
    let good = copy(&request);
    *request.body_mut() = Body::from("more");
    send(&replica, request).await.problem(ProblemKind::Unsigned);
    assert_eq!(send(&replica, good).await.status, 200);
    let stranger = Device::new("alice");
    stranger.get(&replica, path::MAILBOX).await.problem(ProblemKind::UnknownDevice);
}

async fn a_revoked_device_is_nobody(backend: Backend) {
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let lost = alice.sibling(&replica).await;
    assert_eq!(lost.get(&replica, path::MAILBOX).await.status, 200);
    let path = path::of_device(path::DEVICE, &lost.id);
    assert_eq!(alice.delete(&replica, &path).await.status, 200);
    lost.get(&replica, path::MAILBOX).await.problem(ProblemKind::UnknownDevice);
    lost.register(&replica).await.problem(ProblemKind::UnknownDevice);
}

async fn only_the_name_of_the_service_is_taken(mut backend: Backend) {
    backend.config.authorities = vec!["mls.example:8443".to_owned()];
    let replica = backend.replica().await;
    let answer = Device::new("alice").register(&replica).await;
    let problem = answer.problem(ProblemKind::Unsigned);
    let detail = problem.detail.unwrap();
    // It says which names were signed and seen.
    for part in ["another name", "signed for mls.example,", "came for mls.example,", "8443"] {
        assert!(detail.contains(part), "{detail}");
    }
    // A proxy that does not pass the name on is found out.
    let mut request = Device::new("bob").register_request(replica.clock.now());
    request.headers_mut().insert("host", "mls.example:8443".parse().unwrap());
    let kept = request.headers()["signature"].clone();
    request.headers_mut().insert("x-forwarded-host", AUTHORITY.parse().unwrap());
    let problem = send(&replica, request).await.problem(ProblemKind::Unsigned);
    let detail = problem.detail.unwrap();
    assert!(detail.contains("signed for mls.example, came for mls.example:8443"), "{detail}");
    assert!(!detail.contains(kept.to_str().unwrap()));
    backend.config.authorities.push(AUTHORITY.to_owned());
    Device::registered(&backend.replica().await, "alice").await;
}

async fn a_nonce_outlives_the_window_of_the_slowest_clock(backend: Backend) {
    let (right, late) = (backend.replica().await, backend.late_replica(60).await);
    let alice = Device::registered(&right, "alice").await;
    let request = alice.request(late.clock.now(), "DELETE", path::KEY_PACKAGES, "", Vec::new());
    send(&late, copy(&request)).await.done();
    right.clock.forward(115);
    late.clock.forward(115);
    // By one clock the signature is too old, by the other it is not.
    send(&right, copy(&request)).await.problem(ProblemKind::NotFresh);
    right.state.sweep().await.unwrap();
    send(&late, copy(&request)).await.problem(ProblemKind::Replayed);
    // Nothing is kept for ever.
    right.clock.forward(300);
    assert!(right.state.sweep().await.unwrap() > 0);
}

async fn a_path_prefix_is_refused_with_the_reason(backend: Backend) {
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let now = replica.clock.now();
    let kept = alice.request(now, "GET", "/mls/v1/mailbox", "", Vec::new());
    let problem = send(&replica, kept).await.problem(ProblemKind::NotFound);
    assert!(problem.detail.unwrap().contains("not below /mls"));
    // The same by a proxy that has taken the prefix away.
    let mut taken = alice.request(now, "GET", "/mls/v1/mailbox", "", Vec::new());
    *taken.uri_mut() = path::MAILBOX.parse().unwrap();
    taken.headers_mut().insert("x-forwarded-prefix", "/mls".parse().unwrap());
    let problem = send(&replica, taken).await.problem(ProblemKind::NotFound);
    assert!(problem.detail.unwrap().contains("not below /mls"));
}
