//! Recordings, older databases, other logs, gaps.

use std::time::Duration;

use paired_mls_api::{EntryKind, LogChain};
use paired_mls_feed::{Framing, GroupInfoObject, Object, Shelf, ShelfLimits, Shelved, Start};

use crate::help::*;

#[test]
fn an_old_recording_is_played_back() {
    for framing in FRAMINGS {
        let mut log = Log::new(1);
        let mut entries = log.entries(12);
        let mut old = carousel(1, framing);
        offer(&mut old, &entries, start());
        let recording = record(&mut old, start(), 120);
        let mut listener = Listener::new(framing, &[1], &[1]);
        for packet in &recording {
            listener.hear(packet, start());
        }
        listener.has_read(&entries);
        // Nothing is read twice, not even by a listener that was restarted.
        let later = start() + Duration::from_secs(90 * 86_400);
        listener.restart(&[1]);
        for packet in &recording {
            listener.hear(packet, later);
        }
        listener.has_read(&entries);
        // And what is new is read while the recording goes on.
        let more = log.entries(6);
        let mut new = carousel(1, framing);
        offer(&mut new, &more, later);
        let packets = record(&mut new, later, 60);
        for (n, packet) in packets.iter().enumerate() {
            listener.hear(packet, later);
            listener.hear(&recording[n % recording.len()], later);
        }
        entries.extend(more);
        listener.has_read(&entries);
    }
}

#[test]
fn a_beacon_has_an_older_database_and_goes_on_in_another_way() {
    let framing = Framing::Narrow;
    let mut log = Log::new(1);
    let before = log.entries(6);
    let mut other = log.fork(77);
    let ours = log.entries(6);
    let theirs = other.entries(9);
    let mut listener = Listener::new(framing, &[1], &[1]);
    let all = [before.clone(), ours].concat();
    let mut carousel_now = carousel(1, framing);
    offer(&mut carousel_now, &all, start());
    for packet in record(&mut carousel_now, start(), 60) {
        listener.hear(&packet, start());
    }
    listener.has_read(&all);
    // The older database alone says nothing new; what follows in it is another log.
    let mut older = carousel(1, framing);
    let later = start() + Duration::from_secs(1000);
    offer(&mut older, &[before, theirs].concat(), later);
    for packet in record(&mut older, later, 60) {
        listener.hear(&packet, later);
    }
    listener.has_read(&all);
    let told = listener.shelf.other_histories();
    assert_eq!(told.len(), 1);
    assert_eq!((&told[0].group, told[0].position), (&group(1), 13));
    // The true log goes on all the same.
    let more = log.entries(3);
    let mut new = carousel(1, framing);
    let later = start() + Duration::from_secs(2000);
    offer(&mut new, &more, later);
    for packet in record(&mut new, later, 60) {
        listener.hear(&packet, later);
    }
    listener.has_read(&[all, more].concat());
}

#[test]
fn the_feed_and_the_network_take_turns() {
    let framing = Framing::Narrow;
    let mut log = Log::new(1);
    let entries = log.entries(12);
    let mut carousel = carousel(1, framing);
    offer(&mut carousel, &entries, start());
    let packets = record(&mut carousel, start(), 120);
    let mut listener = Listener::new(framing, &[1], &[1]);
    // The first four came over the network meanwhile, and so does the rest of what the feed has not brought.
    let by_network = &entries[..4];
    listener.read =
        by_network.iter().map(|object| (object.group().clone(), object.entry().clone())).collect();
    let last = by_network[3].entry();
    listener.shelf.read(group(1), Start::After(last.position, last.chain));
    for packet in &packets {
        listener.hear(packet, start());
    }
    listener.has_read(&entries);
}

#[test]
fn a_gap_is_waited_over() {
    let entries = Log::new(1).entries(9);
    let mut shelf = Shelf::new(ShelfLimits::default());
    assert_eq!(shelf.put(entries[0].clone()), Shelved::OtherGroup);
    shelf.read(group(1), Start::After(0, LogChain::start(&group(1))));
    for n in [8, 1, 4, 2, 6, 7] {
        assert_eq!(shelf.put(entries[n].clone()), Shelved::Kept);
        assert_eq!(shelf.put(entries[n].clone()), Shelved::Known);
    }
    assert_eq!(shelf.take(), None);
    assert_eq!(shelf.gap(&group(1)), Some((1, 2)));
    shelf.put(entries[0].clone());
    let mut read = |count| {
        let read: Vec<_> = std::iter::from_fn(|| shelf.take()).map(|(_, e)| e.position).collect();
        assert_eq!(read.len(), count);
        read
    };
    assert_eq!(read(3), [1, 2, 3]);
    assert_eq!(read(0), [0; 0]);
    assert_eq!(shelf.gap(&group(1)), Some((4, 5)));
    shelf.put(entries[3].clone());
    shelf.put(entries[5].clone());
    let rest: Vec<_> = std::iter::from_fn(|| shelf.take()).map(|(_, e)| e.position).collect();
    assert_eq!(rest, [4, 5, 6, 7, 8, 9]);
    assert_eq!(shelf.held(), (0, 0));
    assert_eq!(shelf.put(entries[3].clone()), Shelved::Known);
}

