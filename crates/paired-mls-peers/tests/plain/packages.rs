//! KeyPackages that have ended, and many that are outstanding, under a clock that the test sets.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::sleep,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use openmls::prelude::{
    BasicCredential, Capabilities, Ciphersuite, CredentialWithKey, KeyPackage, Lifetime,
    MlsGroupCreateConfig, MlsGroupJoinConfig, MlsMessageOut, PURE_PLAINTEXT_WIRE_FORMAT_POLICY,
};
use openmls::schedule::PreSharedKeyId;
use openmls_basic_credential::SignatureKeyPair;
use openmls_rust_crypto::RustCrypto;
use openmls_traits::crypto::OpenMlsCrypto as _;
use paired_mls::{
    CipherSuite, DeviceId, EpochSecurity, Event, HealPolicy, Pairing, PairingId, Secret, Seed,
    Vault,
    anchor::LeafIndex,
    conformance::{Content, Framing, Heard, Listener as _, Member as _, leaf::LeafMember as _},
    group::credential::AcceptAnyIdentity,
    vault::MemoryStorage,
    wire,
};
use paired_mls_openmls::{
    Device, Error, Group, MemoryProvider, PackageKind, PeerError, Received, UsageError,
};
use paired_mls_peers::{LeafMode, OpenMlsLeafDevice, StockOpenMls};

pub(crate) const SUITE: CipherSuite = CipherSuite::X25519Aes128;
pub(crate) const CIPHERSUITE: Ciphersuite =
    Ciphersuite::MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519;
pub(crate) const ID: PairingId = PairingId([7; 16]);
pub(crate) const PHONE: usize = 0;
pub(crate) const LAMP: usize = 2;
pub(crate) const SENSOR: usize = 3;
pub(crate) const HOUR: u64 = 60 * 60;
pub(crate) const DAY: u64 = 24 * HOUR;
/// More than the positions of a lane that are looked at.
const MANY: usize = 70;

fn system() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn wait_for(end: u64) {
    while system() <= end {
        sleep(Duration::from_millis(100));
    }
}

fn credential(signer: &SignatureKeyPair, name: &str) -> CredentialWithKey {
    CredentialWithKey {
        credential: BasicCredential::new(name.into()).into(),
        signature_key: signer.public().into(),
    }
}

/// A device under a clock.
pub(crate) struct Gadget {
    pub(crate) device: Device<MemoryProvider<RustCrypto>>,
    /// The private signature key.
    private: Vec<u8>,
    pub(crate) clock: Arc<AtomicU64>,
}

impl Gadget {
    pub(crate) fn new(name: &str) -> Self {
        let scheme = CIPHERSUITE.signature_algorithm();
        let (private, public) = RustCrypto::default().signature_key_gen(scheme).unwrap();
        let signer = SignatureKeyPair::from_raw(scheme, private.clone(), public);
        let credential = credential(&signer, name);
        let vault = Vault::new(MemoryStorage::new());
        let provider = MemoryProvider::new(RustCrypto::default());
        let clock = Arc::new(AtomicU64::new(system()));
        let time = Arc::clone(&clock);
        let device = Device::new(provider, vault, signer, credential, AcceptAnyIdentity)
            .with_clock(move || time.load(Ordering::Relaxed));
        Self { device, private, clock }
    }

    pub(crate) fn wait(&self, seconds: u64) {
        self.clock.fetch_add(seconds, Ordering::Relaxed);
    }

    pub(crate) fn publish(&self, lifetime: Lifetime) -> Vec<u8> {
        Group::publish(&self.device, ID, PackageKind::Once, lifetime, Capabilities::default())
            .unwrap()
    }
}

pub(crate) fn join_config() -> MlsGroupJoinConfig {
    MlsGroupJoinConfig::builder()
        .use_ratchet_tree_extension(true)
        .wire_format_policy(PURE_PLAINTEXT_WIRE_FORMAT_POLICY)
        .build()
}

/// A phone, a neighbour, a lamp and a sensor, which are paired, and Ada, who is not.
pub(crate) struct Town {
    pub(crate) gadgets: Vec<Gadget>,
    pub(crate) groups: Vec<Group>,
    pub(crate) ada: StockOpenMls,
}

