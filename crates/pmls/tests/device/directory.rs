//! `device approve`, `list`, `publish`, `revoke`, `withdraw`.

use serde_json::json;

use crate::{
    code, device, run, told,
    world::{Device, World},
};

#[test]
fn a_second_device_needs_the_first_one() {
    let world = World::new();
    let phone = world.device("alice");
    let home = world.folder().join("laptop");
    let init = ["device", "init", "--user", "alice", "--name", "laptop", "--vault", "plain"];
    let init = [&["--server", &world.url], &init[..]].concat();

    let refused = run(&home, &init);
    assert_eq!(code(&refused), 7, "{}", told(&refused));
    let laptop = Device { home: home.clone() };
    let id = laptop.id();
    assert!(told(&refused).contains(&format!("pmls device approve {id}")), "{}", told(&refused));
    // Until then it can do nothing.
    let (failed, _) = laptop.fails(&["device", "publish"]);
    assert_eq!(failed, 3);

    assert_eq!(phone.run(&["device", "approve", &id])["approved"], json!(id));
    let approvals = phone.run(&["device", "approvals"])["approvals"].clone();
    assert_eq!(
        (&approvals[0]["device"], &approvals[0]["approved_by"]),
        (&json!(id), &json!(phone.id()))
    );
    let none = phone.run(&["device", "approvals", "--withdraw", &id]);
    assert_eq!(none["approvals"], json!([]));
    assert_eq!(code(&run(&home, &["device", "register"])), 7);
    phone.run(&["device", "approve", &id]);
    assert_eq!(device(&run(&home, &["device", "register"])), id);
    assert_eq!(device(&run(&home, &["device", "register"])), id, "again changes nothing");

    let listed = phone.run(&["device", "list"]);
    let standing = |id: &str| {
        let devices = listed["devices"].as_array().unwrap();
        devices.iter().find(|device| device["device"] == id).unwrap()["standing"].clone()
    };
    assert_eq!((standing(&phone.id()), standing(&id)), (json!("own"), json!("other")));
}

#[test]
fn a_device_can_wait_for_the_first_one() {
    use std::{
        io::{BufRead as _, BufReader},
        process::Stdio,
    };
    let world = World::new();
    let phone = world.device("alice");
    let home = world.folder().join("laptop");
    let mut waiting = crate::world::pmls(&home)
        .args(["--server", &world.url, "device", "init", "--user", "alice", "--vault", "plain"])
        .arg("--wait")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(waiting.stdout.take().unwrap()).lines();
    let told_first: serde_json::Value =
        serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    let command = told_first["waiting_for"].as_str().unwrap().to_owned();
    let id = command.strip_prefix("pmls device approve ").unwrap();

    // Meanwhile it has the home for itself.
    let refused = run(&home, &["device", "show"]);
    assert_eq!(code(&refused), 5, "{}", told(&refused));
    assert!(told(&refused).contains(&format!("process {}", waiting.id())), "{}", told(&refused));

    phone.run(&["device", "approve", id]);
    assert!(waiting.wait().unwrap().success());
    let last: serde_json::Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    assert_eq!((&last["registered"], &last["device"]), (&json!(true), &json!(id)));
}

#[test]
fn key_packages_are_published_and_withdrawn() {
    let world = World::new();
    let alice = world.device("alice");
    alice.run(&["device", "withdraw"]);
    let published = alice.run(&["device", "publish", "--count", "3", "--last-resort"]);
    assert_eq!(published["published"], 4);
    assert_eq!(published["claimable"], json!([{ "suite": 1, "once": 3, "last_resort": 1 }]));
    let withdrawn = alice.run(&["device", "withdraw"]);
    let left = withdrawn["claimable"].as_array().unwrap();
    assert!(left.iter().all(|left| left["once"] == 0 && left["last_resort"] == 0), "{left:?}");
}

#[test]
fn a_revoked_device_is_shut_out() {
    let world = World::new();
    let phone = world.device("alice");
    let laptop = world.another(&phone, "alice", "laptop");
    let id = laptop.id();

    let (refused, error) = phone.fails(&["device", "revoke", &phone.id()]);
    assert_eq!(refused, 2);
    assert!(error.contains("--myself"), "{error}");

    assert_eq!(phone.run(&["device", "revoke", &id])["revoked"], json!(id));
    let (shut_out, _) = laptop.fails(&["device", "list"]);
    assert_eq!(shut_out, 3);
    let listed = phone.run(&["device", "list"]);
    let revoked = |device: &&serde_json::Value| device["standing"] == "revoked";
    let revoked: Vec<_> = listed["devices"].as_array().unwrap().iter().filter(revoked).collect();
    assert_eq!((revoked.len(), &revoked[0]["device"]), (1, &json!(id)));
}

#[test]
fn who_is_not_there_is_said() {
    let mut world = World::new();
    let alice = world.device("alice");
    let (code, error) = alice.fails(&["device", "list", "nobody"]);
    assert_eq!(code, 3);
    assert!(error.contains("no user nobody"), "{error}");
    world.kill();
    let (code, error) = alice.fails(&["device", "list"]);
    assert_eq!(code, 4);
    assert!(error.contains(&world.url), "{error}");
}
