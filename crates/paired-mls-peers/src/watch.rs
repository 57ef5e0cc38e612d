//! A crypto provider that notices a nonce which a key sees twice.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::{Arc, Mutex, PoisonError},
};

use openmls_rust_crypto::RustCrypto;
use paired_mls::conformance::Refused;
use paired_mls_openmls::{CryptoHook, Encrypting, SteeredCrypto};

use crate::TestCrypto;

/// The provider. All of one thread share what they have seen: a test is a thread.
pub type WatchedCrypto = SteeredCrypto<Arc<RustCrypto>, Arc<NonceWatch>>;

/// What was encrypted, by key and nonce. A follower that makes a partner's commit again encrypts the
/// same once more; anything else under the same key and nonce is a collision.
#[derive(Debug, Default)]
pub struct NonceWatch(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    by_key_and_nonce: HashMap<(Vec<u8>, Vec<u8>), u64>,
    collisions: usize,
}

thread_local! {
    static WATCH: Arc<NonceWatch> = Arc::default();
}

impl NonceWatch {
    /// That of this thread.
    pub fn of_this_thread() -> Arc<Self> {
        WATCH.with(Arc::clone)
    }

    /// How many pairs of key and nonce were used, and how many of them for several plaintexts.
    pub fn counts(&self) -> (usize, usize) {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (seen.by_key_and_nonce.len(), seen.collisions)
    }
}

impl CryptoHook for NonceWatch {
    fn encrypting(&self, asked: &Encrypting<'_>) {
        let mut content = DefaultHasher::new();
        (asked.aad, asked.plaintext).hash(&mut content);
        let content = content.finish();
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let under = (asked.key.to_vec(), asked.nonce.to_vec());
        if *seen.by_key_and_nonce.entry(under).or_insert(content) != content {
            seen.collisions += 1;
        }
    }
}

impl TestCrypto for WatchedCrypto {
    fn fresh() -> Result<Self, Refused> {
        Ok(Self { inner: Arc::new(RustCrypto::default()), hook: NonceWatch::of_this_thread() })
    }
}
