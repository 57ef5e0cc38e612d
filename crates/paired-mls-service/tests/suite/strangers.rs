//! What somebody learns of a group who is not in it: nothing, not even whether it is there.

use std::collections::{BTreeMap, BTreeSet};

use paired_mls_api::{
    Access, CreateGroup, GroupId, JSON, LogPage, MLS_MESSAGE, ProblemKind, PublishCommit,
    Published, RosterChange, RosterRepair, path,
};
use paired_mls_service::{Clock as _, Server, SystemClock};
use serde::Serialize;
use sqlx::{Connection as _, SqliteConnection};

use crate::{
    backend::{Backend, on_both},
    device::{Device, random},
    member::{Member, Tree},
    messages::*,
    sockets::Remote,
};

on_both!(a_stranger_cannot_tell_a_group_from_none, an_id_is_of_its_creator,);

/// A request of a stranger's: method, path, media type, body.
type Asked = (&'static str, String, &'static str, Vec<u8>);

fn json(body: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(body).unwrap()
}

/// Everything that a stranger can ask of a group, as well as it can be made from the id alone.
fn questions(mallory: &Device, alice: &Device, group: &GroupId) -> Vec<Asked> {
    let at = |pattern| path::of_group(pattern, group);
    let mut posing = Member::founder(mallory, group, Tree::Within);
    let info = posing.group_info(Tree::Within);
    let created = |group_info: Option<Vec<u8>>, epoch, access| {
        let group_info = group_info.map(Into::into);
        json(&CreateGroup { group: group.clone(), epoch, access, group_info })
    };
    let commits = [publish(group, 0), publish(group, 1), publish(group, 7)];
    let roster = RosterChange { add: vec![mallory.user.clone()], remove: vec![alice.user.clone()] };
    let welcome = envelope(b"welcome");
    let recipients = vec![mallory.id.clone()];
    let welcomes = vec![paired_mls_api::WelcomeFor { recipients, envelope: welcome }];
    let mut outside = Member::of(mallory);
    let from_outside = outside.come(&info).publish(&[]);
    let of_member = posing.commit(&[], &[]).publish(&[]);
    posing.discard();
    let mut commits: Vec<_> = commits.into_iter().chain([from_outside, of_member]).collect();
    commits.push(PublishCommit { roster, ..publish(group, 1) });
    commits.push(PublishCommit { welcomes, ..publish(group, 1) });
    commits.push(PublishCommit { group_info: Some(info.clone().into()), ..publish(group, 1) });
    commits.push(PublishCommit { commit: external_commit(group, 0).into(), ..publish(group, 0) });
    let newcomer = Member::of(mallory).key_package();
    let messages = [
        application(group, 0),
        application(group, 1),
        proposal(group, 0),
        posing.propose_update(mallory.user.as_bytes()),
        posing.propose_update(alice.user.as_bytes()),
        posing.propose_add(&newcomer),
        commit(group, 0),
    ];
    let mut asked: Vec<Asked> = Vec::new();
    for body in [
        created(None, 0, Access::Roster),
        created(None, 5, Access::Anyone),
        created(Some(info.clone()), 0, Access::Anyone),
    ] {
        asked.push(("POST", path::GROUPS.to_owned(), JSON, body));
    }
    for query in ["", "?after=0", "?after=1", "?after=1000", "?limit=1", "?after=nothing"] {
        for pattern in [path::GROUP_MESSAGES, path::GROUP_EVENTS, path::GROUP_SOCKET] {
            asked.push(("GET", format!("{}{query}", at(pattern)), "", Vec::new()));
        }
    }
    for pattern in [path::GROUP, path::GROUP_INFO] {
        asked.push(("GET", at(pattern), "", Vec::new()));
    }
    asked.push(("PUT", at(path::GROUP_INFO), MLS_MESSAGE, info));
    asked.push(("PUT", at(path::GROUP_INFO), MLS_MESSAGE, b"junk".to_vec()));
    for commit in &commits {
        asked.push(("POST", at(path::GROUP_COMMITS), JSON, json(commit)));
    }
    for message in messages {
        asked.push(("POST", at(path::GROUP_MESSAGES), MLS_MESSAGE, message));
    }
    for users in [Vec::new(), vec![mallory.user.clone()], vec![alice.user.clone()]] {
        asked.push(("POST", at(path::GROUP_ROSTER), JSON, json(&RosterRepair { put_back: users })));
    }
    asked
}

/// What is answered, without the number and the date of the request.
async fn answer(remote: &Remote, device: &Device, asked: &Asked) -> (u16, Vec<String>, String) {
    let (method, path, media_type, body) = asked;
    let fields = device.fields(&remote.authority, SystemClock.now(), method, path, body);
    let url = format!("{}{path}", remote.base);
    let mut request = remote.client.request(method.parse().unwrap(), url);
    if path.contains("/socket") {
        for (name, value) in [
            ("connection", "upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "AAAAAAAAAAAAAAAAAAAAAA=="),
        ] {
            request = request.header(name, value);
        }
    }
    if !media_type.is_empty() {
        request = request.header("content-type", *media_type);
    }
    let request = request
        .header("content-digest", fields.content_digest)
        .header("signature-input", fields.signature_input)
        .header("signature", fields.signature)
        .body(body.clone());
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    let number = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
    let headers = answer.headers().iter();
    let headers = headers.filter(|(name, _)| !["date", "x-request-id"].contains(&name.as_str()));
    let headers = headers.map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()));
    let headers = headers.collect();
    (status, headers, answer.text().await.unwrap().replace(&number, "number"))
}

