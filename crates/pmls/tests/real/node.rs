//! Devices with a leaf each, below one anchor.

use serde_json::Value;

use crate::world::{Device, World, agree, changes, copy, healed, settle, text_of};

/// A phone and a sensor, paired, in a group with Bob.
pub(crate) struct Cast {
    pub(crate) world: World,
    phone: Device,
    sensor: Device,
    bob: Device,
}

impl Cast {
    fn new() -> Self {
        Self::in_world(World::new())
    }

    fn in_world(world: World) -> Self {
        let [phone, sensor, bob] = ["phone", "sensor", "bob"].map(|user| world.device(user));
        phone.run(&["group", "create", "family"]);
        phone.run(&["group", "add", "family", "sensor", "bob"]);
        for device in [&sensor, &bob] {
            device.sync();
            device.call_it("family");
        }
        Self { world, phone, sensor, bob }
    }

    pub(crate) fn paired() -> Self {
        Self::paired_in(World::new())
    }

    /// The same, in this world.
    pub(crate) fn paired_in(world: World) -> Self {
        let cast = Self::in_world(world);
        pair(&cast.phone, &cast.sensor, "sensor");
        assert_eq!(state(&cast.phone), "paired");
        assert_eq!(state(&cast.sensor), "paired");
        cast
    }

    pub(crate) fn phone(&self) -> &Device {
        &self.phone
    }

    pub(crate) fn sensor(&self) -> &Device {
        &self.sensor
    }

    pub(crate) fn all(&self) -> [&Device; 3] {
        [&self.phone, &self.sensor, &self.bob]
    }
}

/// Both devices show the same digits, and their users say so.
pub(crate) fn pair(initiator: &Device, other: &Device, name: &str) {
    let started = initiator.run(&["pair", "start", name]);
    let events = other.sync();
    let offered = events.iter().find(|event| event["event"] == "pairing-offered").unwrap();
    assert_eq!(offered["digits"], started["digits"]);
    other.run(&["pair", "confirm", "--digits", &text_of(&started["digits"])]);
    initiator.run(&["pair", "confirm"]);
    settle(&[other, initiator]);
}

fn state(device: &Device) -> String {
    text_of(&device.run(&["pair", "status"])["pairings"][0]["state"])
}

/// The main job: the phone heals the group on behalf of the sensor, which sends nothing; and back.
#[test]
fn a_phone_heals_for_a_sensor() {
    let cast = Cast::paired();
    let [phone, sensor, bob] = cast.all();
    let stolen = Device { home: cast.world.folder().join("thief") };
    copy(&sensor.home, &stolen.home);
    // The vault is apart: the thief has not got it.
    std::fs::remove_dir_all(stolen.home.join("vault")).unwrap();

    let events = phone.run(&["update", "family"]);
    assert!(healed(events["events"].as_array().unwrap(), &[1]), "{events}");
    let events = sensor.sync();
    assert!(healed(&events, &[1]), "{events:?}");
    bob.sync();
    agree(&cast.all(), "family");
    assert_eq!(stolen.fails(&["sync"]).0, 3, "without the vault there is no device");

    bob.run(&["group", "send", "family", "the pump is on"]);
    settle(&[phone, sensor]);
    assert_eq!(sensor.read("family"), ["bob: the pump is on"]);
    assert_eq!(phone.read("family"), ["bob: the pump is on"]);
    assert!(sensor.read("family").is_empty(), "read once");

    let events = sensor.run(&["update"]);
    assert!(healed(events["events"].as_array().unwrap(), &[0]), "roles switch: {events}");
    settle(&cast.all());
    agree(&cast.all(), "family");

    let tree = phone.run(&["tree", "family"]);
    let nodes = tree["nodes"].as_array().unwrap();
    assert!(nodes.iter().any(|node| node["state"] == "anchor" && node["level"] == 1), "{tree}");
    assert_eq!(tree["security"], "secure");
}

