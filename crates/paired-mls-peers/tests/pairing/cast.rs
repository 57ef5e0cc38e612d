//! Devices with a book each, a 1-to-1 channel, a directory, and a group to be in.

use std::rc::Rc;

use openmls::prelude::{
    BasicCredential, Ciphersuite, CredentialWithKey, Lifetime, MlsGroupJoinConfig,
    PURE_PLAINTEXT_WIRE_FORMAT_POLICY,
};
use openmls_basic_credential::SignatureKeyPair;
use openmls_rust_crypto::RustCrypto;
use openmls_traits::{crypto::OpenMlsCrypto as _, random::OpenMlsRand as _};
use paired_mls::{
    CipherSuite, DeviceId, PairingId, RecordName, Secret, Vault, VaultStorage as _,
    conformance::{Content, Framing, Listener as _, Member},
    group::credential::AcceptAnyIdentity,
    leaf::{KeyProofs, SignatureKeys},
    pairing::{
        AnchorKind, ChannelTrust, Mode, OneToOne, Outbound, PairingBook, PairingDevice,
        PairingState, Party, Progress, RegistryEntry, Request, Roster, Route,
        SignatureKeyPair as LeafKeyPair, Source, StateName, Terms,
    },
    vault::MemoryStorage,
};
use paired_mls_openmls::{
    Channel, Device, Group, KeyVectorCrypto, LeafGroup, MemoryProvider, PackageKind, Received,
    VaultKey, VaultSigner, gate_capabilities, generate_signature_key, is_key_pair,
};
use paired_mls_peers::{Door, StockOpenMls};

pub(crate) const SUITE: CipherSuite = CipherSuite::X25519Aes128;
pub(crate) const CIPHERSUITE: Ciphersuite =
    Ciphersuite::MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519;
pub(crate) const ID: PairingId = PairingId([7; 16]);
/// Another pairing, of those that stay.
pub(crate) const AGAIN: PairingId = PairingId([8; 16]);
pub(crate) const GROUP: &[u8] = b"a group";
pub(crate) const PHONE: usize = 0;
pub(crate) const SENSOR: usize = 1;
pub(crate) const WATCH: usize = 2;

/// Knows leaves with several signature keys, and is the plain provider for everything else.
pub(crate) type Crypto = KeyVectorCrypto<RustCrypto>;
pub(crate) type Platform = MemoryProvider<Crypto>;
pub(crate) type Stock = StockOpenMls<Crypto>;

fn platform() -> Platform {
    MemoryProvider::new(Crypto::new(RustCrypto::default()))
}

/// A device of the user `identity`, with a signature key of its own.
pub(crate) struct Gadget {
    pub(crate) own: Rc<Device<Platform>>,
    pub(crate) party: Party,
    key: (Vec<u8>, Vec<u8>),
    pub(crate) storage: MemoryStorage,
    /// The pairing that is looked at.
    pub(crate) pairing: PairingId,
    pub(crate) channel: Option<Channel>,
}

fn device(vault: Vault, identity: &str, key: (Vec<u8>, Vec<u8>)) -> Device<Platform> {
    let signer =
        SignatureKeyPair::from_raw(CIPHERSUITE.signature_algorithm(), key.0, key.1.clone());
    let credential = CredentialWithKey {
        credential: BasicCredential::new(identity.into()).into(),
        signature_key: key.1.into(),
    };
    Device::new(platform(), vault, signer, credential, AcceptAnyIdentity)
}

impl Gadget {
    pub(crate) fn new(identity: &str) -> Self {
        let key = RustCrypto::default().signature_key_gen(CIPHERSUITE.signature_algorithm());
        let key = key.unwrap();
        let party = Party { identity: identity.into(), signature_key: key.1.clone() };
        let storage = MemoryStorage::new();
        let own = Rc::new(device(Vault::new(storage.clone()), identity, key.clone()));
        Self { own, party, key, storage, pairing: ID, channel: None }
    }

