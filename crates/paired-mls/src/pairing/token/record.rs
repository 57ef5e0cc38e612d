//! The stored form of a token.
//!
//! ```text
//! enum { holding(1), offering(2), following(3), (255) } TokenKind;
//!
//! struct {
//!     uint8     version = 1;
//!     TokenKind kind;
//!     uint16    own;
//!     opaque    init_pairing<V>;           // with an empty private key
//!     opaque    group_id<V>;
//!     uint64    counter;
//!     select (TokenRecord.kind) {
//!         case holding:   optional<opaque token_take<V>>;
//!         case offering:  opaque token_offer<V>;
//!         case following: uint16 holder;
//!     };
//! } TokenRecord;
//! ```
//!
//! Not secret; but whoever can turn it back makes two devices send at once.

use super::{Following, Holding, Offering, SharedLeaf, Token};
use crate::pairing::{
    codec::{DecodeError, Reader, Writer},
    messages::{Body, TokenOffer, TokenTake},
    state::{Agreement, StateRecordError},
};

/// A stored token that cannot be read or written.
pub type TokenRecordError = StateRecordError;

const VERSION: u8 = 1;
const HOLDING: u8 = 1;
const OFFERING: u8 = 2;
const FOLLOWING: u8 = 3;

impl Token {
    /// The bytes to store, before anything is sent.
    ///
    /// # Errors
    ///
    /// [`StateRecordError::TooLarge`] if a length exceeds the format's 2³⁰ − 1.
    pub fn to_record(&self) -> Result<Vec<u8>, TokenRecordError> {
        let (kind, leaf) = match self {
            Self::Holding(state) => (HOLDING, &state.leaf),
            Self::Offering(state) => (OFFERING, &state.leaf),
            Self::Following(state) => (FOLLOWING, &state.leaf),
        };
        let mut writer = Writer::new();
        writer.u8(VERSION);
        writer.u8(kind);
        leaf.agreement.write(&mut writer);
        writer.opaque(&leaf.group_id);
        writer.u64(leaf.counter);
        match self {
            Self::Holding(state) => writer.optional(state.taken.as_ref(), |writer, take| {
                writer.list([take], |writer, take| take.write(writer));
            }),
            Self::Offering(state) => {
                writer.list([&state.offer], |writer, offer| offer.write(writer));
            }
            Self::Following(state) => writer.device(state.holder),
        }
        Ok(writer.finish()?.expose().to_vec())
    }

    /// Reads back what [`Token::to_record`] gave.
    ///
    /// # Errors
    ///
    /// [`StateRecordError::Version`] for a format of the future, [`StateRecordError::Malformed`] for
    /// bytes that no token is stored as.
    pub fn from_record(record: &[u8]) -> Result<Self, TokenRecordError> {
        match record.first() {
            Some(&VERSION) => {}
            Some(&other) => return Err(StateRecordError::Version(other)),
            None => return Err(StateRecordError::Malformed),
        }
        let token = Reader::whole("TokenRecord", record, read)?;
        let canonical = token.to_record()? == record;
        canonical.then_some(token).ok_or(StateRecordError::Malformed)
    }
}

fn read(reader: &mut Reader<'_>) -> Result<Token, DecodeError> {
    reader.u8("version")?;
    let kind = reader.u8("kind")?;
    let leaf = SharedLeaf {
        agreement: Agreement::read(reader)?,
        group_id: reader.bytes("group_id")?,
        counter: reader.u64("counter")?,
    };
    Ok(match kind {
        HOLDING => {
            let taken = reader.optional("token_take", |reader| {
                let body = reader.opaque("token_take")?;
                Reader::whole(TokenTake::NAME, body, TokenTake::read)
            })?;
            Token::Holding(Holding { leaf, taken })
        }
        OFFERING => {
            let body = reader.opaque("token_offer")?;
            let offer = Reader::whole(TokenOffer::NAME, body, TokenOffer::read)?;
            Token::Offering(Offering { leaf, offer })
        }
        FOLLOWING => Token::Following(Following { leaf, holder: reader.device("holder")? }),
        _ => return Err(reader.malformed("kind", tls_codec::Error::InvalidInput)),
    })
}

impl From<Holding> for Token {
    fn from(state: Holding) -> Self {
        Self::Holding(state)
    }
}

impl From<Offering> for Token {
    fn from(state: Offering) -> Self {
        Self::Offering(state)
    }
}

impl From<Following> for Token {
    fn from(state: Following) -> Self {
        Self::Following(state)
    }
}