/// Two commit at once: one wins, the other follows and tries again; nobody is lost.
#[test]
fn commits_of_several_are_ordered() {
    let cast = Cast::paired();
    std::thread::scope(|scope| {
        for device in cast.all() {
            scope.spawn(move || {
                for _ in 0..5 {
                    device.run(&["update", "family"]);
                }
            });
        }
    });
    settle(&cast.all());
    agree(&cast.all(), "family");
    // One that added two, and five of each.
    assert_eq!(cast.phone.epoch("family"), 16);
}

/// Members come and go; removed ones know it, and come back.
#[test]
fn members_come_and_go() {
    let cast = Cast::paired();
    let carol = cast.world.device("carol");
    let [phone, sensor, bob] = cast.all();
    bob.run(&["group", "add", "family", "carol"]);
    carol.sync();
    carol.call_it("family");
    settle(&[phone, sensor, bob]);
    agree(&[phone, sensor, bob, &carol], "family");

    carol.run(&["group", "leave", "family"]);
    phone.sync();
    phone.run(&["update", "family"]);
    let events = carol.sync();
    assert!(changes(&events).iter().any(|change| change["what"] == "removed"), "{events:?}");
    assert_eq!(carol.run(&["group", "list"])["groups"][0]["state"], "gone");
    let (code, error) = carol.fails(&["group", "send", "family", "hello?"]);
    assert_eq!(code, 3);
    assert!(error.contains("not in family any more"), "{error}");

    settle(&[sensor, bob]);
    phone.run(&["group", "add", "family", "carol"]);
    carol.sync();
    settle(&[sensor, bob]);
    agree(&[phone, sensor, bob, &carol], "family");
    carol.run(&["group", "remove", "family", "bob"]);
    bob.sync();
    assert_eq!(bob.run(&["group", "list"])["groups"][0]["state"], "gone");
    settle(&[phone, sensor]);
    agree(&[phone, sensor, &carol], "family");
}

/// The sensor has lost its MLS state, and not its vault: it comes back from outside.
#[test]
fn a_device_comes_back_from_outside() {
    let cast = Cast::paired();
    let [phone, sensor, bob] = cast.all();
    phone.run(&["update", "family"]);
    sensor.run(&["group", "rejoin", "family"]);
    settle(&[phone, bob]);
    agree(&cast.all(), "family");
    phone.run(&["update", "family"]);
    assert!(healed(&sensor.sync(), &[1]));
    bob.sync();
    agree(&cast.all(), "family");
}

/// The whole leaf of the sensor is new, by a KeyPackage that it has offered; it sends nothing then.
#[test]
fn a_leaf_is_renewed() {
    let cast = Cast::paired();
    let [phone, sensor, bob] = cast.all();
    sensor.run(&["pair", "publish", "--count", "2"]);
    phone.sync();
    let events = phone.run(&["update", "family", "--refresh", "1"]);
    let renewed =
        |events: &[Value]| changes(events).iter().any(|change| change["what"] == "leaf-renewed");
    assert!(renewed(events["events"].as_array().unwrap()), "{events}");
    let events = sensor.sync();
    assert!(renewed(&events), "{events:?}");
    bob.sync();
    agree(&cast.all(), "family");
    bob.run(&["group", "send", "family", "still there?"]);
    sensor.sync();
    assert_eq!(sensor.read("family"), ["bob: still there?"]);
}

/// The seed goes by hand: no channel, and nothing to compare.
#[test]
fn a_seed_goes_by_hand() {
    let cast = Cast::new();
    let [phone, sensor, bob] = cast.all();
    let file = cast.world.folder().join("seed");
    let file = file.to_str().unwrap();
    phone.run(&["pair", "seed", file, "sensor"]);
    assert_eq!(phone.fails(&["pair", "seed", file, "sensor"]).0, 3, "it is not overwritten");
    sensor.run(&["pair", "load", file]);
    phone.run(&["pair", "start", "sensor", "--seed", file]);
    settle(&[sensor, phone]);
    assert_eq!([state(phone), state(sensor)], ["paired", "paired"]);
    phone.run(&["update", "family"]);
    assert!(healed(&sensor.sync(), &[1]));
    bob.sync();
    agree(&cast.all(), "family");
}

