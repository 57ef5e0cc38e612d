//! Standard mode: a leaf with a signature key for each device.

use openmls::prelude::{
    BasicCredential, Capabilities, CredentialWithKey, Extensions, KeyPackage, LeafNodeParameters,
    MlsMessageOut,
};
use openmls_basic_credential::SignatureKeyPair;
use openmls_rust_crypto::RustCrypto;
use openmls_traits::{OpenMlsProvider as _, crypto::OpenMlsCrypto as _, types::SignatureScheme};
use paired_mls::{
    CipherSuite, Event,
    anchor::LeafIndex,
    conformance::{
        Content, Framing, Heard, Listener as _, Member as _,
        leaf::{LeafMember as _, Use},
    },
    group::{Oddity, PinFirstSeen, credential::Strictness},
    leaf::{KeyProofs, SignatureKeys},
    wire::Credential,
};
use paired_mls_openmls::{
    Content as Commits, Error, KeyVectorCrypto, MemoryProvider, PeerError, Received, UsageError,
    gate, gate_capabilities, proofs_extension,
};
use paired_mls_peers::{Door, LeafMode, OpenMlsLeafDevice, StockMlsRs, StockOpenMls};

use crate::cast::{Cast, PHONE, SENSOR};

type KeyVector = KeyVectorCrypto<RustCrypto>;
type Devices = Vec<OpenMlsLeafDevice<KeyVector>>;

const SUITES: [CipherSuite; 3] =
    [CipherSuite::X25519Aes128, CipherSuite::P256Aes128, CipherSuite::X25519ChaCha20];
const SUITE: CipherSuite = CipherSuite::X25519Aes128;

fn for_each(test: impl Fn(CipherSuite, Framing)) {
    for suite in SUITES {
        test(suite, Framing::Public);
        test(suite, Framing::Private);
    }
}

fn devices(suite: CipherSuite, framing: Framing) -> Devices {
    OpenMlsLeafDevice::several(LeafMode::Standard, suite, framing, "the leaf", 2).unwrap()
}

/// The devices, with a leaf that lists the phone's key only.
fn with_one_key(suite: CipherSuite, framing: Framing) -> Devices {
    let devices = devices(suite, framing);
    let key = devices[PHONE].signature_key_pair().1;
    devices.into_iter().map(|device| device.listed_as(key.clone()).unwrap()).collect()
}

fn cast(devices: Devices, door: Door, suite: CipherSuite, framing: Framing) -> Cast<KeyVector> {
    let ada = StockOpenMls::behind(door, suite, framing, "ada").unwrap();
    let bob = StockOpenMls::<KeyVector>::behind(door, suite, framing, "bob").unwrap();
    Cast::meet(devices, ada, vec![Box::new(bob)], suite)
}

fn gated(suite: CipherSuite, framing: Framing) -> Cast<KeyVector> {
    cast(devices(suite, framing), Door::Gated, suite, framing)
}

fn key(cast: &Cast<KeyVector>, device: usize) -> Vec<u8> {
    cast.devices[device].signature_key_pair().1
}

fn both_keys(cast: &Cast<KeyVector>) -> Vec<u8> {
    let keys = vec![key(cast, PHONE), key(cast, SENSOR)];
    let len = keys[0].len();
    SignatureKeys::new(keys, len).unwrap().encode()
}

/// The field `signature_key` of the leaf, as Ada has it.
fn listed(cast: &Cast<KeyVector>) -> Vec<u8> {
    let leaf = cast.devices[PHONE].own_leaf().unwrap().value();
    let mut members = cast.ada.group().unwrap().members();
    members.find(|member| member.index.u32() == leaf).unwrap().signature_key
}

