//! `pmls admin backup` and `restore` are killed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    code, run, told,
    world::{World, pmls},
};

/// How many kills there are, spread over the time that the command takes.
const KILLS: u32 = 24;

struct Operator {
    folder: PathBuf,
    database: String,
}

impl Operator {
    fn of(folder: &Path) -> Self {
        let database = format!("sqlite://{}", folder.join("service.db").display());
        Self { folder: folder.to_owned(), database }
    }

    fn args<'a>(&'a self, args: &[&'a str]) -> Vec<&'a str> {
        [&["admin", "--database", &self.database], args].concat()
    }

    fn does(&self, args: &[&str]) -> Value {
        let output = run(&self.folder, &self.args(args));
        assert_eq!(code(&output), 0, "{args:?}: {}", told(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn begins(&self, args: &[&str]) -> Child {
        let mut command = pmls(&self.folder);
        command.args(self.args(args)).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().unwrap()
    }

    /// Kills the command after this time.
    fn killed_after(&self, args: &[&str], time: Duration) {
        let mut command = self.begins(args);
        thread::sleep(time);
        // It may have ended.
        let _ = command.kill();
        command.wait().unwrap();
    }

    /// How long it takes when nobody kills it.
    fn time_of(&self, args: &[&str]) -> Duration {
        let began = Instant::now();
        self.does(args);
        began.elapsed()
    }

    /// The users of a database without any fault.
    fn users(&self) -> Vec<String> {
        assert_eq!(self.does(&["check"])["findings"], serde_json::json!([]));
        let users = self.does(&["list", "users"]);
        let users = users["list"].as_array().unwrap().iter();
        users.map(|user| user["user"].as_str().unwrap().to_owned()).collect()
    }
}

/// The files of the database, as they are.
fn copy_database(from: &Path, to: &Path) {
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let name = format!("service.db{suffix}");
        // Not all are there.
        let _ = fs::remove_file(to.join(&name));
        if from.join(&name).exists() {
            fs::copy(from.join(&name), to.join(&name)).unwrap();
        }
    }
}

/// A database with Alice, and long messages of hers; a backup of it; and with Bob, who came later.
fn with_backup() -> (World, PathBuf) {
    let mut world = World::new();
    let alice = world.device("alice");
    alice.run(&["group", "create", "club"]);
    let long = vec![b'x'; 300_000];
    for _ in 0..8 {
        assert!(alice.given(&["group", "send", "club"], &long).status.success());
    }
    let backup = world.folder().join("backup.db");
    Operator::of(world.folder()).does(&["backup", backup.to_str().unwrap()]);
    world.device("bob");
    world.kill();
    (world, backup)
}

#[test]
fn a_killed_restore_leaves_the_old_or_the_restored_database() {
    let (mut world, backup) = with_backup();
    let old = world.folder().join("old");
    fs::create_dir(&old).unwrap();
    copy_database(world.folder(), &old);
    let operator = Operator::of(world.folder());
    let restore = ["restore", backup.to_str().unwrap(), "--yes"];
    let time = operator.time_of(&restore);
    assert_eq!(operator.users(), ["alice"]);
    let mut outcomes = [0, 0];
    for kill in 0..KILLS {
        copy_database(&old, world.folder());
        operator.killed_after(&restore, time * kill / KILLS);
        match operator.users().as_slice() {
            [alice, bob] if (alice.as_str(), bob.as_str()) == ("alice", "bob") => outcomes[0] += 1,
            [alice] if alice == "alice" => outcomes[1] += 1,
            users => panic!("{users:?} after kill {kill}"),
        }
        // Where one was killed, the next one works.
        if kill % 4 == 3 {
            operator.does(&restore);
            assert_eq!(operator.users(), ["alice"]);
        }
    }
    assert!(outcomes[0] > 0, "{outcomes:?}");
    operator.does(&restore);
    assert!(!world.folder().join("service.db.restoring").exists());
    world.restart();
}

#[test]
fn a_killed_restore_where_no_database_is_leaves_none_or_the_restored_one() {
    let (mut world, backup) = with_backup();
    let operator = Operator::of(world.folder());
    let database = world.folder().join("service.db");
    let nothing = world.folder().join("nothing");
    fs::create_dir(&nothing).unwrap();
    let restore = ["restore", backup.to_str().unwrap(), "--yes"];
    copy_database(&nothing, world.folder());
    let time = operator.time_of(&restore);
    for kill in 0..KILLS {
        copy_database(&nothing, world.folder());
        operator.killed_after(&restore, time * kill / KILLS);
        if database.exists() {
            assert_eq!(operator.users(), ["alice"], "after kill {kill}");
        }
        if kill % 4 == 3 {
            operator.does(&restore);
            assert_eq!(operator.users(), ["alice"]);
        }
    }
    operator.does(&restore);
    world.restart();
}

#[test]
fn a_killed_backup_leaves_none_or_a_whole_one() {
    let (world, _) = with_backup();
    let operator = Operator::of(world.folder());
    let file = world.folder().join("killed.db");
    let backup = ["backup", file.to_str().unwrap()];
    let time = operator.time_of(&backup);
    for kill in 0..KILLS {
        // It may not be there.
        let _ = fs::remove_file(&file);
        operator.killed_after(&backup, time * kill / KILLS);
        if !file.exists() {
            operator.does(&backup);
        }
        let copy = Operator {
            folder: operator.folder.clone(),
            database: format!("sqlite://{}", file.display()),
        };
        assert_eq!(copy.users(), ["alice", "bob"], "after kill {kill}");
    }
    assert_eq!(operator.users(), ["alice", "bob"]);
}
