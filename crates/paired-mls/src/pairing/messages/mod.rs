//! The messages of the pairing protocol, one file each, and the envelope around them.
//!
//! ```text
//! enum {
//!     share_rand(1), init_pairing(2), accept(3), directory_accept(4),
//!     cease_pair(5), cease_ack(6), reserved(7), reserved(8), abandon(11), (255)
//! } PairingMessageType;
//!
//! struct {
//!     uint8              version = 2;
//!     PairingMessageType message_type;
//!     opaque             body<V>;          // the structure that message_type names
//! } PairingMessage;
//! ```
//!
//! A decoder refuses another version, whose format it cannot know, and keeps a message of unknown
//! type. Nothing in a decoded message has been authenticated: that is the work of the states.

mod abandon;
mod accept;
mod cease_ack;
mod cease_pair;
mod directory_accept;
mod init_pairing;
mod share_rand;

use std::fmt;

pub use self::{
    abandon::{Abandon, AbandonReason},
    accept::Accept,
    cease_ack::CeaseAck,
    cease_pair::CeasePair,
    directory_accept::DirectoryAccept,
    init_pairing::InitPairing,
    share_rand::ShareRand,
};
use super::codec::{DecodeError, Reader, TooLarge, Writer};
use crate::{
    PairingId, Secret,
    code_points::{PAIRING_VERSION, pairing_message},
};

/// A message of the pairing protocol.
#[derive(Debug)]
#[non_exhaustive]
pub enum PairingMessage {
    /// The seed of the tape.
    ShareRand(ShareRand),
    /// Who pairs, and how.
    InitPairing(InitPairing),
    /// A device confirms the pairing.
    Accept(Accept),
    /// The directory confirms that all devices asked for the same pairing.
    DirectoryAccept(DirectoryAccept),
    /// A device ends the pairing.
    CeasePair(CeasePair),
    /// A device confirms the end.
    CeaseAck(CeaseAck),
    /// A device gives up a pairing that has not come about.
    Abandon(Abandon),
    /// A message of a type that this software does not know: kept, never acted upon.
    Unknown {
        /// Its type.
        message_type: u8,
        /// Its body, which may be secret.
        body: Secret,
    },
}

/// The type of a pairing message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MessageType {
    /// [`ShareRand`]
    ShareRand,
    /// [`InitPairing`]
    InitPairing,
    /// [`Accept`]
    Accept,
    /// [`DirectoryAccept`]
    DirectoryAccept,
    /// [`CeasePair`]
    CeasePair,
    /// [`CeaseAck`]
    CeaseAck,
    /// [`Abandon`]
    Abandon,
    /// A type that this software does not know.
    Unknown(u8),
}

/// The structure inside the envelope.
pub(super) trait Body: Sized {
    const TYPE: MessageType;
    const NAME: &'static str;

    fn write(&self, writer: &mut Writer);
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError>;

    /// The body alone, without the envelope.
    fn body(&self) -> Result<Secret, TooLarge> {
        let mut writer = Writer::new();
        self.write(&mut writer);
        writer.finish()
    }

    /// The message: the body in its envelope.
    fn message(&self) -> Result<Secret, TooLarge> {
        seal_envelope(Self::TYPE, &self.body()?)
    }
}

fn seal_envelope(message_type: MessageType, body: &Secret) -> Result<Secret, TooLarge> {
    let mut writer = Writer::new();
    writer.u8(PAIRING_VERSION);
    writer.u8(message_type.code());
    writer.opaque(body.expose());
    writer.finish()
}

impl PairingMessage {
    /// The bytes to send.
    ///
    /// # Errors
    ///
    /// [`TooLarge`] if a field exceeds 2³⁰ − 1 bytes.
    ///
    /// # Security
    ///
    /// A [`ShareRand`] and the [`InitPairing`] of hidden mode hold secrets. They go over the 1-to-1
    /// channel, or into an offline file, and nowhere else.
    pub fn encode(&self) -> Result<Secret, TooLarge> {
        match self {
            Self::ShareRand(body) => body.message(),
            Self::InitPairing(body) => body.message(),
            Self::Accept(body) => body.message(),
            Self::DirectoryAccept(body) => body.message(),
            Self::CeasePair(body) => body.message(),
            Self::CeaseAck(body) => body.message(),
            Self::Abandon(body) => body.message(),
            Self::Unknown { message_type, body } => {
                seal_envelope(MessageType::Unknown(*message_type), body)
            }
        }
    }

