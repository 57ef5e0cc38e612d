//! The refresh chain: how it is made, what a partner takes, and what it refuses.

use std::sync::atomic::Ordering;

use openmls::prelude::{Capabilities, Lifetime};
use paired_mls::{
    DeviceId, Index, Pairing, PairingId, Secret, Seed, Vault,
    anchor::LeafIndex,
    conformance::{Content, Framing, Member as _},
    leaf::{ChainError, Held, LeafPackage, LeafPackages, MAX_CHAIN_BYTES, RefreshChain},
    wire::{LeafNodeSource, MlsMessage},
};
use paired_mls_openmls::{Adopted, Error, Group, MadeChain, PeerError, Place, UsageError};
use paired_mls_peers::StockOpenMls;

use crate::packages::{
    CIPHERSUITE, DAY, Gadget, HOUR, ID, LAMP, PHONE, SENSOR, SUITE, Town, join_config,
};

const SENSORS: DeviceId = DeviceId(3);

fn pairing(town: &Town) -> Pairing {
    Pairing::new(ID, town.gadgets.iter().map(|gadget| gadget.device.signature_key().to_vec()))
}

fn vault(gadget: &Gadget) -> &Vault {
    gadget.device.vault()
}

/// The sensor makes its chain for a partner.
fn make_for(town: &Town, partner: u16, width: usize) -> MadeChain {
    let device = &town.gadgets[SENSOR].device;
    Group::make_chain(device, ID, DeviceId(partner), width, &Capabilities::default()).unwrap()
}

fn make(town: &Town) -> MadeChain {
    make_for(town, 0, 1)
}

fn adopt(town: &Town, message: &[u8]) -> Result<Adopted, Error> {
    Group::adopt_chain(&town.gadgets[PHONE].device, &pairing(town), message)
}

fn refused(town: &Town, message: &[u8]) -> ChainError {
    let before = kept(&town.gadgets[PHONE]);
    let refused = match adopt(town, message) {
        Err(Error::Peer(PeerError::Chain(refused))) => refused,
        other => panic!("{other:?}"),
    };
    assert_eq!(kept(&town.gadgets[PHONE]), before, "nothing of it is kept");
    refused
}

fn kept(gadget: &Gadget) -> Vec<LeafPackage> {
    vault(gadget).load_leaf_packages(ID).unwrap().0
}

fn window(package: &[u8]) -> (u64, u64) {
    let Ok(MlsMessage::KeyPackage(package)) = MlsMessage::decode(package) else { panic!() };
    let LeafNodeSource::KeyPackage(lifetime) = package.leaf_node().source() else { panic!() };
    (lifetime.not_before(), lifetime.not_after())
}

/// What the sensor's vault makes a chain of, with KeyPackages of these lifetimes.
fn chain_of(town: &Town, lifetimes: &[(u64, u64)]) -> Vec<u8> {
    let sensor = &town.gadgets[SENSOR];
    let packages = lifetimes.iter().map(|(begin, end)| {
        let key_package = sensor.publish(Lifetime::init(*begin, *end));
        kept(sensor).into_iter().find(|kept| kept.key_package == key_package).unwrap()
    });
    vault(sensor).seal_chain(ID, packages.collect()).unwrap()
}

