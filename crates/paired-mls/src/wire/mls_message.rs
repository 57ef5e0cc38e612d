//! What a delivery service reads of any message.

use super::{
    ContentType, KeyPackage, PrivateMessage, PublicCommit, Sender, WireError, WireFormat,
    error::{Reader, Structure},
    vector::Opaque,
};

/// What is readable, without any key, of an `MLSMessage` (RFC 9420 section 6):
///
/// ```text
/// struct {
///     ProtocolVersion version = mls10;
///     WireFormat wire_format;
///     select (MLSMessage.wire_format) {
///         case mls_public_message:  PublicMessage public_message;
///         case mls_private_message: PrivateMessage private_message;
///         case mls_welcome:         Welcome welcome;
///         case mls_group_info:      GroupInfo group_info;
///         case mls_key_package:     KeyPackage key_package;
///     };
/// } MLSMessage;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MlsMessage {
    /// A message to a group, encrypted or not.
    Framed(FramedHeader),
    /// An invitation. It names no group.
    Welcome,
    /// What someone needs to join by an external commit.
    GroupInfo(GroupInfoHeader),
    /// A KeyPackage.
    KeyPackage(Box<KeyPackage>),
    /// Something of a wire format that RFC 9420 does not define.
    Unknown(WireFormat),
}

/// The header of a `PublicMessage` or `PrivateMessage`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FramedHeader {
    group_id: Opaque,
    epoch: u64,
    sender: Option<Sender>,
    content_type: ContentType,
}

/// The beginning of a `GroupInfo` (RFC 9420 section 12.4.3):
///
/// ```text
/// struct {
///     ProtocolVersion version = mls10;
///     CipherSuite cipher_suite;
///     opaque group_id<V>;
///     uint64 epoch;
///     …
/// } GroupContext;
///
/// struct {
///     GroupContext group_context;
///     …
/// } GroupInfo;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupInfoHeader {
    group_id: Opaque,
    epoch: u64,
}

impl MlsMessage {
    const MLS_10: u16 = 1;

    /// Decodes `message`. Of a `PublicMessage` that is no commit, of a Welcome and of a GroupInfo, what
    /// follows the header is not looked at; everything else has to be complete and without trailing
    /// bytes.
    ///
    /// # Errors
    ///
    /// [`WireError`] if it is malformed or of another version.
    pub fn decode(message: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(Structure::MlsMessage, message);
        let version: u16 = reader.field("version")?;
        if version != Self::MLS_10 {
            return Err(WireError::UnsupportedVersion(version));
        }
        let wire_format: WireFormat = reader.field("wire_format")?;
        let rest = reader.rest();
        match wire_format {
            WireFormat::PUBLIC_MESSAGE => FramedHeader::public(message, rest).map(Self::Framed),
            WireFormat::PRIVATE_MESSAGE => FramedHeader::private(rest).map(Self::Framed),
            WireFormat::WELCOME => Ok(Self::Welcome),
            WireFormat::GROUP_INFO => GroupInfoHeader::read(rest).map(Self::GroupInfo),
            WireFormat::KEY_PACKAGE => KeyPackage::decode(rest).map(Box::new).map(Self::KeyPackage),
            other => Ok(Self::Unknown(other)),
        }
    }
}

impl FramedHeader {
    fn public(message: &[u8], content: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(Structure::PublicMessage, content);
        let group_id = reader.field("group_id")?;
        let epoch = reader.field("epoch")?;
        let sender = Some(reader.field("sender")?);
        let _: Opaque = reader.field("authenticated_data")?;
        let content_type = reader.field("content_type")?;
        if content_type == ContentType::COMMIT {
            PublicCommit::decode(message)?;
        }
        Ok(Self { group_id, epoch, sender, content_type })
    }

    fn private(content: &[u8]) -> Result<Self, WireError> {
        let header = PrivateMessage::read(content)?.into_header();
        let (epoch, content_type) = (header.epoch(), header.content_type());
        Ok(Self { group_id: header.into_group_id(), epoch, sender: None, content_type })
    }

    /// The group.
    pub fn group_id(&self) -> &[u8] {
        self.group_id.as_slice()
    }

    /// The epoch in which the message is sent; a commit starts the next one.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Who sends, or `None` if that is encrypted.
    pub fn sender(&self) -> Option<Sender> {
        self.sender
    }

    /// What the message carries.
    pub fn content_type(&self) -> ContentType {
        self.content_type
    }
}

impl GroupInfoHeader {
    fn read(content: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(Structure::GroupInfo, content);
        let version: u16 = reader.field("version")?;
        if version != MlsMessage::MLS_10 {
            return Err(WireError::UnsupportedVersion(version));
        }
        let _: u16 = reader.field("cipher_suite")?;
        Ok(Self { group_id: reader.field("group_id")?, epoch: reader.field("epoch")? })
    }

    /// The group.
    pub fn group_id(&self) -> &[u8] {
        self.group_id.as_slice()
    }

    /// The epoch that it describes.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn private(epoch: u8) -> Vec<u8> {
        let mut message = vec![0, 1, 0, 2, 2, b'g', b'r'];
        message.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, epoch]);
        message.extend_from_slice(&[1, 0, 1, 9, 2, 8, 8]);
        message
    }

    #[test]
    fn a_private_message_shows_its_header_and_has_no_trailing_bytes() {
        let MlsMessage::Framed(header) = MlsMessage::decode(&private(7)).unwrap() else {
            panic!("another kind of message");
        };
        assert_eq!((header.group_id(), header.epoch()), (b"gr".as_slice(), 7));
        assert_eq!((header.content_type(), header.sender()), (ContentType::APPLICATION, None));

        let mut trailing = private(7);
        trailing.push(0);
        let refused = MlsMessage::decode(&trailing);
        assert_eq!(refused, Err(WireError::TrailingBytes(Structure::PrivateMessage)));
    }

    #[test]
    fn no_prefix_panics_or_decodes() {
        let message = private(7);
        for len in 0..message.len() {
            assert!(MlsMessage::decode(&message[..len]).is_err(), "{len} bytes");
        }
    }

    #[test]
    fn a_group_info_shows_its_group_and_epoch() {
        let mut message = vec![0, 1, 0, 4, 0, 1, 0, 1, 2, b'g', b'r'];
        message.extend_from_slice(&5_u64.to_be_bytes());
        let MlsMessage::GroupInfo(header) = MlsMessage::decode(&message).unwrap() else {
            panic!("another kind of message");
        };
        assert_eq!((header.group_id(), header.epoch()), (b"gr".as_slice(), 5));
    }

    #[test]
    fn other_wire_formats_are_named_and_other_versions_refused() {
        assert_eq!(MlsMessage::decode(&[0, 1, 0, 3]), Ok(MlsMessage::Welcome));
        let unknown = MlsMessage::decode(&[0, 1, 0xF0, 1]);
        assert_eq!(unknown, Ok(MlsMessage::Unknown(WireFormat(0xF001))));
        assert_eq!(MlsMessage::decode(&[0, 2, 0, 3]), Err(WireError::UnsupportedVersion(2)));
    }
}
