//! Whole runs through the book, with a crash between any two steps and at any write.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use super::*;
use crate::{
    DeviceId, RecordName, StorageError, VaultStorage,
    pairing::{
        AnchorKind, PairingDevice, PendingPairing, RegistryEntry, Route,
        messages::{Accept, Body as _, ShareRand},
    },
    vault::MemoryStorage,
};

const SUITE: CipherSuite = CipherSuite::X25519Aes128;
const ID: PairingId = PairingId([7; 16]);

/// A storage that stops after some writes.
#[derive(Clone)]
struct Mortal {
    inner: MemoryStorage,
    writes_left: Arc<AtomicUsize>,
}

impl Mortal {
    fn new() -> Self {
        Self { inner: MemoryStorage::new(), writes_left: Arc::new(AtomicUsize::new(usize::MAX)) }
    }

    fn dies_after(&self, writes: usize) {
        self.writes_left.store(writes, Ordering::SeqCst);
    }

    fn write(&self) -> Result<(), StorageError> {
        let left = self.writes_left.load(Ordering::SeqCst);
        self.writes_left.store(left.saturating_sub(1), Ordering::SeqCst);
        if left == 0 { Err("the device is dead".into()) } else { Ok(()) }
    }
}

impl VaultStorage for Mortal {
    fn load(&self, name: &RecordName) -> Result<Option<Secret>, StorageError> {
        self.inner.load(name)
    }

    fn store(&self, name: &RecordName, record: &Secret) -> Result<(), StorageError> {
        self.write().and_then(|()| self.inner.store(name, record))
    }

    fn remove(&self, name: &RecordName) -> Result<(), StorageError> {
        self.write().and_then(|()| self.inner.remove(name))
    }
}

struct Device {
    storage: Mortal,
    vault: Vault,
    party: Party,
}

impl Device {
    fn book(&self) -> PairingBook<'_> {
        PairingBook::new(&self.vault, self.party.clone())
    }

    fn state(&self) -> StateName {
        self.book().load(ID).unwrap().name()
    }
}

fn devices(count: u16) -> Vec<Device> {
    let device = |n: u16| {
        let storage = Mortal::new();
        let signature_key = vec![0x50 + n as u8; 32];
        let party = Party { identity: b"alice".to_vec(), signature_key };
        Device { vault: Vault::new(storage.clone()), storage, party }
    };
    (0..count).map(device).collect()
}

fn roster(devices: &[Device]) -> Roster {
    let listed = (0..).map(DeviceId).zip(devices);
    let listed = listed.map(|(device, d)| PairingDevice { device, party: d.party.clone() });
    Roster::new(ID, SUITE, listed.collect()).unwrap()
}

fn seed() -> Secret {
    Secret::new(vec![42; 32])
}

fn channel(devices: &[Device], trust: ChannelTrust) -> OneToOne {
    OneToOne { members: devices.iter().map(|device| device.party.clone()).collect(), trust }
}

fn key_pair() -> SignatureKeyPair {
    SignatureKeyPair { public_key: vec![0xAA; 32], private_key: Secret::new(vec![0xBB; 32]) }
}

fn is_pair(_: CipherSuite, pair: &SignatureKeyPair) -> bool {
    pair.private_key == Secret::new(vec![0xBB; 32])
}

/// Devices, a channel and a directory, and the messages between them.
struct World {
    devices: Vec<Device>,
    trust: ChannelTrust,
    directory: Option<RegistryEntry>,
    /// To, from, and by which way.
    mail: Vec<(usize, usize, Route, Vec<u8>)>,
}

impl World {
    fn new(count: u16, trust: ChannelTrust) -> Self {
        Self { devices: devices(count), trust, directory: None, mail: Vec::new() }
    }

