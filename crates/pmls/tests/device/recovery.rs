//! Recovery keys: a user that has lost its only device comes back.

use std::{fs, io::Write as _, path::Path, process::Stdio};

use serde_json::{Value, json};

use crate::{
    code, files_with, run, secret_file, told,
    world::{Device, World, pmls},
};

const INIT: [&str; 4] = ["device", "init", "--vault", "plain"];

fn init(world: &World, home: &Path, more: &[&str]) -> std::process::Output {
    let args = [&["--server", &world.url][..], &INIT, &["--user", "alice"], more].concat();
    run(home, &args)
}

fn report(output: &std::process::Output) -> Value {
    assert_eq!(code(output), 0, "{}", told(output));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Alice's first device, and what she has on paper.
fn alice(world: &World) -> (Device, String) {
    let home = world.folder().join("lost");
    let made = report(&init(world, &home, &[]));
    assert_eq!(made["recovery"], json!("new"));
    let paper = made["recovery_key"].as_str().unwrap().to_owned();
    assert!(paper.starts_with("pmlsr1-"), "{paper}");
    (Device { home }, paper)
}

#[test]
fn a_user_that_has_lost_its_only_device_comes_back() {
    let world = World::new();
    let (lost, paper) = alice(&world);
    // It is shown once, and nowhere else.
    let again = report(&init(&world, &lost.home, &[]));
    assert_eq!((&again["recovery"], &again["recovery_key"]), (&json!("registered"), &Value::Null));
    let secret = paper.replace('-', "");
    for needle in [paper.as_bytes(), secret.as_bytes()] {
        assert_eq!(files_with(world.folder(), needle), Vec::<std::path::PathBuf>::new());
    }

    let home = world.folder().join("new");
    let recover = ["--by-recovery-key", "--old-devices", "revoke", "--recovery-key-file"];
    let wrong = secret_file(world.folder(), "wrong", &format!("{}q", paper));
    let refused = init(&world, &home, &[&recover[..], &[&wrong]].concat());
    assert_ne!(code(&refused), 0);
    assert!(told(&refused).contains("recovery key"), "{}", told(&refused));
    assert!(!told(&refused).contains(&paper), "{}", told(&refused));
    lost.run(&["device", "list"]);

    let right = secret_file(world.folder(), "right", &paper.to_uppercase());
    let back = report(&init(&world, &home, &[&recover[..], &[&right]].concat()));
    assert_eq!((&back["registered"], &back["recovery"]), (&json!(true), &json!("registered")));
    assert_eq!(back["revoked"], json!(1));
    let new = Device { home };
    new.run(&["device", "publish", "--count", "2"]);
    assert_eq!(lost.fails(&["device", "list"]).0, 3);
}

#[test]
fn the_key_comes_from_standard_input_and_a_device_replaces_it() {
    let world = World::new();
    let (old, paper) = alice(&world);
    let replaced = old.run(&["device", "recovery-key", "--replace"]);
    let new_paper = replaced["recovery_key"].as_str().unwrap().to_owned();
    assert_ne!(new_paper, paper);
    assert_eq!(old.run(&["device", "recovery-key"]), json!({ "recovery": "registered" }));

    let home = world.folder().join("new");
    let by_stdin = |paper: &str| {
        let mut init = pmls(&home)
            .args(["--server", &world.url])
            .args(INIT)
            .args(["--user", "alice", "--by-recovery-key", "--old-devices", "keep"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        writeln!(init.stdin.take().unwrap(), "{paper}").unwrap();
        init.wait_with_output().unwrap()
    };
    let refused = by_stdin(&paper);
    assert_eq!(code(&refused), 3, "{}", told(&refused));
    assert!(told(&refused).contains("check the name and the recovery key"), "{}", told(&refused));
    report(&by_stdin(&new_paper));
    old.run(&["device", "list"]);

    assert_eq!(old.run(&["device", "recovery-key", "--remove"]), json!({ "recovery": "none" }));
    let home = world.folder().join("third");
    let file = secret_file(world.folder(), "paper", &new_paper);
    let args = ["--by-recovery-key", "--old-devices", "keep", "--recovery-key-file", &file];
    assert_eq!(code(&init(&world, &home, &args)), 3);
}

/// The vault is lost, and there is no other device: `pmls recover` takes the paper, too.
#[test]
fn a_device_that_has_lost_its_keys_comes_back_by_the_paper() {
    let world = World::new();
    let (device, paper) = alice(&world);
    let old = device.id();
    fs::remove_dir_all(device.home.join("vault")).unwrap();
    let (failed, why) = device.fails(&["recover"]);
    assert_eq!(failed, 7, "{why}");
    let next = "`pmls recover --by-recovery-key --old-devices revoke`";
    assert!(why.contains(next), "{why}");
    let file = secret_file(world.folder(), "paper", &paper);
    let args = ["recover", "--by-recovery-key", "--old-devices", "revoke"];
    device.run(&[&args[..], &["--recovery-key-file", &file]].concat());
    assert_ne!(device.id(), old);
    device.run(&["sync"]);
    assert_eq!(device.run(&["device", "recovery-key"]), json!({ "recovery": "registered" }));
}

#[test]
fn a_script_can_do_without() {
    let world = World::new();
    let home = world.folder().join("script");
    let made = report(&init(&world, &home, &["--no-recovery-key"]));
    assert_eq!((&made["recovery"], &made["recovery_key"]), (&json!("none"), &Value::Null));
    // What becomes of the others is never guessed, and the key is no argument.
    assert_eq!(code(&init(&world, &home, &["--by-recovery-key"])), 2);
    assert_eq!(
        code(&init(&world, &home, &["--by-recovery-key", "pmlsr1-key", "--old-devices", "keep"])),
        2
    );
}

/// The name was mistyped: the corrected one works in the same home.
#[test]
fn a_mistyped_name_can_be_corrected() {
    let world = World::new();
    let (_, paper) = alice(&world);
    let file = secret_file(world.folder(), "paper", &paper);
    let home = world.folder().join("new");
    let init = |user: &str| {
        let server = ["--server", &world.url];
        let recover = ["--by-recovery-key", "--old-devices", "keep", "--recovery-key-file", &file];
        run(&home, &[&server[..], &INIT, &["--user", user], &recover].concat())
    };
    let refused = init("alcie");
    assert!(told(&refused).contains("check the name"), "{}", told(&refused));
    let back = report(&init("alice"));
    assert_eq!((&back["user"], &back["revoked"]), (&json!("alice"), &json!(0)));
}

/// `pmls doctor` names a way that works, with another device and without one.
#[test]
fn a_revoked_device_comes_back() {
    let world = World::new();
    let (phone, paper) = alice(&world);
    let doctor = |device: &Device| {
        let output = run(&device.home, &["doctor"]);
        let found: Value = serde_json::from_slice(&output.stdout).unwrap();
        let found = found["findings"][0].clone();
        assert_eq!(found["kind"], json!("revoked"), "{found}");
        assert!(found["what"].as_str().unwrap().contains("--by-recovery-key"), "{found}");
        found["run"].as_str().unwrap().strip_prefix("pmls ").unwrap().to_owned()
    };
    // By another device, which approves it.
    let laptop = world.another(&phone, "alice", "laptop");
    phone.run(&["device", "revoke", &laptop.id()]);
    for command in [&["sync"][..], &["device", "register"]] {
        let (code, error) = laptop.fails(command);
        assert!(code == 3 && error.contains("pmls recover --new-keys"), "{error}");
    }
    let run_this = doctor(&laptop);
    let run_this: Vec<&str> = run_this.split(' ').collect();
    let (code, error) = laptop.fails(&run_this);
    assert_eq!(code, 7, "{error}");
    let new = error.split("pmls device approve ").nth(1).unwrap();
    phone.run(&["device", "approve", &new[..43]]);
    laptop.run(&["recover"]);
    laptop.run(&["sync"]);
    // By the paper, when none is left; also by one who has tried it with the old keys first.
    phone.run(&["device", "revoke", &laptop.id()]);
    phone.run(&["device", "revoke", &phone.id(), "--myself"]);
    let run_this = doctor(&phone);
    let (code, error) = phone.fails(&["recover"]);
    assert!(code == 3 && error.contains("pmls recover --new-keys"), "{error}");
    let file = secret_file(world.folder(), "paper", &paper);
    let recover = ["--by-recovery-key", "--old-devices", "revoke", "--recovery-key-file", &file];
    phone.run(&[&run_this.split(' ').collect::<Vec<_>>()[..], &recover].concat());
    phone.run(&["sync"]);
}
