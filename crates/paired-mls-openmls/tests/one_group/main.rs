//! One group for both anchors: what a commit may do at once, and how a device knows which of the two it is.

#![expect(clippy::unwrap_used, reason = "these are tests")]

mod rejoin;

use openmls::{
    extensions::Extensions,
    prelude::{
        BasicCredential, Capabilities, Ciphersuite, CredentialWithKey, CustomProposal,
        ExtensionType, Lifetime, MlsGroupCreateConfig, MlsGroupJoinConfig, ProposalType,
    },
    schedule::{ExternalPsk, PreSharedKeyId, Psk},
};
use openmls_basic_credential::SignatureKeyPair;
use openmls_rust_crypto::RustCrypto;
use openmls_traits::crypto::OpenMlsCrypto as _;
use paired_mls::{
    CipherSuite, DeviceId, EpochSecurity, Event, Pairing, PairingId, Secret, Seed, Vault,
    anchor::LeafIndex,
    code_points::EXTENSION_TYPE_PAIRED_MLS,
    group::credential::{AcceptAnyIdentity, CredentialPolicy},
    vault::MemoryStorage,
};
use paired_mls_openmls::{
    Content, Device, Error, Group, LeafGroup, MemoryProvider, PackageKind, Received, UsageError,
    gate, is_gated,
};

const CIPHERSUITE: Ciphersuite = Ciphersuite::MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519;
const SUITE: CipherSuite = CipherSuite::X25519Aes128;
const PAIRING: PairingId = PairingId([6; 16]);
const GROUP: &[u8] = b"group";
const CUSTOM: u16 = 0xff01;

type TestDevice = Device<MemoryProvider<RustCrypto>>;

fn key() -> (Vec<u8>, Vec<u8>) {
    RustCrypto::default().signature_key_gen(CIPHERSUITE.signature_algorithm()).unwrap()
}

fn device(identity: &str, key: &(Vec<u8>, Vec<u8>)) -> TestDevice {
    device_with(identity, key, AcceptAnyIdentity)
}

fn device_with(
    identity: &str,
    key: &(Vec<u8>, Vec<u8>),
    policy: impl CredentialPolicy + 'static,
) -> TestDevice {
    let (private, public) = key.clone();
    let credential = CredentialWithKey {
        credential: BasicCredential::new(identity.into()).into(),
        signature_key: public.clone().into(),
    };
    let signer = SignatureKeyPair::from_raw(CIPHERSUITE.signature_algorithm(), private, public);
    let provider = MemoryProvider::new(RustCrypto::default());
    Device::new(provider, Vault::new(MemoryStorage::new()), signer, credential, policy)
}

/// A phone and a sensor with the tape of one pairing.
fn pair(phone: &TestDevice, sensor: &TestDevice) -> Pairing {
    let pairing = Pairing::new(PAIRING, [phone.signature_key(), sensor.signature_key()]);
    for (device, own) in [(phone, DeviceId(0)), (sensor, DeviceId(1))] {
        let seed = Seed::new(SUITE, Secret::new(vec![5; 32])).unwrap();
        pairing.install(device.vault(), SUITE, seed, own).unwrap();
    }
    pairing
}

/// What a member can do that the gate lets in, and that knows the proposal of these tests.
fn capabilities() -> Capabilities {
    let extension = ExtensionType::Unknown(EXTENSION_TYPE_PAIRED_MLS);
    Capabilities::new(None, None, Some(&[extension]), Some(&[ProposalType::Custom(CUSTOM)]), None)
}

fn create() -> MlsGroupCreateConfig {
    MlsGroupCreateConfig::builder()
        .ciphersuite(CIPHERSUITE)
        .use_ratchet_tree_extension(true)
        .capabilities(capabilities())
        .build()
}

fn join(device: &TestDevice, welcome: &[u8]) -> Group {
    Group::join(
        device,
        welcome,
        &MlsGroupJoinConfig::builder().use_ratchet_tree_extension(true).build(),
    )
    .unwrap()
}