    fn post(&mut self, from: usize, progress: Progress) {
        let all = 0..self.devices.len();
        for outbound in progress.send {
            let to: Vec<_> = match &outbound.route {
                Route::Directory => {
                    self.ask(from, &outbound.message);
                    continue;
                }
                Route::OneToOne => all.clone().filter(|to| *to != from).collect(),
                Route::Partners(partners) => {
                    partners.iter().map(|device| usize::from(device.0)).collect()
                }
            };
            for to in to {
                let message = outbound.message.expose().to_vec();
                self.mail.push((to, from, outbound.route.clone(), message));
            }
        }
    }

    /// The directory holds the request until all have asked.
    fn ask(&mut self, from: usize, request: &Secret) {
        let party = &self.devices[from].party;
        let entry = match self.directory.take() {
            None => RegistryEntry::open(party, request.expose()).unwrap(),
            Some(entry) => match entry.submit(party, request.expose()) {
                Ok(entry) => entry,
                Err(failed) => failed.into_state(),
            },
        };
        match &entry {
            RegistryEntry::Pending(pending) => {
                for device in PendingPairing::waiting_for(pending) {
                    let to = usize::from(device.0);
                    self.mail.push((to, from, Route::Directory, request.expose().to_vec()));
                }
            }
            RegistryEntry::Registered(registered) => {
                let accept = registered.accept().unwrap();
                for to in 0..self.devices.len() {
                    self.mail.push((to, from, Route::Directory, accept.expose().to_vec()));
                }
            }
        }
        self.directory = Some(entry);
    }

    /// One device receives one message.
    fn receive(&mut self, mail: &(usize, usize, Route, Vec<u8>)) -> Result<Progress, BookError> {
        let (to, from, route, message) = mail;
        let channel = channel(&self.devices, self.trust);
        let sender = self.devices[*from].party.clone();
        let source = match route {
            Route::OneToOne => Source::OneToOne { channel: &channel, sender: &sender },
            Route::Directory => Source::Directory,
            _ => Source::Relay,
        };
        self.devices[*to].book().receive(source, message, &is_pair)
    }

    /// Delivers everything, in an order of its own.
    fn settle(&mut self, random: &mut u32) {
        while !self.mail.is_empty() {
            *random ^= *random << 13;
            *random ^= *random >> 17;
            *random ^= *random << 5;
            let at = usize::try_from(*random).unwrap() % self.mail.len();
            let mail = self.mail.remove(at);
            match self.receive(&mail) {
                Ok(progress) => self.post(mail.0, progress),
                Err(error) => assert!(is_harmless(&error), "{error}"),
            }
        }
    }

    fn seed(&mut self) {
        let roster = roster(&self.devices);
        let channel = channel(&self.devices, self.trust);
        let progress = self.devices[0].book().share_rand(roster, &seed(), &channel).unwrap();
        self.post(0, progress);
    }

    fn initiate(&mut self, hidden: bool) {
        let (channel, key_pair) = (channel(&self.devices, self.trust), key_pair());
        let request = match hidden {
            true => Request::Hidden { key_pair: &key_pair, channel: &channel },
            false => Request::Standard(AnchorKind::Node),
        };
        let progress = self.devices[0].book().initiate(ID, request).unwrap();
        self.post(0, progress);
    }

    fn all_are(&self, state: StateName) {
        for device in &self.devices {
            assert_eq!(device.state(), state);
        }
    }
}

/// Late and repeated messages are refused, and change nothing.
fn is_harmless(error: &BookError) -> bool {
    matches!(error, BookError::Pairing(PairingError::Peer(PeerError::OutOfOrder { .. })))
}

