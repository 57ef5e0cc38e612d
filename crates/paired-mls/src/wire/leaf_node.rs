//! Leaf nodes.

use tls_codec::{Serialize as _, TlsDeserializeBytes, TlsSerialize, TlsSize};

use super::{
    WireError,
    error::{Reader, Structure},
    vector::{List, Opaque},
};

/// A leaf of the ratchet tree (RFC 9420 section 7.2):
///
/// ```text
/// struct {
///     HPKEPublicKey encryption_key;
///     SignaturePublicKey signature_key;
///     Credential credential;
///     Capabilities capabilities;
///
///     LeafNodeSource leaf_node_source;
///     select (LeafNode.leaf_node_source) {
///         case key_package: Lifetime lifetime;
///         case update:      struct{};
///         case commit:      opaque parent_hash<V>;
///     };
///
///     Extension extensions<V>;
///     opaque signature<V>;
/// } LeafNode;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct LeafNode {
    encryption_key: Opaque,
    signature_key: Opaque,
    credential: Credential,
    capabilities: Capabilities,
    source: Source,
    extensions: List<Extension>,
    signature: Opaque,
}

impl LeafNode {
    /// Decodes exactly `bytes`.
    ///
    /// # Errors
    ///
    /// [`WireError::Malformed`], also for a `leaf_node_source` that RFC 9420 does not define, since
    /// what follows it is then unknown, or [`WireError::TrailingBytes`].
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(Structure::LeafNode, bytes);
        let leaf_node = Self {
            encryption_key: reader.field("encryption_key")?,
            signature_key: reader.field("signature_key")?,
            credential: reader.field("credential")?,
            capabilities: reader.field("capabilities")?,
            source: reader.field("leaf_node_source")?,
            extensions: reader.field("extensions")?,
            signature: reader.field("signature")?,
        };
        reader.end()?;
        Ok(leaf_node)
    }

    /// The serialized structure, as it was decoded.
    pub fn encode(&self) -> Vec<u8> {
        // Each vector was decoded from a length that fits.
        self.tls_serialize_detached().unwrap_or_default()
    }

    /// The leaf's public key.
    pub fn encryption_key(&self) -> &[u8] {
        self.encryption_key.as_slice()
    }

    /// The content of the field `signature_key`: one public key, or several in the standard mode of
    /// a leaf anchor.
    pub fn signature_key(&self) -> &[u8] {
        self.signature_key.as_slice()
    }

    /// Who the member says it is.
    pub fn credential(&self) -> &Credential {
        &self.credential
    }

    /// What the member supports.
    pub fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// How this leaf came into the tree.
    pub fn source(&self) -> LeafNodeSource<'_> {
        match &self.source {
            Source::KeyPackage(lifetime) => LeafNodeSource::KeyPackage(lifetime),
            Source::Update => LeafNodeSource::Update,
            Source::Commit(parent_hash) => LeafNodeSource::Commit(parent_hash.as_slice()),
        }
    }

    /// The extensions, in their order, those of unknown types included.
    pub fn extensions(&self) -> &[Extension] {
        self.extensions.as_slice()
    }

    /// The data of the extension of this type, or `None` if the leaf has none.
    pub fn extension(&self, extension_type: ExtensionType) -> Option<&[u8]> {
        self.extensions()
            .iter()
            .find(|extension| extension.extension_type == extension_type)
            .map(Extension::data)
    }

    /// The signature over `LeafNodeTBS`. It has not been verified.
    pub fn signature(&self) -> &[u8] {
        self.signature.as_slice()
    }
}

/// How a leaf came into the tree (RFC 9420 section 7.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeafNodeSource<'a> {
    /// By a KeyPackage, which is valid for this time.
    KeyPackage(&'a Lifetime),
    /// By an Update proposal.
    Update,
    /// By a commit, with this `parent_hash` (RFC 9420 section 7.9), which is empty for the only
    /// member of a group.
    Commit(&'a [u8]),
}

#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
#[repr(u8)]
enum Source {
    #[tls_codec(discriminant = 1)]
    KeyPackage(Lifetime),
    #[tls_codec(discriminant = 2)]
    Update,
    #[tls_codec(discriminant = 3)]
    Commit(Opaque),
}

/// When a KeyPackage is valid, in seconds since 1970-01-01T00:00:00Z (RFC 9420 section 7.2).
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct Lifetime {
    not_before: u64,
    not_after: u64,
}

impl Lifetime {
    /// The first second.
    pub fn not_before(&self) -> u64 {
        self.not_before
    }

    /// The last second.
    pub fn not_after(&self) -> u64 {
        self.not_after
    }
}

/// The type of a credential (RFC 9420 section 17.5), known or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct CredentialType(
    /// The code point.
    pub u16,
);

