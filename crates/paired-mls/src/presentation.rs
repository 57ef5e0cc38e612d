//! The presentation language (RFC 8446 section 3, RFC 9420 section 2.1.2), read and written in one way.
//!
//! Every value has exactly one encoding: a vector's length stands in its shortest form. No input panics,
//! whatever features of `tls_codec` the final build unites: its own byte vectors panic on truncated input
//! in debug builds, and it accepts a length that is not minimal unless a feature forbids it.

pub(crate) mod codec;

use tls_codec::{DeserializeBytes, Error, TlsVarInt};

/// The longest vector of RFC 9420, in bytes: 2³⁰ − 1.
pub(crate) const MAX_LEN: usize = (1 << 30) - 1;

/// Reads values, one after the other.
pub(crate) struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The next value. On an error the position stays before it.
    pub(crate) fn value<T: DeserializeBytes>(&mut self) -> Result<T, Error> {
        let (value, rest) = T::tls_deserialize_bytes(self.0)?;
        self.0 = rest;
        Ok(value)
    }

    /// The content of the next vector.
    pub(crate) fn vector(&mut self) -> Result<&'a [u8], Error> {
        let (content, rest) = split_vector(self.0)?;
        self.0 = rest;
        Ok(content)
    }

    /// What no value has consumed.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.0
    }
}

/// Splits `bytes` into the content of the vector that it begins with and what follows the vector.
pub(crate) fn split_vector(bytes: &[u8]) -> Result<(&[u8], &[u8]), Error> {
    // Lengths of eight bytes are none of RFC 9420, and a debug build of `tls_codec` panics on some.
    if bytes.first().is_some_and(|first| first >> 6 == 0b11) {
        return Err(Error::InvalidVectorLength);
    }
    let (length, rest) = TlsVarInt::tls_deserialize_bytes(bytes)?;
    let header = bytes.len() - rest.len();
    let length = usize::try_from(length.value()).map_err(|_| Error::InvalidVectorLength)?;
    let minimal_header = match length {
        0..0x40 => 1,
        0x40..0x4000 => 2,
        0x4000..=MAX_LEN => 4,
        _ => return Err(Error::InvalidVectorLength),
    };
    if header != minimal_header {
        return Err(Error::InvalidVectorLength);
    }
    rest.split_at_checked(length).ok_or(Error::EndOfStream)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vector_has_one_encoding() {
        assert_eq!(split_vector(&[2, 7, 8, 9]), Ok((&[7, 8][..], &[9][..])));
        let refused = |bytes: &[u8], error: Error| assert_eq!(split_vector(bytes), Err(error));
        // Two bytes for a length that fits one, four for one that fits two, and eight.
        refused(&[0x40, 2, 7, 8], Error::InvalidVectorLength);
        refused(&[0x80, 0, 0, 2, 7, 8], Error::InvalidVectorLength);
        refused(&[0xC0, 0, 0, 0, 0, 0, 0, 2, 7, 8], Error::InvalidVectorLength);
        refused(&[0xFF; 8], Error::InvalidVectorLength);
        refused(&[3, 7, 8], Error::EndOfStream);
        assert!(split_vector(&[]).is_err() && split_vector(&[0x80, 0]).is_err());
    }

    #[test]
    fn an_error_consumes_nothing() {
        let mut cursor = Cursor::new(&[0, 5, 9]);
        assert!(cursor.value::<u32>().is_err());
        assert_eq!(cursor.value::<u16>(), Ok(5));
        assert!(cursor.vector().is_err());
        assert_eq!(cursor.rest(), [9]);
    }
}
