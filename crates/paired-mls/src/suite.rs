//! Cipher suites (RFC 9420 section 17.1) and the derivations that the tape and the Notify use.

use aes_gcm::{Aes128Gcm, Aes256Gcm};
use chacha20poly1305::{
    ChaCha20Poly1305,
    aead::{Aead, KeyInit, Payload},
};
use hkdf::Hkdf;
use sha2::{Sha256, Sha384, Sha512};
use thiserror::Error;
use tls_codec::{Serialize as _, TlsSerialize, TlsSize, VLByteSlice};
use zeroize::Zeroizing;

use crate::{Secret, code_points};

/// A cipher suite of RFC 9420 that a pairing can use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum CipherSuite {
    /// `MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519`, suite 1.
    X25519Aes128,
    /// `MLS_128_DHKEMP256_AES128GCM_SHA256_P256`, suite 2.
    P256Aes128,
    /// `MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_Ed25519`, suite 3.
    X25519ChaCha20,
    /// `MLS_256_DHKEMP521_AES256GCM_SHA512_P521`, suite 5.
    P521Aes256,
    /// `MLS_256_DHKEMP384_AES256GCM_SHA384_P384`, suite 7.
    P384Aes256,
}

/// The code point belongs to no suite that a pairing can use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("cipher suite {0} is not supported: use one of 1, 2, 3, 5 or 7")]
pub struct UnsupportedCipherSuite(pub u16);

/// A label or context that does not fit the `KDFLabel` structure, or an output that is too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the input of a key derivation is too long for RFC 9420's KDFLabel")]
pub struct DerivationTooLong;

/// The AEAD refused: a wrong key, or a changed nonce, ciphertext or additional data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the ciphertext does not authenticate")]
pub struct AeadError;

#[derive(Clone, Copy)]
enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

impl CipherSuite {
    /// Every supported suite, in the order of the code points.
    pub const ALL: [Self; 5] = [
        Self::X25519Aes128,
        Self::P256Aes128,
        Self::X25519ChaCha20,
        Self::P521Aes256,
        Self::P384Aes256,
    ];

    /// The suite's code point in the registry of RFC 9420 section 17.1.
    pub fn code_point(self) -> u16 {
        match self {
            Self::X25519Aes128 => 1,
            Self::P256Aes128 => 2,
            Self::X25519ChaCha20 => 3,
            Self::P521Aes256 => 5,
            Self::P384Aes256 => 7,
        }
    }

    /// `Nh`: the output length of the KDF, in bytes (RFC 9180 section 7.2).
    pub fn kdf_len(self) -> usize {
        match self.hash() {
            Hash::Sha256 => 32,
            Hash::Sha384 => 48,
            Hash::Sha512 => 64,
        }
    }

    /// `Nk`: the key length of the AEAD, in bytes (RFC 9180 section 7.3).
    pub fn aead_key_len(self) -> usize {
        match self {
            Self::X25519Aes128 | Self::P256Aes128 => 16,
            Self::X25519ChaCha20 | Self::P521Aes256 | Self::P384Aes256 => 32,
        }
    }

    /// `Nn`: the nonce length of the AEAD, in bytes (RFC 9180 section 7.3).
    pub fn aead_nonce_len(self) -> usize {
        12
    }

    /// `Nt`: the tag length of the AEAD, in bytes.
    pub fn aead_tag_len(self) -> usize {
        16
    }

    /// `Nenc`: the length of a KEM output, in bytes (RFC 9180 section 7.1).
    pub fn kem_output_len(self) -> usize {
        match self {
            Self::X25519Aes128 | Self::X25519ChaCha20 => 32,
            Self::P256Aes128 => 65,
            Self::P384Aes256 => 97,
            Self::P521Aes256 => 133,
        }
    }

    fn hash(self) -> Hash {
        match self {
            Self::X25519Aes128 | Self::P256Aes128 | Self::X25519ChaCha20 => Hash::Sha256,
            Self::P384Aes256 => Hash::Sha384,
            Self::P521Aes256 => Hash::Sha512,
        }
    }

    /// `KDF.Extract("PMLS 02", seed)`: the root of all derivations of one pairing.
    pub(crate) fn extract(self, seed: &Secret) -> Secret {
        self.kdf_extract(code_points::EXTRACT_SALT, seed)
    }

    /// `KDF.Extract(salt, ikm)` of RFC 9180 section 7.2.
    fn kdf_extract(self, salt: &[u8], ikm: &Secret) -> Secret {
        macro_rules! extract {
            ($hash:ty) => {{
                let (prk, _) = Hkdf::<$hash>::extract(Some(salt), ikm.expose());
                Secret::new(prk.to_vec())
            }};
        }
        match self.hash() {
            Hash::Sha256 => extract!(Sha256),
            Hash::Sha384 => extract!(Sha384),
            Hash::Sha512 => extract!(Sha512),
        }
    }

    /// RFC 9420 section 5.1.2, with the label prefix of the draft's revision:
    ///
    /// ```text
    /// ExpandWithLabel(Secret, Label, Context, Length) = KDF.Expand(Secret, KDFLabel, Length)
    ///
    /// struct {
    ///     uint16 length;
    ///     opaque label<V>;      // "PMLS 02 " + Label
    ///     opaque context<V>;
    /// } KDFLabel;
    /// ```
    ///
    /// # Errors
    ///
    /// [`DerivationTooLong`] if `context` exceeds 2³⁰ − 1 bytes or `length` 255·Nh bytes.
    pub(crate) fn expand_with_label(
        self,
        secret: &Secret,
        label: &str,
        context: &[u8],
        length: usize,
    ) -> Result<Secret, DerivationTooLong> {
        self.expand(
            secret,
            &[code_points::LABEL_PREFIX, label.as_bytes()].concat(),
            context,
            length,
        )
    }

