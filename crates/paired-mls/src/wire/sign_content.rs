//! What an MLS signature covers.

use tls_codec::{TlsDeserializeBytes, TlsSerialize, TlsSize};

use super::{
    WireError,
    error::{Reader, Structure},
    vector::Opaque,
};

/// The bytes that a signer is given (RFC 9420 section 5.1.2):
///
/// ```text
/// struct {
///     opaque label<V>;      // "MLS 1.0 " + Label
///     opaque content<V>;
/// } SignContent;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserializeBytes)]
pub struct SignContent {
    label: Opaque,
    content: Opaque,
}

impl SignContent {
    /// The label of a [`FramedContentTbs`](super::FramedContentTbs) (RFC 9420 section 6.1).
    pub const FRAMED_CONTENT_TBS: &[u8] = b"FramedContentTBS";
    /// The label of a `LeafNodeTBS` (RFC 9420 section 7.2).
    pub const LEAF_NODE_TBS: &[u8] = b"LeafNodeTBS";
    /// The label of a `KeyPackageTBS` (RFC 9420 section 10).
    pub const KEY_PACKAGE_TBS: &[u8] = b"KeyPackageTBS";
    /// The label of a `GroupInfoTBS` (RFC 9420 section 12.4.3).
    pub const GROUP_INFO_TBS: &[u8] = b"GroupInfoTBS";

    const PREFIX: &[u8] = b"MLS 1.0 ";

    /// Decodes exactly `bytes`.
    ///
    /// # Errors
    ///
    /// [`WireError::Malformed`] or [`WireError::TrailingBytes`].
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(Structure::SignContent, bytes);
        let label = reader.field("label")?;
        let content = reader.field("content")?;
        reader.end()?;
        Ok(Self { label, content })
    }

    /// The label without the prefix `"MLS 1.0 "`: which structure is signed.
    ///
    /// # Errors
    ///
    /// [`WireError::ForeignLabel`] if the prefix is missing: not a signature of MLS 1.0.
    pub fn label(&self) -> Result<&[u8], WireError> {
        self.label.as_slice().strip_prefix(Self::PREFIX).ok_or(WireError::ForeignLabel)
    }

    /// The serialized structure that is signed.
    pub fn content(&self) -> &[u8] {
        self.content.as_slice()
    }
}