/// Digits that differ end the pairing before anything is done with its seed.
#[test]
fn digits_that_differ_end_it() {
    let cast = Cast::new();
    let started = cast.phone.run(&["pair", "start", "sensor"]);
    cast.sensor.sync();
    let wrong = text_of(&started["digits"]).replace(['1', '2', '3'], "4");
    let (code, error) = cast.sensor.fails(&["pair", "confirm", "--digits", &wrong]);
    assert_eq!(code, 3);
    assert!(error.contains("the digits differ"), "{error}");
    assert_eq!(cast.sensor.run(&["pair", "status"])["pairings"], serde_json::json!([]));
}

/// Request, confirmation, tape erased; the one that ended it leaves and is added again.
#[test]
fn a_pairing_ends() {
    let cast = Cast::paired();
    let [phone, sensor, bob] = cast.all();
    phone.run(&["update", "family"]);
    phone.run(&["pair", "end"]);
    assert_eq!(state(phone), "ceasing");
    let events = settle(&[sensor, phone]);
    assert!(events.iter().any(|event| event["event"] == "ended"), "{events:?}");
    assert_eq!([state(phone), state(sensor)], ["ceased", "ceased"]);

    // Another member carries out that the phone leaves.
    bob.sync();
    bob.run(&["update", "family"]);
    settle(&[phone, sensor]);
    assert_eq!(phone.run(&["group", "list"])["groups"][0]["state"], "gone");
    bob.run(&["group", "add", "family", "phone"]);
    settle(&cast.all());
    agree(&cast.all(), "family");
    let events = phone.run(&["update", "family"]);
    assert!(!healed(events["events"].as_array().unwrap(), &[1]), "{events}");
    settle(&cast.all());
    agree(&cast.all(), "family");
}

/// Bob sits between the devices: commits heal nobody, and the tree says why and what to do.
#[test]
fn a_stranger_between_the_devices_is_told_of() {
    let world = World::new();
    let [phone, sensor, bob] = ["phone", "sensor", "bob"].map(|user| world.device(user));
    phone.run(&["group", "create", "family"]);
    phone.run(&["group", "add", "family", "bob", "sensor"]);
    sensor.sync();
    sensor.call_it("family");
    pair(&phone, &sensor, "sensor");
    let events = phone.run(&["update", "family"]);
    assert!(!healed(events["events"].as_array().unwrap(), &[1]), "{events}");
    assert_eq!(phone.run(&["tree", "family"])["footing"], "suspended");
    let plan = phone.run(&["group", "plan", "family"]);
    assert_eq!(plan["plan"], "move", "{plan}");
    assert_eq!(plan["commits"].as_array().unwrap().len(), 2, "{plan}");

    // Removed, and added again: the sensor takes the leaf that Bob has left.
    phone.run(&["group", "remove", "family", "bob", "sensor"]);
    sensor.sync();
    assert_eq!(
        phone.run(&["group", "plan", "family"]),
        serde_json::json!({ "plan": "add", "users": ["sensor"], "leaves": [1] })
    );
    phone.run(&["group", "add", "family", "sensor"]);
    settle(&[&sensor, &phone]);
    assert_eq!(phone.run(&["tree", "family"])["footing"], "whole");
    assert_eq!(phone.run(&["group", "plan", "family"])["plan"], "together");
    phone.run(&["update", "family"]);
    assert!(healed(&sensor.sync(), &[1]));
    agree(&[&phone, &sensor], "family");
    drop(bob);
}

/// The other cipher suites, with ECDSA in one of them.
#[test]
fn other_suites_do_the_same() {
    let world = World::new();
    for suite in ["2", "3"] {
        let [phone, sensor, bob] =
            ["phone", "sensor", "bob"].map(|user| world.device_of_suite(user, suite));
        let name = |user: &str| format!("{user}-{suite}");
        phone.run(&["group", "create", "family"]);
        phone.run(&["group", "add", "family", &name("sensor"), &name("bob")]);
        for device in [&sensor, &bob] {
            device.sync();
            device.call_it("family");
        }
        pair(&phone, &sensor, &name("sensor"));
        phone.run(&["update", "family"]);
        assert!(healed(&sensor.sync(), &[1]));
        bob.sync();
        agree(&[&phone, &sensor, &bob], "family");
    }
}

