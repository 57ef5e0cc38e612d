//! Against SoftHSM, for real: vault, counter and signature keys in a token.
#![cfg(feature = "pkcs11")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "the helpers of tests")]

mod support;

use std::{fs, path::Path};

use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass};
use ed25519_dalek::Verifier as _;
use paired_mls::{RecordName, Secret, VaultStorage};
use paired_mls_vault::{
    CounterError, KdfParameters, MonotonicCounter, SealedError, SealedFile, TokenCounter,
    TokenVault,
    pkcs11::{SignatureAlgorithm, Token, TokenError, TokenSigner, TokenVaultError},
};
use support::{
    token::{PIN, make, open, session},
    with_softhsm,
};

const MARKER: &[u8] = b"a record that nobody may find in the clear";

fn name() -> RecordName {
    RecordName::Group(b"group".to_vec())
}

fn load(vault: &TokenVault) -> Vec<u8> {
    vault.load(&name()).unwrap().unwrap().expose().to_vec()
}

/// The AES keys in the token.
fn keys(module: &Path, label: &str) -> Vec<Vec<Attribute>> {
    let session = session(module, label);
    let all = session.find_objects(&[Attribute::Class(ObjectClass::SECRET_KEY)]).unwrap();
    let wanted =
        [AttributeType::Sensitive, AttributeType::Extractable, AttributeType::NeverExtractable];
    let keys = all.iter().map(|key| {
        let value = session.get_attributes(*key, &[AttributeType::Value]).unwrap_or_default();
        assert_eq!(value, [], "the key's bytes stay in the token");
        session.get_attributes(*key, &wanted).unwrap()
    });
    keys.collect()
}

#[test]
fn a_vault_opens_with_its_token_only() {
    with_softhsm("a_vault_opens_with_its_token_only", |module| {
        make(module, "mine");
        make(module, "other");
        let token = open(module, "mine");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vault");
        let missing = TokenVault::open(&path, &token);
        assert!(matches!(missing, Err(TokenVaultError::Missing { .. })), "{missing:?}");

        let vault = TokenVault::create(&path, &token).unwrap();
        vault.store(&name(), &Secret::copy_of(MARKER)).unwrap();
        assert_eq!(load(&vault), MARKER);
        let second = TokenVault::open(&path, &token);
        assert!(matches!(second, Err(TokenVaultError::Disk(_))), "{second:?}");
        drop(vault);
        let again = TokenVault::create(&path, &token);
        assert!(matches!(again, Err(TokenVaultError::Exists { .. })), "{again:?}");

        assert_eq!(support::files_with(folder.path(), MARKER), 0);
        let key = [
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::NeverExtractable(true),
        ];
        assert_eq!(keys(module, "mine"), [key], "one key, which cannot leave the token");

        let stolen = TokenVault::open(&path, &open(module, "other"));
        assert!(matches!(stolen, Err(TokenVaultError::NoKey)), "{stolen:?}");
        let passphrase = SealedFile::at(&path).open(&Secret::copy_of(b"passphrase"));
        assert!(matches!(passphrase, Err(SealedError::Format(_))), "{passphrase:?}");
        let vault = TokenVault::open(&path, &token).unwrap();
        assert_eq!(load(&vault), MARKER);
        vault.remove(&name()).unwrap();
        assert!(vault.load(&name()).unwrap().is_none());
    });
}

#[test]
fn an_older_copy_never_opens_again() {
    with_softhsm("an_older_copy_never_opens_again", |module| {
        make(module, "mine");
        let token = open(module, "mine");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vault");
        let vault = TokenVault::create(&path, &token).unwrap();
        vault.store(&name(), &Secret::copy_of(b"old")).unwrap();
        let copy = fs::read(&path).unwrap();
        vault.store(&name(), &Secret::copy_of(b"new")).unwrap();
        let newest = fs::read(&path).unwrap();

        fs::write(&path, &copy).unwrap();
        let error = vault.load(&name()).unwrap_err();
        assert!(matches!(error.downcast_ref(), Some(TokenVaultError::Changed)), "{error}");
        drop(vault);
        let refused = TokenVault::open(&path, &token);
        let rolled_back = matches!(refused, Err(TokenVaultError::RolledBack { file: 2, token: 3 }));
        assert!(rolled_back, "{refused:?}");
        assert_eq!(keys(module, "mine").len(), 1, "the key of the old copy is gone");
        fs::write(&path, &newest).unwrap();
        assert_eq!(load(&TokenVault::open(&path, &token).unwrap()), b"new");
    });
}