/// Parameters of a leaf that lists these keys.
fn with_keys(cast: &Cast<KeyVector>, keys: Vec<u8>) -> LeafNodeParameters {
    let credential = cast.devices[PHONE].credential().credential;
    let claims = Credential::basic("the leaf");
    let signed = KeyProofs::to_be_signed(&keys, &claims);
    let prove = |device: &OpenMlsLeafDevice<KeyVector>| {
        let scheme = match device.signature_key_pair().1.len() {
            32 => SignatureScheme::ED25519,
            _ => SignatureScheme::ECDSA_SECP256R1_SHA256,
        };
        RustCrypto::default().sign(scheme, &signed, &device.signature_key_pair().0).unwrap()
    };
    let proofs = KeyProofs::new(cast.devices.iter().map(prove).collect());
    let extensions = proofs_extension(&proofs).unwrap();
    LeafNodeParameters::builder()
        .with_credential_with_key(CredentialWithKey { credential, signature_key: keys.into() })
        .with_capabilities(gate_capabilities())
        .with_extensions(extensions)
        .build()
}

/// Whoever verifies a commit or a message of the leaf learns which device has signed it.
#[test]
fn a_verifier_learns_which_device_has_signed() {
    for_each(|suite, framing| {
        let mut cast = gated(suite, framing);
        for by in [PHONE, SENSOR, SENSOR, PHONE] {
            let signer = Some(key(&cast, by));
            cast.update(by);
            let signed_by = |cast: &mut Cast<KeyVector>| {
                let (_, provider, _) = cast.ada.parts().unwrap();
                provider.crypto().signed_by()
            };
            assert_eq!(signed_by(&mut cast), signer);
            let (group, device) = cast.at(by);
            let message = group.send(device, b"from one of two").unwrap();
            let heard = Heard::Application(b"from one of two".to_vec());
            assert_eq!(cast.ada.process(&message).unwrap(), heard);
            assert_eq!(signed_by(&mut cast), signer);
        }
    });
}

/// Either device signs what lets others in: Welcome, GroupInfo, and its own external commit.
#[test]
fn either_device_lets_others_in() {
    for_each(|suite, framing| {
        let mut cast = gated(suite, framing);
        for by in [PHONE, SENSOR] {
            let mut guest = cast.guest(suite, framing, Door::Gated);
            let package = guest.key_package().unwrap();
            let (group, device) = cast.at(by);
            let sent = group.add(device, &[package]).unwrap();
            cast.deliver(by, &sent);
            guest.join(&sent.welcome.unwrap()).unwrap();
            cast.others.push(Box::new(guest));
            cast.assert_together();

            let info = cast.devices[by].group_info().unwrap();
            let sent = cast.devices[by].rejoin(&info).unwrap();
            cast.devices[by].confirm_rejoin().unwrap();
            cast.follow(1 - by, &sent.commit);
            cast.ada.process(&sent.commit).unwrap();
            for other in &mut cast.others {
                other.process(&sent.commit).unwrap();
            }
            cast.assert_together();
            cast.update(1 - by);
        }
    });
}

/// A leaf changes in place: from the phone's key to both, and to the sensor's alone. A device commits
/// if the leaf lists its key, and follows in any case.
#[test]
fn a_leaf_changes_its_keys_in_place() {
    for_each(|suite, framing| {
        let mut cast = cast(with_one_key(suite, framing), Door::Gated, suite, framing);
        assert_eq!(listed(&cast), key(&cast, PHONE));
        let not_listed = |cast: &mut Cast<KeyVector>, device: usize| {
            let stored = cast.devices[device].stored();
            let (group, at) = cast.at(device);
            let refused = group.update(at).unwrap_err();
            assert!(matches!(refused, Error::Usage(UsageError::NotListed)), "{refused:?}");
            assert_eq!(cast.devices[device].stored(), stored);
        };
        not_listed(&mut cast, SENSOR);

        let both = both_keys(&cast);
        let parameters = with_keys(&cast, both.clone());
        let (group, device) = cast.at(PHONE);
        let sent = group.shared_mut().unwrap().update_leaf(device, parameters).unwrap();
        cast.deliver(PHONE, &sent);
        assert_eq!(listed(&cast), both);
        cast.update(SENSOR);
        cast.update(PHONE);

        // Back to one key, which has to be the committer's own.
        let sensors = with_keys(&cast, key(&cast, SENSOR));
        let (group, device) = cast.at(PHONE);
        let refused = group.shared_mut().unwrap().update_leaf(device, sensors.clone()).unwrap_err();
        assert!(matches!(refused, Error::Usage(UsageError::NotListed)), "{refused:?}");
        let (group, device) = cast.at(SENSOR);
        let sent = group.shared_mut().unwrap().update_leaf(device, sensors).unwrap();
        cast.deliver(SENSOR, &sent);
        assert_eq!(listed(&cast), key(&cast, SENSOR));
        not_listed(&mut cast, PHONE);
        cast.update(SENSOR);
        let refused = cast.devices[SENSOR].publish(Use::Once).unwrap_err();
        assert!(refused.to_string().contains("does not list"), "the device's own view: {refused}");
    });
}