/// Its windows follow one another for more than five years, each 84 days long; it is made once, and made longer where a
/// whole window has room again.
#[test]
fn it_covers_more_than_five_years_and_is_made_once() {
    let town = Town::new();
    let now = town.gadgets[SENSOR].device.now();
    let first = make(&town);
    assert_eq!((first.made, first.packages), (28, 28));
    assert!(first.until >= now + 1_970 * DAY, "more than five years");
    assert!(first.message.len() < 12 << 10, "{} bytes", first.message.len());
    let chain = RefreshChain::decode(&first.message).unwrap();
    let windows: Vec<_> = chain.packages.iter().map(|at| window(&at.key_package)).collect();
    assert!(windows[0].0 < now && windows.iter().all(|(begin, end)| end - begin == 84 * DAY));
    assert!(windows.windows(2).all(|pair| pair[1].0 == pair[0].1 - 14 * DAY), "{windows:?}");

    assert_eq!(make(&town), MadeChain { made: 0, ..first.clone() });
    town.gadgets[SENSOR].wait(69 * DAY);
    assert_eq!(make(&town).made, 0);
    town.gadgets[SENSOR].wait(2 * DAY);
    let longer = make(&town);
    assert_eq!((longer.made, longer.packages), (1, 29));
    assert_eq!(longer.until, first.until + 70 * DAY);
    assert!(longer.newest > first.newest);
    // Another group is renewed by it too, as far as its windows have not begun.
    let wider = make_for(&town, 0, 2);
    assert_eq!((wider.made, wider.until), (27, longer.until));
    // Nobody else has one of them.
    let others = make_for(&town, 1, 1);
    let of = |chain: &MadeChain| RefreshChain::decode(&chain.message).unwrap().packages;
    assert!(of(&others).iter().all(|package| !of(&wider).contains(package)));
    // All of them are gone: a new one begins now.
    town.gadgets[SENSOR].wait(3_000 * DAY);
    let anew = make(&town);
    assert_eq!((anew.made, anew.packages), (28, 28));
}

/// Whatever was made before the device died is used, and only the rest made.
#[test]
fn one_that_was_interrupted_is_gone_on_with() {
    let town = Town::new();
    let whole = make(&town);
    let packages = kept(&town.gadgets[SENSOR]);
    let begun = LeafPackages(packages[..10].to_vec());
    vault(&town.gadgets[SENSOR]).store_leaf_packages(ID, &begun).unwrap();
    let again = make(&town);
    assert_eq!((again.made, again.packages), (18, 28));
    let windows = |chain: &MadeChain| {
        let packages = RefreshChain::decode(&chain.message).unwrap().packages;
        packages.iter().map(|package| window(&package.key_package)).collect::<Vec<_>>()
    };
    assert_eq!(windows(&again), windows(&whole));
    assert_eq!(adopt(&town, &again.message).unwrap().kept, 28);
}

/// The phone keeps it, tells until when it goes, and is not bothered by the same again.
#[test]
fn a_partner_keeps_it_once() {
    let town = Town::new();
    let chain = make(&town);
    let adopted = adopt(&town, &chain.message).unwrap();
    assert_eq!(adopted, Adopted { device: SENSORS, kept: 28, until: chain.until });
    assert_eq!(adopt(&town, &chain.message).unwrap().kept, 0);
    let phone = &town.gadgets[PHONE].device;
    let provisions = town.groups[PHONE].node().unwrap().provisions(phone, 1).unwrap();
    let of = |device| provisions.iter().find(|of| of.device == device).unwrap();
    assert_eq!(of(SENSORS).until, chain.until);
    assert!(of(DeviceId(2)).until < phone.now() + 85 * DAY, "the lamp has handed nothing over");
    // Two groups need two of each window.
    let shared = town.groups[PHONE].node().unwrap().provisions(phone, 2).unwrap();
    assert!(shared.iter().all(|of| of.until < phone.now() + 85 * DAY), "{shared:?}");
}

