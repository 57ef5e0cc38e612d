//! Accept: a device confirms the pairing.

use super::{Body, MessageType};
use crate::{
    DeviceId, PairingId,
    pairing::codec::{DecodeError, Reader, Writer},
};

/// Confirms the pairing: this device has the tape, and the same idea of who pairs and how.
///
/// Each device sends its own to every other one. Its number is under the tag, so that none can be
/// sent back to where it came from.
///
/// ```text
/// tag = ExpandWithLabel(accept_secret, "accept tag", transcript_hash || device, Nh)
///
/// struct {
///     opaque pairing_id[16];
///     uint16 device;
///     opaque tag<V>;                       // Nh bytes
/// } Accept;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accept {
    /// The pairing.
    pub pairing_id: PairingId,
    /// The device that confirms.
    pub device: DeviceId,
    /// Nh bytes.
    pub tag: Vec<u8>,
}

impl Body for Accept {
    const TYPE: MessageType = MessageType::Accept;
    const NAME: &'static str = "Accept";

    fn write(&self, writer: &mut Writer) {
        writer.pairing_id(self.pairing_id);
        writer.device(self.device);
        writer.opaque(&self.tag);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            pairing_id: reader.pairing_id()?,
            device: reader.device("device")?,
            tag: reader.bytes("tag")?,
        })
    }
}
