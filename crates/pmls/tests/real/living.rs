//! What goes on by itself: KeyPackages, heals, time-outs, and what is stuck.

use std::{path::Path, process::Stdio, time::Instant};

use paired_mls_api::{GroupId, LogChain, LogEntry};
use serde_json::{Value, json};

use crate::{
    node::{Cast, pair},
    proxy::{Act, Proxy},
    stranger::Stranger,
    world::{Device, World, agree, healed, pmls, settle, text_of},
};

/// KeyPackages are made anew before they run out, and nobody does it for a device that has withdrawn them.
#[test]
fn key_packages_do_not_run_out() {
    let world = World::new();
    let bob = world.device("bob");
    let phone = world.device_at(&world.folder().join("few"), "phone");
    for n in 0..9 {
        let name = format!("group {n}");
        bob.run(&["group", "create", &name]);
        bob.run(&["group", "add", &name, "phone"]);
        let events = phone.sync();
        let made = events.iter().find(|event| event["event"] == "key-packages");
        assert_eq!(made.is_some(), n == 0, "four at first, then twenty: {events:?}");
    }
    phone.run(&["device", "withdraw"]);
    phone.run(&["group", "create", "own"]);
    phone.sync();
    bob.run(&["group", "create", "last"]);
    let (code, told) = bob.fails(&["group", "add", "last", "phone"]);
    assert_eq!(code, 3, "{told}");
    assert!(told.contains("no KeyPackage"), "{told}");
}

/// Others use what a fresh device has published, and the service keeps the rest back: the next of them comes in by the
/// one for the last resort, also before the device looks, and then there are more.
#[test]
fn who_comes_last_can_add_a_device_too() {
    let world = World::new();
    let phone = world.device("phone");
    phone.run(&["device", "withdraw"]);
    let published = phone.run(&["device", "publish"]);
    assert_eq!(published["claimable"][0]["once"], 20, "{published}");
    assert_eq!(published["claimable"][0]["last_resort"], 1, "{published}");
    let again = phone.run(&["device", "publish", "--count", "0"]);
    assert_eq!(again["published"], 0, "there is one: {again}");
    for user in ["a", "b", "c", "d", "e", "f"].map(|user| Stranger::new(&world.url, user)) {
        for _ in 0..3 {
            user.put_into_group(&[("phone", &phone)]);
        }
    }
    let events = phone.sync();
    assert_eq!(events.iter().filter(|event| event["event"] == "joined").count(), 18, "{events:?}");
    let made = events.iter().find(|event| event["event"] == "key-packages").unwrap();
    assert_eq!((&made["left"], &made["made"]), (&json!(5), &json!(15)));
    let status = phone.run(&["status", "--check"]);
    assert_eq!(status["key_packages"]["left"], 20, "{status}");
    assert_eq!(status["key_packages"]["last_resort"], 1, "{status}");
}

/// A device that has none for the last resort is told, gets one by what it is told, and by itself.
#[test]
fn a_device_without_one_for_the_last_resort_gets_one() {
    let world = World::new();
    let phone = world.device("phone");
    phone.sync();
    let lose = || {
        let service = rusqlite::Connection::open(world.folder().join("service.db")).unwrap();
        let sql = "DELETE FROM key_packages WHERE last_resort = 1";
        assert_eq!(service.execute(sql, []).unwrap(), 1);
    };
    lose();
    phone.run(&["doctor"]);
    let (code, _) = phone.fails(&["status", "--check"]);
    assert_eq!(code, 8);
    let status = phone.run(&["status"]);
    assert_eq!(status["attention"][0]["run"], "pmls device publish --count 0", "{status}");
    assert_eq!(phone.run(&["device", "publish", "--count", "0"])["published"], 1);
    phone.run(&["status", "--check"]);

    lose();
    Stranger::new(&world.url, "bob").put_into_group(&[("phone", &phone)]);
    let events = phone.sync();
    let made = events.iter().find(|event| event["event"] == "key-packages").unwrap();
    assert_eq!((&made["left"], &made["made"]), (&json!(7), &json!(1)));
    assert_eq!(phone.run(&["status", "--check"])["key_packages"]["last_resort"], 1);
}

/// The heal that a policy promises is made from the state: also if it was lost, or another commit won.
#[test]
fn a_heal_that_is_lost_is_made_again() {
    let cast = Cast::paired();
    let [phone, sensor, bob] = cast.all();
    phone.run(&["group", "policy", "family", "at-once"]);
    let proxy = Proxy::before(&cast.world.url);
    proxy.on("POST /commits", Act::LoseRequest);
    let (code, told) = phone.fails(&["--server", &proxy.url, "sync"]);
    assert_eq!(code, 4, "{told}");
    // The heal waits, and loses its epoch to Bob.
    bob.run(&["update", "family"]);
    let events = phone.sync();
    assert!(healed(&events, &[1]), "{events:?}");
    settle(&[sensor, bob]);
    agree(&cast.all(), "family");
    assert_eq!(sensor.run(&["tree", "family"])["security"], "secure");
    let epoch = phone.epoch("family");
    settle(&[phone]);
    assert_eq!(phone.epoch("family"), epoch, "and once");
}

