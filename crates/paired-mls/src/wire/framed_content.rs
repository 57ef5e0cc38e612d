//! What the signature of a message covers.

use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};

use super::{
    UpdatePath, WireError,
    encode::serialized,
    error::{Reader, Structure},
    vector::Opaque,
};

/// A message as its sender signs it (RFC 9420 section 6.1):
///
/// ```text
/// struct {
///     ProtocolVersion version = mls10;
///     WireFormat wire_format;
///     FramedContent content;
///     select (FramedContentTBS.content.sender.sender_type) {
///         case member:
///         case new_member_commit:
///             GroupContext context;
///         case external:
///         case new_member_proposal:
///             struct{};
///     };
/// } FramedContentTBS;
///
/// struct {
///     opaque group_id<V>;
///     uint64 epoch;
///     Sender sender;
///     opaque authenticated_data<V>;
///
///     ContentType content_type;
///     select (FramedContent.content_type) {
///         case application: opaque application_data<V>;
///         case proposal:    Proposal proposal;
///         case commit:      Commit commit;
///     };
/// } FramedContent;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FramedContentTbs {
    wire_format: WireFormat,
    group_id: Opaque,
    epoch: u64,
    sender: Sender,
    authenticated_data: Opaque,
    content: Content,
    rest: Vec<u8>,
}

impl FramedContentTbs {
    const MLS_10: u16 = 1;

    /// Decodes `bytes` up to the end of the commit, or up to the content type if it is none. Whatever
    /// follows is kept as it is: see [`Self::rest`].
    ///
    /// # Errors
    ///
    /// [`WireError::UnsupportedVersion`] if the version is not `mls10`. [`WireError::Malformed`] if a
    /// field does not decode, also for a type of sender that RFC 9420 does not define, since what
    /// follows it is then unknown.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(Structure::FramedContentTbs, bytes);
        let version: u16 = reader.field("version")?;
        if version != Self::MLS_10 {
            return Err(WireError::UnsupportedVersion(version));
        }
        let wire_format = reader.field("wire_format")?;
        let group_id = reader.field("group_id")?;
        let epoch = reader.field("epoch")?;
        let sender = reader.field("sender")?;
        let authenticated_data = reader.field("authenticated_data")?;
        let content = match reader.field("content_type")? {
            ContentType::COMMIT => Content::Commit(Box::new(Commit {
                proposals: reader.field("proposals")?,
                path: reader.field("path")?,
            })),
            other => Content::NotCommit(other),
        };
        let rest = reader.rest().to_vec();
        Ok(Self { wire_format, group_id, epoch, sender, authenticated_data, content, rest })
    }

    /// The serialized structure, as it was decoded.
    pub fn encode(&self) -> Vec<u8> {
        [self.encode_decoded(), self.rest.clone()].concat()
    }

    /// What was decoded, without the rest.
    pub(super) fn encode_decoded(&self) -> Vec<u8> {
        let Self { wire_format, group_id, epoch, sender, authenticated_data, content, .. } = self;
        let mut bytes =
            serialized!(Self::MLS_10, wire_format, group_id, epoch, sender, authenticated_data);
        bytes.extend(serialized!(self.content_type()));
        if let Content::Commit(commit) = content {
            bytes.extend(serialized!(commit.proposals, commit.path));
        }
        bytes
    }

    /// How the message travels.
    pub fn wire_format(&self) -> WireFormat {
        self.wire_format
    }

    /// The group.
    pub fn group_id(&self) -> &[u8] {
        self.group_id.as_slice()
    }

    /// The epoch in which the message is sent; a commit starts the next one.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Who sends.
    pub fn sender(&self) -> Sender {
        self.sender
    }

    /// The data that the application wants authenticated.
    pub fn authenticated_data(&self) -> &[u8] {
        self.authenticated_data.as_slice()
    }

    /// The content: a commit, or not.
    pub fn content(&self) -> &Content {
        &self.content
    }

    /// The content type.
    pub fn content_type(&self) -> ContentType {
        match &self.content {
            Content::Commit(_) => ContentType::COMMIT,
            Content::NotCommit(content_type) => *content_type,
        }
    }

    /// The bytes that were not decoded. After a commit they are the `GroupContext` of the epoch in
    /// which it is sent; after any other content type they begin with the content itself.
    pub fn rest(&self) -> &[u8] {
        &self.rest
    }
}

/// How a message travels (RFC 9420 section 17.2), known or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct WireFormat(
    /// The code point.
    pub u16,
);

impl WireFormat {
    /// Signed, not encrypted.
    pub const PUBLIC_MESSAGE: Self = Self(1);
    /// Signed and encrypted.
    pub const PRIVATE_MESSAGE: Self = Self(2);
    /// An invitation to a group.
    pub const WELCOME: Self = Self(3);
    /// What an external commit needs.
    pub const GROUP_INFO: Self = Self(4);
    /// A KeyPackage.
    pub const KEY_PACKAGE: Self = Self(5);
}

/// What a message carries (RFC 9420 section 6), known or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct ContentType(
    /// The code point.
    pub u8,
);

impl ContentType {
    /// An application message.
    pub const APPLICATION: Self = Self(1);
    /// One proposal.
    pub const PROPOSAL: Self = Self(2);
    /// A commit.
    pub const COMMIT: Self = Self(3);
}

/// The sender of a message (RFC 9420 section 6). Indices are raw: they need not be in the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
#[repr(u8)]
pub enum Sender {
    /// The member at this leaf.
    #[tls_codec(discriminant = 1)]
    Member(u32),
    /// The external sender at this position of the extension `external_senders`.
    #[tls_codec(discriminant = 2)]
    External(u32),
    /// Someone who proposes to be added.
    #[tls_codec(discriminant = 3)]
    NewMemberProposal,
    /// Someone who joins by an external commit.
    #[tls_codec(discriminant = 4)]
    NewMemberCommit,
}

/// What is inside a [`FramedContentTbs`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// A commit.
    Commit(Box<Commit>),
    /// Something else, of this type; its bytes are at the beginning of [`FramedContentTbs::rest`].
    NotCommit(ContentType),
}

/// A commit (RFC 9420 section 12.4):
///
/// ```text
/// struct {
///     ProposalOrRef proposals<V>;
///     optional<UpdatePath> path;
/// } Commit;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    proposals: Opaque,
    path: Option<UpdatePath>,
}

impl Commit {
    /// The content of the vector `proposals`, without its length, not decoded.
    pub fn proposals(&self) -> &[u8] {
        self.proposals.as_slice()
    }

    /// The path, or `None` in a commit without one, which heals nobody.
    pub fn path(&self) -> Option<&UpdatePath> {
        self.path.as_ref()
    }
}