/// By its tag, its pairing, its device, and its windows.
#[test]
fn what_is_no_chain_of_a_partner_is_refused() {
    let town = Town::new();
    let now = town.gadgets[PHONE].device.now();
    let good = make(&town).message;
    for at in [2, good.len() / 2, good.len() - 1] {
        let mut changed = good.clone();
        changed[at] ^= 1;
        assert!(matches!(refused(&town, &changed), ChainError::Forged | ChainError::Malformed));
    }
    let mut tagged = good.clone();
    *tagged.last_mut().unwrap() ^= 1;
    assert_eq!(refused(&town, &tagged), ChainError::Forged);
    for end in (0..good.len()).step_by(97) {
        assert_eq!(refused(&town, &good[..end]), ChainError::Malformed);
    }
    assert_eq!(refused(&town, &[good.as_slice(), &[0]].concat()), ChainError::Malformed);
    let long = [&good[..2], &vec![0; MAX_CHAIN_BYTES]].concat();
    assert_eq!(refused(&town, &long), ChainError::TooLong);

    // Of another pairing, and its own.
    let other = Pairing { id: PairingId([8; 16]), ..pairing(&town) };
    let elsewhere = Group::adopt_chain(&town.gadgets[PHONE].device, &other, &good).unwrap_err();
    assert!(matches!(elsewhere, Error::Peer(PeerError::Chain(ChainError::OtherPairing))));
    let sensor = &town.gadgets[SENSOR].device;
    let own = Group::adopt_chain(sensor, &pairing(&town), &good).unwrap_err();
    assert!(matches!(own, Error::Peer(PeerError::Chain(ChainError::OtherDevice))));

    let windows = |lifetimes: &[(u64, u64)]| refused(&town, &chain_of(&town, lifetimes));
    let (a, b, c) = (now, now + 70 * DAY, now + 140 * DAY);
    let long = 84 * DAY;
    assert_eq!(windows(&[(a, a + 85 * DAY)]), ChainError::Window);
    assert_eq!(windows(&[(a, a)]), ChainError::Window);
    assert_eq!(windows(&[(a, a + long), (c, c + long)]), ChainError::Order, "a gap");
    assert_eq!(windows(&[(b, b + long), (a, a + long)]), ChainError::Order, "backwards");
    assert_eq!(windows(&[(a, a + long), (a + DAY, a + 2 * DAY)]), ChainError::Order, "inside");
    assert_eq!(windows(&[(a - long, a - HOUR)]), ChainError::Ended);
    assert_eq!(windows(&[]), ChainError::Ended);
    let sensors = vault(&town.gadgets[SENSOR]);
    let one = kept(&town.gadgets[SENSOR])[0].clone();
    let twice = sensors.seal_chain(ID, vec![one.clone(), one.clone()]).unwrap();
    assert_eq!(refused(&town, &twice), ChainError::Twice);
    let many = sensors.seal_chain(ID, vec![one; 300]).map(drop);
    assert!(many.is_err(), "it is not written either");
    // Several of one window are for several groups.
    let wide = chain_of(&town, &[(a, a + long), (a, a + long), (b, b + long), (b, b + long)]);
    assert_eq!(adopt(&town, &wide).unwrap().kept, 4);
}

/// However many a partner makes.
#[test]
fn of_a_partner_so_many_are_kept_and_no_more() {
    let town = Town::new();
    let chain = make(&town);
    let full = |count: u64| {
        let junk = (1_000..1_000 + count).map(|position| LeafPackage {
            index: Index::new(SENSORS, position).unwrap(),
            key_package: vec![0; 4],
            held: Held::Free,
        });
        let junk = LeafPackages(junk.collect());
        vault(&town.gadgets[PHONE]).store_leaf_packages(ID, &junk).unwrap();
    };
    full(485);
    assert_eq!(refused(&town, &chain.message), ChainError::TooLong);
    full(484);
    assert_eq!(adopt(&town, &chain.message).unwrap().kept, 28);
}