fn package(device: &TestDevice) -> Vec<u8> {
    device.key_package_with(CIPHERSUITE, capabilities()).unwrap()
}

fn publish(phone: &TestDevice, sensor: &TestDevice) -> Vec<u8> {
    let (kind, lifetime) = (PackageKind::Once, Lifetime::default());
    let package = Group::publish(phone, PAIRING, kind, lifetime, capabilities()).unwrap();
    LeafGroup::adopt(sensor, PAIRING, &package).unwrap();
    package
}

/// A group of Bob, who creates it, with Dave and these clients; Dave is the one to go.
fn with(bob: &TestDevice, packages: &[Vec<u8>]) -> (Group, LeafIndex, Vec<u8>) {
    let mut at_bob = Group::create(bob, GROUP, &create()).unwrap();
    let dave = package(&device("Dave", &key()));
    let sent = at_bob.add(bob, &[&[dave], packages].concat()).unwrap();
    at_bob.confirm(bob).unwrap();
    (at_bob, LeafIndex::new(1).unwrap(), sent.welcome.unwrap())
}

fn agree(groups: &[&Group]) {
    let authenticator = |group: &&Group| group.mls().epoch_authenticator().as_slice().to_vec();
    let all: Vec<_> = groups.iter().map(authenticator).collect();
    assert!(all.windows(2).all(|two| two.first() == two.last()), "they are in different epochs");
}

/// The pre-shared key that all of them have.
fn share_psk(devices: &[&TestDevice]) -> PreSharedKeyId {
    let psk = Psk::External(ExternalPsk::new(b"a key from elsewhere".to_vec()));
    let rand = RustCrypto::default();
    let id = PreSharedKeyId::new(CIPHERSUITE, &rand, psk).unwrap();
    for device in devices {
        id.store(device.provider(), &[7; 32]).unwrap();
    }
    id
}

/// Adds, removes, sets the gate, injects a key and says something: in one commit of the phone. The sensor follows,
/// and so does Bob, who is paired with nobody.
fn does_all(
    (phone, at_phone): (&TestDevice, &mut Group),
    (sensor, at_sensor): (&TestDevice, &mut Group),
    (bob, at_bob): (&TestDevice, &mut Group),
    dave: LeafIndex,
) {
    assert!(!is_gated(at_phone.mls()));
    let carol = device("Carol", &key());
    let content = Content::new()
        .adds([package(&carol)])
        .removes([dave])
        .extensions(Extensions::single(gate()).unwrap())
        .pre_shared_key(share_psk(&[phone, sensor, bob, &carol]))
        .custom(CustomProposal::new(CUSTOM, b"of our own".to_vec()))
        .authenticated_data(b"for everybody to see".to_vec());
    let sent = at_phone.commit(phone, content).unwrap();
    if let Some(notify) = &sent.notify {
        assert_eq!(at_sensor.process(sensor, notify).unwrap(), Received::Announced);
    }
    at_phone.confirm(phone).unwrap();
    let at_carol = join(&carol, &sent.welcome.unwrap());
    let mut seen = Vec::new();
    let received = at_bob.process_if(bob, &sent.commit, |inspection| {
        let custom =
            inspection.commit().queued_proposals().filter_map(|queued| match queued.proposal() {
                openmls::prelude::Proposal::Custom(custom) => Some(custom.payload().to_vec()),
                _ => None,
            });
        seen = custom.collect();
        true
    });
    assert!(matches!(received, Ok(Received::Commit { .. })), "{received:?}");
    assert_eq!(seen, [b"of our own"]);
    let Received::Commit { events, .. } = at_sensor.process(sensor, &sent.commit).unwrap() else {
        panic!("a commit is a commit")
    };
    assert!(events.iter().any(|event| matches!(event, Event::Healed { .. })), "{events:?}");
    agree(&[at_phone, at_sensor, at_bob, &at_carol]);
    assert!(is_gated(at_sensor.mls()));
    assert!(at_sensor.members().iter().all(|member| !is_dave(member)));
    for group in [&*at_phone, &*at_sensor] {
        let security = group.security(DeviceId(1));
        assert!(matches!(security, Some(EpochSecurity::Secure(_))), "{security:?}");
    }
}