/// Two and three devices, both modes, all orders of delivery: a message that comes too early is not
/// lost, or is sent again.
#[test]
fn every_order_of_delivery_leads_to_the_pairing() {
    let mut random = 0x2545_f491;
    for count in [2, 3] {
        for hidden in [false, true] {
            for _ in 0..40 {
                let mut world = World::new(count, ChannelTrust::Compared);
                world.seed();
                world.settle(&mut random);
                world.all_are(StateName::Seeded);
                world.initiate(hidden);
                world.settle(&mut random);
                // Whatever was refused as too early is made again.
                for n in 0..world.devices.len() {
                    let progress = world.devices[n].book().resend(ID).unwrap();
                    world.post(n, progress);
                }
                world.settle(&mut random);
                world.all_are(StateName::Paired);
                assert_eq!(world.devices[1].book().pairings().unwrap(), [ID]);

                let progress = world.devices[1].book().end(ID).unwrap();
                world.post(1, progress);
                world.settle(&mut random);
                world.all_are(StateName::Ceased);
                for device in &world.devices {
                    device.book().erase(ID, &[]).unwrap();
                    assert!(device.vault.pairing_info(ID).is_err(), "the tape is gone");
                    let key = device.vault.with_anchor_key(ID, |_| ()).unwrap();
                    assert_eq!(key, None);
                }
            }
        }
    }
}

/// The device that receives dies at each of its writes and starts again: it is as it was, or as it
/// would have been, and the pairing comes about.
#[test]
fn a_crash_at_any_write_loses_nothing() {
    let mut random = 0x1234_5678;
    for hidden in [false, true] {
        for writes in 0..12 {
            for victim in [0, 1] {
                let mut world = World::new(2, ChannelTrust::Compared);
                world.devices[victim].storage.dies_after(writes);
                let mut steps = vec!["seed", "initiate"];
                steps.reverse();
                let mut tries = 0;
                while let Some(step) = steps.pop() {
                    let done = world.try_step(step, hidden);
                    let mail: Vec<_> = world.mail.drain(..).collect();
                    let mut again = Vec::new();
                    for mail in mail {
                        match world.receive(&mail) {
                            Ok(progress) => world.post(mail.0, progress),
                            Err(error) if is_harmless(&error) => {}
                            Err(_) => again.push(mail),
                        }
                    }
                    // The device starts again, and what it did not process is delivered once more.
                    world.devices[victim].storage.dies_after(usize::MAX);
                    world.mail.extend(again);
                    world.settle(&mut random);
                    if !done {
                        steps.push(step);
                    }
                    tries += 1;
                    assert!(tries < 6);
                }
                for n in 0..2 {
                    let progress = world.devices[n].book().resend(ID).unwrap();
                    world.post(n, progress);
                }
                world.settle(&mut random);
                world.all_are(StateName::Paired);
            }
        }
    }
}

impl World {
    /// A step of the first device that may die; whether it was done.
    fn try_step(&mut self, step: &str, hidden: bool) -> bool {
        let channel = channel(&self.devices, self.trust);
        let key_pair = key_pair();
        let book = self.devices[0].book();
        let done = match step {
            "seed" => book.share_rand(roster(&self.devices), &seed(), &channel),
            _ if hidden => {
                book.initiate(ID, Request::Hidden { key_pair: &key_pair, channel: &channel })
            }
            _ => book.initiate(ID, Request::Standard(AnchorKind::Node)),
        };
        match done {
            Ok(progress) => {
                self.post(0, progress);
                true
            }
            Err(BookError::Vault(_) | BookError::Pairing(PairingError::Vault(_))) => false,
            Err(error) => panic!("{step}: {error}"),
        }
    }
}

/// A device in three pairings at once; what is of one of them is not of another.
#[test]
fn a_device_is_in_several_pairings() {
    let [phone, others @ ..] = &devices(4)[..] else { panic!("four devices") };
    for (n, other) in others.iter().enumerate() {
        let id = PairingId([n as u8 + 1; 16]);
        let parties = [&phone.party, &other.party];
        let listed = (0..).map(DeviceId).zip(parties);
        let listed = listed.map(|(device, party)| PairingDevice { device, party: party.clone() });
        let roster = Roster::new(id, SUITE, listed.collect()).unwrap();
        for device in [phone, other] {
            let progress = device.book().load_seed(roster.clone(), &seed()).unwrap();
            assert_eq!((progress.pairing, progress.state), (id, StateName::Seeded));
        }
    }
    assert_eq!(phone.book().pairings().unwrap().len(), 3);
    phone.book().abandon(PairingId([2; 16])).unwrap();
    let left = phone.book().pairings().unwrap();
    assert_eq!(left, [PairingId([1; 16]), PairingId([3; 16])]);
    assert!(matches!(
        phone.book().resend(PairingId([2; 16])),
        Err(BookError::NoSuchPairing(PairingId([2, ..])))
    ));
}

