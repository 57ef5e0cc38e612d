//! The roll-back counter in a token.

use cryptoki::{
    object::{Attribute, AttributeType, ObjectClass, ObjectHandle},
    session::Session,
};

use super::{Token, TokenError, attributes, destroy, find};
use crate::counter::{CounterError, MonotonicCounter};

const APPLICATION: &[u8] = b"paired-mls counter";

/// A counter in a data object of a token.
///
/// A new value is a new object; the old one is destroyed after it. The highest value counts, so a
/// crash between the two lowers nothing.
///
/// # Security
///
/// A thief of the disk cannot set it back. Who has the token *and* its PIN can. A token in software
/// keeps its objects on the disk, and protects nothing there.
#[derive(Debug)]
pub struct TokenCounter {
    token: Token,
    label: String,
}

impl TokenCounter {
    /// Makes a counter that stands at zero.
    ///
    /// # Errors
    ///
    /// [`CounterError::Exists`] if the token has one of this label, [`CounterError::Device`].
    pub fn create(token: &Token, label: &str) -> Result<Self, CounterError> {
        let counter = Self { token: token.clone(), label: label.to_owned() };
        {
            let session = token.session();
            if !counter.objects(&session)?.is_empty() {
                return Err(CounterError::Exists { name: counter.label });
            }
            counter.add(&session, 0)?;
        }
        Ok(counter)
    }

    /// Opens a counter. A missing one is an error: it would count as zero, and detect nothing.
    ///
    /// # Errors
    ///
    /// [`CounterError::Missing`], [`CounterError::Damaged`], [`CounterError::Device`].
    pub fn open(token: &Token, label: &str) -> Result<Self, CounterError> {
        let counter = Self { token: token.clone(), label: label.to_owned() };
        counter.read()?;
        Ok(counter)
    }

    fn objects(&self, session: &Session) -> Result<Vec<ObjectHandle>, TokenError> {
        find(session, &self.template())
    }

    fn template(&self) -> [Attribute; 4] {
        [
            Attribute::Class(ObjectClass::DATA),
            Attribute::Token(true),
            Attribute::Application(APPLICATION.to_vec()),
            Attribute::Label(self.label.as_bytes().to_vec()),
        ]
    }

    /// All values, with their objects. There is at least one.
    fn values(&self, session: &Session) -> Result<Vec<(u64, ObjectHandle)>, CounterError> {
        let damaged = || CounterError::Damaged { name: self.label.clone() };
        let mut values = Vec::new();
        for object in self.objects(session)? {
            let found = attributes(session, object, &[AttributeType::Value])?;
            let Some(Attribute::Value(bytes)) = found.first() else {
                return Err(damaged());
            };
            let bytes = bytes.as_slice().try_into().map_err(|_| damaged())?;
            values.push((u64::from_be_bytes(bytes), object));
        }
        if values.is_empty() {
            return Err(CounterError::Missing { name: self.label.clone() });
        }
        Ok(values)
    }

    fn add(&self, session: &Session, value: u64) -> Result<(), TokenError> {
        let mut template = self.template().to_vec();
        template.push(Attribute::Private(true));
        template.push(Attribute::Modifiable(false));
        template.push(Attribute::Value(value.to_be_bytes().to_vec()));
        let created = session.create_object(&template);
        created.map(drop).map_err(TokenError::refused("store a data object"))
    }
}

impl MonotonicCounter for TokenCounter {
    fn read(&self) -> Result<u64, CounterError> {
        let values = self.values(&self.token.session())?;
        Ok(values.into_iter().map(|(value, _)| value).max().unwrap_or_default())
    }

    fn advance_to(&self, value: u64) -> Result<(), CounterError> {
        let session = self.token.session();
        let values = self.values(&session)?;
        if values.iter().all(|(found, _)| *found < value) {
            self.add(&session, value)?;
        }
        let highest = values.iter().map(|(found, _)| *found).fold(value, u64::max);
        for (_, object) in values.into_iter().filter(|(found, _)| *found < highest) {
            destroy(&session, object)?;
        }
        Ok(())
    }
}

impl From<TokenError> for CounterError {
    fn from(error: TokenError) -> Self {
        Self::Device(Box::new(error))
    }
}
