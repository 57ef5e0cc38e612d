//! The key of a sealed file in a keyring: a mock, and the kernel's.
#![cfg(feature = "keyring")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "the helpers of tests")]

use std::sync::Arc;

use paired_mls_vault::{
    KdfParameters, KeyringError, KeyringKey, SealedFile,
    keyring_core::{CredentialStore, mock},
};

fn opens_a_vault(store: &Arc<CredentialStore>, name: &str) {
    let key = KeyringKey::new(store, "paired-mls-test", name).unwrap();
    let missing = key.load();
    assert!(matches!(missing, Err(KeyringError::Missing)), "{missing:?}");
    let drawn = key.create().unwrap();
    let again = key.create();
    assert!(matches!(again, Err(KeyringError::Exists)), "{again:?}");

    let folder = tempfile::tempdir().unwrap();
    let vault = || SealedFile::at(folder.path().join("vault"));
    vault().parameters(KdfParameters::RANDOM_KEY).create(&drawn).unwrap();
    let found = KeyringKey::new(store, "paired-mls-test", name).unwrap().load().unwrap();
    vault().open(&found).unwrap();

    key.remove().unwrap();
    key.remove().unwrap();
    assert!(matches!(key.load(), Err(KeyringError::Missing)));
}

#[test]
fn a_mock_keyring_opens_a_vault() {
    let store: Arc<CredentialStore> = mock::Store::new().unwrap();
    opens_a_vault(&store, "vault");
}

#[test]
fn what_is_no_key_is_refused() {
    let store: Arc<CredentialStore> = mock::Store::new().unwrap();
    store.build("service", "vault", None).unwrap().set_secret(b"letmein").unwrap();
    let key = KeyringKey::new(&store, "service", "vault").unwrap();
    assert!(matches!(key.load(), Err(KeyringError::NotAKey(7))));
    assert!(matches!(key.create(), Err(KeyringError::Exists)), "nothing is overwritten");
}

#[cfg(target_os = "linux")]
#[test]
fn the_kernels_keyring_opens_a_vault() {
    let store: Arc<CredentialStore> = linux_keyutils_keyring_store::Store::new().unwrap();
    let name = format!("vault-{}", std::process::id());
    // Containers often forbid the system call.
    let probe = KeyringKey::new(&store, "paired-mls-test", &name).unwrap();
    match probe.load() {
        Err(KeyringError::Store(error)) => {
            assert!(std::env::var("CI").as_deref() != Ok("true"), "{error}");
            println!("SKIPPED: no kernel keyring here: {error}");
        }
        _ => opens_a_vault(&store, &name),
    }
}
