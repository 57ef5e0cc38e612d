//! What strangers and liars send, and a service that swaps KeyPackages.

use std::fs;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use paired_mls::{
    CipherSuite, DeviceId, PairingId, Secret,
    leaf::KeyProofMessage,
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

/// A member fills the inbox: its own messages go, the others' stay, and reading says how many have gone.
#[test]
fn a_member_who_fills_the_inbox_drives_out_nobody_else() {
    let cast = Cast::paired();
    let [phone, sensor, bob] = cast.all();
    phone.run(&["group", "send", "family", "the honest word"]);
    let flood = cast.world.folder().join("flood");
    fs::write(&flood, vec![b'x'; 900_000]).unwrap();
    let flood = fs::read(&flood).unwrap();
    for _ in 0..20 {
        let sent = bob.given(&["group", "send", "family"], &flood);
        assert!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stderr));
    }
    let events = sensor.sync();
    let dropped = events.iter().find(|event| event["event"] == "messages-dropped").unwrap();
    assert_eq!(dropped["count"], 2, "{dropped}");
    let read = sensor.run(&["group", "read", "family"]);
    assert_eq!(read["missed"], 2);
    let messages = read["messages"].as_array().unwrap();
    assert_eq!((messages.len(), &messages[0]["text"]), (19, &json!("the honest word")));
    let again = sensor.run(&["group", "read", "family"]);
    assert_eq!(again["missed"], Value::Null);
}

/// The identifier of a pairing, from what a command has shown.
fn pairing_id(shown: &Value) -> PairingId {
    let hex = text_of(shown);
    let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    PairingId(std::array::from_fn(|n| byte(2 * n)))
}

/// Proofs of listed keys come by mailbox, where anybody can put one. A liar lists a stranger's key, who does not
/// agree: no leaf comes of it, whatever is said in his name, and he himself is in no way kept out. And what
/// is forged in a partner's name is told, and keeps the true proof out of nothing.
#[test]
fn a_strangers_key_is_not_listed_without_his_proof() {
    let world = World::new();
    let [mallory, bob] = ["mallory", "bob"].map(|user| world.device(user));
    let helper = Stranger::new(&world.url, "helper");
    let started = mallory.run(&["pair", "start", "bob", "--anchor", "leaf"]);
    bob.sync();
    mallory.run(&["pair", "confirm"]);
    let pairing = pairing_id(&started["id"]);
    let database =
        |device: &Device| rusqlite::Connection::open(device.home.join("mls.sqlite")).unwrap();
    let proofs = |device: &Device| -> Vec<(u16, Vec<u8>)> {
        let database = database(device);
        let mut statement = database.prepare("SELECT device, proof FROM pmls_key_proofs").unwrap();
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        rows.collect::<Result<_, _>>().unwrap()
    };
    settle(&[&mallory, &bob]);
    let own = proofs(&mallory);
    assert_eq!(own.iter().map(|(device, _)| *device).collect::<Vec<_>>(), [0]);
    let dropped = |device: &Device| {
        let events = device.sync();
        events.iter().filter(|event| event["event"] == "dropped").count()
    };
    for proof in [own[0].1.clone(), vec![7; 64], Vec::new()] {
        let forged = KeyProofMessage { pairing, device: DeviceId(1), proof };
        helper.post(&mallory.id(), &forged.encode());
    }
    assert_eq!(dropped(&mallory), 3);
    assert_eq!(proofs(&mallory), own);
    assert_eq!(mallory.run(&["pair", "status"])["pairings"][0]["state"], "invited");
    assert_eq!(proofs(&bob), []);

    // Bob goes on by himself.
    mallory.run(&["group", "create", "friends"]);
    mallory.run(&["group", "add", "friends", "bob"]);
    bob.sync();
    bob.call_it("friends");
    agree(&[&mallory, &bob], "friends");

    // Two honest devices: what is forged in the name of one is there before its own proof.
    let phone = world.device("alice");
    let sensor = world.another(&phone, "alice", "sensor");
    let started = phone.run(&["pair", "start", "alice", "--anchor", "leaf"]);
    let forged = KeyProofMessage {
        pairing: pairing_id(&started["id"]),
        device: DeviceId(1),
        proof: vec![7; 64],
    };
    helper.post(&phone.id(), &forged.encode());
    assert_eq!(dropped(&phone), 1);
    sensor.run(&["pair", "confirm", "--digits", &text_of(&started["digits"])]);
    phone.run(&["pair", "confirm"]);
    settle(&[&sensor, &phone]);
    assert_eq!(proofs(&phone).len(), 2);
    bob.run(&["group", "create", "family", "--gate"]);
    bob.run(&["group", "add", "family", "alice"]);
    for device in [&phone, &sensor] {
        device.sync();
        device.call_it("family");
    }
    agree(&[&phone, &sensor, &bob], "family");
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
