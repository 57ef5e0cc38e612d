use openmls_rust_crypto::RustCrypto;
use openmls_traits::{OpenMlsProvider as _, crypto::OpenMlsCrypto as _};
use paired_mls::{
    CipherSuite, EpochContext, Vault,
    conformance::{
        Adapter as _, Content, Framing, Heard, Listener as _, Member as _, PairedMember as _,
        Thief as _, Who, World,
    },
    group::credential::AcceptAnyIdentity,
    vault::MemoryStorage,
};
use paired_mls_openmls::{Device, Group, SqliteProvider};

use super::{OpenMlsThief, loot::as_private_keys};
use crate::{OpenMlsAdapter, StockOpenMls, config};

const SUITES: [CipherSuite; 3] =
    [CipherSuite::X25519Aes128, CipherSuite::P256Aes128, CipherSuite::X25519ChaCha20];

type Paired<'a> = World<'a, OpenMlsAdapter>;

fn for_each(property: impl Fn(Paired<'_>, OpenMlsThief)) {
    for suite in SUITES {
        for framing in [Framing::Public, Framing::Private] {
            let adapter = OpenMlsAdapter::new(&[suite]);
            let world = World::paired(&adapter, suite, framing, 2).unwrap();
            let thief = adapter.steal(&world.devices[1]);
            property(world, thief);
        }
    }
}

/// Commits, lets everybody follow, and returns the commit.
fn commit(world: &mut Paired<'_>, who: Who) -> Vec<u8> {
    let sent = world.member(who).unwrap().commit(&Content::default()).unwrap();
    world.deliver(who, &sent).unwrap();
    sent.commit
}

fn is_along(thief: &OpenMlsThief, world: &Paired<'_>) -> bool {
    thief.epoch_authenticator() == world.devices[0].epoch_authenticator()
}

#[test]
fn he_follows_ordinary_commits_of_others() {
    for_each(|mut world, mut thief| {
        for stock in [0, 1, 0] {
            let heard = thief.process(&commit(&mut world, Who::Stock(stock))).unwrap();
            assert!(matches!(heard, Heard::Commit { .. }), "{heard:?}");
            assert!(is_along(&thief, &world));
        }
        assert_eq!(thief.attempts(), 0, "OpenMLS found the keys itself");
    });
}

/// The control of his prying: without OpenMLS, of a commit in the clear that is sealed to him.
#[test]
fn his_prying_opens_what_is_sealed_to_him() {
    for_each(|mut world, mut thief| {
        if world.framing == Framing::Public {
            let commit = commit(&mut world, Who::Stock(0));
            thief.pry(&commit);
            assert_eq!(thief.opened(), 1);
        }
    });
}

/// The control of the brute force: by itself, without a key from OpenMLS, it opens what can be opened.
#[test]
fn his_brute_force_alone_follows_ordinary_commits() {
    for_each(|mut world, mut thief| {
        for stock in [0, 1] {
            thief.force(&commit(&mut world, Who::Stock(stock))).unwrap();
            assert!(is_along(&thief, &world));
            assert!(thief.attempts() > 0);
            thief.search().unwrap();
        }
    });
}

#[test]
fn a_paired_commit_costs_him_every_key_on_every_ciphertext() {
    for_each(|mut world, mut thief| {
        let ciphertexts = match world.framing {
            Framing::Public => 2,
            Framing::Private => 1,
        };
        assert!(thief.process(&commit(&mut world, Who::Device(0))).is_err());
        assert!(!is_along(&thief, &world));
        assert!(thief.keys() > 0);
        assert_eq!(thief.attempts(), ciphertexts * thief.keys());
    });
}

#[test]
fn what_he_learns_on_the_way_adds_to_his_loot() {
    for_each(|mut world, mut thief| {
        let before = thief.keys();
        thief.process(&commit(&mut world, Who::Stock(0))).unwrap();
        assert!(thief.keys() > before);
    });
}

/// The thief derives node keys from path secrets as the core does: he would find one in his loot.
#[test]
fn he_recognizes_a_path_secret() {
    for_each(|world, thief| {
        let phone = &world.devices[0];
        let tape = phone.group().unwrap().pairing_tape().unwrap();
        let context =
            EpochContext { group_id: vec![1], epoch: 2, confirmed_transcript_hash: vec![3] };
        let value = phone.vault().draw(tape, 2).unwrap();
        let path = value.into_path_secret(&context).unwrap();
        let node = path.node_secret(path.secret()).unwrap();

        let crypto = thief.provider.crypto();
        let key = |ikm: &[u8]| {
            let pair = crypto.derive_hpke_keypair(thief.ciphersuite.hpke_config(), ikm);
            pair.unwrap().private.to_vec()
        };
        let tried = as_private_keys(crypto, thief.ciphersuite, path.secret().expose().to_vec());
        assert!(tried.contains(&key(node.expose())), "as a path secret");
        assert!(tried.contains(&key(path.secret().expose())), "as a node secret");
        assert!(tried.contains(&path.secret().expose().to_vec()), "as a private key");
    });
}

/// A stolen file is as good as stolen records: OpenMLS follows on it, and so does the brute force alone.
#[test]
fn he_lives_off_a_stolen_file() {
    let folder = tempfile::tempdir().unwrap();
    let open = |name: &str| {
        SqliteProvider::open(RustCrypto::default(), &folder.path().join(name)).unwrap()
    };
    let suite = CipherSuite::X25519Aes128;
    let ciphersuite = config::ciphersuite(suite).unwrap();
    let vault = Vault::new(MemoryStorage::new());
    let sensor =
        Device::generate(open("sensor"), vault, ciphersuite, b"sensor", AcceptAnyIdentity).unwrap();
    let mut bob = StockOpenMls::new(suite, Framing::Public, "bob").unwrap();
    bob.create(b"group").unwrap();
    let adds = vec![sensor.key_package(ciphersuite).unwrap()];
    let sent = bob.commit(&Content { adds, removes: Vec::new() }).unwrap();
    bob.confirm().unwrap();
    let welcome = sent.welcome.unwrap();
    Group::join(&sensor, &welcome, &config::join(Framing::Public)).unwrap();

    let [mut thief, mut brute] = ["first", "second"].map(|copy| {
        std::fs::copy(folder.path().join("sensor"), folder.path().join(copy)).unwrap();
        OpenMlsThief::with_spoils(open(copy), suite, b"group").unwrap()
    });
    assert!(!thief.known_nodes().unwrap().is_empty());
    let commit = bob.commit(&Content::default()).unwrap().commit;
    bob.confirm().unwrap();
    thief.process(&commit).unwrap();
    assert_eq!((thief.epoch_authenticator(), thief.attempts()), (bob.epoch_authenticator(), 0));
    brute.force(&commit).unwrap();
    assert_eq!(brute.epoch_authenticator(), bob.epoch_authenticator());
    assert!(brute.attempts() > 0);
}
