//! The optional signal in real leaves: stock members carry it, and whoever wants to reads it.

use openmls::prelude::{
    BasicCredential, Capabilities, CredentialWithKey, Extension, ExtensionType, Extensions,
    KeyPackage, LeafNodeIndex, Lifetime, MlsMessageOut, UnknownExtension,
};
use openmls_basic_credential::SignatureKeyPair;
use openmls_rust_crypto::RustCrypto;
use paired_mls::{
    DeviceId,
    anchor::LeafIndex,
    code_points::EXTENSION_TYPE_PAIRED_SIGNAL,
    conformance::{Content, Framing, Listener as _, Member as _},
    pairing::{AnchorKind, PairedSignal, SignalError, SignalPolicy},
};
use paired_mls_openmls::{
    Announcement, Error, Group, MemoryProvider, Outgoing, PackageKind, UsageError, announcements,
};
use paired_mls_peers::{Door, StockMlsRs};

use crate::cast::{
    CIPHERSUITE, GROUP, ID, PHONE, Pairing, SENSOR, SUITE, Stock, ada, at_a_node_beside, events,
    join_config, same_epoch,
};

/// The leaves of Ada, Bob, the phone and the sensor, in this order.
const LEAVES: [u32; 2] = [2, 3];

/// Ada on OpenMLS, Bob on mls-rs, and two paired devices.
struct Town {
    pairing: Pairing,
    ada: Stock,
    bob: StockMlsRs,
    groups: Vec<Group>,
}

impl Town {
    fn new() -> Self {
        let mut pairing = Pairing::of(&["a phone", "a sensor"]);
        pairing.seed();
        pairing.initiate_standard(AnchorKind::Node);
        let mut ada = ada(Door::Open, GROUP);
        let mut bob = StockMlsRs::new(SUITE, Framing::Public, "bob").unwrap();
        let groups = at_a_node_beside(&mut bob, &pairing, &mut ada);
        Self { pairing, ada, bob, groups }
    }

    fn set(&mut self, n: usize, policy: SignalPolicy) {
        self.groups[n]
            .node_mut()
            .unwrap()
            .set_signal_policy(&self.pairing.gadgets[n].own, policy)
            .unwrap();
    }

    fn update(&mut self, n: usize) -> usize {
        let sent = self.groups[n].update(&self.pairing.gadgets[n].own).unwrap();
        self.deliver(n, &sent);
        sent.commit.len()
    }

    fn deliver(&mut self, by: usize, sent: &Outgoing) {
        self.groups[by].confirm(&self.pairing.gadgets[by].own).unwrap();
        for (n, group) in self.groups.iter_mut().enumerate().filter(|(n, _)| *n != by) {
            events(group.process(&self.pairing.gadgets[n].own, &sent.commit).unwrap());
        }
        self.others_hear(&sent.commit);
    }

    fn others_hear(&mut self, commit: &[u8]) {
        self.ada.process(commit).unwrap();
        self.bob.process(commit).unwrap();
        assert_eq!(self.bob.epoch_authenticator(), self.ada.epoch_authenticator());
        self.groups.iter().for_each(|group| same_epoch(&self.ada, group.mls()));
    }

    /// Returns the GroupInfo of the new epoch.
    fn bob_commits(&mut self) -> Vec<u8> {
        let sent = self.bob.commit(&Content::default()).unwrap();
        self.bob.confirm().unwrap();
        for (n, group) in self.groups.iter_mut().enumerate() {
            events(group.process(&self.pairing.gadgets[n].own, &sent.commit).unwrap());
        }
        self.ada.process(&sent.commit).unwrap();
        sent.group_info.unwrap()
    }

    /// What Ada reads; and Bob has the same leaves.
    fn read(&self) -> Vec<Announcement> {
        let read = announcements(self.ada.group().unwrap());
        for leaf in LEAVES {
            let at = LeafIndex::new(leaf).unwrap();
            let seen = self.bob.leaf_extension(leaf, EXTENSION_TYPE_PAIRED_SIGNAL).unwrap();
            let announced = read.iter().find(|announced| announced.by == at);
            assert_eq!(seen.is_some(), announced.is_some());
            if let (Some(data), Some(announced)) = (seen, announced) {
                let signal = PairedSignal::decode(&data).unwrap();
                assert_eq!(signal.paired_with.len(), announced.paired_with.len());
                assert_eq!(signal.on_behalf_of.len(), announced.on_behalf_of.len());
            }
        }
        read
    }

