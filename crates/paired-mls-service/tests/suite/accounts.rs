//! Fifty accounts, half of them hidden pairings behind one leaf, and half of users with one device, two or three: who can
//! tell which are which? A member of their groups cannot. Whoever asks the directory for an account's keys and for KeyPackages of
//! each, and who reads the database, can.

use paired_mls_api::{
    CreateGroup, KeyPackageUpload, LogPage, MailboxPage, PublishCommit, RosterChange, UserView,
    path,
};
use sqlx::{AnyPool, Row as _};

use crate::{
    backend::{Backend, Replica, on_both},
    device::Device,
    member::Member,
    messages::*,
    trace::{Sent, group_of_two, ordinary_commit, paired_commit},
};

on_both!(who_can_tell_a_hidden_leaf);

const ACCOUNTS: usize = 50;

/// What an account is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Two devices behind one leaf, whose key is registered as a further one.
    Hidden,
    /// As many devices, each with a leaf of its own.
    Plain(usize),
}

struct Account {
    kind: Kind,
    devices: Vec<Device>,
}

impl Kind {
    fn of(number: usize) -> Self {
        match number % 6 {
            0 | 2 | 4 => Self::Hidden,
            1 => Self::Plain(1),
            3 => Self::Plain(2),
            _ => Self::Plain(3),
        }
    }
}

async fn offer(replica: &Replica, device: &Device) {
    let member = Member::of(device);
    let packages = (0..3).map(|_| {
        let message = openmls::prelude::MlsMessageOut::from(member.key_package());
        message.to_bytes().unwrap().into()
    });
    let upload = KeyPackageUpload { key_packages: packages.collect(), last_resort: Vec::new() };
    let answer = device.post(replica, path::KEY_PACKAGES, &upload).await;
    assert!(answer.status.is_success(), "{}", String::from_utf8_lossy(&answer.body));
}

/// Fetches what there is, as `sync` does.
async fn sync(replica: &Replica, device: &Device, group: &paired_mls_api::GroupId) {
    let log = path::of_group(path::GROUP_MESSAGES, group);
    let page: LogPage = device.get(replica, &log).await.json(200);
    assert_eq!(device.get(replica, &format!("{log}?after={}", page.head)).await.status, 200);
    let page: MailboxPage = device.get(replica, path::MAILBOX).await.json(200);
    if let Some(last) = page.items.last() {
        let through = format!("{}?through={}", path::MAILBOX, last.position);
        device.delete(replica, &through).await.done();
    }
}

/// An account with ordinary use: its devices offer KeyPackages, one of them creates a group with Carol, commits, and all fetch.
/// What the leaf of a hidden pairing sends is a real commit with its Notify.
async fn account(replica: &Replica, number: usize, carol: &Device) -> Account {
    let kind = Kind::of(number);
    let first = Device::registered(replica, &format!("user{number:02}")).await;
    offer(replica, &first).await;
    let mut devices = vec![first.clone()];
    let further = match kind {
        Kind::Hidden => 1,
        Kind::Plain(devices) => devices - 1,
    };
    for _ in 0..further {
        let device = first.sibling(replica).await;
        offer(replica, &device).await;
        devices.push(device);
    }
    let sent: Sent = match kind {
        Kind::Plain(_) => ordinary_commit(&first),
        Kind::Hidden => {
            let leaf = first.sibling(replica).await;
            for device in &devices {
                assert!(device.delete(replica, path::KEY_PACKAGES).await.status.is_success());
            }
            offer(replica, &leaf).await;
            let sent = paired_commit(&leaf);
            devices.push(leaf);
            sent
        }
    };
    let group = group_of_two(&first.user);
    let create = CreateGroup {
        group: group.clone(),
        epoch: 1,
        access: Default::default(),
        group_info: None,
    };
    assert_eq!(first.post(replica, path::GROUPS, &create).await.status, 201);
    let account_envelope = match &sent.notify {
        Some(notify) => envelope(notify),
        None => cover(&sent.commit),
    };
    let publish = PublishCommit {
        account_envelope,
        commit: sent.commit.into(),
        roster: RosterChange { add: vec![carol.user.clone()], remove: Vec::new() },
        ..publish(&group, 1)
    };
    win(replica, &first, &group, &publish).await;
    let fetch = match kind {
        Kind::Hidden => devices.len() - 1,
        Kind::Plain(_) => devices.len(),
    };
    for device in devices.iter().take(fetch) {
        sync(replica, device, &group).await;
    }
    sync(replica, carol, &group).await;
    Account { kind, devices }
}

impl Account {
    fn user(&self) -> &paired_mls_api::UserId {
        &self.devices[0].user
    }

    /// All that Carol, a member, is told of the group and its log: everything but random bytes.
    async fn in_the_group(&self, replica: &Replica, carol: &Device) -> String {
        let group = group_of_two(self.user());
        let at = |pattern| path::of_group(pattern, &group);
        let view = carol.get(replica, &at(path::GROUP)).await;
        let log = carol.get(replica, &at(path::GROUP_MESSAGES)).await.json::<LogPage>(200);
        let info = carol.get(replica, &at(path::GROUP_INFO)).await;
        let entries = log.entries.iter();
        let entries: Vec<_> = entries
            .map(|entry| (entry.position, entry.epoch, entry.kind, shape(&entry.message.0)))
            .collect();
        let view = String::from_utf8(view.body).unwrap().replace(&group.to_string(), "group");
        format!("{view} {entries:?} {} {}", log.head, info.status)
    }

