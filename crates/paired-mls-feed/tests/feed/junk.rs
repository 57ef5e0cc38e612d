//! Whoever else sends on the link.

use std::time::Duration;

use paired_mls_feed::{Framing, Limits, Next, Object, Received, Receiver};
use sha2::{Digest as _, Sha256};

use crate::help::*;

/// A packet that only somebody makes who knows the beacon: its check is right, and the rest is not.
fn forged(random: &mut Random, framing: Framing, like: &[u8]) -> Vec<u8> {
    match framing {
        Framing::Narrow => {
            let mut rest = random.bytes(4);
            rest.extend_from_slice(&[0, 4, 0]);
            rest.extend_from_slice(&random.bytes(2 + 240));
            let digest = Sha256::new()
                .chain_update(beacon_key(1).device().as_bytes())
                .chain_update(&rest)
                .finalize();
            [&digest[..4], &rest].concat()
        }
        Framing::Flute => {
            // A TOI of its own, and another symbol.
            let mut packet = like.to_vec();
            packet[12..16].copy_from_slice(&random.bytes(4));
            packet
        }
    }
}

#[test]
fn a_thousand_junk_packets_a_second_cost_little_and_stop_nothing() {
    for framing in FRAMINGS {
        let entries = Log::new(1).entries(12);
        let mut carousel = carousel(1, framing);
        let limits = Limits { partial_bundles: 256, partial_bytes: 200_000, ..Limits::default() };
        let mut listener = Listener::new(framing, &[1], &[1]);
        listener.receiver = Receiver::new(framing, vec![beacon_key(1)], limits);
        let mut random = Random::new(9);
        offer(&mut carousel, &entries, start());
        let packets = record(&mut carousel, start(), 60);
        let (mut junk, mut strange) = (0, 0);
        let mut now = start();
        for packet in &packets {
            // At 9,600 bit/s there are four or five packets in a second: a thousand of others in it.
            for n in 0..200 {
                let bytes = match n % 8 {
                    0 => forged(&mut random, framing, packet),
                    1 => {
                        let mut damaged = packet.clone();
                        let at = usize::try_from(random.below(packet.len() as u64)).unwrap();
                        damaged[at] ^= 0x40;
                        // With FLUTE the checksum of UDP has noticed it before.
                        if framing == Framing::Flute { vec![0; 36] } else { damaged }
                    }
                    2 => packet[..usize::try_from(random.below(packet.len() as u64)).unwrap()]
                        .to_vec(),
                    _ => {
                        let length = usize::try_from(random.below(1500)).unwrap();
                        random.bytes(length)
                    }
                };
                junk += 1;
                if n % 8 > 2 {
                    strange += 1;
                }
                listener.hear(&bytes, now);
                let (bundles, bytes) = listener.receiver.held();
                assert!(bundles <= 256 && bytes <= 200_000, "{bundles} {bytes}");
            }
            listener.hear(packet, now);
            now += Duration::from_millis(200);
        }
        listener.has_read(&entries);
        let counts = listener.receiver.counts();
        assert_eq!(counts.packets, junk + packets.len() as u64);
        assert!(counts.foreign >= strange, "{counts:?}");
        assert!(counts.given_up > 0, "{counts:?}");
        assert_eq!(counts.refused, 0, "{counts:?}");
    }
}

#[test]
fn a_forged_symbol_costs_a_round_and_not_the_bundle() {
    let entries = Log::new(1).entries(1);
    let mut carousel = carousel(1, Framing::Narrow);
    offer(&mut carousel, &entries, start());
    let packets = record(&mut carousel, start(), 200);
    let mut listener = Listener::new(Framing::Narrow, &[1], &[1]);
    // With the name of the bundle and a symbol that is not its.
    let mut rest = packets[0][4..].to_vec();
    *rest.last_mut().unwrap() ^= 1;
    let digest = Sha256::new().chain_update(beacon_key(1).device().as_bytes()).chain_update(&rest);
    listener.hear(&[&digest.finalize()[..4], &rest].concat(), start());
    for packet in &packets {
        listener.hear(packet, start());
    }
    assert_eq!(listener.receiver.counts().poisoned, 1);
    listener.has_read(&entries);
}