    /// MLS' own `DeriveSecret(Secret, Label)` of RFC 9420 section 8, with the prefix `"MLS 1.0 "`.
    pub(crate) fn derive_secret(
        self,
        secret: &Secret,
        label: &str,
    ) -> Result<Secret, DerivationTooLong> {
        self.expand(secret, &[b"MLS 1.0 ", label.as_bytes()].concat(), &[], self.kdf_len())
    }

    fn expand(
        self,
        secret: &Secret,
        label: &[u8],
        context: &[u8],
        length: usize,
    ) -> Result<Secret, DerivationTooLong> {
        let info = KdfLabel {
            length: u16::try_from(length).map_err(|_| DerivationTooLong)?,
            label: VLByteSlice(label),
            context: VLByteSlice(context),
        }
        .tls_serialize_detached()
        .map_err(|_| DerivationTooLong)?;
        self.kdf_expand(secret, &info, length)
    }

    /// `KDF.Expand(prk, info, L)` of RFC 9180 section 7.2.
    fn kdf_expand(
        self,
        prk: &Secret,
        info: &[u8],
        length: usize,
    ) -> Result<Secret, DerivationTooLong> {
        let mut output = Zeroizing::new(vec![0; length]);
        macro_rules! expand {
            ($hash:ty) => {
                Hkdf::<$hash>::from_prk(prk.expose())
                    .map_err(|_| DerivationTooLong)?
                    .expand(info, &mut output)
                    .map_err(|_| DerivationTooLong)?
            };
        }
        match self.hash() {
            Hash::Sha256 => expand!(Sha256),
            Hash::Sha384 => expand!(Sha384),
            Hash::Sha512 => expand!(Sha512),
        }
        Ok(Secret::copy_of(&output))
    }

    /// `AEAD.Seal(key, nonce, aad, plaintext)` of RFC 9180 section 7.3.
    pub(crate) fn seal(
        self,
        key: &Secret,
        nonce: &Secret,
        aad: &[u8],
        plaintext: &[u8],
    ) -> Result<Vec<u8>, AeadError> {
        self.with_aead(key, nonce, |aead, nonce| aead.seal(nonce, Payload { msg: plaintext, aad }))
    }

    /// `AEAD.Open(key, nonce, aad, ciphertext)` of RFC 9180 section 7.3.
    pub(crate) fn open(
        self,
        key: &Secret,
        nonce: &Secret,
        aad: &[u8],
        ciphertext: &[u8],
    ) -> Result<Secret, AeadError> {
        self.with_aead(key, nonce, |aead, nonce| aead.open(nonce, Payload { msg: ciphertext, aad }))
            .map(Secret::new)
    }

    fn with_aead(
        self,
        key: &Secret,
        nonce: &Secret,
        run: impl FnOnce(&dyn SuiteAead, &[u8; 12]) -> Result<Vec<u8>, AeadError>,
    ) -> Result<Vec<u8>, AeadError> {
        let nonce = nonce.expose().try_into().map_err(|_| AeadError)?;
        macro_rules! keyed {
            ($aead:ty) => {
                &<$aead>::new_from_slice(key.expose()).map_err(|_| AeadError)?
            };
        }
        match self {
            Self::X25519Aes128 | Self::P256Aes128 => run(keyed!(Aes128Gcm), nonce),
            Self::X25519ChaCha20 => run(keyed!(ChaCha20Poly1305), nonce),
            Self::P521Aes256 | Self::P384Aes256 => run(keyed!(Aes256Gcm), nonce),
        }
    }
}

impl TryFrom<u16> for CipherSuite {
    type Error = UnsupportedCipherSuite;

    fn try_from(code_point: u16) -> Result<Self, Self::Error> {
        Self::ALL
            .into_iter()
            .find(|suite| suite.code_point() == code_point)
            .ok_or(UnsupportedCipherSuite(code_point))
    }
}

#[derive(TlsSize, TlsSerialize)]
struct KdfLabel<'a> {
    length: u16,
    label: VLByteSlice<'a>,
    context: VLByteSlice<'a>,
}

/// One keyed AEAD of any suite: all have 12-byte nonces and 16-byte tags.
trait SuiteAead {
    fn seal(&self, nonce: &[u8; 12], payload: Payload<'_, '_>) -> Result<Vec<u8>, AeadError>;
    fn open(&self, nonce: &[u8; 12], payload: Payload<'_, '_>) -> Result<Vec<u8>, AeadError>;
}

impl<A> SuiteAead for A
where
    A: Aead,
    for<'a> &'a chacha20poly1305::aead::Nonce<A>: From<&'a [u8; 12]>,
{
    fn seal(&self, nonce: &[u8; 12], payload: Payload<'_, '_>) -> Result<Vec<u8>, AeadError> {
        self.encrypt(nonce.into(), payload).map_err(|_| AeadError)
    }

    fn open(&self, nonce: &[u8; 12], payload: Payload<'_, '_>) -> Result<Vec<u8>, AeadError> {
        self.decrypt(nonce.into(), payload).map_err(|_| AeadError)
    }
}

#[cfg(test)]
mod known_answers;
