//! Messages that travel in the clear.

use super::{
    Content, FramedContentTbs, WireError, WireFormat,
    encode::serialized,
    error::{Reader, Structure},
    vector::Opaque,
};

/// A commit that is framed as a `PublicMessage` (RFC 9420 section 6.2), as an `MLSMessage`:
///
/// ```text
/// struct {
///     ProtocolVersion version = mls10;
///     WireFormat wire_format = mls_public_message;
///     FramedContent content;
///     FramedContentAuthData auth;
///     select (PublicMessage.content.sender.sender_type) {
///         case member: MAC membership_tag;
///         default:     struct{};
///     };
/// } MLSMessage;
///
/// struct {
///     opaque signature<V>;
///     select (FramedContent.content_type) {
///         case commit: MAC confirmation_tag;
///         default:     struct{};
///     };
/// } FramedContentAuthData;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicCommit {
    content: FramedContentTbs,
    signature: Opaque,
    confirmation_tag: Opaque,
    membership_tag: Option<Opaque>,
}

impl PublicCommit {
    /// Decodes exactly `message`. Returns `None` if it is something else than a commit in the clear.
    ///
    /// # Errors
    ///
    /// [`WireError`] if it is one and is malformed.
    pub fn decode(message: &[u8]) -> Result<Option<Self>, WireError> {
        let content = match FramedContentTbs::decode(message) {
            Ok(content) if content.wire_format() == WireFormat::PUBLIC_MESSAGE => content,
            Ok(_) => return Ok(None),
            // A structure of another wire format need not decode as this one.
            Err(_) if !message.starts_with(&[0, 1, 0, 1]) => return Ok(None),
            Err(error) => return Err(error),
        };
        if let Content::NotCommit(_) = content.content() {
            return Ok(None);
        }
        let mut reader = Reader::new(Structure::PublicMessage, content.rest());
        let signature = reader.field("signature")?;
        let confirmation_tag = reader.field("confirmation_tag")?;
        let membership_tag = match content.sender() {
            super::Sender::Member(_) => Some(reader.field("membership_tag")?),
            _ => None,
        };
        reader.end()?;
        Ok(Some(Self { content, signature, confirmation_tag, membership_tag }))
    }

    /// The serialized `MLSMessage`, as it was decoded.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = self.content.encode_decoded();
        bytes.extend(serialized!(self.signature, self.confirmation_tag));
        bytes.extend(self.membership_tag.as_ref().map(|tag| serialized!(tag)).unwrap_or_default());
        bytes
    }

    /// What is signed, but for the group's context.
    pub fn content(&self) -> &FramedContentTbs {
        &self.content
    }

    /// The commit.
    pub fn commit(&self) -> Option<&super::Commit> {
        match self.content.content() {
            Content::Commit(commit) => Some(commit),
            Content::NotCommit(_) => None,
        }
    }

    /// The signature over `FramedContentTBS`. It has not been verified.
    pub fn signature(&self) -> &[u8] {
        self.signature.as_slice()
    }

    /// The confirmation tag. It has not been verified.
    pub fn confirmation_tag(&self) -> &[u8] {
        self.confirmation_tag.as_slice()
    }

    /// The membership tag of a member's message. It has not been verified.
    pub fn membership_tag(&self) -> Option<&[u8]> {
        self.membership_tag.as_ref().map(Opaque::as_slice)
    }
}