    fn capabilities(&self, leaf: u32) -> Capabilities {
        let group = self.ada.group().unwrap().public_group();
        group.leaf(LeafNodeIndex::new(leaf)).unwrap().capabilities().clone()
    }
}

fn said(by: u32, paired_with: &[u32], on_behalf_of: &[u32]) -> Announcement {
    let leaves = |leaves: &[u32]| leaves.iter().map(|n| LeafIndex::new(*n).unwrap()).collect();
    Announcement {
        by: LeafIndex::new(by).unwrap(),
        paired_with: leaves(paired_with),
        on_behalf_of: leaves(on_behalf_of),
    }
}

/// Off by default; once it is on, a reader learns who healed whom; and it goes without a trace.
#[test]
fn a_reader_learns_who_healed_whom() {
    let mut town = Town::new();
    let silent = town.update(PHONE);
    assert_eq!(town.read(), []);
    let before = town.capabilities(LEAVES[PHONE]);

    town.set(PHONE, SignalPolicy::Announce);
    assert_eq!(town.read(), [], "from the next commit on");
    // It is in the vault, and outlives the process.
    town.groups[PHONE] = Group::load(&town.pairing.gadgets[PHONE].own, GROUP).unwrap();
    assert!(town.update(PHONE) > silent);
    assert_eq!(town.read(), [said(2, &[3], &[3])]);
    town.update(SENSOR);
    assert_eq!(town.read(), [said(2, &[3], &[3])], "each device decides for itself");
    town.set(SENSOR, SignalPolicy::Announce);
    town.update(SENSOR);
    assert_eq!(town.read(), [said(2, &[3], &[3]), said(3, &[2], &[2])]);

    town.bob_commits();
    assert_eq!(town.read().len(), 2, "commits of others leave it as it is");

    town.set(PHONE, SignalPolicy::Silent);
    assert_eq!(town.update(PHONE), silent);
    assert_eq!(town.read(), [said(3, &[2], &[2])]);
    assert_eq!(town.capabilities(LEAVES[PHONE]), before);
}

/// Whoever stops using the pairing stops saying so; and what is not healed is not claimed.
#[test]
fn only_what_is_so_is_said() {
    let mut town = Town::new();
    for n in [PHONE, SENSOR] {
        town.set(n, SignalPolicy::Announce);
        town.update(n);
    }
    // The sensor leaves: the phone's next commit heals nobody, and there is nobody to name.
    let sensor = LeafIndex::new(3).unwrap();
    let sent = town.groups[PHONE].remove(&town.pairing.gadgets[PHONE].own, &[sensor]).unwrap();
    town.groups.truncate(1);
    town.deliver(PHONE, &sent);
    let read = announcements(town.ada.group().unwrap());
    assert_eq!(read, [said(2, &[], &[])]);

    let phone = &town.pairing.gadgets[PHONE].own;
    town.groups[PHONE].cease(phone).unwrap();
    let sent = town.groups[PHONE].update(phone).unwrap();
    town.deliver(PHONE, &sent);
    assert_eq!(announcements(town.ada.group().unwrap()), []);
    let phone = &town.pairing.gadgets[PHONE].own;
    let group = Group::load(phone, GROUP).unwrap();
    town.groups[PHONE] = group.unpair(phone).unwrap().unwrap();
    let at_node = town.groups[PHONE].node_mut().unwrap();
    let refused = at_node.set_signal_policy(phone, SignalPolicy::Announce);
    assert!(matches!(refused, Err(Error::Usage(UsageError::NotPaired))));
}

