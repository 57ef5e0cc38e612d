//! Several devices behind one leaf.

use crate::{
    proxy::{Act, Proxy},
    world::{Device, World, agree, changes, settle, text_of},
};

/// Alice's phone and sensor, and Bob, who is in a group with them.
pub(crate) struct Cast {
    pub(crate) world: World,
    pub(crate) phone: Device,
    pub(crate) sensor: Device,
    pub(crate) bob: Device,
}

/// Whether Alice's leaf says that there are several devices.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Hidden,
    Standard,
}

impl Cast {
    pub(crate) fn new(mode: Mode) -> Self {
        let world = World::new();
        let phone = world.device("alice");
        let sensor = world.another(&phone, "alice", "sensor");
        let bob = world.device("bob");
        let name = match mode {
            Mode::Hidden => "hidden",
            Mode::Standard => "standard",
        };
        let started = phone.run(&["pair", "start", "alice", "--anchor", "leaf", "--mode", name]);
        sensor.sync();
        sensor.run(&["pair", "confirm", "--digits", &text_of(&started["digits"])]);
        phone.run(&["pair", "confirm"]);
        settle(&[&sensor, &phone]);

        let create: &[&str] = match mode {
            Mode::Hidden => &["group", "create", "friends"],
            Mode::Standard => &["group", "create", "friends", "--gate"],
        };
        bob.run(create);
        bob.run(&["group", "add", "friends", "alice"]);
        for device in [&phone, &sensor] {
            device.sync();
            device.call_it("friends");
        }
        let cast = Self { world, phone, sensor, bob };
        agree(&cast.all(), "friends");
        cast
    }

    pub(crate) fn all(&self) -> [&Device; 3] {
        [&self.phone, &self.sensor, &self.bob]
    }
}

#[test]
fn two_devices_are_one_member() {
    for mode in [Mode::Hidden, Mode::Standard] {
        let cast = Cast::new(mode);
        let [phone, sensor, bob] = cast.all();
        let members = bob.run(&["group", "show", "friends"])["members"].clone();
        assert_eq!(members.as_array().unwrap().len(), 2, "{members}");

        phone.run(&["update", "friends"]);
        let events = sensor.sync();
        assert!(changes(&events).iter().any(|change| change["what"] == "healed"), "{events:?}");
        bob.sync();
        agree(&cast.all(), "friends");

        // The phone made the last commit: it may send, and the sensor may not until it commits.
        phone.run(&["group", "send", "friends", "from the phone"]);
        let (code, error) = sensor.fails(&["group", "send", "friends", "from the sensor"]);
        assert_eq!(code, 3);
        assert!(error.contains("has the token"), "{error}");
        sensor.run(&["token", "ask", "friends"]);
        let events = phone.sync();
        assert!(events.iter().any(|event| event["event"] == "token-wanted"), "{events:?}");
        phone.run(&["token", "give", "friends"]);
        assert!(phone.fails(&["group", "send", "friends", "more"]).1.contains("given the token"));
        assert_eq!(phone.run(&["token", "show", "friends"])["state"], "given-away");
        assert_eq!(sensor.run(&["token", "show", "friends"])["state"], "elsewhere");
        sensor.sync();
        assert_eq!(sensor.run(&["token", "show", "friends"])["state"], "given-away");
        sensor.run(&["update", "friends"]);
        sensor.run(&["group", "send", "friends", "from the sensor"]);
        let token = sensor.run(&["token", "show", "friends"]);
        assert_eq!((&token["holder"], &token["state"]), (&1.into(), &"own".into()));
        settle(&[phone, bob]);
        assert_eq!(bob.read("friends"), ["alice: from the phone", "alice: from the sensor"]);
        agree(&cast.all(), "friends");

        bob.run(&["group", "send", "friends", "to both"]);
        settle(&[phone, sensor]);
        assert_eq!(phone.read("friends"), ["bob: to both"]);
        assert_eq!(sensor.read("friends"), ["bob: to both"]);
    }
}

/// A device that has lost the group comes back from outside, and its partner follows.
#[test]
fn a_device_resyncs() {
    let cast = Cast::new(Mode::Hidden);
    let [phone, sensor, bob] = cast.all();
    phone.run(&["group", "rejoin", "friends"]);
    settle(&[sensor, bob]);
    agree(&cast.all(), "friends");
    sensor.run(&["update", "friends"]);
    settle(&[phone, bob]);
    agree(&cast.all(), "friends");
}

/// The same, and the answer of the service is lost: what was accepted is taken up later, and nothing is sent
/// in between.
#[test]
fn a_resync_without_an_answer() {
    let cast = Cast::new(Mode::Hidden);
    let [phone, sensor, bob] = cast.all();
    let proxy = Proxy::before(&cast.world.url);
    proxy.on("POST /commits", Act::LoseAnswer);
    let behind = ["--server", &proxy.url];
    let (code, told) = phone.fails(&[&behind[..], &["group", "rejoin", "friends"]].concat());
    assert_eq!(code, 4, "{told}");
    assert_eq!(phone.run(&["group", "list"])["groups"][0]["state"], "rejoining");
    settle(&[sensor, bob]);
    let events = phone.sync();
    assert!(events.iter().any(|event| event["event"] == "rejoined"), "{events:?}");
    agree(&cast.all(), "friends");
    phone.run(&["group", "send", "friends", "here again"]);
    settle(&[sensor, bob]);
    assert_eq!(bob.read("friends"), ["alice: here again"]);
    agree(&cast.all(), "friends");
}

/// Both leave, and come back each with a leaf and a key of its own.
#[test]
fn the_devices_part() {
    let cast = Cast::new(Mode::Hidden);
    let [phone, sensor, bob] = cast.all();
    sensor.run(&["pair", "end"]);
    settle(&[phone, sensor]);
    bob.sync();
    bob.run(&["update", "friends"]);
    let events = settle(&[phone, sensor]);
    assert!(events.iter().any(|event| event["event"] == "ended"), "{events:?}");
    for device in [phone, sensor] {
        assert_eq!(device.run(&["group", "list"])["groups"], serde_json::json!([]));
        device.run(&["device", "publish", "--count", "2"]);
    }
    bob.run(&["group", "add", "friends", "alice"]);
    for device in [phone, sensor] {
        device.sync();
        device.call_it("friends");
    }
    let members = bob.run(&["group", "show", "friends"])["members"].clone();
    assert_eq!(members.as_array().unwrap().len(), 3, "{members}");
    agree(&cast.all(), "friends");
}
