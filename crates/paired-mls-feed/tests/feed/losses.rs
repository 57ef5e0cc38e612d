//! Losses, bursts, repeats, another order, a late start, kills.

use std::time::Duration;

use paired_mls_feed::Framing;

use crate::help::*;

const DAY: u64 = 86_400;

#[test]
fn thirty_percent_of_the_packets_are_lost() {
    for framing in FRAMINGS {
        let entries = Log::new(1).entries(40);
        let mut carousel = carousel(1, framing);
        let mut listener = Listener::new(framing, &[1], &[1]);
        let mut random = Random::new(1);
        let mut lost = 0;
        offer(&mut carousel, &entries, start());
        let until = start() + Duration::from_secs(3600);
        turn(&mut carousel, start(), until, |packet, now| {
            if random.below(100) < 30 {
                lost += 1;
            } else {
                listener.hear(packet, now);
            }
        });
        listener.has_read(&entries);
        assert!(lost > 50, "{framing:?} lost {lost}");
    }
}

#[test]
fn one_round_is_enough_at_twenty_percent_of_losses_more_often_than_not() {
    let (mut whole, mut rounds) = (0, 0);
    for seed in 0..40 {
        let entries = Log::new(1).entries(1);
        let mut carousel = carousel(1, Framing::Narrow);
        let mut listener = Listener::new(Framing::Narrow, &[1], &[1]);
        let mut random = Random::new(seed);
        offer(&mut carousel, &entries, start());
        // The second round is a minute later.
        for packet in record(&mut carousel, start(), 30) {
            if random.below(100) >= 20 {
                listener.hear(&packet, start());
            }
        }
        rounds += 1;
        whole += listener.read.len();
    }
    assert!(whole * 2 > rounds, "{whole} of {rounds}");
}

#[test]
fn bursts_swallow_whole_rounds() {
    for framing in FRAMINGS {
        let entries = Log::new(1).entries(40);
        let mut carousel = carousel(1, framing);
        let mut listener = Listener::new(framing, &[1], &[1]);
        offer(&mut carousel, &entries, start());
        let until = start() + Duration::from_secs(DAY);
        turn(&mut carousel, start(), until, |packet, now| {
            // Two minutes of silence in each five.
            let second = now.duration_since(start()).unwrap().as_secs();
            if second % 300 >= 120 {
                listener.hear(packet, now);
            }
        });
        listener.has_read(&entries);
    }
}

#[test]
fn packets_come_twice_and_in_any_order() {
    for framing in FRAMINGS {
        let entries = Log::new(1).entries(30);
        let mut carousel = carousel(1, framing);
        offer(&mut carousel, &entries, start());
        let once = record(&mut carousel, start(), 60);
        let mut packets: Vec<_> = once.iter().chain(&once).collect();
        let mut random = Random::new(3);
        for n in (1..packets.len()).rev() {
            let other = usize::try_from(random.below(n as u64 + 1)).unwrap();
            packets.swap(n, other);
        }
        let mut listener = Listener::new(framing, &[1], &[1]);
        for packet in packets {
            listener.hear(packet, start());
        }
        listener.has_read(&entries);
        assert!(listener.receiver.counts().repeated > 0);
    }
}

#[test]
fn a_listener_starts_in_the_middle_of_the_carousel() {
    for framing in FRAMINGS {
        let entries = Log::new(1).entries(40);
        let mut carousel = carousel(1, framing);
        offer(&mut carousel, &entries, start());
        // It has missed the first rounds, and the beginning of another one.
        let heard = record(&mut carousel, start(), 400);
        let mut listener = Listener::new(framing, &[1], &[1]);
        let until = start() + Duration::from_secs(DAY);
        let late = start() + Duration::from_secs(400);
        turn(&mut carousel, late, until, |packet, now| listener.hear(packet, now));
        assert!(heard.len() > 40);
        listener.has_read(&entries);
    }
}

