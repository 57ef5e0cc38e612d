//! The end of a pairing in its groups: for each anchor and mode, and whatever the partner does.

use openmls::prelude::Ciphersuite;
use paired_mls::{
    DeviceId, Event, Phase,
    anchor::LeafIndex,
    conformance::{Content, Listener as _, Member as _},
    pairing::{AnchorKind, PartnerPromise, Progress, StateName, Step},
};
use paired_mls_openmls::{Error, Outgoing, PairedGroup, UsageError};
use paired_mls_peers::Door;

use crate::cast::{
    CIPHERSUITE, Gadget, ID, PHONE, Pairing, SENSOR, Stock, ada, ada_adds, at_a_node,
    behind_a_leaf, events, join_config, same_epoch,
};

const GROUP: &[u8] = b"a group";

/// Two devices below a node, paired.
struct Node {
    pairing: Pairing,
    ada: Stock,
    groups: Vec<PairedGroup>,
}

impl Node {
    fn new(identities: &[&str]) -> Self {
        let mut pairing = Pairing::of(identities);
        pairing.seed();
        pairing.initiate_standard(AnchorKind::Node);
        let mut ada = ada(Door::Open, GROUP);
        let groups = at_a_node(&pairing, &mut ada);
        Self { pairing, ada, groups }
    }

    fn end(&self, by: usize) -> Progress {
        self.pairing.gadgets[by].book().end(ID).unwrap()
    }

    /// A device commits, and the other ones follow; returns the events at the last of them.
    fn update(&mut self, by: usize) -> Vec<Event> {
        let sent = self.groups[by].update(&self.pairing.gadgets[by].own).unwrap();
        self.deliver(by, &sent)
    }

    fn deliver(&mut self, by: usize, sent: &Outgoing) -> Vec<Event> {
        self.groups[by].confirm(&self.pairing.gadgets[by].own).unwrap();
        self.ada.process(&sent.commit).unwrap();
        let mut heard = Vec::new();
        for (n, group) in self.groups.iter_mut().enumerate() {
            if n != by {
                let received = group.process(&self.pairing.gadgets[n].own, &sent.commit);
                heard = events(received.unwrap());
            }
            same_epoch(&self.ada, group.mls());
        }
        heard
    }

    fn cease(&mut self, n: usize) {
        self.groups[n].cease(&self.pairing.gadgets[n].own).unwrap();
    }

    /// A device leaves, and comes back under another signature key.
    fn leave_and_return(&mut self, n: usize) {
        let old = &self.pairing.gadgets[n];
        let proposal = self.groups[n].leave(&old.own).unwrap();
        self.ada.process(&proposal).unwrap();
        for (other, group) in self.groups.iter_mut().enumerate() {
            if other != n {
                group.process(&self.pairing.gadgets[other].own, &proposal).unwrap();
            }
        }
        let sent = self.ada.commit(&Content::default()).unwrap();
        self.ada.confirm().unwrap();
        for (n, group) in self.groups.iter_mut().enumerate() {
            group.process(&self.pairing.gadgets[n].own, &sent.commit).unwrap();
        }
        assert!(!self.groups[n].mls().is_active());

        let new = old.renamed();
        assert_ne!(new.party.signature_key, self.pairing.gadgets[n].party.signature_key);
        let (commit, welcome) =
            ada_adds(&mut self.ada, vec![new.own.key_package(CIPHERSUITE).unwrap()]);
        for (other, group) in self.groups.iter_mut().enumerate() {
            if other != n {
                group.process(&self.pairing.gadgets[other].own, &commit).unwrap();
            }
        }
        self.groups[n] = PairedGroup::join(&new.own, &welcome, &join_config()).unwrap();
        self.pairing.gadgets[n] = new;
        same_epoch(&self.ada, self.groups[n].mls());
    }
}

fn is_healed(events: &[Event]) -> bool {
    events.iter().any(|event| matches!(event, Event::Healed { .. }))
}