/// The service leaves out a commit: the device says so, goes on with its other groups, and comes back from
/// outside.
#[test]
fn a_log_with_a_hole_is_noticed() {
    let mut cast = Cast::paired();
    let other = cast.world.device("carol");
    other.run(&["group", "create", "work"]);
    other.run(&["group", "add", "work", "sensor"]);
    cast.sensor.sync();
    cast.phone.run(&["update", "family"]);
    cast.phone.run(&["update", "family"]);
    cast.world.kill();
    let database = rusqlite::Connection::open(cast.world.folder().join("service.db")).unwrap();
    let hole = "DELETE FROM log WHERE epoch = 1 AND group_id =
                (SELECT group_id FROM log GROUP BY group_id ORDER BY max(position) DESC LIMIT 1)";
    assert_eq!(database.execute(hole, []).unwrap(), 1);
    drop(database);
    cast.world.restart();

    other.run(&["group", "send", "work", "still here"]);
    let (code, error) = cast.sensor.fails(&["sync"]);
    assert_eq!(code, 3);
    assert!(error.contains("leaves out a part of the log of family"), "{error}");
    let groups = cast.sensor.run(&["group", "list"]);
    let work = groups["groups"].as_array().unwrap().iter().find(|group| group["unread"] == 1);
    assert!(work.is_some(), "{groups}");
    for device in [&cast.sensor, &cast.bob] {
        device.run(&["group", "rejoin", "family"]);
    }
    settle(&cast.all());
    agree(&cast.all(), "family");
}

/// The phone has not heard that Bob is gone and that Carol has taken his leaf: it removes nobody else.
#[test]
fn nobody_else_is_removed() {
    let cast = Cast::paired();
    let carol = cast.world.device("carol");
    let [phone, sensor, _] = cast.all();
    sensor.run(&["group", "remove", "family", "bob"]);
    sensor.run(&["group", "add", "family", "carol"]);
    carol.sync();
    carol.call_it("family");
    let (code, error) = phone.fails(&["group", "remove", "family", "bob"]);
    assert_eq!(code, 3);
    assert!(error.contains("bob is no member"), "{error}");
    settle(&[phone, sensor, &carol]);
    agree(&[phone, sensor, &carol], "family");
}

/// Somebody removes the sensor and adds it again while it is away: the Welcome comes before the log has
/// said that it was removed. It is back, and its partner heals it.
#[test]
fn a_device_that_is_removed_and_added_while_away_is_back() {
    let cast = Cast::paired();
    let [phone, sensor, bob] = cast.all();
    bob.run(&["group", "remove", "family", "sensor"]);
    bob.run(&["group", "add", "family", "sensor"]);
    let events = sensor.sync();
    assert!(events.iter().any(|event| event["event"] == "joined"), "{events:?}");
    settle(&cast.all());
    agree(&cast.all(), "family");
    phone.run(&["update", "family"]);
    settle(&cast.all());
    agree(&cast.all(), "family");
    bob.run(&["group", "send", "family", "welcome back"]);
    sensor.sync();
    assert_eq!(sensor.read("family"), ["bob: welcome back"]);
}

/// From the creation on, each commit of the command line in the clear follows from the one before, and the
/// service has what it needs to verify the next, and to let somebody in from outside.
#[test]
fn the_service_can_verify_every_commit() {
    let cast = Cast::paired();
    cast.phone.run(&["update", "family"]);
    settle(&cast.all());
    let database = rusqlite::Connection::open(cast.world.folder().join("service.db")).unwrap();
    let groups =
        "SELECT COUNT(*), MIN(group_info_anchored), MIN(epoch = group_info_epoch), MIN(epoch)
                  FROM groups";
    let found: [u64; 4] = database
        .query_row(groups, [], |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?]))
        .unwrap();
    let [count, anchored, current, epoch] = found;
    assert_eq!((count, anchored, current), (1, 1, 1));
    assert!(epoch > 1);
}
