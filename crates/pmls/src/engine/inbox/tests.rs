use rusqlite::Connection;

use super::*;

fn letter_of(sender: &str, number: u64, len: usize) -> Letter {
    Letter {
        group: GroupId::new(b"group").unwrap(),
        epoch: 1,
        position: number,
        id: number.to_string(),
        received_at: UNIX_EPOCH,
        sender: Who {
            user: Some(sender.to_owned()),
            devices: vec![format!("{sender}'s device")],
            unverified: None,
            shown: sender.to_owned(),
        },
        content: vec![b'x'; len],
    }
}

fn kept(store: &Store<'_>, sender: &str) -> Vec<u64> {
    let letters = store.letters(&GroupId::new(b"group").unwrap(), Which::All).unwrap();
    let of = letters.into_iter().filter(|(_, letter)| letter.sender.shown == sender);
    of.map(|(_, letter)| letter.position).collect()
}

/// One member fills the inbox by number: what was read goes first, and then what it has sent itself.
#[test]
fn who_fills_the_inbox_drives_out_his_own_messages() {
    let connection = Connection::open_in_memory().unwrap();
    let store = Store(&connection);
    store.prepare().unwrap();
    let group = GroupId::new(b"group").unwrap();
    store.enter_group(&group, "group", None, 0).unwrap();
    assert_eq!(store.keep_letter(&letter_of("bob", 1, 9)).unwrap(), Vec::<String>::new());
    let (read, _) = store.letters(&group, Which::Unread).unwrap().remove(0);
    store.letters_read(&group, read).unwrap();
    store.keep_letter(&letter_of("bob", 2, 9)).unwrap();

    let mut dropped = 0;
    for number in 3..MAX as u64 + 50 {
        let gone = store.keep_letter(&letter_of("mallory", number, 9)).unwrap();
        assert!(gone.iter().all(|by| by == "mallory"));
        dropped += gone.len();
    }
    assert_eq!(kept(&store, "bob"), [2], "what was read has gone first");
    let of_mallory = kept(&store, "mallory");
    assert_eq!(of_mallory.len(), MAX as usize - 1);
    assert_eq!((dropped, of_mallory[0]), (48, 51), "the oldest");
    assert_eq!(store.missed(&group).unwrap(), 48);
    store.forget_missed(&group).unwrap();
    assert_eq!(store.missed(&group).unwrap(), 0);
}

/// The same by bytes; and a group that nobody here knows of has less room.
#[test]
fn the_inbox_is_bounded_in_bytes() {
    for (known, bytes) in [(true, MAX_BYTES), (false, MAX_UNUSED_BYTES)] {
        let connection = Connection::open_in_memory().unwrap();
        let store = Store(&connection);
        store.prepare().unwrap();
        let group = GroupId::new(b"group").unwrap();
        store.enter_group(&group, "group", None, 0).unwrap();
        if !known {
            store.set_unused(&group, None).unwrap();
        }
        store.keep_letter(&letter_of("bob", 1, 9)).unwrap();
        let size = usize::try_from(bytes / 8).unwrap();
        for number in 2..20 {
            store.keep_letter(&letter_of("mallory", number, size)).unwrap();
        }
        assert_eq!(kept(&store, "bob"), [1]);
        assert_eq!(kept(&store, "mallory"), (13..20).collect::<Vec<_>>());
    }
}

/// What members and strangers have said once, or have let this device in by, is remembered by the newest marks of its
/// kind; cursors stay.
#[test]
fn marks_are_bounded_and_drive_out_no_cursor() {
    let connection = Connection::open_in_memory().unwrap();
    let store = Store(&connection);
    store.prepare().unwrap();
    store.set_cursor("mailbox", 7).unwrap();
    assert!(store.mark("b ", "honest").unwrap());
    let most = u64::from(super::super::store::MAX_MARKS);
    for n in 0..most + 500 {
        assert!(store.mark("a ", &n.to_string()).unwrap());
    }
    let count: u64 = connection
        .query_row("SELECT count(*) FROM pmls_cursors WHERE name LIKE 'a %'", [], |row| row.get(0))
        .unwrap();
    assert_eq!(count, most);
    assert!(!store.mark("a ", &(most + 499).to_string()).unwrap(), "the newest is known");
    assert!(store.mark("a ", "0").unwrap(), "the oldest is told again");
    assert!(!store.mark("b ", "honest").unwrap(), "another kind is not driven out");
    assert_eq!(store.cursor("mailbox").unwrap(), 7);
}