/// Somebody has the sensor's signature key, or sits in the sensor's place with its vault and makes what the tape does not
/// give.
#[test]
fn what_is_not_from_the_tape_is_refused() {
    let town = Town::new();
    let sensor = &town.gadgets[SENSOR];
    // MLS would take this one: it has the right signature.
    let stolen = sensor.device.key_package(CIPHERSUITE).unwrap();
    let index = Index::new(SENSORS, 0).unwrap();
    let package = |index, key_package: &[u8]| LeafPackage {
        index,
        key_package: key_package.to_vec(),
        held: Held::Free,
    };
    let message = vault(sensor).seal_chain(ID, vec![package(index, &stolen)]).unwrap();
    assert!(matches!(adopt(&town, &message), Err(Error::Peer(PeerError::NotFromTheTape))));
    // A KeyPackage of the lamp, and a place of the lamp, in a chain of the sensor.
    let lamps = town.gadgets[LAMP].publish(Lifetime::default());
    let message = vault(sensor).seal_chain(ID, vec![package(index, &lamps)]).unwrap();
    assert_eq!(refused(&town, &message), ChainError::OtherDevice);
    let lane = Index::new(DeviceId(2), 0).unwrap();
    let message = vault(sensor).seal_chain(ID, vec![package(lane, &lamps)]).unwrap();
    assert_eq!(refused(&town, &message), ChainError::OtherDevice);
    // The signature is another one.
    let mut unsigned = sensor.publish(Lifetime::default());
    *unsigned.last_mut().unwrap() ^= 1;
    let message = vault(sensor).seal_chain(ID, vec![package(index, &unsigned)]).unwrap();
    assert_eq!(refused(&town, &message), ChainError::OtherDevice);
}

/// A recording of an older chain, and of one whose first KeyPackage was used.
#[test]
fn an_old_one_is_refused_and_what_was_used_stays_used() {
    let mut town = Town::new();
    let old = make(&town);
    adopt(&town, &old.message).unwrap();
    let first = RefreshChain::decode(&old.message).unwrap().packages[0].key_package.clone();
    let phone = &town.gadgets[PHONE].device;
    let sent = town.groups[PHONE].node_mut().unwrap().refresh(phone, &first).unwrap();
    town.refreshed_by(&sent.commit, &sent.refresh.unwrap(), &[1, LAMP]);
    for gadget in [PHONE, SENSOR].map(|n| &town.gadgets[n]) {
        assert!(kept(gadget).iter().all(|package| package.key_package != first), "it is spent");
    }
    assert_eq!(adopt(&town, &old.message).unwrap().kept, 0);
    let phone = &town.gadgets[PHONE].device;
    assert!(town.groups[PHONE].node_mut().unwrap().refresh(phone, &first).is_err());

    town.gadgets[SENSOR].wait(71 * DAY);
    assert_eq!(adopt(&town, &make(&town).message).unwrap().kept, 1);
    assert_eq!(refused(&town, &old.message), ChainError::Older);
    town.gadgets[PHONE].wait(2_000 * DAY);
    assert_eq!(refused(&town, &old.message), ChainError::Ended);
}

/// A partner uses a window while the one before it has not ended: what is made longer then has no gap, and is taken.
#[test]
fn what_was_used_early_leaves_no_gap() {
    let mut town = Town::new();
    // It was made 75 days ago, by the clock that OpenMLS reads.
    let now = town.gadgets[SENSOR].device.now();
    let at = |town: &Town, time: u64| {
        for gadget in [PHONE, SENSOR].map(|n| &town.gadgets[n]) {
            gadget.clock.store(time, Ordering::Relaxed);
        }
    };
    at(&town, now - 75 * DAY);
    let chain = make(&town);
    adopt(&town, &chain.message).unwrap();
    at(&town, now);
    let second = RefreshChain::decode(&chain.message).unwrap().packages[1].key_package.clone();
    let phone = &town.gadgets[PHONE].device;
    let sent = town.groups[PHONE].node_mut().unwrap().refresh(phone, &second).unwrap();
    town.refreshed_by(&sent.commit, &sent.refresh.unwrap(), &[1, LAMP]);
    let longer = make(&town);
    let adopted = adopt(&town, &longer.message).unwrap();
    assert_eq!((adopted.kept, adopted.until), (1, longer.until));
    // Another group comes: one more for each window to come.
    let wider = make_for(&town, 0, 2);
    assert_eq!(adopt(&town, &wider.message).unwrap().kept, wider.made);
}

