//! A beacon puts two commits into a directory, and a listener reads them in their order.
//!
//!     cargo run -p paired-mls-feed --example one_way

use std::{
    convert::Infallible,
    error::Error,
    num::NonZeroU32,
    time::{Duration, SystemTime},
};

use ed25519_dalek::{Signer as _, SigningKey};
use paired_mls_api::{EntryKind, GroupId, LogChain, LogEntry, SignatureScheme};
use paired_mls_feed::{
    BeaconKey, BeaconSigner, Carousel, Limits, LogObject, Next, Object, Plan, Received, Receiver,
    Shelf, ShelfLimits, Start,
    transport::{Inlet, Outlet, Place},
};

struct Beacon(SigningKey, BeaconKey);

impl BeaconSigner for Beacon {
    type Error = Infallible;

    fn key(&self) -> &BeaconKey {
        &self.1
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Infallible> {
        Ok(self.0.sign(message).to_bytes().to_vec())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let place: Place = format!("dir:{}", folder.path().display()).parse()?;
    let private = SigningKey::from_bytes(&[7; 32]);
    let key = BeaconKey::new(SignatureScheme::Ed25519, private.verifying_key().as_bytes())?;
    let group = GroupId::new(*b"a group")?;
    let mut now = SystemTime::now();

    // The beacon: two entries of a log, each urgent, each in a bundle of its own.
    let plan = Plan::narrow(NonZeroU32::new(9600).ok_or("a rate")?);
    let mut carousel = Carousel::new(Beacon(private, key.clone()), plan, 1);
    let mut outlet = Outlet::open(&place)?;
    let mut chain = LogChain::start(&group);
    for position in 1..=2 {
        let message = vec![0; 700].into();
        let (epoch, kind, before) = (position - 1, EntryKind::Commit, chain);
        let mut entry = LogEntry { position, epoch, kind, message, chain };
        chain = before.and_entry(&entry);
        entry.chain = chain;
        carousel.offer(Object::Log(LogObject::new(group.clone(), before, entry)?), now)?;
    }
    // -> FeedPacket
    while !carousel.all_sent_once() {
        match carousel.next(now)? {
            Next::Packet(packet) => drop(outlet.send(&packet)?),
            Next::Wait(time) => now = time,
            Next::Idle => break,
        }
    }
    outlet.flush()?;

    // The listener: it knows the beacon's key, and where it is in the log.
    let mut receiver = Receiver::new(place.framing(), vec![key], Limits::default());
    let mut shelf = Shelf::new(ShelfLimits::default());
    shelf.read(group.clone(), Start::After(0, LogChain::start(&group)));
    let mut bundles = Vec::new();
    Inlet::open(&place)?.receive(Duration::from_secs(1), |packet| {
        if let Received::Bundle(bundle) = receiver.push(packet, now) {
            bundles.push(bundle);
        }
    })?;
    for object in bundles.into_iter().flat_map(|bundle| bundle.objects) {
        if let Object::Log(object) = object {
            shelf.put(object);
        }
    }
    while let Some((_, entry)) = shelf.take() {
        println!("{} {}: {} bytes", entry.kind.name(), entry.position, entry.message.0.len());
    }
    println!("{:?}", receiver.counts());
    Ok(())
}
