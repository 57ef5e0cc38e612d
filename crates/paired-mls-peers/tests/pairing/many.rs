//! One device in several pairings, and one pairing in several groups: each has a tape of its own.

use paired_mls::{
    DeviceId, Event, Index, PairingId, RecordName, TapeId, VaultError,
    conformance::Listener as _,
    pairing::{AnchorKind, StateName},
    vault::VaultStorage as _,
};
use paired_mls_openmls::{Error, Group, UsageError};
use paired_mls_peers::Door;

use crate::cast::{
    AGAIN, Gadget, ID, PHONE, Pairing, SENSOR, ada, at_a_node, behind_a_leaf, events, same_epoch,
};

fn healed(events: &[Event]) -> Option<Index> {
    events.iter().find_map(|event| match event {
        Event::Healed { index, .. } => *index,
        _ => None,
    })
}

/// The first value of the phone's lane for an epoch.
fn first(epoch: u64) -> Option<Index> {
    Index::first_for(DeviceId(0), epoch)
}

/// A phone heals three sensors, each in a pairing and a group of its own. One of them is ended, and
/// one sensor is lost: the others go on.
#[test]
fn a_phone_heals_three_sensors() {
    let phone = Gadget::new("a phone");
    let mut towns = Vec::new();
    for (n, sensor) in (1..).zip(["a lamp", "a lock", "a meter"]) {
        let id = PairingId([n; 16]);
        let mut pairing =
            Pairing::between(vec![phone.in_pairing(id), Gadget::new(sensor).in_pairing(id)]);
        pairing.carry_seed();
        pairing.initiate_standard(AnchorKind::Node);
        pairing.all_are(StateName::Paired);
        let mut ada = ada(Door::Open, &[n]);
        let groups = at_a_node(&pairing, &mut ada);
        towns.push((pairing, ada, groups));
    }
    let ids: Vec<_> = towns.iter().map(|(pairing, ..)| pairing.id()).collect();
    assert_eq!(phone.book().pairings().unwrap(), ids);

    for (pairing, ada, groups) in &mut towns {
        let sent = groups[PHONE].update(&phone.own).unwrap();
        groups[PHONE].confirm(&phone.own).unwrap();
        ada.process(&sent.commit).unwrap();
        let sensor = &pairing.gadgets[SENSOR];
        let heard = groups[SENSOR].process(&sensor.own, &sent.commit).unwrap();
        assert_eq!(healed(&events(heard)), first(groups[PHONE].epoch()));
        same_epoch(ada, groups[SENSOR].mls());
        // No sensor has anything of another's tape.
        for other in ids.iter().filter(|id| **id != pairing.id()) {
            let missing = sensor.own.vault().pairing_info(*other);
            assert!(matches!(missing, Err(VaultError::Missing(_))));
        }
    }

    // The lamp's pairing is ended, and the lock is lost with its vault: the meter is healed.
    let (lamp, _, groups) = &mut towns[0];
    let ending = lamp.gadgets[PHONE].book().end(lamp.id()).unwrap();
    groups[PHONE].cease(&phone.own).unwrap();
    lamp.post(PHONE, ending);
    lamp.all_are(StateName::Ceased);
    phone.book().erase(lamp.id(), &[vec![1]]).unwrap();
    let group = Group::load(&phone.own, groups[PHONE].group_id()).unwrap();
    groups[PHONE] = group.unpair(&phone.own).unwrap().unwrap();
    let (lock, ..) = towns.remove(1);
    drop(lock);
    let (meter, ada, groups) = &mut towns[1];
    let sent = groups[PHONE].update(&phone.own).unwrap();
    ada.process(&sent.commit).unwrap();
    let heard = groups[SENSOR].process(&meter.gadgets[SENSOR].own, &sent.commit).unwrap();
    assert_eq!(healed(&events(heard)), first(groups[SENSOR].epoch()));
}