    /// Somebody with this device's signature key, and a vault of its own.
    pub(crate) fn double(&self) -> Self {
        let identity = String::from_utf8(self.party.identity.clone()).unwrap();
        let storage = MemoryStorage::new();
        let own = Rc::new(device(Vault::new(storage.clone()), &identity, self.key.clone()));
        Self { own, storage, channel: None, ..self.in_pairing(self.pairing) }
    }

    /// The same device in another pairing.
    pub(crate) fn in_pairing(&self, pairing: PairingId) -> Self {
        let (own, storage) = (self.own.clone(), self.storage.clone());
        let (party, key) = (self.party.clone(), self.key.clone());
        Self { own, party, key, storage, pairing, channel: None }
    }

    /// Somebody with this device's MLS state and these records of its vault.
    pub(crate) fn thief(
        &self,
        state: &Device<Platform>,
        records: &[RecordName],
    ) -> Device<Platform> {
        let vault = MemoryStorage::new();
        for name in records {
            vault.store(name, &self.storage.load(name).unwrap().unwrap()).unwrap();
        }
        let crypto = Crypto::new(RustCrypto::default());
        let provider = MemoryProvider::with_records(crypto, state.provider().records());
        let (private, public) = self.key.clone();
        let signer = SignatureKeyPair::from_raw(CIPHERSUITE.signature_algorithm(), private, public);
        Device::new(
            provider,
            Vault::new(vault),
            signer,
            state.credential().clone(),
            AcceptAnyIdentity,
        )
    }

    /// The same device with the same vault and another signature key.
    pub(crate) fn renamed(&self) -> Self {
        let key = RustCrypto::default().signature_key_gen(CIPHERSUITE.signature_algorithm());
        let key = key.unwrap();
        let identity = String::from_utf8(self.party.identity.clone()).unwrap();
        let party = Party { signature_key: key.1.clone(), ..self.party.clone() };
        let own = Rc::new(device(self.own.vault().clone(), &identity, key.clone()));
        Self { own, party, key, ..self.in_pairing(self.pairing) }
    }

    pub(crate) fn book(&self) -> PairingBook<'_> {
        PairingBook::new(self.own.vault(), self.party.clone())
    }

    /// What it is paired under.
    pub(crate) fn terms(&self) -> Terms {
        match self.book().load(self.pairing).unwrap() {
            PairingState::Paired(paired) => paired.terms().clone(),
            _ => panic!("not paired"),
        }
    }

    pub(crate) fn state(&self) -> StateName {
        self.book().resend(self.pairing).unwrap().state
    }

    /// The device as it acts behind the shared leaf: in hidden mode with the anchor's key, which lies in
    /// the vault; in standard mode with its own, which the leaf lists.
    pub(crate) fn behind_the_leaf(&self) -> Device<Platform> {
        let vault = self.own.vault().clone();
        let terms = self.terms();
        let credential = |signature_key: Vec<u8>| CredentialWithKey {
            credential: BasicCredential::new(self.party.identity.clone()).into(),
            signature_key: signature_key.into(),
        };
        match terms.mode() {
            Mode::Hidden { anchor_key } => {
                let crypto = RustCrypto::default();
                let key = VaultKey::Anchor(self.pairing);
                let signer = VaultSigner::new(crypto, vault.clone(), key, SUITE).unwrap();
                Device::new(
                    platform(),
                    vault,
                    signer,
                    credential(anchor_key.clone()),
                    AcceptAnyIdentity,
                )
            }
            Mode::Standard(_) => {
                let devices = terms.roster().devices();
                let keys = devices.iter().map(|device| device.party.signature_key.clone());
                let keys = SignatureKeys::new(keys.collect(), 32).unwrap().encode();
                let (private, public) = self.key.clone();
                let scheme = CIPHERSUITE.signature_algorithm();
                let signer = SignatureKeyPair::from_raw(scheme, private, public);
                Device::new(platform(), vault, signer, credential(keys), AcceptAnyIdentity)
            }
        }
    }

    /// The process dies; what it had in memory is gone.
    pub(crate) fn restart(&mut self) {
        if let Some(channel) = self.channel.take() {
            self.channel = Some(Channel::load(&self.own, channel.id()).unwrap());
        }
    }
}