/// Calls that do not fit say so, and change nothing; nor do messages of no pairing.
#[test]
fn what_does_not_fit_is_refused() {
    let mut world = World::new(2, ChannelTrust::Pending);
    let book = world.devices[0].book();
    assert!(matches!(book.load(ID), Err(BookError::NoSuchPairing(ID))));
    assert!(matches!(book.end(ID), Err(BookError::NoSuchPairing(ID))));
    assert!(book.receive(Source::Relay, b"no message", &is_pair).is_err());
    book.abandon(ID).unwrap();

    world.seed();
    let share_rand = world.mail[0].clone();
    world.settle(&mut 7);
    let book = world.devices[0].book();
    let again = book.load_seed(roster(&world.devices), &seed());
    assert!(matches!(again, Err(BookError::Known(ID))));
    for unfit in [book.end(ID).map(drop), book.force_end(ID).map(drop)] {
        let seeded = StateName::Seeded;
        assert!(matches!(unfit, Err(BookError::Unfit { pairing: ID, state }) if state == seeded));
    }
    assert!(world.receive(&share_rand).is_err(), "a replay");

    // The private key does not go over a channel that nobody has looked at.
    let key_pair = key_pair();
    let channel = channel(&world.devices, ChannelTrust::Pending);
    let hidden = Request::Hidden { key_pair: &key_pair, channel: &channel };
    assert!(matches!(
        world.devices[0].book().initiate(ID, hidden),
        Err(BookError::Pairing(PairingError::Caller(CallerError::ChannelNotVerified)))
    ));
    // In standard mode the digits may be compared last, and only then the devices confirm.
    world.initiate(false);
    world.settle(&mut 9);
    world.all_are(StateName::Invited);
    for n in 0..2 {
        let compared = world.devices[n].book().confirm_channel(ID, ChannelTrust::Compared);
        let progress = compared.unwrap();
        world.post(n, progress);
    }
    world.settle(&mut 11);
    world.all_are(StateName::Paired);
    let twice = world.devices[0].book().confirm_channel(ID, ChannelTrust::Compared);
    assert!(matches!(twice, Err(BookError::Unfit { .. })));
}

impl World {
    /// The terms of hidden mode, before anybody has compared digits.
    fn announce(&mut self) {
        let (channel, key_pair) = (channel(&self.devices, ChannelTrust::Pending), key_pair());
        let request = Request::HiddenAnnounced { key_pair: &key_pair, channel: &channel };
        let progress = self.devices[0].book().initiate(ID, request).unwrap();
        self.post(0, progress);
    }

    fn invited(&self, device: usize) -> Invited {
        match self.devices[device].book().load(ID).unwrap() {
            PairingState::Invited(invited) => invited,
            other => panic!("{other:?}"),
        }
    }

    fn compare(&mut self, device: usize) {
        let book = self.devices[device].book();
        let progress = book.confirm_channel(ID, ChannelTrust::Compared).unwrap();
        self.post(device, progress);
    }

    /// Nothing of the pairing is left.
    fn is_forgotten(&self, device: usize) -> bool {
        let device = &self.devices[device];
        let key = device.vault.with_anchor_key(ID, |_| ()).unwrap();
        matches!(device.book().load(ID), Err(BookError::NoSuchPairing(ID)))
            && device.book().pairings().unwrap().is_empty()
            && device.vault.pairing_info(ID).is_err()
            && key.is_none()
    }
}