impl CredentialType {
    /// An identity that the application knows how to verify.
    pub const BASIC: Self = Self(1);
    /// A chain of X.509 certificates.
    pub const X509: Self = Self(2);
}

/// A credential (RFC 9420 section 5.3):
///
/// ```text
/// struct {
///     CredentialType credential_type;
///     select (Credential.credential_type) {
///         case basic: opaque identity<V>;
///         case x509:  Certificate certificates<V>;
///     };
/// } Credential;
/// ```
///
/// A credential of an unknown type is taken to be one vector too, as the MLS libraries do: RFC 9420
/// gives no other way to find its end.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct Credential {
    credential_type: CredentialType,
    content: Opaque,
}

impl Credential {
    /// A credential of this type, with this content of the vector that follows the type.
    pub fn new(credential_type: CredentialType, content: Vec<u8>) -> Self {
        Self { credential_type, content: content.into() }
    }

    /// A basic credential.
    pub fn basic(identity: impl Into<Vec<u8>>) -> Self {
        Self::new(CredentialType::BASIC, identity.into())
    }

    /// The type, which may be unknown.
    pub fn credential_type(&self) -> CredentialType {
        self.credential_type
    }

    /// The content of the vector that follows the type, as it is on the wire.
    pub fn content(&self) -> &[u8] {
        self.content.as_slice()
    }

    /// The identity of a basic credential, or `None` for every other type.
    pub fn identity(&self) -> Option<&[u8]> {
        (self.credential_type == CredentialType::BASIC).then(|| self.content())
    }
}

/// What a member supports (RFC 9420 section 7.2). Each accessor returns code points, known or not, in
/// the order of the wire.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct Capabilities {
    versions: List<u16>,
    cipher_suites: List<u16>,
    extensions: List<u16>,
    proposals: List<u16>,
    credentials: List<u16>,
}

impl Capabilities {
    /// The protocol versions.
    pub fn versions(&self) -> &[u16] {
        self.versions.as_slice()
    }

    /// The cipher suites.
    pub fn cipher_suites(&self) -> &[u16] {
        self.cipher_suites.as_slice()
    }

    /// The extension types beyond the default ones.
    pub fn extensions(&self) -> &[u16] {
        self.extensions.as_slice()
    }

    /// The same with this extension type, at the end of the list if it is new there: a leaf lists the
    /// types of its own extensions (RFC 9420 section 7.2).
    #[must_use]
    pub fn with_extension(&self, extension_type: ExtensionType) -> Self {
        let mut listed = self.extensions().to_vec();
        if !listed.contains(&extension_type.0) {
            listed.push(extension_type.0);
        }
        Self { extensions: listed.into(), ..self.clone() }
    }

    /// The same without this extension type.
    #[must_use]
    pub fn without_extension(&self, extension_type: ExtensionType) -> Self {
        let listed = self.extensions().iter().copied();
        let others: Vec<_> = listed.filter(|listed| *listed != extension_type.0).collect();
        Self { extensions: others.into(), ..self.clone() }
    }

    /// The proposal types beyond the default ones.
    pub fn proposals(&self) -> &[u16] {
        self.proposals.as_slice()
    }

    /// The credential types.
    pub fn credentials(&self) -> &[u16] {
        self.credentials.as_slice()
    }
}

/// The type of an extension (RFC 9420 section 17.3), known or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct ExtensionType(
    /// The code point.
    pub u16,
);

/// An extension (RFC 9420 section 13):
///
/// ```text
/// struct {
///     ExtensionType extension_type;
///     opaque extension_data<V>;
/// } Extension;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct Extension {
    extension_type: ExtensionType,
    extension_data: Opaque,
}

impl Extension {
    /// The type, which may be unknown.
    pub fn extension_type(&self) -> ExtensionType {
        self.extension_type
    }

    /// The data, whose format the type defines.
    pub fn data(&self) -> &[u8] {
        self.extension_data.as_slice()
    }
}
