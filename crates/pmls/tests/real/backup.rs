//! Restored backups, as users make them: the home, the vault, or both, as they were yesterday.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use crate::{
    node::Cast,
    restored::Backup as ServiceBackup,
    world::{Device, agree, changes, copy, healed, settle},
};

/// A device's folders, as they were.
struct Backup(PathBuf);

impl Backup {
    fn of(cast: &Cast, device: &Device) -> Self {
        let folder = cast.world.folder().join("backup");
        copy(&device.home, &folder);
        Self(folder)
    }

    fn restore_vault(&self, device: &Device) {
        replace(&self.0.join("vault"), &device.home.join("vault"));
    }

    /// All but the vault.
    fn restore_home(&self, device: &Device) {
        let vault = self.0.with_file_name("vault-of-today");
        copy(&device.home.join("vault"), &vault);
        replace(&self.0, &device.home);
        replace(&vault, &device.home.join("vault"));
    }

    fn restore_both(&self, device: &Device) {
        replace(&self.0, &device.home);
    }
}

fn replace(from: &Path, to: &Path) {
    fs::remove_dir_all(to).unwrap();
    copy(from, to);
}

/// The phone heals three times, and Bob talks.
fn a_day(cast: &Cast) {
    let [phone, sensor, bob] = cast.all();
    for _ in 0..3 {
        phone.run(&["update", "family"]);
        assert!(healed(&sensor.sync(), &[1]));
        bob.run(&["group", "send", "family", "still here"]);
    }
    settle(&[phone, sensor]);
}

fn has(events: &[Value], name: &str) -> bool {
    events.iter().any(|event| event["event"] == name)
}

fn security(device: &Device) -> Value {
    device.run(&["tree", "family"])["security"].clone()
}

/// The phone commits, and the sensor follows.
fn heals(cast: &Cast) {
    let [phone, sensor, bob] = cast.all();
    let told = phone.run(&["update", "family"]);
    assert!(healed(told["events"].as_array().unwrap(), &[1]), "{told}");
    let events = sensor.sync();
    assert!(healed(&events, &[1]), "{events:?}");
    bob.sync();
    agree(&cast.all(), "family");
    assert_eq!(security(phone), "secure");
    phone.run(&["group", "send", "family", "good morning"]);
    assert!(sensor.sync().iter().any(|event| event["event"] == "message"));
    let told = sensor.run(&["update", "family"]);
    assert!(healed(told["events"].as_array().unwrap(), &[0]), "{told}");
    settle(&cast.all());
    agree(&cast.all(), "family");
}

/// The vault alone, from before the first commit and from later: it is said, nothing is claimed, and the
/// next commit heals.
#[test]
fn a_vault_of_yesterday() {
    for opened in [false, true] {
        let cast = Cast::paired();
        let [phone, ..] = cast.all();
        if opened {
            a_day(&cast);
        }
        let backup = Backup::of(&cast, phone);
        a_day(&cast);
        assert_eq!(security(phone), "secure");
        backup.restore_vault(phone);
        assert_eq!(security(phone), "exposed");
        let events = phone.sync();
        assert!(has(&events, "older-vault"), "{events:?}");
        assert_eq!(security(phone), "exposed");
        assert!(!has(&phone.sync(), "older-vault"), "it is said once");
        heals(&cast);
    }
}

/// The home alone: it cannot follow what its vault has spent, and says how to come back.
#[test]
fn a_home_of_yesterday() {
    for who in 0..2 {
        let cast = Cast::paired();
        let device = cast.all()[who];
        a_day(&cast);
        let backup = Backup::of(&cast, device);
        a_day(&cast);
        backup.restore_home(device);
        for command in [&["sync"][..], &["group", "send", "family", "hello"], &["update", "family"]]
        {
            let (_, error) = device.fails(command);
            assert!(error.contains("pmls group rejoin family"), "{command:?}: {error}");
        }
        device.run(&["group", "rejoin", "family"]);
        settle(&cast.all());
        agree(&cast.all(), "family");
        heals(&cast);
    }
}

/// Both: the phone comes back from outside; the sensor was asleep, as far as it knows.
#[test]
fn both_of_yesterday() {
    for opened in [false, true] {
        let cast = Cast::paired();
        let [phone, sensor, _] = cast.all();
        if opened {
            a_day(&cast);
        }
        let backup = Backup::of(&cast, sensor);
        a_day(&cast);
        backup.restore_both(sensor);
        settle(&[sensor]);
        agree(&cast.all(), "family");
        heals(&cast);

        fs::remove_dir_all(&backup.0).unwrap();
        let backup = Backup::of(&cast, phone);
        a_day(&cast);
        backup.restore_both(phone);
        let (_, error) = phone.fails(&["sync"]);
        assert!(error.contains("pmls group rejoin family"), "{error}");
        phone.run(&["group", "rejoin", "family"]);
        settle(&cast.all());
        agree(&cast.all(), "family");
        heals(&cast);
    }
}

/// The tape positions of commits that have healed somebody.
fn positions(told: &Value) -> Vec<u64> {
    let changes = changes(told["events"].as_array().unwrap());
    let healed = changes.iter().filter(|change| change["what"] == "healed");
    healed.filter_map(|change| change["position"].as_u64()).collect()
}

/// The service, alone and with the phone's home: nothing that anybody does before it has come back reaches the
/// group or claims to have healed it; afterwards commits heal, with positions that were never used before.
#[test]
fn a_service_of_yesterday() {
    for with_home in [false, true] {
        let mut cast = Cast::paired();
        let home = Backup::of(&cast, cast.phone());
        ServiceBackup(&mut cast.world).make();
        let mut used = Vec::new();
        for _ in 0..3 {
            used.extend(positions(&cast.phone().run(&["update", "family"])));
            assert!(healed(&cast.sensor().sync(), &[1]));
        }
        cast.phone().run(&["group", "send", "family", "before"]);
        settle(&cast.all());
        ServiceBackup(&mut cast.world).restore();
        if with_home {
            home.restore_home(cast.phone());
        }

        let [phone, sensor, bob] = cast.all();
        let sensors = sensor.authenticator("family");
        for args in [&["sync"][..], &["update", "family"], &["group", "send", "family", "hello?"]] {
            for device in [sensor, bob] {
                let (code, error) = device.fails(args);
                assert_eq!(code, 3, "{error}");
                assert!(error.contains("pmls group rejoin family"), "{error}");
            }
        }
        assert_eq!(sensor.authenticator("family"), sensors, "nothing of what it has is gone");
        if with_home {
            // Its MLS state is as old as the service, and its vault is not.
            let (code, error) = phone.fails(&["group", "send", "family", "hello?"]);
            assert_eq!(code, 3, "{error}");
            assert!(error.contains("is older than its vault"), "{error}");
        } else {
            assert_eq!(phone.fails(&["update", "family"]).0, 3);
        }
        for device in cast.all() {
            device.run(&["group", "rejoin", "family"]);
        }
        settle(&cast.all());
        agree(&cast.all(), "family");
        for _ in 0..2 {
            let told = phone.run(&["update", "family"]);
            assert!(healed(told["events"].as_array().unwrap(), &[1]), "{told}");
            used.extend(positions(&told));
            let events = sensor.sync();
            assert!(healed(&events, &[1]), "{events:?}");
        }
        assert_eq!(used.len(), 5);
        assert!(used.is_sorted_by(|a, b| a < b), "a position was used twice: {used:?}");
        heals(&cast);
        let said = json!(sensor.read("family"));
        assert!(said.to_string().contains("good morning"), "{said}");
    }
}