    /// Reads a message.
    ///
    /// Returns the message, [`PairingMessage::Unknown`] for one of a later type.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Version`] for another version; the other ones for bytes that are no message,
    /// trailing bytes among them.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let (message_type, body) = Reader::whole("PairingMessage", bytes, |reader| {
            let version = reader.u8("version")?;
            if version != PAIRING_VERSION {
                return Err(DecodeError::Version(version));
            }
            Ok((MessageType::from_code(reader.u8("message_type")?), reader.opaque("body")?))
        })?;
        Ok(match message_type {
            MessageType::ShareRand => Self::ShareRand(read_body(body)?),
            MessageType::InitPairing => Self::InitPairing(read_body(body)?),
            MessageType::Accept => Self::Accept(read_body(body)?),
            MessageType::DirectoryAccept => Self::DirectoryAccept(read_body(body)?),
            MessageType::CeasePair => Self::CeasePair(read_body(body)?),
            MessageType::CeaseAck => Self::CeaseAck(read_body(body)?),
            MessageType::Abandon => Self::Abandon(read_body(body)?),
            MessageType::Unknown(message_type) => {
                Self::Unknown { message_type, body: Secret::copy_of(body) }
            }
        })
    }

    /// The message's type.
    pub fn message_type(&self) -> MessageType {
        match self {
            Self::ShareRand(_) => MessageType::ShareRand,
            Self::InitPairing(_) => MessageType::InitPairing,
            Self::Accept(_) => MessageType::Accept,
            Self::DirectoryAccept(_) => MessageType::DirectoryAccept,
            Self::CeasePair(_) => MessageType::CeasePair,
            Self::CeaseAck(_) => MessageType::CeaseAck,
            Self::Abandon(_) => MessageType::Abandon,
            Self::Unknown { message_type, .. } => MessageType::Unknown(*message_type),
        }
    }

    /// The pairing that the message says it belongs to; `None` for a message of unknown type.
    pub fn pairing_id(&self) -> Option<PairingId> {
        Some(match self {
            Self::ShareRand(message) => message.pairing_id,
            Self::InitPairing(message) => message.pairing_id,
            Self::Accept(message) => message.pairing_id,
            Self::DirectoryAccept(message) => message.pairing_id,
            Self::CeasePair(message) => message.pairing_id,
            Self::CeaseAck(message) => message.pairing_id,
            Self::Abandon(message) => message.pairing_id,
            Self::Unknown { .. } => return None,
        })
    }
}

fn read_body<B: Body>(body: &[u8]) -> Result<B, DecodeError> {
    Reader::whole(B::NAME, body, B::read)
}

impl MessageType {
    fn code(self) -> u8 {
        match self {
            Self::ShareRand => pairing_message::SHARE_RAND,
            Self::InitPairing => pairing_message::INIT_PAIRING,
            Self::Accept => pairing_message::ACCEPT,
            Self::DirectoryAccept => pairing_message::DIRECTORY_ACCEPT,
            Self::CeasePair => pairing_message::CEASE_PAIR,
            Self::CeaseAck => pairing_message::CEASE_ACK,
            Self::Abandon => pairing_message::ABANDON,
            Self::Unknown(code) => code,
        }
    }

    fn from_code(code: u8) -> Self {
        match code {
            pairing_message::SHARE_RAND => Self::ShareRand,
            pairing_message::INIT_PAIRING => Self::InitPairing,
            pairing_message::ACCEPT => Self::Accept,
            pairing_message::DIRECTORY_ACCEPT => Self::DirectoryAccept,
            pairing_message::CEASE_PAIR => Self::CeasePair,
            pairing_message::CEASE_ACK => Self::CeaseAck,
            pairing_message::ABANDON => Self::Abandon,
            unknown => Self::Unknown(unknown),
        }
    }
}

impl fmt::Display for MessageType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ShareRand => f.write_str(ShareRand::NAME),
            Self::InitPairing => f.write_str(InitPairing::NAME),
            Self::Accept => f.write_str(Accept::NAME),
            Self::DirectoryAccept => f.write_str(DirectoryAccept::NAME),
            Self::CeasePair => f.write_str(CeasePair::NAME),
            Self::CeaseAck => f.write_str(CeaseAck::NAME),
            Self::Abandon => f.write_str(Abandon::NAME),
            Self::Unknown(code) => write!(f, "a message of unknown type {code}"),
        }
    }
}