/// Hidden mode: the digits cover the terms before the private key goes anywhere, whoever compares first.
#[test]
fn the_digits_of_a_hidden_pairing_cover_its_terms_before_the_key_goes() {
    for order in [[0, 1], [1, 0]] {
        let mut world = World::new(2, ChannelTrust::Pending);
        world.seed();
        world.settle(&mut 5);
        world.announce();
        assert_eq!(world.mail.len(), 1);
        let private_key = key_pair().private_key;
        let holds_key =
            |message: &[u8]| message.windows(32).any(|part| part == private_key.expose());
        assert!(!holds_key(&world.mail[0].3), "before anybody has compared");
        let announced = world.mail[0].clone();
        world.settle(&mut 5);
        world.all_are(StateName::Invited);
        assert_eq!(world.invited(0).transcript(), world.invited(1).transcript());
        assert_eq!(world.devices[1].vault.with_anchor_key(ID, |_| ()).unwrap(), None);
        assert!(world.invited(0).withholds_key() && world.invited(1).awaits_key());
        let again = world.devices[0].book().resend(ID).unwrap();
        assert!(again.send.iter().all(|outbound| !holds_key(outbound.message.expose())));

        world.compare(order[0]);
        assert_eq!(world.mail.iter().any(|mail| holds_key(&mail.3)), order[0] == 0);
        world.settle(&mut 5);
        world.all_are(StateName::Invited);
        world.compare(order[1]);
        world.settle(&mut 5);
        world.all_are(StateName::Paired);
        assert!(world.receive(&announced).is_err(), "once more, and too late");
    }
}

/// One device gives a pairing up, in each state before it has come about: so do the others, and nothing of
/// it stays anywhere. Nobody else can say so in its name.
#[test]
fn what_one_device_refuses_is_given_up_on_all() {
    for (count, hidden, invited) in
        [(2, false, false), (2, false, true), (2, true, true), (3, false, true), (3, true, false)]
    {
        for by in [0, 1] {
            let mut world = World::new(count, ChannelTrust::Pending);
            world.seed();
            world.settle(&mut 3);
            match (invited, hidden) {
                (true, true) => world.announce(),
                (true, false) => world.initiate(false),
                (false, _) => {}
            }
            world.settle(&mut 3);
            let progress =
                world.devices[by].book().refuse(ID, AbandonReason::DigitsDiffer).unwrap();
            assert_eq!(progress.state, StateName::Unpaired);
            world.post(by, progress);
            assert_eq!(world.mail.len(), usize::from(count) - 1);
            assert!(world.is_forgotten(by));

            for mail in world.mail.clone() {
                let (to, before) = (mail.0, world.devices[mail.0].state());
                let relayed = (to, mail.1, Route::Partners(Vec::new()), mail.3.clone());
                assert!(world.receive(&relayed).is_err(), "it came by mailbox");
                let other = (0..usize::from(count)).find(|n| *n != by).unwrap();
                let forged = (to, other, Route::OneToOne, mail.3.clone());
                assert!(world.receive(&forged).is_err(), "somebody else has sent it");
                assert_eq!(world.devices[to].state(), before);
            }
            world.settle(&mut 3);
            assert!((0..usize::from(count)).all(|device| world.is_forgotten(device)));
        }
    }
}