/// In one group a device is in one pairing: who wants to heal several partners there pairs with all of
/// them at once.
#[test]
fn a_group_has_one_pairing_of_a_device() {
    let mut pairing = Pairing::of(&["a phone", "a sensor"]);
    pairing.carry_seed();
    pairing.initiate_standard(AnchorKind::Node);
    let mut groups = at_a_node(&pairing, &mut ada(Door::Open, b"a group"));
    let gadgets = pairing.gadgets.iter().map(|gadget| gadget.in_pairing(AGAIN)).collect();
    let mut other = Pairing::between(gadgets);
    other.carry_seed();
    other.initiate_standard(AnchorKind::Node);
    let phone = &other.gadgets[PHONE];
    let refused = groups[PHONE].pair(&phone.own, &phone.terms().pairing());
    assert!(matches!(refused, Err(Error::Usage(UsageError::AlreadyPaired))));
    assert!(groups[PHONE].update(&phone.own).is_ok());
}

fn tape(group_id: &[u8]) -> TapeId {
    TapeId { pairing: ID, group_id: group_id.to_vec() }
}

/// A pairing below a node in three groups. Whoever has all of a sensor but the vault, and of that the
/// tape of one group, follows there and nowhere else; and where that tape is lost, only that group is.
#[test]
fn each_group_has_a_tape_of_its_own() {
    let mut pairing = Pairing::of(&["a phone", "a sensor"]);
    pairing.carry_seed();
    pairing.initiate_standard(AnchorKind::Node);
    let ids = [&b"work"[..], b"home", b"club"];
    let mut towns = ids.map(|group_id| {
        let mut ada = ada(Door::Open, group_id);
        let groups = at_a_node(&pairing, &mut ada);
        (ada, groups)
    });
    let (phone, sensor) = (&pairing.gadgets[PHONE], &pairing.gadgets[SENSOR]);
    // The phone's first commits open its lanes.
    for (ada, groups) in &mut towns {
        let sent = groups[PHONE].update(&phone.own).unwrap();
        groups[PHONE].confirm(&phone.own).unwrap();
        ada.process(&sent.commit).unwrap();
        groups[SENSOR].process(&sensor.own, &sent.commit).unwrap();
    }
    let group = |id: &[u8]| RecordName::Group(id.to_vec());
    let [work, home, club] = ids;
    let loot = [RecordName::SubTape(tape(work)), group(work), group(home), group(club)];
    let thief = sensor.thief(&sensor.own, &loot);
    let loot = [RecordName::Pairing(ID), group(work), group(home), group(club)];
    let root = sensor.thief(&sensor.own, &loot);
    sensor.storage.remove(&RecordName::SubTape(tape(club))).unwrap();

    for (id, (ada, groups)) in ids.into_iter().zip(&mut towns) {
        assert_eq!(groups[PHONE].pairing_tape(), Some(&tape(id)));
        let sent = groups[PHONE].update(&phone.own).unwrap();
        ada.process(&sent.commit).unwrap();
        let heard = groups[SENSOR].process(&sensor.own, &sent.commit);
        if id == club {
            assert!(heard.is_err(), "its tape is lost");
        } else {
            assert_eq!(healed(&events(heard.unwrap())), first(groups[SENSOR].epoch()));
            same_epoch(ada, groups[SENSOR].mls());
        }
        let stolen = Group::load(&thief, id).unwrap().process(&thief, &sent.commit);
        assert_eq!(stolen.is_ok(), id == work);
        // Nor does the pairing's own tape lead back to any of them.
        root.vault().open_group(ID, id).unwrap();
        let from_root = Group::load(&root, id).unwrap().process(&root, &sent.commit);
        assert!(from_root.is_err());
    }
}

