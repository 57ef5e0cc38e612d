//! Each kind of error, told apart, and without a payload or a key in it.

use std::{
    io,
    time::{Duration, SystemTime},
};

use axum::{
    Router,
    body::{Body, Bytes},
    http::StatusCode,
    response::Redirect,
    routing::get,
};
use futures_util::{StreamExt as _, stream};
use paired_mls_api::{EVENT_STREAM, GroupId, ProblemKind, RequestKey, SignatureScheme, UserId};
use paired_mls_client::{Client, ClientError, Server};

use crate::{
    cast::{Key, Service, new_group, plain, registration},
    faulty::serve,
    messages::random,
};

/// A token that was pulled out.
struct NoToken(Key);

impl RequestKey for NoToken {
    type Error = io::Error;

    fn scheme(&self) -> SignatureScheme {
        self.0.scheme()
    }

    fn public_key(&self) -> Vec<u8> {
        self.0.public_key()
    }

    fn sign(&self, _: &[u8]) -> Result<Vec<u8>, io::Error> {
        Err(io::Error::other("no token"))
    }
}

#[tokio::test]
async fn a_key_that_does_not_sign() {
    let service = Service::start().await;
    let client = Client::new(service.address(), NoToken(Key::new())).unwrap();
    let error = client.count().await.unwrap_err();
    assert!(matches!(error, ClientError::Key(_)), "{error:?}");
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(cause, "no token");
    service.stop().await;
}

#[tokio::test]
async fn a_clock_that_is_wrong() {
    const HOUR: Duration = Duration::from_secs(3600);
    let service = Service::start().await;
    let key = Key::new();
    let body = registration(&key, "alice");
    let late = || SystemTime::now() - HOUR;
    let late = Client::with_clock(service.address(), key.clone(), late).unwrap();
    let error = late.register(&body).await.unwrap_err();
    assert!(matches!(error, ClientError::Clock(clock) if clock.there > Some(clock.here + 3000)));
    let early = || SystemTime::now() + HOUR;
    let early = Client::with_clock(service.address(), key.clone(), early).unwrap();
    let error = early.register(&body).await.unwrap_err().to_string();
    assert!(error.contains("ahead of that of the service: set it right"), "{error}");
    let right = Client::new(service.address(), key).unwrap();
    right.register(&body).await.unwrap();
    service.stop().await;
}

#[tokio::test]
async fn a_service_that_is_not_there() {
    let service = Service::start().await;
    let alice = service.device("alice").await;
    let stopped = service.stop().await;
    let error = alice.count().await.unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error:?}");
    assert!(error.is_transient());
    drop(stopped);
}

#[tokio::test]
async fn a_request_that_is_refused() {
    let service = Service::start().await;
    let error = service.stranger().count().await.unwrap_err();
    assert_eq!(error.problem(), Some(ProblemKind::UnknownDevice));
    assert!(!error.is_transient());
    // Signed for another name than the service has.
    let named = Service::with(|config, _| config.authorities = vec!["ds.example".to_owned()]).await;
    let key = Key::new();
    let body = registration(&key, "alice");
    let error = Client::new(named.address(), key).unwrap().register(&body).await.unwrap_err();
    assert_eq!(error.problem(), Some(ProblemKind::Unsigned));
    named.stop().await;
    service.stop().await;
}

#[tokio::test]
async fn something_else_at_the_address() {
    let page = "<html>Log in</html>";
    let html = Router::new().fallback(async move || axum::response::Html(page));
    let elsewhere = Router::new().fallback(async || Redirect::temporary("http://127.0.0.1:1/"));
    let missing = Router::new().fallback(async || StatusCode::NOT_FOUND);
    for (app, expected) in [(html, 200), (elsewhere, 307), (missing, 404)] {
        let client = Client::new(serve(app).await, Key::new()).unwrap();
        let group = GroupId::new(random::<16>()).unwrap();
        let user = UserId::new("alice").unwrap();
        let errors = [
            client.count().await.map(|_| ()).unwrap_err(),
            client.ack(1).await.unwrap_err(),
            client.group_info(&group).await.map(|_| ()).unwrap_err(),
            client.user(&user).await.map(|_| ()).unwrap_err(),
            client.group_events(&group, 0).next().await.unwrap().map(|_| ()).unwrap_err(),
        ];
        for error in errors {
            let ClientError::NotTheService { status, .. } = error else { panic!("{error:?}") };
            assert_eq!(status, expected);
        }
    }
}