#[test]
fn a_stop_between_key_and_file_locks_nobody_out() {
    with_softhsm("a_stop_between_key_and_file_locks_nobody_out", |module| {
        make(module, "mine");
        let token = open(module, "mine");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vault");
        let vault = TokenVault::create(&path, &token).unwrap();
        vault.store(&name(), &Secret::copy_of(b"old")).unwrap();

        // The new file cannot be written where a folder lies.
        let obstacle = folder.path().join("vault.new");
        fs::create_dir(&obstacle).unwrap();
        assert!(vault.store(&name(), &Secret::copy_of(b"new")).is_err());
        assert_eq!(keys(module, "mine").len(), 2);
        assert_eq!(load(&vault), b"old");
        fs::remove_dir(&obstacle).unwrap();
        drop(vault);
        let vault = TokenVault::open(&path, &token).unwrap();
        assert_eq!(keys(module, "mine").len(), 1);
        vault.store(&name(), &Secret::copy_of(b"new")).unwrap();
        assert_eq!(load(&vault), b"new");
    });
}

#[test]
fn a_counter_in_the_token_tells_an_older_copy() {
    with_softhsm("a_counter_in_the_token_tells_an_older_copy", |module| {
        make(module, "mine");
        let token = open(module, "mine");
        let missing = TokenCounter::open(&token, "phone");
        assert!(matches!(missing, Err(CounterError::Missing { .. })), "{missing:?}");
        let counter = TokenCounter::create(&token, "phone").unwrap();
        let again = TokenCounter::create(&token, "phone");
        assert!(matches!(again, Err(CounterError::Exists { .. })), "{again:?}");
        counter.advance_to(7).unwrap();
        counter.advance_to(5).unwrap();
        assert_eq!(counter.read().unwrap(), 7, "it never goes down");
        TokenCounter::create(&token, "sensor").unwrap().advance_to(99).unwrap();
        assert_eq!(counter.read().unwrap(), 7, "each label has its own");
        let session = session(module, "mine");
        let values = session.find_objects(&[Attribute::Class(ObjectClass::DATA)]).unwrap();
        assert_eq!(values.len(), 2, "one object each");

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vault");
        let passphrase = Secret::copy_of(b"passphrase");
        let options = || SealedFile::at(&path).parameters(KdfParameters::RANDOM_KEY);
        let vault = options().counter(counter).create(&passphrase).unwrap();
        assert_eq!(vault.generation(), 8, "a used counter goes on from where it is");
        let copy = fs::read(&path).unwrap();
        vault.store(&name(), &Secret::copy_of(b"new")).unwrap();
        drop(vault);
        fs::write(&path, copy).unwrap();
        let counter = TokenCounter::open(&token, "phone").unwrap();
        let refused = options().counter(counter).open(&passphrase);
        let rolled_back = matches!(refused, Err(SealedError::RolledBack { file: 8, counter: 9 }));
        assert!(rolled_back, "{refused:?}");
    });
}

#[test]
fn signatures_are_those_of_the_key_in_the_token() {
    with_softhsm("signatures_are_those_of_the_key_in_the_token", |module| {
        make(module, "mine");
        let token = open(module, "mine");
        let algorithms = [SignatureAlgorithm::Ed25519, SignatureAlgorithm::EcdsaP256];
        for algorithm in algorithms {
            let label = format!("{algorithm:?}");
            let made = TokenSigner::generate(&token, &label, algorithm).unwrap();
            let again = TokenSigner::generate(&token, &label, algorithm);
            assert!(matches!(again, Err(TokenError::KeyExists { .. })), "{again:?}");
            let found = TokenSigner::find(&open(module, "mine"), &label).unwrap();
            assert_eq!((found.public_key(), found.algorithm()), (made.public_key(), algorithm));

            // ECDSA signatures differ in length: many of them meet every case of the encoding.
            for length in 0..200 {
                let message = vec![7; length];
                let signature = found.sign(&message).unwrap();
                verify(algorithm, found.public_key(), &message, &signature);
            }
        }
        let session = session(module, "mine");
        let private = [Attribute::Class(ObjectClass::PRIVATE_KEY)];
        for key in session.find_objects(&private).unwrap() {
            let wanted = [AttributeType::NeverExtractable, AttributeType::AlwaysSensitive];
            let found = session.get_attributes(key, &wanted).unwrap();
            assert_eq!(
                found,
                [Attribute::NeverExtractable(true), Attribute::AlwaysSensitive(true)]
            );
            let value = session.get_attributes(key, &[AttributeType::Value]).unwrap_or_default();
            assert_eq!(value, [], "the key's bytes stay in the token");
        }
        let missing = TokenSigner::find(&token, "nobody's");
        assert!(matches!(missing, Err(TokenError::NoKey { .. })), "{missing:?}");
    });
}