fn key_of(device: &OpenMlsLeafDevice<KeyVector>) -> Vec<u8> {
    device.signature_key_pair().1
}

fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut said = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        said = format!("{said}: {cause}");
        source = cause.source();
    }
    said
}

/// A leaf with one key is on the wire what it is in RFC 9420, and one with two is longer by the second
/// key and three lengths.
#[test]
fn one_key_stands_alone() {
    let cast = gated(SUITE, Framing::Public);
    assert_eq!(key(&cast, PHONE).len(), 32);
    assert_eq!(listed(&cast).len(), 66);
    let single = SignatureKeys::new(vec![key(&cast, PHONE)], 32).unwrap().encode();
    assert_eq!(single, key(&cast, PHONE));
}

/// Without the gate a leaf does not get several keys; with it, and everybody knowing them, it does.
#[test]
fn several_keys_need_the_gate() {
    for_each(|suite, framing| {
        // Everybody knows such leaves, and the group does not require it yet.
        let mut cast = cast(with_one_key(suite, framing), Door::Ajar, suite, framing);
        let parameters = with_keys(&cast, both_keys(&cast));
        let stored = cast.devices[PHONE].stored();
        let (group, device) = cast.at(PHONE);
        let refused =
            group.shared_mut().unwrap().update_leaf(device, parameters.clone()).unwrap_err();
        assert!(matches!(refused, Error::Peer(PeerError::Ungated)), "{refused:?}");
        assert_eq!(cast.devices[PHONE].stored(), stored);

        let (group, device) = cast.at(PHONE);
        let gated = Commits::new().extensions(Extensions::single(gate()).unwrap());
        let sent = group.commit(device, gated).unwrap();
        cast.deliver(PHONE, &sent);
        let (group, device) = cast.at(PHONE);
        let sent = group.shared_mut().unwrap().update_leaf(device, parameters).unwrap();
        cast.deliver(PHONE, &sent);
        cast.update(SENSOR);

        // The gate stays while the leaf has two keys.
        let (group, device) = cast.at(SENSOR);
        let ungated = Commits::new().extensions(Extensions::empty());
        let refused = group.commit(device, ungated).unwrap_err();
        assert!(matches!(refused, Error::Peer(PeerError::Ungated)), "{refused:?}");
    });
}

/// The gate does not close on members that do not know what is behind it.
#[test]
fn the_gate_shuts_nobody_in() {
    let mut cast = cast(with_one_key(SUITE, Framing::Public), Door::Open, SUITE, Framing::Public);
    let (group, device) = cast.at(PHONE);
    let gated = Commits::new().extensions(Extensions::single(gate()).unwrap());
    let refused = group.commit(device, gated);
    let stranded = |leaf: &LeafIndex| leaf.value() == 0;
    assert!(
        matches!(&refused, Err(Error::Usage(UsageError::GateWouldStrand(at))) if stranded(at)),
        "{refused:?}"
    );
    cast.update(PHONE);
}

/// A stock member is turned away at the gate by any member, and whoever adds it learns why.
#[test]
fn stock_members_are_turned_away_at_the_gate() {
    let mut cast = gated(SUITE, Framing::Public);
    let stock: [Vec<u8>; 2] = [
        StockOpenMls::new(SUITE, Framing::Public, "stock openmls").unwrap().key_package().unwrap(),
        StockMlsRs::new(SUITE, Framing::Public, "stock mls-rs").unwrap().key_package().unwrap(),
    ];
    for package in stock {
        let refused =
            cast.ada.commit(&Content { adds: vec![package.clone()], ..Content::default() });
        assert!(format!("{:?}", refused.unwrap_err()).contains("UnsupportedExtensions"));
        let (group, device) = cast.at(PHONE);
        let refused = group.add(device, &[package]).unwrap_err();
        assert!(matches!(refused, Error::Usage(UsageError::NotAtTheGate)), "{refused:?}");
    }
    cast.update(SENSOR);
}