impl Town {
    pub(crate) fn new() -> Self {
        let names = ["phone", "neighbour", "lamp", "sensor"];
        let gadgets: Vec<_> = names.map(Gadget::new).into();
        let mut ada = StockOpenMls::new(SUITE, Framing::Public, "ada").unwrap();
        let create = MlsGroupCreateConfig::builder()
            .ciphersuite(CIPHERSUITE)
            .use_ratchet_tree_extension(true)
            .wire_format_policy(PURE_PLAINTEXT_WIRE_FORMAT_POLICY)
            .build();
        let join = join_config();
        let phone = &gadgets[PHONE].device;
        let mut first = Group::create(phone, b"packages", &create).unwrap();
        let others = gadgets[1..].iter();
        let mut adds: Vec<_> =
            others.map(|gadget| gadget.device.key_package(CIPHERSUITE).unwrap()).collect();
        adds.push(ada.key_package().unwrap());
        let sent = first.add(phone, &adds).unwrap();
        first.confirm(phone).unwrap();
        let welcome = sent.welcome.unwrap();
        ada.join(&welcome).unwrap();
        let mut groups = vec![first];
        for gadget in &gadgets[1..] {
            groups.push(Group::join(&gadget.device, &welcome, &join).unwrap());
        }
        let keys = gadgets.iter().map(|gadget| gadget.device.signature_key().to_vec());
        let pairing = Pairing::new(ID, keys);
        for ((gadget, group), own) in gadgets.iter().zip(&mut groups).zip((0..).map(DeviceId)) {
            let seed = Seed::new(SUITE, Secret::new(vec![5; SUITE.kdf_len()])).unwrap();
            pairing.install(gadget.device.vault(), SUITE, seed, own).unwrap();
            group.pair(&gadget.device, &pairing).unwrap();
        }
        let mut town = Self { gadgets, groups, ada };
        let sent = town.groups[PHONE].update(&town.gadgets[PHONE].device).unwrap();
        town.groups[PHONE].confirm(&town.gadgets[PHONE].device).unwrap();
        town.follow(&[1, LAMP, SENSOR], &sent.commit);
        town.ada.process(&sent.commit).unwrap();
        town
    }

    pub(crate) fn follow(&mut self, devices: &[usize], commit: &[u8]) -> Vec<Received> {
        let follow = |n: &usize| self.groups[*n].process(&self.gadgets[*n].device, commit).unwrap();
        devices.iter().map(follow).collect()
    }

    fn adopt(&mut self, key_package: &[u8]) {
        self.groups[PHONE]
            .node_mut()
            .unwrap()
            .adopt(&self.gadgets[PHONE].device, key_package)
            .unwrap();
    }

    /// The phone's refresh of the sensor is accepted; the lamp is out by then, or the neighbour follows too.
    pub(crate) fn refreshed(&mut self, commit: &[u8], refresh: &[u8]) {
        self.groups[PHONE].confirm(&self.gadgets[PHONE].device).unwrap();
        let sensor = &self.gadgets[SENSOR].device;
        self.groups[SENSOR].node_mut().unwrap().process_refresh(sensor, commit, refresh).unwrap();
        self.ada.process(commit).unwrap();
        let ada = self.ada.epoch_authenticator();
        for n in [PHONE, SENSOR] {
            assert_eq!(self.groups[n].mls().epoch_authenticator().as_slice(), ada);
        }
        let fresh = self.groups[SENSOR].security(DeviceId(3));
        assert!(matches!(fresh, Some(EpochSecurity::Secure(_))), "{fresh:?}");
    }
}

impl Town {
    /// The same, and these devices follow.
    pub(crate) fn refreshed_by(&mut self, commit: &[u8], refresh: &[u8], others: &[usize]) {
        self.refreshed(commit, refresh);
        self.follow(others, commit);
    }
}

