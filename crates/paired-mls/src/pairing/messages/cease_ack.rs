//! CeaseAck: a device confirms the end.

use super::{Body, MessageType};
use crate::{
    DeviceId, PairingId,
    pairing::codec::{DecodeError, Reader, Writer},
};

/// Answers a [`CeasePair`](super::CeasePair): the sender, too, does not draw from the tape any more.
///
/// ```text
/// tag = ExpandWithLabel(accept_secret, "cease ack tag", transcript_hash || device, Nh)
///
/// struct {
///     opaque pairing_id[16];
///     uint16 device;
///     opaque tag<V>;                       // Nh bytes
/// } CeaseAck;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CeaseAck {
    /// The pairing.
    pub pairing_id: PairingId,
    /// The device that has stopped.
    pub device: DeviceId,
    /// Nh bytes.
    pub tag: Vec<u8>,
}

impl Body for CeaseAck {
    const TYPE: MessageType = MessageType::CeaseAck;
    const NAME: &'static str = "CeaseAck";

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