/// The KeyPackage of a leaf that lists these keys, signed with one of them.
fn key_package(suite: CipherSuite, signer: (Vec<u8>, Vec<u8>), listed: Vec<u8>) -> Vec<u8> {
    let suite = openmls::prelude::Ciphersuite::try_from(suite.code_point()).unwrap();
    let provider = MemoryProvider::new(RustCrypto::default());
    let signer = SignatureKeyPair::from_raw(suite.signature_algorithm(), signer.0, signer.1);
    let credential = CredentialWithKey {
        credential: BasicCredential::new(b"a copy".to_vec()).into(),
        signature_key: listed.into(),
    };
    let builder = KeyPackage::builder().leaf_node_capabilities(gate_capabilities());
    let bundle = builder.build(suite, &provider, &signer, credential).unwrap();
    MlsMessageOut::from(bundle.into_key_package()).to_bytes().unwrap()
}

/// A signature key that two leaves prove stands once in the whole group, also among several of the own leaf:
/// MLS libraries compare whole fields and do not see it. The devices neither make nor accept a commit that
/// breaks that.
#[test]
fn a_signature_key_stands_once_in_the_group() {
    for_each(|suite, framing| {
        let mut cast = gated(suite, framing);
        let sensors = cast.devices[SENSOR].signature_key_pair();
        let copy = key_package(suite, sensors.clone(), sensors.1);
        let (group, device) = cast.at(PHONE);
        let refused = group.add(device, std::slice::from_ref(&copy)).unwrap_err();
        assert!(matches!(refused, Error::Peer(PeerError::SignatureKeyTwice)), "{refused:?}");

        let (group, _) = cast.at(SENSOR);
        let epoch = group.epoch();
        let stored = cast.devices[SENSOR].stored();
        let sent = cast.ada.commit(&Content { adds: vec![copy], ..Content::default() }).unwrap();
        let (group, device) = cast.at(SENSOR);
        let refused = group.process(device, &sent.commit).unwrap_err();
        assert!(matches!(refused, Error::Peer(PeerError::SignatureKeyTwice)), "{refused:?}");
        assert_eq!(group.epoch(), epoch);
        if framing == Framing::Public {
            assert_eq!(cast.devices[SENSOR].stored(), stored);
        }
    });
}

/// Whoever lists a stranger's key in his leaf keeps nobody out and stops no device: the key is not proven
/// by that leaf, which it has not signed. The leaf is told of as odd, and its member is not verified.
#[test]
fn a_strangers_key_in_a_list_keeps_nobody_out() {
    for_each(|suite, framing| {
        let mut cast = gated(suite, framing);
        let mut victim = cast.guest(suite, framing, Door::Gated);
        let package = victim.key_package().unwrap();
        let own = cast.devices[SENSOR].signature_key_pair().1;
        let ada = paired_mls_peers::Stock::signature_key(&cast.ada);
        // Of a device of the leaf itself, and of somebody who is not there yet.
        let victims = paired_mls_peers::Stock::signature_key(&victim);
        for (n, listed) in [own, victims].into_iter().enumerate() {
            let list = SignatureKeys::new(vec![ada.clone(), listed], ada.len()).unwrap();
            let sent = cast.ada.commit_listing(list.encode()).unwrap();
            for by in [PHONE, SENSOR] {
                let (group, device) = cast.at(by);
                let Received::Commit { events, .. } = group.process(device, &sent).unwrap() else {
                    panic!("a commit is a commit");
                };
                let odd = |oddity| {
                    let odd = |event: &&Event| matches!(event, Event::OddLeaf { oddity: of, .. } if *of == oddity);
                    events.iter().filter(odd).count()
                };
                assert_eq!(odd(Oddity::KeyTwice), usize::from(n == 0), "{events:?}");
                assert_eq!(odd(Oddity::KeyNotProven), 1, "{events:?}");
                let alarm = |event: &Event| matches!(event, Event::IdentityUnverified { .. });
                assert!(events.iter().any(alarm), "{events:?}");
            }
            for other in &mut cast.others {
                other.process(&sent).unwrap();
            }
            cast.ada.confirm().unwrap();
            cast.assert_together();
        }
        let (group, device) = cast.at(PHONE);
        let sent = group.add(device, &[package]).unwrap();
        cast.deliver(PHONE, &sent);
        victim.join(&sent.welcome.unwrap()).unwrap();
        cast.others.push(Box::new(victim));
        cast.assert_together();
    });
}