/// A KeyPackage that nobody has used ends, at the device that has published it and at the partner: a later
/// one serves all the same.
#[test]
fn one_that_has_ended_blocks_no_later_one() {
    let mut town = Town::new();
    let end = system() + 3;
    let ended = town.gadgets[SENSOR].publish(Lifetime::init(system() - 60, end));
    town.adopt(&ended);
    wait_for(end);
    // However long the machine took for it.
    town.gadgets[PHONE].wait(HOUR);
    let phone = &town.gadgets[PHONE].device;
    let refused = town.groups[PHONE].node_mut().unwrap().refresh(phone, &ended).unwrap_err();
    assert!(matches!(&refused, Error::Peer(PeerError::OutOfTime { of, .. }) if of == "sensor"));
    let good = town.gadgets[SENSOR].publish(Lifetime::default());
    town.adopt(&good);
    let sent =
        town.groups[PHONE].node_mut().unwrap().refresh(&town.gadgets[PHONE].device, &good).unwrap();
    town.refreshed(&sent.commit, &sent.refresh.unwrap());
}

/// Under `HealPolicy::Refresh` a KeyPackage that has ended is skipped, and burned.
#[test]
fn the_policy_skips_and_burns_what_has_ended() {
    for later in [0, 2 * HOUR] {
        let mut town = Town::new();
        let now = system();
        let first = town.gadgets[SENSOR].publish(Lifetime::init(now - 60, now + HOUR));
        let second = town.gadgets[SENSOR].publish(Lifetime::default());
        town.adopt(&first);
        town.adopt(&second);
        let phone = &town.gadgets[PHONE].device;
        town.groups[PHONE].node_mut().unwrap().set_heal_policy(phone, HealPolicy::Refresh).unwrap();
        town.gadgets[PHONE].wait(later);

        // The anchor is blanked, and the sensor's own leaf used.
        let removes = vec![LeafIndex::new(2).unwrap()];
        let sent = town.ada.commit(&Content { adds: vec![], removes }).unwrap();
        town.ada.confirm().unwrap();
        town.follow(&[1, SENSOR], &sent.commit);
        let mut heard = town.follow(&[PHONE], &sent.commit);
        let Some(Received::Commit { heal: Some(heal), .. }) = heard.pop() else {
            panic!("the policy says at once");
        };
        let kept = || {
            let vault = town.gadgets[PHONE].device.vault();
            let kept = vault.load_leaf_packages(ID).unwrap().0.into_iter();
            kept.map(|package| package.key_package).collect::<Vec<_>>()
        };
        assert_eq!(kept().contains(&first), later == 0, "it is burned");
        assert!(kept().contains(&second));
        town.refreshed(&heal.commit, &heal.refresh.unwrap());
        let used = if later == 0 { &first } else { &second };
        let vault = town.gadgets[SENSOR].device.vault();
        let kept = vault.load_leaf_packages(ID).unwrap().0;
        assert!(kept.iter().all(|package| package.key_package != *used), "it is spent");
    }
}

/// Whoever is to be added with a KeyPackage that is not valid is named.
#[test]
fn a_newcomer_out_of_time_is_named() {
    let mut town = Town::new();
    let mut guest = StockOpenMls::new(SUITE, Framing::Public, "the guest").unwrap();
    let good = guest.key_package().unwrap();
    let mut other = StockOpenMls::new(SUITE, Framing::Public, "another guest").unwrap();
    let adds = [other.key_package().unwrap(), good];
    town.gadgets[PHONE].wait(100 * DAY);
    let phone = &town.gadgets[PHONE].device;
    let refused = town.groups[PHONE].add(phone, &adds[1..]).unwrap_err();
    assert!(refused.to_string().contains("the KeyPackage of the guest"), "{refused}");
    // From before it begins, too.
    town.gadgets[PHONE].clock.store(system() - 2 * DAY, Ordering::Relaxed);
    let refused = town.groups[PHONE].add(phone, &adds).unwrap_err();
    assert!(refused.to_string().contains("the KeyPackage of another guest"), "{refused}");
    town.gadgets[PHONE].clock.store(system(), Ordering::Relaxed);
    town.groups[PHONE].add(phone, &adds).unwrap();
}

