//! Others put a device into groups that its user knows nothing of.

use serde_json::Value;

use crate::{
    node::Cast,
    stranger::Stranger,
    world::{Device, agree, healed},
};

fn count(events: &[Value], name: &str) -> usize {
    events.iter().filter(|event| event["event"] == name).count()
}

fn refused(events: &[Value]) -> &Value {
    events.iter().find(|event| event["event"] == "group-refused").unwrap()
}

fn groups(device: &Device) -> usize {
    device.run(&["group", "list"])["groups"].as_array().unwrap().len()
}

/// One stranger makes group after group: a few come about, the rest is told, and everybody else comes in.
#[test]
fn one_stranger_fills_his_own_share() {
    let cast = Cast::paired();
    let [phone, sensor, bob] = cast.all();
    sensor.run(&["device", "publish", "--count", "60"]);
    let mallory = Stranger::new(&cast.world.url, "mallory");
    let hosted: Vec<_> = (0..10).map(|_| mallory.put_into_group(&[("sensor", sensor)])).collect();
    let events = sensor.sync();
    assert_eq!((count(&events, "joined"), count(&events, "group-refused")), (4, 6));
    assert_eq!(refused(&events)["by"], "mallory");
    assert_eq!(refused(&events)["why"], "of-one-user");
    // He has an accomplice who says that he is somebody else.
    let marvin = Stranger::new(&cast.world.url, "marvin");
    marvin.put_into_group(&[("sensor", sensor)]);
    assert_eq!(count(&sensor.sync(), "joined"), 1);

    phone.run(&["update", "family"]);
    assert!(healed(&sensor.sync(), &[1]));
    bob.sync();
    agree(&cast.all(), "family");
    // The user looks at one of them, and there is room for one more.
    sensor.run(&["group", "show", &hosted[0].group.to_string()]);
    mallory.put_into_group(&[("sensor", sensor)]);
    assert_eq!(count(&sensor.sync(), "joined"), 1);
}

/// Forty strangers fill what is there for strangers. A member of a group that the user knows comes in, and so does a
/// partner, and what was there goes on.
#[test]
fn many_strangers_leave_room_for_those_who_are_known() {
    let cast = Cast::paired();
    let [phone, sensor, bob] = cast.all();
    sensor.run(&["device", "publish", "--count", "100"]);
    for n in 0..40 {
        Stranger::new(&cast.world.url, &format!("stranger-{n}"))
            .put_into_group(&[("sensor", sensor)]);
    }
    let events = sensor.sync();
    assert_eq!((count(&events, "joined"), count(&events, "group-refused")), (24, 16));
    assert_eq!(refused(&events)["why"], "of-strangers");

    bob.run(&["group", "create", "friends"]);
    bob.run(&["group", "add", "friends", "sensor"]);
    let events = sensor.sync();
    assert_eq!(count(&events, "joined"), 1, "a member of a known group: {events:?}");
    for n in 0..6 {
        let name = format!("home-{n}");
        phone.run(&["group", "create", &name]);
        phone.run(&["group", "add", &name, "sensor"]);
    }
    let events = sensor.sync();
    assert_eq!(count(&events, "joined"), 6, "a partner is not counted: {events:?}");
    assert_eq!(groups(sensor), 1 + 24 + 1 + 6);
    phone.run(&["update", "family"]);
    assert!(healed(&sensor.sync(), &[1]));
    bob.sync();
    agree(&cast.all(), "family");
}

/// A passive device names no group: one in which its partner commits is known to it.
#[test]
fn a_group_in_which_a_partner_commits_is_known() {
    let cast = Cast::paired();
    let [phone, sensor, bob] = cast.all();
    for device in [phone, sensor, bob] {
        device.run(&["device", "publish", "--count", "20"]);
    }
    let mallory = Stranger::new(&cast.world.url, "mallory");
    // Phone and sensor are neighbours in the tree.
    let all = [("bob", bob), ("phone", phone), ("sensor", sensor)];
    let hosted: Vec<_> = (0..4).map(|_| mallory.put_into_group(&all)).collect();
    assert_eq!(count(&sensor.sync(), "joined"), 4);
    mallory.put_into_group(&[("sensor", sensor)]);
    assert_eq!(count(&sensor.sync(), "group-refused"), 1);
    phone.run(&["update", &hosted[0].group.to_string()]);
    assert!(healed(&sensor.sync(), &[1]));
    mallory.put_into_group(&[("sensor", sensor)]);
    assert_eq!(count(&sensor.sync(), "joined"), 1);
    mallory.put_into_group(&[("sensor", sensor)]);
    assert_eq!(count(&sensor.sync(), "group-refused"), 1);
}

/// A stranger puts both devices of a pairing in, so that it is used in his groups: he has no more of them for that.
/// And who puts a device in and takes it out again for ever leaves little behind.
#[test]
fn a_pairing_in_his_groups_gives_a_stranger_no_room() {
    let cast = Cast::paired();
    let [phone, sensor, _] = cast.all();
    for device in [phone, sensor] {
        device.run(&["device", "publish", "--count", "60"]);
    }
    let mallory = Stranger::new(&cast.world.url, "mallory");
    let mut hosted: Vec<_> =
        (0..4).map(|_| mallory.put_into_group(&[("phone", phone), ("sensor", sensor)])).collect();
    let events = sensor.sync();
    assert_eq!(count(&events, "joined"), 4);
    assert!(count(&events, "paired-in") + count(&events, "paired-apart") == 4, "{events:?}");
    mallory.put_into_group(&[("sensor", sensor)]);
    assert_eq!(refused(&sensor.sync())["why"], "of-one-user");

    for hosted in &mut hosted {
        mallory.empty(hosted, &["phone", "sensor"]);
    }
    sensor.sync();
    // The service gives one account 20 KeyPackages of a device in a day.
    for n in 0..5 {
        let marvin = Stranger::new(&cast.world.url, &format!("marvin-{n}"));
        for _ in 0..4 {
            let mut hosted = marvin.put_into_group(&[("sensor", sensor)]);
            assert_eq!(count(&sensor.sync(), "joined"), 1);
            marvin.empty(&mut hosted, &["sensor"]);
        }
        sensor.sync();
    }
    // Of 24 that are over, the newest 16, and its own.
    assert_eq!(groups(sensor), 16 + 1);
    let database = rusqlite::Connection::open(sensor.home.join("mls.sqlite")).unwrap();
    let rows: i64 =
        database.query_row("SELECT count(*) FROM pmls_groups", [], |row| row.get(0)).unwrap();
    assert_eq!(rows, 17);
    phone.run(&["update", "family"]);
    assert!(healed(&sensor.sync(), &[1]));
}