/// A field that lists a key twice is no list, and verifies no signature: nobody who knows such leaves takes the
/// commit, stock members of a gated group no more than devices, and all go on without it.
#[test]
fn a_list_with_a_key_twice_is_taken_by_nobody() {
    for_each(|suite, framing| {
        let mut cast = gated(suite, framing);
        let ada = paired_mls_peers::Stock::signature_key(&cast.ada);
        let own = cast.devices[SENSOR].signature_key_pair().1;
        let two = SignatureKeys::new(vec![ada.clone(), own], ada.len()).unwrap().encode();
        let (first, _) = two.split_at(two.len() / 2);
        let sent = cast.ada.commit_listing([first, first].concat()).unwrap();
        for by in [PHONE, SENSOR] {
            let (group, device) = cast.at(by);
            group.process(device, &sent).unwrap_err();
        }
        for other in &mut cast.others {
            other.process(&sent).unwrap_err();
        }
        cast.ada.discard().unwrap();
        // The control: the same with two keys is taken.
        let sent = cast.ada.commit_listing(two).unwrap();
        for by in [PHONE, SENSOR] {
            let (group, device) = cast.at(by);
            group.process(device, &sent).unwrap();
        }
        for other in &mut cast.others {
            other.process(&sent).unwrap();
        }
        cast.ada.confirm().unwrap();
        cast.assert_together();
        cast.update(PHONE);
    });
}

/// Two keys, each private and public, and a KeyPackage of a leaf that lists them and says these proofs.
pub(crate) fn listing(
    suite: CipherSuite,
    user: &str,
    keys: &[(Vec<u8>, Vec<u8>)],
    prove: impl Fn(&[u8]) -> Vec<Vec<u8>>,
) -> Vec<u8> {
    let public: Vec<_> = keys.iter().map(|key| key.1.clone()).collect();
    let listed = SignatureKeys::new(public, keys[0].1.len()).unwrap().encode();
    let proofs = KeyProofs::new(prove(&listed));
    let suite = openmls::prelude::Ciphersuite::try_from(suite.code_point()).unwrap();
    let provider = MemoryProvider::new(RustCrypto::default());
    let (private, public) = keys[0].clone();
    let signer = SignatureKeyPair::from_raw(suite.signature_algorithm(), private, public);
    let credential = CredentialWithKey {
        credential: BasicCredential::new(user.as_bytes().to_vec()).into(),
        signature_key: listed.into(),
    };
    let bundle = KeyPackage::builder()
        .leaf_node_capabilities(gate_capabilities())
        .leaf_node_extensions(proofs_extension(&proofs).unwrap())
        .build(suite, &provider, &signer, credential)
        .unwrap();
    MlsMessageOut::from(bundle.into_key_package()).to_bytes().unwrap()
}

pub(crate) fn sign(
    suite: CipherSuite,
    key: &(Vec<u8>, Vec<u8>),
    listed: &[u8],
    user: &str,
) -> Vec<u8> {
    let suite = openmls::prelude::Ciphersuite::try_from(suite.code_point()).unwrap();
    let signed = KeyProofs::to_be_signed(listed, &Credential::basic(user));
    RustCrypto::default().sign(suite.signature_algorithm(), &signed, &key.0).unwrap()
}

pub(crate) fn new_key(suite: CipherSuite) -> (Vec<u8>, Vec<u8>) {
    let suite = openmls::prelude::Ciphersuite::try_from(suite.code_point()).unwrap();
    RustCrypto::default().signature_key_gen(suite.signature_algorithm()).unwrap()
}

