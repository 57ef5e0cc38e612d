//! A packet of a narrow link.
//!
//! ```text
//! struct {
//!     uint32 check;       // the first 4 bytes of SHA-256(device id of the beacon || the rest of the packet)
//!     uint32 bundle;      // the name of the bundle: the first 4 bytes of its SHA-256
//!     uint24 length;      // of the bundle
//!     uint16 symbol;      // the encoding symbol id (RFC 6330 section 4.4.2)
//!     opaque data[…];     // the encoding symbol
//! } FeedPacket;
//! ```

use paired_mls_api::DeviceId;
use sha2::{Digest as _, Sha256};

use crate::{
    code::Cut,
    codec::{Malformed, Reader},
};

/// What a packet has before its symbol, in bytes.
pub const PACKET_HEADER: usize = 13;

/// A packet of a narrow link, once its check is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Packet<'a> {
    pub(crate) bundle: u32,
    pub(crate) cut: Cut,
    pub(crate) symbol: u16,
    pub(crate) data: &'a [u8],
}

impl<'a> Packet<'a> {
    pub(crate) fn encode(&self, beacon: &DeviceId) -> Vec<u8> {
        let mut rest = Vec::with_capacity(PACKET_HEADER + self.data.len());
        rest.extend_from_slice(&self.bundle.to_be_bytes());
        rest.extend_from_slice(self.cut.length.to_be_bytes().get(1..).unwrap_or_default());
        rest.extend_from_slice(&self.symbol.to_be_bytes());
        rest.extend_from_slice(self.data);
        let mut bytes = check(beacon, &rest).to_vec();
        bytes.append(&mut rest);
        bytes
    }

    /// The packet, if it is one of this beacon.
    pub(crate) fn decode(bytes: &'a [u8], beacon: &DeviceId) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let said: [u8; 4] = reader.array()?;
        if check(beacon, bytes.get(4..).unwrap_or_default()) != said {
            return Err(Malformed);
        }
        let bundle = u32::from_be_bytes(reader.array()?);
        let [a, b, c] = reader.array()?;
        let length = u32::from_be_bytes([0, a, b, c]);
        let symbol = u16::from_be_bytes(reader.array()?);
        let data = reader.rest();
        let length = usize::try_from(length).map_err(|_| Malformed)?;
        let cut = Cut::new(length, data.len()).ok_or(Malformed)?;
        Ok(Self { bundle, cut, symbol, data })
    }
}

fn check(beacon: &DeviceId, rest: &[u8]) -> [u8; 4] {
    let digest = Sha256::new().chain_update(beacon.as_bytes()).chain_update(rest).finalize();
    let digest: [u8; 32] = digest.into();
    digest.first_chunk().copied().unwrap_or_default()
}
