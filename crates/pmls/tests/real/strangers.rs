//! What strangers and liars send, and a service that swaps KeyPackages.

use std::fs;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use paired_mls::{
    CipherSuite, DeviceId, PairingId, Secret,
    pairing::{PairingDevice, PairingMessage, Party, ShareRand},
};
use serde_json::{Value, json};

use crate::{
    leaf::{Cast as LeafCast, Mode},
    node::Cast,
    proxy::{Act, Proxy},
    stranger::Stranger,
    world::{Device, World, agree, healed, settle, text_of},
};

/// The commit that a device has made and that has not reached the service.
fn unsent_commit(device: &Device) -> Vec<u8> {
    let database = rusqlite::Connection::open(device.home.join("mls.sqlite")).unwrap();
    let item: String = database
        .query_row("SELECT item FROM pmls_outbox WHERE item LIKE '{\"Commit\"%'", [], |row| {
            row.get(0)
        })
        .unwrap();
    let item: Value = serde_json::from_str(&item).unwrap();
    let commit = text_of(&item["Commit"]["publish"]["commit"]);
    URL_SAFE_NO_PAD.decode(commit).unwrap()
}

fn forget_unsent(device: &Device) {
    let database = rusqlite::Connection::open(device.home.join("mls.sqlite")).unwrap();
    assert_eq!(database.execute("DELETE FROM pmls_outbox", []).unwrap(), 1);
}

/// A member puts a commit into the mailbox of one device only: that one does not follow it.
#[test]
fn a_commit_in_a_mailbox_is_no_commit() {
    let cast = LeafCast::new(Mode::Hidden);
    let [phone, sensor, bob] = cast.all();
    let proxy = Proxy::before(&cast.world.url);
    proxy.on("POST /commits", Act::LoseRequest);
    let (code, told) = bob.fails(&["--server", &proxy.url, "update", "friends"]);
    assert_eq!(code, 4, "{told}");
    let commit = unsent_commit(bob);
    forget_unsent(bob);

    let stranger = Stranger::new(&cast.world.url, "mallory");
    stranger.post(&sensor.id(), &commit);
    let before = sensor.epoch("friends");
    sensor.sync();
    assert_eq!(sensor.epoch("friends"), before);
    phone.run(&["update", "friends"]);
    settle(&[sensor, bob]);
    agree(&cast.all(), "friends");
}

/// The service gives out a KeyPackage of somebody else: nobody is added, and nobody is paired with.
#[test]
fn a_swapped_key_package_is_noticed() {
    let world = World::new();
    let [phone, bob, mallory] = ["phone", "bob", "mallory"].map(|user| world.device(user));
    phone.run(&["group", "create", "family"]);
    let stranger = Stranger::new(&world.url, "helper");
    let proxy = Proxy::before(&world.url);
    let swapped = stranger.claim(&mallory.id());
    proxy.on("POST key-package", Act::Answer(200, "message/mls", swapped));
    for args in [["group", "add", "family", "bob"].as_slice(), &["pair", "start", "bob"]] {
        let (code, told) = phone.fails(&[&["--server", &proxy.url], args].concat());
        assert_eq!(code, 3, "{told}");
        assert!(told.contains("not of this device"), "{told}");
        assert!(told.contains(&bob.id()), "{told}");
    }
    let members = phone.run(&["group", "show", "family"])["members"].clone();
    assert_eq!(members.as_array().unwrap().len(), 1, "{members}");
    assert_eq!(phone.run(&["pair", "status"])["pairings"], json!([]));
}

fn database_len(device: &Device) -> u64 {
    fs::metadata(device.home.join("mls.sqlite")).unwrap().len()
}

/// 40 junk Welcomes of 100 kB leave nothing behind, and the honest go on: a leaf is renewed meanwhile.
#[test]
fn junk_welcomes_leave_nothing() {
    let cast = Cast::paired();
    let [phone, sensor, _] = cast.all();
    sensor.run(&["pair", "publish", "--count", "2"]);
    phone.sync();
    phone.run(&["update", "family", "--refresh", "1"]);
    let before = database_len(sensor);
    let stranger = Stranger::new(&cast.world.url, "mallory");
    let target = sensor.id();
    for n in 0..40_u8 {
        // version mls10, wire format mls_welcome, and nothing of sense.
        let junk = [&[0, 1, 0, 3][..], &[n; 100_000]].concat();
        stranger.post(&target, &junk);
    }
    let events = sensor.sync();
    assert!(events.iter().any(|event| event["event"] == "commit"), "{events:?}");
    let grown = database_len(sensor).saturating_sub(before);
    assert!(grown < 500_000, "{grown} bytes");
    phone.run(&["update", "family"]);
    assert!(healed(&sensor.sync(), &[1]));
    agree(&[phone, sensor], "family");
}