/// A device has given its Accept, and thinks better of it: a partner that counts on it already is told.
#[test]
fn an_accept_is_taken_back() {
    let mut world = World::new(2, ChannelTrust::Pending);
    world.seed();
    world.settle(&mut 3);
    world.initiate(false);
    world.settle(&mut 3);
    world.compare(0);
    assert_eq!(world.mail.len(), 1);
    world.mail.clear();
    world.compare(1);
    world.settle(&mut 3);
    // The first device's Accept was lost: it counts on the second one, which still waits for it.
    assert_eq!(world.devices[0].state(), StateName::Paired);
    assert_eq!(world.devices[1].state(), StateName::Invited);
    let progress = world.devices[1].book().refuse(ID, AbandonReason::GivenUp).unwrap();
    world.post(1, progress);
    for mail in std::mem::take(&mut world.mail) {
        // Abandon is for a device that does not count on it yet, and CeasePair for one that does.
        let progress = world.receive(&mail);
        assert_eq!(progress.is_ok(), matches!(mail.2, Route::Partners(_)));
    }
    assert!(world.is_forgotten(1));
    assert_eq!(world.devices[0].state(), StateName::Ceased);
}

/// A partner that is lost for ever: the end is forced.
#[test]
fn an_end_is_forced() {
    let mut world = World::new(2, ChannelTrust::Compared);
    world.seed();
    world.settle(&mut 7);
    world.initiate(false);
    world.settle(&mut 7);
    let book = world.devices[0].book();
    let _ = book.end(ID).unwrap();
    assert!(book.erase(ID, &[]).is_err(), "the partner has not answered");
    let progress = book.force_end(ID).unwrap();
    assert_eq!(progress.state, StateName::Ceased);
    let plan = book.erase(ID, &[]).unwrap();
    assert!(!plan.steps().is_empty());
}

/// A seed over a channel that nobody has looked at, of pairing `id`, as a stranger sends it.
fn offer(stranger: &Party, to: &Device, id: [u8; 16]) -> (Vec<u8>, OneToOne) {
    let listed = (0..).map(DeviceId).zip([stranger, &to.party]);
    let listed = listed.map(|(device, party)| PairingDevice { device, party: party.clone() });
    let devices: Vec<_> = listed.collect();
    let message = ShareRand { pairing_id: PairingId(id), cipher_suite: 1, seed: seed(), devices };
    let members = vec![stranger.clone(), to.party.clone()];
    let channel = OneToOne { members, trust: ChannelTrust::Pending };
    (message.message().unwrap().expose().to_vec(), channel)
}

fn stranger(n: u8) -> Party {
    Party { identity: b"mallory".to_vec(), signature_key: vec![0x80 + n; 32] }
}

/// Strangers open channels and send seeds, until there is no room for them: few of each, few in all, and
/// none that is long. What has begun stays and comes about, a seed by hand is taken as ever, and there is
/// room again for whom the user has looked at.
#[test]
fn strangers_offer_no_more_than_a_few_pairings() {
    let mut world = World::new(2, ChannelTrust::Pending);
    world.seed();
    world.settle(&mut 7);
    let victim = &world.devices[1];
    let send = |n: u8, number: u8| {
        let (message, channel) =
            offer(&stranger(n), victim, [n, number, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]);
        let source = Source::OneToOne { channel: &channel, sender: &stranger(n) };
        victim.book().receive(source, &message, &is_pair)
    };
    let mut taken = 0;
    for n in 0..20 {
        for number in 0..10 {
            match send(n, number) {
                Ok(_) => taken += 1,
                Err(BookError::TooManyOffers) => {}
                Err(error) => panic!("{error}"),
            }
            let of_one = victim.book().pairings().unwrap();
            let of_one = of_one.iter().filter(|id| id.0[0] == n && id.0[2] == 1).count();
            assert!(of_one <= MAX_OFFERS_OF_ONE);
        }
    }
    assert_eq!(taken, MAX_OFFERS - 1, "with the honest one it is full");
    assert_eq!(victim.book().pairings().unwrap().len(), MAX_OFFERS);
    let records = victim.vault.shelf().load(&RecordName::Pairings).unwrap().unwrap();
    assert!(records.expose().len() < 1_024);

    // A long one is refused before it is looked at.
    let (mut long, channel) = offer(&stranger(0), victim, [9; 16]);
    long.resize(MAX_OFFER_LEN + 1, 0);
    let source = Source::OneToOne { channel: &channel, sender: &stranger(0) };
    assert!(victim.book().receive(source, &long, &is_pair).is_err());

    // By hand, and after the user has looked at one.
    let listed = [(DeviceId(0), stranger(30)), (DeviceId(1), victim.party.clone())];
    let listed = listed.map(|(device, party)| PairingDevice { device, party });
    let by_hand = Roster::new(PairingId([8; 16]), SUITE, listed.to_vec()).unwrap();
    let _ = victim.book().load_seed(by_hand, &seed()).unwrap();
    let first = PairingId([0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]);
    victim.book().abandon(first).unwrap();
    let _ = send(25, 0).unwrap();

    // What was there before goes on.
    for n in 0..2 {
        let progress = world.devices[n].book().confirm_channel(ID, ChannelTrust::Compared).unwrap();
        world.post(n, progress);
    }
    world.trust = ChannelTrust::Compared;
    world.initiate(false);
    world.settle(&mut 9);
    world.all_are(StateName::Paired);
}

