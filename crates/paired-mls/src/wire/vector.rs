//! Variable-size vectors (RFC 9420 section 2.1.2).
//!
//! `tls_codec` has such vectors; these two are read by [`split_vector`], which says why.

use std::{fmt::Debug, io::Write};

use tls_codec::{DeserializeBytes, Error, Serialize, Size, VLByteSlice};

use crate::presentation::split_vector;

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
