//! The end of a pairing below a node, in its group, whatever the partner does.

use paired_mls::{
    DeviceId, Event, Phase,
    anchor::LeafIndex,
    conformance::{Content, Listener as _, Member as _},
    pairing::{AnchorKind, PartnerPromise, Progress, StateName, Step},
};
use paired_mls_openmls::{Footing, Group, Outgoing};
use paired_mls_peers::Door;

use crate::cast::{
    AGAIN, CIPHERSUITE, GROUP, ID, PHONE, Pairing, SENSOR, Stock, WATCH, ada, ada_adds, at_a_node,
    events, is_healed, join_config, same_epoch,
};

/// Two devices below a node, paired.
struct Node {
    pairing: Pairing,
    ada: Stock,
    groups: Vec<Group>,
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

    /// A device commits, and the other ones follow; returns the events at the others.
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
                heard.extend(events(received.unwrap()));
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
        self.leave(n);
        self.come_back(n);
    }

    fn leave(&mut self, n: usize) {
        let proposal = self.groups[n].leave(&self.pairing.gadgets[n].own).unwrap();
        self.ada.process(&proposal).unwrap();
        self.members_hear(&proposal, Some(n));
        let sent = self.ada.commit(&Content::default()).unwrap();
        self.ada.confirm().unwrap();
        self.members_hear(&sent.commit, None);
        assert!(!self.groups[n].mls().is_active());
    }

    fn come_back(&mut self, n: usize) {
        let old = &self.pairing.gadgets[n];
        let new = old.renamed();
        assert_ne!(new.party.signature_key, old.party.signature_key);
        let (commit, welcome) =
            ada_adds(&mut self.ada, vec![new.own.key_package(CIPHERSUITE).unwrap()]);
        self.members_hear(&commit, Some(n));
        self.groups[n] = Group::join(&new.own, &welcome, &join_config()).unwrap();
        self.pairing.gadgets[n] = new;
        same_epoch(&self.ada, self.groups[n].mls());
    }

    /// All devices that are in the group hear a message, but for its sender.
    fn members_hear(&mut self, message: &[u8], sender: Option<usize>) {
        for (n, group) in self.groups.iter_mut().enumerate() {
            if Some(n) != sender && group.mls().is_active() {
                group.process(&self.pairing.gadgets[n].own, message).unwrap();
            }
        }
    }
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
    node.groups[PHONE] = Group::load(&phone.own, GROUP).unwrap();
    assert!(!is_healed(&node.update(PHONE)));
    assert!(is_healed(&node.update(SENSOR)));

    node.pairing.post(PHONE, ending);
    node.pairing.all_are(StateName::Ceased);
    node.cease(SENSOR);
    for n in [PHONE, SENSOR] {
        let gadget = &node.pairing.gadgets[n];
        let plan = gadget.book().erase(ID, &[GROUP.to_vec()]).unwrap();
        assert!(plan.steps().contains(&Step::Leave(vec![DeviceId(0)])));
        let group = Group::load(&gadget.own, GROUP).unwrap();
        node.groups[n] = group.unpair(&gadget.own).unwrap().unwrap();
        assert_eq!(node.groups[n].phase(), None);
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
    assert_eq!(node.groups[PHONE].phase(), None);
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
    let group = Group::load(&gadget.own, GROUP).unwrap();
    node.groups[PHONE] = group.unpair(&gadget.own).unwrap().unwrap();
    node.update(PHONE);
    assert_eq!(node.ada.group().unwrap().members().count(), 3);
}

/// Of three devices one ends the pairing: all stop, leave and come back under new keys, and the other two
/// pair anew, with another tape.
#[test]
fn of_three_devices_all_leave_and_two_pair_anew() {
    let mut node = Node::new(&["a phone", "a sensor", "a watch"]);
    assert!(is_healed(&node.update(PHONE)));
    let ending = node.end(SENSOR);
    node.pairing.post(SENSOR, ending);
    node.pairing.all_are(StateName::Ceased);
    let all = [PHONE, SENSOR, WATCH];
    for n in all {
        let gadget = &node.pairing.gadgets[n];
        let plan = gadget.book().erase(ID, &[GROUP.to_vec()]).unwrap();
        let everybody = vec![DeviceId(0), DeviceId(1), DeviceId(2)];
        assert!(plan.steps().contains(&Step::Leave(everybody)));
        let staying = vec![DeviceId(0), DeviceId(2)];
        assert_eq!(plan.steps().last(), Some(&Step::PairAnew(staying)));
        let group = Group::load(&gadget.own, GROUP).unwrap();
        node.groups[n] = group.unpair(&gadget.own).unwrap().unwrap();
    }
    for n in all {
        assert!(!is_healed(&node.update(n)));
    }
    all.into_iter().for_each(|n| node.leave(n));
    // Side by side, those that stay.
    [PHONE, WATCH, SENSOR].into_iter().for_each(|n| node.come_back(n));

    let staying = [PHONE, WATCH].map(|n| node.pairing.gadgets[n].in_pairing(AGAIN));
    let mut again = Pairing::between(staying.into());
    again.carry_seed();
    again.initiate_standard(AnchorKind::Node);
    again.all_are(StateName::Paired);
    for (gadget, n) in again.gadgets.iter().zip([PHONE, WATCH]) {
        let footing = node.groups[n].pair(&gadget.own, &gadget.terms().pairing()).unwrap();
        assert_eq!(footing, Some(Footing::Whole));
    }
    for by in [PHONE, WATCH] {
        let sent = node.groups[by].update(&node.pairing.gadgets[by].own).unwrap();
        node.groups[by].confirm(&node.pairing.gadgets[by].own).unwrap();
        node.ada.process(&sent.commit).unwrap();
        for n in all.into_iter().filter(|n| *n != by) {
            let gadget = &node.pairing.gadgets[n];
            let heard = events(node.groups[n].process(&gadget.own, &sent.commit).unwrap());
            assert_eq!(is_healed(&heard), n != SENSOR);
            same_epoch(&node.ada, node.groups[n].mls());
        }
    }
}
