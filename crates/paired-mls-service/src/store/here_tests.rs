//! Short reads that do without the driver, and those that do not.

use paired_mls_api::{Access, DeviceId, GroupId, SignatureScheme, UserId};
use rusqlite::{Connection, StatementStatus};

use super::{
    Anchoring, DeviceById, GroupById, ItemsAfter, Letter, LetterKind, MailboxHead, OpenGroup, Post,
    RevokeDevice, Sizes, Standing, Store, TakeDevice,
    here::{Here, ROWS},
    lease_tests::{Add, Then, store},
    lookup::Lookup,
};

struct Alice {
    user: UserId,
    device: DeviceId,
}

impl Alice {
    fn new() -> Self {
        Self { user: UserId::new(*b"alice").unwrap(), device: DeviceId::new([7; 32]).unwrap() }
    }

    async fn register(&self, store: &Store) {
        let taken = TakeDevice {
            user: &self.user,
            device: &self.device,
            scheme: SignatureScheme::Ed25519,
            signature_key: &[8; 32],
            limit: 10,
            now: 1,
        };
        store.run(&taken).await.unwrap();
    }

    async fn post(&self, store: &Store) {
        let letter = Letter {
            recipient: self.device.clone(),
            envelope: &[1, 2, 3],
            kind: LetterKind::Other,
            limit: 1000,
            bytes: 1 << 20,
            at: 1,
            expires_at: 1000,
        };
        store.run(&Post { from: &self.user, letter }).await.unwrap().unwrap();
    }
}

fn here(store: &Store) -> &Here {
    store.here.as_ref().unwrap()
}

#[tokio::test]
async fn what_is_written_is_seen_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let (store, alice) = (store(&folder).await, Alice::new());
    let device = || here(&store).look(&DeviceById(&alice.device)).unwrap();
    assert!(device().is_none());
    alice.register(&store).await;
    let found = device().unwrap();
    assert_eq!((&found.user, &found.device), (&alice.user, &alice.device));
    assert_eq!(found.signature_key, [8; 32]);
    assert_eq!((found.revoked_at, found.banned_at), (None, None));
    let Alice { user, device: id } = &alice;
    store.run(&RevokeDevice { user, device: id, now: 17 }).await.unwrap();
    assert_eq!(device().unwrap().revoked_at, Some(17));
    // Also what another process writes.
    let other = Connection::open(folder.path().join("service.db")).unwrap();
    other.execute("UPDATE users SET banned_at = 18", []).unwrap();
    assert_eq!(device().unwrap().banned_at, Some(18));
}

#[tokio::test]
async fn keys_are_found_by_their_number() {
    let folder = tempfile::tempdir().unwrap();
    let (store, alice) = (store(&folder).await, Alice::new());
    alice.register(&store).await;
    for _ in 0..3 {
        alice.post(&store).await;
    }
    let head = here(&store).look(&MailboxHead(&alice.device)).unwrap();
    let items = |after, through, limit| ItemsAfter { device: &alice.device, after, through, limit };
    let sizes = |items: ItemsAfter<'_>| here(&store).look(&Sizes(items)).unwrap();
    let positions =
        |items: ItemsAfter<'_>| sizes(items).iter().map(|size| size.position).collect::<Vec<_>>();
    assert_eq!(positions(items(0, u64::MAX, 9)), [head - 2, head - 1, head]);
    assert_eq!(positions(items(head - 2, head - 1, 9)), [head - 1]);
    assert_eq!(positions(items(head - 3, u64::MAX, 2)), [head - 2, head - 1]);
    assert_eq!(sizes(items(head - 1, u64::MAX, 9)).first().unwrap().bytes, 3);
    // The second comes first in this statement.
    let group = GroupId::new([9; 32]).unwrap();
    let (user, access) = (&alice.user, Access::Roster);
    let anchoring = Anchoring::Claimed;
    let open = OpenGroup { group: &group, user, epoch: 5, access, group_info: None, anchoring };
    assert!(store.run(&open).await.unwrap());
    let found = here(&store).look(&GroupById { group: &group, user }).unwrap().unwrap();
    assert_eq!((found.epoch, found.standing), (5, Standing::Listed));
    // None of the database's: the driver says so.
    assert!(here(&store).look(&Sizes(items(1 << 63, u64::MAX, 9))).is_none());
    assert!(store.run(&Sizes(items(1 << 63, u64::MAX, 9))).await.is_err());
}

