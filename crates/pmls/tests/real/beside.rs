//! Commands beside a `pmls watch`, which has the home and does them.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::net::UnixStream,
    process::Stdio,
    thread,
    time::Duration,
};

use serde_json::{Value, json};

use crate::{
    proxy::{Act, Proxy},
    watch::{Watching, code_within_a_minute},
    world::{Device, World, agree, pmls, text_of},
};

fn watched(device: &Device) -> Watching {
    let mut watching = Watching::start(device);
    watching.until(|event| event["event"] == "connected");
    watching
}

/// What works with an open device works beside a watch, to the byte and with the same exit codes; what
/// happens meanwhile stands in both outputs.
#[test]
fn commands_work_beside_a_watch() {
    let world = World::new();
    let [alice, bob] = world.family();
    let mut watching = watched(&bob);

    bob.run(&["group", "send", "family", "from beside"]);
    let bytes = b"two\nlines\xFF";
    assert!(bob.given(&["group", "send", "family"], bytes).status.success());
    alice.sync();
    let read = alice.run(&["group", "read", "family"]);
    assert_eq!(read["messages"][0]["text"], "from beside");
    assert_eq!(read["messages"][1]["base64"], "dHdvCmxpbmVz/w==");

    // The other has it from the watch, and from the command that has processed it.
    alice.run(&["group", "send", "family", "to both"]);
    watching.until(|event| event["event"] == "message" && event["text"] == "to both");
    assert_eq!(bob.read("family"), ["alice: to both"]);

    bob.run(&["update", "family"]);
    watching.until(|event| event["event"] == "commit");
    alice.sync();
    agree(&[&alice, &bob], "family");
    assert_eq!(bob.run(&["status"])["groups"][0]["group"], "family");
    assert!(bob.run(&["tree", "family"]).is_object());
    assert_eq!(bob.run(&["outbox", "list"]), json!({ "outbox": [] }));

    let (code, error) = bob.fails(&["group", "send", "nowhere", "x"]);
    let (alone, same) = alice.fails(&["group", "send", "nowhere", "x"]);
    assert_eq!((code, error), (alone, same));
    // A refusal is of the command that has met it, and of no later one.
    let large = vec![b'x'; 5 << 20];
    assert_eq!(bob.fails_with(&["group", "send", "family"], &large).0, 3);
    let larger = vec![b'x'; 13 << 20];
    let (code, error) = bob.fails_with(&["group", "send", "family"], &larger);
    assert!(code == 5 && error.contains("too large"), "{code} {error}");
    bob.run(&["group", "send", "family", "small"]);
    assert_eq!(watching.stop(), Some(0));
    assert!(!bob.home.join("socket").exists());
}

/// A watch that is told so, or that can open no socket, does nothing for others.
#[test]
fn a_watch_may_be_alone() {
    let world = World::new();
    let [_, bob] = world.family();
    let mut watching = Watching::start_with(&bob, &["--alone"]);
    watching.until(|event| event["event"] == "connected");
    let in_use = |bob: &Device| bob.fails(&["--lock-wait", "0", "group", "list"]).0;
    assert_eq!(in_use(&bob), 5);
    assert_eq!(watching.stop(), Some(0));

    fs::create_dir_all(bob.home.join("socket/in-the-way")).unwrap();
    let mut watching = Watching::start(&bob);
    let alone = watching.until(|event| event["event"] == "alone");
    assert!(alone["error"].is_string());
    watching.until(|event| event["event"] == "connected");
    assert_eq!(in_use(&bob), 5);
    assert_eq!(watching.stop(), Some(0));
}

/// Text is what it would be without a watch, and a path is one of the caller's folder.
#[test]
fn a_caller_is_answered_as_it_asks() {
    let world = World::new();
    let [alice, bob] = world.family();
    let plain = |device: &Device| {
        let mut command = pmls(&device.home);
        let json = command.args(["group", "list"]).output().unwrap();
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_pmls"));
        let text =
            command.arg("--home").arg(&device.home).args(["group", "list"]).output().unwrap();
        (json.stdout, text.stdout)
    };
    let before = plain(&bob);
    let watching = watched(&bob);
    assert_eq!(plain(&bob), before);

    let folder = world.folder().join("elsewhere");
    fs::create_dir(&folder).unwrap();
    let mut command = pmls(&bob.home);
    let made =
        command.args(["pair", "seed", "seed", "alice"]).current_dir(&folder).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    assert!(folder.join("seed").is_file());
    watching.kill();
    alice.sync();
}

