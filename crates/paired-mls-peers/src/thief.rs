//! Somebody with a copy of a device's MLS state, but not of its vault.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicUsize, Ordering},
};

use openmls::prelude::{Ciphersuite, GroupId, MlsGroup, ProtocolMessage};
use openmls_rust_crypto::RustCrypto;
use openmls_traits::{
    OpenMlsProvider,
    crypto::OpenMlsCrypto,
    random::OpenMlsRand,
    types::{CryptoError, HpkeCiphertext},
};
use paired_mls::{
    conformance::{Heard, Listener, Refused, Thief},
    wire::{Content, FramedContentTbs},
};
use paired_mls_openmls::{HpkeHook, MemoryProvider, SteeredCrypto};
use serde_json::Value;

use crate::{
    OpenMlsDevice,
    device::TestCrypto,
    stock_openmls::{hear, parse},
};

/// A thief with the complete MLS state of a device, on stock OpenMLS.
///
/// He processes what he sees like any member. Where OpenMLS cannot follow, he tries every byte
/// string of his loot that is as long as a key, in three ways, on every ciphertext of the commit.
pub struct OpenMlsThief<C = RustCrypto> {
    provider: MemoryProvider<C>,
    ciphersuite: Ciphersuite,
    group: MlsGroup,
    /// HPKE private keys.
    keys: Vec<Vec<u8>>,
    attempts: AtomicUsize,
}

impl<C: TestCrypto> OpenMlsThief<C> {
    /// Steals from a device that is in a group.
    ///
    /// # Errors
    ///
    /// A device outside of any group.
    pub fn new(device: &OpenMlsDevice<C>) -> Result<Self, Refused> {
        let records = device.records();
        let mut strings = BTreeSet::new();
        for (key, value) in &records {
            byte_strings(key, &mut strings);
            byte_strings(value, &mut strings);
        }
        let ciphersuite = device.ciphersuite();
        let length = ciphersuite.hash_length();
        strings.retain(|string| string.len() == length);

        let provider = MemoryProvider::with_records(C::fresh()?, records);
        let id = GroupId::from_slice(device.group_id().ok_or("this device is in no group")?);
        let group = MlsGroup::load(provider.storage(), &id)?.ok_or("the group is not stored")?;
        let mut keys = Vec::new();
        for string in strings {
            keys.extend(as_private_keys(provider.crypto(), ciphersuite, string));
        }
        Ok(Self { provider, ciphersuite, group, keys, attempts: AtomicUsize::new(0) })
    }

    /// The HPKE private keys that the loot gives: each byte string as it is, as the input of
    /// `DeriveKeyPair`, and as a path secret.
    pub fn keys(&self) -> usize {
        self.keys.len()
    }

    /// The public keys of the tree's nodes whose private keys the thief has now.
    pub fn known_nodes(&self) -> BTreeSet<Vec<u8>> {
        let mut known = BTreeSet::new();
        for record in self.provider.records().values() {
            if let Ok(value) = serde_json::from_slice::<Value>(record) {
                key_pairs(&value, &mut known);
            }
        }
        known
    }

    /// Whether the loot holds this byte string, in a record of its own or inside of one.
    pub fn holds(&self, string: &[u8]) -> bool {
        let mut strings = BTreeSet::new();
        for (key, value) in &self.provider.records() {
            byte_strings(key, &mut strings);
            byte_strings(value, &mut strings);
        }
        strings.contains(string)
    }
}

/// Every byte string in a stored record, however deeply it is nested.
pub(crate) fn byte_strings(record: &[u8], found: &mut BTreeSet<Vec<u8>>) {
    found.insert(record.to_vec());
    if let Ok(value) = serde_json::from_slice::<Value>(record) {
        walk(&value, found);
    }
}

fn walk(value: &Value, found: &mut BTreeSet<Vec<u8>>) {
    match value {
        Value::String(text) => {
            found.insert(text.as_bytes().to_vec());
        }
        Value::Array(items) => {
            let byte = |item: &Value| u8::try_from(item.as_u64()?).ok();
            match items.iter().map(byte).collect::<Option<Vec<u8>>>() {
                // A byte string may be a record in itself.
                Some(bytes) if !found.contains(&bytes) => byte_strings(&bytes, found),
                Some(_) => {}
                None => items.iter().for_each(|item| walk(item, found)),
            }
        }
        Value::Object(fields) => {
            for (name, value) in fields {
                found.insert(name.as_bytes().to_vec());
                walk(value, found);
            }
        }
        _ => {}
    }
}

/// The public keys of all stored key pairs.
fn key_pairs(value: &Value, known: &mut BTreeSet<Vec<u8>>) {
    match value {
        Value::Array(items) => {
            let byte = |item: &Value| u8::try_from(item.as_u64()?).ok();
            match items.iter().map(byte).collect::<Option<Vec<u8>>>() {
                // A byte string may be a record in itself.
                Some(bytes) => {
                    if let Ok(value) = serde_json::from_slice::<Value>(&bytes) {
                        key_pairs(&value, known);
                    }
                }
                None => items.iter().for_each(|item| key_pairs(item, known)),
            }
        }
        Value::Object(fields) => {
            if let (Some(public), true) =
                (fields.get("public_key"), fields.contains_key("private_key"))
            {
                walk(public, known);
            }
            fields.values().for_each(|value| key_pairs(value, known));
        }
        _ => {}
    }
}

