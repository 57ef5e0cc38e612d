//! What an operator does beside a service that runs.

use paired_mls_api::{
    Access, DeviceId, GroupId, LogPage, ProblemKind, RevokeDevice, SignatureScheme, path,
};
use paired_mls_service::{Admin, Clock as _, Finding, KeyPackages, OldDevices, StoreError, Unread};
use sqlx::Row as _;

use crate::{
    backend::{Backend, Replica, on_both},
    device::Device,
    messages::*,
    recovery::put,
    subscriptions::Reader,
};

on_both!(
    a_banned_user_is_refused_until_it_is_let_in_again,
    a_ban_ends_subscriptions,
    a_user_without_devices_is_freed,
    a_revoked_device_is_shut_out,
    what_is_deleted_leaves_nothing,
    a_deletion_that_was_interrupted_goes_on,
    a_rolled_back_log_is_noticed_and_not_pruned_too_early,
    lists_come_in_pages,
    what_is_not_there_is_said,
    a_check_finds_what_is_wrong,
    a_check_names_keys_for_which_anybody_can_sign,
    a_restored_database_is_marked,
);

async fn admin(backend: &Backend) -> Admin {
    Admin::open(&backend.config.database, backend.clock.clone()).await.unwrap()
}

async fn sql(backend: &Backend, statement: &'static str) {
    let pool = sqlx::AnyPool::connect(&backend.config.database).await.unwrap();
    sqlx::query(statement).execute(&pool).await.unwrap();
    pool.close().await;
}

async fn count(backend: &Backend, query: String) -> i64 {
    let pool = sqlx::AnyPool::connect(&backend.config.database).await.unwrap();
    let row = sqlx::query(sqlx::AssertSqlSafe(query)).fetch_one(&pool).await.unwrap();
    let count = row.get(0);
    pool.close().await;
    count
}

async fn rows(backend: &Backend, table: &str) -> i64 {
    count(backend, format!("SELECT COUNT(*) FROM {table}")).await
}

async fn say(replica: &Replica, who: &Device, group: &GroupId, epoch: u64) -> u16 {
    let messages = path::of_group(path::GROUP_MESSAGES, group);
    who.post_mls(replica, &messages, &application(group, epoch)).await.status.as_u16()
}

async fn post(replica: &Replica, from: &Device, to: &Device) {
    let mailbox = path::of_device(path::DEVICE_MAILBOX, &to.id);
    let octets = "application/octet-stream";
    from.send(replica, "POST", &mailbox, octets, envelope(b"letter").0).await.done();
}

/// Gives a device a KeyPackage that can be claimed once.
async fn publish_package(backend: &Backend, device: &Device, digest: &[u8]) {
    let pool = sqlx::AnyPool::connect(&backend.config.database).await.unwrap();
    sqlx::query(
        "INSERT INTO key_packages (digest, device_id, suite, last_resort, not_after, key_package, not_before)
         VALUES ($1, $2, 1, 0, $3, $1, 0)",
    )
    .bind(digest)
    .bind(device.id.as_bytes())
    .bind(i64::MAX)
    .execute(&pool)
    .await
    .unwrap();
    pool.close().await;
}

async fn a_banned_user_is_refused_until_it_is_let_in_again(backend: Backend) {
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let phone = alice.sibling(&replica).await;
    let bob = Device::registered(&replica, "bob").await;
    let waiting = Device { user: alice.user.clone(), ..Device::new("alice") };
    let approval = paired_mls_api::Approval { device: waiting.id.clone() };
    alice.post(&replica, path::APPROVALS, &approval).await.done();
    let group = new_group(&replica, &alice, Access::Roster).await;

    let admin = admin(&backend).await;
    assert!(admin.ban(&alice.user).await.unwrap());
    assert!(admin.ban(&alice.user).await.unwrap(), "again changes nothing");
    for device in [&alice, &phone] {
        device.get(&replica, path::MAILBOX).await.problem(ProblemKind::Banned);
        device.delete(&replica, path::MAILBOX).await.problem(ProblemKind::Banned);
        device.register(&replica).await.problem(ProblemKind::Banned);
    }
    waiting.register(&replica).await.problem(ProblemKind::Banned);
    assert_eq!(say(&replica, &alice, &group, 0).await, 403);
    assert_eq!(bob.get(&replica, path::MAILBOX).await.status, 200);
    let shown = admin.user(&alice.user).await.unwrap().unwrap();
    assert_eq!(shown.line.banned_at, Some(backend.clock.now()));

    assert!(admin.unban(&alice.user).await.unwrap());
    assert_eq!(say(&replica, &alice, &group, 0).await, 201);
    assert_eq!(waiting.register(&replica).await.status, 201);
}