#[tokio::test]
async fn many_rows_are_for_the_driver() {
    let folder = tempfile::tempdir().unwrap();
    let (store, alice) = (store(&folder).await, Alice::new());
    alice.register(&store).await;
    let items = ItemsAfter { device: &alice.device, after: 0, through: u64::MAX, limit: 1000 };
    for posted in 1..=ROWS + 1 {
        alice.post(&store).await;
        let found = here(&store).look(&Sizes(items)).map(|sizes| sizes.len());
        assert_eq!(found, (posted <= ROWS).then_some(posted));
    }
    assert_eq!(store.run(&Sizes(items)).await.unwrap().len(), ROWS + 1);
}

#[tokio::test]
async fn what_fails_is_for_the_driver() {
    let folder = tempfile::tempdir().unwrap();
    let (store, alice) = (store(&folder).await, Alice::new());
    alice.register(&store).await;
    let found = async || store.run(&DeviceById(&alice.device)).await.map(|found| found.is_some());
    assert!(found().await.unwrap());
    let other = Connection::open(folder.path().join("service.db")).unwrap();
    other.execute("ALTER TABLE devices RENAME TO gone", []).unwrap();
    assert!(here(&store).look(&DeviceById(&alice.device)).is_none());
    found().await.unwrap_err();
    other.execute("ALTER TABLE gone RENAME TO devices", []).unwrap();
    assert!(here(&store).look(&DeviceById(&alice.device)).unwrap().is_some());
    // Nor is it asked here once the store is closed.
    store.close().await;
    assert!(here(&store).look(&DeviceById(&alice.device)).is_none());
    found().await.unwrap_err();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_thread_stays_free() {
    let folder = tempfile::tempdir().unwrap();
    let (store, alice) = (store(&folder).await, Alice::new());
    alice.register(&store).await;
    let held = [here(&store).take().unwrap(), here(&store).take().unwrap()];
    assert!(here(&store).take().is_none());
    assert!(here(&store).look(&DeviceById(&alice.device)).is_none());
    assert!(store.run(&DeviceById(&alice.device)).await.unwrap().is_some());
    let [one, two] = held;
    // One that has failed makes room for another one.
    here(&store).give_back(None);
    drop(one);
    let three = here(&store).take().unwrap();
    assert!(here(&store).take().is_none());
    here(&store).give_back(Some(two));
    here(&store).give_back(Some(three));
    assert!(here(&store).look(&DeviceById(&alice.device)).unwrap().is_some());
}

#[tokio::test]
async fn nothing_is_written_here() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder).await;
    store.run(&Add(1, Then::Commit)).await.unwrap();
    let connection = here(&store).take().unwrap();
    connection.execute("DELETE FROM users", []).unwrap_err();
    here(&store).give_back(Some(connection));
}

#[tokio::test]
async fn a_statement_is_planned_once_for_all_keys() {
    let folder = tempfile::tempdir().unwrap();
    let (store, alice) = (store(&folder).await, Alice::new());
    alice.register(&store).await;
    for (after, limit) in [(0, 9), (7, 1), (8, 2)] {
        let items = ItemsAfter { device: &alice.device, after, through: u64::MAX, limit };
        assert_eq!(here(&store).look(&Sizes(items)).unwrap(), []);
    }
    let connection = here(&store).take().unwrap();
    let statement = <Sizes<ItemsAfter<'_>> as Lookup>::STATEMENT;
    let statement = connection.prepare_cached(statement).unwrap();
    assert_eq!(statement.get_status(StatementStatus::Run), 3);
    assert_eq!(statement.get_status(StatementStatus::RePrepare), 0);
}
