//! Reading and writing the presentation language (RFC 8446 section 3, RFC 9420 section 2.1.2).
//!
//! Every value has exactly one encoding: a vector's length in its shortest form, an `optional<T>`
//! whose presence octet is 0 or 1. So two structures are equal exactly if their bytes are, which is
//! what the directory compares and what a transcript hashes.

use thiserror::Error;
use tls_codec::{DeserializeBytes, Serialize as _, TlsVarInt};
use zeroize::Zeroizing;

use super::{Cursor, MAX_LEN};
use crate::{DeviceId, PairingId, Secret, code_points::PAIRING_VERSION};

/// Bytes that are not the structure they were said to be. To blame is who wrote them.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The version is not ours, so the rest has an unknown format.
    #[error(
        "a pairing message of version {0}; this software speaks version {PAIRING_VERSION}: update \
         the older device"
    )]
    Version(u8),
    /// A field is cut short, overlong, or not in its shortest form.
    #[error("{structure}.{field} is malformed: {source}")]
    Malformed {
        /// The structure that was decoded.
        structure: &'static str,
        /// Its field that does not decode.
        field: &'static str,
        /// What the decoder found.
        source: tls_codec::Error,
    },
    /// The structure is followed by bytes that do not belong to it.
    #[error("{0} is followed by trailing bytes")]
    TrailingBytes(&'static str),
}

/// A vector would exceed 2³⁰ − 1 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a field exceeds the 2³⁰ − 1 bytes that a vector can have")]
pub struct TooLarge;

/// Writes fields, one after the other, into a buffer that is erased.
pub(crate) struct Writer {
    bytes: Zeroizing<Vec<u8>>,
    /// The first failure; everything after it is ignored.
    outcome: Result<(), TooLarge>,
}

impl Writer {
    pub(crate) fn new() -> Self {
        Self::with_capacity(512)
    }

    /// A writer that grows where `capacity` bytes are too few.
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self { bytes: Zeroizing::new(Vec::with_capacity(capacity)), outcome: Ok(()) }
    }

    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        let needed = self.bytes.len().saturating_add(bytes.len());
        if needed > self.bytes.capacity() {
            // A `Vec` that grows leaves its old bytes behind; this one is erased when dropped.
            let mut grown = Zeroizing::new(Vec::with_capacity(needed.saturating_mul(2)));
            grown.extend_from_slice(&self.bytes);
            self.bytes = grown;
        }
        self.bytes.extend_from_slice(bytes);
    }

    pub(crate) fn u8(&mut self, value: u8) {
        self.raw(&[value]);
    }

    pub(crate) fn u16(&mut self, value: u16) {
        self.raw(&value.to_be_bytes());
    }

    pub(crate) fn u64(&mut self, value: u64) {
        self.raw(&value.to_be_bytes());
    }

    pub(crate) fn device(&mut self, device: DeviceId) {
        self.u16(device.0);
    }

    pub(crate) fn pairing_id(&mut self, pairing: PairingId) {
        self.raw(&pairing.0);
    }

    /// `opaque bytes<V>`
    pub(crate) fn opaque(&mut self, bytes: &[u8]) {
        self.outcome = self.outcome.and(self.length(bytes.len()));
        if self.outcome.is_ok() {
            self.raw(bytes);
        }
    }

    fn length(&mut self, length: usize) -> Result<(), TooLarge> {
        let length = Some(length).filter(|&length| length <= MAX_LEN).ok_or(TooLarge)?;
        let length = u64::try_from(length).map_err(|_| TooLarge)?;
        let length = TlsVarInt::try_from(length).map_err(|_| TooLarge)?;
        let mut header = [0; 4];
        let written = length.tls_serialize(&mut &mut header[..]).map_err(|_| TooLarge)?;
        self.raw(header.get(..written).ok_or(TooLarge)?);
        Ok(())
    }

    /// `T items<V>`
    pub(crate) fn list<T>(
        &mut self,
        items: impl IntoIterator<Item = T>,
        write: impl Fn(&mut Self, T),
    ) {
        let begin = self.bytes.len();
        items.into_iter().for_each(|item| write(self, item));
        let end = self.bytes.len();
        // The length, which stands before the items, is known only now.
        self.outcome = self.outcome.and(self.length(end - begin));
        let header = self.bytes.len() - end;
        if let Some(vector) = self.bytes.get_mut(begin..) {
            vector.rotate_right(header);
        }
    }

    /// `optional<T> item`
    pub(crate) fn optional<T>(&mut self, item: Option<T>, write: impl Fn(&mut Self, T)) {
        self.u8(u8::from(item.is_some()));
        if let Some(item) = item {
            write(self, item);
        }
    }

    pub(crate) fn finish(self) -> Result<Secret, TooLarge> {
        self.outcome.map(|()| Secret::copy_of(&self.bytes))
    }
}