#[tokio::test]
async fn an_answer_without_end() {
    let endless = async || {
        let chunk = Bytes::from(vec![b' '; 1 << 20]);
        Body::from_stream(stream::repeat(chunk).map(Ok::<_, io::Error>))
    };
    let client = Client::new(serve(Router::new().fallback(endless)).await, Key::new()).unwrap();
    let error = client.items(0, None).await.unwrap_err();
    assert!(matches!(error, ClientError::TooLong { .. }), "{error:?}");
}

#[tokio::test]
async fn an_event_without_end() {
    let endless = async || {
        let chunk = Bytes::from(vec![b'a'; 1 << 20]);
        let chunks = stream::iter([Bytes::from_static(b"data: ")]).chain(stream::repeat(chunk));
        ([("content-type", EVENT_STREAM)], Body::from_stream(chunks.map(Ok::<_, io::Error>)))
    };
    let client = Client::new(serve(Router::new().fallback(endless)).await, Key::new()).unwrap();
    let mut mailbox = client.mailbox_events(0);
    let error = mailbox.next().await.unwrap().unwrap_err();
    assert!(matches!(error, ClientError::TooLong { .. }), "{error:?}");
    assert!(mailbox.next().await.is_none());
}

/// A service that sends these events, and then is silent.
async fn events(events: &'static str) -> Server {
    let answer = async move || {
        let silent = stream::pending();
        let body = stream::iter([Ok::<_, io::Error>(Bytes::from_static(events.as_bytes()))]);
        ([("content-type", EVENT_STREAM)], Body::from_stream(body.chain(silent)))
    };
    serve(Router::new().fallback(get(answer))).await
}

/// An event of a log, with a hash that is right behind nothing.
fn entry(position: u64, epoch: u64) -> String {
    let chain = paired_mls_api::Base64Url([0; 32].to_vec());
    format!(
        "id: {position}\nevent: commit\ndata: {{\"position\":{position},\"epoch\":{epoch},\
         \"kind\":\"commit\",\"message\":\"AA\",\"chain\":\"{chain}\"}}\n\n"
    )
}

fn leak(events: &[String]) -> &'static str {
    events.concat().leak()
}

#[tokio::test]
async fn a_log_that_does_not_go_on_from_what_was_read() {
    let service = events(leak(&[entry(1, 0), entry(2, 1)])).await;
    let client = Client::new(service, Key::new()).unwrap();
    let mut log = client.group_events(&GroupId::new(random::<16>()).unwrap(), 0);
    assert_eq!(log.next().await.unwrap().unwrap().position, 1);
    let error = log.next().await.unwrap().unwrap_err();
    assert!(matches!(error, ClientError::OtherHistory { after: 1, .. }), "{error:?}");
    assert!(log.next().await.is_none());
}

#[tokio::test]
async fn a_log_with_a_gap() {
    // What is there twice comes once.
    let service = events(leak(&[entry(1, 0), entry(1, 0), entry(3, 2)])).await;
    let client = Client::new(service, Key::new()).unwrap();
    let mut log = client.group_events(&GroupId::new(random::<16>()).unwrap(), 0);
    assert_eq!(log.next().await.unwrap().unwrap().position, 1);
    let error = log.next().await.unwrap().unwrap_err();
    assert!(matches!(error, ClientError::Gap { after: 1, found: 3 }), "{error:?}");
    assert!(log.next().await.is_none());
}

