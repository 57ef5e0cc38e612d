//! Who is who, and what they say: names, impostors, content.

use std::fs;

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use paired_mls_api::{Envelope, LogChain};
use serde_json::{Value, json};

use crate::{
    proxy::{Act, Proxy, problem},
    stranger::Stranger,
    world::{Device, World, settle, text_of},
};

/// What a person sees.
fn seen(device: &Device, args: &[&str]) -> String {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_pmls"));
    command.env("XDG_CONFIG_HOME", device.home.join("no-configuration"));
    let output = command.arg("--home").arg(&device.home).args(args).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A message is bytes, and arrives as what it was; a terminal obeys nothing of it.
#[test]
fn content_is_bytes() {
    let world = World::new();
    let [phone, bob] = ["phone", "bob"].map(|user| world.device(user));
    phone.run(&["group", "create", "family"]);
    phone.run(&["group", "add", "family", "bob"]);
    bob.sync();
    bob.call_it("family");
    let texts = ["two\nlines\tand a tab", "0x6c69", "\u{1b}[2J\u{202e}evil", "back\\slash", " "];
    for text in texts {
        phone.run(&["group", "send", "family", text]);
    }
    assert!(phone.given(&["group", "send", "family"], b"\xff\x00binary").status.success());
    let events = bob.sync();
    let heard: Vec<_> = events.iter().filter(|event| event["event"] == "message").collect();
    let said: Vec<_> = heard.iter().filter_map(|event| event["text"].as_str()).collect();
    assert_eq!(said, texts);
    assert_eq!(heard[5]["base64"], STANDARD.encode(b"\xff\x00binary"));
    for (n, event) in heard.iter().enumerate() {
        assert_eq!(event["from"], "phone");
        assert_eq!(event["device"], phone.id());
        assert!(event["received_at"].as_u64().unwrap() > 1_700_000_000, "{event}");
        assert_eq!(event["position"].as_u64().unwrap(), n as u64 + 2, "{event}");
        assert_eq!(text_of(&event["id"]).len(), 22, "{event}");
    }
    let shown = seen(&bob, &["group", "read", "family"]);
    let lines: Vec<_> = shown.lines().collect();
    assert_eq!(
        lines,
        [
            "phone: two\\nlines\\tand a tab",
            "phone: 0x6c69",
            "phone: \\u{1b}[2J\\u{202e}evil",
            "phone: back\\\\slash",
            "phone:  ",
            "phone: \\xff\\u{0}binary",
        ]
    );
    let read = bob.run(&["group", "read", "family", "--all"]);
    assert_eq!(read["messages"][0]["text"], texts[0]);
    assert_eq!(read["messages"][0]["id"], heard[0]["id"]);
}

/// Whatever name is registered, it is added and removed by what is shown, and means nobody else.
#[test]
fn every_name_can_be_addressed() {
    let world = World::new();
    let phone = world.device("phone");
    phone.run(&["group", "create", "family"]);
    let names = [("bob", "bob"), ("bob/x", "bob\\/x"), ("#1", "\\#1"), ("a b", "a b")];
    for (n, (user, shown)) in names.into_iter().enumerate() {
        let home = world.folder().join(format!("home-{n}"));
        let device = world.device_at(&home, user);
        phone.run(&["group", "add", "family", shown]);
        let members = phone.run(&["group", "show", "family"])["members"].clone();
        let last = members.as_array().unwrap().last().unwrap().clone();
        assert_eq!(last["user"], shown, "{members}");
        assert_eq!(last["devices"], json!([device.id()]));
    }
    // Not the device of Bob whose id begins with x, and not the leaf 1.
    for (_, shown) in names.into_iter().skip(1) {
        phone.run(&["group", "remove", "family", shown]);
    }
    let members = phone.run(&["group", "show", "family"])["members"].clone();
    let users: Vec<_> =
        members.as_array().unwrap().iter().map(|who| text_of(&who["user"])).collect();
    assert_eq!(users, ["phone", "bob"]);
    let (code, told) = phone.fails(&["group", "remove", "family", "phone"]);
    assert_eq!(code, 3);
    assert!(told.contains("`pmls group leave family`"), "{told}");
    assert_eq!(phone.fails(&["group", "remove", "family", "#x"]).0, 3);
}

/// Two that look alike are told apart by their devices; one that looks like nobody else is not.
#[test]
fn look_alikes_are_told_apart() {
    let world = World::new();
    let phone = world.device("phone");
    let alice = world.device_at(&world.folder().join("one"), "alice");
    let other = world.device_at(&world.folder().join("two"), "\u{430}lice");
    phone.run(&["group", "create", "family"]);
    phone.run(&["group", "add", "family", "alice", "\u{430}lice"]);
    for (device, text) in [(&alice, "it is me"), (&other, "no, it is me")] {
        device.sync();
        device.call_it("family");
        device.run(&["group", "send", "family", text]);
    }
    phone.sync();
    let shown = seen(&phone, &["group", "read", "family"]);
    let expected = format!(
        "alice/{}: it is me\n\u{430}lice/{}: no, it is me\n",
        &alice.id()[..8],
        &other.id()[..8]
    );
    assert_eq!(shown, expected);
    assert!(seen(&phone, &["group", "show", "family"]).contains("#0 phone "));
}

/// A member says that it is Alice: it is never shown, addressed or counted as her, and there is an alarm.
#[test]
fn an_impostor_is_not_who_it_says() {
    let world = World::new();
    let [alice, mallory, bob] = ["alice", "mallory", "bob"].map(|user| world.device(user));
    let file = mallory.home.join("device.toml");
    let lie = fs::read_to_string(&file).unwrap().replace("user = \"mallory\"", "user = \"alice\"");
    fs::write(&file, lie).unwrap();
    // The service would not take a group under another name: it never sees this one.
    let proxy = Proxy::before(&world.url);
    proxy.on("POST /commits", Act::LoseRequest);
    proxy.on("POST /groups", problem(409, "exists"));
    mallory.run(&["--server", &proxy.url, "group", "create", "family"]);
    let id = text_of(&mallory.run(&["group", "show", "family"])["id"]).parse().unwrap();
    let empty = json!({"after": 0, "chain": LogChain::start(&id), "entries": [], "head": 0});
    proxy.on("GET /groups", Act::Answer(200, "application/json", empty.to_string().into()));
    assert_eq!(mallory.fails(&["--server", &proxy.url, "group", "add", "family", "bob"]).0, 4);
    let database = rusqlite::Connection::open(mallory.home.join("mls.sqlite")).unwrap();
    let item: String =
        database.query_row("SELECT item FROM pmls_outbox", [], |row| row.get(0)).unwrap();
    let item: Value = serde_json::from_str(&item).unwrap();
    let envelope = text_of(&item["Commit"]["publish"]["welcomes"][0]["envelope"]);
    let envelope = Envelope::decode(URL_SAFE_NO_PAD.decode(envelope).unwrap()).unwrap();
    Stranger::new(&world.url, "postman").post(&bob.id(), envelope.content());

    // The service has not got the commit: the group is not there for Bob, and he is told of the liar.
    let output = bob.given(&["sync"], b"");
    let events = String::from_utf8(output.stdout).unwrap();
    let events: Value = serde_json::from_str(events.lines().last().unwrap()).unwrap();
    let alarm = events["events"].as_array().unwrap().iter().find(|e| e["event"] == "impostor");
    let alarm = alarm.unwrap_or_else(|| panic!("{events}"));
    assert_eq!((&alarm["leaf"], &alarm["says"]), (&json!(0), &json!("alice")));

    let group = text_of(&bob.run(&["group", "list"])["groups"][0]["group"]);
    let members = bob.run(&["group", "show", &group])["members"].clone();
    assert_eq!((&members[0]["user"], &members[0]["unverified"]), (&Value::Null, &json!("alice")));
    assert_eq!(members[0]["devices"], json!([mallory.id()]));
    let (code, told) = bob.fails(&["group", "remove", &group, "alice"]);
    assert_eq!(code, 3);
    assert!(told.contains("alice is no member"), "{told}");
    assert!(seen(&bob, &["tree", &group]).contains("UNVERIFIED"));
    drop(alice);
}

/// Without the directory nobody is accused, and nobody is accepted; with it they are.
#[test]
fn who_could_not_be_asked_about_is_said() {
    let world = World::new();
    let [phone, bob] = ["phone", "bob"].map(|user| world.device(user));
    phone.run(&["group", "create", "family"]);
    phone.run(&["group", "add", "family", "bob"]);
    let proxy = Proxy::before(&world.url);
    proxy.on("GET /devices/", Act::LoseRequest);
    bob.run(&["--server", &proxy.url, "sync"]);
    bob.call_it("family");
    let members = bob.run(&["group", "show", "family"])["members"].clone();
    assert_eq!((&members[0]["user"], &members[0]["unverified"]), (&Value::Null, &json!("phone")));
    assert!(seen(&bob, &["group", "show", "family"]).contains("not checked yet"));
    let events = settle(&[&bob]);
    assert!(!events.iter().any(|event| event["event"] == "impostor"), "{events:?}");
    assert_eq!(bob.run(&["group", "show", "family"])["members"][0]["user"], "phone");
}
