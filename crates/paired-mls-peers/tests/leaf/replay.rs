//! The replay vectors: a tape, what everybody can see, and the commits that must come of it.
//!
//! `vectors/README.md` says what is in the files. They are written by
//!
//! ```text
//! PAIRED_MLS_WRITE_VECTORS=$PWD/vectors/replay \
//!     cargo test -p paired-mls-peers --test leaf what_is_generated_replays
//! ```

use std::{fs, path::PathBuf};

use openmls::prelude::{
    Extension, ExtensionType, Extensions, Lifetime, RequiredCapabilitiesExtension,
};
use openmls_rust_crypto::RustCrypto;
use openmls_traits::{OpenMlsProvider as _, crypto::OpenMlsCrypto as _};
use paired_mls::{
    CipherSuite, DeviceId, Pairing, PairingId, Secret, Seed,
    anchor::LeafIndex,
    conformance::{Content, Framing, Heard, Listener as _, Member, leaf::LeafMember as _},
};
use paired_mls_openmls::{Content as Commits, Group, KeyVectorCrypto, Outgoing, PackageKind, gate};
use paired_mls_peers::{Door, LeafMode, OpenMlsLeafDevice, StockOpenMls, TestCrypto};
use serde::{Deserialize, Serialize};

use crate::cast::PAIRING;

type KeyVector = KeyVectorCrypto<RustCrypto>;

/// Bytes, in hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Hex(Vec<u8>);