/// A length that a message may not have is told before the rest.
#[test]
fn a_long_offer_is_refused() {
    let victim = &devices(2)[1];
    let keys = (0..64).map(|n| Party { identity: vec![n; 1_200], signature_key: vec![n; 32] });
    let parties: Vec<_> = keys.chain([victim.party.clone()]).collect();
    let listed = (0..).map(DeviceId).zip(parties.clone());
    let devices = listed.map(|(device, party)| PairingDevice { device, party }).collect();
    let message = ShareRand { pairing_id: ID, cipher_suite: 1, seed: seed(), devices };
    let message = message.message().unwrap();
    let channel = OneToOne { members: parties.clone(), trust: ChannelTrust::Pending };
    let source = Source::OneToOne { channel: &channel, sender: &parties[0] };
    let refused = victim.book().receive(source, message.expose(), &is_pair).unwrap_err();
    assert!(matches!(refused, BookError::OfferTooLong(_)), "{refused}");
    assert_eq!(victim.book().pairings().unwrap(), []);
}

/// Whoever fills what is kept of early Accepts keeps no true one out.
#[test]
fn early_accepts_are_few_of_each_device() {
    let mut world = World::new(3, ChannelTrust::Compared);
    world.seed();
    world.settle(&mut 7);
    let book = world.devices[1].book();
    let accept = |device: u16, tag: Vec<u8>| {
        let accept = Accept { pairing_id: ID, device: DeviceId(device), tag };
        accept.message().unwrap().expose().to_vec()
    };
    let refused = |message: &[u8]| {
        let refused = book.receive(Source::Relay, message, &is_pair).unwrap_err();
        let BookError::Pairing(PairingError::Peer(refused)) = refused else { panic!("{refused}") };
        refused
    };
    assert_eq!(refused(&accept(7, vec![1; 32])), PeerError::ForeignDevice(DeviceId(7)));
    assert_eq!(refused(&accept(1, vec![1; 32])), PeerError::ForeignDevice(DeviceId(1)));
    for length in [0, 31, 33, 1 << 20] {
        assert!(matches!(refused(&accept(0, vec![1; length])), PeerError::WrongTag { .. }));
    }
    for n in 0..200 {
        for device in [0, 2] {
            let junk = accept(device, vec![n; 32]);
            let _ = book.receive(Source::Relay, &junk, &is_pair).unwrap();
        }
    }
    assert_eq!(book.early(ID).unwrap().len(), 8);

    // The true ones overtake the request, and are not lost.
    world.initiate(false);
    let (requests, others): (Vec<_>, Vec<_>) =
        world.mail.drain(..).partition(|mail| mail.0 == 1 && mail.2 == Route::Directory);
    world.mail = others;
    world.settle(&mut 3);
    world.mail = requests;
    world.settle(&mut 3);
    world.all_are(StateName::Paired);
}
