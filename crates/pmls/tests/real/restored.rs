//! The operator has restored the service's database from a backup.

use std::fs;

use crate::{
    proxy::{Act, Proxy},
    world::{Device, World, agree, settle},
};

pub(crate) struct Backup<'a>(pub(crate) &'a mut World);

impl Backup<'_> {
    fn files(&self) -> [std::path::PathBuf; 2] {
        ["service.db", "backup.db"].map(|name| self.0.folder().join(name))
    }

    /// Copies the database while the service stands.
    pub(crate) fn make(&mut self) {
        self.0.kill();
        let [database, backup] = self.files();
        // What is still in the journal belongs to it.
        rusqlite::Connection::open(&database)
            .unwrap()
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0))
            .unwrap();
        fs::copy(database, backup).unwrap();
        self.0.restart();
    }

    pub(crate) fn restore(&mut self) {
        self.0.kill();
        let [database, backup] = self.files();
        for beside in ["service.db-wal", "service.db-shm"] {
            // It may not be there.
            let _ = fs::remove_file(self.0.folder().join(beside));
        }
        fs::copy(backup, database).unwrap();
        self.0.restart();
    }
}

fn fails(device: &Device, args: &[&str]) -> String {
    let (code, error) = device.fails(args);
    assert_eq!(code, 3, "{error}");
    error
}

/// Everybody notices, stops in that group and in no other, keeps what it has, and comes back by the command
/// that the message names.
#[test]
fn a_restored_database_is_noticed() {
    let mut world = World::new();
    let [alice, bob] = ["alice", "bob"].map(|user| world.device(user));
    for group in ["busy", "still"] {
        alice.run(&["group", "create", group]);
        alice.run(&["group", "add", group, "bob"]);
        bob.sync();
        let groups = bob.run(&["group", "list"]);
        let mut names =
            groups["groups"].as_array().unwrap().iter().map(|one| one["group"].as_str().unwrap());
        let new = names.find(|name| !["busy", "still"].contains(name)).unwrap();
        bob.run(&["group", "rename", new, group]);
    }
    Backup(&mut world).make();
    alice.run(&["update", "busy"]);
    alice.run(&["group", "send", "busy", "soon forgotten"]);
    bob.sync();
    agree(&[&alice, &bob], "busy");
    let (epoch, authenticator) = (alice.epoch("busy"), alice.authenticator("busy"));

    Backup(&mut world).restore();
    for device in [&alice, &bob] {
        for command in [&["sync"][..], &["update", "busy"], &["group", "send", "busy", "hello?"]] {
            let error = fails(device, command);
            assert!(error.contains("another log of busy"), "{error}");
            assert!(error.contains("pmls group rejoin busy"), "{error}");
        }
        // Nothing of what it has is gone.
        assert_eq!(
            (device.epoch("busy"), device.authenticator("busy")),
            (epoch, authenticator.clone())
        );
    }
    // The other group goes on as if nothing had been.
    alice.run(&["group", "send", "still", "still here"]);
    fails(&bob, &["sync"]);
    assert_eq!(bob.read("still"), ["alice: still here"]);

    for device in [&alice, &bob] {
        device.run(&["group", "rejoin", "busy"]);
    }
    settle(&[&alice, &bob]);
    agree(&[&alice, &bob], "busy");
    alice.run(&["group", "send", "busy", "here again"]);
    bob.sync();
    assert_eq!(bob.read("busy").last().map(String::as_str), Some("alice: here again"));
}

/// The restored service has gone on before one of them looks: what is new there stands at positions that it
/// has read already, and is not passed over in silence.
#[test]
fn new_entries_at_old_positions_are_noticed() {
    let mut world = World::new();
    let [alice, bob] = world.family();
    Backup(&mut world).make();
    alice.run(&["update", "family"]);
    bob.sync();
    Backup(&mut world).restore();
    alice.run(&["group", "rejoin", "family"]);
    alice.run(&["update", "family"]);
    alice.run(&["group", "send", "family", "did you hear?"]);
    let error = fails(&bob, &["sync"]);
    assert!(error.contains("another log of family"), "{error}");
    bob.run(&["group", "rejoin", "family"]);
    settle(&[&alice, &bob]);
    agree(&[&alice, &bob], "family");
}