/// Whoever takes time to say something keeps nobody waiting, and a watch that nobody listens to any more goes on
/// doing what others ask for.
#[test]
fn slow_callers_and_deaf_listeners_harm_nobody() {
    let world = World::new();
    let [alice, bob] = world.family();
    let mut watching = watched(&bob);
    let mut slow = pmls(&bob.home);
    let slow = slow.args(["group", "send", "family"]).stdin(Stdio::piped());
    let mut slow = slow.stdout(Stdio::null()).spawn().unwrap();
    bob.run(&["group", "send", "family", "meanwhile"]);
    thread::sleep(Duration::from_secs(11));
    slow.stdin.take().unwrap().write_all(b"at last").unwrap();
    assert!(slow.wait().unwrap().success());

    watching.listen_no_more();
    bob.run(&["group", "send", "family", "unheard"]);
    bob.run(&["update", "family"]);
    alice.sync();
    assert_eq!(alice.read("family"), ["bob: meanwhile", "bob: at last", "bob: unheard"]);
    watching.kill();

    let far = ["watch", "--for", "18446744073709551615"];
    let mut forever = pmls(&alice.home);
    let mut forever = forever.args(far).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(forever.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains("connected"), "{line}");
    forever.kill().unwrap();
    forever.wait().unwrap();
}

/// A name in another folder leads to nobody else's home.
#[test]
fn a_socket_is_of_one_home() {
    let world = World::new();
    let [alice, bob] = world.family();
    let watching = watched(&bob);
    std::os::unix::fs::symlink(bob.home.join("socket"), alice.home.join("socket")).unwrap();
    alice.run(&["group", "send", "family", "who am I"]);
    bob.sync();
    assert_eq!(bob.read("family"), ["alice: who am I"]);
    assert_eq!(watching.stop(), Some(0));
}

/// Who asks for something else than the open device is refused, and nothing happens.
#[test]
fn other_settings_and_other_commands_are_refused() {
    let world = World::new();
    let [alice, bob] = world.family();
    let watching = watched(&bob);
    let pid = watching.id().to_string();
    let other = ["--server", "http://127.0.0.1:9", "group", "send", "family", "astray"];
    let (code, error) = bob.fails(&other);
    assert!(code == 5 && error.contains(&pid) && error.contains("--server"), "{code} {error}");
    let (code, error) = bob.fails(&["vault", "status"]);
    assert!(code == 5 && error.contains(&pid), "{code} {error}");
    let (code, error) = bob.fails(&["watch"]);
    assert!(code == 5 && error.contains(&pid), "{code} {error}");
    alice.sync();
    assert_eq!(alice.read("family"), Vec::<String>::new());
    assert_eq!(watching.stop(), Some(0));
}

/// A watch that was killed leaves a socket that leads nowhere: commands work by themselves, and the next watch
/// takes its place.
#[test]
fn a_killed_watch_is_in_nobodys_way() {
    let world = World::new();
    let [alice, bob] = world.family();
    watched(&bob).kill();
    assert!(bob.home.join("socket").exists());
    bob.run(&["group", "send", "family", "alone"]);
    let watching = watched(&bob);
    bob.run(&["group", "send", "family", "beside"]);
    alice.sync();
    assert_eq!(alice.read("family"), ["bob: alone", "bob: beside"]);
    assert_eq!(watching.stop(), Some(0));
}

