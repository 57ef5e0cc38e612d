//! What is about the service itself.

use std::collections::BTreeSet;

use axum::{body::Body, http::Request};
use paired_mls_api::{Access, ProblemKind, path};
use serde_json::Value;
use tower::ServiceExt as _;

use crate::{
    backend::{Backend, on_both},
    device::{Answer, Device},
    messages::*,
};

on_both!(
    health_and_metrics_are_there,
    the_openapi_document_names_every_route,
    unknown_paths_and_methods_are_problems,
    a_problem_has_the_number_of_its_request,
    a_database_is_opened_twice,
);

pub(crate) async fn plain(app: axum::Router, method: &str, path: &str) -> Answer {
    let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
    Answer::of(app.oneshot(request).await.unwrap()).await
}

async fn health_and_metrics_are_there(backend: Backend) {
    let replica = backend.replica().await;
    plain(replica.app.clone(), "GET", path::LIVE).await.done();
    plain(replica.app.clone(), "GET", path::READY).await.done();

    let alice = Device::registered(&replica, "alice").await;
    let group = new_group(&replica, &alice, Access::Roster).await;
    win(&replica, &alice, &group, &publish(&group, 0)).await;
    send(&replica, &alice, &group, &publish(&group, 0)).await.problem(ProblemKind::WrongEpoch);
    replica.state.sweep().await.unwrap();
    let metrics = paired_mls_service::metrics_app(replica.state.clone());
    let text = plain(metrics, "GET", path::METRICS).await;
    let text = String::from_utf8(text.body).unwrap();
    for line in [
        r#"paired_mls_commits_total{outcome="won"} 1"#,
        r#"paired_mls_commits_total{outcome="refused"} 1"#,
        r#"route="/v1/groups/{group}/commits",status="201"} 1"#,
        "paired_mls_subscriptions 0",
        r#"paired_mls_build_info{version=""#,
        r#"transaction_duration_seconds_count{transaction="publish_commit",outcome="done"}"#,
        "paired_mls_sweeps_total 1",
        "paired_mls_mailbox_items 0",
        "paired_mls_database_connections ",
        "paired_mls_bodies_bytes 0",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
    let size = text.lines().find_map(|line| line.strip_prefix("paired_mls_database_bytes "));
    assert!(size.unwrap().parse::<u64>().unwrap() > 4096, "{text}");
    assert!(!text.contains(&group.to_string()) && !text.contains(&alice.id.to_string()));
    // Not where everyone can see them.
    let public = plain(replica.app.clone(), "GET", path::METRICS).await;
    public.problem(ProblemKind::NotFound);
    // Nor does anybody name a series.
    let series = |text: &str| text.lines().filter(|line| line.contains("_bucket{")).count();
    for number in 0..50 {
        let request = Request::builder().method(format!("X{number}").as_str()).uri(path::LIVE);
        let request = request.body(Body::empty()).unwrap();
        let answer = Answer::of(replica.app.clone().oneshot(request).await.unwrap()).await;
        answer.problem(ProblemKind::Method);
    }
    let metrics = paired_mls_service::metrics_app(replica.state.clone());
    let further = String::from_utf8(plain(metrics, "GET", path::METRICS).await.body).unwrap();
    assert!(further.contains(r#"method="other""#) && !further.contains("X4"), "{further}");
    assert!(series(&further) - series(&text) < 30, "{further}");
    replica.state.close().await;
    plain(replica.app, "GET", path::READY).await.problem(ProblemKind::Unavailable);
}

async fn the_openapi_document_names_every_route(backend: Backend) {
    let replica = backend.replica().await;
    let document: Value = plain(replica.app.clone(), "GET", path::OPENAPI).await.json(200);
    let paths = document["paths"].as_object().unwrap();
    for (path, item) in paths {
        let id = path.replace("{group}", "AAAA").replace("{device}", "AAAA");
        let id = id.replace("{user}", "AAAA").replace("{pairing}", "AAAA");
        for method in ["GET", "POST", "DELETE", "PUT", "PATCH"] {
            let answer = plain(replica.app.clone(), method, &id).await;
            let named = item.get(method.to_lowercase()).is_some();
            // A route that is there asks for a signature; one that is not is a problem of its own.
            let there = ![404, 405].contains(&answer.status.as_u16());
            assert_eq!(named, there, "{method} {path}: {}", answer.status);
        }
    }
    // No path of the interface is left out. Metrics are for the operator.
    let source = include_str!("../../../paired-mls-api/src/path.rs");
    let constants = source.lines().filter(|line| line.starts_with("pub const "));
    let known: BTreeSet<_> = constants.map(|line| line.split('"').nth(1).unwrap()).collect();
    let shown: BTreeSet<_> = paths.keys().map(String::as_str).chain([path::METRICS]).collect();
    assert_eq!(shown, known);
    // Every reference leads somewhere.
    let mut open = vec![&document];
    while let Some(value) = open.pop() {
        match value {
            Value::Object(members) => {
                // What OpenAPI 3.1 allows in a media type, as far as it is used.
                let media_types = members.get("content").and_then(Value::as_object);
                for media_type in media_types.into_iter().flat_map(|types| types.values()) {
                    let mut names = media_type.as_object().unwrap().keys();
                    assert!(names.all(|name| name == "schema" || name.starts_with("x-")));
                }
                if let Some(Value::String(reference)) = members.get("$ref") {
                    let target = reference.strip_prefix('#').unwrap();
                    assert!(document.pointer(target).is_some(), "{reference}");
                }
                open.extend(members.values());
            }
            Value::Array(items) => open.extend(items),
            _ => {}
        }
    }
}

async fn unknown_paths_and_methods_are_problems(backend: Backend) {
    let replica = backend.replica().await;
    plain(replica.app.clone(), "GET", "/v2/groups").await.problem(ProblemKind::NotFound);
    plain(replica.app.clone(), "PUT", path::LIVE).await.problem(ProblemKind::Method);
    let alice = Device::registered(&replica, "alice").await;
    let bad = alice.get(&replica, "/v1/groups/not+base64").await;
    bad.problem(ProblemKind::Malformed);
    let bad = alice.get(&replica, "/v1/mailbox?after=x").await;
    bad.problem(ProblemKind::Malformed);
    let no_upgrade = alice.get(&replica, path::MAILBOX_SOCKET).await;
    no_upgrade.problem(ProblemKind::Malformed);
    let no_upgrade = alice.get(&replica, "/v1/groups/AAAA/socket").await;
    no_upgrade.problem(ProblemKind::Malformed);
}

async fn a_database_is_opened_twice(backend: Backend) {
    let (one, two) = tokio::join!(backend.replica(), backend.replica());
    let alice = Device::registered(&one, "alice").await;
    assert_eq!(alice.get(&two, path::MAILBOX).await.status, 200);
}

async fn a_problem_has_the_number_of_its_request(backend: Backend) {
    let replica = backend.replica().await;
    let mut numbers = BTreeSet::new();
    for _ in 0..3 {
        let request = Request::builder().uri(path::MAILBOX).body(Body::empty()).unwrap();
        let response = replica.app.clone().oneshot(request).await.unwrap();
        let number = response.headers()["x-request-id"].to_str().unwrap().to_owned();
        let problem = Answer::of(response).await.problem(ProblemKind::Unsigned);
        assert_eq!(problem.request, Some(number.clone()));
        numbers.insert(number);
    }
    assert_eq!(numbers.len(), 3);
}
