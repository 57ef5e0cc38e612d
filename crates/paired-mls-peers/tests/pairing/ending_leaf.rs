//! The end of a pairing behind one leaf, in its group, whatever the partner does.

use paired_mls::{
    DeviceId, Event,
    conformance::{Content, Listener as _, Member as _},
    pairing::{AnchorKind, PartnerPromise, Progress, StateName, Step},
};
use paired_mls_openmls::{Device, Error, Group, Received, UsageError, gate_capabilities};
use paired_mls_peers::Door;

use crate::cast::{
    AGAIN, CIPHERSUITE, GROUP, ID, PHONE, Pairing, Platform, SENSOR, Stock, WATCH, ada, ada_adds,
    behind_a_leaf, events, is_healed, join_config, same_epoch,
};

/// Devices behind one leaf, in hidden mode behind an open door, and in standard mode behind a gate.
struct Leaf {
    pairing: Pairing,
    ada: Stock,
    members: Vec<(Device<Platform>, Group)>,
    door: Door,
}

impl Leaf {
    fn of(door: Door, devices: usize) -> Self {
        let mut pairing = Pairing::of(&["alice"; 3][..devices]);
        pairing.seed();
        match door {
            Door::Gated => pairing.initiate_standard(AnchorKind::Leaf),
            _ => pairing.initiate_hidden(),
        }
        let mut ada = ada(door, GROUP);
        let members = behind_a_leaf(&pairing, &mut ada);
        Self { pairing, ada, members, door }
    }

    /// The device ends the pairing, and commits no more.
    fn end(&mut self, by: usize) -> Progress {
        let ending = self.pairing.gadgets[by].book().end(ID).unwrap();
        let (device, group) = &mut self.members[by];
        group.cease(device).unwrap();
        let refused = group.update(device).unwrap_err();
        assert!(matches!(refused, Error::Usage(UsageError::Ceasing)));
        ending
    }

    /// A partner commits from the tape all the same: the device that has ended the pairing follows, and
    /// notices.
    fn is_noticed(&mut self, partner: usize, by: usize) {
        let (device, group) = &mut self.members[partner];
        let sent = group.update(device).unwrap();
        let index = group.pending_index().unwrap();
        group.confirm(device).unwrap();
        self.ada.process(&sent.commit).unwrap();
        for (n, (device, group)) in self.members.iter_mut().enumerate() {
            if n != partner {
                assert!(is_healed(&events(group.process(device, &sent.commit).unwrap())));
            }
            same_epoch(&self.ada, group.mls());
        }
        let noticed = self.pairing.gadgets[by].book().detect(ID, index).unwrap().unwrap();
        let device = DeviceId(u16::try_from(partner).unwrap());
        assert_eq!((noticed.device, noticed.promise), (device, PartnerPromise::Missing));
    }

    /// The device proposes that the leaf be removed, and Ada commits it: all devices are out.
    fn leave(&mut self, by: usize) {
        let (device, group) = &mut self.members[by];
        let proposal = group.leave(device).unwrap();
        self.ada.process(&proposal).unwrap();
        for (n, (device, group)) in self.members.iter_mut().enumerate() {
            if n != by {
                assert_eq!(group.process(device, &proposal).unwrap(), Received::Proposal);
            }
        }
        let sent = self.ada.commit(&Content::default()).unwrap();
        self.ada.confirm().unwrap();
        for (device, group) in &mut self.members {
            let heard = events(group.process(device, &sent.commit).unwrap());
            assert!(heard.contains(&Event::Removed));
        }
    }

    /// A device erases all that it has of the leaf.
    fn erase(&mut self, n: usize) {
        let (device, group) = self.members.remove(0);
        group.erase(&device).unwrap();
        // OpenMLS forgets to erase the proposal that has removed the leaf, which is public.
        let records = device.provider().records().into_keys();
        let left: Vec<_> = records.filter(|key| !key.starts_with(b"QueuedProposal")).collect();
        assert!(left.is_empty(), "of the leaf is left: {left:?}");
        let book = self.pairing.gadgets[n].book();
        let plan = book.erase(ID, &[GROUP.to_vec()]).unwrap();
        let all: Vec<_> = (0..).map(DeviceId).take(self.pairing.gadgets.len()).collect();
        assert!(plan.steps().contains(&Step::Return(all)));
        // The key of a hidden leaf is gone, and that of a device is its own.
        assert_eq!(device.key_package(CIPHERSUITE).is_err(), self.door == Door::Open);
    }