async fn a_ban_ends_subscriptions(backend: Backend) {
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let group = new_group(&replica, &alice, Access::Roster).await;
    let mut log = Reader::log(&replica, &alice, &group, 0).await;
    assert_eq!(say(&replica, &alice, &group, 0).await, 201);
    assert!(log.next().await.is_some());
    admin(&backend).await.ban(&alice.user).await.unwrap();
    assert!(log.next().await.is_none());
}

async fn a_user_without_devices_is_freed(backend: Backend) {
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let phone = alice.sibling(&replica).await;
    alice
        .delete(&replica, &path::of_device(path::DEVICE, &phone.id))
        .await
        .json::<RevokeDevice>(200);
    let new = Device::new("alice");
    new.register(&replica).await.problem(ProblemKind::NotApproved);

    let admin = admin(&backend).await;
    let freed = admin.free(&alice.user, &new.id, OldDevices::Revoked).await.unwrap();
    assert_eq!(freed, Some(1), "the one that was revoked before is not counted");
    let approvals = admin.approvals(Some(&alice.user)).await.unwrap();
    assert_eq!((approvals.len(), &approvals[0].approval.approved_by), (1, &None));
    alice.get(&replica, path::MAILBOX).await.problem(ProblemKind::UnknownDevice);
    // Nobody else comes in by it.
    Device::new("alice").register(&replica).await.problem(ProblemKind::NotApproved);
    assert_eq!(new.register(&replica).await.status, 201);
    assert_eq!(new.get(&replica, path::MAILBOX).await.status, 200);
    // It is good for a day, and once.
    let late = Device::new("alice");
    assert_eq!(admin.free(&alice.user, &late.id, OldDevices::Kept).await.unwrap(), Some(0));
    backend.clock.forward(24 * 60 * 60 + 1);
    late.register(&replica).await.problem(ProblemKind::NotApproved);
    assert_eq!(new.get(&replica, path::MAILBOX).await.status, 200);
}

async fn a_revoked_device_is_shut_out(backend: Backend) {
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    post(&replica, &alice, &alice).await;
    let admin = admin(&backend).await;
    let at = admin.revoke(&alice.id).await.unwrap();
    assert_eq!(at, Some(backend.clock.now()));
    alice.get(&replica, path::MAILBOX).await.problem(ProblemKind::UnknownDevice);
    alice.register(&replica).await.problem(ProblemKind::UnknownDevice);
    assert_eq!(rows(&backend, "mailbox").await, 0);
    assert_eq!(admin.device(&alice.id).await.unwrap().unwrap().revoked_at, at);
}

async fn what_is_deleted_leaves_nothing(backend: Backend) {
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let phone = alice.sibling(&replica).await;
    let bob = Device::registered(&replica, "bob").await;
    let (own, shared) = (
        new_group(&replica, &alice, Access::Roster).await,
        new_group(&replica, &alice, Access::Roster).await,
    );
    win(&replica, &alice, &own, &publish(&own, 0)).await;
    win(&replica, &alice, &shared, &adding(&shared, 0, &[&bob])).await;
    for (device, group) in [(&alice, &own), (&phone, &own), (&alice, &shared), (&bob, &shared)] {
        let messages = format!("{}?after=1", path::of_group(path::GROUP_MESSAGES, group));
        device.get(&replica, &messages).await.json::<LogPage>(200);
    }
    replica.state.sweep().await.unwrap();
    post(&replica, &bob, &phone).await;
    publish_package(&backend, &alice, b"package").await;
    let approval = paired_mls_api::Approval { device: Device::new("alice").id };
    alice.post(&replica, path::APPROVALS, &approval).await.done();
    for (table, least) in [("readers", 4), ("log_days", 2), ("approvals", 1), ("key_packages", 1)] {
        assert!(rows(&backend, table).await >= least, "{table}");
    }

    let admin = admin(&backend).await;
    assert_eq!(admin.groups_alone(&alice.user).await.unwrap(), std::slice::from_ref(&own));
    let deleted = admin.delete_user(&alice.user).await.unwrap().unwrap();
    assert_eq!((deleted.devices, deleted.groups, deleted.entries), (2, 1, 1));
    assert_eq!(admin.user(&alice.user).await.unwrap(), None);
    for (table, left) in
        [("users", 1), ("devices", 1), ("groups", 1), ("roster", 1), ("log", 1), ("readers", 1)]
    {
        assert_eq!(rows(&backend, table).await, left, "{table}");
    }
    for table in ["approvals", "key_packages"] {
        assert_eq!(rows(&backend, table).await, 0, "{table}");
    }
    alice.get(&replica, path::MAILBOX).await.problem(ProblemKind::UnknownDevice);
    assert_eq!(admin.check().await.unwrap().findings, []);
    // The others go on, and the name is free.
    assert_eq!(say(&replica, &bob, &shared, 1).await, 201);
    assert_eq!(Device::new("alice").register(&replica).await.status, 201);

    let deleted = admin.delete_group(&shared).await.unwrap().unwrap();
    assert_eq!((deleted.groups, deleted.entries), (1, 2));
    bob.get(&replica, &path::of_group(path::GROUP, &shared)).await.problem(ProblemKind::NotFound);
    for table in ["groups", "roster", "log", "readers", "log_days"] {
        assert_eq!(rows(&backend, table).await, 0, "{table}");
    }
    assert!(admin.delete_device(&bob.id).await.unwrap());
    assert_eq!(rows(&backend, "devices").await, 1);
    assert_eq!(admin.check().await.unwrap().findings, []);
}

