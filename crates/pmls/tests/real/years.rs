//! A sensor that only receives, for years.
//!
//! The test runs once more in a process with `libfaketime` before the C library, as `faketime` does it, and moves the
//! clock of that process and of all that it starts: the server, and each command of each device.

use std::{
    env, fs,
    path::PathBuf,
    process::Command,
    time::{SystemTime, UNIX_EPOCH},
};

use serde_json::Value;

use crate::{
    feed::{beacon, listen, of_kind},
    kill::start_and_kill,
    node::Cast,
    world::{Device, World, agree, changes, copy, settle},
};

const DAY: u64 = 24 * 60 * 60;
const CLOCK: &str = "FAKETIME_TIMESTAMP_FILE";

/// Where `libfaketime` is: Debian's package `faketime` has it. Without it the test is skipped, except in CI, where it has
/// to run.
fn library() -> Option<PathBuf> {
    let folders = ["/usr/lib", "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu"];
    let file = folders.map(|folder| PathBuf::from(folder).join("faketime/libfaketime.so.1"));
    let found = file.into_iter().find(|file| file.exists());
    if found.is_none() {
        let missing = "no libfaketime: install faketime";
        assert!(env::var_os("CI").is_none(), "{missing}");
        eprintln!("skipped: {missing}");
    }
    found
}

/// The clock, if it is one that the test moves; if not, the test `name` has run under such a clock by now.
fn clock_of(name: &str) -> Option<Clock> {
    if let Some(file) = env::var_os(CLOCK) {
        return Some(Clock { file: file.into(), begin: now() });
    }
    let library = library()?;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("clock");
    fs::write(&file, "+0\n").unwrap();
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture", "--test-threads", "1"])
        .env("LD_PRELOAD", library)
        .env(CLOCK, &file)
        .env("FAKETIME_NO_CACHE", "1")
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        .output()
        .unwrap();
    let told = [&*output.stdout, &*output.stderr].map(String::from_utf8_lossy).concat();
    assert!(output.status.success(), "{told}");
    assert!(told.contains("1 passed"), "{told}");
    None
}

struct Clock {
    file: PathBuf,
    begin: u64,
}

