//! TokenTake: a device takes a leaf's sending token.

use super::{Body, MessageType};
use crate::{
    DeviceId, PairingId,
    pairing::codec::{DecodeError, Reader, Writer},
};

/// Takes the token that was offered, and tells every device of the pairing who holds it now.
///
/// ```text
/// tag = ExpandWithLabel(accept_secret, "token take tag",
///           transcript_hash || holder || group_id<V> || epoch || counter, Nh)
///
/// struct {
///     opaque pairing_id[16];
///     opaque group_id<V>;
///     uint64 epoch;                        // of the offer: the holder sends in later ones
///     uint16 holder;
///     uint64 counter;                      // of the offer
///     opaque tag<V>;                       // Nh bytes
/// } TokenTake;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenTake {
    /// The pairing.
    pub pairing_id: PairingId,
    /// The group.
    pub group_id: Vec<u8>,
    /// The last epoch of the holder before.
    pub epoch: u64,
    /// The device that holds the token from now on.
    pub holder: DeviceId,
    /// How often the token has changed hands, this time included.
    pub counter: u64,
    /// Nh bytes.
    pub tag: Vec<u8>,
}

impl TokenTake {
    /// What the tag covers after the transcript and the holder.
    pub(in crate::pairing) fn details(&self, writer: &mut Writer) {
        writer.opaque(&self.group_id);
        writer.u64(self.epoch);
        writer.u64(self.counter);
    }
}

impl Body for TokenTake {
    const TYPE: MessageType = MessageType::TokenTake;
    const NAME: &'static str = "TokenTake";

    fn write(&self, writer: &mut Writer) {
        writer.pairing_id(self.pairing_id);
        writer.opaque(&self.group_id);
        writer.u64(self.epoch);
        writer.device(self.holder);
        writer.u64(self.counter);
        writer.opaque(&self.tag);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            pairing_id: reader.pairing_id()?,
            group_id: reader.bytes("group_id")?,
            epoch: reader.u64("epoch")?,
            holder: reader.device("holder")?,
            counter: reader.u64("counter")?,
            tag: reader.bytes("tag")?,
        })
    }
}
