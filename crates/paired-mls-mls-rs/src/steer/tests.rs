//! What mls-rs asks, and what comes of the answers.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use mls_rs::{
    CipherSuiteProvider, Client, CryptoProvider, ExtensionList, MlsMessage, MlsRules,
    client_builder::MlsConfig,
    crypto::HpkeContextS as _,
    identity::{
        SigningIdentity,
        basic::{BasicCredential, BasicIdentityProvider},
    },
};
use mls_rs_crypto_rustcrypto::RustCryptoProvider;
use paired_mls::{EpochContext, PathSecret, Secret, wire::SignContent};
use paired_mls_group::{
    Draw, Error, Exporting, GuardError, Library as _, Opening, Refused, Sealed, Sealing, Sending,
    Signing, Steering, Verifying,
};

use super::{COMMIT, OPENING, Slot, SteeredProvider, blame};
use crate::{
    Group, Signer,
    rules::{LeftOutRefs, Rules},
    signer::provider,
    testing::{SUITE, Two, device, path_of, two},
};

/// Counts the questions, and answers none.
#[derive(Default)]
struct Silent(AtomicUsize);

impl Silent {
    fn none<T>(&self) -> Option<T> {
        self.0.fetch_add(1, Ordering::Relaxed);
        None
    }
}

impl Steering for Silent {
    fn draw(&self, _: Draw, _: usize) -> Option<Result<Secret, Refused>> {
        self.none()
    }

    fn seal(&self, _: &Sealing<'_>) -> Option<Result<Sealed, Refused>> {
        self.none()
    }

    fn open(&self, _: &Opening<'_>) -> Option<Result<Secret, Refused>> {
        self.none()
    }

    fn export(&self, _: &Exporting<'_>) -> Option<Result<(Vec<u8>, Secret), Refused>> {
        self.none()
    }

    fn verify(&self, _: &Verifying<'_>) -> Option<Result<(), Refused>> {
        self.none()
    }
}

struct NoSigner;

impl Signer for NoSigner {
    fn sign(&self, _: &[u8]) -> Result<Vec<u8>, paired_mls_group::BoxError> {
        Err("nobody signs here".into())
    }
}

/// A client on stock mls-rs.
fn stock(name: &str) -> Client<impl MlsConfig> {
    let crypto = RustCryptoProvider::default();
    let suite = provider(&crypto, SUITE).unwrap();
    let (secret, public) = suite.signature_key_generate().unwrap();
    let credential = BasicCredential::new(name.into()).into_credential();
    Client::builder()
        .identity_provider(BasicIdentityProvider)
        .crypto_provider(crypto)
        .mls_rules(Rules::new(crate::Handshakes::Public, LeftOutRefs::default()))
        .signing_identity(SigningIdentity::new(credential, public), secret, suite.cipher_suite())
        .build()
}

fn assert_rules<R: MlsRules>() {}