/// The questions are those that there are: each path and method below `groups` is asked.
async fn covers(remote: &Remote, group: &GroupId, asked: &[Asked]) {
    let document = remote.plain_get(path::OPENAPI).await.text().await.unwrap();
    let document: serde_json::Value = serde_json::from_str(&document).unwrap();
    let id = group.to_string();
    let mut here = BTreeMap::<String, BTreeSet<String>>::new();
    for (method, path, ..) in asked {
        let path = path.split('?').next().unwrap().replace(&id, "{group}");
        here.entry(path).or_default().insert(method.to_lowercase());
    }
    let mut there = BTreeMap::<String, BTreeSet<String>>::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        if path.starts_with(path::GROUPS) {
            let methods = item.as_object().unwrap().keys();
            let methods =
                methods.filter(|name| ["get", "put", "post", "delete"].contains(&name.as_str()));
            there.entry(path.clone()).or_default().extend(methods.cloned());
        }
    }
    assert!(there.len() > 7, "{there:?}");
    assert_eq!(here, there);
}

async fn a_stranger_cannot_tell_a_group_from_none(backend: Backend) {
    let server = Server::start(&backend.config).await.unwrap();
    let remote = Remote::plain(server.listening());
    let alice = remote.register("alice").await;
    let mallory = remote.register("mallory").await;
    // One has members, a log, and what others could join by; the other is not there.
    let (group, nowhere) = (alice.new_group_id(), alice.new_group_id());
    let mut member = Member::founder(&alice, &group, Tree::Within);
    let group_info = Some(member.group_info(Tree::Within).into());
    let create = CreateGroup { group: group.clone(), epoch: 0, access: Access::Roster, group_info };
    let _: paired_mls_api::GroupView = remote.post(&alice, path::GROUPS, &create).await;
    let made = member.commit(&[], &[]);
    let commits = path::of_group(path::GROUP_COMMITS, &group);
    let _: Published = remote.post(&alice, &commits, &made.publish(&[])).await;
    // And one whose GroupInfo is that of its epoch, by which the service knows whose each leaf is.
    let fresh = alice.new_group_id();
    let group_info = Member::founder(&alice, &fresh, Tree::Within).group_info(Tree::Within);
    let group_info = Some(group_info.into());
    let create = CreateGroup { group: fresh.clone(), epoch: 0, access: Access::Roster, group_info };
    let _: paired_mls_api::GroupView = remote.post(&alice, path::GROUPS, &create).await;
    let there = questions(&mallory, &alice, &nowhere);
    covers(&remote, &nowhere, &there).await;
    let mut kinds = BTreeSet::new();
    for group in [&group, &fresh] {
        let here = questions(&mallory, &alice, group);
        assert_eq!(here.len(), there.len());
        for (one, other) in here.iter().zip(&there) {
            let (in_it, outside) =
                (answer(&remote, &mallory, one).await, answer(&remote, &mallory, other).await);
            assert_eq!(in_it, outside, "{} {}", one.0, one.1);
            assert!(in_it.0 >= 400, "{} {} {in_it:?}", one.0, one.1);
            kinds.insert(in_it.0);
        }
    }
    assert!(kinds.contains(&403) && kinds.contains(&404), "{kinds:?}");
    // Nothing of it has changed anything.
    let log: LogPage = remote.get(&alice, &path::of_group(path::GROUP_MESSAGES, &group)).await;
    assert_eq!(log.head, 1);
    server.stop().await.unwrap();
}

async fn an_id_is_of_its_creator(backend: Backend) {
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let bob = Device::registered(&replica, "bob").await;
    let create = |group: &GroupId| CreateGroup {
        group: group.clone(),
        epoch: 0,
        access: Access::Roster,
        group_info: None,
    };
    for id in [
        GroupId::new(random::<16>()).unwrap(),
        GroupId::new(random::<32>()).unwrap(),
        GroupId::new(*b"mine").unwrap(),
        bob.new_group_id(),
    ] {
        let refused = alice.post(&replica, path::GROUPS, &create(&id)).await;
        let told = refused.problem(ProblemKind::Forbidden).detail.unwrap();
        assert!(told.contains("16 new random bytes"), "{told}");
    }
    // Another device of the account has made it already: this is told, for it is the account's own.
    let phone = alice.sibling(&replica).await;
    let group = new_group(&replica, &alice, Access::Roster).await;
    phone.post(&replica, path::GROUPS, &create(&group)).await.problem(ProblemKind::Exists);
}

/// Groups of before ids were made in this way go on.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_group_with_an_id_of_before_goes_on() {
    let backend = Backend::sqlite();
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let bob = Device::registered(&replica, "bob").await;
    let group = GroupId::new(random::<16>()).unwrap();
    let mut database = SqliteConnection::connect(&backend.config.database).await.unwrap();
    for statement in [
        "INSERT INTO groups (group_id, epoch, head, access) VALUES ($1, 0, 0, 'roster')",
        "INSERT INTO roster (group_id, user_id) VALUES ($1, 'alice')",
    ] {
        let statement = statement.replace("'alice'", "CAST('alice' AS BLOB)");
        let statement = sqlx::AssertSqlSafe(statement);
        sqlx::query(statement).bind(group.as_bytes()).execute(&mut database).await.unwrap();
    }
    win(&replica, &alice, &group, &adding(&group, 0, &[&bob])).await;
    win(&replica, &bob, &group, &publish(&group, 1)).await;
    let log = alice.get(&replica, &path::of_group(path::GROUP_MESSAGES, &group)).await;
    assert_eq!(log.json::<LogPage>(200).head, 2);
}
