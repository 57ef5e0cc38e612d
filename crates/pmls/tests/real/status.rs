//! `pmls status`: what is so, on one screen, and what needs attention.

use serde_json::{Value, json};

use crate::{
    node::Cast,
    world::{Device, World, pmls},
};

fn family(status: &Value) -> &Value {
    &status["groups"][0]
}

fn code(device: &Device, args: &[&str]) -> i32 {
    pmls(&device.home).args(args).output().unwrap().status.code().unwrap()
}

/// Whom the next update heals, how safe each device is, when it was healed; and that is what happens.
#[test]
fn who_is_healed_and_who_will_be() {
    let cast = Cast::paired();
    let [phone, sensor, bob] = cast.all();
    let before = phone.run(&["status"]);
    assert_eq!(family(&before)["next_update_heals"], json!([1]));
    assert_eq!(family(&before)["devices"][1]["security"], "exposed");
    assert_eq!(family(&before)["devices"][1]["healed_at"], Value::Null);
    let attention = before["attention"].as_array().unwrap();
    assert!(attention.iter().any(|what| what["run"] == "pmls update family"), "{before}");
    assert_eq!(code(phone, &["status", "--check"]), 8);
    assert_eq!(code(phone, &["status"]), 0, "it only looks");

    phone.run(&["update", "family"]);
    sensor.sync();
    for device in [phone, sensor] {
        let after = device.run(&["status", "--check"]);
        assert_eq!(after["attention"], json!([]));
        for of_the_pairing in family(&after)["devices"].as_array().unwrap() {
            assert_eq!(of_the_pairing["security"], "secure");
            assert_eq!(of_the_pairing["healed_in_epoch"], 2, "{after}");
            assert!(of_the_pairing["healed_at"].as_u64().unwrap() <= after["at"].as_u64().unwrap());
        }
        assert_eq!(after["pairings"][0]["state"], "paired");
        assert!(after["key_packages"]["left"].as_u64().unwrap() > 0, "{after}");
        assert!(after["key_packages"]["until"].as_u64() > after["at"].as_u64(), "{after}");
    }
    assert_eq!(family(&sensor.run(&["status"]))["next_update_heals"], json!([0]));

    bob.run(&["group", "leave", "family"]);
    bob.sync();
    assert_eq!(family(&bob.run(&["status"]))["state"], "leaving");
}

/// A device that was not heard of for too long, and one that waits for the service.
#[test]
fn what_was_not_fetched_or_sent() {
    let mut world = World::new();
    let alice = world.device("alice");
    let (code, _) = alice.fails(&["status", "--check"]);
    assert_eq!(code, 8, "nothing was fetched yet");
    alice.run(&["group", "create", "family"]);
    alice.sync();
    alice.run(&["status", "--check"]);
    world.kill();
    assert_eq!(alice.fails(&["update", "family"]).0, 4);
    let status = alice.run(&["status"]);
    assert_eq!(status["groups"][0]["epoch"], 0, "status needs no network");
    world.restart();
}

/// Two commands at once: the second one waits for the first.
#[test]
fn a_command_waits_for_another_one() {
    let world = World::new();
    let alice = world.device("alice");
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..4).map(|_| scope.spawn(|| alice.run(&["status"]))).collect();
        all.into_iter().for_each(|one| drop(one.join().unwrap()));
    });
}