    /// A stranger asks the directory for the keys of the user, and for a KeyPackage of each.
    async fn in_the_directory(&self, replica: &Replica, stranger: &Device) -> (usize, usize) {
        let page = path::of_user(self.user());
        let view: UserView = stranger.get(replica, &page).await.json(200);
        let mut offering = 0;
        for device in &view.devices {
            let claim = path::of_device(path::DEVICE_KEY_PACKAGE, &device.device);
            let claim = format!("{claim}?suite=1");
            let answer = stranger.send(replica, "POST", &claim, "", Vec::new()).await;
            match answer.status.as_u16() {
                200 => offering += 1,
                404 => {}
                _ => panic!("{}", String::from_utf8_lossy(&answer.body)),
            }
        }
        (view.devices.len(), offering)
    }
}

/// The length of a message, and its bytes that are no keys, signatures or ciphertexts: its head, up to the epoch.
fn shape(message: &[u8]) -> (usize, Vec<u8>) {
    let head = 4 + 1 + 32 + 8;
    let mut start = message[..head].to_vec();
    // The id of the group is its creator's.
    start.drain(5..37);
    (message.len(), start)
}

/// What the database has of an account: for each of its keys, whether it offers KeyPackages, whether it reads a log, and how
/// many items lie in its mailbox, in an order that says nothing.
async fn in_the_database(pool: &AnyPool, account: &Account) -> Vec<(i64, i64, i64)> {
    let rows = sqlx::query(
        "SELECT (SELECT COUNT(*) FROM key_packages k WHERE k.device_id = d.device_id),
             (SELECT COUNT(*) FROM readers r WHERE r.device_id = d.device_id),
             (SELECT COUNT(*) FROM mailbox m WHERE m.device_id = d.device_id)
         FROM devices d WHERE d.user_id = $1",
    )
    .bind(account.user().as_bytes())
    .fetch_all(pool)
    .await
    .unwrap();
    let mut keys: Vec<_> = rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect();
    keys.sort_unstable();
    keys
}

/// What the database has of the account's group, by lengths: the parts in which a hidden pairing leaves nothing.
async fn log_in_the_database(pool: &AnyPool, account: &Account) -> Vec<String> {
    let group = group_of_two(account.user());
    let rows = sqlx::query(
        "SELECT CAST(g.epoch AS BIGINT), CAST(g.head AS BIGINT), CAST(l.position AS BIGINT), l.kind,
             CAST(LENGTH(l.message) AS BIGINT),
             (SELECT COUNT(*) FROM roster r WHERE r.group_id = g.group_id)
         FROM groups g JOIN log l ON l.group_id = g.group_id WHERE g.group_id = $1",
    )
    .bind(group.as_bytes())
    .fetch_all(pool)
    .await
    .unwrap();
    let number = |row: &sqlx::any::AnyRow, at| row.get::<i64, _>(at).to_string();
    let show = |row: &sqlx::any::AnyRow| {
        let numbers = [0, 1, 2, 4, 5].map(|at| number(row, at));
        format!("{} {}", numbers.join(" "), row.get::<String, _>(3))
    };
    rows.iter().map(show).collect()
}

async fn who_can_tell_a_hidden_leaf(backend: Backend) {
    let replica = backend.replica().await;
    let carol = Device::registered(&replica, "carol").await;
    let stranger = Device::registered(&replica, "stranger").await;
    let mut accounts = Vec::new();
    for number in 0..ACCOUNTS {
        accounts.push(account(&replica, number, &carol).await);
    }
    let hidden = accounts.iter().filter(|account| account.kind == Kind::Hidden).count();
    assert_eq!(hidden, ACCOUNTS / 2);
    // How far devices have read is written with the sweep.
    replica.state.sweep().await.unwrap();
    let pool = AnyPool::connect(&backend.config.database).await.unwrap();

    // A member of the group, and who has the database but looks at groups and logs only, sees the same of all fifty: so
    // whatever is made of it, the answer for each is the same.
    let (mut members, mut logs) = (Vec::new(), Vec::new());
    for account in &accounts {
        members.push(account.in_the_group(&replica, &carol).await);
        logs.push(log_in_the_database(&pool, account).await);
    }
    assert!(members.iter().all(|seen| *seen == members[0]), "{members:#?}");
    assert!(logs.iter().all(|seen| *seen == logs[0]), "{logs:#?}");
    assert_eq!(logs[0].len(), 1);

    for account in &accounts {
        // The keys alone tell little: users of three devices have as many.
        let (keys, offering) = account.in_the_directory(&replica, &stranger).await;
        let expected = match account.kind {
            Kind::Hidden => (3, 1),
            Kind::Plain(devices) => (devices, devices),
        };
        assert_eq!((keys, offering), expected);
        // But who asks for KeyPackages of each can tell all fifty.
        assert_eq!(keys == 3 && offering == 1, account.kind == Kind::Hidden);
        // So can who has the database, by any of these: one key offers, and it never reads a log, and what comes to its
        // mailbox stays there.
        let keys = in_the_database(&pool, account).await;
        let offers = keys.iter().filter(|(packages, ..)| *packages > 0).count();
        let silent = keys.iter().any(|(packages, reads, _)| *packages > 0 && *reads == 0);
        let unfetched = keys.iter().any(|(.., items)| *items > 0);
        for tells in [offers < keys.len(), silent, unfetched] {
            assert_eq!(tells, account.kind == Kind::Hidden, "{keys:?}");
        }
    }
}
