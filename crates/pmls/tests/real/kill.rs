//! Devices and the server die in the middle of anything, and start again: nothing is lost.

use std::{process::Stdio, thread::sleep, time::Duration};

use crate::leaf::{Cast, Mode};
use crate::world::{Device, World, agree, pmls, settle};

/// How long a process is let live, in milliseconds: from before it has opened anything to after it is
/// done.
fn moments() -> impl Iterator<Item = u64> {
    (0..20).map(|n| n * 13 + 2)
}

pub(crate) fn start_and_kill(device: &Device, args: &[&str], after: u64) {
    let mut command = pmls(&device.home);
    let command = command.args(args).stdout(Stdio::null()).stderr(Stdio::null());
    let mut process = command.spawn().unwrap();
    sleep(Duration::from_millis(after));
    // It may be done already.
    let _ = process.kill();
    process.wait().unwrap();
}

fn group(world: &World) -> [Device; 3] {
    let devices = ["phone", "sensor", "bob"].map(|user| world.device(user));
    let [phone, sensor, bob] = &devices;
    phone.run(&["group", "create", "family"]);
    phone.run(&["group", "add", "family", "sensor", "bob"]);
    for device in [sensor, bob] {
        device.sync();
        device.call_it("family");
    }
    phone.run(&["pair", "start", "sensor"]);
    sensor.sync();
    phone.run(&["pair", "confirm"]);
    sensor.run(&["pair", "confirm"]);
    settle(&[phone, sensor]);
    devices
}

#[test]
fn a_device_is_killed() {
    let world = World::new();
    let devices = group(&world);
    let [phone, sensor, bob] = &devices;
    for (n, after) in moments().enumerate() {
        start_and_kill(phone, &["update", "family"], after);
        start_and_kill(sensor, &["sync"], after);
        start_and_kill(bob, &["group", "send", "family", &format!("message {n}")], after);
        start_and_kill(sensor, &["sync"], after / 2);
    }
    bob.run(&["group", "send", "family", "last"]);
    settle(&[phone, sensor, bob]);
    agree(&[phone, sensor, bob], "family");
    // What the one has got of Bob's, the other has got: nothing fell between MLS state and inbox.
    let (at_phone, at_sensor) = (phone.read("family"), sensor.read("family"));
    assert_eq!(at_phone, at_sensor);
    assert_eq!(at_phone.last().map(String::as_str), Some("bob: last"));
    phone.run(&["update", "family"]);
    settle(&[sensor, bob]);
    agree(&[phone, sensor, bob], "family");
}

/// Both devices of a shared leaf commit, follow and speak, and die.
#[test]
fn devices_behind_a_leaf_are_killed() {
    let cast = Cast::new(Mode::Hidden);
    let [phone, sensor, bob] = cast.all();
    for (n, after) in moments().enumerate() {
        start_and_kill(phone, &["update", "friends"], after);
        start_and_kill(sensor, &["sync"], after);
        start_and_kill(bob, &["group", "send", "friends", &format!("message {n}")], after);
        start_and_kill(sensor, &["update", "friends"], after);
        start_and_kill(phone, &["sync"], after / 2);
    }
    bob.run(&["group", "send", "friends", "last"]);
    settle(&[phone, sensor, bob]);
    agree(&cast.all(), "friends");
    let (at_phone, at_sensor) = (phone.read("friends"), sensor.read("friends"));
    assert_eq!(at_phone, at_sensor);
    assert_eq!(at_phone.last().map(String::as_str), Some("bob: last"));
    sensor.run(&["update", "friends"]);
    sensor.run(&["group", "send", "friends", "still one member"]);
    settle(&[phone, bob]);
    agree(&cast.all(), "friends");
    assert_eq!(bob.read("friends"), ["alice: still one member"]);
}

#[test]
fn the_server_is_killed() {
    let mut world = World::new();
    let devices = group(&world);
    let [phone, sensor, bob] = &devices;
    for after in moments() {
        let mut update = pmls(&phone.home);
        let update = update.args(["update", "family"]).stdout(Stdio::null()).stderr(Stdio::null());
        let mut update = update.spawn().unwrap();
        sleep(Duration::from_millis(after));
        world.kill();
        world.restart();
        // It has tried again, or given up and left the commit to be sent.
        update.wait().unwrap();
        sensor.sync();
    }
    settle(&[phone, sensor, bob]);
    agree(&[phone, sensor, bob], "family");
    phone.run(&["update", "family"]);
    settle(&[sensor, bob]);
    agree(&[phone, sensor, bob], "family");
}

/// Without the service a device goes on where it can: what it has made is kept, and sent later.
#[test]
fn the_service_is_away() {
    let mut world = World::new();
    let devices = group(&world);
    let [phone, sensor, bob] = &devices;
    world.kill();
    let (code, error) = phone.fails(&["sync"]);
    assert_eq!(code, 4, "{error}");
    // The tree is looked at without it.
    assert_eq!(phone.run(&["tree", "family"])["footing"], "whole");
    world.restart();
    settle(&[phone, sensor, bob]);
    agree(&[phone, sensor, bob], "family");
}