/// Standard mode at a node: request, confirmation, tape kept until then; the one that ended it leaves
/// and comes back under a new key.
#[test]
fn one_device_leaves_a_node() {
    let mut node = Node::new(&["a phone", "a sensor"]);
    assert!(is_healed(&node.update(PHONE)));
    let ending = node.end(PHONE);
    node.cease(PHONE);
    assert_eq!(node.groups[PHONE].phase(), Some(Phase::Ceasing));
    // The request is on its way: what the sensor commits is followed, what the phone commits heals
    // nobody, and so it is after a restart.
    assert!(is_healed(&node.update(SENSOR)));
    let phone = &node.pairing.gadgets[PHONE];
    node.groups[PHONE] = PairedGroup::load(&phone.own, GROUP).unwrap();
    assert!(!is_healed(&node.update(PHONE)));
    assert!(is_healed(&node.update(SENSOR)));

    node.pairing.post(PHONE, ending);
    node.pairing.all_are(StateName::Ceased);
    node.cease(SENSOR);
    for n in [PHONE, SENSOR] {
        let gadget = &node.pairing.gadgets[n];
        let plan = gadget.book().erase(ID, &[GROUP.to_vec()]).unwrap();
        assert!(plan.steps().contains(&Step::Leave(vec![DeviceId(0)])));
        node.groups[n].unpair(&gadget.own).unwrap();
        assert!(!node.groups[n].is_paired());
        assert!(gadget.own.vault().pairing_info(ID).is_err());
    }
    node.update(SENSOR);
    node.leave_and_return(PHONE);
    assert!(!is_healed(&node.update(PHONE)));
    assert!(!is_healed(&node.update(SENSOR)));
}

/// The partner ignores the request and goes on: its commits are followed, and the device that has
/// left the pairing says so each time. It leaves the group, and the partner is alone with its tape.
#[test]
fn a_partner_that_goes_on_is_noticed() {
    let mut node = Node::new(&["a phone", "a sensor"]);
    let _ = node.end(PHONE);
    node.cease(PHONE);
    for _ in 0..3 {
        let events = node.update(SENSOR);
        let index = events.iter().find_map(|event| match event {
            Event::Healed { index, .. } => *index,
            _ => None,
        });
        let book = node.pairing.gadgets[PHONE].book();
        let noticed = book.detect(ID, index.unwrap()).unwrap().unwrap();
        assert_eq!((noticed.device, noticed.promise), (DeviceId(1), PartnerPromise::Missing));
        assert!(book.erase(ID, &[]).is_err(), "the tape is still needed");
    }
    node.leave_and_return(PHONE);
    let gadget = &node.pairing.gadgets[PHONE];
    let _ = gadget.book().force_end(ID).unwrap();
    gadget.book().erase(ID, &[GROUP.to_vec()]).unwrap();
    assert!(!node.groups[PHONE].is_paired());
    assert!(!is_healed(&node.update(SENSOR)), "nobody of its pairing is there");
    node.update(PHONE);
}

/// The partner is lost for ever: the phone removes its leaf, and ends the pairing without it.
#[test]
fn a_partner_that_is_lost_is_removed() {
    let mut node = Node::new(&["a phone", "a sensor"]);
    let _ = node.end(PHONE);
    node.cease(PHONE);
    node.groups.pop();
    node.pairing.gadgets.pop();
    let gadget = &node.pairing.gadgets[PHONE];
    let sensor = LeafIndex::new(3).unwrap();
    let sent = node.groups[PHONE].remove(&gadget.own, &[sensor]).unwrap();
    node.deliver(PHONE, &sent);
    let gadget = &node.pairing.gadgets[PHONE];
    assert_eq!(gadget.book().force_end(ID).unwrap().state, StateName::Ceased);
    gadget.book().erase(ID, &[GROUP.to_vec()]).unwrap();
    node.groups[PHONE].unpair(&gadget.own).unwrap();
    node.update(PHONE);
    assert_eq!(node.ada.group().unwrap().members().count(), 3);
}