/// With a steering that answers nothing, each function gives what the stock suite gives, byte for byte, or what it
/// opens.
#[test]
fn a_steering_that_never_answers_changes_nothing() {
    assert_rules::<Rules>();
    let real = provider(&RustCryptoProvider::default(), SUITE).unwrap();
    let (slot, silent) = (Slot::default(), Arc::new(Silent::default()));
    let steered =
        SteeredProvider::new(RustCryptoProvider::default(), slot.clone(), Arc::new(NoSigner));
    let steered = steered.cipher_suite_provider(real.cipher_suite()).unwrap();
    let _armed = slot.arm(silent.clone(), OPENING);

    assert_eq!(steered.hash(b"data").unwrap(), real.hash(b"data").unwrap());
    assert_eq!(steered.mac(&[1; 32], b"data").unwrap(), real.mac(&[1; 32], b"data").unwrap());
    let prk = real.kdf_extract(b"salt", b"ikm").unwrap();
    assert_eq!(steered.kdf_extract(b"salt", b"ikm").unwrap(), prk);
    let expanded = real.kdf_expand(&prk, b"info", 16).unwrap();
    assert_eq!(steered.kdf_expand(&prk, b"info", 16).unwrap(), expanded);
    let sealed = real.aead_seal(&[1; 16], b"data", None, &[2; 12]).unwrap();
    assert_eq!(steered.aead_seal(&[1; 16], b"data", None, &[2; 12]).unwrap(), sealed);

    let (secret, public) = steered.kem_generate().unwrap();
    let (derived, _) = real.kem_derive(&[7; 32]).unwrap();
    assert_eq!(steered.kem_derive(&[7; 32]).unwrap().0.as_ref(), derived.as_ref());
    let sealed = steered.hpke_seal(&public, b"info", Some(b"aad"), b"plain").unwrap();
    let opened = real.hpke_open(&sealed, &secret, &public, b"info", Some(b"aad")).unwrap();
    assert_eq!(*opened, b"plain");
    let sealed = real.hpke_seal(&public, b"info", None, b"plain").unwrap();
    assert_eq!(*steered.hpke_open(&sealed, &secret, &public, b"info", None).unwrap(), b"plain");
    let (kem_output, context) = steered.hpke_setup_s(&public, b"").unwrap();
    let theirs = real.hpke_setup_r(&kem_output, &secret, &public, b"").unwrap();
    let exported = mls_rs::crypto::HpkeContextR::export(&theirs, b"any context", 32).unwrap();
    assert_eq!(context.export(b"any context", 32).unwrap(), exported);

    let (key, public) = real.signature_key_generate().unwrap();
    let signature = real.sign(&key, b"data").unwrap();
    steered.verify(&public, &signature, b"data").unwrap();
    assert!(steered.verify(&public, &signature, b"other").is_err());
    let mut drawn = [0; 32];
    steered.random_bytes(&mut drawn).unwrap();
    assert_ne!(drawn, [0; 32]);
    assert_eq!(silent.0.load(Ordering::Relaxed), 7, "each question was asked");
}

/// A device with such a steering and a stock member, in one group: they follow each other, and their commits have
/// one length.
#[test]
fn a_stock_member_notices_nothing() {
    let ((phone, _), bob) = (device("bob 1"), stock("bob 2"));
    let mut group = Group::create(&phone, b"group").unwrap();
    let none = ExtensionList::default;
    let package = bob.generate_key_package_message(none(), none(), None).unwrap();
    let added = group.add(&phone, &[package.to_bytes().unwrap()]).unwrap();
    group.confirm(&phone).unwrap();
    let welcome = MlsMessage::from_bytes(&added.welcome.unwrap()).unwrap();
    let (mut theirs, _) = bob.join_group(None, &welcome, None).unwrap();
    let mut lengths = Vec::new();
    for _ in 0..2 {
        let silent = Arc::new(Silent::default());
        let slot = group.state().handles.slot.clone();
        let armed = slot.arm(silent.clone(), COMMIT);
        let commit = group.update(&phone).unwrap().commit;
        drop(armed);
        assert!(silent.0.load(Ordering::Relaxed) > 2, "it was asked");
        group.confirm(&phone).unwrap();
        theirs.process_incoming_message(MlsMessage::from_bytes(&commit).unwrap()).unwrap();
        lengths.push(commit.len());
        let commit = theirs.commit(Vec::new()).unwrap().commit_message.to_bytes().unwrap();
        theirs.apply_pending_commit().unwrap();
        group.process(&phone, &commit).unwrap();
        lengths.push(commit.len());
        let authenticator = theirs.epoch_authenticator().unwrap();
        assert_eq!(group.epoch_authenticator().unwrap(), authenticator.as_bytes());
    }
    let (first, others) = lengths.split_first().unwrap();
    assert!(others.iter().all(|length| length == first), "{lengths:?}");
}

/// Gives one path secret.
struct Given(Secret);

impl Steering for Given {
    fn draw(&self, draw: Draw, length: usize) -> Option<Result<Secret, Refused>> {
        let is_it = draw == Draw::PathSecret && length == self.0.len();
        is_it.then(|| Ok(Secret::copy_of(self.0.expose())))
    }
}

/// The path secret that the steering gives is that of the commit: its first node has the key of it.
#[test]
fn a_path_secret_that_is_given_is_the_commits() {
    let Two { phone, mut group, tape, .. } = two();
    let path = path_secret(&phone, &tape);
    let node_secret = path.node_secret(path.secret()).unwrap();
    let expected = phone.derive_public_key(SUITE, &node_secret).unwrap();
    let given = Arc::new(Given(Secret::copy_of(path.secret().expose())));
    let state = group.state_mut();
    let slot = state.handles.slot.clone();
    let armed = slot.arm(given, COMMIT);
    let built = state.mls.commit_builder().build().unwrap();
    drop(armed);
    let path = path_of(&built.commit_message.to_bytes().unwrap());
    let keys: Vec<_> = path.nodes().iter().map(|node| node.encryption_key()).collect();
    assert_eq!(keys, [&*expected]);

    // And not a second time: nothing is armed any more.
    state.mls.clear_pending_commit();
    let built = state.mls.commit_builder().build().unwrap();
    let path = path_of(&built.commit_message.to_bytes().unwrap());
    assert!(path.nodes().iter().all(|node| node.encryption_key() != expected));
}