#[test]
fn who_does_not_know_the_hash_goes_on_from_the_position() {
    let entries = Log::new(1).entries(5);
    let mut shelf = Shelf::new(ShelfLimits::default());
    shelf.read(group(1), Start::AfterAny(2));
    for entry in &entries {
        let known = shelf.put(entry.clone()) == Shelved::Known;
        assert_eq!(known, entry.entry().position <= 2);
    }
    let read: Vec<_> = std::iter::from_fn(|| shelf.take()).map(|(_, e)| e.position).collect();
    assert_eq!(read, [3, 4, 5]);
    shelf.leave(&group(1));
    assert_eq!(shelf.put(entries[4].clone()), Shelved::OtherGroup);
}

#[test]
fn a_shelf_is_bounded_and_keeps_what_is_next() {
    let entries = Log::new(1).entries(300);
    let limits = ShelfLimits { entries: 50, bytes: 20_000 };
    let mut shelf = Shelf::new(limits);
    shelf.read(group(1), Start::After(0, LogChain::start(&group(1))));
    let mut no_room = 0;
    // The first one is missing.
    for entry in &entries[1..] {
        if shelf.put(entry.clone()) == Shelved::NoRoom {
            no_room += 1;
        }
        let (count, bytes) = shelf.held();
        assert!(count <= 50 && bytes <= 20_000, "{count} {bytes}");
    }
    assert!(no_room > 200);
    shelf.put(entries[0].clone());
    assert_eq!(shelf.take().map(|(_, entry)| entry.position), Some(1));
    assert_eq!(shelf.take().map(|(_, entry)| entry.position), Some(2));
}

#[test]
fn a_forged_entry_does_not_keep_the_true_one_out() {
    // A member of nothing, with a beacon's key: the chain of what it says does not fit.
    let entries = Log::new(1).entries(3);
    let forged = Log::new(1).fork(5).entries(3);
    let mut shelf = Shelf::new(ShelfLimits::default());
    shelf.read(group(1), Start::After(0, LogChain::start(&group(1))));
    shelf.put(forged[1].clone());
    shelf.put(forged[2].clone());
    for entry in &entries {
        shelf.put(entry.clone());
    }
    let read: Vec<_> = std::iter::from_fn(|| shelf.take()).map(|(_, entry)| entry).collect();
    assert_eq!(read, entries.iter().map(|object| object.entry().clone()).collect::<Vec<_>>());
}

#[test]
fn who_knows_only_the_epoch_begins_where_it_begins() {
    let mut log = Log::new(1);
    let entries = log.entries(12);
    // Commits are at 1, 4, 7, 10: epoch 2 is 5, 6 and 7.
    assert_eq!(entries[6].entry().kind, EntryKind::Commit);
    let positions = |there: &[usize]| {
        let mut shelf = Shelf::new(ShelfLimits::default());
        shelf.read(group(1), Start::Epoch(2));
        for n in there {
            shelf.put(entries[*n - 1].clone());
        }
        std::iter::from_fn(|| shelf.take()).map(|(_, e)| e.position).collect::<Vec<_>>()
    };
    assert_eq!(positions(&[8, 7, 6, 5, 4, 3, 9]), [5, 6, 7, 8, 9]);
    // The commit that began the epoch is not there: what is there of it counts.
    assert_eq!(positions(&[7, 6, 8]), [6, 7, 8]);
    assert_eq!(positions(&[5, 7, 8]), [7, 8]);
    // Nothing says where the epoch is.
    assert_eq!(positions(&[9, 10, 11]), [0; 0]);
}

#[test]
fn a_group_info_ends_the_one_before() {
    let mut carousel = carousel(1, Framing::Narrow);
    for epoch in [3, 4, 9] {
        let message = vec![1; 500];
        let info = GroupInfoObject { group: group(1), epoch, message };
        carousel.offer(Object::GroupInfo(info), start()).unwrap();
        carousel.close(start()).unwrap();
    }
    assert_eq!(carousel.held().0, 1);
    assert_eq!(carousel.sent().ended, 2);
    let older = GroupInfoObject { group: group(2), epoch: 1, message: vec![1; 500] };
    carousel.offer(Object::GroupInfo(older), start()).unwrap();
    carousel.close(start()).unwrap();
    assert_eq!(carousel.held().0, 2);
}

#[test]
fn a_carousel_is_bounded_and_ends_what_is_old() {
    let plan = paired_mls_feed::Plan {
        max_bundles: 10,
        max_bytes: 12_000,
        max_age: Duration::from_secs(1000),
        ..plan(Framing::Narrow)
    };
    let mut carousel = paired_mls_feed::Carousel::new(Beacon::new(1), plan, 1);
    let mut log = Log::new(1);
    for _ in 0..40 {
        offer(&mut carousel, &[log.append(EntryKind::Commit, 2000)], start());
        let (bundles, bytes) = carousel.held();
        assert!(bundles <= 10 && bytes <= 12_000);
    }
    record(&mut carousel, start(), 100);
    assert!(carousel.all_sent_once());
    record(&mut carousel, start() + Duration::from_secs(1001), 1);
    assert_eq!(carousel.held(), (0, 0));
    assert_eq!(carousel.sent().ended, 40);
}