/// Somebody proposes to add a member whose KeyPackage ends before anybody commits: stock members cannot
/// commit any more; a device leaves it out, and says so.
#[test]
fn a_proposal_that_has_ended_blocks_no_commit() {
    let mut town = Town::new();
    let signer = SignatureKeyPair::new(CIPHERSUITE.signature_algorithm()).unwrap();
    let end = system() + 3;
    let bundle = KeyPackage::builder()
        .key_package_lifetime(Lifetime::init(system() - 60, end))
        .build(
            CIPHERSUITE,
            &MemoryProvider::new(RustCrypto::default()),
            &signer,
            credential(&signer, "eve"),
        )
        .unwrap();
    let eve = MlsMessageOut::from(bundle.into_key_package()).to_bytes().unwrap();
    let proposal = town.ada.propose_add(&eve).unwrap();
    for received in town.follow(&[PHONE, 1, LAMP, SENSOR], &proposal) {
        assert_eq!(received, Received::Proposal);
    }
    wait_for(end);
    assert!(town.ada.commit(&Content::default()).is_err(), "the control");
    let phone = &town.gadgets[PHONE].device;
    let sent = town.groups[PHONE].update(phone).unwrap();
    let told =
        |event: &Event| matches!(event, Event::AddEnded { not_after, .. } if *not_after == end);
    assert!(sent.events.iter().any(told), "{:?}", sent.events);
    town.groups[PHONE].confirm(phone).unwrap();
    town.follow(&[1, LAMP, SENSOR], &sent.commit);
    assert!(matches!(town.ada.process(&sent.commit).unwrap(), Heard::Commit { .. }));
}

/// More KeyPackages are outstanding than positions are looked at: the last one is found.
#[test]
fn the_last_of_many_is_found() {
    let mut town = Town::new();
    let mut last = Vec::new();
    for _ in 0..MANY {
        last = town.gadgets[SENSOR].publish(Lifetime::default());
        town.adopt(&last);
    }
    let sent =
        town.groups[PHONE].node_mut().unwrap().refresh(&town.gadgets[PHONE].device, &last).unwrap();
    town.refreshed(&sent.commit, &sent.refresh.unwrap());
}

pub(crate) fn behind_a_leaf() -> Vec<OpenMlsLeafDevice> {
    let mut devices = OpenMlsLeafDevice::<RustCrypto>::several(
        LeafMode::Hidden,
        SUITE,
        Framing::Public,
        "the leaf",
        2,
    )
    .unwrap();
    let pairing = Pairing::new(ID, vec![Vec::new(); 2]);
    for (device, own) in devices.iter_mut().zip((0..).map(DeviceId)) {
        let seed = Seed::new(SUITE, Secret::new(vec![5; SUITE.kdf_len()])).unwrap();
        pairing.install(device.vault(), SUITE, seed, own).unwrap();
        device.share(ID);
    }
    devices
}

fn publish(device: &OpenMlsLeafDevice, lifetime: Lifetime) -> Vec<u8> {
    let (kind, capabilities) = (PackageKind::Once, Capabilities::default());
    Group::publish(device.device(), ID, kind, lifetime, capabilities).unwrap()
}

fn joins(devices: &mut [OpenMlsLeafDevice], group_id: &[u8], welcome: &[u8]) {
    for device in devices.iter_mut() {
        device.join(welcome).unwrap();
        assert_eq!(device.group().unwrap().group_id(), group_id);
    }
    let both = devices.iter().map(|device| device.epoch_authenticator());
    assert!(both.collect::<Vec<_>>().windows(2).all(|pair| pair[0] == pair[1]));
}

