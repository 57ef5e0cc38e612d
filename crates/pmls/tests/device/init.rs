//! `device init`, killed at any point.

use std::{fs, process::Stdio, thread, time::Instant};

use crate::{
    code, device, files_with, run, secret_file, told,
    world::{World, pmls},
};

#[test]
fn a_killed_init_goes_on_where_it_stopped() {
    let world = World::new();
    let passphrase = secret_file(world.folder(), "passphrase", "correct horse");
    for (kind, user) in [("plain", "p"), ("sealed", "s")] {
        let init = |user: &str, home: &std::path::Path| {
            let mut command = pmls(home);
            command.args(["--server", &world.url, "--passphrase-file", &passphrase]);
            command.args(["device", "init", "--user", user, "--vault", kind]);
            command.stdout(Stdio::null()).stderr(Stdio::null());
            command
        };
        // How long it takes is measured first, so that the kills are spread over all of it.
        let begin = Instant::now();
        let whole = world.folder().join(format!("{kind}-whole"));
        assert!(init(&format!("{user}-whole"), &whole).status().unwrap().success());
        let takes = begin.elapsed();

        const KILLS: u32 = 12;
        for n in 0..KILLS {
            let user = format!("{user}{n}");
            let home = world.folder().join(format!("{kind}-{n}"));
            let mut child = init(&user, &home).spawn().unwrap();
            thread::sleep(takes * n / KILLS);
            child.kill().unwrap();
            child.wait().unwrap();

            // If it had come so far as to write down who it is, it need not be told again.
            let known = home.join("device.toml").exists();
            let again = ["device", "init", "--user", &user, "--vault", kind];
            let again = if known { &again[..2] } else { &again[..] };
            let options = ["--server", &world.url, "--passphrase-file", &passphrase];
            let id = device(&run(&home, &[&options, again].concat()));
            let listed = run(&home, &[&options[2..], &["device", "list"]].concat());
            let listed: serde_json::Value = serde_json::from_slice(&listed.stdout).unwrap();
            let devices = listed["devices"].as_array().unwrap();
            assert_eq!(devices.len(), 1, "one device and no more: {listed}");
            assert_eq!(devices[0]["device"], serde_json::json!(id));
        }
    }
}

/// Each state that a kill can leave, made on purpose.
#[test]
fn every_state_in_between_is_gone_on_from() {
    let world = World::new();
    let passphrase = secret_file(world.folder(), "passphrase", "correct horse");
    let home = world.folder().join("home");
    let options = ["--server", &world.url, "--passphrase-file", &passphrase];
    let init = [&options[..], &["device", "init", "--user", "alice"]].concat();
    let first = device(&run(&home, &init));
    let file = home.join("device.toml");
    let whole = fs::read_to_string(&file).unwrap();
    let without_id: String = whole
        .lines()
        .filter(|line| !line.starts_with("device ="))
        .map(|l| format!("{l}\n"))
        .collect();
    assert_ne!(whole, without_id);

    // The key was made and not written down: it is the same device.
    fs::write(&file, &without_id).unwrap();
    let refused = run(&home, &[&options[2..], &["device", "show"]].concat());
    assert!(told(&refused).contains("pmls device init"), "{}", told(&refused));
    assert_eq!(device(&run(&home, &init)), first);

    // The vault of a device that is known is gone: it is not made anew.
    let vault = fs::read(home.join("vault")).unwrap();
    fs::remove_file(home.join("vault")).unwrap();
    let refused = run(&home, &init);
    assert_eq!(code(&refused), 3);
    assert!(told(&refused).contains("there is no vault"), "{}", told(&refused));
    fs::write(home.join("vault"), vault).unwrap();
    assert_eq!(device(&run(&home, &init)), first);

    // The counter was made and the vault not.
    let other = [&options[..], &["device", "init", "--user", "bob"]].concat();
    fs::remove_file(home.join("vault")).unwrap();
    fs::remove_file(home.join("mls.sqlite")).unwrap();
    fs::write(&file, without_id.replace("\"alice\"", "\"bob\"")).unwrap();
    assert!(world.folder().join("home.vault-counter").exists());
    assert_ne!(device(&run(&home, &other)), first);
}

#[test]
fn a_home_has_one_device() {
    let world = World::new();
    let alice = world.device("alice");
    let init = ["--server", &world.url, "device", "init", "--vault", "plain", "--user", "bob"];
    let refused = run(&alice.home, &init);
    assert_eq!(code(&refused), 3);
    assert!(told(&refused).contains("alice"), "{}", told(&refused));
}

#[cfg(unix)]
#[test]
fn only_the_owner_can_enter_a_home() {
    use std::{fs::Permissions, os::unix::fs::PermissionsExt as _};
    let world = World::new();
    let alice = world.device("alice");
    let mode = fs::metadata(&alice.home).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    fs::set_permissions(&alice.home, Permissions::from_mode(0o750)).unwrap();
    let (code, error) = alice.fails(&["device", "show"]);
    assert_eq!(code, 3);
    assert!(error.contains("chmod 700"), "{error}");
}

/// A thief of the MLS state does not have the signature key.
#[test]
fn the_private_key_is_in_the_vault_and_nowhere_else() {
    let world = World::new();
    let alice = world.device("alice");
    let record = alice.home.join("vault").join("signature-key.record");
    let bytes = fs::read(&record).unwrap();
    let private_key = &bytes[bytes.len() - 32..];
    assert_eq!(files_with(world.folder(), private_key), [record]);
}