async fn a_deletion_that_was_interrupted_goes_on(backend: Backend) {
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let group = new_group(&replica, &alice, Access::Roster).await;
    win(&replica, &alice, &group, &publish(&group, 0)).await;
    // Its first step was done.
    sql(&backend, "DELETE FROM roster").await;
    let admin = admin(&backend).await;
    let findings = admin.check().await.unwrap().findings;
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert!(findings[0].next.contains(&format!("pmls admin delete group {group}")), "{findings:?}");
    assert_eq!(admin.delete_group(&group).await.unwrap().unwrap().entries, 1);
    assert_eq!(admin.check().await.unwrap().findings, []);
}

async fn a_rolled_back_log_is_noticed_and_not_pruned_too_early(backend: Backend) {
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let bob = Device::registered(&replica, "bob").await;
    let group = new_group(&replica, &alice, Access::Roster).await;
    win(&replica, &alice, &group, &adding(&group, 0, &[&bob])).await;
    for epoch in 1..4 {
        win(&replica, &alice, &group, &publish(&group, epoch)).await;
    }
    let page = async |device: &Device, after: u64| {
        let path = format!("{}?after={after}", path::of_group(path::GROUP_MESSAGES, &group));
        device.get(&replica, &path).await
    };
    let before: LogPage = page(&alice, 0).await.json(200);
    for device in [&alice, &bob] {
        page(device, 4).await.json::<LogPage>(200);
    }
    replica.state.sweep().await.unwrap();

    let admin = admin(&backend).await;
    let rolled = admin.roll_back(&group, 2).await.unwrap().unwrap();
    assert_eq!((rolled.epoch, rolled.head, rolled.entries), (2, 2, 2));
    assert_eq!(admin.check().await.unwrap().findings, []);
    // Who has followed what is gone is told now, and when positions have grown again.
    page(&bob, 4).await.problem(ProblemKind::Beyond);
    for epoch in 2..5 {
        win(&replica, &alice, &group, &publish(&group, epoch)).await;
    }
    let after: LogPage = page(&bob, 4).await.json(200);
    assert_ne!(after.chain, before.entries[3].chain);
    // Who has not, goes on.
    assert_eq!(page(&bob, 2).await.json::<LogPage>(200).chain, before.entries[1].chain);
    // The new entries are read by nobody.
    replica.state.sweep().await.unwrap();
    sql(&backend, "UPDATE readers SET read_through = 2").await;
    assert_eq!(admin.prune(&group, 4, Unread::Kept).await.unwrap(), 2);
    assert_eq!(admin.roll_back(&group, 1).await.unwrap(), None, "that is gone");
    assert_eq!(admin.check().await.unwrap().findings, []);
}

async fn lists_come_in_pages(backend: Backend) {
    let replica = backend.replica().await;
    for user in ["alice", "bob", "carol"] {
        let device = Device::registered(&replica, user).await;
        new_group(&replica, &device, Access::Roster).await;
    }
    let admin = admin(&backend).await;
    let mut names = Vec::new();
    let mut after = None;
    while let Some(line) = admin.users(after.as_ref(), 1).await.unwrap().pop() {
        names.push(String::from_utf8(line.user.as_bytes().to_vec()).unwrap());
        after = Some(line.user);
    }
    assert_eq!(names, ["alice", "bob", "carol"]);
    let first = admin.groups(None, 2).await.unwrap();
    let rest = admin.groups(Some(&first[1].group), 2).await.unwrap();
    assert_eq!((first.len(), rest.len()), (2, 1));
    let all = admin.devices(None, None, 1000).await.unwrap();
    assert_eq!(all.len(), 3);
    assert_eq!(admin.devices(None, Some(&all[0].device), 1000).await.unwrap(), all[1..]);
    assert_eq!(admin.devices(Some(&all[0].user), None, 1000).await.unwrap(), all[..1]);
}

