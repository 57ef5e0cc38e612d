//! KeyPackages.

use tls_codec::VLByteSlice;

use super::{
    Extension, ExtensionType, LeafNode, SignContent, WireError,
    encode::serialized,
    error::{Reader, Structure},
    vector::{List, Opaque},
};

/// A KeyPackage (RFC 9420 section 10):
///
/// ```text
/// struct {
///     ProtocolVersion version;
///     CipherSuite cipher_suite;
///     HPKEPublicKey init_key;
///     LeafNode leaf_node;
///     Extension extensions<V>;
///     opaque signature<V>;
/// } KeyPackage;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPackage {
    cipher_suite: u16,
    init_key: Opaque,
    leaf_node: LeafNode,
    extensions: List<Extension>,
    signature: Opaque,
}

impl KeyPackage {
    const MLS_10: u16 = 1;

    /// Decodes exactly `bytes`.
    ///
    /// # Errors
    ///
    /// [`WireError::UnsupportedVersion`], [`WireError::Malformed`] or [`WireError::TrailingBytes`].
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(Structure::KeyPackage, bytes);
        let version: u16 = reader.field("version")?;
        if version != Self::MLS_10 {
            return Err(WireError::UnsupportedVersion(version));
        }
        let key_package = Self {
            cipher_suite: reader.field("cipher_suite")?,
            init_key: reader.field("init_key")?,
            leaf_node: reader.field("leaf_node")?,
            extensions: reader.field("extensions")?,
            signature: reader.field("signature")?,
        };
        reader.end()?;
        Ok(key_package)
    }

    /// The serialized structure, as it was decoded.
    pub fn encode(&self) -> Vec<u8> {
        let Self { cipher_suite, init_key, leaf_node, extensions, signature } = self;
        serialized!(Self::MLS_10, cipher_suite, init_key, leaf_node, extensions, signature)
    }

    /// What its signature is over: the serialized `SignContent` with the `KeyPackageTBS`, which is the structure
    /// without the signature.
    pub fn to_be_signed(&self) -> Vec<u8> {
        let Self { cipher_suite, init_key, leaf_node, extensions, .. } = self;
        let tbs = serialized!(Self::MLS_10, cipher_suite, init_key, leaf_node, extensions);
        let label = [b"MLS 1.0 ", SignContent::KEY_PACKAGE_TBS].concat();
        serialized!(VLByteSlice(&label), VLByteSlice(&tbs))
    }

    /// The code point of the cipher suite.
    pub fn cipher_suite(&self) -> u16 {
        self.cipher_suite
    }

    /// The public key that a Welcome is encrypted to.
    pub fn init_key(&self) -> &[u8] {
        self.init_key.as_slice()
    }

    /// The leaf that the member enters with.
    pub fn leaf_node(&self) -> &LeafNode {
        &self.leaf_node
    }

    /// The extensions, in their order.
    pub fn extensions(&self) -> &[Extension] {
        self.extensions.as_slice()
    }

    /// Whether it is one of the last resort: it has the extension of type `last_resort` (RFC 9420 section
    /// 16.8).
    pub fn is_last_resort(&self) -> bool {
        const LAST_RESORT: ExtensionType = ExtensionType(0x000a);
        self.extensions().iter().any(|extension| extension.extension_type() == LAST_RESORT)
    }

    /// The signature over `KeyPackageTBS`. It has not been verified.
    pub fn signature(&self) -> &[u8] {
        self.signature.as_slice()
    }
}
