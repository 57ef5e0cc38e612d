//! The path of a commit: new public keys, and the path secrets encrypted to the others.

use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};

use super::{
    LeafNode, WireError,
    encode::serialized,
    error::{Reader, Structure},
    vector::{List, Opaque},
};

/// The path of a commit (RFC 9420 section 7.6):
///
/// ```text
/// struct {
///     LeafNode leaf_node;
///     UpdatePathNode nodes<V>;
/// } UpdatePath;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct UpdatePath {
    leaf_node: LeafNode,
    nodes: List<UpdatePathNode>,
}

impl UpdatePath {
    /// Decodes exactly `bytes`.
    ///
    /// # Errors
    ///
    /// [`WireError::Malformed`] or [`WireError::TrailingBytes`].
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(Structure::UpdatePath, bytes);
        let leaf_node = reader.field("leaf_node")?;
        let nodes = reader.field("nodes")?;
        reader.end()?;
        Ok(Self { leaf_node, nodes })
    }

    /// The serialized structure, as it was decoded.
    pub fn encode(&self) -> Vec<u8> {
        serialized!(self)
    }

    /// The committer's new leaf.
    pub fn leaf_node(&self) -> &LeafNode {
        &self.leaf_node
    }

    /// One entry for each node of the committer's filtered direct path, from the leaf to the root.
    pub fn nodes(&self) -> &[UpdatePathNode] {
        self.nodes.as_slice()
    }
}

/// One level of a path (RFC 9420 section 7.6):
///
/// ```text
/// struct {
///     HPKEPublicKey encryption_key;
///     HPKECiphertext encrypted_path_secret<V>;
/// } UpdatePathNode;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct UpdatePathNode {
    encryption_key: Opaque,
    encrypted_path_secret: List<HpkeCiphertext>,
}

impl UpdatePathNode {
    /// The node's new public key.
    pub fn encryption_key(&self) -> &[u8] {
        self.encryption_key.as_slice()
    }

    /// The path secret, encrypted once for each node of the resolution of the copath child, without
    /// the leaves that the commit itself adds, in the order of the resolution.
    pub fn encrypted_path_secret(&self) -> &[HpkeCiphertext] {
        self.encrypted_path_secret.as_slice()
    }
}

/// One encrypted path secret, or a Notify in its place (RFC 9420 section 7.6):
///
/// ```text
/// struct {
///     opaque kem_output<V>;
///     opaque ciphertext<V>;
/// } HPKECiphertext;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct HpkeCiphertext {
    kem_output: Opaque,
    ciphertext: Opaque,
}

impl HpkeCiphertext {
    /// The output of the KEM.
    pub fn kem_output(&self) -> &[u8] {
        self.kem_output.as_slice()
    }

    /// The ciphertext with its authentication tag.
    pub fn ciphertext(&self) -> &[u8] {
        self.ciphertext.as_slice()
    }
}