fn is_dave(member: &paired_mls_openmls::MemberIdentity) -> bool {
    member.identity.claims().content() == b"Dave"
}

#[test]
fn one_commit_does_all_of_it_at_a_node() {
    let (phone, sensor) = (device("phone", &key()), device("sensor", &key()));
    let bob = device("Bob", &key());
    let packages = [package(&phone), package(&sensor)];
    let (mut at_bob, dave, welcome) = with(&bob, &packages);
    let (mut at_phone, mut at_sensor) = (join(&phone, &welcome), join(&sensor, &welcome));
    let pairing = pair(&phone, &sensor);
    assert!(at_phone.pair(&phone, &pairing).unwrap().is_some());
    at_sensor.pair(&sensor, &pairing).unwrap();
    assert_eq!(at_sensor.own_device(&sensor).unwrap(), Some(DeviceId(1)));
    does_all((&phone, &mut at_phone), (&sensor, &mut at_sensor), (&bob, &mut at_bob), dave);
}

#[test]
fn one_commit_does_all_of_it_from_a_shared_leaf() {
    let (phone, sensor, _, mut at_bob, dave, welcome, bob) = behind_a_leaf();
    let (mut at_phone, mut at_sensor) = (join(&phone, &welcome), join(&sensor, &welcome));
    assert!(at_phone.shared().is_some() && at_phone.node().is_none());
    assert_eq!(at_sensor.own_device(&sensor).unwrap(), Some(DeviceId(1)));
    does_all((&phone, &mut at_phone), (&sensor, &mut at_sensor), (&bob, &mut at_bob), dave);
    assert!(at_phone.speaks_alone(&phone).unwrap());
    assert!(!at_sensor.speaks_alone(&sensor).unwrap());
}

type BehindALeaf =
    (TestDevice, TestDevice, (Vec<u8>, Vec<u8>), Group, LeafIndex, Vec<u8>, TestDevice);

/// A phone and a sensor that share a leaf, whose key is the third; Bob's group; Dave's leaf; the Welcome.
fn behind_a_leaf() -> BehindALeaf {
    let shared = key();
    let (phone, sensor) = (device("Alice", &shared), device("Alice", &shared));
    let (phone, sensor) = (phone.with_shared_leaf(PAIRING), sensor.with_shared_leaf(PAIRING));
    pair(&phone, &sensor);
    let bob = device("Bob", &key());
    let package = publish(&phone, &sensor);
    let (at_bob, dave, welcome) = with(&bob, &[package]);
    (phone, sensor, shared, at_bob, dave, welcome, bob)
}

/// What a device has in a group is known again when it is loaded, and a device behind a leaf never takes a group
/// for one in which the leaf is its own.
#[test]
fn what_a_device_has_in_a_group_is_known_again() {
    let (phone, sensor, _, _, _, welcome, _) = behind_a_leaf();
    assert_eq!(Group::welcome_group_id(&phone, &welcome).unwrap(), GROUP);
    let at_phone = join(&phone, &welcome);
    assert_eq!(at_phone.pairing_tape().map(|tape| tape.pairing), Some(PAIRING));
    drop(at_phone);
    assert!(Group::load(&phone, GROUP).unwrap().shared().is_some());

    let refused = Group::create(&sensor, b"of its own", &create());
    assert!(matches!(refused, Err(Error::Usage(UsageError::SharedLeaf))));
    // A vault from a backup knows nothing of the leaf; another pairing's device has no part in it.
    let tape = PairingId([9; 16]);
    let phone = phone.with_shared_leaf(tape);
    assert!(matches!(Group::load(&phone, GROUP), Err(Error::Usage(UsageError::NotPaired))));
    let name = paired_mls::RecordName::Leaf(GROUP.to_vec());
    phone.vault().erase(&name).unwrap();
    let phone = phone.with_shared_leaf(PAIRING);
    assert!(matches!(Group::load(&phone, GROUP), Err(Error::Usage(UsageError::NotPaired))));
}