fn vault_len(device: &Device) -> u64 {
    let files = fs::read_dir(device.home.join("vault")).unwrap();
    files.map(|file| file.unwrap().metadata().unwrap().len()).sum()
}

/// Refused seeds leave nothing in the vault.
#[test]
fn refused_seeds_leave_nothing() {
    let world = World::new();
    let sensor = world.device("sensor");
    let stranger = Stranger::new(&world.url, "mallory");
    sensor.sync();
    let (target, before) = (sensor.id(), vault_len(&sensor));
    for n in 0..50_u8 {
        let device = |number, key: u8| PairingDevice {
            device: DeviceId(number),
            party: Party { identity: b"mallory".to_vec(), signature_key: vec![key; 32] },
        };
        let share = ShareRand {
            pairing_id: PairingId([n; 16]),
            cipher_suite: CipherSuite::X25519Aes128.code_point(),
            seed: Secret::new(vec![n; 32]),
            devices: vec![device(0, 1), device(1, 2)],
        };
        let message = PairingMessage::ShareRand(share).encode().unwrap();
        stranger.post(&target, message.expose());
    }
    sensor.sync();
    assert!(vault_len(&sensor) < before + 256, "{before} and {}", vault_len(&sensor));
    assert_eq!(sensor.run(&["pair", "status"])["pairings"], json!([]));
}

/// One stranger asks again and again, others too: the honest one is still heard, and its offer stands.
#[test]
fn offers_of_strangers_do_not_drive_out_others() {
    let world = World::new();
    let [sensor, phone, stranger] = ["sensor", "phone", "stranger"].map(|user| world.device(user));
    sensor.run(&["device", "publish", "--count", "20"]);
    let started = phone.run(&["pair", "start", "sensor"]);
    for _ in 0..17 {
        stranger.run(&["pair", "start", "sensor"]);
    }
    sensor.sync();
    let waiting = sensor.run(&["pair", "status"])["pairings"].as_array().unwrap().clone();
    let of =
        |user: &str| waiting.iter().filter(|pairing| pairing["with"][0]["user"] == user).count();
    assert_eq!((of("stranger"), of("phone")), (4, 1), "{waiting:?}");
    let id = text_of(&started["id"]);
    sensor.run(&["pair", "confirm", &id, "--digits", &text_of(&started["digits"])]);
    phone.run(&["pair", "confirm"]);
    settle(&[&sensor, &phone]);
    assert_eq!(phone.run(&["pair", "status"])["pairings"][0]["state"], "paired");
}

fn is_alarm(event: &Value) -> bool {
    ["dropped", "unread", "refused", "older-copy"].iter().any(|alarm| event["event"] == *alarm)
}

/// Pairing, races, coming and going are not told as if somebody attacked.
#[test]
fn a_normal_life_drops_nothing() {
    let world = World::new();
    let [phone, sensor, watch, bob] =
        ["phone", "sensor", "watch", "bob"].map(|user| world.device(user));
    phone.run(&["group", "create", "family"]);
    phone.run(&["group", "add", "family", "sensor", "watch", "bob"]);
    bob.run(&["sync"]);
    bob.call_it("family");
    for device in [&sensor, &watch] {
        device.sync();
        device.call_it("family");
    }
    let mut events = Vec::new();
    phone.run(&["pair", "start", "sensor", "watch"]);
    for device in [&sensor, &watch] {
        events.extend(device.sync());
        events.extend(device.run(&["pair", "confirm"])["events"].as_array().unwrap().clone());
    }
    events.extend(phone.run(&["pair", "confirm"])["events"].as_array().unwrap().clone());
    let all = [&phone, &sensor, &watch, &bob];
    events.extend(settle(&all));
    let races = std::thread::scope(|scope| {
        let racing = all.map(|device| {
            scope.spawn(move || {
                let mut events = Vec::new();
                for n in 0..3 {
                    device.run(&["group", "send", "family", &format!("message {n}")]);
                    let told = device.run(&["update", "family"]);
                    events.extend(told["events"].as_array().unwrap().clone());
                }
                events
            })
        });
        racing.map(|racing| racing.join().unwrap()).concat()
    });
    events.extend(races);
    events.extend(settle(&all));
    bob.run(&["group", "send", "family", "before I left"]);
    events.extend(bob.run(&["group", "rejoin", "family"])["events"].as_array().unwrap().clone());
    events.extend(settle(&all));
    bob.run(&["group", "leave", "family"]);
    phone.sync();
    phone.run(&["update", "family"]);
    events.extend(bob.sync());
    phone.run(&["group", "send", "family", "without Bob"]);
    phone.run(&["group", "add", "family", "bob"]);
    phone.run(&["pair", "resend"]);
    events.extend(settle(&all));
    agree(&all, "family");
    let dropped: Vec<_> = events.iter().filter(|event| is_alarm(event)).collect();
    assert!(dropped.is_empty(), "{dropped:#?}");
}
