use paired_mls_api::DeviceId;
use rusqlite::Connection;

use super::*;
use crate::engine::{
    Membership,
    store::{MAX_GONE_GROUPS, MAX_OWNERS},
};

fn id(n: usize) -> GroupId {
    GroupId::new(n.to_be_bytes()).unwrap()
}

fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

/// Somebody puts the device into a group, if there is room.
fn put_in(store: &Store<'_>, n: usize, by: Option<&UserId>) -> Result<(), Crowded> {
    if let Some(crowded) = store.crowded(&id(n), by).unwrap() {
        return Err(crowded);
    }
    store.enter_group(&id(n), "group", None, 0).unwrap();
    store.set_unused(&id(n), by).unwrap();
    Ok(())
}

/// How many groups come about, of so many that this user makes.
fn fill(store: &Store<'_>, groups: std::ops::Range<usize>, by: Option<&UserId>) -> usize {
    groups.filter(|n| put_in(store, *n, by).is_ok()).count()
}

fn with_store(test: impl FnOnce(&Store<'_>)) {
    let connection = Connection::open_in_memory().unwrap();
    let store = Store(&connection);
    store.prepare().unwrap();
    test(&store);
}

/// One stranger fills his own share, and others come in; those whom the directory does not know have one together.
#[test]
fn one_stranger_fills_his_own_share() {
    with_store(|store| {
        for n in 0..50 {
            store.enter_group(&id(n), "known", None, 0).unwrap();
        }
        let (mallory, bob) = (user("mallory"), user("bob"));
        assert_eq!(fill(store, 100..200, Some(&mallory)), MAX_OF_ONE);
        assert_eq!(put_in(store, 200, Some(&mallory)), Err(Crowded::OfOneUser));
        assert_eq!(fill(store, 300..400, None), MAX_OF_ONE);
        assert_eq!(put_in(store, 400, Some(&bob)), Ok(()));
        // One of which the user knows by now, or which is over, makes room for one more.
        store.set_used(&id(100)).unwrap();
        assert_eq!(put_in(store, 200, Some(&mallory)), Ok(()));
        store.set_membership(&id(101), Membership::Gone).unwrap();
        assert_eq!(put_in(store, 201, Some(&mallory)), Ok(()));
        assert_eq!(put_in(store, 202, Some(&mallory)), Err(Crowded::OfOneUser));
        // The same group once more is no other one.
        assert_eq!(store.crowded(&id(201), Some(&mallory)).unwrap(), None);
    });
}

/// Forty strangers fill what is for strangers: the rest is for others, and that is bounded as well.
#[test]
fn many_strangers_leave_a_reserve() {
    with_store(|store| {
        let strangers = (0..40).map(|n| (n, user(&format!("stranger {n}"))));
        let came = strangers.map(|(n, by)| fill(store, 10 * n..10 * n + 10, Some(&by)));
        assert_eq!(came.sum::<usize>(), MAX_OF_STRANGERS);
        let (bob, carol) = (user("bob"), user("carol"));
        // Who is a member of a known group is let in all the same: the engine passes this one over.
        for by in [&bob, &carol] {
            for n in 0..MAX_OF_ONE {
                let n = 1_000 + n + by.as_bytes().len() * 100;
                assert_eq!(store.crowded(&id(n), Some(by)).unwrap(), Some(Crowded::OfStrangers));
                store.enter_group(&id(n), "group", None, 0).unwrap();
                store.set_unused(&id(n), Some(by)).unwrap();
            }
            assert_eq!(store.crowded(&id(9_999), Some(by)).unwrap(), Some(Crowded::OfOneUser));
        }
        let dave = user("dave");
        assert_eq!(store.crowded(&id(9_999), Some(&dave)).unwrap(), Some(Crowded::InAll));
        let (all, _) = store.unused_besides(&id(9_999), None).unwrap();
        assert_eq!(all, MAX_UNUSED);
    });
}

/// Who puts the device in and takes it out for ever leaves few rows; those of the user's own groups stay.
#[test]
fn groups_that_are_over_are_few() {
    with_store(|store| {
        let mallory = user("mallory");
        for n in 0..3 {
            store.enter_group(&id(n), "known", None, 0).unwrap();
            store.set_membership(&id(n), Membership::Gone).unwrap();
        }
        for n in 10..200 {
            put_in(store, n, Some(&mallory)).unwrap();
            store.set_membership(&id(n), Membership::Gone).unwrap();
            for row in store.old_unused().unwrap() {
                store.forget_group(&row.id).unwrap();
            }
        }
        let rows = store.groups().unwrap();
        assert_eq!(rows.len(), 3 + MAX_GONE_GROUPS as usize);
        assert!(rows.iter().any(|row| row.id == id(199)), "the newest stays");
        assert!(!rows.iter().any(|row| row.id == id(10)), "the oldest has gone");
    });
}

/// Whose devices are whose is remembered of the newest that were asked for.
#[test]
fn owners_are_remembered_of_so_many_devices() {
    with_store(|store| {
        let device =
            |n: u32| DeviceId::of_key(paired_mls_api::SignatureScheme::Ed25519, &n.to_be_bytes());
        let mallory = user("mallory");
        store.0.execute_batch("BEGIN").unwrap();
        for n in 0..MAX_OWNERS + 10 {
            store.remember_owner(&device(n), &mallory).unwrap();
        }
        store.0.execute_batch("COMMIT").unwrap();
        let owners = store.owners().unwrap();
        assert_eq!(owners.len(), MAX_OWNERS as usize);
        assert!(owners.iter().any(|(known, _)| *known == device(MAX_OWNERS + 9)));
        assert!(!owners.iter().any(|(known, _)| *known == device(0)));
    });
}
