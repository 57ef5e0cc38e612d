//! A device that has lost a part of itself: `pmls doctor` finds it, and `pmls recover` brings it back.

use std::{fs, io, path::Path, process::Command, thread, time::Duration};

use serde_json::Value;

use crate::{
    node::{Cast, pair},
    world::{Device, World, agree, copy, healed, pmls, settle},
};

/// What `pmls doctor` finds: kinds, and the commands that help.
fn findings(device: &Device) -> Vec<(String, String)> {
    let output = pmls(&device.home).arg("doctor").output().unwrap();
    let told: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    let all = told["findings"].as_array().unwrap();
    assert_eq!(output.status.code(), Some(if all.is_empty() { 0 } else { 8 }), "{told}");
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    all.iter().map(|found| (text(&found["kind"]), text(&found["run"]))).collect()
}

fn found(device: &Device, kind: &str, run: &str) {
    let all = findings(device);
    assert!(all.contains(&(kind.to_owned(), run.to_owned())), "{kind} is not in {all:?}");
}

/// The phone heals for the sensor, and everybody is there.
fn lives(cast: &Cast) {
    let [phone, sensor, _] = cast.all();
    settle(&cast.all());
    phone.run(&["update", "family"]);
    assert!(healed(&sensor.sync(), &[1]));
    settle(&cast.all());
    agree(&cast.all(), "family");
    assert_eq!(members(phone), 3);
    for device in cast.all() {
        assert!(findings(device).is_empty(), "{:?}", findings(device));
    }
}

fn members(device: &Device) -> usize {
    device.run(&["group", "show", "family"])["members"].as_array().unwrap().len()
}

/// It is said by every command, and not taken for a new device; the way back is one command, after which
/// the pairing heals as before, and the device can be added to other groups.
#[test]
fn the_mls_state_is_lost() {
    let cast = Cast::paired();
    lives(&cast);
    type Loss = fn(&Path) -> io::Result<()>;
    let remove: Loss = |path| fs::remove_file(path);
    let empty: Loss = |path| fs::write(path, b"");
    let random: Loss = |path| fs::write(path, [0x5A; 70_000]);
    let half: Loss = |path| {
        let whole = fs::read(path)?;
        fs::write(path, &whole[..whole.len() / 8192 * 4096])
    };
    let of_another: Loss = |path| {
        let others = path.parent().unwrap().with_file_name("bob").join("mls.sqlite");
        fs::copy(others, path).map(drop)
    };
    for (device, lose) in [
        (cast.sensor(), remove),
        (cast.phone(), remove),
        (cast.phone(), empty),
        (cast.phone(), random),
        (cast.sensor(), half),
        (cast.sensor(), of_another),
    ] {
        let state = device.home.join("mls.sqlite");
        lose(&state).unwrap();
        let left = fs::read(&state).unwrap_or_default();
        let (code, error) = device.fails(&["sync"]);
        assert!(code == 3 && error.contains("pmls recover"), "{error}");
        let now = fs::read(&state).unwrap_or_default();
        assert!(now == left, "no new one takes its place");
        found(device, "state-lost", "pmls recover");
        device.run(&["recover"]);
        lives(&cast);
    }
    let bob = cast.all()[2];
    bob.run(&["group", "create", "garden"]);
    bob.run(&["group", "add", "garden", "sensor"]);
    assert!(cast.sensor().sync().iter().any(|event| event["event"] == "joined"));
}

/// Killed at any moment of the recovery, it goes on.
#[test]
fn a_recovery_is_killed() {
    let cast = Cast::paired();
    lives(&cast);
    let sensor = cast.sensor();
    for milliseconds in [10, 30, 60, 100, 180] {
        fs::remove_file(sensor.home.join("mls.sqlite")).unwrap();
        let mut recovery = pmls(&sensor.home).arg("recover").spawn().unwrap();
        thread::sleep(Duration::from_millis(milliseconds));
        // It may be done already.
        let _ = recovery.kill();
        recovery.wait().unwrap();
        let whole =
            sensor.home.join("mls.sqlite").exists() && !sensor.home.join("recovery.json").exists();
        match whole {
            true => drop(sensor.sync()),
            false => drop(sensor.run(&["recover"])),
        }
        lives(&cast);
    }
}

