//! Connections of those who begin something and do not go on with it.

use std::{net::SocketAddr, time::Duration};

use paired_mls_api::{
    Access, JSON, OldDevices, ProblemKind, Recover, RecoveryKey, RegisterDevice, RequestKey as _,
    path,
};
use paired_mls_service::{Clock as _, Limits, Server, SystemClock};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use crate::{
    backend::{Backend, on_both},
    device::{Answer, Device},
    messages::*,
    sockets::Remote,
    subscriptions::Reader,
};

/// Long enough for a busy machine, and shorter than anything that was waited for before.
const SOON: Duration = Duration::from_secs(20);

/// A service by a socket, with these limits.
async fn served(change: impl FnOnce(&mut Limits)) -> (Server, Backend) {
    let mut backend = Backend::sqlite();
    change(&mut backend.config.limits);
    (Server::start(&backend.config).await.unwrap(), backend)
}

async fn connect(server: &Server) -> TcpStream {
    TcpStream::connect(server.listening()).await.unwrap()
}

/// The head of a signed request that says that its body is as long.
fn head(
    device: &Device,
    at: SocketAddr,
    now: u64,
    method: &str,
    path: &str,
    body: usize,
) -> String {
    let fields = device.fields(&at.to_string(), now, method, path, &vec![0; body]);
    format!(
        "{method} {path} HTTP/1.1\r\nhost: {at}\r\ncontent-digest: {}\r\nsignature-input: {}\r\n\
         signature: {}\r\ncontent-type: {}\r\ncontent-length: {body}\r\n\r\n",
        fields.content_digest,
        fields.signature_input,
        fields.signature,
        paired_mls_api::MLS_MESSAGE,
    )
}

/// What is answered to these bytes, until the end of a head and a problem.
async fn answered(socket: &mut TcpStream, bytes: &str) -> String {
    socket.write_all(bytes.as_bytes()).await.unwrap();
    let mut seen = Vec::new();
    let read = async {
        while !seen.ends_with(b"}") {
            let mut chunk = [0; 4096];
            let length = socket.read(&mut chunk).await.unwrap();
            assert!(length > 0, "closed after {}", String::from_utf8_lossy(&seen));
            seen.extend_from_slice(&chunk[..length]);
        }
    };
    timeout(SOON, read).await.expect("an answer in time");
    String::from_utf8(seen).unwrap()
}

