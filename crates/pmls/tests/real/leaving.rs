//! Who comes and goes: several at once, some of whom are in already; and who wants to leave, and changes
//! its mind.

use serde_json::Value;

use crate::world::{Device, World, agree, pmls, settle};

fn events(told: &Value) -> &Vec<Value> {
    told["events"].as_array().unwrap()
}

fn has(told: &Value, name: &str) -> bool {
    events(told).iter().any(|event| event["event"] == name)
}

fn members(device: &Device, group: &str) -> usize {
    device.run(&["group", "show", group])["members"].as_array().unwrap().len()
}

fn left(device: &Device) -> u64 {
    // What the service has, not what was counted last.
    let published = device.run(&["device", "publish", "--count", "1"]);
    published["claimable"][0]["once"].as_u64().unwrap() - 1
}

/// Who is in is passed over and said; one that cannot be added keeps all from being so, and what was claimed
/// of the others serves the next time.
#[test]
fn several_are_added_at_once() {
    let world = World::new();
    let [alice, bob, carol, dave] =
        ["alice", "bob", "carol", "dave"].map(|user| world.device(user));
    alice.run(&["group", "create", "family"]);
    alice.run(&["group", "add", "family", "bob"]);
    let told = alice.run(&["group", "add", "family", "bob"]);
    assert!(has(&told, "already-in") && !has(&told, "commit"), "{told}");

    let carol_had = left(&carol);
    let (_, error) = alice.fails(&["group", "add", "family", "carol", "nobody"]);
    assert!(error.contains("nobody"), "{error}");
    assert_eq!(left(&carol), carol_had + 1, "nothing is claimed before all are known");

    dave.run(&["device", "withdraw"]);
    let (_, error) = alice.fails(&["group", "add", "family", "carol", "dave"]);
    assert!(error.contains("dave"), "{error}");
    let claimed = left(&carol);
    assert_eq!(members(&alice, "family"), 2);
    dave.run(&["device", "publish", "--count", "2"]);
    let told = alice.run(&["group", "add", "family", "bob", "carol", "dave"]);
    assert!(has(&told, "already-in") && has(&told, "commit"), "{told}");
    assert_eq!(members(&alice, "family"), 4);
    assert_eq!(left(&carol), claimed + 1, "the one that was claimed is used");
    for device in [&bob, &carol, &dave] {
        device.sync();
        device.call_it("family");
    }
    agree(&[&alice, &bob, &carol, &dave], "family");
}

/// A device that cannot be in a group with leaves of several keys is named, and nobody is added.
#[test]
fn the_bad_key_package_is_named() {
    let world = World::new();
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(|user| world.device(user));
    bob.run(&["device", "publish", "--count", "2", "--gated"]);
    alice.run(&["group", "create", "family", "--gate"]);
    let (_, error) = alice.fails(&["group", "add", "family", "carol"]);
    assert!(error.contains(&format!("carol/{}", carol.id())), "{error}");
    assert!(error.contains("pmls device publish"), "{error}");
    assert_eq!(members(&alice, "family"), 1);
}

/// A device that wants to leave: what it does until then, and that it stays after all.
#[test]
fn a_leave_is_taken_back() {
    let world = World::new();
    let [alice, bob] = world.family();
    assert!(bob.fails(&["group", "leave", "family", "--cancel"]).1.contains("nothing to cancel"));
    bob.run(&["group", "leave", "family"]);
    let (_, error) = bob.fails(&["group", "send", "family", "hello"]);
    assert!(error.contains("pmls group leave family --cancel"), "{error}");
    // A commit of its own ends the epoch of its proposal, which it makes again.
    bob.run(&["update", "family"]);
    settle(&[&alice, &bob]);
    agree(&[&alice, &bob], "family");
    let told = bob.run(&["group", "leave", "family", "--cancel"]);
    assert!(has(&told, "stays"), "{told}");
    settle(&[&alice, &bob]);
    alice.run(&["update", "family"]);
    settle(&[&alice, &bob]);
    assert_eq!(members(&alice, "family"), 2);
    bob.run(&["group", "send", "family", "still here"]);
    alice.sync();
    assert_eq!(alice.read("family"), ["bob: still here"]);

    // Both want to leave: each can stay, and the last one just goes.
    bob.run(&["group", "leave", "family"]);
    alice.sync();
    alice.run(&["update", "family"]);
    bob.sync();
    assert_eq!(members(&alice, "family"), 1);
    assert!(has(&alice.run(&["group", "leave", "family"]), "left"));
    let again = pmls(&alice.home).args(["group", "leave", "family"]).output().unwrap();
    assert_ne!(again.status.code(), Some(0));
}