/// The vault is lost, and with it the key: another device of the user approves the new one, the old leaf
/// goes, and it is said which pairings are over. Killed in between, it goes on.
#[test]
fn the_vault_is_lost() {
    let cast = Cast::paired();
    lives(&cast);
    let [phone, sensor, _] = cast.all();
    let tablet = cast.world.another(phone, "phone", "tablet");
    let old = phone.id();
    fs::remove_dir_all(phone.home.join("vault")).unwrap();
    assert!(phone.fails(&["sync"]).1.contains("pmls recover"));
    found(phone, "vault-lost", "pmls recover");
    for milliseconds in [5, 15, 30, 60] {
        let mut recovery = pmls(&phone.home).arg("recover").spawn().unwrap();
        thread::sleep(Duration::from_millis(milliseconds));
        let _ = recovery.kill();
        recovery.wait().unwrap();
    }
    let (code, error) = phone.fails(&["recover"]);
    assert_eq!(code, 7, "{error}");
    found(phone, "recovery-begun", "pmls recover");
    let new = error.split("pmls device approve ").nth(1).unwrap();
    let new = new.split(|c: char| c.is_whitespace() || c == '\\').next().unwrap();
    assert_ne!(new, old);
    tablet.run(&["device", "approve", new]);
    let told = phone.run(&["recover"]);
    let events = told["events"].as_array().unwrap();
    let over = events.iter().find(|event| event["event"] == "pairing-lost").unwrap();
    let pairing = over["pairing"].as_str().unwrap().get(..8).unwrap();
    assert!(events.iter().any(|event| event["event"] == "rejoined"), "{told}");
    settle(&cast.all());
    assert_eq!(members(phone), 3, "the old leaf is gone");
    agree(&cast.all(), "family");
    assert!(findings(phone).is_empty(), "{:?}", findings(phone));

    sensor.run(&["pair", "end", pairing, "--force"]);
    settle(&cast.all());
    // It came back at the right edge of the tree, with Bob between: there the new pairing says that it heals
    // nobody, and in a group of its own it heals.
    pair(phone, sensor, "sensor");
    assert_eq!(phone.run(&["status"])["groups"][0]["next_update_heals"], serde_json::json!([]));
    phone.run(&["group", "create", "garden"]);
    phone.run(&["group", "add", "garden", "sensor"]);
    sensor.sync();
    phone.run(&["update", "garden"]);
    assert!(healed(&sensor.sync(), &[1]));
}

/// The service has lost its database, or has an older one.
#[test]
fn the_database_of_the_service_is_lost() {
    let mut cast = Cast::paired();
    lives(&cast);
    let database = cast.world.folder().join("service.db");
    let backup = cast.world.folder().join("service.backup");
    cast.world.kill();
    let files = |name: &str| name.starts_with("service.db");
    let all = || {
        let entries = fs::read_dir(database.parent().unwrap()).unwrap();
        entries
            .map(|entry| entry.unwrap().path())
            .filter(|path| files(path.file_name().unwrap().to_str().unwrap()))
    };
    fs::create_dir(&backup).unwrap();
    for path in all() {
        fs::copy(&path, backup.join(path.file_name().unwrap())).unwrap();
    }
    cast.world.restart();
    lives(&cast);
    cast.world.kill();
    all().collect::<Vec<_>>().into_iter().for_each(|path| fs::remove_file(path).unwrap());
    for entry in fs::read_dir(&backup).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), database.parent().unwrap().join(entry.file_name())).unwrap();
    }
    cast.world.restart();
    found(cast.phone(), "service-older", "pmls group rejoin family");
    cast.world.kill();
    found(cast.phone(), "service-away", "pmls doctor");
    all().collect::<Vec<_>>().into_iter().for_each(|path| fs::remove_file(path).unwrap());
    cast.world.restart();
    found(cast.phone(), "not-registered", "pmls device register");
    cast.phone().run(&["device", "register"]);
    found(cast.phone(), "no-key-packages", "pmls device publish");
    found(cast.phone(), "group-not-at-service", "pmls group forget family --still-in");
    cast.phone().run(&["device", "publish"]);
    cast.phone().run(&["group", "forget", "family", "--still-in"]);
    assert!(findings(cast.phone()).is_empty(), "{:?}", findings(cast.phone()));
}