/// Each KeyPackage is used once: what a commit of one group uses, no other group does, also if it is still on its way.
#[test]
fn what_one_group_uses_no_other_does() {
    let mut town = Town::new();
    adopt(&town, &make(&town).message).unwrap();
    let phone = &town.gadgets[PHONE].device;
    let first = kept(&town.gadgets[PHONE])[0].key_package.clone();
    let held = |town: &Town| {
        let kept = kept(&town.gadgets[PHONE]);
        kept.into_iter().find(|package| package.key_package == first).unwrap().held
    };
    assert_eq!(held(&town), Held::Free);
    town.groups[PHONE].node_mut().unwrap().refresh(phone, &first).unwrap();
    assert_eq!(held(&town), Held::InGroup(b"packages".to_vec()));
    // Another commit has won: the same one is used again, by the same group.
    town.groups[PHONE].discard(phone).unwrap();
    town.groups[PHONE].node_mut().unwrap().refresh(phone, &first).unwrap();
    town.groups[PHONE].discard(phone).unwrap();

    let mut packages = LeafPackages(kept(&town.gadgets[PHONE]));
    packages.0[0].held = Held::InGroup(b"another group".to_vec());
    vault(&town.gadgets[PHONE]).store_leaf_packages(ID, &packages).unwrap();
    let refused = town.groups[PHONE].node_mut().unwrap().refresh(phone, &first).unwrap_err();
    assert!(matches!(refused, Error::Usage(UsageError::PackageTaken)), "{refused}");
}

/// The sensor's leaf ends in so many seconds.
fn ends_in(town: &mut Town, seconds: u64) {
    let now = town.gadgets[SENSOR].device.now();
    let short = town.gadgets[SENSOR].publish(Lifetime::init(now - HOUR, now + seconds));
    let phone = &town.gadgets[PHONE].device;
    let sent = town.groups[PHONE].node_mut().unwrap().refresh(phone, &short).unwrap();
    town.refreshed_by(&sent.commit, &sent.refresh.unwrap(), &[1, LAMP]);
}

fn is_due(town: &mut Town, n: usize) -> bool {
    let device = &town.gadgets[n].device;
    let made = town.groups[n].heal_if_due(device).unwrap();
    if made.is_some() {
        town.groups[n].discard(device).unwrap();
    }
    made.is_some_and(|made| made.refresh.is_some())
}

/// In time, and not before: it depends on nothing but the leaves, what is at hand, and the time.
#[test]
fn a_leaf_is_renewed_in_time() {
    let mut town = Town::new();
    adopt(&town, &make(&town).message).unwrap();
    for (left, due) in [(15 * DAY, false), (13 * DAY, true), (HOUR, true)] {
        ends_in(&mut town, left);
        assert_eq!(is_due(&mut town, PHONE), due, "{left}");
        assert!(!is_due(&mut town, LAMP), "it has nothing at hand");
        assert!(!is_due(&mut town, SENSOR), "it renews nobody");
    }
    // The clock is an argument.
    ends_in(&mut town, 20 * DAY);
    assert!(!is_due(&mut town, PHONE));
    town.gadgets[PHONE].wait(7 * DAY);
    assert!(is_due(&mut town, PHONE));
}

/// What lasts hardly longer than the leaf is for its last day.
#[test]
fn no_leaf_is_renewed_for_nothing() {
    for (left, due) in [(10 * DAY, false), (DAY / 2, true)] {
        let mut town = Town::new();
        ends_in(&mut town, left);
        let now = town.gadgets[SENSOR].device.now();
        let hardly = town.gadgets[SENSOR].publish(Lifetime::init(now - HOUR, now + 11 * DAY));
        let phone = &town.gadgets[PHONE].device;
        town.groups[PHONE].node_mut().unwrap().adopt(phone, &hardly).unwrap();
        assert_eq!(is_due(&mut town, PHONE), due);
    }
}

