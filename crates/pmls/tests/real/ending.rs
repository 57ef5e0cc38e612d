//! The end of a pairing, as it is said before and as it comes.

use serde_json::{Value, json};

use crate::{
    node::{Cast, pair},
    world::{World, agree, pmls, settle},
};

/// What is printed first: who leaves which group, and who commits that.
fn plan(told: &std::process::Output) -> Value {
    let out = String::from_utf8_lossy(&told.stdout).into_owned();
    serde_json::from_str(out.lines().next().unwrap()).unwrap()
}

/// It is said before, and a dry run changes nothing; then it is so.
#[test]
fn it_is_said_who_leaves() {
    let cast = Cast::paired();
    let [phone, sensor, bob] = cast.all();
    let dry = pmls(&phone.home).args(["pair", "end", "--dry-run"]).output().unwrap();
    let group = plan(&dry)["groups"][0].clone();
    assert_eq!(group["group"], "family");
    assert_eq!(group["leave"], json!(["this device"]));
    assert_eq!(group["committed_by"], "another-member");
    let state = |device: &crate::world::Device| {
        device.run(&["pair", "status"])["pairings"][0]["state"].clone()
    };
    assert_eq!(state(phone), "paired");

    phone.run(&["pair", "end", "--yes"]);
    settle(&[sensor, phone]);
    bob.sync();
    bob.run(&["update", "family"]);
    settle(&cast.all());
    assert_eq!(phone.run(&["group", "list"])["groups"][0]["state"], "gone");
    agree(&[sensor, bob], "family");
}

/// Where nobody but a receive-only partner is left, the device does not wait for its commit for ever: it takes
/// the partner out and stays.
#[test]
fn nobody_waits_for_a_device_that_only_receives() {
    let world = World::new();
    let [phone, sensor] = ["phone", "sensor"].map(|user| world.device(user));
    phone.run(&["group", "create", "pair"]);
    phone.run(&["group", "add", "pair", "sensor"]);
    sensor.sync();
    sensor.call_it("pair");
    pair(&phone, &sensor, "sensor");
    let ended = pmls(&phone.home).args(["pair", "end", "--yes"]).output().unwrap();
    assert!(ended.status.success());
    let group = plan(&ended)["groups"][0].clone();
    assert_eq!(
        (&group["stay"], &group["committed_by"]),
        (&json!(["this device"]), &json!("this-device"))
    );
    settle(&[&sensor, &phone]);
    assert_eq!(phone.run(&["group", "list"])["groups"][0]["state"], "active");
    assert_eq!(phone.run(&["group", "show", "pair"])["members"].as_array().unwrap().len(), 1);
    assert_eq!(sensor.run(&["group", "list"])["groups"][0]["state"], "gone");
}

/// A partner that is lost never answers: the device that is left takes it out, and stays.
#[test]
fn a_lost_partner_is_taken_out() {
    let cast = Cast::paired();
    let [phone, sensor, bob] = cast.all();
    phone.run(&["update", "family"]);
    std::fs::remove_dir_all(&sensor.home).unwrap();
    let ended = pmls(&phone.home).args(["pair", "end", "--force"]).output().unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    let group = plan(&ended)["groups"][0].clone();
    assert_eq!(
        (&group["stay"], &group["committed_by"]),
        (&json!(["this device"]), &json!("this-device"))
    );
    settle(&[phone, bob]);
    agree(&[phone, bob], "family");
    assert_eq!(bob.run(&["group", "show", "family"])["members"].as_array().unwrap().len(), 2);
    assert_eq!(phone.run(&["group", "show", "family"])["pairing"], Value::Null);
    bob.run(&["group", "send", "family", "still here"]);
    phone.sync();
    assert_eq!(phone.read("family"), ["bob: still here"]);
    assert!(phone.run(&["status"])["attention"].as_array().unwrap().is_empty());
}
