//! What members do about a group's state at the service.

use crate::{
    leaf::{Cast, Mode},
    world::{Device, World, agree, settle},
};

/// Changes the service's database as no client could.
fn harm(world: &World, statement: &str) {
    let database = rusqlite::Connection::open(world.folder().join("service.db")).unwrap();
    database.busy_timeout(std::time::Duration::from_secs(20)).unwrap();
    assert!(database.execute(statement, []).unwrap() > 0);
}

fn club(world: &World) -> [Device; 2] {
    let [alice, bob] = ["alice", "bob"].map(|user| world.device(user));
    alice.run(&["group", "create", "club"]);
    alice.run(&["group", "add", "club", "bob"]);
    bob.sync();
    bob.call_it("club");
    [alice, bob]
}

#[test]
fn a_member_puts_back_who_was_taken_off_the_list() {
    let world = World::new();
    let [alice, bob] = club(&world);
    harm(&world, "UPDATE roster SET removed_at = 1 WHERE user_id = CAST('bob' AS BLOB)");
    alice.run(&["group", "send", "club", "where is bob?"]);
    let (code, error) = bob.fails(&["group", "send", "club", "locked out"]);
    assert_eq!(code, 3, "{error}");
    assert!(error.contains("pmls group put-back"), "{error}");
    // Nobody's commit has done it, so he cannot himself, and is told who can.
    let (code, error) = bob.fails(&["group", "put-back", "club"]);
    assert_eq!(code, 3, "{error}");
    assert!(error.contains("a member has to") && error.contains("pmls admin reopen"), "{error}");
    let (_, error) = alice.fails(&["group", "put-back", "club", "nobody"]);
    assert!(error.contains("list of club"), "{error}");

    let back = alice.run(&["group", "put-back", "club", "bob"]);
    assert_eq!(back["put_back"], serde_json::json!(["bob"]));
    bob.sync();
    assert_eq!(bob.read("club").last().map(String::as_str), Some("alice: where is bob?"));
    settle(&[&alice, &bob]);
    agree(&[&alice, &bob], "club");
}

#[test]
fn a_member_publishes_what_others_come_in_by() {
    let world = World::new();
    let [alice, bob] = club(&world);
    harm(&world, "UPDATE groups SET group_info = NULL, group_info_epoch = NULL");
    let (code, error) = bob.fails(&["group", "rejoin", "club"]);
    assert_eq!(code, 3, "{error}");
    assert!(error.contains("pmls group publish-info"), "{error}");
    let told = alice.run(&["group", "publish-info", "club"]);
    let published = told["events"].as_array().unwrap().last().unwrap();
    assert_eq!(published["event"], serde_json::json!("info-published"));
    assert_eq!(published["epoch"].as_u64(), Some(alice.epoch("club")));
    bob.run(&["group", "rejoin", "club"]);
    settle(&[&alice, &bob]);
    agree(&[&alice, &bob], "club");
}

/// A leaf that devices share publishes it as well.
#[test]
fn a_shared_leaf_publishes_what_others_come_in_by() {
    let cast = Cast::new(Mode::Hidden);
    let [phone, _, bob] = cast.all();
    harm(&cast.world, "UPDATE groups SET group_info = NULL, group_info_epoch = NULL");
    phone.run(&["group", "publish-info", "friends"]);
    bob.run(&["group", "rejoin", "friends"]);
    settle(&cast.all());
    agree(&cast.all(), "friends");
}