async fn what_is_not_there_is_said(backend: Backend) {
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let group = new_group(&replica, &alice, Access::Roster).await;
    let (nobody, unknown) = (Device::new("nobody"), GroupId::new(*b"unknown").unwrap());
    let admin = admin(&backend).await;
    assert!(!admin.ban(&nobody.user).await.unwrap());
    assert!(!admin.unban(&nobody.user).await.unwrap());
    assert_eq!(admin.free(&nobody.user, &nobody.id, OldDevices::Revoked).await.unwrap(), None);
    assert_eq!(admin.revoke(&nobody.id).await.unwrap(), None);
    assert_eq!(admin.delete_user(&nobody.user).await.unwrap(), None);
    assert!(!admin.delete_device(&nobody.id).await.unwrap());
    assert_eq!(admin.delete_group(&unknown).await.unwrap(), None);
    assert!(!admin.delete_approval(&alice.user, &nobody.id).await.unwrap());
    assert_eq!(admin.reopen(&unknown).await.unwrap(), None);
    assert_eq!(admin.roll_back(&group, 1).await.unwrap(), None);
    // A name that nobody has is not taken by any of this.
    assert_eq!(nobody.register(&replica).await.status, 201);
}

async fn a_check_finds_what_is_wrong(backend: Backend) {
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let group = new_group(&replica, &alice, Access::Roster).await;
    for epoch in 0..4 {
        win(&replica, &alice, &group, &publish(&group, epoch)).await;
        assert_eq!(say(&replica, &alice, &group, epoch + 1).await, 201);
    }
    replica.state.sweep().await.unwrap();
    let admin = admin(&backend).await;
    let checked = admin.check().await.unwrap();
    assert_eq!((checked.groups, checked.entries, checked.devices), (1, 8, 1));
    assert_eq!(checked.findings, []);

    // Each is mended by what the finding says, or undone here.
    let roll_back = |position: u64| format!("pmls admin roll-back {group} {position} --yes");
    for (harm, what, next, undo) in [
        (
            "UPDATE groups SET group_info_epoch = epoch + 1, group_info = group_id",
            "GroupInfo of an epoch",
            roll_back(8),
            None,
        ),
        (
            "UPDATE roster SET joined_at = 99",
            "behind the end of its log",
            roll_back(8),
            Some("UPDATE roster SET joined_at = 0"),
        ),
        (
            "INSERT INTO readers (group_id, device_id, read_through)
             SELECT g.group_id, d.device_id, 99 FROM groups g, devices d",
            "devices that have read behind",
            roll_back(8),
            None,
        ),
        (
            "INSERT INTO log_days (group_id, day, head) SELECT group_id, 1, 99 FROM groups",
            "days on which its log ended",
            roll_back(8),
            None,
        ),
        (
            "UPDATE groups SET epoch = 9",
            "epoch that the group cannot",
            roll_back(7),
            Some("UPDATE groups SET epoch = 4"),
        ),
        (
            "UPDATE log SET epoch = 1 WHERE position = 7",
            "hash of the log",
            roll_back(6),
            Some("UPDATE log SET epoch = 3 WHERE position = 7"),
        ),
        (
            "UPDATE log SET message = group_id WHERE position = 6",
            "that of its message",
            roll_back(5),
            None,
        ),
    ] {
        sql(&backend, harm).await;
        let findings = admin.check().await.unwrap().findings;
        let found = findings.iter().find(|finding| finding.what.contains(what));
        let found = found.unwrap_or_else(|| panic!("{harm}: {findings:?}"));
        assert!(found.next.contains(&next), "{harm}: {found:?}");
        match undo {
            Some(undo) => sql(&backend, undo).await,
            None => {
                let position = next.split(' ').nth(4).unwrap().parse().unwrap();
                admin.roll_back(&group, position).await.unwrap().unwrap();
            }
        }
        assert_eq!(admin.check().await.unwrap().findings, [], "{harm}");
    }
    sql(&backend, "DELETE FROM log WHERE position = 3").await;
    let findings = admin.check().await.unwrap().findings;
    assert!(findings.iter().any(|finding| finding.what.contains("is missing")), "{findings:?}");
    assert!(findings.iter().any(|finding| finding.next.contains(&roll_back(2))), "{findings:?}");
    let rolled = admin.roll_back(&group, 2).await.unwrap().unwrap();
    assert_eq!((rolled.epoch, rolled.head), (1, 2));
    sql(&backend, "DELETE FROM log WHERE position = 2").await;
    let findings = admin.check().await.unwrap().findings;
    assert!(findings.iter().any(|finding| finding.next.contains(&roll_back(1))), "{findings:?}");
    admin.roll_back(&group, 1).await.unwrap().unwrap();
    assert_eq!(admin.check().await.unwrap().findings, []);

    sql(&backend, "UPDATE devices SET revoked_at = 1").await;
    publish_package(&backend, &alice, b"package").await;
    sql(&backend, "UPDATE devices SET signature_key = device_id WHERE revoked_at = 1").await;
    let findings = admin.check().await.unwrap().findings;
    assert!(findings.iter().any(|finding| finding.what.contains("revoked device")), "{findings:?}");
    assert!(findings.iter().any(|finding| finding.what.contains("another key")), "{findings:?}");
    admin.delete_device(&alice.id).await.unwrap();
    assert_eq!(admin.check().await.unwrap().findings, []);
}