#[test]
fn the_passphrase_is_nowhere() {
    const PASSPHRASE: &str = "a passphrase that nobody may see";
    let world = World::new();
    let passphrase = secret_file(world.folder(), "passphrase", PASSPHRASE);
    let wrong = secret_file(world.folder(), "wrong", "another secret");
    let home = world.folder().join("home");
    let options = ["--server", &world.url, "--passphrase-file", &passphrase];
    let mut all = String::new();
    for command in [
        &["device", "init", "--user", "alice"][..],
        &["device", "show"],
        &["vault", "status"],
        &["vault", "passphrase", "--new-passphrase-file", "/nonexistent"],
        &["vault", "passphrase", "--new-passphrase-file", &passphrase],
        &["config", "show"],
    ] {
        all += &told(&run(&home, &[&options[..], command].concat()));
    }
    let locked = run(&home, &["--passphrase-file", &wrong, "device", "show"]);
    assert_eq!(code(&locked), 6);
    all += &told(&locked);
    assert!(all.contains("wrong passphrase"), "{all}");
    for secret in [PASSPHRASE, "another secret"] {
        assert!(!all.contains(secret), "{all}");
    }
    assert_eq!(files_with(&home, PASSPHRASE.as_bytes()), [] as [std::path::PathBuf; 0]);
}

/// Whatever was wrong, the corrected command works in the same home.
#[test]
fn an_init_that_failed_can_be_corrected() {
    let world = World::new();
    let passphrase = secret_file(world.folder(), "passphrase", "correct horse");
    world.device("alice");
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let away = format!("http://{}", nobody.local_addr().unwrap());
    drop(nobody);
    let wrong_key = secret_file(world.folder(), "wrong", "pmlsr1-qqqq");
    for vault in ["plain", "sealed"] {
        let home = world.folder().join(format!("home-{vault}"));
        let init = |server: &str, user: &str, more: &[&str]| {
            let args = ["--server", server, "--passphrase-file", &passphrase];
            let init = ["device", "init", "--vault", vault, "--user", user];
            run(&home, &[&args[..], &init, more].concat())
        };
        let recover = ["--by-recovery-key", "--old-devices", "keep", "--recovery-key-file"];
        // Another server, a name that is taken, a name that is none, a key that is none, the name again.
        let user = format!("bob-{vault}");
        assert_eq!(code(&init(&away, &user, &[])), 4);
        assert_eq!(code(&init(&world.url, "alice", &[])), 7);
        assert_eq!(code(&init("mailto:nobody", &user, &[])), 2);
        for nothing in ["", " ", "\u{3000}", "two\nlines"] {
            let refused = init(&world.url, nothing, &[]);
            assert_eq!(code(&refused), 2, "{}", told(&refused));
            assert!(told(&refused).contains("a name") || nothing.is_empty(), "{}", told(&refused));
        }
        let refused = init(&world.url, "alcie", &[&recover[..], &[&wrong_key]].concat());
        assert_eq!(code(&refused), 3, "{}", told(&refused));
        assert_eq!(code(&init(&world.url, "alice", &["--name", "laptop"])), 7);
        let id = device(&init(&world.url, &user, &["--name", "laptop"]));
        let here =
            |args: &[&str]| run(&home, &[&["--passphrase-file", &passphrase], args].concat());
        assert_eq!(device(&here(&["device", "show"])), id);
        assert_eq!(code(&here(&["sync"])), 0);
        // From now on it is a device, and nothing takes its place.
        let other = init(&world.url, "carol", &[]);
        assert!(code(&other) == 3 && told(&other).contains(&user), "{}", told(&other));
        assert_eq!(device(&here(&["device", "show"])), id);
    }
}

/// A vault that lies elsewhere is not put aside: it may be that of another home.
#[test]
fn an_init_that_failed_leaves_the_vault_of_another_home() {
    let world = World::new();
    let alice = world.device("alice");
    let vault = alice.home.join("vault").display().to_string();
    let home = world.folder().join("new");
    let init = |user: &str, more: &[&str]| {
        let init = ["--server", &world.url, "device", "init", "--vault", "plain", "--user", user];
        run(&home, &[more, &init].concat())
    };
    assert_ne!(code(&init("bob", &["--vault-path", &vault])), 0);
    device(&init("bob", &[]));
    alice.run(&["sync"]);
}

/// Two vaults with one counter would each take the other for an older copy. The counter that an earlier device of
/// the same home has left is in nobody's way.
#[test]
fn a_counter_counts_for_one_vault() {
    let world = World::new();
    let passphrase = secret_file(world.folder(), "passphrase", "correct horse");
    let init = |home: &str, user: &str, more: &[&str]| {
        let options = ["--server", &world.url, "--passphrase-file", &passphrase];
        let init = ["device", "init", "--user", user];
        run(&world.folder().join(home), &[&options[..], &init, more].concat())
    };
    device(&init("one", "alice", &[]));
    let of_one = world.folder().join("one.vault-counter").display().to_string();
    let refused = init("two", "bob", &["--vault-counter", &of_one]);
    assert_eq!(code(&refused), 3);
    assert!(told(&refused).contains("give another --vault-counter"), "{}", told(&refused));
    let own = world.folder().join("own").display().to_string();
    device(&init("two", "bob", &["--vault-counter", &own]));
    let one = world.folder().join("one");
    assert_eq!(code(&run(&one, &["--passphrase-file", &passphrase, "sync"])), 0);

    fs::remove_dir_all(one).unwrap();
    device(&init("one", "carol", &[]));
}