/// Whether the service ends the connection.
async fn ends(mut socket: TcpStream) -> bool {
    let mut rest = Vec::new();
    timeout(SOON, socket.read_to_end(&mut rest)).await.is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_on_which_nothing_goes_on_end() {
    let (server, _backend) = served(|limits| {
        limits.head_seconds = 1;
        limits.idle_seconds = 1;
    })
    .await;
    let silent = connect(&server).await;
    let mut half = connect(&server).await;
    half.write_all(b"GET /health/live HTTP/1.1\r\nhost: a\r\nx-").await.unwrap();
    let mut two = connect(&server).await;
    two.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    let mut used = connect(&server).await;
    used.write_all(b"GET /health/live HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let mut half_again = connect(&server).await;
    let begun = b"GET /health/live HTTP/1.1\r\nhost: a\r\n\r\nGET /health/live HTTP/1.1\r\n";
    half_again.write_all(begun).await.unwrap();
    for socket in [silent, half, two, used, half_again] {
        assert!(ends(socket).await);
    }
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn both_versions_of_http_are_served_in_whatever_pieces() {
    let (server, _backend) = served(|_| {}).await;
    let live = format!("http://{}{}", server.listening(), path::LIVE);
    let second = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
    for (client, version) in
        [(second, reqwest::Version::HTTP_2), (reqwest::Client::new(), reqwest::Version::HTTP_11)]
    {
        let answer = client.get(&live).send().await.unwrap();
        assert_eq!((answer.version(), answer.status().is_success()), (version, true));
    }
    for (method, status) in [("GET", "204"), ("PUT", "405"), ("PRINT", "405")] {
        let head =
            format!("{method} {} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n", path::LIVE);
        for first in 1..=4 {
            let mut socket = connect(&server).await;
            let (first, rest) = head.as_bytes().split_at(first);
            for piece in [first, rest] {
                socket.write_all(piece).await.unwrap();
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            let mut answer = String::new();
            timeout(SOON, socket.read_to_string(&mut answer)).await.unwrap().unwrap();
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{method}: {answer}");
        }
    }
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_is_read_for_those_who_may_send_it() {
    let (server, _backend) = served(|_| {}).await;
    let at = server.listening();
    let remote = Remote::plain(at);
    let alice = remote.register("alice").await;
    let now = SystemClock.now();
    let path = "/v1/groups/AAAA/messages";
    let length = 4 << 20;
    let forged = head(&alice, at, now, "POST", path, length).replace("AAAA", "AAAB");
    let stranger = head(&Device::new("nobody"), at, now, "POST", path, length);
    let late = head(&alice, at, now - 1000, "POST", path, length);
    let unsigned =
        format!("POST {path} HTTP/1.1\r\nhost: {at}\r\ncontent-length: {length}\r\n\r\n");
    let longer = head(&alice, at, now, "POST", path, length + 1);
    let registration = head(&alice, at, now, "POST", path::DEVICES, 5000);
    for (request, kind) in [
        (forged, ProblemKind::Unsigned),
        (stranger, ProblemKind::UnknownDevice),
        (late, ProblemKind::NotFresh),
        (unsigned, ProblemKind::Unsigned),
        (longer, ProblemKind::TooLarge),
        (registration, ProblemKind::TooLarge),
    ] {
        // Nothing of the body is ever sent.
        let answer = answered(&mut connect(&server).await, &request).await;
        assert!(answer.contains(kind.uri()), "{answer}");
    }
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_does_not_come_is_given_up() {
    let (server, _backend) = served(|limits| limits.body_seconds = 1).await;
    let at = server.listening();
    let alice = Remote::plain(at).register("alice").await;
    let request = head(&alice, at, SystemClock.now(), "POST", "/v1/groups/AAAA/messages", 1000);
    let answer = answered(&mut connect(&server).await, &format!("{request}a few bytes")).await;
    assert!(answer.contains(ProblemKind::TooSlow.uri()), "{answer}");
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_at_once_are_bounded() {
    let (server, _backend) = served(|limits| {
        limits.body = 1 << 20;
        limits.bodies = 1 << 20;
        limits.body_seconds = 6;
    })
    .await;
    let at = server.listening();
    let alice = Remote::plain(at).register("alice").await;
    let path = "/v1/groups/AAAA/messages";
    let request = || head(&alice, at, SystemClock.now(), "POST", path, 1 << 20);
    let mut first = connect(&server).await;
    first.write_all(request().as_bytes()).await.unwrap();
    let mut second = connect(&server).await;
    let further = request();
    let (one, two) = tokio::join!(answered(&mut first, ""), answered(&mut second, &further));
    // The one is given up because it does not come, the other because it has to wait for that.
    let kinds = [ProblemKind::TooSlow, ProblemKind::Unavailable].map(ProblemKind::uri);
    assert!(kinds.iter().all(|kind| one.contains(kind) || two.contains(kind)), "{one} {two}");
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_bounded_by_address_and_in_all() {
    let (server, mut backend) = served(|limits| limits.connections_per_address = 2).await;
    let live = "GET /health/live HTTP/1.1\r\nhost: a\r\n\r\n";
    let serves = async |socket: &mut TcpStream| {
        let mut chunk = [0; 4096];
        let wrote = socket.write_all(live.as_bytes()).await;
        wrote.is_ok() && matches!(socket.read(&mut chunk).await, Ok(length) if length > 0)
    };
    let (mut one, mut two) = (connect(&server).await, connect(&server).await);
    assert!(serves(&mut one).await && serves(&mut two).await);
    assert!(!serves(&mut connect(&server).await).await);
    drop(one);
    let freed = async { while !serves(&mut connect(&server).await).await {} };
    timeout(SOON, freed).await.expect("the place of the first");
    assert!(serves(&mut two).await);
    server.stop().await.unwrap();
    // A proxy has the connections of many, and what is left is the bound for all.
    backend.config.proxies = vec![[127, 0, 0, 1].into()];
    backend.config.limits.client_connections = 3;
    let server = Server::start(&backend.config).await.unwrap();
    let mut held = Vec::new();
    for _ in 0..3 {
        let mut socket = connect(&server).await;
        assert!(serves(&mut socket).await);
        held.push(socket);
    }
    assert!(!serves(&mut connect(&server).await).await);
    drop(held);
    server.stop().await.unwrap();
}

/// A signed request on a connection that stays open. Returns what is answered, or nothing if the connection has ended.
async fn asks(socket: &mut TcpStream, device: &Device, at: SocketAddr) -> Option<String> {
    let request = head(device, at, SystemClock.now(), "GET", path::MAILBOX, 0);
    socket.write_all(request.as_bytes()).await.ok()?;
    let mut seen = Vec::new();
    let read = async {
        let mut chunk = [0; 4096];
        while !seen.ends_with(b"}") {
            match socket.read(&mut chunk).await {
                Ok(length) if length > 0 => seen.extend_from_slice(&chunk[..length]),
                _ => return None,
            }
        }
        String::from_utf8(std::mem::take(&mut seen)).ok()
    };
    timeout(SOON, read).await.expect("an answer, or an end")
}

/// Requests of a device on as many connections that all stay open. Returns those on which it was served.
async fn held(server: &Server, device: &Device, tried: usize) -> Vec<TcpStream> {
    let mut served = Vec::new();
    for _ in 0..tried {
        let mut socket = connect(server).await;
        match asks(&mut socket, device, server.listening()).await {
            Some(answer) if answer.starts_with("HTTP/1.1 200") => served.push(socket),
            Some(answer) => {
                assert!(answer.contains(ProblemKind::TooFast.uri()), "{answer}");
                assert!(answer.contains("connection: close"), "{answer}");
                assert!(ends(socket).await, "a connection without a place ends");
            }
            None => panic!("a refusal says why"),
        }
    }
    served
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_bounded_by_device() {
    let (mut server, mut backend) = served(|limits| limits.device_connections = 3).await;
    let at = server.listening();
    let [alice, bob] = [Remote::plain(at).register("alice").await, Device::new("bob")];
    // The connection that it has registered by is one of its own, and is gone with its client.
    let freed = async { while held(&server, &alice, 3).await.len() < 3 {} };
    timeout(SOON, freed).await.expect("all places");
    let mine = async || {
        let mine = async {
            loop {
                let mine = held(&server, &alice, 6).await;
                if mine.len() == 3 {
                    return mine;
                }
            }
        };
        timeout(SOON, mine).await.expect("all places again")
    };
    let mut all = mine().await;
    // On those that it has, it goes on; and others are no matter.
    for socket in &mut all {
        let answer = asks(socket, &alice, at).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    Remote::plain(at).take(&bob).await;
    assert_eq!(held(&server, &bob, 1).await.len(), 1);
    // A subscription is a connection like any other, in both forms.
    all.pop();
    let subscribe = async || {
        let mut socket = connect(&server).await;
        let request = head(&alice, at, SystemClock.now(), "GET", path::MAILBOX_EVENTS, 0);
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut chunk = [0; 4096];
        let length = timeout(SOON, socket.read(&mut chunk)).await.expect("a head").unwrap();
        (String::from_utf8_lossy(&chunk[..length]).starts_with("HTTP/1.1 200"), socket)
    };
    let subscribed = async {
        loop {
            let (done, socket) = subscribe().await;
            if done {
                return socket;
            }
        }
    };
    let subscription = timeout(SOON, subscribed).await.expect("the place of the third");
    assert_eq!(held(&server, &alice, 2).await.len(), 0);
    // It is told, counted, and changed while the service runs.
    let service: paired_mls_api::ServiceView = Remote::plain(at).get(&bob, path::SERVICE).await;
    assert_eq!(service.limits.device_connections, 3);
    backend.config.limits.device_connections = 4;
    server.reload(&backend.config).unwrap();
    let fourth = held(&server, &alice, 2).await;
    assert_eq!(fourth.len(), 1);
    drop((all, fourth, subscription));
    server.stop().await.unwrap();
    // The connections of a proxy carry the requests of many.
    backend.config.proxies = vec![[127, 0, 0, 1].into()];
    backend.config.limits.device_connections = 1;
    let server = Server::start(&backend.config).await.unwrap();
    assert_eq!(held(&server, &alice, 5).await.len(), 5);
    server.stop().await.unwrap();
}

/// Also those by which it registers, and those of a recovery key.
#[tokio::test(flavor = "multi_thread")]
async fn registrations_and_recoveries_count_as_connections_of_their_key() {
    let (server, _backend) = served(|limits| limits.device_connections = 1).await;
    let at = server.listening();
    let (new, paper) = (Device::new("alice"), Device::new("paper"));
    let register = RegisterDevice {
        user: new.user.clone(),
        scheme: new.scheme(),
        signature_key: new.public_key().into(),
    };
    let register = serde_json::to_string(&register).unwrap();
    let key = RecoveryKey { signature_key: paper.public_key().into() };
    let key = serde_json::to_string(&key).unwrap();
    let recover = Recover {
        user: new.user.clone(),
        device: Device::new("alice").id,
        old_devices: OldDevices::Keep,
    };
    let recover = serde_json::to_string(&recover).unwrap();
    let request = |by: &Device, method: &str, path: &str, body: &str| {
        let fields = by.fields(&at.to_string(), SystemClock.now(), method, path, body.as_bytes());
        format!(
            "{method} {path} HTTP/1.1\r\nhost: {at}\r\ncontent-digest: {}\r\nsignature-input: {}\r\n\
             signature: {}\r\ncontent-type: {JSON}\r\ncontent-length: {}\r\n\r\n{body}",
            fields.content_digest,
            fields.signature_input,
            fields.signature,
            body.len(),
        )
    };
    let mut first = connect(&server).await;
    let answer = answered(&mut first, &request(&new, "POST", path::DEVICES, &register)).await;
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    let mut put = connect(&server).await;
    let answer = answered(&mut put, &request(&new, "PUT", path::RECOVERY_KEY, &key)).await;
    assert!(answer.contains(ProblemKind::TooFast.uri()), "{answer}");
    let set = request(&new, "PUT", path::RECOVERY_KEY, &key);
    first.write_all(set.as_bytes()).await.unwrap();
    let mut chunk = [0; 4096];
    let length = first.read(&mut chunk).await.unwrap();
    assert!(chunk[..length].starts_with(b"HTTP/1.1 204"));
    let mut held = connect(&server).await;
    let answer = answered(&mut held, &request(&paper, "POST", path::RECOVERY, &recover)).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    for (by, path, body) in [(&new, path::DEVICES, &register), (&paper, path::RECOVERY, &recover)] {
        let mut further = connect(&server).await;
        let answer = answered(&mut further, &request(by, "POST", path, body)).await;
        assert!(answer.contains(ProblemKind::TooFast.uri()), "{answer}");
        assert!(ends(further).await, "a connection without a place ends");
    }
    drop((first, held));
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_socket_takes_short_frames_only() {
    let (server, _backend) = served(|_| {}).await;
    let at = server.listening();
    let alice = Remote::plain(at).register("alice").await;
    let path = path::MAILBOX_SOCKET;
    let fields = alice.fields(&at.to_string(), SystemClock.now(), "GET", path, b"");
    let mut request = format!("ws://{at}{path}").into_client_request().unwrap();
    let headers = request.headers_mut();
    headers.insert("content-digest", fields.content_digest.parse().unwrap());
    headers.insert("signature-input", fields.signature_input.parse().unwrap());
    headers.insert("signature", fields.signature.parse().unwrap());
    let socket = connect(&server).await;
    let (socket, _) = tokio_tungstenite::client_async(request, socket).await.unwrap();
    let mut socket = socket.into_inner();
    // A binary frame of 15 MiB, of which the head comes and nothing else.
    let length = (15_u64 << 20).to_be_bytes();
    let frame: Vec<u8> = [0x82, 0xff].into_iter().chain(length).chain([1, 2, 3, 4]).collect();
    socket.write_all(&frame).await.unwrap();
    assert!(ends(socket).await);
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_that_does_not_read_is_given_up() {
    let (server, _backend) = served(|limits| limits.answer_seconds = 1).await;
    let at = server.listening();
    let remote = Remote::plain(at);
    let alice = remote.register("alice").await;
    let group = remote.group(&alice).await;
    let messages = path::of_group(path::GROUP_MESSAGES, &group);
    for _ in 0..12 {
        let mut message = application(&group, 0);
        // The ciphertext is the last vector: one of 1 MiB, whose length takes four bytes.
        message.truncate(message.len() - 61);
        message.extend_from_slice(&(0x8000_0000_u32 | 1 << 20).to_be_bytes());
        message.extend((0..1 << 20).map(|_| 7));
        let random = crate::device::random::<16>();
        let end = message.len();
        message[end - 16..].copy_from_slice(&random);
        let mls = paired_mls_api::MLS_MESSAGE;
        let sent = remote.send(&alice, "POST", &messages, mls, message).await.unwrap();
        assert_eq!(sent.status(), 201, "{}", sent.text().await.unwrap());
    }
    let events = path::of_group(path::GROUP_EVENTS, &group);
    let mut slow = connect(&server).await;
    let request = head(&alice, at, SystemClock.now(), "GET", &events, 0);
    slow.write_all(request.as_bytes()).await.unwrap();
    // It is waited for until the service has ended the connection: that is more than what was in it.
    tokio::time::sleep(Duration::from_secs(4)).await;
    let mut rest = Vec::new();
    let read = timeout(SOON, slow.read_to_end(&mut rest)).await.expect("the end in time");
    assert!(read.is_err() || rest.len() < 12 << 20, "{}", rest.len());
    server.stop().await.unwrap();
}

on_both!(a_device_has_so_many_subscriptions_and_requests_at_once);

async fn a_device_has_so_many_subscriptions_and_requests_at_once(mut backend: Backend) {
    backend.config.limits.device_subscriptions = 1;
    backend.config.limits.device_requests = 1;
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let bob = Device::registered(&replica, "bob").await;
    let group = new_group(&replica, &alice, Access::Roster).await;
    let first = Reader::log(&replica, &alice, &group, 0).await;
    let second = Reader::open(&replica, &alice, path::MAILBOX_EVENTS, None).await;
    second.err().unwrap().problem(ProblemKind::Full);
    assert!(Reader::open(&replica, &bob, path::MAILBOX_EVENTS, None).await.is_ok());
    drop(first);
    assert!(Reader::open(&replica, &alice, path::MAILBOX_EVENTS, None).await.is_ok());
    // A body that never comes keeps a request under way.
    let (device, service) = (alice.clone(), replica.clone());
    let waiting = tokio::spawn(async move {
        // Again, as long as it is itself the one that is refused.
        loop {
            let now = service.clock.now();
            let mut request = device.request(now, "POST", path::GROUPS, "", vec![1]);
            let body = futures_util::stream::pending::<Result<Vec<u8>, std::io::Error>>();
            *request.body_mut() = axum::body::Body::from_stream(body);
            let answer = tower::ServiceExt::oneshot(service.app.clone(), request).await.unwrap();
            Answer::of(answer).await.problem(ProblemKind::TooFast);
        }
    });
    let refused = async {
        loop {
            let answer = alice.get(&replica, path::MAILBOX).await;
            if answer.status != 200 {
                return answer.problem(ProblemKind::TooFast);
            }
            // The other one needs a moment in which nothing is under way.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let problem = timeout(SOON, refused).await.expect("the first to be under way");
    assert_eq!(problem.retry_after, Some(1));
    assert_eq!(bob.get(&replica, path::MAILBOX).await.status, 200);
    waiting.abort();
}

fn frame(bytes: &mut Vec<u8>, kind: u8, flags: u8, stream: u8, content: &[u8]) {
    bytes.extend([0, 0, u8::try_from(content.len()).unwrap(), kind, flags, 0, 0, 0, stream]);
    bytes.extend(content);
}

/// The kinds of the frames in what a server has sent, with how long they are.
fn frames(mut bytes: &[u8]) -> Vec<(u8, usize)> {
    let mut frames = Vec::new();
    while let [a, b, c, kind, _, _, _, _, _, rest @ ..] = bytes {
        let long = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
        frames.push((*kind, long));
        bytes = rest.get(long..).unwrap_or_default();
    }
    frames
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;

/// Asks by HTTP/2 for something long, with a window of as many bytes, and reads until the server has had
/// enough. Returns how many of a body have come.
async fn ask_with_window(server: &Server, window: u32) -> usize {
    let mut stream = connect(server).await;
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    let initial = [&[0, 4][..], &window.to_be_bytes()].concat();
    frame(&mut bytes, SETTINGS, 0, 0, &initial);
    let mut head = Vec::new();
    let fields =
        [(":method", "GET"), (":scheme", "http"), (":path", path::OPENAPI), (":authority", "a")];
    for (name, value) in fields {
        // A literal that is not indexed.
        head.push(0);
        for text in [name, value] {
            head.push(u8::try_from(text.len()).unwrap());
            head.extend(text.as_bytes());
        }
    }
    frame(&mut bytes, HEADERS, 5, 1, &head);
    stream.write_all(&bytes).await.unwrap();
    let mut answer = Vec::new();
    // How it ends makes no difference.
    let _ended = timeout(SOON, stream.read_to_end(&mut answer)).await.expect("it is given up");
    let frames = frames(&answer);
    assert!(frames.iter().any(|(kind, _)| *kind == HEADERS), "{frames:?}");
    frames.iter().filter(|(kind, _)| *kind == DATA).map(|(_, long)| long).sum()
}

/// A client of HTTP/2 that leaves no room for an answer, or not enough and never more, is given up, and with it
/// what was held for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_client_without_a_window_is_given_up() {
    let (server, _backend) = served(|limits| limits.answer_seconds = 1).await;
    assert_eq!(ask_with_window(&server, 0).await, 0);
    assert_eq!(ask_with_window(&server, 1000).await, 1000);
    server.stop().await.unwrap();
}
