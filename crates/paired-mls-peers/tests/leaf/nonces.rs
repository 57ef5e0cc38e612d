//! No key sees a nonce twice, whoever of the leaf encrypts.

use openmls_rust_crypto::RustCrypto;
use openmls_traits::{crypto::OpenMlsCrypto as _, types::AeadType};
use paired_mls::{
    CipherSuite,
    conformance::{
        Content, Framing, Member as _,
        leaf::{LeafAdapter as _, LeafWorld, token},
    },
};
use paired_mls_peers::{LeafMode, NonceWatch, OpenMlsLeafAdapter, TestCrypto as _, WatchedCrypto};

/// Over the long random schedule of commits, lost races, restarts, switches and messages, everything that
/// OpenMLS encrypts at any device has a key and nonce of its own; only what is made again is the same.
#[test]
fn no_nonce_is_used_twice_over_many_switches() {
    let suites = [CipherSuite::X25519Aes128];
    token::nothing_is_used_twice_over_many_switches(&OpenMlsLeafAdapter::<WatchedCrypto>::new(
        LeafMode::Hidden,
        &suites,
    ));
    let (used, collisions) = NonceWatch::of_this_thread().counts();
    assert!(used > 300, "{used}");
    assert_eq!(collisions, 0);
}

/// A device that was set back as a whole, with its vault, makes another commit with the index of one that
/// is out, in the same epoch: it is encrypted with the same key, and with another nonce.
#[test]
fn a_device_that_was_set_back_as_a_whole_uses_no_nonce_twice() {
    let suite = CipherSuite::X25519Aes128;
    let adapter = OpenMlsLeafAdapter::<WatchedCrypto>::new(LeafMode::Hidden, &[suite]);
    let mut world = LeafWorld::joined(&adapter, suite, Framing::Private, 2).unwrap();
    let [device, ..] = world.devices.as_mut_slice() else { panic!("two devices") };
    let mut backup = adapter.steal_with_vault(device);
    let first = device.commit(&Content::default()).unwrap();
    let (before, _) = NonceWatch::of_this_thread().counts();
    let mut guest = adapter.guest(suite, Framing::Private, "ada");
    let adds = vec![guest.key_package().unwrap()];
    let second = backup.commit(&Content { adds, ..Content::default() }).unwrap();
    assert_ne!(first.commit, second.commit);
    let (after, collisions) = NonceWatch::of_this_thread().counts();
    assert!(after > before, "the second commit was encrypted");
    assert_eq!(collisions, 0);
}

/// The control: the watch sees a collision, and a repetition is none.
#[test]
fn a_collision_is_seen() {
    let crypto = WatchedCrypto::fresh().unwrap();
    let seal = |plaintext: &[u8]| {
        let sealed = crypto.aead_encrypt(AeadType::Aes128Gcm, &[1; 16], plaintext, &[2; 12], b"");
        sealed.unwrap()
    };
    let alone = RustCrypto::default();
    let expected = alone.aead_encrypt(AeadType::Aes128Gcm, &[1; 16], b"one", &[2; 12], b"");
    assert_eq!(seal(b"one"), expected.unwrap());
    seal(b"one");
    assert_eq!(NonceWatch::of_this_thread().counts(), (1, 0));
    seal(b"two");
    assert_eq!(NonceWatch::of_this_thread().counts(), (1, 1));
}