/// What an operator does; the service stands for a restore.
fn admin(world: &World, args: &[&str]) -> serde_json::Value {
    let database = format!("sqlite://{}", world.folder().join("service.db").display());
    let operator = Device { home: world.folder().join("operator") };
    operator.run(&[&["admin", "--database", &database], args].concat())
}

/// A backup is restored by `pmls admin`: nobody goes on as if nothing had been, also where nothing has happened
/// since, and the command that the message names brings everybody back.
#[test]
fn a_new_incarnation_is_noticed_in_a_quiet_group() {
    let mut world = World::new();
    let [alice, bob] = world.family();
    let backup = world.folder().join("backup.db").display().to_string();
    admin(&world, &["backup", &backup]);
    let before = (alice.epoch("family"), alice.authenticator("family"));
    // It waits for the service, which comes back as another one.
    let proxy = Proxy::before(&world.url);
    proxy.on("POST /messages", Act::LoseRequest);
    alice.fails(&["--server", &proxy.url, "group", "send", "family", "written before"]);
    world.kill();
    admin(&world, &["restore", &backup, "--yes"]);
    world.restart();

    for device in [&alice, &bob] {
        for command in
            [&["sync"][..], &["update", "family"], &["group", "send", "family", "hello?"]]
        {
            let error = fails(device, command);
            assert!(error.contains("restored from a backup"), "{command:?}: {error}");
            assert!(error.contains("pmls group rejoin family"), "{command:?}: {error}");
        }
        assert_eq!((device.epoch("family"), device.authenticator("family")), before);
        let found = doctor(device);
        let older = found.iter().find(|finding| finding["kind"] == "service-older").unwrap();
        assert_eq!(older["run"], "pmls group rejoin family");
    }
    let database = rusqlite::Connection::open(world.folder().join("service.db")).unwrap();
    let entries =
        || -> i64 { database.query_row("SELECT head FROM groups", [], |row| row.get(0)).unwrap() };
    let quiet = entries();
    alice.fails(&["sync"]);
    assert_eq!(entries(), quiet, "nothing is sent");

    for device in [&bob, &alice] {
        device.run(&["group", "rejoin", "family"]);
    }
    settle(&[&alice, &bob]);
    agree(&[&alice, &bob], "family");
    assert_eq!(bob.read("family"), ["alice: written before"], "what waited is made again");
    bob.run(&["group", "send", "family", "here again"]);
    alice.sync();
    assert_eq!(alice.read("family"), ["bob: here again"]);
    for device in [&alice, &bob] {
        assert_eq!(doctor(device), Vec::<serde_json::Value>::new());
    }
}

/// A group that nobody can come back into, since the service has no GroupInfo, is helped by a member in it.
#[test]
fn a_group_without_its_group_info_goes_on_after_a_restore() {
    let mut world = World::new();
    let [alice, bob] = world.family();
    let backup = world.folder().join("backup.db").display().to_string();
    let without = "UPDATE groups SET group_info = NULL, group_info_epoch = NULL";
    let database = rusqlite::Connection::open(world.folder().join("service.db")).unwrap();
    database.busy_timeout(std::time::Duration::from_secs(20)).unwrap();
    assert_eq!(database.execute(without, []).unwrap(), 1);
    drop(database);
    admin(&world, &["backup", &backup]);
    world.kill();
    admin(&world, &["restore", &backup, "--yes"]);
    world.restart();
    fails(&bob, &["sync"]);
    let error = fails(&bob, &["group", "rejoin", "family"]);
    assert!(error.contains("pmls group publish-info"), "{error}");
    alice.run(&["group", "publish-info", "family"]);
    for device in [&bob, &alice] {
        device.run(&["group", "rejoin", "family"]);
    }
    settle(&[&alice, &bob]);
    agree(&[&alice, &bob], "family");
}

fn doctor(device: &Device) -> Vec<serde_json::Value> {
    let output = crate::world::pmls(&device.home).arg("doctor").output().unwrap();
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    told["findings"].as_array().unwrap().clone()
}