/// A device that comes back with a leaf of its own has one, whatever its vault had of the shared leaf.
#[test]
fn who_comes_back_with_a_leaf_of_its_own_shares_none() {
    let (phone, _, shared, mut at_bob, _, welcome, bob) = behind_a_leaf();
    let mut at_phone = join(&phone, &welcome);
    let leaf = at_phone.own_leaf();
    let sent = at_bob.remove(&bob, &[leaf]).unwrap();
    at_bob.confirm(&bob).unwrap();
    at_phone.process(&phone, &sent.commit).unwrap();
    assert!(!at_phone.mls().is_active());
    drop(at_phone);

    // The same state and the same vault, and a KeyPackage of its own.
    let own = as_itself(phone, &shared);
    let sent = at_bob.add(&bob, &[package(&own)]).unwrap();
    at_bob.confirm(&bob).unwrap();
    let mut at_own = join(&own, &sent.welcome.unwrap());
    assert!(at_own.node().is_some());
    drop(at_own);
    at_own = Group::load(&own, GROUP).unwrap();
    assert!(at_own.node().is_some(), "the vault's record of the shared leaf is gone");
    agree(&[&at_own, &at_bob]);
}

/// The device on the same state and with the same vault, for leaves of its own.
fn as_itself(behind: TestDevice, (private, public): &(Vec<u8>, Vec<u8>)) -> TestDevice {
    let records = behind.provider().records();
    let scheme = CIPHERSUITE.signature_algorithm();
    let signer = SignatureKeyPair::from_raw(scheme, private.clone(), public.clone());
    let provider = MemoryProvider::with_records(RustCrypto::default(), records);
    let (vault, credential) = (behind.vault().clone(), behind.credential().clone());
    Device::new(provider, vault, signer, credential, AcceptAnyIdentity)
}

/// A pairing is taken out of a group: with a leaf of its own the device stays, a shared leaf has to be out.
#[test]
fn a_pairing_is_taken_out_at_both_anchors() {
    let (phone, _, _, mut at_bob, _, welcome, bob) = behind_a_leaf();
    let at_phone = join(&phone, &welcome);
    let still = at_phone.unpair(&phone);
    assert!(matches!(still, Err(Error::Usage(UsageError::StillThere))));
    let mut at_phone = Group::load(&phone, GROUP).unwrap();
    let leaf = at_phone.own_leaf();
    let sent = at_bob.remove(&bob, &[leaf]).unwrap();
    at_bob.confirm(&bob).unwrap();
    at_phone.process(&phone, &sent.commit).unwrap();
    assert!(at_phone.unpair(&phone).unwrap().is_none());
    assert!(matches!(Group::load(&phone, GROUP), Err(Error::Usage(UsageError::NoSuchGroup))));

    let (phone, sensor) = (device("phone", &key()), device("sensor", &key()));
    let (_, _, welcome) = with(&device("Bob", &key()), &[package(&phone), package(&sensor)]);
    let mut at_phone = join(&phone, &welcome);
    at_phone.pair(&phone, &pair(&phone, &sensor)).unwrap();
    at_phone.cease(&phone).unwrap();
    let mut at_phone = at_phone.unpair(&phone).unwrap().unwrap();
    assert_eq!(at_phone.pairing_tape(), None);
    at_phone.update(&phone).unwrap();
    assert_eq!((at_phone.has_pending(), at_phone.pending_index()), (true, None));
}