/// A service that does not answer is given up after the time that the user gives it.
#[test]
fn a_service_that_hangs_is_given_up() {
    let world = World::new();
    let phone = world.device("phone");
    let proxy = Proxy::before(&world.url);
    proxy.on("GET", Act::Hang);
    let begin = Instant::now();
    let args = ["--server", &proxy.url, "--timeout", "2", "sync"];
    let (code, told) = phone.fails(&args);
    assert_eq!(code, 4, "{told}");
    assert!(told.contains("has not answered within 2 s"), "{told}");
    // Without the limit it would be a minute for each of five attempts.
    assert!(begin.elapsed().as_secs() < 50);
}

/// Has other bytes stand for the commit of epoch 1, with the hash chain that goes with them: a service can say what
/// it likes. Returns the bytes that stood there.
fn replace_commit(database: &Path, with: &[u8]) -> Vec<u8> {
    let database = rusqlite::Connection::open(database).unwrap();
    let (group, old): (Vec<u8>, Vec<u8>) = database
        .query_row(
            "SELECT group_id, message FROM log WHERE kind = 'commit' AND epoch = 1",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .unwrap();
    let sql = "UPDATE log SET message = ?2 WHERE group_id = ?1 AND kind = 'commit' AND epoch = 1";
    database.execute(sql, rusqlite::params![group, with]).unwrap();
    let sql =
        "SELECT position, epoch, kind, message FROM log WHERE group_id = ?1 ORDER BY position";
    let mut log = database.prepare(sql).unwrap();
    let mut chain = LogChain::start(&GroupId::new(group.clone()).unwrap());
    let mut rows = log.query([&group]).unwrap();
    while let Some(row) = rows.next().unwrap() {
        let kind: String = row.get(2).unwrap();
        let kind = serde_json::from_value(kind.into()).unwrap();
        let (position, epoch) = (row.get(0).unwrap(), row.get(1).unwrap());
        let message = row.get::<_, Vec<u8>>(3).unwrap().into();
        chain = chain.and_entry(&LogEntry { position, epoch, kind, message, chain });
        let sql = "UPDATE log SET chain = ?3 WHERE group_id = ?1 AND position = ?2";
        database.execute(sql, rusqlite::params![group, position, chain.as_bytes()]).unwrap();
    }
    old
}

/// An entry that nobody can read is told with its number; when the right bytes come, the device goes on.
#[test]
fn an_unreadable_entry_is_stuck_and_heals() {
    let mut cast = Cast::paired();
    cast.phone().run(&["update", "family"]);
    cast.phone().run(&["update", "family"]);
    cast.world.kill();
    let database = cast.world.folder().join("service.db");
    let right = replace_commit(&database, &[0]);
    cast.world.restart();
    for _ in 0..2 {
        let (code, told) = cast.sensor().fails(&["sync"]);
        assert_eq!(code, 3);
        assert!(told.contains("stuck in epoch 1, at entry 2"), "{told}");
    }
    let doctor = pmls(&cast.sensor().home).arg("doctor").output().unwrap();
    assert_eq!(doctor.status.code(), Some(8));
    let doctor: Value = serde_json::from_slice(&doctor.stdout).unwrap();
    let found = doctor["findings"].as_array().unwrap();
    let stuck = found.iter().find(|finding| finding["kind"] == "stuck").unwrap();
    assert_eq!(
        (&stuck["position"], &stuck["run"]),
        (&json!(2), &json!("pmls group rejoin family"))
    );
    cast.world.kill();
    replace_commit(&database, &right);
    cast.world.restart();
    settle(&cast.all());
    agree(&cast.all(), "family");
}

/// A device that could not be set up leaves nothing in the way of the next try.
#[test]
fn a_failed_init_leaves_nothing() {
    let world = World::new();
    let home = world.folder().join("phone");
    let phone = Device { home: home.clone() };
    let missing = world.folder().join("missing");
    let missing = missing.to_str().unwrap();
    let init = |vault: &[&str], user: &str| {
        let mut command = pmls(&home);
        command.args(["--server", &world.url, "device", "init", "--user", user]).args(vault);
        command.stdin(Stdio::null()).output().unwrap()
    };
    let failed = init(&["--vault", "sealed", "--passphrase-file", missing], "fone");
    assert!(!failed.status.success());
    let failed =
        init(&["--vault", "pkcs11", "--pkcs11-module", missing, "--token-label", "x"], "phone");
    assert!(!failed.status.success());
    let made = init(&["--vault", "plain"], "phone");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    assert_eq!(phone.run(&["device", "show"])["user"], "phone");
}

/// A device of two pairings in one group: the second one is not used, and that is said once.
#[test]
fn a_second_pairing_in_a_group_is_told_of() {
    let cast = Cast::paired();
    let [phone, _, bob] = cast.all();
    pair(phone, bob, "bob");
    let mut events = phone.run(&["update", "family"])["events"].as_array().unwrap().clone();
    events.extend(settle(&[phone, bob]));
    let told = phone.run(&["pair", "status"]);
    assert_eq!(told["pairings"].as_array().unwrap().len(), 2, "{told}");
    let pairing =
        told["pairings"].as_array().unwrap().iter().find(|p| p["with"][0]["user"] == "bob");
    assert_eq!(pairing.unwrap()["groups"], json!([]), "{told}");
    drop(events);
}

/// Errors of the command line are JSON for a script, too.
#[test]
fn a_wrong_command_line_is_json() {
    let world = World::new();
    let phone = Device { home: world.folder().join("nobody") };
    let (code, told) = phone.fails(&["group", "send"]);
    assert_eq!(code, 2);
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["exit_code"], 2);
    assert!(text_of(&told["error"]).contains("<GROUP>"), "{told}");
}
