//! `pmls admin`: an operator at the database of a service that runs.

use serde_json::{Value, json};

use crate::{
    code, run, told,
    world::{Device, World},
};

/// An operator with the database of a world.
struct Operator<'a>(&'a World);

impl Operator<'_> {
    fn command(&self, args: &[&str]) -> std::process::Output {
        let database = format!("sqlite://{}", self.0.folder().join("service.db").display());
        let args = [&["admin", "--database", &database], args].concat();
        run(self.0.folder(), &args)
    }

    fn does(&self, args: &[&str]) -> Value {
        let output = self.command(args);
        assert_eq!(code(&output), 0, "{args:?}: {}", told(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn fails(&self, args: &[&str]) -> (i32, String) {
        let output = self.command(args);
        (code(&output), told(&output))
    }
}

fn database(world: &World) -> rusqlite::Connection {
    rusqlite::Connection::open(world.folder().join("service.db")).unwrap()
}

#[test]
fn an_operator_sees_and_shuts_out_while_the_service_runs() {
    let world = World::new();
    let operator = Operator(&world);
    let alice = world.device("alice");
    let users = operator.does(&["list", "users"]);
    assert_eq!(
        users["list"][0],
        json!({ "user": "alice", "devices": 1, "revoked": 0, "recovery_key": "yes" })
    );
    assert_eq!(users["more"], json!(false));
    let shown = operator.does(&["show", "user", "alice"]);
    assert_eq!(shown["list"][0]["device"], json!(alice.id()));
    assert_eq!(shown["recovery_key"], json!("yes"));
    alice.run(&["device", "recovery-key", "--remove"]);
    assert_eq!(operator.does(&["show", "user", "alice"])["recovery_key"], json!("no"));

    operator.does(&["ban", "alice"]);
    let (failed, why) = alice.fails(&["device", "list"]);
    assert_eq!(failed, 3);
    assert!(why.contains("operator"), "{why}");
    operator.does(&["unban", "alice"]);
    alice.run(&["device", "list"]);

    // A name that nobody has, and one that is none.
    let (failed, why) = operator.fails(&["ban", "alcie"]);
    assert_eq!(failed, 3, "{why}");
    assert!(why.contains("no user alcie") && why.contains("pmls admin list"), "{why}");
    assert_eq!(operator.fails(&["show", "device", "not-an-id"]).0, 2);
    let mistyped =
        run(world.folder(), &["admin", "--database", "sqlite://mistyped.db", "list", "users"]);
    let why = told(&mistyped);
    assert_eq!(code(&mistyped), 3, "{why}");
    assert!(why.contains("mistyped.db") && why.contains("--database"), "{why}");
}

#[test]
fn a_user_that_has_lost_its_only_device_is_freed() {
    let world = World::new();
    let operator = Operator(&world);
    let lost = world.device("alice");
    let home = world.folder().join("new");
    let init = ["device", "init", "--user", "alice", "--name", "new", "--vault", "plain"];
    let refused = run(&home, &[&["--server", &world.url], &init[..]].concat());
    assert_eq!(code(&refused), 7, "{}", told(&refused));
    let new = Device { home: home.clone() };
    let freed = operator.does(&["free", "alice", "--device", &new.id(), "--revoke-others"]);
    assert_eq!(freed, json!({ "approved": new.id(), "revoked": 1 }));
    assert_eq!(code(&run(&home, &["device", "register"])), 0);
    new.run(&["device", "list"]);
    assert_eq!(lost.fails(&["device", "list"]).0, 3);
}

#[test]
fn what_cannot_be_undone_is_said_first() {
    let world = World::new();
    let operator = Operator(&world);
    let alice = world.device("alice");
    alice.run(&["group", "create", "club"]);
    let groups = operator.does(&["list", "groups"]);
    let group = groups["list"][0]["group"].as_str().unwrap().to_owned();
    let backup = world.folder().join("backup.db").display().to_string();
    operator.does(&["backup", &backup]);
    for args in [
        &["delete", "user", "alice"][..],
        &["delete", "device", &alice.id()],
        &["delete", "group", &group],
        &["roll-back", &group, "0"],
        &["restore", &backup],
        &["restore-mark"],
    ] {
        let (failed, said) = operator.fails(args);
        assert_eq!(failed, 2, "{args:?}: {said}");
        assert!(said.contains("Would ") && said.contains("--yes"), "{said}");
    }
    assert_eq!(operator.does(&["list", "groups"]), groups);
    alice.run(&["device", "list"]);
    let deleted = operator.does(&["delete", "user", "alice", "--yes"]);
    assert_eq!((&deleted["devices"], &deleted["groups"]), (&json!(1), &json!(1)));
    assert_eq!(operator.does(&["list", "users"])["list"], json!([]));
    assert_eq!(operator.does(&["check"])["findings"], json!([]));
}

#[test]
fn a_backup_is_restored_with_the_service_stopped() {
    let mut world = World::new();
    let alice = world.device("alice");
    alice.run(&["group", "create", "club"]);
    let backup = world.folder().join("backup.db").display().to_string();
    let bob = {
        let operator = Operator(&world);
        operator.does(&["backup", &backup]);
        let (failed, why) = operator.fails(&["backup", &backup]);
        assert_eq!(failed, 3);
        assert!(why.contains("another name"), "{why}");
        let bob = world.device("bob");
        let (failed, why) = operator.fails(&["restore", &backup, "--yes"]);
        assert_eq!(failed, 5, "{why}");
        assert!(why.contains("stop the service"), "{why}");
        bob.run(&["device", "list"]);
        bob
    };
    world.kill();
    let restored = Operator(&world).does(&["restore", &backup, "--yes"]);
    assert!(restored["key_packages"].as_u64().unwrap() > 0, "{restored}");
    world.restart();
    let (failed, why) = alice.fails(&["sync"]);
    assert_eq!(failed, 3, "{why}");
    assert!(why.contains("pmls group rejoin club"), "{why}");
    alice.run(&["group", "rejoin", "club"]);
    alice.run(&["sync"]);
    assert_eq!(bob.fails(&["device", "list"]).0, 3, "it came after the backup");
    assert_eq!(Operator(&world).does(&["check"])["findings"], json!([]));
}

#[test]
fn a_check_with_findings_fails_and_says_what_to_do() {
    let world = World::new();
    let operator = Operator(&world);
    let alice = world.device("alice");
    alice.run(&["group", "create", "club"]);
    alice.run(&["group", "send", "club", "hello"]);
    database(&world).execute("UPDATE log SET message = x'00'", []).unwrap();
    let output = operator.command(&["check"]);
    assert_eq!(code(&output), 1, "{}", told(&output));
    let checked: Value = serde_json::from_slice(&output.stdout).unwrap();
    let next = checked["findings"][0]["next"].as_str().unwrap();
    assert!(next.contains("pmls admin roll-back"), "{next}");
    let command = next.split('`').nth(1).unwrap();
    let args: Vec<_> = command.split(' ').skip(2).collect();
    operator.does(&args);
    assert_eq!(operator.does(&["check"])["findings"], json!([]));
}

/// What cannot be done is said with what can, before anything is asked of a server.
#[test]
fn a_backup_that_cannot_be_is_refused_with_the_reason() {
    let world = World::new();
    let home = world.folder().join("operator");
    let admin = |database: &str, args: &[&str]| {
        let refused = run(&home, &[&["admin", "--database", database], args].concat());
        (code(&refused), told(&refused))
    };
    let down = format!("postgres://pmls@localhost/pmls?host={}", world.folder().display());
    for args in [&["backup", "file"][..], &["restore", "file"], &["restore", "file", "--yes"]] {
        let (code, error) = admin(&down, args);
        assert!(code == 3 && error.contains("pg_dump"), "{error}");
    }
    let (code, error) = admin(&down, &["list", "users"]);
    assert!(code == 3 && error.contains("look whether its server runs"), "{error}");
    let file = world.folder().join("service.db").display().to_string();
    let (code, error) = admin(&format!("sqlite://{file}"), &["restore", &file, "--yes"]);
    assert!(code == 3 && error.contains("is the database itself"), "{error}");
    assert!(error.contains("pmls admin backup"), "{error}");
}

/// What a mistyped name would replace is no database of the service: it stays as it is.
#[test]
fn a_restore_replaces_nothing_of_others() {
    let world = World::new();
    let phone = world.device("phone");
    phone.run(&["group", "create", "family"]);
    let backup = world.folder().join("backup.db").display().to_string();
    let service = format!("sqlite://{}", world.folder().join("service.db").display());
    let operator = world.folder().join("operator");
    let made = run(&operator, &["admin", "--database", &service, "backup", &backup]);
    assert_eq!(code(&made), 0, "{}", told(&made));
    let state = phone.home.join("mls.sqlite");
    let before = std::fs::read(&state).unwrap();
    let database = format!("sqlite://{}", state.display());
    let refused = run(&operator, &["admin", "--database", &database, "restore", &backup, "--yes"]);
    let error = told(&refused);
    assert!(code(&refused) == 3 && error.contains("not one of the service"), "{error}");
    assert_eq!(std::fs::read(&state).unwrap(), before);
    assert_eq!(phone.run(&["group", "list"])["groups"][0]["group"], "family");
}