impl Serialize for Hex {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        hex::decode(String::deserialize(deserializer)?).map(Self).map_err(serde::de::Error::custom)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    kind: String,
    description: String,
    suite: u16,
    mode: String,
    framing: String,
    tape: Start,
    identity: String,
    keys: Vec<KeyPair>,
    key_package: KeyPackage,
    group_info: Hex,
    log: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Start {
    seed: Hex,
    pairing_id: Hex,
    devices: Vec<u16>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyPair {
    private: Hex,
    public: Hex,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyPackage {
    not_before: u64,
    not_after: u64,
    message: Hex,
}

/// What the delivery service delivers, in its order.
#[derive(Clone, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case", deny_unknown_fields)]
enum Entry {
    /// A device of the leaf comes in by an external commit.
    Rejoin { device: u16, commit: Hex, epoch_authenticator: Hex },
    /// A device of the leaf commits.
    Commit {
        device: u16,
        removes: Vec<u32>,
        required_capabilities: Option<Vec<u16>>,
        notify: Hex,
        commit: Hex,
        epoch_authenticator: Hex,
    },
    /// Somebody else sends a message.
    Other { message: Hex, epoch_authenticator: Hex },
}

const LIFETIME: (u64, u64) = (1_700_000_000, 1_707_257_600);

fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../vectors/replay")
}

/// The devices of a vector, on a crypto provider for either mode.
fn devices(vector: &Vector) -> Vec<OpenMlsLeafDevice<KeyVector>> {
    let suite = CipherSuite::try_from(vector.suite).unwrap();
    let keys = vector.keys.iter().map(|pair| (pair.private.0.clone(), pair.public.0.clone()));
    let mode = mode(vector);
    let mut devices = OpenMlsLeafDevice::with_keys(
        mode,
        suite,
        framing(vector),
        &vector.identity,
        keys.collect(),
    )
    .unwrap();
    let pairing = PairingId(vector.tape.pairing_id.0.clone().try_into().unwrap());
    let of_pairing = Pairing::new(pairing, vec![Vec::new(); devices.len()]);
    for (device, own) in devices.iter_mut().zip(&vector.tape.devices) {
        let seed = Seed::new(suite, Secret::new(vector.tape.seed.0.clone())).unwrap();
        of_pairing.install(device.vault(), suite, seed, DeviceId(*own)).unwrap();
        device.share(pairing);
    }
    devices
}

fn mode(vector: &Vector) -> LeafMode {
    match vector.mode.as_str() {
        "hidden" => LeafMode::Hidden,
        "standard" => LeafMode::Standard,
        other => panic!("unknown mode {other}"),
    }
}

fn framing(vector: &Vector) -> Framing {
    match vector.framing.as_str() {
        "public" => Framing::Public,
        "private" => Framing::Private,
        other => panic!("unknown framing {other}"),
    }
}

fn door(vector: &Vector) -> Door {
    match mode(vector) {
        LeafMode::Hidden => Door::Open,
        LeafMode::Standard => Door::Gated,
    }
}

fn publish(device: &OpenMlsLeafDevice<KeyVector>, vector: &Vector) -> Vec<u8> {
    let pairing = PairingId(vector.tape.pairing_id.0.clone().try_into().unwrap());
    let lifetime = Lifetime::init(vector.key_package.not_before, vector.key_package.not_after);
    let capabilities = door(vector).capabilities();
    Group::publish(device.device(), pairing, PackageKind::Once, lifetime, capabilities).unwrap()
}

/// A group's new extensions.
fn extensions(required: &[u16]) -> Extensions<openmls::prelude::GroupContext> {
    let types: Vec<_> = required.iter().copied().map(ExtensionType::Unknown).collect();
    let required = RequiredCapabilitiesExtension::new(&types, &[], &[]);
    Extensions::single(Extension::RequiredCapabilities(required)).unwrap()
}

/// A device makes a commit.
fn make(
    device: &mut OpenMlsLeafDevice<KeyVector>,
    removes: &[u32],
    required_capabilities: Option<&[u16]>,
) -> Outgoing {
    let (group, at) = device.parts().unwrap();
    let removes: Vec<_> = removes.iter().map(|leaf| LeafIndex::new(*leaf).unwrap()).collect();
    match required_capabilities {
        Some(required) => {
            group.commit(at, Commits::new().extensions(extensions(required))).unwrap()
        }
        None if removes.is_empty() => group.update(at).unwrap(),
        None => group.remove(at, &removes).unwrap(),
    }
}

/// Whether a device hears of a commit by its Notify.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Notified {
    Yes,
    No,
}

/// Goes through the log as one device: it makes its own commits and follows those of its partner.
fn run(vector: &Vector, own: usize, notified: Notified) {
    let mut all = devices(vector);
    let own_id = vector.tape.devices[own];
    let mut device = all.remove(own);
    if own == 0 {
        assert_eq!(publish(&device, vector), vector.key_package.message.0);
    }
    for entry in &vector.log {
        let expected = match entry {
            Entry::Rejoin { device: by, commit, epoch_authenticator } => {
                if *by == own_id {
                    let sent = device.rejoin(&vector.group_info.0).unwrap();
                    assert_eq!(sent.commit, commit.0);
                    device.confirm_rejoin().unwrap();
                } else {
                    device.enter(&vector.group_info.0, &commit.0).unwrap();
                }
                epoch_authenticator
            }
            Entry::Commit {
                device: by,
                removes,
                required_capabilities,
                notify,
                commit,
                epoch_authenticator,
            } => {
                if *by == own_id {
                    let sent = make(&mut device, removes, required_capabilities.as_deref());
                    assert_eq!(sent.commit, commit.0, "the same bytes");
                    device.confirm().unwrap();
                } else {
                    if notified == Notified::Yes {
                        assert_eq!(device.process(&notify.0).unwrap(), Heard::Announced);
                    }
                    device.process(&commit.0).unwrap();
                }
                epoch_authenticator
            }
            Entry::Other { message, epoch_authenticator } => {
                device.process(&message.0).unwrap();
                epoch_authenticator
            }
        };
        assert_eq!(device.epoch_authenticator(), expected.0);
    }
}

#[test]
fn every_replay_vector() {
    let mut files = 0;
    for entry in fs::read_dir(directory()).unwrap() {
        let path = entry.unwrap().path();
        let vector: Vector = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(vector.kind, "leaf-replay", "{}", path.display());
        for own in 0..vector.tape.devices.len() {
            run(&vector, own, Notified::Yes);
            if framing(&vector) == Framing::Public {
                run(&vector, own, Notified::No);
            }
        }
        files += 1;
    }
    assert_eq!(files, 5);
}

/// A changed tape, signature key or GroupInfo gives other commits: the vectors depend on all of them.
#[test]
fn a_replay_vector_depends_on_its_inputs() {
    let path = directory().join("replay-suite-1-hidden-public.json");
    let text = fs::read_to_string(path).unwrap();
    let read = || serde_json::from_str::<Vector>(&text).unwrap();
    let Some(Entry::Rejoin { commit, .. }) = read().log.into_iter().next() else {
        panic!("the leaf comes in first");
    };
    let made = |vector: &Vector| {
        let mut devices = devices(vector);
        devices[0].rejoin(&vector.group_info.0).map(|sent| sent.commit).ok()
    };
    assert_eq!(made(&read()), Some(commit.0.clone()));
    let mut other = read();
    other.tape.seed.0[0] ^= 1;
    assert_ne!(made(&other), Some(commit.0.clone()));
    let mut other = read();
    other.identity.push('x');
    assert_ne!(made(&other), Some(commit.0.clone()));
    let mut other = read();
    let last = other.group_info.0.len() - 1;
    other.group_info.0[last] ^= 1;
    assert_eq!(made(&other), None, "its signature is wrong");
}

/// What is generated now replays too. What others contribute is random, so that each run gives other
/// vectors; they are kept if a folder for them is named.
#[test]
fn what_is_generated_replays() {
    let kept = std::env::var_os("PAIRED_MLS_WRITE_VECTORS").map(PathBuf::from);
    for (suite, mode, framing) in [
        (CipherSuite::X25519Aes128, "hidden", "public"),
        (CipherSuite::P256Aes128, "hidden", "public"),
        (CipherSuite::X25519ChaCha20, "hidden", "public"),
        (CipherSuite::X25519Aes128, "hidden", "private"),
        (CipherSuite::X25519Aes128, "standard", "public"),
    ] {
        let text = serde_json::to_string_pretty(&generate(suite, mode, framing)).unwrap() + "\n";
        let vector: Vector = serde_json::from_str(&text).unwrap();
        for own in 0..vector.tape.devices.len() {
            run(&vector, own, Notified::Yes);
        }
        if let Some(folder) = &kept {
            let name = format!("replay-suite-{}-{mode}-{framing}.json", suite.code_point());
            fs::write(folder.join(name), text).unwrap();
        }
    }
}

fn generate(suite: CipherSuite, mode: &str, framing_name: &str) -> Vector {
    let crypto = KeyVector::fresh().unwrap();
    let scheme = openmls::prelude::Ciphersuite::try_from(suite.code_point()).unwrap();
    let pair = || crypto.signature_key_gen(scheme.signature_algorithm()).unwrap();
    let (first, second) = (pair(), pair());
    let second = if mode == "hidden" { first.clone() } else { second };
    let keys = [first, second]
        .map(|(private, public)| KeyPair { private: Hex(private), public: Hex(public) });
    let mut vector = Vector {
        kind: "leaf-replay".to_owned(),
        description: "Two devices of a leaf: what they make from the tape, byte for byte."
            .to_owned(),
        suite: suite.code_point(),
        mode: mode.to_owned(),
        framing: framing_name.to_owned(),
        tape: Start {
            seed: Hex(vec![0x1e; suite.kdf_len()]),
            pairing_id: Hex(PAIRING.0.to_vec()),
            devices: vec![0, 1],
        },
        identity: "the leaf".to_owned(),
        keys: keys.into(),
        key_package: KeyPackage {
            not_before: LIFETIME.0,
            not_after: LIFETIME.1,
            message: Hex(Vec::new()),
        },
        group_info: Hex(Vec::new()),
        log: Vec::new(),
    };
    let (framing, door) = (framing(&vector), door(&vector));

    // Ada and Bob, who have committed, so that no leaf of the tree has a lifetime.
    let member = |name| StockOpenMls::<KeyVector>::behind(door, suite, framing, name).unwrap();
    let (mut ada, mut bob) = (member("ada"), member("bob"));
    ada.create(b"replay").unwrap();
    let adds = vec![bob.key_package().unwrap()];
    let sent = ada.commit(&Content { adds, ..Content::default() }).unwrap();
    ada.confirm().unwrap();
    bob.join(&sent.welcome.unwrap()).unwrap();
    let update = bob.commit(&Content::default()).unwrap();
    bob.confirm().unwrap();
    ada.process(&update.commit).unwrap();
    let (group, provider, signer) = ada.parts().unwrap();
    let info = group.export_group_info(provider.crypto(), signer, true).unwrap();
    vector.group_info = Hex(info.to_bytes().unwrap());

    let mut devices = devices(&vector);
    vector.key_package.message = Hex(publish(&devices[0], &vector));

    let sent = devices[0].rejoin(&vector.group_info.0).unwrap();
    devices[0].confirm_rejoin().unwrap();
    devices[1].enter(&vector.group_info.0, &sent.commit).unwrap();
    ada.process(&sent.commit).unwrap();
    bob.process(&sent.commit).unwrap();
    let authenticator = |ada: &StockOpenMls<KeyVector>| Hex(ada.epoch_authenticator());
    let epoch_authenticator = authenticator(&ada);
    vector.log.push(Entry::Rejoin { device: 0, commit: Hex(sent.commit), epoch_authenticator });

    let required = door_requires(door);
    let steps: [(usize, Vec<u32>, Option<Vec<u16>>); 6] = [
        (0, vec![], None),
        (0, vec![], None),
        (1, vec![], None),
        (1, vec![], Some(required)),
        (0, vec![1], None),
        (1, vec![], None),
    ];
    let mut is_bob_there = true;
    for (by, removes, required_capabilities) in steps {
        // Something of Ada's in between: a commit, and a proposal that the leaf cannot commit itself.
        let update = ada.commit(&Content::default()).unwrap();
        ada.confirm().unwrap();
        devices.iter_mut().for_each(|device| drop(device.process(&update.commit).unwrap()));
        if is_bob_there {
            bob.process(&update.commit).unwrap();
        }
        let epoch_authenticator = authenticator(&ada);
        vector.log.push(Entry::Other { message: Hex(update.commit), epoch_authenticator });
        if removes.is_empty() && is_bob_there && by == 0 {
            let proposal = ada.propose_remove(LeafIndex::new(2).unwrap()).unwrap();
            devices.iter_mut().for_each(|device| drop(device.process(&proposal).unwrap()));
            bob.process(&proposal).unwrap();
            let epoch_authenticator = authenticator(&ada);
            vector.log.push(Entry::Other { message: Hex(proposal), epoch_authenticator });
        }

        let sent = make(&mut devices[by], &removes, required_capabilities.as_deref());
        devices[by].confirm().unwrap();
        devices[1 - by].process(sent.notify.as_ref().unwrap()).unwrap();
        devices[1 - by].process(&sent.commit).unwrap();
        ada.process(&sent.commit).unwrap();
        is_bob_there &= removes.is_empty();
        if is_bob_there {
            bob.process(&sent.commit).unwrap();
        }
        vector.log.push(Entry::Commit {
            device: u16::try_from(by).unwrap(),
            removes,
            required_capabilities,
            notify: Hex(sent.notify.unwrap()),
            commit: Hex(sent.commit),
            epoch_authenticator: authenticator(&ada),
        });
    }
    vector
}

/// What the group requires already: a change of its extensions that changes nothing for its members.
fn door_requires(door: Door) -> Vec<u16> {
    match (door, gate()) {
        (Door::Gated, Extension::RequiredCapabilities(required)) => {
            required.extension_types().iter().map(|known| u16::from(*known)).collect()
        }
        _ => Vec::new(),
    }
}
