//! Backups of a SQLite database while it is used, and restoring them.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use paired_mls_api::{
    Access, GroupId, LogPage, ProblemKind, RecoveryKeyView, RequestKey as _, RevokeDevice, path,
};
use paired_mls_service::{
    Admin, KeyPackages, RestoreError, Restored, ShutOutAgain, StoreError, restore,
};

use crate::{
    backend::{Backend, Replica},
    device::Device,
    disk::Small,
    messages::*,
};

async fn admin(backend: &Backend) -> Admin {
    Admin::open(&backend.config.database, backend.clock.clone()).await.unwrap()
}

fn place(backend: &Backend) -> PathBuf {
    backend.folder.path().join("backup.db")
}

/// A device, a backup of the database that knows it, and nobody who uses that any more.
async fn backed_up(backend: &Backend) -> (Device, PathBuf) {
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let admin = admin(backend).await;
    let backup = place(backend);
    admin.backup(&backup).await.unwrap();
    admin.close().await;
    replica.state.close().await;
    (alice, backup)
}

async fn put_back(backend: &Backend, backup: &Path) -> Result<Restored, RestoreError> {
    let (database, clock) = (&backend.config.database, backend.clock.clone());
    restore(database, backup, KeyPackages::Dropped, [7; 16], clock).await
}

async fn page(replica: &Replica, device: &Device, group: &GroupId) -> LogPage {
    device.get(replica, &path::of_group(path::GROUP_MESSAGES, group)).await.json(200)
}