/// Devices that pair.
pub(crate) struct Pairing {
    pub(crate) gadgets: Vec<Gadget>,
    pub(crate) directory: Option<RegistryEntry>,
    pub(crate) trust: ChannelTrust,
    /// What partners have sent to each other over the relay.
    pub(crate) relayed: Vec<Vec<u8>>,
    /// What a liar sends to a device before each message that the relay has for it.
    pub(crate) liar: Option<Liar>,
}

/// Makes forgeries of a message for a device.
pub(crate) type Liar = Box<dyn Fn(&Gadget, &[u8]) -> Vec<Vec<u8>>>;

impl Pairing {
    pub(crate) fn of(identities: &[&str]) -> Self {
        Self::between(identities.iter().map(|identity| Gadget::new(identity)).collect())
    }

    pub(crate) fn between(gadgets: Vec<Gadget>) -> Self {
        let (directory, relayed, liar) = Default::default();
        Self { gadgets, directory, trust: ChannelTrust::Compared, relayed, liar }
    }

    pub(crate) fn id(&self) -> PairingId {
        self.gadgets[PHONE].pairing
    }

    /// Somebody carries the seed to each device.
    pub(crate) fn carry_seed(&self) {
        let seed = Secret::new(RustCrypto::default().random_vec(SUITE.kdf_len()).unwrap());
        for gadget in &self.gadgets {
            let _ = gadget.book().load_seed(self.roster(), &seed).unwrap();
        }
        self.all_are(StateName::Seeded);
    }

    /// Opens the channel, compares the digits, and sends the seed through it.
    pub(crate) fn seed(&mut self) {
        self.open_channel();
        let digits: Vec<_> = self.gadgets.iter().map(digits).collect();
        assert!(digits.windows(2).all(|pair| pair[0] == pair[1]), "{digits:?}");
        let progress = self.share_rand();
        self.post(PHONE, progress);
    }

    pub(crate) fn open_channel(&mut self) {
        let [phone, others @ ..] = self.gadgets.as_mut_slice() else { panic!("no devices") };
        let packages: Vec<_> =
            others.iter().map(|other| other.own.key_package(CIPHERSUITE).unwrap()).collect();
        let (channel, welcome) = Channel::open(&phone.own, b"a channel", &packages).unwrap();
        phone.channel = Some(channel);
        for other in others {
            other.channel = Some(Channel::join(&other.own, &welcome).unwrap());
        }
    }

    pub(crate) fn roster(&self) -> Roster {
        let listed = (0..).map(DeviceId).zip(&self.gadgets);
        let listed =
            listed.map(|(device, gadget)| PairingDevice { device, party: gadget.party.clone() });
        Roster::new(self.id(), SUITE, listed.collect()).unwrap()
    }

    pub(crate) fn one_to_one(&self) -> OneToOne {
        self.gadgets[PHONE].channel.as_ref().unwrap().one_to_one(self.trust)
    }

    pub(crate) fn share_rand(&self) -> Progress {
        let seed: [u8; 32] = RustCrypto::default().random_array().unwrap();
        let (roster, channel) = (self.roster(), self.one_to_one());
        let seed = Secret::new(seed.to_vec());
        self.gadgets[PHONE].book().share_rand(roster, &seed, &channel).unwrap()
    }

    pub(crate) fn initiate_standard(&mut self, anchor: AnchorKind) {
        let progress =
            self.gadgets[PHONE].book().initiate(self.id(), Request::Standard(anchor)).unwrap();
        self.post(PHONE, progress);
    }

    pub(crate) fn initiate_hidden(&mut self) {
        let key_pair = generate_signature_key(&RustCrypto::default(), SUITE).unwrap();
        self.initiate_hidden_with(&key_pair);
    }

    /// The same, with this key pair of the leaf.
    pub(crate) fn initiate_hidden_with(&mut self, key_pair: &LeafKeyPair) {
        let channel = self.one_to_one();
        let request = Request::Hidden { key_pair, channel: &channel };
        let progress = self.gadgets[PHONE].book().initiate(self.id(), request).unwrap();
        self.post(PHONE, progress);
    }