#[tokio::test]
async fn an_event_that_is_none() {
    let client = Client::new(events("data: hello\n\n").await, Key::new()).unwrap();
    let mut mailbox = client.mailbox_events(0);
    let error = mailbox.next().await.unwrap().unwrap_err();
    assert!(matches!(error, ClientError::NotTheService { .. }), "{error:?}");
    assert!(mailbox.next().await.is_none());
}

#[tokio::test]
async fn no_error_steers_the_terminal_or_shows_a_key() {
    let problem = r#"{"type":"urn:paired-mls:problem:forbidden","title":"No\u001b[2J","status":403,"detail":"a\u0007b"}"#;
    let answer =
        async move || (StatusCode::FORBIDDEN, [("content-type", paired_mls_api::PROBLEM)], problem);
    let key = Key::new();
    let client = Client::new(serve(Router::new().fallback(answer)).await, key.clone()).unwrap();
    let error = client.count().await.unwrap_err();
    assert_eq!(error.problem(), Some(ProblemKind::Forbidden));
    assert_eq!(error.to_string(), "No[2J: ab");
    let shown = format!("{client:?}");
    let private = key.0.to_bytes().map(|byte| byte.to_string()).join(", ");
    assert!(!shown.contains(&private) && shown.contains("device"), "{shown}");
}

#[tokio::test]
async fn the_group_is_not_in_the_error_of_the_network() {
    let service = Service::start().await;
    let alice = service.device("alice").await;
    let group = new_group(&alice).await;
    let at = service.listening();
    let stopped = service.stop().await;
    let error = Client::new(plain(at), Key::new()).unwrap().group(&group).await.unwrap_err();
    assert!(!format!("{error:?}").contains(&group.to_string()), "{error:?}");
    drop(stopped);
}

#[tokio::test]
async fn a_page_that_is_too_long_is_asked_for_in_parts() {
    // A service that gives as many as it is asked for, however long they are.
    let answer = async |uri: axum::http::Uri| {
        let query = uri.query().unwrap_or_default();
        let limit = query.split('&').find_map(|part| part.strip_prefix("limit="));
        let limit = limit.map_or(256, |limit| limit.parse().unwrap());
        let item = Bytes::from_static(br#"{"position":1,"envelope":"AA"}"#);
        let mut body = vec![Bytes::from_static(b"{\"items\":[")];
        for number in 0..limit {
            // Sixteen MiB each.
            body.extend(std::iter::repeat_n(Bytes::from(vec![b' '; 1 << 20]), 16));
            body.extend((number > 0).then(|| Bytes::from_static(b",")));
            body.push(item.clone());
        }
        body.push(Bytes::from_static(b"]}"));
        let body = Body::from_stream(stream::iter(body).map(Ok::<_, io::Error>));
        ([("content-type", paired_mls_api::JSON)], body)
    };
    let client = Client::new(serve(Router::new().fallback(answer)).await, Key::new()).unwrap();
    assert_eq!(client.items(0, Some(8)).await.unwrap().items.len(), 2);
    assert_eq!(client.items(0, Some(1)).await.unwrap().items.len(), 1);
}

#[tokio::test]
async fn a_body_that_is_too_long_is_not_sent() {
    let service = Service::with(|config, _| config.limits.body = 100 << 10).await;
    let alice = service.device("alice").await;
    let group = new_group(&alice).await;
    assert_eq!(alice.service().await.unwrap().limits.body, 100 << 10);
    let error = alice.publish_message(&group, &[0; 101 << 10]).await.unwrap_err();
    assert_eq!(error.problem(), Some(ProblemKind::TooLarge));
    let ClientError::Refused(problem) = error else { panic!("{error:?}") };
    // The service would have given it a number.
    assert_eq!(problem.request, None);
    let error = alice.publish_message(&group, &[0; 100 << 10]).await.unwrap_err();
    assert_eq!(error.problem(), Some(ProblemKind::InvalidMessage));
    service.stop().await;
}