/// Two partners renew the sensor at once: one wins, and the other one has nothing to do any more. What it had is for the
/// next time.
#[test]
fn two_partners_renew_at_once() {
    let mut town = Town::new();
    ends_in(&mut town, 10 * DAY);
    for n in [PHONE, LAMP] {
        let chain = make_for(&town, u16::try_from(n).unwrap(), 1);
        Group::adopt_chain(&town.gadgets[n].device, &pairing(&town), &chain.message).unwrap();
    }
    let [mut first, second] = [PHONE, LAMP].map(|n| {
        let device = &town.gadgets[n].device;
        town.groups[n].heal_if_due(device).unwrap().expect("it is due")
    });
    assert_ne!(first.refresh, second.refresh);
    let refresh = first.refresh.take().unwrap();
    town.refreshed_by(&first.commit, &refresh, &[1, LAMP]);
    assert!(!town.groups[LAMP].has_pending());
    assert!(!is_due(&mut town, LAMP) && !is_due(&mut town, PHONE), "the leaf is new");
    let left = |n: usize| {
        let of_the_sensor = |package: &LeafPackage| package.index.device() == SENSORS;
        kept(&town.gadgets[n]).into_iter().filter(of_the_sensor).count()
    };
    assert_eq!((left(PHONE), left(LAMP)), (27, 28));
}

/// Where the new leaf would not come under the anchor nothing is torn apart, and that is said beforehand.
#[test]
fn a_leaf_without_a_place_is_not_renewed_and_that_is_said() {
    // Ada, Eve, the phone, the sensor; and Eve goes.
    let mut ada = StockOpenMls::new(SUITE, Framing::Public, "ada").unwrap();
    ada.create(b"apart").unwrap();
    let mut eve = StockOpenMls::new(SUITE, Framing::Public, "eve").unwrap();
    let gadgets = ["phone", "sensor"].map(Gadget::new);
    let mut adds = vec![eve.key_package().unwrap()];
    adds.extend(gadgets.iter().map(|gadget| gadget.device.key_package(CIPHERSUITE).unwrap()));
    let sent = ada.commit(&Content { adds, removes: Vec::new() }).unwrap();
    ada.confirm().unwrap();
    let welcome = sent.welcome.unwrap();
    let pairing = Pairing::new(ID, gadgets.each_ref().map(|at| at.device.signature_key().to_vec()));
    let mut groups = gadgets.each_ref().map(|gadget| {
        let mut group = Group::join(&gadget.device, &welcome, &join_config()).unwrap();
        let seed = Seed::new(SUITE, Secret::new(vec![5; SUITE.kdf_len()])).unwrap();
        let number = u16::from(gadget.device.signature_key() == pairing.devices[1].signature_key);
        pairing.install(gadget.device.vault(), SUITE, seed, DeviceId(number)).unwrap();
        group.pair(&gadget.device, &pairing).unwrap();
        group
    });
    let place = |group: &Group| {
        let provisions = group.node().unwrap().provisions(&gadgets[0].device, 1).unwrap();
        provisions[0].place
    };
    assert_eq!(place(&groups[0]), Place::UnderTheAnchor);
    let removes = vec![LeafIndex::new(1).unwrap()];
    let sent = ada.commit(&Content { adds: Vec::new(), removes }).unwrap();
    ada.confirm().unwrap();
    for (group, gadget) in groups.iter_mut().zip(&gadgets) {
        group.process(&gadget.device, &sent.commit).unwrap();
    }
    assert_eq!(place(&groups[0]), Place::Elsewhere);
    // A leaf that ends tomorrow is due, and has no place.
    let (phone, sensor) = (&gadgets[0].device, &gadgets[1].device);
    let chain = Group::make_chain(sensor, ID, DeviceId(0), 1, &Capabilities::default()).unwrap();
    Group::adopt_chain(phone, &pairing, &chain.message).unwrap();
    gadgets[0].wait(83 * DAY);
    let first = kept(&gadgets[0])[0].key_package.clone();
    let refused = groups[0].node_mut().unwrap().refresh(phone, &first).unwrap_err();
    assert!(matches!(refused, Error::Usage(UsageError::RefreshPlace)), "{refused}");
    assert!(groups[0].heal_if_due(phone).unwrap().is_none());
    assert!(!groups[0].has_pending());
}
