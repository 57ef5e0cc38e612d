//! Somebody in the middle of a pairing: the digits cover the channel and everything that is agreed over it.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use paired_mls::pairing::{AnchorKind, Code, PairingMessage};
use serde_json::{Value, json};

use crate::{
    proxy::{Act, Proxy},
    world::{Device, World, settle, text_of},
};

fn pairings(device: &Device) -> Vec<Value> {
    device.run(&["pair", "status"])["pairings"].as_array().unwrap().clone()
}

/// What a device shows, and its pairing.
fn shown(device: &Device) -> (String, String) {
    let pairings = pairings(device);
    assert_eq!(pairings.len(), 1, "{pairings:?}");
    (text_of(&pairings[0]["digits"]), text_of(&pairings[0]["id"]))
}

fn vault_files(device: &Device) -> Vec<String> {
    let files = std::fs::read_dir(device.home.join("vault")).unwrap();
    let mut names: Vec<_> =
        files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Nothing of a pairing is left on a device: no state, no tape, no channel.
fn nothing_is_left(device: &Device) {
    assert_eq!(device.run(&["pair", "status"])["pairings"], json!([]));
    let files = vault_files(device);
    let of_a_pairing = ["pairing-", "state-", "anchor-key-", "tape-"];
    let left = |name: &String| of_a_pairing.iter().any(|part| name.contains(part));
    assert!(!files.iter().any(left), "{files:?}");
}

/// In each mode the two devices show the same digits, and not before all is there that they cover.
#[test]
fn honest_devices_show_the_same_digits_in_every_mode() {
    for mode in [
        &["--anchor", "node"][..],
        &["--anchor", "leaf"],
        &["--anchor", "leaf", "--mode", "hidden"],
    ] {
        let world = World::new();
        let phone = world.device("alice");
        let sensor = world.another(&phone, "alice", "sensor");
        let started = phone.run(&[&["pair", "start", "alice"], mode].concat());
        assert!(
            sensor.fails(&["pair", "confirm", "--digits", "1"]).1.contains("the digits differ")
        );
        nothing_is_left(&sensor);
        let told = phone.sync();
        let refused = told.iter().find(|event| event["event"] == "pairing-refused").unwrap();
        assert_eq!((&refused["why"], &refused["by"]), (&json!("digits-differ"), &json!("alice")));
        nothing_is_left(&phone);

        let again = phone.run(&[&["pair", "start", "alice"], mode].concat());
        assert_ne!(again["digits"], started["digits"]);
        let offered = sensor.sync();
        let offered = offered.iter().find(|event| event["event"] == "pairing-offered").unwrap();
        assert_eq!(offered["digits"], again["digits"], "{mode:?}");
        assert_eq!(shown(&sensor).0, text_of(&again["digits"]));
        settle(&[&sensor, &phone]);
        assert_eq!(pairings(&phone)[0]["state"], "invited", "nobody has compared");
        phone.run(&["pair", "confirm", "--digits", &shown(&sensor).0]);
        settle(&[&sensor, &phone]);
        assert_eq!(pairings(&sensor)[0]["state"], "invited", "one of two has compared");
        sensor.run(&["pair", "confirm", "--digits", &text_of(&again["digits"])]);
        settle(&[&sensor, &phone]);
        for device in [&phone, &sensor] {
            assert_eq!(pairings(device)[0]["state"], "paired", "{mode:?}");
        }
    }
}

/// The service shows each device another one under its partner's name, with a KeyPackage of its own, and both
/// of these do what they are asked: the digits are different, and neither pairing comes about.
#[test]
fn a_service_that_swaps_key_packages_is_seen_in_the_digits() {
    let (at_phone, at_sensor) = (World::new(), World::new());
    let [phone, false_sensor] = ["phone", "sensor"].map(|user| at_phone.device(user));
    let [false_phone, sensor] = ["phone", "sensor"].map(|user| at_sensor.device(user));
    let started = phone.run(&["pair", "start", "sensor"]);
    false_sensor.sync();
    false_phone.run(&["pair", "start", "sensor"]);
    sensor.sync();
    let ((at_phone, _), (at_sensor, _)) = (shown(&phone), shown(&sensor));
    assert_eq!(at_phone, text_of(&started["digits"]));
    assert_eq!(at_phone.len(), at_sensor.len());
    assert_ne!(at_phone, at_sensor);

    // The ones in the middle agree to everything.
    false_sensor.run(&["pair", "confirm"]);
    false_phone.run(&["pair", "confirm"]);
    for (victim, other) in [(&phone, &at_sensor), (&sensor, &at_phone)] {
        assert_eq!(pairings(victim)[0]["state"], "invited");
        let (code, error) = victim.fails(&["pair", "confirm", "--digits", other]);
        assert_eq!(code, 3);
        assert!(error.contains("the digits differ"), "{error}");
        nothing_is_left(victim);
    }
    for (victim, between) in [(&phone, &false_sensor), (&sensor, &false_phone)] {
        settle(&[victim, between]);
        nothing_is_left(victim);
    }
}

/// The request in a directory's answer, with another anchor.
fn at_a_leaf(body: Vec<u8>) -> Vec<u8> {
    let Ok(mut view) = serde_json::from_slice::<Value>(&body) else { return body };
    let message = URL_SAFE_NO_PAD.decode(text_of(&view["message"])).unwrap_or_default();
    let Ok(PairingMessage::InitPairing(mut init)) = PairingMessage::decode(&message) else {
        return body;
    };
    init.anchor = Code::Known(AnchorKind::Leaf);
    let message = PairingMessage::InitPairing(init).encode().unwrap();
    view["message"] = json!(URL_SAFE_NO_PAD.encode(message.expose()));
    let changed = serde_json::to_vec(&view).unwrap();
    assert_eq!(changed.len(), body.len());
    changed
}

/// The channel is as it should be, and the directory tells one device of another request than the other one
/// has made: the digits cover that too.
#[test]
fn a_directory_that_changes_a_request_is_seen_in_the_digits() {
    let world = World::new();
    let [phone, sensor] = ["phone", "sensor"].map(|user| world.device(user));
    let proxy = Proxy::before(&world.url);
    phone.run(&["pair", "start", "sensor"]);
    proxy.on("GET /v1/pairings/", Act::Change(at_a_leaf));
    // It says nothing of what it has told the other one, and takes the answer to its own story.
    let taken = json!({
        "pairing": "AAAAAAAAAAAAAAAAAAAAAA", "state": "pending", "waiting_for": [], "signature_keys": [],
    });
    let taken = Act::Answer(200, "application/json", taken.to_string().into_bytes());
    proxy.on("POST /v1/pairings", taken);
    sensor.run(&["--server", &proxy.url, "sync"]);
    assert!(proxy.count("GET /v1/pairings/") > 0);
    let ((at_phone, id), (at_sensor, same)) = (shown(&phone), shown(&sensor));
    assert_eq!(id, same);
    assert_eq!(pairings(&sensor)[0]["anchor"], "leaf");
    assert_ne!(at_phone, at_sensor);

    proxy.pass();
    let (_, error) = phone.fails(&["pair", "confirm", "--digits", &at_sensor]);
    assert!(error.contains("the digits differ"), "{error}");
    let told = sensor.run(&["--server", &proxy.url, "sync"]);
    let told = told["events"].as_array().unwrap();
    assert!(told.iter().any(|event| event["event"] == "pairing-refused"), "{told:?}");
    nothing_is_left(&phone);
    nothing_is_left(&sensor);
}

/// A pairing that is given up by its user is given up on the other device too.
#[test]
fn a_pairing_that_is_given_up_is_given_up_on_both() {
    for by in [0, 1] {
        let world = World::new();
        let devices = ["phone", "sensor"].map(|user| world.device(user));
        devices[0].run(&["pair", "start", "sensor"]);
        devices[1].sync();
        devices[by].run(&["pair", "abandon"]);
        nothing_is_left(&devices[by]);
        let told = devices[1 - by].sync();
        let refused = told.iter().find(|event| event["event"] == "pairing-refused").unwrap();
        assert_eq!(refused["why"], "given-up");
        nothing_is_left(&devices[1 - by]);
    }
}