/// A leaf that is renewed is renewed on its device's behalf; a device that comes from outside says so too.
#[test]
fn a_refresh_and_a_return_are_said() {
    let mut town = Town::new();
    town.set(PHONE, SignalPolicy::Announce);
    let sensor = &town.pairing.gadgets[SENSOR].own;
    let (lifetime, capabilities) = (Lifetime::default(), Capabilities::default());
    let package = Group::publish(sensor, ID, PackageKind::Once, lifetime, capabilities).unwrap();
    let phone = &town.pairing.gadgets[PHONE].own;
    let sent = town.groups[PHONE].node_mut().unwrap().refresh(phone, &package).unwrap();
    town.groups[PHONE].confirm(phone).unwrap();
    let welcome = sent.refresh.unwrap();
    town.groups[SENSOR]
        .node_mut()
        .unwrap()
        .process_refresh(sensor, &sent.commit, &welcome)
        .unwrap();
    town.others_hear(&sent.commit);
    assert_eq!(town.read(), [said(2, &[3], &[3])]);

    let info = town.bob_commits();
    let phone = &town.pairing.gadgets[PHONE].own;
    let rejoin = Group::rejoin(phone, &info, &join_config()).unwrap();
    let sent = rejoin.outgoing().clone();
    town.groups[PHONE] = rejoin.confirm(phone).unwrap();
    let sensor = &town.pairing.gadgets[SENSOR].own;
    events(town.groups[SENSOR].process(sensor, &sent.commit).unwrap());
    town.others_hear(&sent.commit);
    assert_eq!(town.read(), [said(2, &[3], &[3])]);
}

/// What stands in the leaf of a KeyPackage was not said by a commit; and what is no signal says nothing.
#[test]
fn a_newcomers_words_are_no_commit() {
    let mut town = Town::new();
    let terms = town.pairing.gadgets[PHONE].terms();
    let words = PairedSignal::new(&terms, DeviceId(1), &[DeviceId(0)]).unwrap().encode().unwrap();
    for (words, expected) in [(words, vec![said(4, &[2], &[])]), (b"no signal".to_vec(), vec![])] {
        let signer = SignatureKeyPair::new(CIPHERSUITE.signature_algorithm()).unwrap();
        let credential = CredentialWithKey {
            credential: BasicCredential::new(b"mallory".into()).into(),
            signature_key: signer.public().into(),
        };
        let provider = MemoryProvider::new(RustCrypto::default());
        let says = ExtensionType::Unknown(EXTENSION_TYPE_PAIRED_SIGNAL);
        let package = KeyPackage::builder()
            .leaf_node_capabilities(Capabilities::new(None, None, Some(&[says]), None, None))
            .leaf_node_extensions(
                Extensions::single(Extension::Unknown(
                    EXTENSION_TYPE_PAIRED_SIGNAL,
                    UnknownExtension(words),
                ))
                .unwrap(),
            )
            .build(CIPHERSUITE, &provider, &signer, credential)
            .unwrap();
        let package = MlsMessageOut::from(package.into_key_package()).to_bytes().unwrap();
        let sent = town.groups[PHONE].add(&town.pairing.gadgets[PHONE].own, &[package]).unwrap();
        town.deliver(PHONE, &sent);
        assert_eq!(announcements(town.ada.group().unwrap()), expected);
        let mallory = LeafIndex::new(4).unwrap();
        let sent = town.groups[PHONE].remove(&town.pairing.gadgets[PHONE].own, &[mallory]).unwrap();
        town.deliver(PHONE, &sent);
    }
}

/// Hidden mode is never announced: devices with one key have no signal.
#[test]
fn hidden_mode_has_no_signal() {
    let mut pairing = Pairing::of(&["alice"; 2]);
    pairing.seed();
    pairing.initiate_hidden();
    let terms = pairing.gadgets[PHONE].terms();
    let refused = PairedSignal::new(&terms, DeviceId(0), &[DeviceId(1)]);
    assert_eq!(refused, Err(SignalError::HiddenMode));
    let refused = PairedSignal::of(SUITE, &terms.pairing().devices, DeviceId(0), &[]);
    assert_eq!(refused, Err(SignalError::HiddenMode));
}