fn as_private_keys(
    crypto: &impl OpenMlsCrypto,
    ciphersuite: Ciphersuite,
    string: Vec<u8>,
) -> Vec<Vec<u8>> {
    let config = || ciphersuite.hpke_config();
    // KDFLabel { uint16 length = Nh; opaque label<V> = "MLS 1.0 node"; opaque context<V> = "" }
    let length = ciphersuite.hash_length();
    let info = [&(length as u16).to_be_bytes()[..], &[12], b"MLS 1.0 node", &[0]].concat();
    let node = crypto.hkdf_expand(ciphersuite.hash_algorithm(), &string, &info, length);
    let derived = [
        crypto.derive_hpke_keypair(config(), &string).ok(),
        node.ok().and_then(|node| crypto.derive_hpke_keypair(config(), node.as_slice()).ok()),
    ];
    let derived = derived.into_iter().flatten().map(|pair| pair.private.to_vec());
    derived.chain([string]).collect()
}

/// Tries every key on every ciphertext.
struct BruteForce<'a, C> {
    crypto: &'a C,
    ciphersuite: Ciphersuite,
    keys: &'a [Vec<u8>],
    ciphertexts: Vec<HpkeCiphertext>,
    attempts: &'a AtomicUsize,
}

impl<C: OpenMlsCrypto> HpkeHook for BruteForce<'_, C> {
    fn seal(&self, _: &[u8], _: &[u8]) -> Option<Result<HpkeCiphertext, CryptoError>> {
        None
    }

    fn open(&self, asked: &HpkeCiphertext, info: &[u8]) -> Option<Result<Vec<u8>, CryptoError>> {
        for ciphertext in self.ciphertexts.iter().chain([asked]) {
            for key in self.keys {
                self.attempts.fetch_add(1, Ordering::Relaxed);
                let config = self.ciphersuite.hpke_config();
                let opened = self.crypto.hpke_open(config, ciphertext, key, info, &[]);
                if let Ok(plaintext) = opened {
                    return Some(Ok(plaintext));
                }
            }
        }
        None
    }
}

/// The thief's provider, with brute force in its cryptography.
struct BruteForceProvider<'a, C> {
    inner: &'a MemoryProvider<C>,
    crypto: SteeredCrypto<'a, C, BruteForce<'a, C>>,
}

impl<'a, C: OpenMlsCrypto + OpenMlsRand> OpenMlsProvider for BruteForceProvider<'a, C> {
    type CryptoProvider = SteeredCrypto<'a, C, BruteForce<'a, C>>;
    type RandProvider = C;
    type StorageProvider = openmls_memory_storage::MemoryStorage;

    fn storage(&self) -> &Self::StorageProvider {
        self.inner.storage()
    }

    fn crypto(&self) -> &Self::CryptoProvider {
        &self.crypto
    }

    fn rand(&self) -> &C {
        self.inner.rand()
    }
}

/// The HPKE ciphertexts of a commit in a PublicMessage. Its bytes begin like a FramedContentTBS.
fn ciphertexts(message: &[u8]) -> Vec<HpkeCiphertext> {
    let framed = FramedContentTbs::decode(message).ok();
    let commit = framed.as_ref().and_then(|framed| match framed.content() {
        Content::Commit(commit) => commit.path(),
        _ => None,
    });
    let nodes = commit.map(|path| path.nodes()).unwrap_or_default();
    nodes
        .iter()
        .flat_map(|node| node.encrypted_path_secret())
        .map(|ciphertext| HpkeCiphertext {
            kem_output: ciphertext.kem_output().into(),
            ciphertext: ciphertext.ciphertext().into(),
        })
        .collect()
}

impl<C: TestCrypto> Listener for OpenMlsThief<C> {
    fn epoch(&self) -> u64 {
        self.group.epoch().as_u64()
    }

    fn epoch_authenticator(&self) -> Vec<u8> {
        self.group.epoch_authenticator().as_slice().to_vec()
    }

    fn process(&mut self, message: &[u8]) -> Result<Heard, Refused> {
        let parsed: ProtocolMessage = parse(message)?.try_into_protocol_message()?;
        let plain = self.group.process_message(&self.provider, parsed.clone());
        let processed = match plain {
            Ok(processed) => processed,
            Err(_) => {
                let hook = BruteForce {
                    crypto: self.provider.crypto(),
                    ciphersuite: self.ciphersuite,
                    keys: &self.keys,
                    ciphertexts: ciphertexts(message),
                    attempts: &self.attempts,
                };
                let crypto = SteeredCrypto { inner: self.provider.crypto(), hook: &hook };
                let provider = BruteForceProvider { inner: &self.provider, crypto };
                self.group.process_message(&provider, parsed)?
            }
        };
        hear(&mut self.group, &self.provider, processed.into_content())
    }
}

impl<C: TestCrypto> Thief for OpenMlsThief<C> {
    fn attempts(&self) -> usize {
        self.attempts.load(Ordering::Relaxed)
    }
}
