//! Reading and writing the presentation language (RFC 8446 section 3, vectors of RFC 9420 section 2.1.2).

use tls_codec::{DeserializeBytes as _, Serialize as _, TlsVarInt, VLByteSlice};

/// The bytes are not what they should be: too few, too many, or a length that is not minimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// What is left of the bytes that are read.
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (array, rest) = self.0.split_first_chunk().ok_or(Malformed)?;
        self.0 = rest;
        Ok(*array)
    }

    pub(crate) fn uint8(&mut self) -> Result<u8, Malformed> {
        self.array().map(u8::from_be_bytes)
    }

    pub(crate) fn uint64(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_be_bytes)
    }

    /// `opaque bytes<V>`. The length has to be encoded in the fewest bytes.
    pub(crate) fn vector(&mut self) -> Result<&'a [u8], Malformed> {
        let (length, rest) = TlsVarInt::tls_deserialize_bytes(self.0).map_err(|_| Malformed)?;
        let header = self.0.len() - rest.len();
        let length = usize::try_from(length.value()).map_err(|_| Malformed)?;
        let minimal = match length {
            0..0x40 => 1,
            0x40..0x4000 => 2,
            0x4000..0x4000_0000 => 4,
            _ => return Err(Malformed),
        };
        if header != minimal {
            return Err(Malformed);
        }
        let (content, rest) = rest.split_at_checked(length).ok_or(Malformed)?;
        self.0 = rest;
        Ok(content)
    }

    pub(crate) fn rest(self) -> &'a [u8] {
        self.0
    }

    pub(crate) fn end(self) -> Result<(), Malformed> {
        if self.0.is_empty() { Ok(()) } else { Err(Malformed) }
    }
}

/// Appends `opaque bytes<V>`.
pub(crate) fn put_vector(out: &mut Vec<u8>, bytes: &[u8]) -> Result<(), Malformed> {
    VLByteSlice(bytes).tls_serialize(out).map(|_| ()).map_err(|_| Malformed)
}
