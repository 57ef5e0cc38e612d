//! Messages that travel encrypted.

use tls_codec::{Serialize as _, TlsSerialize, TlsSize};

use super::{
    ContentType, WireError, WireFormat,
    error::{Reader, Structure},
    vector::Opaque,
};

/// The version of RFC 9420.
const MLS_10: u16 = 1;

/// A `PrivateMessage` (RFC 9420 section 6.3) in an `MLSMessage`:
///
/// ```text
/// struct {
///     ProtocolVersion version = mls10;
///     WireFormat wire_format = mls_private_message;
///     opaque group_id<V>;
///     uint64 epoch;
///     ContentType content_type;
///     opaque authenticated_data<V>;
///     opaque encrypted_sender_data<V>;
///     opaque ciphertext<V>;
/// } MLSMessage;
/// ```
///
/// What is encrypted stays so: this is the frame alone.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize)]
pub struct PrivateMessage {
    header: PrivateHeader,
    authenticated_data: Opaque,
    encrypted_sender_data: Opaque,
    ciphertext: Opaque,
}

/// What is readable of a `PrivateMessage`.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize)]
pub struct PrivateHeader {
    group_id: Opaque,
    epoch: u64,
    content_type: ContentType,
}

impl PrivateMessage {
    /// A message of content type `commit` and without authenticated data.
    pub fn commit(
        group_id: &[u8],
        epoch: u64,
        encrypted_sender_data: Vec<u8>,
        ciphertext: Vec<u8>,
    ) -> Self {
        let group_id = group_id.to_vec().into();
        Self {
            header: PrivateHeader { group_id, epoch, content_type: ContentType::COMMIT },
            authenticated_data: Vec::new().into(),
            encrypted_sender_data: encrypted_sender_data.into(),
            ciphertext: ciphertext.into(),
        }
    }

    /// Decodes exactly `message`. Returns `None` if it is of another wire format.
    ///
    /// # Errors
    ///
    /// [`WireError`] if it is malformed or of another version.
    pub fn decode(message: &[u8]) -> Result<Option<Self>, WireError> {
        let mut reader = Reader::new(Structure::PrivateMessage, message);
        match begins(&mut reader)? {
            Begins::Here => Self::read(reader.rest()).map(Some),
            Begins::Elsewhere => Ok(None),
        }
    }

    /// Decodes what follows the wire format.
    pub(super) fn read(content: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(Structure::PrivateMessage, content);
        let message = Self {
            header: PrivateHeader::read(&mut reader)?,
            authenticated_data: reader.field("authenticated_data")?,
            encrypted_sender_data: reader.field("encrypted_sender_data")?,
            ciphertext: reader.field("ciphertext")?,
        };
        reader.end()?;
        Ok(message)
    }

    /// The bytes of the `MLSMessage`; `None` if a field exceeds the 2³⁰ − 1 bytes of a vector.
    pub fn encode(&self) -> Option<Vec<u8>> {
        (MLS_10, WireFormat::PRIVATE_MESSAGE, self).tls_serialize_detached().ok()
    }

    /// What is readable of it.
    pub fn header(&self) -> &PrivateHeader {
        &self.header
    }

    pub(super) fn into_header(self) -> PrivateHeader {
        self.header
    }

    /// The data that the application wants authenticated.
    pub fn authenticated_data(&self) -> &[u8] {
        self.authenticated_data.as_slice()
    }

    /// Who sends, encrypted.
    pub fn encrypted_sender_data(&self) -> &[u8] {
        self.encrypted_sender_data.as_slice()
    }

    /// The content, encrypted.
    pub fn ciphertext(&self) -> &[u8] {
        self.ciphertext.as_slice()
    }
}

/// Whether a message is of this wire format.
enum Begins {
    Here,
    Elsewhere,
}

fn begins(reader: &mut Reader<'_>) -> Result<Begins, WireError> {
    let version: u16 = reader.field("version")?;
    if version != MLS_10 {
        return Err(WireError::UnsupportedVersion(version));
    }
    match reader.field::<WireFormat>("wire_format")? {
        WireFormat::PRIVATE_MESSAGE => Ok(Begins::Here),
        _ => Ok(Begins::Elsewhere),
    }
}

impl PrivateHeader {
    /// Decodes the beginning of `message`, an `MLSMessage`. Returns `None` if it is of another wire format.
    ///
    /// # Errors
    ///
    /// [`WireError`] if it is cut short or of another version.
    pub fn decode(message: &[u8]) -> Result<Option<Self>, WireError> {
        let mut reader = Reader::new(Structure::PrivateMessage, message);
        match begins(&mut reader)? {
            Begins::Here => Self::read(&mut reader).map(Some),
            Begins::Elsewhere => Ok(None),
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        Ok(Self {
            group_id: reader.field("group_id")?,
            epoch: reader.field("epoch")?,
            content_type: reader.field("content_type")?,
        })
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

    pub(super) fn into_group_id(self) -> Opaque {
        self.group_id
    }
}