fn verify(algorithm: SignatureAlgorithm, public_key: &[u8], message: &[u8], signature: &[u8]) {
    if algorithm == SignatureAlgorithm::Ed25519 {
        let key = ed25519_dalek::VerifyingKey::from_bytes(public_key.try_into().unwrap()).unwrap();
        key.verify_strict(message, &signature.try_into().unwrap()).unwrap();
    } else {
        let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(public_key).unwrap();
        let signature = p256::ecdsa::Signature::from_der(signature).unwrap();
        key.verify(message, &signature).unwrap();
    }
}

#[test]
fn a_key_that_could_leave_the_token_is_refused() {
    with_softhsm("a_key_that_could_leave_the_token_is_refused", |module| {
        make(module, "mine");
        let token = open(module, "mine");
        let session = session(module, "mine");
        let name = [Attribute::Label(b"loose".to_vec()), Attribute::Token(true)];
        let curve = Attribute::EcParams(vec![0x06, 0x03, 0x2b, 0x65, 0x70]);
        let public = [&name[..], &[curve, Attribute::KeyType(KeyType::EC_EDWARDS)]].concat();
        let private = [&name[..], &[Attribute::Extractable(true), Attribute::Sign(true)]].concat();
        let mechanism = cryptoki::mechanism::Mechanism::EccEdwardsKeyPairGen;
        session.generate_key_pair(&mechanism, &public, &private).unwrap();
        let refused = TokenSigner::find(&token, "loose");
        assert!(matches!(refused, Err(TokenError::Extractable { .. })), "{refused:?}");
    });
}

#[test]
fn errors_say_what_to_do() {
    with_softhsm("errors_say_what_to_do", |module| {
        make(module, "mine");
        let pin = Secret::copy_of(PIN.as_bytes());
        let open = |label, pin: &[u8]| Token::open(module, label, &Secret::copy_of(pin));
        let wrong = open("mine", b"654321");
        assert!(matches!(wrong, Err(TokenError::WrongPin)), "{wrong:?}");
        let short = open("mine", b"1");
        assert!(matches!(short, Err(TokenError::WrongPin)), "{short:?}");
        let missing = open("yours", PIN.as_bytes());
        assert!(matches!(missing, Err(TokenError::NoToken { .. })), "{missing:?}");
        let no_library = Token::open("/nowhere/libtoken.so", "mine", &pin).unwrap_err();
        let text = no_library.to_string();
        assert!(text.starts_with("cannot use the PKCS #11 library /nowhere"), "{text}");
        make(module, "mine");
        let several = open("mine", PIN.as_bytes());
        assert!(matches!(several, Err(TokenError::SeveralTokens { .. })), "{several:?}");
    });
}

#[test]
fn the_token_itself_refuses_a_forged_wrapping() {
    with_softhsm("the_token_itself_refuses_a_forged_wrapping", |module| {
        use sha2::{Digest as _, Sha256};
        make(module, "mine");
        let token = open(module, "mine");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vault");
        drop(TokenVault::create(&path, &token).unwrap());
        let file = fs::read(&path).unwrap();
        for position in 0..file.len() - 32 {
            let mut forged = file.clone();
            forged[position] ^= 1;
            let body = forged.len() - 32;
            let checksum = Sha256::digest(&forged[..body]);
            forged[body..].copy_from_slice(&checksum);
            fs::write(&path, forged).unwrap();
            let refused = TokenVault::open(&path, &token);
            match position {
                // magic 8, version 2, vault_id 16, generation 8, counter 1, kind 1, iv 12: then the
                // wrapped key.
                10..26 => assert!(matches!(refused, Err(TokenVaultError::NoKey)), "{refused:?}"),
                36..96 => assert!(matches!(refused, Err(TokenVaultError::Forged)), "{refused:?}"),
                _ => assert!(refused.is_err(), "byte {position}"),
            }
        }
        fs::write(&path, &file).unwrap();
        TokenVault::open(&path, &token).unwrap();
    });
}
