//! The file of a sealed vault.
//!
//! ```text
//! struct {
//!     opaque    magic[8] = "PMLSVLT\0";
//!     uint16    version = 1;
//!     opaque    vault_id[16];            // random, drawn when the vault is made
//!     uint64    generation;              // one more with every write
//!     uint8     counter;                 // 1: a roll-back counter goes with this vault
//!     KeySlot   slot;
//!     opaque    nonce[24];
//! } Header;
//!
//! struct {
//!     uint8 kind;                        // passphrase(1), token(2)
//!     select (kind) {
//!         case passphrase: uint32 memory_kib, passes, lanes; opaque salt[32];
//!                          opaque nonce[24]; opaque wrapped_key[48];
//!         case token:      opaque iv[12]; opaque wrapped_key[48];
//!     };
//! } KeySlot;
//!
//! struct {
//!     Header header;
//!     opaque sealed<V>;       // XChaCha20-Poly1305(data_key, nonce, aad = header, Contents)
//!     opaque checksum[32];    // SHA-256 of all before: tells damage from a wrong passphrase
//! } VaultFile;
//!
//! struct { opaque name<V>; opaque record<V>; } Record;
//! struct { Record records<V>; } Contents;     // in ascending order of the names
//! ```

use std::{collections::BTreeMap, fmt};

use chacha20poly1305::{
    KeyInit as _, XChaCha20Poly1305,
    aead::{AeadInOut as _, Nonce},
};
use paired_mls::Secret;
use sha2::{Digest as _, Sha256};
use thiserror::Error;
use tls_codec::{
    Deserialize as _, DeserializeBytes as _, SecretVLBytes, Serialize as _, Size as _,
    TlsDeserialize, TlsDeserializeBytes, TlsSerialize, TlsSize, VLBytes,
};
use zeroize::Zeroizing;

const MAGIC: [u8; 8] = *b"PMLSVLT\0";
const VERSION: u16 = 1;
const CHECKSUM_LEN: usize = 32;

/// The length of the key that seals the contents, in bytes.
pub(crate) const KEY_LEN: usize = 32;

/// What is wrong with the bytes of a vault file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FormatError {
    /// The file does not begin as a vault does.
    #[error("the file is not a vault: check the path")]
    NotAVault,
    /// The file was written by a later version of this software.
    #[error("the vault has format {0} and this software reads format 1: update the software")]
    Version(u16),
    /// The key of the vault lies elsewhere.
    #[error(
        "another kind of vault: a sealed file opens with its passphrase, a token's with its PIN"
    )]
    OtherKind,
    /// The bytes are not those that were written.
    #[error("the vault file is damaged: restore a copy of this very state, or pair again")]
    Damaged,
    /// The records are too many for one vault.
    #[error("the vault would exceed its format: erase the records of groups that ended")]
    TooLarge,
    /// The operating system gives no random numbers.
    #[error("the operating system gives no random numbers: try again once it has started up")]
    Random,
}

#[derive(Clone, Debug, TlsSize, TlsSerialize, TlsDeserializeBytes)]
struct Prefix {
    magic: [u8; 8],
    version: u16,
}

/// All of the file that is not secret.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub(crate) struct Header {
    pub(crate) vault_id: [u8; 16],
    pub(crate) generation: u64,
    pub(crate) counter: Guard,
    pub(crate) slot: KeySlot,
}

/// Whether a roll-back counter goes with the vault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
#[repr(u8)]
pub(crate) enum Guard {
    None = 0,
    Counter = 1,
}

/// How the key of the contents is found.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
#[repr(u8)]
pub(crate) enum KeySlot {
    #[tls_codec(discriminant = 1)]
    Passphrase(PassphraseSlot),
    #[tls_codec(discriminant = 2)]
    Token(TokenSlot),
}

#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub(crate) struct PassphraseSlot {
    pub(crate) memory_kib: u32,
    pub(crate) passes: u32,
    pub(crate) lanes: u32,
    pub(crate) salt: [u8; 32],
    pub(crate) nonce: [u8; 24],
    pub(crate) wrapped_key: [u8; 48],
}

#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub(crate) struct TokenSlot {
    pub(crate) iv: [u8; 12],
    pub(crate) wrapped_key: [u8; 48],
}

#[derive(TlsSize, TlsSerialize, TlsDeserialize)]
struct Contents {
    records: Vec<Record>,
}

#[derive(TlsSize, TlsSerialize, TlsDeserialize)]
struct Record {
    name: VLBytes,
    record: SecretVLBytes,
}

/// A bound of the encoder, which never prints; the derived one would print the secret.
impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The records in the clear: made for one call, and erased at its end.
pub(crate) type Records = BTreeMap<String, Secret>;

/// A file that was read and not yet opened.
pub(crate) struct SealedRecords {
    header: Header,
    aad: Vec<u8>,
    nonce: [u8; 24],
    sealed: Vec<u8>,
}