/// Reads the fields of one structure, in order, and names the one that fails.
pub(crate) struct Reader<'a> {
    structure: &'static str,
    fields: Cursor<'a>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(structure: &'static str, bytes: &'a [u8]) -> Self {
        Self { structure, fields: Cursor::new(bytes) }
    }

    /// Reads a whole structure; trailing bytes are an error.
    pub(crate) fn whole<T>(
        structure: &'static str,
        bytes: &'a [u8],
        read: impl FnOnce(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<T, DecodeError> {
        let mut reader = Self::new(structure, bytes);
        let value = read(&mut reader)?;
        match reader.fields.rest() {
            [] => Ok(value),
            _ => Err(DecodeError::TrailingBytes(structure)),
        }
    }

    fn primitive<T: DeserializeBytes>(&mut self, field: &'static str) -> Result<T, DecodeError> {
        self.fields.value().map_err(|source| self.malformed(field, source))
    }

    pub(crate) fn malformed(&self, field: &'static str, source: tls_codec::Error) -> DecodeError {
        DecodeError::Malformed { structure: self.structure, field, source }
    }

    pub(crate) fn u8(&mut self, field: &'static str) -> Result<u8, DecodeError> {
        self.primitive(field)
    }

    pub(crate) fn u16(&mut self, field: &'static str) -> Result<u16, DecodeError> {
        self.primitive(field)
    }

    pub(crate) fn u64(&mut self, field: &'static str) -> Result<u64, DecodeError> {
        self.primitive(field)
    }

    pub(crate) fn device(&mut self, field: &'static str) -> Result<DeviceId, DecodeError> {
        self.u16(field).map(DeviceId)
    }

    pub(crate) fn pairing_id(&mut self) -> Result<PairingId, DecodeError> {
        self.primitive("pairing_id").map(PairingId)
    }

    /// `opaque bytes<V>`, borrowed.
    pub(crate) fn opaque(&mut self, field: &'static str) -> Result<&'a [u8], DecodeError> {
        self.fields.vector().map_err(|source| self.malformed(field, source))
    }

    /// `opaque bytes<V>`
    pub(crate) fn bytes(&mut self, field: &'static str) -> Result<Vec<u8>, DecodeError> {
        self.opaque(field).map(<[u8]>::to_vec)
    }

    /// `opaque bytes<V>` that is secret.
    pub(crate) fn secret(&mut self, field: &'static str) -> Result<Secret, DecodeError> {
        self.opaque(field).map(Secret::copy_of)
    }

    /// `T items<V>`. No item of the protocol is empty, so each turn consumes at least one byte.
    pub(crate) fn list<T>(
        &mut self,
        field: &'static str,
        read: impl Fn(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        let mut content = Self::new(self.structure, self.opaque(field)?);
        let mut items = Vec::new();
        while !content.fields.rest().is_empty() {
            items.push(read(&mut content)?);
        }
        Ok(items)
    }

    /// `optional<T> item`
    pub(crate) fn optional<T>(
        &mut self,
        field: &'static str,
        read: impl FnOnce(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Option<T>, DecodeError> {
        match self.u8(field)? {
            0 => Ok(None),
            1 => read(self).map(Some),
            _ => Err(self.malformed(field, tls_codec::Error::InvalidInput)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(items: &[Vec<u8>]) -> Secret {
        let mut writer = Writer::with_capacity(1);
        writer.u8(7);
        writer.list(items, |writer, item| writer.opaque(item));
        writer.u16(9);
        writer.finish().unwrap()
    }

    #[test]
    fn a_list_is_what_was_written_whatever_length_its_header_has() {
        for length in [0, 1, 61, 62, 0x3FFC, 0x3FFD, 0x4000, 0x1_0000] {
            let items: Vec<_> =
                (0..length / 61).map(|_| vec![5; 60]).chain([vec![6; length % 61]]).collect();
            let whole = list(&items);
            let read = Reader::whole("Test", whole.expose(), |reader| {
                let (first, items) =
                    (reader.u8("first")?, reader.list("items", |item| item.bytes("item"))?);
                Ok((first, items, reader.u16("last")?))
            });
            assert_eq!(read, Ok((7, items, 9)), "{length} bytes");
        }
    }

    #[test]
    fn a_list_of_lists_is_read_back() {
        let mut writer = Writer::new();
        let written = [vec![1_u64, 2], vec![], vec![3; 20]];
        writer
            .list(&written, |writer, inner| writer.list(inner, |writer, value| writer.u64(*value)));
        let whole = writer.finish().unwrap();
        let read = Reader::whole("Test", whole.expose(), |reader| {
            reader.list("outer", |outer| outer.list("inner", |inner| inner.u64("value")))
        });
        assert_eq!(read, Ok(written.to_vec()));
    }
}