fn odd_only(received: Received) -> Vec<Oddity> {
    let Received::Commit { events, .. } = received else {
        panic!("a commit is a commit: {received:?}");
    };
    let odd = events.into_iter().filter_map(|event| match event {
        Event::OddLeaf { oddity, .. } => Some(oddity),
        _ => None,
    });
    odd.collect()
}

/// Each key that a leaf lists is proven by its holder. A device makes no leaf without the proofs of all its
/// devices, and adds none; what somebody else adds it follows, and says what is not proven.
#[test]
fn a_listed_key_is_proven_by_its_holder() {
    for_each(|suite, framing| {
        let mut cast = gated(suite, framing);
        let (own, victim) = (new_key(suite), new_key(suite));
        let keys = [own.clone(), victim.clone()];
        let user = "two devices";
        type Prove<'a> = Box<dyn Fn(&[u8]) -> Vec<Vec<u8>> + 'a>;
        let both = |of: &[u8], second: &(Vec<u8>, Vec<u8>), by: &str| {
            vec![sign(suite, &own, of, user), sign(suite, second, of, by)]
        };
        let forgeries: [(&str, Prove<'_>); 5] = [
            ("none", Box::new(|_| Vec::new())),
            ("one", Box::new(|of| vec![sign(suite, &own, of, user)])),
            ("not the holder", Box::new(|of| both(of, &own, user))),
            ("of another user", Box::new(|of| both(of, &victim, "the victim"))),
            ("of another leaf", Box::new(|of| both(&of[1..], &victim, user))),
        ];
        for (name, prove) in forgeries {
            let package = listing(suite, user, &keys, prove);
            let (group, device) = cast.at(PHONE);
            let refused = group.add(device, std::slice::from_ref(&package)).unwrap_err();
            assert!(matches!(refused, Error::Peer(PeerError::KeyProofs(_))), "{name}: {refused:?}");
            if name != "not the holder" {
                continue;
            }
            // A member who adds such a leaf all the same is followed.
            let sent =
                cast.ada.commit(&Content { adds: vec![package], ..Content::default() }).unwrap();
            cast.ada.confirm().unwrap();
            for by in [PHONE, SENSOR] {
                let (group, device) = cast.at(by);
                let odd = odd_only(group.process(device, &sent.commit).unwrap());
                assert_eq!(odd, [Oddity::KeyNotProven]);
            }
            for other in &mut cast.others {
                other.process(&sent.commit).unwrap();
            }
            cast.assert_together();
        }
        // The control.
        let others = [new_key(suite), new_key(suite)];
        let package = listing(suite, "others", &others, |of| {
            others.iter().map(|key| sign(suite, key, of, "others")).collect()
        });
        let (group, device) = cast.at(PHONE);
        let sent = group.add(device, &[package]).unwrap();
        let (group, device) = cast.at(SENSOR);
        group.process(device, sent.notify.as_ref().unwrap()).unwrap();
        assert_eq!(odd_only(group.process(device, &sent.commit).unwrap()), []);
    });
}

/// A device whose partners have not proven their keys makes no leaf, and takes over none.
#[test]
fn without_proofs_there_is_no_leaf_with_several_keys() {
    for suite in SUITES {
        let mut unproven: Devices = devices(suite, Framing::Public);
        let partner_proof = unproven[SENSOR].device().prove_key().unwrap();
        let own_proof = unproven[PHONE].device().prove_key().unwrap();
        let (phone, sensor) = (key_of(&unproven[PHONE]), key_of(&unproven[SENSOR]));
        let device = unproven[PHONE].device();
        assert!(device.is_key_proof(&phone, &own_proof));
        assert!(device.is_key_proof(&sensor, &partner_proof));
        assert!(!device.is_key_proof(&sensor, &own_proof));

        crate::cast::pair(&mut unproven, suite);
        let package = unproven[PHONE].publish(Use::Once).unwrap();
        let [phone, sensor] = unproven.try_into().ok().unwrap();
        let mut phone = phone.without_proofs().unwrap();
        let refused = chain(&*phone.publish(Use::Once).unwrap_err());
        assert!(refused.contains("every device of a leaf proves"), "{refused}");
        let mut phone = phone.with_proofs(vec![own_proof.clone(), own_proof]).unwrap();
        // What is not right is found by whoever adds the leaf, and by the partner.
        let forged = phone.publish(Use::Once).unwrap();
        assert_ne!(forged, package);
        let mut sensor = sensor;
        let refused = chain(&*sensor.adopt(&forged).unwrap_err());
        assert!(refused.contains("whose holder has not agreed"), "{refused}");
        sensor.adopt(&package).unwrap();
    }
}

/// A key that two leaves of others list and prove is taken, as stock members take it, and told. A device itself
/// adds no such leaf.
#[test]
fn a_key_that_two_others_list_is_taken_and_told() {
    for_each(|suite, framing| {
        let mut cast = gated(suite, framing);
        let (shared, one, two) = (new_key(suite), new_key(suite), new_key(suite));
        let package = |user, keys: [(Vec<u8>, Vec<u8>); 2]| {
            listing(suite, user, &keys, |of| {
                keys.iter().map(|key| sign(suite, key, of, user)).collect()
            })
        };
        let first = package("one", [one, shared.clone()]);
        let second = package("two", [two, shared]);
        for (n, package) in [first, second.clone()].into_iter().enumerate() {
            if n == 1 {
                let (group, device) = cast.at(PHONE);
                // Its policy has seen the key under another identity, and is told that it may stand there.
                let policy = PinFirstSeen::new(device.vault().clone(), Strictness::default());
                policy.forget(&Credential::basic("one")).unwrap();
                let refused = group.add(device, std::slice::from_ref(&second)).unwrap_err();
                assert!(
                    matches!(refused, Error::Peer(PeerError::SignatureKeyTwice)),
                    "{refused:?}"
                );
            }
            let sent =
                cast.ada.commit(&Content { adds: vec![package], ..Content::default() }).unwrap();
            cast.ada.confirm().unwrap();
            for by in [PHONE, SENSOR] {
                let (group, device) = cast.at(by);
                let odd = odd_only(group.process(device, &sent.commit).unwrap());
                assert_eq!(odd, if n == 0 { vec![] } else { vec![Oddity::KeyTwice] });
            }
            for other in &mut cast.others {
                other.process(&sent.commit).unwrap();
            }
            cast.assert_together();
        }
        cast.update(PHONE);
    });
}

/// The devices of a leaf are of one user, in either mode: a KeyPackage of another user's device is not
/// adopted, and its external commit not followed into a group.
#[test]
fn the_devices_of_a_leaf_are_of_one_user() {
    for (mode, door) in [(LeafMode::Hidden, Door::Open), (LeafMode::Standard, Door::Gated)] {
        let mut devices: Devices =
            OpenMlsLeafDevice::several(mode, SUITE, Framing::Public, "the leaf", 2).unwrap();
        let stranger = devices.pop().unwrap().named("somebody else").unwrap();
        devices.push(stranger);
        crate::cast::pair(&mut devices, SUITE);
        let package = devices[PHONE].publish(Use::Once).unwrap();
        let refused = devices[SENSOR].adopt(&package).unwrap_err();
        assert!(refused.to_string().contains("one user"), "{refused}");

        let mut ada =
            StockOpenMls::<KeyVector>::behind(door, SUITE, Framing::Public, "ada").unwrap();
        ada.create(b"a leaf").unwrap();
        let adds = vec![package];
        let sent = ada.commit(&Content { adds, ..Content::default() }).unwrap();
        ada.confirm().unwrap();
        devices[PHONE].join(&sent.welcome.unwrap()).unwrap();
        let info = devices[PHONE].group_info().unwrap();
        let sent = devices[PHONE].rejoin(&info).unwrap();
        devices[PHONE].confirm_rejoin().unwrap();
        let refused = devices[SENSOR].enter(&info, &sent.commit).unwrap_err();
        assert!(refused.to_string().contains("one user"), "{refused}");
    }
}

/// Capabilities that a member has to list, and nothing else.
#[test]
fn the_gate_is_one_extension_type() {
    let plain = Capabilities::default();
    let gate = gate_capabilities();
    assert_eq!(gate.extensions().len(), plain.extensions().len() + 1);
    assert_eq!(gate.ciphersuites(), plain.ciphersuites());
    assert_eq!(gate.proposals(), plain.proposals());
}
