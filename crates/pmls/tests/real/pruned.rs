//! The service has not kept what a device needs.

use crate::world::{World, agree, settle};

/// A device that was away for longer than the service keeps a log is told so in each command that needs it,
/// with the reason and the command that helps, and that command helps.
#[test]
fn a_device_that_was_away_for_too_long_is_told_to_rejoin() {
    let mut world = World::new();
    let [alice, bob] = world.family();
    for _ in 0..4 {
        alice.run(&["update", "family"]);
    }
    world.kill();
    let database = rusqlite::Connection::open(world.folder().join("service.db")).unwrap();
    database
        .execute_batch(
            "UPDATE groups SET pruned_through = 4, pruned_chain =
                 (SELECT chain FROM log WHERE log.group_id = groups.group_id AND position = 4);
             DELETE FROM log WHERE position <= 4;",
        )
        .unwrap();
    drop(database);
    world.restart();
    let epoch = bob.epoch("family");
    for command in [&["sync"][..], &["update", "family"], &["group", "send", "family", "hello?"]] {
        let (code, error) = bob.fails(command);
        assert_eq!(code, 3, "{error}");
        assert!(
            error.contains("was away from family for longer than the service keeps"),
            "{error}"
        );
        assert!(error.contains("`pmls group rejoin family` comes back from outside"), "{error}");
        assert_eq!(bob.epoch("family"), epoch);
    }
    let trouble = || bob.run(&["status"])["groups"][0]["trouble"].clone();
    assert!(trouble().is_object());
    bob.run(&["group", "rejoin", "family"]);
    assert!(trouble().is_null(), "what is over is not shown until the next sync");
    settle(&[&alice, &bob]);
    agree(&[&alice, &bob], "family");
}
