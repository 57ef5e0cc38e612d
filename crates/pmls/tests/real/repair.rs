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
    assert!(error.contains("list of club") && error.contains("never was"), "{error}");
    assert!(error.contains("pmls group add club") && !error.contains("recipient"), "{error}");

    let back = alice.run(&["group", "put-back", "club", "bob"]);
    assert_eq!(back["put_back"], serde_json::json!(["bob"]));
    let again = alice.run(&["group", "put-back", "club", "bob", "alice"]);
    assert_eq!(again["put_back"], serde_json::json!([]), "nobody was off it");
    assert_eq!(again["there"], serde_json::json!(["bob", "alice"]));
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

/// Who was removed rightly is told how it comes in again.
#[test]
fn a_removal_that_was_meant_stands() {
    let world = World::new();
    let [alice, bob] = club(&world);
    let carol = world.device("carol");
    alice.run(&["group", "add", "club", "carol"]);
    carol.sync();
    bob.sync();
    alice.run(&["group", "remove", "club", "bob"]);
    carol.sync();
    carol.run(&["group", "list"]);
    carol.call_it("club");
    carol.run(&["group", "send", "club", "that is right"]);
    let (code, error) = bob.fails(&["group", "put-back", "club"]);
    assert_eq!(code, 3, "{error}");
    assert!(error.contains("the removal stands"), "{error}");
    assert!(
        error.contains("pmls group add club") && error.contains("pmls group rejoin club"),
        "{error}"
    );
}

/// An empty name is the beginning of every identifier, and names nothing.
#[test]
fn an_empty_name_names_nothing() {
    let world = World::new();
    let [alice, _] = club(&world);
    for command in [
        &["group", "publish-info", ""][..],
        &["group", "put-back", ""],
        &["group", "show", ""],
        &["group", "send", "", "hello"],
        &["group", "leave", ""],
        &["group", "forget", "", "--still-in"],
        &["group", "rejoin", ""],
        &["update", ""],
        &["tree", ""],
    ] {
        let (code, error) = alice.fails(command);
        assert_eq!(code, 3, "{command:?}: {error}");
        assert!(error.contains("no group without a name"), "{command:?}: {error}");
    }
    for command in [
        &["group", "create", ""][..],
        &["group", "rename", "club", ""],
        &["group", "plan", "club", ""],
        &["pair", "confirm", ""],
        &["pair", "resend", ""],
        &["pair", "publish", ""],
        &["pair", "end", ""],
        &["pair", "abandon", ""],
    ] {
        assert_eq!(alice.fails(command).0, 2, "{command:?}");
    }
    for command in [
        &["group", "add", "club", "bob/"][..],
        &["group", "remove", "club", "bob/"],
        &["group", "remove", "club", ""],
        &["pair", "start", "bob/"],
    ] {
        let (code, error) = alice.fails(command);
        assert!(code != 0 && !error.contains("panicked"), "{command:?}: {error}");
    }
    assert_eq!(alice.run(&["group", "list"])["groups"][0]["state"], "active");
}
