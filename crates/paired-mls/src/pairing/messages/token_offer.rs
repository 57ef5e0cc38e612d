//! TokenOffer: the holder of a leaf's sending token gives it away.

use super::{Body, MessageType};
use crate::{
    DeviceId, PairingId,
    pairing::codec::{DecodeError, Reader, Writer},
};

/// Gives the right to send from a shared leaf to another device. From here on the sender sends no
/// application message in this group.
///
/// ```text
/// tag = ExpandWithLabel(accept_secret, "token offer tag",
///           transcript_hash || device || group_id<V> || epoch || holder || counter, Nh)
///
/// struct {
///     opaque pairing_id[16];
///     opaque group_id<V>;
///     uint64 epoch;                        // the last one in which `device` sends
///     uint16 device;                       // who gives
///     uint16 holder;                       // who is to hold the token
///     uint64 counter;                      // how often it has changed hands, this time included
///     opaque tag<V>;                       // Nh bytes
/// } TokenOffer;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenOffer {
    /// The pairing.
    pub pairing_id: PairingId,
    /// The group.
    pub group_id: Vec<u8>,
    /// The last epoch in which the sender of this message sends application messages.
    pub epoch: u64,
    /// The device that gives the token away.
    pub device: DeviceId,
    /// The device that is to hold it.
    pub holder: DeviceId,
    /// How often the token has changed hands, this time included.
    pub counter: u64,
    /// Nh bytes.
    pub tag: Vec<u8>,
}

impl TokenOffer {
    /// What the tag covers after the transcript and the device.
    pub(in crate::pairing) fn details(&self, writer: &mut Writer) {
        writer.opaque(&self.group_id);
        writer.u64(self.epoch);
        writer.device(self.holder);
        writer.u64(self.counter);
    }
}

impl Body for TokenOffer {
    const TYPE: MessageType = MessageType::TokenOffer;
    const NAME: &'static str = "TokenOffer";

    fn write(&self, writer: &mut Writer) {
        writer.pairing_id(self.pairing_id);
        writer.opaque(&self.group_id);
        writer.u64(self.epoch);
        writer.device(self.device);
        writer.device(self.holder);
        writer.u64(self.counter);
        writer.opaque(&self.tag);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            pairing_id: reader.pairing_id()?,
            group_id: reader.bytes("group_id")?,
            epoch: reader.u64("epoch")?,
            device: reader.device("device")?,
            holder: reader.device("holder")?,
            counter: reader.u64("counter")?,
            tag: reader.bytes("tag")?,
        })
    }
}
