//! Signature key pairs in the vault: the device's own one, and those that the devices of a hidden
//! pairing share.
//!
//! ```text
//! struct { uint8 version = 1; opaque public<V>; opaque private<V>; } SignatureKeyRecord;
//! ```

use thiserror::Error;

use super::{
    SignatureKeyPair,
    codec::{DecodeError, Reader, TooLarge, Writer},
};
use crate::{PairingId, RecordName, Secret, Vault, VaultError};

const VERSION: u8 = 1;

/// Why a stored signature key cannot be read or written.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KeyRecordError {
    /// The bytes are no key pair: damaged, cut short or followed by others.
    #[error("the stored signature key is damaged: restore the vault, or set the device up anew")]
    Malformed,
    /// The record was written by a later version of this software.
    #[error("the stored signature key has format {0} and this software reads format 1: update it")]
    Version(u8),
    /// The key does not fit the format's length fields.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
}

/// Why the vault did not take a device's signature key.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreKeyError {
    /// The device has a signature key.
    #[error("the vault holds a signature key already: use another vault for another device")]
    Exists,
    /// The vault refused.
    #[error(transparent)]
    Vault(#[from] VaultError),
}

impl Vault {
    /// Stores the device's own signature key pair.
    ///
    /// # Errors
    ///
    /// [`StoreKeyError::Exists`] if the vault has one: a device keeps its key, since its id is made
    /// from it. [`VaultError::Storage`].
    pub fn store_signature_key(&self, pair: &SignatureKeyPair) -> Result<(), StoreKeyError> {
        let shelf = self.shelf();
        if shelf.load(&RecordName::SignatureKey)?.is_some() {
            return Err(StoreKeyError::Exists);
        }
        Ok(shelf.write(&RecordName::SignatureKey, write(pair))?)
    }

    /// The device's own signature key pair, for one signature.
    ///
    /// Returns what `sign` does; `None` if the vault has no such key.
    ///
    /// # Security
    ///
    /// The key is erased after the call: `sign` must not keep it.
    ///
    /// # Errors
    ///
    /// [`VaultError::Storage`], [`VaultError::Content`] for a damaged record.
    pub fn with_signature_key<T>(
        &self,
        sign: impl FnOnce(&SignatureKeyPair) -> T,
    ) -> Result<Option<T>, VaultError> {
        Ok(self.key_pair(&RecordName::SignatureKey)?.as_ref().map(sign))
    }

    /// Hidden mode: the anchor leaf's key pair, for one signature.
    ///
    /// Returns what `sign` does; `None` if this pairing has no such key.
    ///
    /// # Security
    ///
    /// The key is erased after the call: `sign` must not keep it.
    ///
    /// # Errors
    ///
    /// [`VaultError::Storage`], [`VaultError::Content`] for a damaged record.
    pub fn with_anchor_key<T>(
        &self,
        pairing: PairingId,
        sign: impl FnOnce(&SignatureKeyPair) -> T,
    ) -> Result<Option<T>, VaultError> {
        Ok(self.anchor_key(pairing)?.as_ref().map(sign))
    }

    pub(super) fn anchor_key(
        &self,
        pairing: PairingId,
    ) -> Result<Option<SignatureKeyPair>, VaultError> {
        self.key_pair(&RecordName::AnchorKey(pairing))
    }

    /// Stores an anchor leaf's key pair, in place of the one of an earlier try.
    pub(super) fn store_anchor_key(
        &self,
        pairing: PairingId,
        pair: &SignatureKeyPair,
    ) -> Result<(), VaultError> {
        self.shelf().write(&RecordName::AnchorKey(pairing), write(pair))
    }

    fn key_pair(&self, name: &RecordName) -> Result<Option<SignatureKeyPair>, VaultError> {
        self.shelf().read(name, |record| read(record.expose()))
    }
}

fn write(pair: &SignatureKeyPair) -> Result<Secret, KeyRecordError> {
    let mut writer = Writer::new();
    writer.u8(VERSION);
    writer.opaque(&pair.public_key);
    writer.opaque(pair.private_key.expose());
    Ok(writer.finish()?)
}

fn read(record: &[u8]) -> Result<SignatureKeyPair, KeyRecordError> {
    let read = Reader::whole("SignatureKeyRecord", record, |reader| {
        match reader.u8("version")? {
            VERSION => {}
            other => return Err(DecodeError::Version(other)),
        }
        let (public_key, private_key) = (reader.bytes("public")?, reader.secret("private")?);
        Ok(SignatureKeyPair { public_key, private_key })
    });
    read.map_err(|error| match error {
        DecodeError::Version(other) => KeyRecordError::Version(other),
        _ => KeyRecordError::Malformed,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::MemoryStorage;

    fn pair(byte: u8) -> SignatureKeyPair {
        let private_key = Secret::new(vec![byte; 64]);
        SignatureKeyPair { public_key: vec![byte; 32], private_key }
    }

    fn halves(pair: &SignatureKeyPair) -> (Vec<u8>, Vec<u8>) {
        (pair.public_key.clone(), pair.private_key.expose().to_vec())
    }

    #[test]
    fn a_device_keeps_its_key() {
        let vault = Vault::new(MemoryStorage::new());
        assert_eq!(vault.with_signature_key(halves).unwrap(), None);
        vault.store_signature_key(&pair(7)).unwrap();
        let again = vault.store_signature_key(&pair(8));
        assert!(matches!(again, Err(StoreKeyError::Exists)), "{again:?}");
        assert_eq!(vault.with_signature_key(halves).unwrap(), Some((vec![7; 32], vec![7; 64])));
    }

    #[test]
    fn the_own_key_is_apart_from_those_of_pairings() {
        let vault = Vault::new(MemoryStorage::new());
        let pairing = PairingId([1; 16]);
        vault.store_anchor_key(pairing, &pair(1)).unwrap();
        vault.store_anchor_key(pairing, &pair(2)).unwrap();
        assert_eq!(vault.with_signature_key(halves).unwrap(), None);
        let shared = vault.with_anchor_key(pairing, halves).unwrap();
        assert_eq!(shared, Some((vec![2; 32], vec![2; 64])));
        assert_eq!(vault.with_anchor_key(PairingId([2; 16]), halves).unwrap(), None);
    }

    #[test]
    fn damaged_and_newer_records_are_told_apart() {
        let record = write(&pair(3)).unwrap();
        let mut newer = record.expose().to_vec();
        newer[0] = 2;
        assert_eq!(read(&newer).unwrap_err(), KeyRecordError::Version(2));
        let longer = [record.expose(), &[0]].concat();
        for damaged in [&[][..], &record.expose()[..40], &longer] {
            assert_eq!(read(damaged).unwrap_err(), KeyRecordError::Malformed);
        }
    }
}