/// Behind a leaf: a Welcome that comes after the end of its KeyPackage is opened, also where the partner
/// learns of the KeyPackage only then; and one that has ended unused blocks no later one.
#[test]
fn a_late_welcome_is_opened_behind_a_leaf() {
    let mut devices = behind_a_leaf();
    let end = system() + 3;
    let lifetime = Lifetime::init(system() - 60, end);
    let (used, unused) = (publish(&devices[0], lifetime), publish(&devices[0], lifetime));
    let welcome = |key_package: Vec<u8>, group_id: &[u8]| {
        let mut ada = StockOpenMls::new(SUITE, Framing::Public, "ada").unwrap();
        ada.create(group_id).unwrap();
        let adds = vec![key_package];
        ada.commit(&Content { adds, ..Content::default() }).unwrap().welcome.unwrap()
    };
    let late = welcome(used.clone(), b"late");
    wait_for(end);
    devices[1].adopt(&used).unwrap();
    devices[1].adopt(&unused).unwrap();
    joins(&mut devices, b"late", &late);

    let mut last = Vec::new();
    for _ in 0..MANY {
        last = publish(&devices[0], Lifetime::default());
        devices[1].adopt(&last).unwrap();
    }
    let later = welcome(last, b"later");
    joins(&mut devices, b"later", &later);
}

/// A partner's KeyPackage from the tape, with this leaf key instead of the tape's, signed anew by the partner's
/// signature key.
fn with_leaf_key(package: &[u8], leaf_key: [u8; 32], private: &[u8]) -> Vec<u8> {
    let sign = |label: &str, signed: &[u8]| {
        let label = format!("MLS 1.0 {label}").into_bytes();
        let content = [vector(&label), vector(signed)].concat();
        let scheme = CIPHERSUITE.signature_algorithm();
        vector(&RustCrypto::default().sign(scheme, &content, private).unwrap())
    };
    let (header, read) = (&package[..4], wire::KeyPackage::decode(&package[4..]).unwrap());
    let leaf = read.leaf_node().encode();
    let begin = 2 + 2 + vector(read.init_key()).len();
    let rest = &leaf[vector(&leaf_key).len()..leaf.len() - vector(&[0; 64]).len()];
    let leaf_tbs = [vector(&leaf_key), rest.to_vec()].concat();
    let new_leaf = [leaf_tbs.clone(), sign("LeafNodeTBS", &leaf_tbs)].concat();
    let extensions = &package[4 + begin + leaf.len()..package.len() - vector(&[0; 64]).len()];
    let tbs = [&package[4..4 + begin], &new_leaf, extensions].concat();
    [header, &tbs, &sign("KeyPackageTBS", &tbs)].concat()
}

fn vector(bytes: &[u8]) -> Vec<u8> {
    use tls_codec::Serialize as _;
    tls_codec::VLByteSlice(bytes).tls_serialize_detached().unwrap()
}

/// Both keys of a KeyPackage are compared with the tape: who has the partner's signature key and the init key
/// of a package that it has seen puts no leaf key of his own beside it.
#[test]
fn a_package_with_another_leaf_key_is_a_forgery() {
    let mut town = Town::new();
    let package = town.gadgets[SENSOR].publish(days(60));
    let same = wire::KeyPackage::decode(&package[4..]).unwrap();
    let key: [u8; 32] = same.leaf_node().encryption_key().try_into().unwrap();
    let private = &town.gadgets[SENSOR].private;
    let control = with_leaf_key(&package, key, private);
    let forged = with_leaf_key(&package, [9; 32], private);
    let phone = &town.gadgets[PHONE].device;
    let refused = [
        town.groups[PHONE].node_mut().unwrap().adopt(phone, &forged).unwrap_err(),
        town.groups[PHONE].node_mut().unwrap().refresh(phone, &forged).unwrap_err(),
    ];
    for refused in refused {
        assert!(matches!(refused, Error::Peer(PeerError::NotFromTheTape)), "{refused:?}");
    }
    town.groups[PHONE].node_mut().unwrap().adopt(phone, &control).unwrap();
    town.groups[PHONE].node_mut().unwrap().refresh(phone, &control).unwrap();
}