    /// Everything that a step gave goes its way, and what comes of it too; each device restarts before
    /// it receives.
    pub(crate) fn post(&mut self, from: usize, progress: Progress) {
        for outbound in progress.send {
            match &outbound.route {
                Route::Directory => self.ask_directory(from, &outbound),
                Route::OneToOne => self.over_channel(from, &outbound),
                Route::Partners(partners) => {
                    for to in partners.iter().map(|device| usize::from(device.0)) {
                        self.gadgets[to].restart();
                        let message = outbound.message.expose();
                        self.lie(to, message);
                        self.relayed.push(message.to_vec());
                        let received = receive(&self.gadgets[to], Source::Relay, message);
                        self.post(to, received);
                    }
                }
                other => panic!("{other:?}"),
            }
        }
    }

    /// A liar's forgeries come first: whatever they are, they move no device. One that confirmations are
    /// awaited of refuses them.
    fn lie(&self, to: usize, message: &[u8]) {
        let Some(liar) = &self.liar else {
            return;
        };
        let gadget = &self.gadgets[to];
        let before = gadget.state();
        for forged in liar(gadget, message) {
            let is_pair =
                |suite, pair: &LeafKeyPair| is_key_pair(&RustCrypto::default(), suite, pair);
            let received = gadget.book().receive(Source::Relay, &forged, &is_pair);
            assert_eq!(gadget.state(), before, "{received:?}");
            if before == StateName::Invited {
                received.unwrap_err();
            }
        }
    }

    fn over_channel(&mut self, from: usize, outbound: &Outbound) {
        let gadget = &mut self.gadgets[from];
        let message = gadget.channel.as_mut().unwrap().send(&gadget.own, outbound).unwrap();
        for to in (0..self.gadgets.len()).filter(|to| *to != from) {
            let trust = self.trust;
            let gadget = &mut self.gadgets[to];
            gadget.restart();
            let channel = gadget.channel.as_mut().unwrap();
            let (sender, message) = channel.receive(&gadget.own, &message).unwrap().unwrap();
            let channel = channel.one_to_one(trust);
            let source = Source::OneToOne { channel: &channel, sender: &sender };
            let received = receive(&self.gadgets[to], source, message.expose());
            self.post(to, received);
        }
    }

    fn ask_directory(&mut self, from: usize, outbound: &Outbound) {
        let (party, request) = (&self.gadgets[from].party, outbound.message.expose());
        let entry = match self.directory.take() {
            None => RegistryEntry::open(party, request).unwrap(),
            Some(entry) => entry.submit(party, request).unwrap(),
        };
        let (message, to) = match &entry {
            RegistryEntry::Pending(pending) => {
                let to = pending.waiting_for().iter().map(|device| usize::from(device.0)).collect();
                (entry.request().to_vec(), to)
            }
            RegistryEntry::Registered(registered) => {
                let accept = registered.accept().unwrap().expose().to_vec();
                (accept, (0..self.gadgets.len()).collect::<Vec<_>>())
            }
        };
        self.directory = Some(entry);
        // One asks after the other, so that the directory is not asked twice for one device.
        for to in to.into_iter().take(match &self.directory {
            Some(RegistryEntry::Pending(_)) => 1,
            _ => usize::MAX,
        }) {
            let received = receive(&self.gadgets[to], Source::Directory, &message);
            self.post(to, received);
        }
    }

    pub(crate) fn all_are(&self, state: StateName) {
        for gadget in &self.gadgets {
            assert_eq!(gadget.state(), state);
        }
    }
}

pub(crate) fn receive(gadget: &Gadget, source: Source<'_>, message: &[u8]) -> Progress {
    let crypto = RustCrypto::default();
    let received =
        gadget.book().receive(source, message, &|suite, pair| is_key_pair(&crypto, suite, pair));
    received.unwrap()
}

pub(crate) fn digits(gadget: &Gadget) -> String {
    gadget.channel.as_ref().unwrap().digits(&gadget.own).unwrap().to_string()
}