    /// Devices come back, each for itself.
    fn return_apart(&mut self, devices: &[usize]) {
        let gadgets = devices.iter().map(|n| &self.pairing.gadgets[*n]);
        let packages = gadgets
            .clone()
            .map(|gadget| gadget.own.key_package_with(CIPHERSUITE, gate_capabilities()).unwrap());
        let (_, welcome) = ada_adds(&mut self.ada, packages.collect());
        for gadget in gadgets {
            let group = Group::join(&gadget.own, &welcome, &join_config()).unwrap();
            same_epoch(&self.ada, group.mls());
            assert_eq!(group.phase(), None);
        }
    }
}

/// In both modes: nobody commits from the leaf any more, it leaves, and each device comes back with a
/// leaf and a key of its own. Nothing of the shared one is left on either.
#[test]
fn both_leave_a_leaf() {
    for door in [Door::Open, Door::Gated] {
        let mut leaf = Leaf::of(door, 2);
        let ending = leaf.end(PHONE);
        // The sensor does not know yet.
        leaf.is_noticed(SENSOR, PHONE);
        leaf.pairing.post(PHONE, ending);
        leaf.pairing.all_are(StateName::Ceased);
        let (device, group) = &mut leaf.members[SENSOR];
        group.cease(device).unwrap();
        leaf.leave(PHONE);
        [PHONE, SENSOR].into_iter().for_each(|n| leaf.erase(n));
        leaf.return_apart(&[PHONE, SENSOR]);
    }
}

/// The sensor ignores the request and goes on. The phone loses nothing and notices each time; it has the
/// leaf removed, which the sensor cannot keep from happening, and comes back alone, under its own key.
#[test]
fn a_partner_that_goes_on_behind_a_leaf_is_noticed() {
    for door in [Door::Open, Door::Gated] {
        let mut leaf = Leaf::of(door, 2);
        let _ = leaf.end(PHONE);
        for _ in 0..3 {
            leaf.is_noticed(SENSOR, PHONE);
            let book = leaf.pairing.gadgets[PHONE].book();
            assert!(book.erase(ID, &[]).is_err(), "the tape is still needed");
        }
        leaf.leave(PHONE);
        let (device, group) = &mut leaf.members[SENSOR];
        assert!(group.update(device).is_err(), "it is out as well");
        let ended = leaf.pairing.gadgets[PHONE].book().force_end(ID).unwrap();
        assert_eq!(ended.state, StateName::Ceased);
        leaf.erase(PHONE);
        leaf.return_apart(&[PHONE]);
    }
}

/// The sensor is lost for ever: the phone ends the pairing without it.
#[test]
fn a_partner_behind_a_leaf_is_lost() {
    for door in [Door::Open, Door::Gated] {
        let mut leaf = Leaf::of(door, 2);
        leaf.members.pop();
        let _ = leaf.end(PHONE);
        leaf.leave(PHONE);
        let _ = leaf.pairing.gadgets[PHONE].book().force_end(ID).unwrap();
        leaf.erase(PHONE);
        leaf.return_apart(&[PHONE]);
        assert_eq!(leaf.ada.group().unwrap().members().count(), 2);
    }
}

/// Of three devices behind a leaf one ends the pairing: all leave, and the other two pair anew and come
/// back behind a leaf of theirs.
#[test]
fn of_three_behind_a_leaf_two_pair_anew() {
    for door in [Door::Open, Door::Gated] {
        let mut leaf = Leaf::of(door, 3);
        let ending = leaf.end(SENSOR);
        leaf.is_noticed(WATCH, SENSOR);
        leaf.pairing.post(SENSOR, ending);
        leaf.pairing.all_are(StateName::Ceased);
        leaf.leave(SENSOR);
        [PHONE, SENSOR, WATCH].into_iter().for_each(|n| leaf.erase(n));
        leaf.return_apart(&[SENSOR]);

        let staying = [PHONE, WATCH].map(|n| leaf.pairing.gadgets[n].renamed().in_pairing(AGAIN));
        let mut again = Pairing::between(staying.into());
        again.seed();
        match door {
            Door::Gated => again.initiate_standard(AnchorKind::Leaf),
            _ => again.initiate_hidden(),
        }
        let mut members = behind_a_leaf(&again, &mut leaf.ada);
        for by in [0, 1] {
            let (device, group) = &mut members[by];
            let sent = group.update(device).unwrap();
            group.confirm(device).unwrap();
            leaf.ada.process(&sent.commit).unwrap();
            let (device, group) = &mut members[1 - by];
            assert!(is_healed(&events(group.process(device, &sent.commit).unwrap())));
            members.iter().for_each(|(_, group)| same_epoch(&leaf.ada, group.mls()));
        }
    }
}
