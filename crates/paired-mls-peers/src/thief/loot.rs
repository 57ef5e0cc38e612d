//! What a thief finds in stored records.

use std::collections::BTreeSet;

use openmls::prelude::Ciphersuite;
use openmls_traits::crypto::OpenMlsCrypto;
use serde_json::Value;

/// The byte strings that a thief has found, and what they are as keys. It only grows.
#[derive(Default)]
pub(crate) struct Loot {
    strings: BTreeSet<Vec<u8>>,
    keys: Vec<Vec<u8>>,
}

impl Loot {
    /// Searches what is stored, and takes each byte string that is new.
    ///
    /// A key, a path secret and the input of `DeriveKeyPair` all have Nh bytes in the suites 1 to 3;
    /// strings of other lengths are no keys.
    pub(super) fn search(
        &mut self,
        cells: &[Vec<u8>],
        crypto: &impl OpenMlsCrypto,
        ciphersuite: Ciphersuite,
    ) {
        self.take_strings(strings_in(cells), crypto, ciphersuite);
    }

    /// Takes each of these byte strings that is new.
    pub(crate) fn take_strings(
        &mut self,
        strings: impl IntoIterator<Item = Vec<u8>>,
        crypto: &impl OpenMlsCrypto,
        ciphersuite: Ciphersuite,
    ) {
        for string in strings {
            if string.len() == ciphersuite.hash_length() && self.strings.insert(string.clone()) {
                self.keys.extend(as_private_keys(crypto, ciphersuite, string));
            }
        }
    }

    /// Takes whatever another one has.
    pub(crate) fn take(&mut self, other: &Self) {
        self.strings.extend(other.strings.iter().cloned());
        self.keys.extend(other.keys.iter().cloned());
    }

    /// Overwrites every HPKE private key in a record that is not in the loot.
    pub(super) fn scrub(&self, record: &mut Vec<u8>) {
        if let Ok(mut value) = serde_json::from_slice::<Value>(record) {
            self.scrub_value(&mut value);
            *record = serde_json::to_vec(&value).unwrap_or_default();
        }
    }

    fn scrub_value(&self, value: &mut Value) {
        match value {
            Value::Array(items) => match bytes(items) {
                // A byte string may be a record in itself.
                Some(mut inner) if serde_json::from_slice::<Value>(&inner).is_ok() => {
                    self.scrub(&mut inner);
                    *items = inner.into_iter().map(Value::from).collect();
                }
                Some(_) => {}
                None => items.iter_mut().for_each(|item| self.scrub_value(item)),
            },
            Value::Object(fields) => {
                if let (true, Some(private)) =
                    (fields.contains_key("public_key"), fields.get_mut("private_key"))
                {
                    self.overwrite(private);
                }
                fields.values_mut().for_each(|value| self.scrub_value(value));
            }
            _ => {}
        }
    }

    fn overwrite(&self, private: &mut Value) {
        match private {
            Value::Array(items) => match bytes(items) {
                Some(key) if self.strings.contains(&key) => {}
                Some(_) => items.iter_mut().for_each(|byte| *byte = Value::from(1_u8)),
                None => items.iter_mut().for_each(|item| self.overwrite(item)),
            },
            Value::Object(fields) => fields.values_mut().for_each(|value| self.overwrite(value)),
            _ => {}
        }
    }

    /// HPKE private keys.
    pub(crate) fn keys(&self) -> &[Vec<u8>] {
        &self.keys
    }
}

/// Every byte string in what is stored, however deeply it is nested.
pub(crate) fn strings_in(cells: &[Vec<u8>]) -> BTreeSet<Vec<u8>> {
    let mut found = BTreeSet::new();
    for cell in cells {
        byte_strings(cell, &mut found);
    }
    found
}

/// The public keys of all stored key pairs.
pub(super) fn public_keys_in(cells: &[Vec<u8>]) -> BTreeSet<Vec<u8>> {
    let mut known = BTreeSet::new();
    for cell in cells {
        if let Ok(value) = serde_json::from_slice::<Value>(cell) {
            key_pairs(&value, &mut known);
        }
    }
    known
}

/// The private key of a stored key pair.
pub(crate) fn private_key_in(cells: &[Vec<u8>], public_key: &[u8]) -> Option<Vec<u8>> {
    let mut stack: Vec<Value> =
        cells.iter().filter_map(|cell| serde_json::from_slice(cell).ok()).collect();
    while let Some(value) = stack.pop() {
        match value {
            // A byte string may be a record in itself.
            Value::Array(items) => match bytes(&items) {
                Some(bytes) => stack.extend(serde_json::from_slice::<Value>(&bytes)),
                None => stack.extend(items),
            },
            Value::Object(fields) => {
                if let (Some(public), Some(private)) =
                    (fields.get("public_key"), fields.get("private_key"))
                {
                    let strings = |value| {
                        let mut found = BTreeSet::new();
                        walk(value, &mut found);
                        found
                    };
                    let of_length = |string: &Vec<u8>| string.len() == 32;
                    if strings(public).contains(public_key) {
                        return strings(private).into_iter().find(of_length);
                    }
                }
                stack.extend(fields.into_iter().map(|(_, value)| value));
            }
            _ => {}
        }
    }
    None
}

fn byte_strings(record: &[u8], found: &mut BTreeSet<Vec<u8>>) {
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
        Value::Array(items) => match bytes(items) {
            // A byte string may be a record in itself.
            Some(bytes) if !found.contains(&bytes) => byte_strings(&bytes, found),
            Some(_) => {}
            None => items.iter().for_each(|item| walk(item, found)),
        },
        Value::Object(fields) => {
            for (name, value) in fields {
                found.insert(name.as_bytes().to_vec());
                walk(value, found);
            }
        }
        _ => {}
    }
}

fn key_pairs(value: &Value, known: &mut BTreeSet<Vec<u8>>) {
    match value {
        Value::Array(items) => match bytes(items) {
            // A byte string may be a record in itself.
            Some(bytes) => {
                if let Ok(value) = serde_json::from_slice::<Value>(&bytes) {
                    key_pairs(&value, known);
                }
            }
            None => items.iter().for_each(|item| key_pairs(item, known)),
        },
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

/// A byte string, as the storage writes it.
fn bytes(items: &[Value]) -> Option<Vec<u8>> {
    items.iter().map(|item| u8::try_from(item.as_u64()?).ok()).collect()
}

/// The HPKE private keys that a byte string may stand for (RFC 9420 section 7.4):
///
/// ```text
/// string                                          a private key
/// KEM.DeriveKeyPair(string)                       a node secret
/// KEM.DeriveKeyPair(DeriveSecret(string, "node")) a path secret
/// ```
pub(super) fn as_private_keys(
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