/// A KeyPackage whose private keys went with a restored backup was used: it is said, such are given out no
/// more, and the device can be added again. KeyPackages that have ended are found.
#[test]
fn a_welcome_whose_key_package_is_gone() {
    let world = World::new();
    let [alice, bob] = ["alice", "bob"].map(|user| world.device(user));
    bob.run(&["device", "withdraw"]);
    let backup = world.folder().join("backup");
    copy(&bob.home, &backup);
    bob.run(&["device", "publish", "--count", "8"]);
    fs::remove_dir_all(&bob.home).unwrap();
    copy(&backup, &bob.home);
    alice.run(&["group", "create", "family"]);
    alice.run(&["group", "add", "family", "bob"]);
    let events = bob.sync();
    assert!(events.iter().any(|event| event["event"] == "welcome-lost"), "{events:?}");
    found(&bob, "welcome-lost", "pmls recover");
    bob.run(&["device", "publish", "--count", "1"]);
    bob.run(&["recover"]);
    assert!(findings(&bob).is_empty());
    alice.run(&["group", "remove", "family", "bob"]);
    alice.run(&["group", "add", "family", "bob"]);
    assert!(bob.sync().iter().any(|event| event["event"] == "joined"));

    let state = rusqlite::Connection::open(bob.home.join("mls.sqlite")).unwrap();
    let sql = "UPDATE pmls_cursors SET cursor = 1 WHERE name = 'packages until'";
    assert_eq!(state.execute(sql, []).unwrap(), 1);
    drop(state);
    found(&bob, "no-key-packages", "pmls device publish");
    bob.run(&["device", "publish"]);
    assert!(findings(&bob).is_empty());
}

/// A full disk is named as what it is, whatever the library says that it could not do, and nothing is lost.
#[test]
fn the_disk_is_full() {
    let world = World::new();
    let [alice, bob] = world.family();
    for command in ["group send family never", "update family", "group create garden", "sync"] {
        // No file may become longer than this, in blocks of 512 bytes.
        let limited = format!("trap '' XFSZ; ulimit -f 8; exec \"$@\" {command}");
        let mut full = Command::new("sh");
        full.args(["-c", &limited, "sh", env!("CARGO_BIN_EXE_pmls"), "--home"]).arg(&bob.home);
        alice.run(&["group", "send", "family", "something to fetch"]);
        let full = full.output().unwrap();
        let error = String::from_utf8_lossy(&full.stderr);
        assert_eq!(full.status.code(), Some(3), "{command}: {error}");
        assert!(error.contains("free some space"), "{command}: {error}");
        assert!(!error.contains("rejoin"), "{command}: {error}");
    }
    bob.run(&["update", "family"]);
    bob.run(&["group", "send", "family", "room again"]);
    alice.sync();
    agree(&[&alice, &bob], "family");
    assert_eq!(alice.read("family"), ["bob: room again"]);
}

/// A monitor learns that a device was shut out, and that one which came back is well.
#[test]
fn status_says_what_was_heard_last() {
    let world = World::new();
    let [alice, bob] = world.family();
    let laptop = world.another(&bob, "bob", "laptop");
    let what = |device: &Device| device.run(&["status"])["attention"].to_string();
    laptop.run(&["device", "revoke", &bob.id()]);
    bob.fails(&["sync"]);
    assert!(what(&bob).contains("pmls recover --new-keys"), "{}", what(&bob));
    assert!(bob.run(&["status"])["revoked_at"].is_u64());
    assert_eq!(bob.fails(&["status", "--check"]).0, 8);
    assert!(alice.run(&["status"])["revoked_at"].is_null());
}
