//! Pages and streams are bounded by bytes, and nobody is stuck before something long.

use paired_mls_api::{
    Access, GroupId, LogEntry, LogPage, MailboxPage, ProblemKind, ServiceView, path,
};

use crate::{
    backend::{Backend, Replica, on_both},
    device::{Answer, Device},
    messages::*,
    subscriptions::Reader,
};

on_both!(
    a_page_of_a_log_is_bounded_by_bytes,
    a_page_of_a_mailbox_is_bounded_by_bytes,
    what_is_answered_at_once_is_bounded,
    long_entries_are_streamed,
    the_service_says_its_limits,
);

/// An application message of this length, and somewhat more.
fn long(group: &GroupId, length: u32) -> Vec<u8> {
    let mut message = application(group, 0);
    // The ciphertext is the last vector: 60 bytes after one that says so.
    let random = message.split_off(message.len() - 61);
    match u8::try_from(length) {
        Ok(length) if length < 64 => message.push(length),
        _ => message.extend_from_slice(&(0x8000_0000 | length).to_be_bytes()),
    }
    message.extend((0..length).zip(random[1..].iter().cycle()).map(|(_, byte)| *byte));
    message
}

async fn sent(replica: &Replica, device: &Device, group: &GroupId, lengths: &[u32]) {
    let messages = path::of_group(path::GROUP_MESSAGES, group);
    for length in lengths {
        let answer = device.post_mls(replica, &messages, &long(group, *length)).await;
        assert_eq!(answer.status, 201, "{}", String::from_utf8_lossy(&answer.body));
    }
}

async fn a_page_of_a_log_is_bounded_by_bytes(mut backend: Backend) {
    backend.config.limits.page_bytes = 100 << 10;
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let group = new_group(&replica, &alice, Access::Roster).await;
    // Two on a page, then one that is longer than a page, and then the rest.
    sent(&replica, &alice, &group, &[40 << 10, 40 << 10, 300 << 10, 10, 10, 10]).await;
    let messages = path::of_group(path::GROUP_MESSAGES, &group);
    let read = async |query: &str| {
        let path = format!("{messages}{query}");
        let page: LogPage = alice.get(&replica, &path).await.json(200);
        assert_eq!(page.head, 6);
        page.entries.into_iter().map(|entry| entry.position).collect::<Vec<_>>()
    };
    assert_eq!(read("").await, [1, 2]);
    assert_eq!(read("?after=2").await, [3]);
    assert_eq!(read("?after=3").await, [4, 5, 6]);
    assert_eq!(read("?after=3&limit=2").await, [4, 5]);
    assert_eq!(read("?after=3&bytes=200").await, [4, 5]);
    assert_eq!(read("?after=0&bytes=1").await, [1]);
    let nothing = alice.get(&replica, &format!("{messages}?bytes=0")).await;
    nothing.problem(ProblemKind::Malformed);
}

async fn a_page_of_a_mailbox_is_bounded_by_bytes(backend: Backend) {
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let stranger = Device::registered(&replica, "stranger").await;
    let mailbox = path::of_device(path::DEVICE_MAILBOX, &alice.id);
    for _ in 0..6 {
        let letter = envelope(&[7; 200 << 10]).0;
        let octets = "application/octet-stream";
        stranger.send(&replica, "POST", &mailbox, octets, letter).await.done();
    }
    // Six of 256 KiB: four are a MiB.
    let mut positions = Vec::new();
    for expected in [4, 2] {
        let after = positions.last().copied().unwrap_or(0);
        let page = alice.get(&replica, &format!("{}?after={after}", path::MAILBOX)).await;
        assert!(page.body.len() < 2 << 20);
        let page: MailboxPage = page.json(200);
        assert_eq!(page.items.len(), expected);
        positions.extend(page.items.iter().map(|item| item.position));
    }
    assert!(positions.is_sorted_by(|one, next| one < next), "{positions:?}");
}

async fn what_is_answered_at_once_is_bounded(mut backend: Backend) {
    backend.config.limits.answers = 100 << 10;
    backend.config.limits.page_bytes = 30 << 10;
    backend.config.limits.request_seconds = 2;
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let group = new_group(&replica, &alice, Access::Roster).await;
    sent(&replica, &alice, &group, &[30 << 10]).await;
    let messages = path::of_group(path::GROUP_MESSAGES, &group);
    // An answer whose body nobody takes.
    let request = alice.request(
        paired_mls_service::Clock::now(&*replica.clock),
        "GET",
        &messages,
        "",
        Vec::new(),
    );
    let held = tower::ServiceExt::oneshot(replica.app.clone(), request).await.unwrap();
    assert_eq!(held.status(), 200);
    let refused = alice.get(&replica, &messages).await.problem(ProblemKind::Unavailable);
    assert_eq!(refused.retry_after, Some(1));
    // What needs no memory is answered.
    assert_eq!(alice.get(&replica, path::MAILBOX).await.status, 200);
    assert_eq!(Answer::of(held).await.status, 200);
    assert_eq!(alice.get(&replica, &messages).await.status, 200);
}

async fn long_entries_are_streamed(mut backend: Backend) {
    // Room for two of the longest entries, each three times counted.
    backend.config.limits.answers = 7 << 20;
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let group = new_group(&replica, &alice, Access::Roster).await;
    sent(&replica, &alice, &group, &[10, 70 << 10, 1 << 20, 10]).await;
    let mut early = Reader::log(&replica, &alice, &group, 0).await;
    let mut positions = Vec::new();
    for _ in 0..4 {
        positions.push(early.next().await.unwrap().id);
    }
    // Also what comes while somebody waits: short ones by the channel, long ones from the database.
    let mut late = Reader::log(&replica, &alice, &group, 4).await;
    for lengths in [[10, 100 << 10], [1 << 20, 10], [17 << 10, 18 << 10]] {
        sent(&replica, &alice, &group, &lengths).await;
        for length in lengths {
            let (one, two) = (early.next().await.unwrap(), late.next().await.unwrap());
            assert_eq!((one.id, &one.data), (two.id, &two.data));
            let entry: LogEntry = one.read();
            assert!(entry.message.0.len() > length as usize);
            positions.push(one.id);
        }
    }
    assert_eq!(positions, (1..=10).collect::<Vec<_>>());
}

async fn the_service_says_its_limits(mut backend: Backend) {
    backend.config.limits.body = 5 << 20;
    backend.config.authorities = vec!["mls.example".to_owned()];
    let replica = backend.replica().await;
    let request = axum::http::Request::builder().uri(path::SERVICE);
    let request = request.body(axum::body::Body::empty()).unwrap();
    let answer = tower::ServiceExt::oneshot(replica.app.clone(), request).await.unwrap();
    let view: ServiceView = Answer::of(answer).await.json(200);
    assert_eq!((view.limits.body, view.limits.page_bytes), (5 << 20, 1 << 20));
    assert_eq!(view.names, ["mls.example"]);
}