/// The same behind a leaf.
#[test]
fn each_group_of_a_leaf_has_a_tape_of_its_own() {
    let mut pairing = Pairing::of(&["alice"; 2]);
    pairing.seed();
    pairing.initiate_hidden();
    let ids = [&b"work"[..], b"home"];
    let mut towns = ids.map(|group_id| {
        let mut ada = ada(Door::Open, group_id);
        let leaf = behind_a_leaf(&pairing, &mut ada);
        (ada, leaf)
    });
    let [work, home] = ids;
    let leaf = |id: &[u8]| RecordName::Leaf(id.to_vec());
    // The phone's first commits open its lanes.
    for (ada, members) in &mut towns {
        let (device, group) = &mut members[PHONE];
        let sent = group.update(device).unwrap();
        group.confirm(device).unwrap();
        ada.process(&sent.commit).unwrap();
        let (device, group) = &mut members[SENSOR];
        group.process(device, &sent.commit).unwrap();
    }
    for (id, (ada, members)) in ids.into_iter().zip(&mut towns) {
        // The state of this group, and the tape of the other one.
        let other = if id == work { home } else { work };
        let sensor = &pairing.gadgets[SENSOR];
        let state = &members[SENSOR].0;
        let loot = [RecordName::SubTape(tape(other)), leaf(id)];
        let control = [RecordName::SubTape(tape(id)), leaf(id)];
        let [thief, control] = [&loot, &control].map(|loot| sensor.thief(state, loot));

        let (device, group) = &mut members[PHONE];
        let sent = group.update(device).unwrap();
        assert_eq!(group.pending_index(), first(group.epoch() + 1));
        group.confirm(device).unwrap();
        ada.process(&sent.commit).unwrap();
        let follows = |thief| Group::load(thief, id).unwrap().process(thief, &sent.commit);
        assert!(follows(&thief).is_err());
        assert!(follows(&control).is_ok());
        let (device, group) = &mut members[SENSOR];
        assert!(healed(&events(group.process(device, &sent.commit).unwrap())).is_some());
        same_epoch(ada, group.mls());
    }
}

/// A stranger makes hundreds of groups with both devices, and the phone commits in most of them: that
/// takes nothing from the groups that they care about, and nothing fails.
#[test]
fn hundreds_of_groups_of_a_stranger_cost_nothing_that_matters() {
    let mut pairing = Pairing::of(&["a phone", "a sensor"]);
    pairing.carry_seed();
    pairing.initiate_standard(AnchorKind::Node);
    let (phone, sensor) = (&pairing.gadgets[PHONE], &pairing.gadgets[SENSOR]);
    let nodes = || {
        let stored = |gadget: &Gadget| gadget.own.vault().pairing_info(ID).unwrap().stored_nodes;
        (stored(phone), stored(sensor))
    };
    let mut work = (ada(Door::Open, b"work"), Vec::new());
    work.1 = at_a_node(&pairing, &mut work.0);
    assert_eq!(nodes(), (1, 1), "to pair takes nothing from the tape");
    for n in 0_u16..220 {
        let id = [b"a stranger's ", &n.to_be_bytes()[..]].concat();
        let mut mallory = ada(Door::Open, &id);
        let mut groups = at_a_node(&pairing, &mut mallory);
        if n % 3 == 0 {
            continue;
        }
        // The sensor follows in some of them.
        let sent = groups[PHONE].update(&phone.own).unwrap();
        if n % 3 == 1 {
            let heard = groups[SENSOR].process(&sensor.own, &sent.commit).unwrap();
            assert!(healed(&events(heard)).is_some());
        }
        assert!(nodes().0 <= 64 && nodes().1 <= 64 + usize::from(n), "{:?}", nodes());
    }
    let (ada, groups) = &mut work;
    let sent = groups[PHONE].update(&phone.own).unwrap();
    groups[PHONE].confirm(&phone.own).unwrap();
    ada.process(&sent.commit).unwrap();
    let heard = groups[SENSOR].process(&sensor.own, &sent.commit).unwrap();
    assert_eq!(healed(&events(heard)), first(groups[PHONE].epoch()));
    same_epoch(ada, groups[SENSOR].mls());
}