#[test]
fn any_bytes_are_survived() {
    for framing in FRAMINGS {
        let mut carousel = carousel(1, framing);
        offer(&mut carousel, &Log::new(1).entries(2), start());
        let packets = record(&mut carousel, start(), 30);
        let mut receiver = Receiver::new(framing, vec![beacon_key(1)], Limits::default());
        let mut random = Random::new(5);
        for _ in 0..30_000 {
            let of = usize::try_from(random.below(packets.len() as u64)).unwrap();
            let mut packet = packets[of].clone();
            for _ in 0..=random.below(4) {
                // The header, mostly.
                let end = if random.below(4) == 0 { packet.len() } else { packet.len().min(40) };
                let at = usize::try_from(random.below(end as u64)).unwrap();
                packet[at] = random.bytes(1)[0];
            }
            if random.below(5) == 0 {
                packet.truncate(usize::try_from(random.below(60)).unwrap());
            }
            receiver.push(&packet, start());
        }
        assert_eq!(receiver.counts().packets, 30_000);
    }
}

#[test]
fn two_feeds_are_on_one_link() {
    for framing in FRAMINGS {
        let (ours, theirs) = (Log::new(1).entries(20), Log::new(2).entries(20));
        let mut carousels = [carousel(1, framing), carousel(2, framing)];
        offer(&mut carousels[0], &ours, start());
        offer(&mut carousels[1], &theirs, start());
        let mut both = Listener::new(framing, &[1, 2], &[1, 2]);
        let mut one = Listener::new(framing, &[1], &[1, 2]);
        let mut other = Listener::new(framing, &[2], &[1, 2]);
        for second in 0..600 {
            let now = start() + Duration::from_secs(second);
            for carousel in &mut carousels {
                while let Next::Packet(packet) = carousel.next(now).unwrap() {
                    for listener in [&mut both, &mut one, &mut other] {
                        listener.hear(&packet, now);
                    }
                }
            }
        }
        both.has_read(&ours);
        both.has_read(&theirs);
        one.has_read(&ours);
        other.has_read(&theirs);
        assert_eq!(one.read.len(), 20);
        assert_eq!(other.read.len(), 20);
        assert!(one.receiver.counts().foreign > 0);
    }
}

#[test]
fn what_no_beacon_has_signed_is_not_given_out() {
    // Beacon 2 sends under the name of beacon 1 on the link: it knows its key, and cannot sign.
    let mut carousel = carousel(2, Framing::Narrow);
    offer(&mut carousel, &Log::new(1).entries(3), start());
    let mut receiver = Receiver::new(Framing::Narrow, vec![beacon_key(1)], Limits::default());
    let mut refused = 0;
    for packet in record(&mut carousel, start(), 20) {
        let rest = &packet[4..];
        let digest = Sha256::new().chain_update(beacon_key(1).device().as_bytes());
        let packet = [&digest.chain_update(rest).finalize()[..4], rest].concat();
        match receiver.push(&packet, start()) {
            Received::Nothing => {}
            Received::Refused(_) => refused += 1,
            other => panic!("{other:?}"),
        }
    }
    assert!(refused > 0);
    assert_eq!(receiver.counts().bundles, 0);
}

#[test]
fn mail_is_given_out_with_whose_it_is() {
    use paired_mls_api::DeviceId;
    use paired_mls_feed::MailObject;
    let mut carousel = carousel(1, Framing::Narrow);
    let mail = |name: u8, position| {
        let device = DeviceId::new([name; 32]).unwrap();
        Object::Mail(MailObject { device, position, content: vec![name; 100] })
    };
    let sent = [mail(1, 5), mail(2, 3), mail(1, 9)];
    for object in &sent {
        carousel.offer(object.clone(), start()).unwrap();
    }
    carousel.close(start()).unwrap();
    let mut receiver = Receiver::new(Framing::Narrow, vec![beacon_key(1)], Limits::default());
    let mut received = Vec::new();
    for packet in record(&mut carousel, start(), 10) {
        if let Received::Bundle(bundle) = receiver.push(&packet, start()) {
            received.extend(bundle.objects);
        }
    }
    assert_eq!(received, sent);
}