/// The files of the folder, but for those of the database itself.
fn others(backend: &Backend) -> Vec<String> {
    let files = fs::read_dir(backend.folder.path()).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| !name.starts_with("service.db")).collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_backup_is_of_one_moment_while_others_write() {
    let backend = Backend::sqlite();
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let group = new_group(&replica, &alice, Access::Roster).await;
    win(&replica, &alice, &group, &publish(&group, 0)).await;
    let ended = Arc::new(AtomicBool::new(false));
    let writer = {
        let (replica, alice, group, ended) =
            (replica.clone(), alice.clone(), group.clone(), Arc::clone(&ended));
        tokio::spawn(async move {
            let mut epoch = 1;
            while !ended.load(Ordering::SeqCst) {
                win(&replica, &alice, &group, &publish(&group, epoch)).await;
                epoch += 1;
            }
            epoch
        })
    };
    let admin = admin(&backend).await;
    let backup = place(&backend);
    let written = admin.backup(&backup).await.unwrap();
    ended.store(true, Ordering::SeqCst);
    let epoch = writer.await.unwrap();
    let metadata = fs::metadata(&backup).unwrap();
    assert_eq!((metadata.len(), metadata.permissions().mode() & 0o777), (written.bytes, 0o600));
    let again = admin.backup(&backup).await;
    assert!(matches!(again, Err(RestoreError::Exists(_))), "{again:?}");
    assert_eq!(others(&backend), ["backup.db"], "nothing is left beside it");

    let copy = Admin::open(&format!("sqlite://{}", backup.display()), backend.clock.clone()).await;
    let copy = copy.unwrap();
    assert_eq!(copy.check().await.unwrap().findings, []);
    let line = copy.group(&group).await.unwrap().unwrap().line;
    assert!(line.epoch >= 1 && line.epoch <= epoch, "{line:?}");
    assert_eq!(admin.check().await.unwrap().findings, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_backup_replaces_a_database_that_nobody_uses() {
    let backend = Backend::sqlite();
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let (phone, mallory) =
        (alice.sibling(&replica).await, Device::registered(&replica, "mallory").await);
    let group = new_group(&replica, &alice, Access::Roster).await;
    win(&replica, &alice, &group, &publish(&group, 0)).await;
    let admin = admin(&backend).await;
    let backup = place(&backend);
    admin.backup(&backup).await.unwrap();

    // What comes after the backup.
    win(&replica, &alice, &group, &publish(&group, 1)).await;
    alice
        .delete(&replica, &path::of_device(path::DEVICE, &phone.id))
        .await
        .json::<RevokeDevice>(200);
    admin.ban(&mallory.user).await.unwrap();
    admin.close().await;
    let used = put_back(&backend, &backup).await;
    assert!(matches!(used, Err(RestoreError::InUse(_))), "{used:?}");
    assert_eq!(page(&replica, &alice, &group).await.entries.len(), 2, "the service goes on");
    replica.state.close().await;

    let before = incarnation(&backend).await;
    let restored = put_back(&backend, &backup).await.unwrap();
    assert_eq!(restored.shut_out, Some(ShutOutAgain { devices: 1, users: 1 }));
    assert_ne!(incarnation(&backend).await, before);
    assert_eq!(incarnation(&backend).await, [7; 16]);
    assert_eq!(others(&backend), ["backup.db"]);

    let replica = backend.replica().await;
    assert_eq!(page(&replica, &alice, &group).await.entries.len(), 1);
    phone.get(&replica, path::MAILBOX).await.problem(ProblemKind::UnknownDevice);
    mallory.get(&replica, path::MAILBOX).await.problem(ProblemKind::Banned);
    assert_eq!(crate::backup::admin(&backend).await.check().await.unwrap().findings, []);
}

async fn incarnation(backend: &Backend) -> Vec<u8> {
    let pool = sqlx::AnyPool::connect(&backend.config.database).await.unwrap();
    let row = sqlx::query("SELECT incarnation FROM service").fetch_one(&pool).await.unwrap();
    let incarnation = sqlx::Row::get(&row, 0);
    pool.close().await;
    incarnation
}

/// A recovery key that was replaced since the backup is good for nothing: somebody else may have the paper.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_replaced_recovery_key_stays_replaced() {
    let backend = Backend::sqlite();
    let replica = backend.replica().await;
    let [alice, bob] = ["alice", "bob"].map(|user| Device::registered(&replica, user));
    let (alice, bob) = (alice.await, bob.await);
    let [old, new] = [(); 2].map(|()| Device::new("paper"));
    for device in [&alice, &bob] {
        crate::recovery::put(&replica, device, &old).await.done();
    }
    let admin = admin(&backend).await;
    let backup = place(&backend);
    admin.backup(&backup).await.unwrap();
    admin.close().await;
    crate::recovery::put(&replica, &alice, &new).await.done();
    bob.delete(&replica, path::RECOVERY_KEY).await.done();
    replica.state.close().await;
    put_back(&backend, &backup).await.unwrap();

    let replica = backend.replica().await;
    let key: RecoveryKeyView = alice.get(&replica, path::RECOVERY_KEY).await.json(200);
    assert_eq!(key.signature_key, Some(new.public_key().into()));
    let key: RecoveryKeyView = bob.get(&replica, path::RECOVERY_KEY).await.json(200);
    assert_eq!(key.signature_key, None);
}

/// The database that is replaced is of a version that knew no recovery keys: who was shut out there stays so.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_database_of_before_recovery_keys_is_replaced() {
    let backend = Backend::sqlite();
    let (alice, backup) = backed_up(&backend).await;
    let database = rusqlite::Connection::open(backend.folder.path().join("service.db")).unwrap();
    let statements =
        "UPDATE devices SET revoked_at = 1; ALTER TABLE users DROP COLUMN recovery_key;
                      DELETE FROM _sqlx_migrations WHERE version = 210";
    database.execute_batch(statements).unwrap();
    drop(database);
    let restored = put_back(&backend, &backup).await.unwrap();
    assert_eq!(restored.shut_out, Some(ShutOutAgain { devices: 1, users: 0 }));
    let replica = backend.replica().await;
    alice.get(&replica, path::MAILBOX).await.problem(ProblemKind::UnknownDevice);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_database_that_is_gone_is_restored() {
    let backend = Backend::sqlite();
    let (alice, backup) = backed_up(&backend).await;
    let database = backend.folder.path().join("service.db");
    for suffix in ["", "-wal", "-shm"] {
        let _may_not_be_there = fs::remove_file(format!("{}{suffix}", database.display()));
    }
    let restored = put_back(&backend, &backup).await.unwrap();
    assert_eq!(restored.shut_out, None);
    assert_eq!(fs::metadata(&database).unwrap().permissions().mode() & 0o777, 0o600);
    let replica = backend.replica().await;
    assert_eq!(alice.get(&replica, path::MAILBOX).await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_no_backup_replaces_nothing() {
    let backend = Backend::sqlite();
    let (alice, backup) = backed_up(&backend).await;

    let other = backend.folder.path().join("other.db");
    let missing = put_back(&backend, &other).await;
    assert!(matches!(missing, Err(RestoreError::Sqlite { .. })), "{missing:?}");
    assert!(!other.exists());
    fs::write(&other, "a letter").unwrap();
    let letter = put_back(&backend, &other).await;
    assert!(matches!(letter, Err(RestoreError::NoBackup(_))), "{letter:?}");
    fs::remove_file(&other).unwrap();
    rusqlite::Connection::open(&other).unwrap().execute_batch("CREATE TABLE users (id)").unwrap();
    let foreign = put_back(&backend, &other).await;
    assert!(matches!(foreign, Err(RestoreError::NoBackup(_))), "{foreign:?}");
    // A page in the middle is no longer what it was.
    let mut bytes = fs::read(&backup).unwrap();
    let middle = bytes.len() / 4096 / 2 * 4096;
    bytes[middle..middle + 4096].fill(0xff);
    fs::write(&other, bytes).unwrap();
    let damaged = put_back(&backend, &other).await;
    assert!(damaged.is_err(), "{damaged:?}");
    let left = others(&backend);
    assert_eq!(left, ["backup.db", "other.db"]);
    let partial = format!("{}.restoring", backend.folder.path().join("service.db").display());
    assert!(!Path::new(&partial).exists());
    // One that is at work is waited for.
    let at_work = fs::File::create(&partial).unwrap();
    at_work.lock().unwrap();
    let under_way = put_back(&backend, &backup).await;
    assert!(matches!(under_way, Err(RestoreError::UnderWay(_))), "{under_way:?}");
    drop(at_work);
    // A file that no killed one has left is not removed, and a backup does not replace itself.
    fs::write(&partial, "a letter").unwrap();
    let in_the_way = put_back(&backend, &backup).await;
    assert!(matches!(in_the_way, Err(RestoreError::InTheWay(_))), "{in_the_way:?}");
    assert_eq!(fs::read(&partial).unwrap(), b"a letter");
    fs::copy(&backup, &partial).unwrap();
    for itself in [Path::new(&partial), &backend.folder.path().join("service.db")] {
        let same = put_back(&backend, itself).await;
        assert!(matches!(same, Err(RestoreError::Same(_) | RestoreError::Itself(_))), "{same:?}");
        assert!(itself.exists());
    }

    let replica = backend.replica().await;
    assert_eq!(alice.get(&replica, path::MAILBOX).await.status, 200, "all is as it was");
    replica.state.close().await;

    // What a killed one has left stands in nobody's way, also if it is the database itself by another name.
    fs::remove_file(&partial).unwrap();
    let database = backend.folder.path().join("service.db");
    fs::hard_link(&database, &partial).unwrap();
    fs::write(format!("{partial}-journal"), "junk").unwrap();
    put_back(&backend, &backup).await.unwrap();
    assert!(!Path::new(&partial).exists() && !Path::new(&format!("{partial}-journal")).exists());
    let replica = backend.replica().await;
    assert_eq!(alice.get(&replica, path::MAILBOX).await.status, 200);
    replica.state.close().await;

    // A journal without its database would be read as one of the new one.
    fs::remove_file(&database).unwrap();
    let journal = format!("{}-wal", database.display());
    fs::write(&journal, "of before").unwrap();
    let leftover = put_back(&backend, &backup).await;
    assert!(matches!(leftover, Err(RestoreError::Leftover(_))), "{leftover:?}");
    assert!(!database.exists());
    fs::remove_file(&journal).unwrap();
    put_back(&backend, &backup).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_backup_that_does_not_fit_leaves_nothing() {
    let backend = Backend::sqlite();
    let replica = backend.replica().await;
    Device::registered(&replica, "alice").await;
    let admin = admin(&backend).await;
    let nowhere = backend.folder.path().join("no-folder").join("backup.db");
    let failed = admin.backup(&nowhere).await;
    assert!(matches!(failed, Err(RestoreError::Io { .. })), "{failed:?}");
    let Some(small) = Small::mount("64k") else { return };
    let full = small.folder.join("backup.db");
    let failed = admin.backup(&full).await.unwrap_err();
    assert!(matches!(&failed, RestoreError::Store(StoreError::Storage(..))), "{failed:?}");
    assert_eq!(fs::read_dir(&small.folder).unwrap().count(), 0);
    drop(replica);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn postgres_has_backups_of_its_own() {
    let Some(backend) = Backend::postgres() else { return };
    drop(backend.replica().await);
    let admin = admin(&backend).await;
    for failed in [
        admin.backup(&place(&backend)).await.map(drop),
        put_back(&backend, &place(&backend)).await.map(drop),
    ] {
        let Err(RestoreError::Store(error @ StoreError::SqliteOnly)) = failed else {
            panic!("{failed:?}");
        };
        assert!(error.to_string().contains("pg_dump"));
    }
    assert_eq!(others(&backend), [""; 0]);
}

/// However little room there is: the database is the old one or the restored one, and the same command works once
/// there is room.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_restore_that_does_not_fit_changes_nothing() {
    let Some(small) = Small::mount("16m") else { return };
    let mut backend = Backend::sqlite();
    backend.config.database = format!("sqlite://{}", small.folder.join("service.db").display());
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let group = new_group(&replica, &alice, Access::Roster).await;
    let messages = path::of_group(path::GROUP_MESSAGES, &group);
    for _ in 0..60 {
        let message = long_application(&group, 0, 16_000);
        assert_eq!(alice.post_mls(&replica, &messages, &message).await.status, 201);
    }
    let admin = admin(&backend).await;
    let backup = place(&backend);
    admin.backup(&backup).await.unwrap();
    admin.close().await;
    let message = application(&group, 0);
    assert_eq!(alice.post_mls(&replica, &messages, &message).await.status, 201);
    replica.state.close().await;

    let mut refused = 0;
    for free in (0..).step_by(128 << 10) {
        small.fill_but(free);
        let restored = put_back(&backend, &backup).await;
        small.empty();
        let left: Vec<_> = fs::read_dir(&small.folder).unwrap().map(|it| it.unwrap()).collect();
        let restoring = |name: &str| name.contains(".restoring") || name.ends_with("-journal");
        let left: Vec<_> = left.iter().map(|it| it.file_name().into_string().unwrap()).collect();
        assert!(!left.iter().any(|name| restoring(name)), "{left:?}");
        let replica = backend.replica().await;
        let head = page(&replica, &alice, &group).await.head;
        replica.state.close().await;
        assert_eq!(crate::backup::admin(&backend).await.check().await.unwrap().findings, []);
        match restored {
            Ok(_) => {
                assert_eq!(head, 60);
                break;
            }
            Err(RestoreError::Store(_) | RestoreError::Sqlite { .. } | RestoreError::Io { .. }) => {
                assert_eq!(head, 61, "with {free} bytes");
                refused += 1;
            }
            Err(error) => panic!("{error:?}"),
        }
    }
    assert!(refused > 4, "it was full at several places: {refused}");
}