pub(crate) fn join_config() -> MlsGroupJoinConfig {
    MlsGroupJoinConfig::builder()
        .wire_format_policy(PURE_PLAINTEXT_WIRE_FORMAT_POLICY)
        .use_ratchet_tree_extension(true)
        .build()
}

/// A group that Ada has created, on stock OpenMLS.
pub(crate) fn ada(door: Door, group_id: &[u8]) -> Stock {
    let mut ada = Stock::behind(door, SUITE, Framing::Public, "ada").unwrap();
    ada.create(group_id).unwrap();
    ada
}

/// Ada adds clients; returns the commit and the Welcome.
pub(crate) fn ada_adds(ada: &mut Stock, packages: Vec<Vec<u8>>) -> (Vec<u8>, Vec<u8>) {
    let sent = ada.commit(&Content { adds: packages, ..Content::default() }).unwrap();
    ada.confirm().unwrap();
    (sent.commit, sent.welcome.unwrap())
}

/// The devices come into Ada's group, each with a leaf of its own, and pair there.
pub(crate) fn at_a_node(pairing: &Pairing, ada: &mut Stock) -> Vec<Group> {
    let mut filler = Stock::behind(Door::Open, SUITE, Framing::Public, "a filler").unwrap();
    at_a_node_beside(&mut filler, pairing, ada)
}

/// The same, with another member at the leaf beside Ada's, so that the devices are siblings.
pub(crate) fn at_a_node_beside(
    other: &mut impl Member,
    pairing: &Pairing,
    ada: &mut Stock,
) -> Vec<Group> {
    let mut packages = vec![other.key_package().unwrap()];
    let own = pairing.gadgets.iter().map(|gadget| gadget.own.key_package(CIPHERSUITE).unwrap());
    packages.extend(own);
    let (_, welcome) = ada_adds(ada, packages);
    other.join(&welcome).unwrap();
    let join = |gadget: &Gadget| {
        let mut group = Group::join(&gadget.own, &welcome, &join_config()).unwrap();
        group.pair(&gadget.own, &gadget.terms().pairing()).unwrap();
        group
    };
    pairing.gadgets.iter().map(join).collect()
}

/// The devices come into Ada's group behind one leaf.
pub(crate) fn behind_a_leaf(pairing: &Pairing, ada: &mut Stock) -> Vec<(Device<Platform>, Group)> {
    let devices: Vec<_> = pairing.gadgets.iter().map(Gadget::behind_the_leaf).collect();
    let proofs = devices.iter().map(|device| device.prove_key().unwrap()).collect();
    let proofs = KeyProofs::new(proofs);
    let proven = |device: Device<Platform>| {
        device.with_key_proofs(proofs.clone()).with_shared_leaf(pairing.id())
    };
    let devices: Vec<_> = devices.into_iter().map(proven).collect();
    let [first, others @ ..] = devices.as_slice() else { panic!("no devices") };
    let (kind, lifetime) = (PackageKind::Once, Lifetime::default());
    let id = pairing.id();
    let package = Group::publish(first, id, kind, lifetime, gate_capabilities()).unwrap();
    for other in others {
        LeafGroup::adopt(other, id, &package).unwrap();
    }
    let (_, welcome) = ada_adds(ada, vec![package]);
    let join = |device: Device<Platform>| {
        let group = Group::join(&device, &welcome, &join_config()).unwrap();
        (device, group)
    };
    devices.into_iter().map(join).collect()
}

/// What a device says of a commit that it has received.
pub(crate) fn events(received: Received) -> Vec<paired_mls::Event> {
    match received {
        Received::Commit { events, .. } => events,
        other => panic!("{other:?} is no commit"),
    }
}

pub(crate) fn is_healed(events: &[paired_mls::Event]) -> bool {
    events.iter().any(|event| matches!(event, paired_mls::Event::Healed { .. }))
}

pub(crate) fn same_epoch(ada: &Stock, mls: &openmls::group::MlsGroup) {
    assert_eq!(mls.epoch_authenticator().as_slice(), ada.epoch_authenticator());
}