impl Clock {
    fn day(&self, day: u64) {
        fs::write(&self.file, format!("+{}\n", day * DAY)).unwrap();
        let now = now();
        assert!((self.begin + day * DAY..self.begin + (day + 1) * DAY).contains(&now), "{now}");
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn renewed(events: &[Value], device: u64) -> bool {
    let changes = changes(events);
    changes.iter().any(|change| change["what"] == "leaf-renewed" && change["device"] == device)
}

/// What the phone's status says of the sensor.
fn sensor_in(status: &Value) -> &Value {
    &status["groups"][0]["devices"][1]
}

fn attention(status: &Value, word: &str) -> bool {
    let all = status["attention"].as_array().unwrap().iter();
    all.clone().any(|what| what["what"].as_str().unwrap().contains(word))
}

/// Provisioned once; then the phone renews it by itself with `sync`, for as long as that goes, and says so a year, 90 and 30
/// days before the end. Nobody remembers anything.
#[test]
fn a_phone_renews_a_sensor_for_years_and_says_when_that_ends() {
    let name = "years::a_phone_renews_a_sensor_for_years_and_says_when_that_ends";
    let Some(clock) = clock_of(name) else { return };
    let cast = Cast::paired();
    let [phone, sensor, bob] = cast.all();
    let handed = sensor.run(&["device", "provision"]);
    let handed = of_kind(handed["events"].as_array().unwrap(), "chain-handed-over")[0].clone();
    assert_eq!(handed["packages"], 28);
    let events = phone.sync();
    assert_eq!(of_kind(&events, "provided")[0]["until"], handed["until"]);
    assert!(of_kind(&events, "provision-ends").is_empty());
    phone.run(&["update", "family"]);
    settle(&[sensor, bob]);
    let status = phone.run(&["status", "--check"]);
    let first = sensor_in(&status)["provided_until"].as_u64().unwrap();
    assert!(first > now() + 1_970 * DAY, "{status}");

    // Well before the end of the first leaf, and from the network.
    clock.day(60);
    assert!(!renewed(&phone.sync(), 1));
    clock.day(75);
    assert!(renewed(&phone.sync(), 1));
    assert!(renewed(&sensor.sync(), 1), "it comes in by the Welcome");
    bob.sync();
    agree(&cast.all(), "family");
    assert!(!renewed(&phone.sync(), 1), "and once");
    // The sensor was there, and its chain is longer now.
    let until = sensor_in(&phone.run(&["status"]))["provided_until"].as_u64().unwrap();
    assert_eq!(until, first + 70 * DAY);

    // From here on nobody hears of the sensor.
    for day in [145, 400, 800, 1_200, 1_600] {
        clock.day(day);
        let events = phone.sync();
        assert!(renewed(&events, 1), "day {day}: {events:?}");
        let status = phone.run(&["status"]);
        assert!(sensor_in(&status)["leaf_until"].as_u64().unwrap() > now());
        let soon = of_kind(&events, "provision-ends");
        assert!(soon.is_empty(), "{soon:?}");
        assert_eq!(sensor_in(&status)["provision_ends"], Value::Null);
    }
    let end = (until - clock.begin) / DAY;
    for (left, ahead) in [(364, "a-year"), (89, "90-days"), (29, "30-days")] {
        clock.day(end - left);
        let events = phone.sync();
        let told = of_kind(&events, "provision-ends");
        assert_eq!(told.len(), 1, "{left}: {events:?}");
        assert_eq!((&told[0]["ahead"], &told[0]["device"]), (&ahead.into(), &1.into()));
        assert!(of_kind(&phone.sync(), "provision-ends").is_empty(), "it is said once");
        let (code, _) = phone.fails(&["status", "--check"]);
        assert_eq!(code, 8);
        let status = phone.run(&["status"]);
        assert_eq!(sensor_in(&status)["provision_ends"], ahead);
        assert!(attention(&status, "can be renewed for"), "{status}");
    }
    // The end: that is said too, and nothing else breaks.
    clock.day(end + 1);
    assert!(!renewed(&phone.sync(), 1));
    assert!(attention(&phone.run(&["status"]), "cannot be renewed any more"));
    phone.run(&["update", "family"]);
}

/// The sensor hears a feed, and nothing else: it is renewed by what it hears, again and again. A newcomer comes in after
/// more than a year.
#[test]
fn a_sensor_on_a_feed_is_renewed() {
    let Some(clock) = clock_of("years::a_sensor_on_a_feed_is_renewed") else { return };
    let cast = Cast::paired();
    let [phone, sensor, bob] = cast.all();
    sensor.run(&["device", "provision"]);
    phone.sync();
    let folder = |day: u64| cast.world.folder().join(format!("feed-{day}"));
    for day in (70..=420).step_by(70) {
        clock.day(day);
        phone.run(&["update", "family"]);
        settle(&[phone, bob]);
        beacon(phone, &folder(day));
        let events = listen(sensor, &[&folder(day)], "2");
        assert!(renewed(&events, 1), "day {day}: {events:?}");
        assert!(of_kind(&events, "trouble").is_empty(), "{events:?}");
        agree(&[phone, sensor, bob], "family");
        bob.run(&["update", "family"]);
        settle(&[phone, bob]);
    }
    let carol = cast.world.device("carol");
    bob.run(&["group", "add", "family", "carol"]);
    carol.sync();
    carol.call_it("family");
    carol.run(&["group", "send", "family", "is the pump on?"]);
    settle(&[phone, bob]);
    beacon(phone, &folder(421));
    listen(sensor, &[&folder(421)], "2");
    // It cannot ask who that is.
    assert_eq!(sensor.read("family"), [": is the pump on?"]);
}

/// Others add the sensor to a new group after almost three years in which it was not heard of; and the control, somebody who
/// has made nothing ahead. What was withdrawn is given to nobody.
#[test]
fn a_silent_sensor_is_added_in_the_third_year() {
    let Some(clock) = clock_of("years::a_silent_sensor_is_added_in_the_third_year") else { return };
    let cast = Cast::paired();
    let [phone, sensor, bob] = cast.all();
    let lamp = cast.world.device("lamp");
    lamp.sync();
    let events = sensor.run(&["device", "provision"]);
    let ahead = of_kind(events["events"].as_array().unwrap(), "key-packages-ahead")[0].clone();
    assert_eq!(ahead["made"], 28 * 4);
    let until = sensor.run(&["status"])["key_packages"]["ahead_until"].clone();
    assert_eq!(until, ahead["until"]);
    assert!(of_kind(&sensor.sync(), "key-packages-ahead").is_empty(), "once");
    for day in [300, 600, 900, 1_000] {
        clock.day(day);
        bob.sync();
    }
    bob.run(&["group", "create", "pumps"]);
    let (code, error) = bob.fails(&["group", "add", "pumps", "lamp"]);
    assert_eq!(code, 3, "the control: {error}");
    bob.run(&["group", "add", "pumps", "sensor"]);
    let joined = sensor.sync();
    assert!(of_kind(&joined, "welcome-lost").is_empty(), "{joined:?}");
    let name = of_kind(&joined, "joined")[0]["group"].as_str().unwrap().to_owned();
    assert_eq!(sensor.authenticator(&name), bob.authenticator("pumps"));
    // It was reached: both chains are made longer.
    assert_eq!(of_kind(&joined, "key-packages-ahead")[0]["made"], 14 * 4);

    sensor.run(&["device", "withdraw"]);
    assert_eq!(sensor.run(&["status"])["key_packages"]["ahead_until"], Value::Null);
    assert!(of_kind(&sensor.sync(), "key-packages-ahead").is_empty());
    clock.day(1_300);
    settle(&[phone]);
    phone.run(&["group", "create", "lights"]);
    assert_eq!(phone.fails(&["group", "add", "lights", "sensor"]).0, 3);
}

/// The sensor dies while it makes its chain, and while it hands it over: the phone gets all of it, and once.
#[test]
fn a_sensor_is_killed_while_it_is_provisioned() {
    let cast = Cast::paired();
    let [phone, sensor, _] = cast.all();
    for after in (0..16).map(|n| n * 11 + 5) {
        start_and_kill(sensor, &["device", "provision"], after);
    }
    sensor.run(&["device", "provision"]);
    let events = phone.sync();
    let provided: u64 =
        of_kind(&events, "provided").iter().filter_map(|at| at["packages"].as_u64()).sum();
    assert_eq!(provided, 28, "{events:?}");
    let status = phone.run(&["status"]);
    assert!(
        sensor_in(&status)["provided_until"].as_u64().unwrap() > now() + 1_970 * DAY,
        "{status}"
    );
    assert!(of_kind(&sensor.sync(), "chain-handed-over").is_empty(), "there is nothing new");
    // The phone dies while it takes one.
    sensor.run(&["device", "provision", "--off"]);
    let again: &Device = sensor;
    assert!(of_kind(&again.sync(), "chain-handed-over").is_empty());
}

/// The phone comes back from a backup of before it had the chain: `device provision` on the sensor hands it over again.
#[test]
fn a_chain_that_is_lost_is_handed_over_again() {
    let cast = Cast::paired();
    let [phone, sensor, _] = cast.all();
    let until = || sensor_in(&phone.run(&["status"]))["provided_until"].as_u64();
    sensor.run(&["device", "provision"]);
    let backup = phone.home.with_file_name("backup");
    copy(&phone.home, &backup);
    assert_eq!(of_kind(&phone.sync(), "provided").len(), 1);
    let before = until();
    fs::remove_dir_all(&phone.home).unwrap();
    copy(&backup, &phone.home);
    phone.sync();
    assert_eq!((before.is_some(), until()), (true, None));
    let told = sensor.run(&["device", "provision"]);
    assert!(told["events"].to_string().contains("chain-handed-over"), "{told}");
    assert_eq!(of_kind(&phone.sync(), "provided").len(), 1);
    assert_eq!(until(), before);
}

/// Who has no partner learns that nobody will renew its leaf.
#[test]
fn a_device_without_a_partner_is_told_that_nobody_renews_it() {
    let world = World::new();
    let told = world.device("alone").run(&["device", "provision"]);
    assert!(told["events"].to_string().contains("nobody-renews"), "{told}");
}
