//! Variable-size vectors (RFC 9420 section 2.1.2).
//!
//! `tls_codec` has such vectors, but its byte vectors panic on truncated input in debug builds, and
//! it accepts a length that is not minimally encoded unless a feature forbids it. These two do
//! neither, whatever features the final build unites.

use std::{fmt::Debug, io::Write};

use tls_codec::{DeserializeBytes, Error, Serialize, Size, TlsVarInt, VLByteSlice};

/// The longest vector of RFC 9420, in bytes: 2³⁰ − 1.
const MAX_LEN: usize = (1 << 30) - 1;

/// `opaque bytes<V>`
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Opaque(Vec<u8>);

impl Opaque {
    pub(super) fn as_slice(&self) -> &[u8] {
        &self.0
    }
}

impl From<Vec<u8>> for Opaque {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl Size for Opaque {
    fn tls_serialized_len(&self) -> usize {
        VLByteSlice(&self.0).tls_serialized_len()
    }
}

impl Serialize for Opaque {
    fn tls_serialize<W: Write>(&self, writer: &mut W) -> Result<usize, Error> {
        VLByteSlice(&self.0).tls_serialize(writer)
    }
}

impl DeserializeBytes for Opaque {
    fn tls_deserialize_bytes(bytes: &[u8]) -> Result<(Self, &[u8]), Error> {
        let (content, rest) = split_vector(bytes)?;
        Ok((Self(content.to_vec()), rest))
    }
}

/// `T elements<V>`
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct List<T>(Vec<T>);

impl<T> List<T> {
    pub(super) fn as_slice(&self) -> &[T] {
        &self.0
    }

    pub(super) fn into_vec(self) -> Vec<T> {
        self.0
    }
}

impl<T> From<Vec<T>> for List<T> {
    fn from(elements: Vec<T>) -> Self {
        Self(elements)
    }
}

impl<T: Size> Size for List<T> {
    fn tls_serialized_len(&self) -> usize {
        self.0.tls_serialized_len()
    }
}

impl<T: Serialize + Debug> Serialize for List<T> {
    fn tls_serialize<W: Write>(&self, writer: &mut W) -> Result<usize, Error> {
        self.0.tls_serialize(writer)
    }
}

impl<T: DeserializeBytes> DeserializeBytes for List<T> {
    fn tls_deserialize_bytes(bytes: &[u8]) -> Result<(Self, &[u8]), Error> {
        let (mut content, rest) = split_vector(bytes)?;
        let mut elements = Vec::new();
        while !content.is_empty() {
            let (element, following) = T::tls_deserialize_bytes(content)?;
            // No structure of RFC 9420 is empty: each turn consumes at least one byte.
            if following.len() == content.len() {
                return Err(Error::LibraryError);
            }
            elements.push(element);
            content = following;
        }
        Ok((Self(elements), rest))
    }
}

/// Splits `bytes` into the content of the vector that it begins with and what follows the vector.
fn split_vector(bytes: &[u8]) -> Result<(&[u8], &[u8]), Error> {
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
