//! A week at 1,200 bit/s, in simulated time: a group of 100 and four listeners.

use std::{collections::HashMap, time::Duration};

use paired_mls_api::EntryKind;
use paired_mls_feed::{Carousel, Framing, Next, Plan};

use crate::help::*;

const DAY: u64 = 86_400;

/// A commit with a path in a tree of 100 leaves: a leaf node, seven path nodes with a ciphertext each, a signature.
const COMMIT: usize = 1300;
const MESSAGE: usize = 300;

struct Case {
    name: &'static str,
    lost_percent: u64,
    hears: fn(u64) -> bool,
}

/// What happens in a week: each of the four is healed once a day by its partner, other members commit and write.
fn happenings() -> Vec<(u64, EntryKind, Option<usize>)> {
    let mut all = Vec::new();
    let mut random = Random::new(7);
    for day in 0..7 {
        for listener in 0..4 {
            all.push((day * DAY + random.below(DAY), EntryKind::Commit, Some(listener)));
        }
        all.extend((0..20).map(|_| (day * DAY + random.below(DAY), EntryKind::Commit, None)));
        all.extend((0..60).map(|_| (day * DAY + random.below(DAY), EntryKind::Application, None)));
    }
    all.sort_by_key(|(second, _, _)| *second);
    all
}

fn in_words(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        _ => format!("{} h", seconds / 3600),
    }
}

#[test]
fn four_listeners_are_healed_at_1200_bits_a_second() {
    let cases = [
        Case { name: "clear", lost_percent: 0, hears: |_| true },
        Case { name: "30 % lost", lost_percent: 30, hears: |_| true },
        Case { name: "3 h a day", lost_percent: 10, hears: |second| second % DAY < 10_800 },
        Case { name: "off for 3 days", lost_percent: 10, hears: |s| !(DAY..4 * DAY).contains(&s) },
    ];
    let mut carousel = Carousel::new(Beacon::new(1), Plan::narrow(rate(1200)), 1);
    let mut listeners = cases.each_ref().map(|_| Listener::new(Framing::Narrow, &[1], &[1]));
    let mut random = Random::new(2);
    let mut log = Log::new(1);
    let happenings = happenings();
    let mut coming = happenings.iter().peekable();
    let (mut offered, mut objects) = (HashMap::new(), Vec::new());
    let mut delays: [Vec<u64>; 4] = Default::default();
    let mut payload = 0;
    let mut now = start();
    let end = start() + Duration::from_secs(9 * DAY);
    while now < end {
        let second = now.duration_since(start()).unwrap().as_secs();
        while let Some((_, kind, heals)) = coming.next_if(|(at, _, _)| *at <= second) {
            let length = if *kind == EntryKind::Commit { COMMIT } else { MESSAGE };
            payload += length as u64;
            let object = log.append(*kind, length);
            offered.insert(object.entry().position, (second, *heals));
            offer(&mut carousel, std::slice::from_ref(&object), now);
            objects.push(object);
        }
        let next = coming.peek().map(|(at, _, _)| start() + Duration::from_secs(*at));
        match carousel.next(now).unwrap() {
            Next::Packet(packet) => {
                for (n, (case, listener)) in cases.iter().zip(&mut listeners).enumerate() {
                    if !(case.hears)(second) || random.below(100) < case.lost_percent {
                        continue;
                    }
                    let read = listener.read.len();
                    listener.hear(&packet, now);
                    for (_, entry) in &listener.read[read..] {
                        let (at, heals) = offered[&entry.position];
                        if heals == Some(n) {
                            delays[n].push(second - at);
                        }
                    }
                }
            }
            Next::Wait(time) => now = next.map_or(time, |next| next.min(time)).max(now),
            Next::Idle => now = next.unwrap_or(end),
        }
    }
    let sent = carousel.sent();
    let limit = 1200 / 8 * 9 * DAY;
    println!("messages        {payload:>10} bytes, {} entries", objects.len());
    println!("bundles         {:>10} bytes, {} of them", sent.bundle_bytes, sent.bundles);
    println!("on the link     {:>10} bytes, {} packets", sent.bytes, sent.packets);
    println!("the link's limit{limit:>10} bytes in nine days");
    println!("{:<16}{:>8}{:>12}{:>12}", "listener", "healed", "median", "longest");
    for ((case, listener), delays) in cases.iter().zip(&listeners).zip(&mut delays) {
        assert_eq!(listener.read.len(), objects.len(), "{}", case.name);
        listener.has_read(&objects);
        delays.sort_unstable();
        let median = in_words(delays[delays.len() / 2]);
        let longest = in_words(*delays.last().unwrap());
        println!("{:<16}{:>8}{median:>12}{longest:>12}", case.name, delays.len());
        assert_eq!(delays.len(), 7);
    }
    assert!(sent.bytes <= limit);
    // Who hears everything is healed as fast as the link carries it: 1,300 bytes take nine seconds.
    assert!(*delays[0].last().unwrap() <= 120, "{:?}", delays[0]);
    // Three hours are longer than the longest pause.
    assert!(*delays[2].last().unwrap() <= 2 * DAY, "{:?}", delays[2]);
    // Who was away for three days is healed within a day of hearing again.
    assert!(*delays[3].last().unwrap() <= 4 * DAY, "{:?}", delays[3]);
}

/// What a bundle costs, against the messages in it: the figures of the profile.
#[test]
fn what_the_framings_cost() {
    println!("{:<34}{:>8}{:>9}{:>9}", "719-byte commits in a bundle", "bundle", "narrow", "FLUTE");
    for count in [1, 10] {
        let mut row = Vec::new();
        let mut of_bundle = 0;
        for framing in FRAMINGS {
            let base = match framing {
                Framing::Narrow => Plan::narrow(rate(1200)),
                Framing::Flute => Plan::flute(rate(1_000_000)),
            };
            let mut carousel = Carousel::new(Beacon::new(1), Plan { repair: 0, ..base }, 1);
            let mut log = Log::new(1);
            // Application messages wait for one another; commits would not.
            for _ in 0..count {
                let object = log.append(EntryKind::Application, 719);
                carousel.offer(paired_mls_feed::Object::Log(object), start()).unwrap();
            }
            carousel.close(start()).unwrap();
            while !carousel.all_sent_once() {
                let sent = carousel.sent();
                let now = start() + Duration::from_secs(sent.packets * 3);
                carousel.next(now).unwrap();
            }
            row.push(carousel.sent());
            of_bundle = carousel.sent().bundle_bytes;
        }
        let messages = 719 * count;
        let times = |bytes: u64| bytes as f64 / messages as f64;
        println!(
            "{count:<34}{:>8.2}{:>9.2}{:>9.2}",
            times(of_bundle),
            times(row[0].bytes),
            times(row[1].bytes),
        );
        // One repair symbol is always sent, and SLIP escapes one byte in 128.
        let most = if count == 1 { 1.7 } else { 1.18 };
        assert!(times(row[0].bytes) < most, "{}", times(row[0].bytes));
    }
}