/// A refresh changes a partner's keys, and not who it is.
#[test]
fn a_refresh_does_not_change_the_credential() {
    let mut town = Town::new();
    let Gadget { device: sensor, private, .. } = &town.gadgets[SENSOR];
    let scheme = CIPHERSUITE.signature_algorithm();
    let public = sensor.signature_key().to_vec();
    let signer = SignatureKeyPair::from_raw(scheme, private.clone(), public);
    let renamed = credential(&signer, "somebody else");
    let provider = MemoryProvider::new(RustCrypto::default());
    let vault = sensor.vault().clone();
    let renamed = Device::new(provider, vault, signer, renamed, AcceptAnyIdentity);
    let package =
        Group::publish(&renamed, ID, PackageKind::Once, days(60), Capabilities::default()).unwrap();
    let phone = &town.gadgets[PHONE].device;
    let refused = [
        town.groups[PHONE].node_mut().unwrap().adopt(phone, &package).unwrap_err(),
        town.groups[PHONE].node_mut().unwrap().refresh(phone, &package).unwrap_err(),
    ];
    for refused in refused {
        assert!(matches!(refused, Error::Usage(UsageError::OtherCredential)), "{refused:?}");
    }
}

/// While a pairing is ending, nothing is drawn from its tape, a refresh neither.
#[test]
fn nobody_is_refreshed_while_the_pairing_ends() {
    let mut town = Town::new();
    let package = town.gadgets[SENSOR].publish(days(60));
    let phone = &town.gadgets[PHONE].device;
    town.groups[PHONE].cease(phone).unwrap();
    let refused = town.groups[PHONE].node_mut().unwrap().refresh(phone, &package).unwrap_err();
    assert!(matches!(refused, Error::Usage(UsageError::Ceasing)), "{refused:?}");
}

fn days(days: u64) -> Lifetime {
    Lifetime::init(system() - HOUR, system() + days * DAY)
}

/// What no valid commit can carry out is proposed: a member who is there already, the same newcomer twice, a removal twice,
/// and that of the committer. A paired device leaves it out, and heals.
#[test]
fn what_cannot_be_committed_blocks_no_commit() {
    type Proposes = fn(&mut Town) -> Vec<Vec<u8>>;
    let there: Proposes = |town| {
        let package = town.ada.key_package().unwrap();
        vec![town.ada.propose_add(&package).unwrap()]
    };
    let twice: Proposes = |town| {
        let mut guest = StockOpenMls::new(SUITE, Framing::Public, "the guest").unwrap();
        let package = guest.key_package().unwrap();
        vec![town.ada.propose_add(&package).unwrap(), town.ada.propose_add(&package).unwrap()]
    };
    let same_user_twice: Proposes = |town| {
        let mut guest = StockOpenMls::new(SUITE, Framing::Public, "the guest").unwrap();
        let [one, other] = [(); 2].map(|()| guest.key_package().unwrap());
        vec![town.ada.propose_add(&one).unwrap(), town.ada.propose_add(&other).unwrap()]
    };
    let removes: Proposes = |town| {
        let own = town.groups[PHONE].own_leaf();
        vec![town.ada.propose_remove(own).unwrap()]
    };
    let unknown_key: Proposes = |town| {
        let (group, provider, signer) = town.ada.parts().unwrap();
        let key = PreSharedKeyId::external(b"of Ada alone".to_vec(), vec![0; 32]);
        key.store(provider, b"a secret").unwrap();
        let (proposal, _) = group.propose_pre_shared_key(provider, signer, key).unwrap();
        vec![proposal.to_bytes().unwrap()]
    };
    for (n, proposes) in
        [there, twice, same_user_twice, removes, unknown_key].into_iter().enumerate()
    {
        let mut town = Town::new();
        for proposal in proposes(&mut town) {
            town.follow(&[PHONE, 1, LAMP, SENSOR], &proposal);
        }
        let phone = &town.gadgets[PHONE].device;
        let sent =
            town.groups[PHONE].update(phone).unwrap_or_else(|error| panic!("{n}: {error:?}"));
        assert!(
            town.groups[PHONE]
                .confirm(phone)
                .unwrap()
                .iter()
                .any(|event| matches!(event, Event::Healed { .. })),
            "{n}"
        );
        town.follow(&[1, LAMP, SENSOR], &sent.commit);
        assert!(matches!(town.ada.process(&sent.commit).unwrap(), Heard::Commit { .. }), "{n}");
    }
}