/// Of three devices one ends the pairing: all stop, and the plan has the other two pair anew.
#[test]
fn of_three_devices_all_stop() {
    let mut node = Node::new(&["a phone", "a sensor", "a watch"]);
    let ending = node.end(SENSOR);
    node.pairing.post(SENSOR, ending);
    node.pairing.all_are(StateName::Ceased);
    let book = node.pairing.gadgets[PHONE].book();
    let plan = book.erase(ID, &[GROUP.to_vec()]).unwrap();
    let staying = vec![DeviceId(0), DeviceId(2)];
    assert_eq!(plan.steps().last(), Some(&Step::PairAnew(staying)));
    for n in 0..3 {
        let gadget = &node.pairing.gadgets[n];
        gadget.book().erase(ID, &[GROUP.to_vec()]).unwrap();
        node.groups[n].unpair(&gadget.own).unwrap();
    }
    for n in 0..3 {
        assert!(!is_healed(&node.update(n)));
    }
}

/// A shared leaf, in both modes: nobody commits from it any more, it leaves, and each device comes back
/// with a leaf and a key of its own. Nothing of the shared one is left on either.
#[test]
fn both_leave_a_leaf() {
    for door in [Door::Open, Door::Gated] {
        let mut pairing = Pairing::of(&["alice"; 2]);
        pairing.seed();
        match door {
            Door::Gated => pairing.initiate_standard(AnchorKind::Leaf),
            _ => pairing.initiate_hidden(),
        }
        let mut ada = ada(door, GROUP);
        let mut leaf = behind_a_leaf(&pairing, &mut ada);
        let ending = pairing.gadgets[PHONE].book().end(ID).unwrap();
        {
            let (device, group) = &mut leaf[PHONE];
            group.cease(device).unwrap();
            let refused = group.update(device).unwrap_err();
            assert!(matches!(refused, Error::Usage(UsageError::Ceasing)));
        }
        // The sensor does not know yet; the phone follows, and notices.
        let (device, group) = &mut leaf[SENSOR];
        let sent = group.update(device).unwrap();
        let index = group.pending_index().unwrap();
        group.confirm(device).unwrap();
        ada.process(&sent.commit).unwrap();
        let (device, group) = &mut leaf[PHONE];
        assert!(is_healed(&events(group.process(device, &sent.commit).unwrap())));
        let noticed = pairing.gadgets[PHONE].book().detect(ID, index).unwrap().unwrap();
        assert_eq!(noticed.device, DeviceId(1));

        pairing.post(PHONE, ending);
        pairing.all_are(StateName::Ceased);
        let proposal = group.leave(device).unwrap();
        ada.process(&proposal).unwrap();
        let (device, group) = &mut leaf[SENSOR];
        group.cease(device).unwrap();
        group.process(device, &proposal).unwrap();
        let sent = ada.commit(&Content::default()).unwrap();
        ada.confirm().unwrap();
        for (device, group) in &mut leaf {
            let heard = events(group.process(device, &sent.commit).unwrap());
            assert!(heard.contains(&Event::Removed));
        }
        for (n, (device, group)) in leaf.into_iter().enumerate() {
            group.erase(&device).unwrap();
            // OpenMLS forgets to erase the proposal that has removed the leaf, which is public.
            let records = device.provider().records().into_keys();
            let left: Vec<_> = records.filter(|key| !key.starts_with(b"QueuedProposal")).collect();
            assert!(left.is_empty(), "of the leaf is left: {left:?}");
            let book = pairing.gadgets[n].book();
            let plan = book.erase(ID, &[GROUP.to_vec()]).unwrap();
            assert!(plan.steps().contains(&Step::Return(vec![DeviceId(0), DeviceId(1)])));
            assert!(device.key_package(CIPHERSUITE).is_err() == (door == Door::Open));
        }
        return_apart(&pairing.gadgets, &mut ada);
    }
}

/// The devices come back, each for itself.
fn return_apart(gadgets: &[Gadget], ada: &mut Stock) {
    let suite: Ciphersuite = CIPHERSUITE;
    let capabilities = paired_mls_openmls::gate_capabilities;
    let packages =
        gadgets.iter().map(|gadget| gadget.own.key_package_with(suite, capabilities()).unwrap());
    let (_, welcome) = ada_adds(ada, packages.collect());
    for gadget in gadgets {
        let group = PairedGroup::join(&gadget.own, &welcome, &join_config()).unwrap();
        same_epoch(ada, group.mls());
        assert!(!group.is_paired());
    }
}