/// What was stored before such keys were refused.
async fn a_check_names_keys_for_which_anybody_can_sign(backend: Backend) {
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let mut neutral = [0; 32];
    neutral[0] = 1;
    let weak = DeviceId::of_key(SignatureScheme::Ed25519, &neutral);
    let pool = sqlx::AnyPool::connect(&backend.config.database).await.unwrap();
    let (neutral, user) = (neutral.as_slice(), alice.user.as_bytes());
    let device = "INSERT INTO devices (device_id, user_id, scheme, signature_key)
                  VALUES ($1, $2, 'ed25519', $3)";
    let device = sqlx::query(device).bind(weak.as_bytes()).bind(user).bind(neutral);
    let key = "UPDATE users SET recovery_key = $1 WHERE user_id = $2";
    let key = sqlx::query(key).bind(neutral).bind(user);
    let ended = "INSERT INTO ended (subject, forget_day, recovery_key) VALUES ($1, 1, $2)";
    let ended = sqlx::query(ended).bind(b"ended".as_slice()).bind(neutral);
    for stored in [device, key, ended] {
        assert_eq!(stored.execute(&pool).await.unwrap().rows_affected(), 1);
    }
    let admin = admin(&backend).await;
    let checked = admin.check().await.unwrap();
    assert_eq!(checked.devices, 2);
    let told = |what: &str, next: &str| {
        let is = |finding: &&Finding| finding.what.contains(what) && finding.next.contains(next);
        let found = checked.findings.iter().find(is);
        let found = found.unwrap_or_else(|| panic!("{what}: {:?}", checked.findings));
        assert!(found.what.contains("anybody can sign"), "{found:?}");
    };
    told(&format!("the device {weak}"), &format!("pmls admin revoke {weak}"));
    told("the user alice", "pmls device recovery-key --replace");
    told("1 users that have ended", "pmls admin free");
    assert_eq!(checked.findings.len(), 3);

    // What the findings say mends them.
    admin.revoke(&weak).await.unwrap().unwrap();
    put(&replica, &alice, &Device::new("paper")).await.done();
    sqlx::query("DELETE FROM ended").execute(&pool).await.unwrap();
    assert_eq!(admin.check().await.unwrap().findings, []);
    pool.close().await;
}

async fn a_restored_database_is_marked(backend: Backend) {
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    publish_package(&backend, &alice, b"package").await;
    let approval = paired_mls_api::Approval { device: Device::new("alice").id };
    alice.post(&replica, path::APPROVALS, &approval).await.done();
    let admin = admin(&backend).await;
    let kept = admin.mark_restored(KeyPackages::Kept, [1; 16]).await.unwrap();
    assert_eq!((kept.key_packages, kept.approvals), (0, 1));
    let dropped = admin.mark_restored(KeyPackages::Dropped, [2; 16]).await.unwrap();
    assert_eq!((dropped.key_packages, dropped.approvals), (1, 0));
    let new = count(&backend, "SELECT COUNT(*) FROM service WHERE touched = 2".to_owned()).await;
    assert_eq!(new, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mistyped_database_is_not_made() {
    let backend = Backend::sqlite();
    let opened = Admin::open(&backend.config.database, backend.clock.clone()).await;
    assert!(matches!(opened, Err(StoreError::NoDatabase { .. })), "{opened:?}");
    assert!(!backend.folder.path().join("service.db").exists());
    std::fs::write(backend.folder.path().join("service.db"), "a letter, not a database").unwrap();
    let opened = Admin::open(&backend.config.database, backend.clock.clone()).await;
    assert!(matches!(opened, Err(StoreError::NotOurs)), "{opened:?}");
}
