//! Messages that travel encrypted.

use super::{
    ContentType, WireError, WireFormat,
    error::{Reader, Structure},
    vector::Opaque,
};

/// What is readable of a `PrivateMessage` (RFC 9420 section 6.3) in an `MLSMessage`:
///
/// ```text
/// struct {
///     ProtocolVersion version = mls10;
///     WireFormat wire_format = mls_private_message;
///     opaque group_id<V>;
///     uint64 epoch;
///     ContentType content_type;
///     …
/// } MLSMessage;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrivateHeader {
    group_id: Opaque,
    epoch: u64,
    content_type: ContentType,
}

impl PrivateHeader {
    const MLS_10: u16 = 1;

    /// Decodes the beginning of `message`. Returns `None` if it is of another wire format.
    ///
    /// # Errors
    ///
    /// [`WireError`] if it is cut short or of another version.
    pub fn decode(message: &[u8]) -> Result<Option<Self>, WireError> {
        let mut reader = Reader::new(Structure::PrivateMessage, message);
        let version: u16 = reader.field("version")?;
        if version != Self::MLS_10 {
            return Err(WireError::UnsupportedVersion(version));
        }
        let wire_format: WireFormat = reader.field("wire_format")?;
        if wire_format != WireFormat::PRIVATE_MESSAGE {
            return Ok(None);
        }
        Ok(Some(Self {
            group_id: reader.field("group_id")?,
            epoch: reader.field("epoch")?,
            content_type: reader.field("content_type")?,
        }))
    }

    /// The group.
    pub fn group_id(&self) -> &[u8] {
        self.group_id.as_slice()
    }

    /// The epoch in which the message is sent.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// What the message carries.
    pub fn content_type(&self) -> ContentType {
        self.content_type
    }
}