/// Many at once are done one after the other; who says nothing, nonsense, or too much harms nobody.
#[test]
fn callers_stand_in_line_and_bad_ones_are_put_off() {
    let world = World::new();
    let [alice, bob] = world.family();
    let watching = watched(&bob);
    let connect = || UnixStream::connect(bob.home.join("socket")).unwrap();

    for nonsense in [&b"\n"[..], b"{}\n", b"[1,2,3]\n", &vec![b'x'; 17 << 20]] {
        let mut stream = BufReader::new(connect());
        let mut hello = String::new();
        stream.read_line(&mut hello).unwrap();
        let hello: Value = serde_json::from_str(&hello).unwrap();
        assert_eq!(hello["pid"], watching.id());
        // It may be put off before it has said all.
        let _ = stream.get_mut().write_all(nonsense);
        let mut rest = String::new();
        let _ = stream.read_line(&mut rest);
        assert_eq!(rest, "");
    }
    // One that asks for what a watch does not do for others.
    let mut stream = BufReader::new(connect());
    let mut line = String::new();
    stream.read_line(&mut line).unwrap();
    let timeout = json!({ "secs": 30, "nanos": 0 });
    let arguments = ["--json", "device", "show"];
    let request = json!({ "arguments": arguments, "folder": "/", "timeout": timeout, "input": "" });
    writeln!(stream.get_mut(), "{request}").unwrap();
    line.clear();
    stream.read_line(&mut line).unwrap();
    let answer: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(answer["exit_code"], 5, "{answer}");

    // One that has gone before it was its turn, and one that stays silent.
    drop(connect());
    let silent = connect();
    let senders = (0..6).map(|n| {
        let bob = bob.clone();
        thread::spawn(move || {
            bob.run(&["--lock-wait", "60", "group", "send", "family", &format!("number {n}")]);
        })
    });
    senders.collect::<Vec<_>>().into_iter().for_each(|sender| sender.join().unwrap());
    drop(silent);
    alice.sync();
    let mut read = alice.read("family");
    read.sort();
    assert_eq!(read, (0..6).map(|n| format!("bob: number {n}")).collect::<Vec<_>>());
    assert_eq!(text_of(&bob.run(&["status"])["user"]), "bob");
    assert_eq!(watching.stop(), Some(0));
}

/// What holds counts, not who has said it: a watch and its callers may name the same service and vault differently.
#[test]
fn the_same_place_is_the_same_however_it_is_said() {
    let world = World::new();
    let [alice, bob] = world.family();
    let server = ["--server", &world.url];
    let vault = bob.home.join("vault");
    for (of_watch, of_caller) in [(&server[..], &[][..]), (&[], &server)] {
        let mut watching = Watching::start_with(&bob, of_watch);
        watching.until(|event| event["event"] == "connected");
        bob.run(&[of_caller, &["group", "send", "family", "the same"]].concat());
        let other = [of_caller, &["--vault-path", "elsewhere", "group", "list"]].concat();
        assert_eq!(bob.fails(&other).0, 5);
        assert_eq!(watching.stop(), Some(0));
    }
    let watching = watched(&bob);
    let mut beside = pmls(&bob.home);
    let beside = beside.args(["--vault-path", "vault", "group", "list"]).current_dir(&bob.home);
    assert!(
        vault.is_dir() && !beside.output().unwrap().status.success(),
        "it is said from the home on"
    );
    assert_eq!(watching.stop(), Some(0));
    alice.sync();
    assert_eq!(alice.read("family"), ["bob: the same"; 2]);
}

/// A caller's `--timeout` is that of its command, and a watch that is to end does not wait for a service that hangs.
#[test]
fn a_service_that_hangs_holds_nobody() {
    let world = World::new();
    let [alice, bob] = world.family();
    let proxy = Proxy::before(&world.url);
    let patient = || {
        proxy.pass();
        let patient = ["--server", &proxy.url, "--timeout", "3600"];
        let mut watching = Watching::start_with(&bob, &patient);
        watching.until(|event| event["event"] == "connected");
        proxy.on("POST messages", Act::Hang);
        watching
    };
    let send = |timeout: &str| {
        let mut send = pmls(&bob.home);
        let send = send.args(["--server", &proxy.url, "--timeout", timeout]);
        let send = send.args(["group", "send", "family", "late"]);
        send.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let watching = patient();
    assert_eq!(code_within_a_minute(send("1")), Some(4));
    watching.kill();

    let watching = patient();
    let before = proxy.count("POST ");
    let waiting = send("3600");
    while proxy.count("POST ") == before {
        thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(watching.stop(), Some(0));
    assert_eq!(code_within_a_minute(waiting), Some(3));
    bob.sync();
    alice.sync();
    assert_eq!(alice.read("family"), ["bob: late"; 2]);
}
