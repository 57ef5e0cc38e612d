//! What a command says is what has happened: outcome, exit code, text and events.

use std::fs;

use serde_json::{Value, json};

use crate::{
    proxy::{Act, Proxy, problem},
    world::{Device, World, agree, copy, settle, text_of},
};

/// A phone and Bob in a group.
fn two() -> (World, Device, Device) {
    let world = World::new();
    let [phone, bob] = ["phone", "bob"].map(|user| world.device(user));
    phone.run(&["group", "create", "family"]);
    phone.run(&["group", "add", "family", "bob"]);
    bob.sync();
    bob.call_it("family");
    (world, phone, bob)
}

fn events_of(told: &Value, name: &str) -> Vec<Value> {
    let events = told["events"].as_array().unwrap().iter();
    events.filter(|event| event["event"] == name).cloned().collect()
}

/// The command through a proxy.
fn through<'a>(proxy: &'a Proxy, args: &[&'a str]) -> Vec<&'a str> {
    [&["--server", proxy.url.as_str()], args].concat()
}

/// A commit that the service refuses for good is made once, fails the command, and is not in the way of
/// the next one.
#[test]
fn a_refused_commit_is_made_once() {
    let (world, phone, bob) = two();
    let proxy = Proxy::before(&world.url);
    for (status, kind) in [(422, "invalid-message"), (403, "forbidden"), (429, "full")] {
        let before = proxy.count("/commits");
        proxy.on("/commits", problem(status, kind));
        let (code, told) = phone.fails(&through(&proxy, &["update", "family"]));
        assert_eq!(code, 3, "{told}");
        assert!(told.contains("the service refuses the commit"), "{told}");
        assert!(!told.contains("came first"), "{told}");
        assert_eq!(proxy.count("/commits") - before, 1, "{kind}");
        proxy.pass();
    }
    let refused = phone.run(&["outbox", "list"])["outbox"].clone();
    let states: Vec<_> =
        refused.as_array().unwrap().iter().map(|one| text_of(&one["state"])).collect();
    assert_eq!(states, ["refused"; 3], "{refused}");
    assert!(text_of(&refused[0]["why"]).contains("The test says no"), "{refused}");
    assert_eq!(phone.run(&["outbox", "clear"])["outbox"], json!([]));

    phone.run(&["update", "family"]);
    settle(&[&bob, &phone]);
    agree(&[&phone, &bob], "family");
    assert_eq!(phone.epoch("family"), 2);
}

/// The same for a commit from outside.
#[test]
fn a_refused_rejoin_is_made_once() {
    let (world, phone, bob) = two();
    let proxy = Proxy::before(&world.url);
    proxy.on("/commits", problem(422, "invalid-message"));
    let (code, told) = phone.fails(&through(&proxy, &["group", "rejoin", "family"]));
    assert_eq!(code, 3, "{told}");
    assert!(told.contains("refuses the commit from outside"), "{told}");
    assert_eq!(proxy.count("/commits"), 1);
    // Nothing was merged: the old state goes on, and the way in works.
    assert_eq!(phone.epoch("family"), 1);
    phone.run(&["group", "send", "family", "still here"]);
    bob.sync();
    assert_eq!(bob.read("family"), ["phone: still here"]);
    let told = phone.run(&["group", "rejoin", "family"]);
    assert_eq!(events_of(&told, "rejoined").len(), 1, "{told}");
    settle(&[&bob, &phone]);
    agree(&[&phone, &bob], "family");
}

/// The answer to a rejoin is lost: nothing is sent from the new state before it is known to be accepted.
#[test]
fn the_answer_to_a_rejoin_is_lost() {
    let (world, phone, bob) = two();
    let proxy = Proxy::before(&world.url);
    proxy.on("/commits", Act::LoseAnswer);
    let (code, told) = phone.fails(&through(&proxy, &["group", "rejoin", "family"]));
    assert_eq!(code, 4, "{told}");
    assert_eq!(phone.run(&["group", "list"])["groups"][0]["state"], "rejoining");
    let (code, told) = phone.fails(&through(&proxy, &["group", "send", "family", "too early"]));
    assert_eq!(code, 4, "{told}");

    let events = phone.sync();
    assert!(events.iter().any(|event| event["event"] == "rejoined"), "{events:?}");
    settle(&[&bob, &phone]);
    agree(&[&phone, &bob], "family");
    phone.run(&["group", "send", "family", "here again"]);
    bob.sync();
    assert_eq!(bob.read("family"), ["phone: here again"]);
}

/// The rejoin itself is lost, and another commit wins its epoch: it is made again by itself.
#[test]
fn a_rejoin_that_has_lost_is_made_again() {
    let (world, phone, bob) = two();
    let proxy = Proxy::before(&world.url);
    proxy.on("/commits", Act::LoseRequest);
    assert_eq!(phone.fails(&through(&proxy, &["group", "rejoin", "family"])).0, 4);
    bob.run(&["update", "family"]);
    phone.run(&["group", "send", "family", "after the race"]);
    bob.sync();
    assert_eq!(bob.read("family"), ["phone: after the race"]);
    agree(&[&phone, &bob], "family");
}

/// What is too long is told as that, whoever says so, and the command has failed.
#[test]
fn a_message_that_is_too_long_is_a_failure() {
    let (world, phone, bob) = two();
    let (code, told) = phone.fails_with(&["group", "send", "family"], &vec![b'x'; 5_000_000]);
    assert_eq!(code, 3, "{told}");
    assert!(told.contains("the service refuses the message"), "{told}");
    let proxy = Proxy::before(&world.url);
    proxy.on("POST /messages", Act::Answer(413, "text/html", b"<h1>too large</h1>".to_vec()));
    let (code, told) = phone.fails(&through(&proxy, &["group", "send", "family", "hello"]));
    assert_eq!(code, 3, "{told}");
    assert!(told.contains("too long") && told.contains("send less"), "{told}");
    assert!(!told.contains("check the address"), "{told}");
    proxy.pass();

    let told = phone.run(&["group", "send", "family", "short"]);
    assert_eq!(events_of(&told, "sent").len(), 1, "{told}");
    bob.sync();
    assert_eq!(bob.read("family"), ["phone: short"]);
}

/// A message that waited while its epoch ended is encrypted again, and arrives once.
#[test]
fn a_late_message_is_made_again() {
    let (world, phone, bob) = two();
    let proxy = Proxy::before(&world.url);
    proxy.on("POST", Act::LoseRequest);
    let (code, told) = phone.fails(&through(&proxy, &["group", "send", "family", "from long ago"]));
    assert_eq!(code, 4, "{told}");
    let waiting = phone.run(&["outbox", "list"])["outbox"].clone();
    assert_eq!(waiting[0]["state"], "waiting");
    assert!(waiting[0]["why"].is_string() && waiting[0]["tries"] == 1, "{waiting}");
    for _ in 0..8 {
        bob.run(&["update", "family"]);
    }
    settle(&[&phone, &bob]);
    assert_eq!(bob.read("family"), ["phone: from long ago"]);
    assert_eq!(phone.run(&["outbox", "list"])["outbox"], json!([]));
}

/// The MLS state of yesterday would encrypt with keys that were used: the device notices, and takes new
/// ones.
#[test]
fn a_restored_device_is_heard() {
    let (world, phone, bob) = two();
    phone.run(&["group", "send", "family", "one"]);
    let backup = world.folder().join("backup");
    copy(&phone.home, &backup);
    phone.run(&["group", "send", "family", "two"]);
    phone.run(&["group", "send", "family", "three"]);
    bob.sync();
    fs::copy(backup.join("mls.sqlite"), phone.home.join("mls.sqlite")).unwrap();

    let told = phone.run(&["group", "send", "family", "four"]);
    assert_eq!(events_of(&told, "older-copy").len(), 1, "{told}");
    let events = bob.sync();
    assert!(!events.iter().any(|event| event["event"] == "dropped"), "{events:?}");
    assert_eq!(bob.read("family"), ["phone: one", "phone: two", "phone: three", "phone: four"]);
    let told = phone.run(&["group", "send", "family", "five"]);
    assert!(events_of(&told, "older-copy").is_empty(), "{told}");
    agree(&[&phone, &bob], "family");
}

/// Each command says what it has done.
#[test]
fn outcomes_are_told() {
    let (world, phone, bob) = two();
    let told = phone.run(&["group", "send", "family", "hello"]);
    let sent = events_of(&told, "sent");
    assert_eq!((&sent[0]["group"], &sent[0]["bytes"]), (&json!("family"), &json!(5)));
    let told = bob.run(&["group", "leave", "family"]);
    assert_eq!(events_of(&told, "leaving").len(), 1, "{told}");
    phone.sync();
    phone.run(&["update", "family"]);
    bob.sync();
    let told = phone.run(&["group", "leave", "family"]);
    assert_eq!(events_of(&told, "left").len(), 1, "{told}");
    assert_eq!(bob.run(&["group", "list"])["groups"][0]["state"], "gone");
    bob.run(&["group", "forget", "family"]);
    assert_eq!(bob.run(&["group", "list"])["groups"], json!([]));
    bob.run(&["group", "create", "family"]);
    assert!(bob.fails(&["group", "forget", "family"]).1.contains("--still-in"));
    bob.run(&["group", "forget", "family", "--still-in"]);
    assert_eq!(bob.sync(), Vec::<Value>::new());
    assert_eq!(phone.run(&["group", "list"])["groups"][0]["state"], "gone");

    let started = phone.run(&["pair", "start", "bob"]);
    let told = phone.run(&["pair", "resend"]);
    assert_eq!(events_of(&told, "resent").len(), 1, "{told}");
    let told = phone.run(&["pair", "abandon"]);
    assert_eq!(events_of(&told, "abandoned").len(), 1, "{told}");
    assert_eq!(started["with"], json!(["bob"]));
    let (code, told) = phone.fails(&["pair", "abandon"]);
    assert_eq!(code, 3, "{told}");
    drop(world);
}

/// A device that wants to leave goes on wanting it when a commit of others has not carried it out.
#[test]
fn a_wish_to_leave_outlives_a_commit() {
    let (world, phone, bob) = two();
    let proxy = Proxy::before(&world.url);
    // Bob proposes to leave, and the phone commits before that is in the log.
    proxy.on("POST /messages", Act::LoseRequest);
    assert_eq!(bob.fails(&through(&proxy, &["group", "leave", "family"])).0, 4);
    phone.run(&["update", "family"]);
    bob.sync();
    phone.sync();
    phone.run(&["update", "family"]);
    bob.sync();
    assert_eq!(bob.run(&["group", "list"])["groups"][0]["state"], "gone");
    assert_eq!(phone.run(&["group", "show", "family"])["members"].as_array().unwrap().len(), 1);
}