/// A steering of which the library asks nothing about some things.
struct Without {
    sending: Sending,
    draw: bool,
    seal: bool,
}

impl Steering for Without {
    fn draw(&self, draw: Draw, length: usize) -> Option<Result<Secret, Refused>> {
        if self.draw { None } else { self.sending.draw(draw, length) }
    }

    fn seal(&self, asked: &Sealing<'_>) -> Option<Result<Sealed, Refused>> {
        if self.seal { None } else { self.sending.seal(asked) }
    }

    fn sign(&self, asked: &Signing<'_>) -> Result<Vec<u8>, Refused> {
        self.sending.sign(asked)
    }

    fn take_error(&self) -> Option<Error> {
        self.sending.take_error()
    }
}

fn path_secret(phone: &crate::testing::TestDevice, tape: &paired_mls::TapeId) -> PathSecret {
    let context = EpochContext { group_id: vec![], epoch: 2, confirmed_transcript_hash: vec![] };
    phone.vault().draw(tape, 2).unwrap().into_path_secret(&context).unwrap()
}

/// Builds a commit with a library that does not ask for everything; returns what the guard says, and what was
/// signed.
fn guard_says(draw: bool, seal: bool) -> (Option<GuardError>, Vec<Vec<u8>>) {
    let Two { phone, signed, mut group, tape, anchor, .. } = two();
    let path = path_secret(&phone, &tape);
    let sending = Sending::new(&phone, phone.vault(), &tape, path, &anchor).unwrap();
    let steering = Arc::new(Without { sending, draw, seal });
    let state = group.state_mut();
    let slot = state.handles.slot.clone();
    let armed = slot.arm(steering.clone(), COMMIT);
    let built = state.mls.commit_builder().build();
    drop(armed);
    assert!(slot.asked().is_none());
    let says = match built.map_err(blame(&*steering, "build a commit")) {
        Ok(_) => None,
        Err(Error::Guard(error)) => Some(error),
        Err(other) => panic!("{other}"),
    };
    (says, signed.take())
}

/// The guard sees a commit before it is signed: one that is not paired is not.
#[test]
fn a_commit_that_is_not_paired_is_not_signed() {
    let commit = SignContent::FRAMED_CONTENT_TBS.to_vec();
    let (says, signed) = guard_says(true, false);
    assert_eq!(says, Some(GuardError::NodeKey { level: 0 }));
    assert!(!signed.contains(&commit), "only the leaf: {signed:?}");
    let (says, signed) = guard_says(false, true);
    assert_eq!(says, Some(GuardError::Sealed { level: 0 }));
    assert!(!signed.contains(&commit));

    let (says, signed) = guard_says(false, false);
    assert_eq!(says, None, "the control");
    assert!(signed.contains(&commit));
}

/// A slot is empty once what armed it is gone, also after a panic.
#[test]
fn a_slot_is_armed_for_one_call() {
    let slot = Slot::default();
    let copy = slot.clone();
    let armed = slot.arm(Arc::new(Silent::default()), OPENING);
    assert!(copy.asked().is_some(), "copies are of the same slot");
    drop(armed);
    assert!(copy.asked().is_none());
    let result = std::panic::catch_unwind(|| {
        let _armed = slot.arm(Arc::new(Silent::default()), OPENING);
        panic!("in the middle of a call");
    });
    assert!(result.is_err() && copy.asked().is_none());
}

/// The order in which mls-rs makes the keys of a commit is known; what it makes beyond is nothing of the commit's.
#[test]
fn keys_are_told_apart_by_their_order() {
    let slot = Slot::default();
    let _armed = slot.arm(Arc::new(Silent::default()), COMMIT);
    let asked = slot.asked().unwrap();
    assert_eq!([asked.next_key(), asked.next_key()], [Draw::LeafKey, Draw::Other]);
}