#[test]
fn symbols_of_different_rounds_make_one_bundle() {
    let entries = Log::new(1).entries(1);
    let mut carousel = carousel(1, Framing::Narrow);
    let mut listener = Listener::new(Framing::Narrow, &[1], &[1]);
    offer(&mut carousel, &entries, start());
    let mut heard = 0;
    // Of each round the first packet only: a bundle of four symbols is there after five rounds at most.
    for round in 0..5 {
        let now = start() + Duration::from_secs(round * 1000);
        let packets = record(&mut carousel, now, 20);
        listener.hear(&packets[0], now);
        heard += 1;
        if !listener.read.is_empty() {
            break;
        }
    }
    listener.has_read(&entries);
    assert!(heard > 1);
}

#[test]
fn a_month_without_coverage() {
    let mut log = Log::new(1);
    let mut entries = log.entries(10);
    let mut carousel = carousel(1, Framing::Narrow);
    let mut listener = Listener::new(Framing::Narrow, &[1], &[1]);
    offer(&mut carousel, &entries, start());
    for packet in record(&mut carousel, start(), 120) {
        listener.hear(&packet, start());
    }
    listener.has_read(&entries);
    // What is said in the 28 days until it hears again is still sent.
    for day in 1..=28 {
        let now = start() + Duration::from_secs(day * DAY);
        let more = log.entries(3);
        offer(&mut carousel, &more, now);
        record(&mut carousel, now, 600);
        entries.extend(more);
    }
    let back = start() + Duration::from_secs(29 * DAY);
    turn(&mut carousel, back, back + Duration::from_secs(DAY), |packet, now| {
        listener.hear(packet, now);
    });
    listener.has_read(&entries);
}

#[test]
fn a_kill_at_any_moment_loses_nothing_that_was_read() {
    for framing in FRAMINGS {
        for seed in 0..8 {
            let entries = Log::new(1).entries(20);
            let mut carousel = carousel(1, framing);
            let mut listener = Listener::new(framing, &[1], &[1]);
            let mut random = Random::new(seed);
            offer(&mut carousel, &entries, start());
            let until = start() + Duration::from_secs(DAY / 6);
            let mut kills = 0;
            turn(&mut carousel, start(), until, |packet, now| {
                if random.below(12) == 0 && kills < 30 {
                    listener.restart(&[1]);
                    kills += 1;
                }
                listener.hear(packet, now);
            });
            listener.has_read(&entries);
            assert_eq!(kills, 30);
        }
    }
}

#[test]
fn a_beacon_that_is_killed_goes_on_from_its_log() {
    for framing in FRAMINGS {
        let entries = Log::new(1).entries(20);
        let mut listener = Listener::new(framing, &[1], &[1]);
        // Each time it dies after some packets, and begins anew: the same bundles have the same names only by
        // chance, since they are signed at another time. What it has sent of them is lost.
        for life in 0..6 {
            let now = start() + Duration::from_secs(life * 60);
            let mut carousel = carousel(1, framing);
            offer(&mut carousel, &entries, now);
            for packet in record(&mut carousel, now, 7 + life * 10) {
                listener.hear(&packet, now);
            }
        }
        listener.has_read(&entries);
    }
}

#[test]
fn the_rate_is_kept() {
    for framing in FRAMINGS {
        let mut carousel = carousel(1, framing);
        let rate = u64::from(plan(framing).rate.get());
        offer(&mut carousel, &Log::new(1).entries(200), start());
        record(&mut carousel, start(), 60);
        let sent = carousel.sent();
        assert!(sent.bytes * 8 <= 60 * rate + 8 * 1500, "{sent:?}");
        assert!(sent.bytes * 8 >= 50 * rate, "{sent:?}");
    }
}

#[test]
fn new_objects_go_first() {
    let mut log = Log::new(1);
    let old = log.entries(120);
    let mut carousel = carousel(1, Framing::Narrow);
    offer(&mut carousel, &old, start());
    record(&mut carousel, start(), 3600);
    let now = start() + Duration::from_secs(3600);
    let new = log.append(paired_mls_api::EntryKind::Commit, 700);
    offer(&mut carousel, std::slice::from_ref(&new), now);
    // 700 bytes take less than a second and a half at 9,600 bit/s.
    let mut listener = Listener::new(Framing::Narrow, &[1], &[]);
    let after = paired_mls_feed::Start::After(new.entry().position - 1, new.before());
    listener.shelf.read(new.group().clone(), after);
    for packet in record(&mut carousel, now, 3) {
        listener.hear(&packet, now);
    }
    listener.has_read(&[new]);
}