impl SealedRecords {
    /// Parses a file; the bytes can come from anybody.
    ///
    /// # Errors
    ///
    /// Every [`FormatError`] but the two last ones. A wrong checksum is damage; a wrong content
    /// under a right checksum comes from somebody who wrote both.
    pub(crate) fn parse(file: &[u8]) -> Result<Self, FormatError> {
        let (prefix, _) =
            Prefix::tls_deserialize_bytes(file).map_err(|_| FormatError::NotAVault)?;
        if prefix.magic != MAGIC {
            return Err(FormatError::NotAVault);
        }
        let (body, checksum) =
            file.split_last_chunk::<CHECKSUM_LEN>().ok_or(FormatError::Damaged)?;
        if Sha256::digest(body).as_slice() != checksum {
            return Err(FormatError::Damaged);
        }
        if prefix.version != VERSION {
            return Err(FormatError::Version(prefix.version));
        }
        let damaged = |_| FormatError::Damaged;
        let after_prefix = body.get(prefix.tls_serialized_len()..).unwrap_or_default();
        let (header, rest) = Header::tls_deserialize_bytes(after_prefix).map_err(damaged)?;
        let (nonce, rest) = <[u8; 24]>::tls_deserialize_bytes(rest).map_err(damaged)?;
        let aad = body.get(..body.len().saturating_sub(rest.len())).unwrap_or_default().to_vec();
        // Not the decoder from bytes: with debug assertions, tls_codec 0.5 panics there on a vector
        // that is cut short.
        let sealed = VLBytes::tls_deserialize_exact(rest).map_err(damaged)?.into();
        Ok(Self { header, aad, nonce, sealed })
    }

    pub(crate) fn header(&self) -> &Header {
        &self.header
    }

    /// Opens the contents.
    ///
    /// # Errors
    ///
    /// [`FormatError::Damaged`] if they were not sealed under this key and header.
    pub(crate) fn open(self, data_key: &Secret) -> Result<Records, FormatError> {
        let damaged = |_| FormatError::Damaged;
        let cipher = XChaCha20Poly1305::new_from_slice(data_key.expose())
            .map_err(|_| FormatError::Damaged)?;
        let mut clear = Zeroizing::new(self.sealed);
        let nonce = Nonce::<XChaCha20Poly1305>::from(self.nonce);
        cipher
            .decrypt_in_place(&nonce, &self.aad, &mut *clear)
            .map_err(|_| FormatError::Damaged)?;
        let contents = Contents::tls_deserialize_exact(clear.as_slice()).map_err(damaged)?;
        let records = contents.records.into_iter().map(|record| {
            let name = String::from_utf8(record.name.into()).map_err(|_| FormatError::Damaged)?;
            Ok((name, Secret::copy_of(record.record.as_slice())))
        });
        records.collect()
    }
}

/// Seals records: the bytes of the file.
///
/// # Errors
///
/// [`FormatError::TooLarge`], [`FormatError::Random`].
pub(crate) fn seal(
    header: &Header,
    records: &Records,
    data_key: &Secret,
) -> Result<Vec<u8>, FormatError> {
    let too_large = |_| FormatError::TooLarge;
    let nonce: [u8; 24] = random()?;
    let mut file = Vec::new();
    Prefix { magic: MAGIC, version: VERSION }.tls_serialize(&mut file).map_err(too_large)?;
    header.tls_serialize(&mut file).map_err(too_large)?;
    nonce.tls_serialize(&mut file).map_err(too_large)?;

    let records = records.iter().map(|(name, record)| Record {
        name: name.as_bytes().into(),
        record: record.expose().into(),
    });
    let contents = Contents { records: records.collect() };
    // With room for the tag: a buffer that grows leaves a copy in the clear behind.
    let len = contents.tls_serialized_len().saturating_add(16);
    let mut sealed = Zeroizing::new(Vec::with_capacity(len));
    contents.tls_serialize(&mut *sealed).map_err(too_large)?;
    let cipher =
        XChaCha20Poly1305::new_from_slice(data_key.expose()).map_err(|_| FormatError::TooLarge)?;
    let nonce = Nonce::<XChaCha20Poly1305>::from(nonce);
    cipher.encrypt_in_place(&nonce, &file, &mut *sealed).map_err(|_| FormatError::TooLarge)?;

    VLBytes::from(sealed.as_slice()).tls_serialize(&mut file).map_err(too_large)?;
    let checksum = Sha256::digest(&file);
    file.extend_from_slice(&checksum);
    Ok(file)
}

/// Random bytes of the operating system.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], FormatError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| FormatError::Random)?;
    Ok(bytes)
}

/// A random key.
pub(crate) fn random_key() -> Result<Secret, FormatError> {
    let mut bytes = Zeroizing::new([0; KEY_LEN]);
    getrandom::fill(&mut *bytes).map_err(|_| FormatError::Random)?;
    Ok(Secret::copy_of(&*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sealed file, and its key.
    fn file() -> (Vec<u8>, Secret) {
        let slot = TokenSlot { iv: [3; 12], wrapped_key: [4; 48] };
        let header = Header {
            vault_id: [1; 16],
            generation: 2,
            counter: Guard::None,
            slot: KeySlot::Token(slot),
        };
        let records = Records::from([("tape".to_owned(), Secret::copy_of(b"a record"))]);
        let key = random_key().unwrap();
        (seal(&header, &records, &key).unwrap(), key)
    }

    /// Anybody can write the checksum anew.
    fn with_checksum(body: &[u8]) -> Vec<u8> {
        [body, Sha256::digest(body).as_slice()].concat()
    }

    #[test]
    fn a_forged_file_of_any_length_is_refused_and_never_panics() {
        let (file, key) = file();
        let (body, _) = file.split_last_chunk::<CHECKSUM_LEN>().unwrap();
        assert_eq!(SealedRecords::parse(&file).unwrap().open(&key).unwrap().len(), 1);
        for end in 0..body.len() {
            let forged = with_checksum(&body[..end]);
            assert!(SealedRecords::parse(&forged).is_err(), "cut to {end} bytes");
        }
        let longer = with_checksum(&[body, &[0]].concat());
        assert_eq!(SealedRecords::parse(&longer).err(), Some(FormatError::Damaged));
    }
}
