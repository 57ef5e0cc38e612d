//! CeasePair: a device ends the pairing.

use super::{Body, MessageType};
use crate::{
    DeviceId, PairingId,
    pairing::{
        codec::{DecodeError, Reader, TooLarge, Writer},
        tag::{TagInput, TagPurpose},
        transcript::Transcript,
    },
};

/// Ends the pairing: the sender does not draw from the tape any more, and asks the receiver to stop.
///
/// Under a key of the tape, so that a thief of the MLS state cannot end a pairing. A replay does no
/// harm: a pairing ends once.
///
/// ```text
/// tag = ExpandWithLabel(accept_secret, "cease pair tag",
///                       transcript_hash || device || ended_by, Nh)
///
/// struct {
///     opaque pairing_id[16];
///     uint16 device;
///     uint16 ended_by;                     // the sender, or another device
///     opaque tag<V>;                       // Nh bytes
/// } CeasePair;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CeasePair {
    /// The pairing.
    pub pairing_id: PairingId,
    /// The device that has stopped.
    pub device: DeviceId,
    /// The device that has ended the pairing: this one, or another that it passes on. So all devices know
    /// who stays.
    pub ended_by: DeviceId,
    /// Nh bytes.
    pub tag: Vec<u8>,
}

impl CeasePair {
    pub(in crate::pairing) fn input(
        transcript: &Transcript,
        ended_by: DeviceId,
    ) -> Result<TagInput<'_>, TooLarge> {
        TagInput::with_details(TagPurpose::CeasePair, transcript, |writer| writer.device(ended_by))
    }
}

impl Body for CeasePair {
    const TYPE: MessageType = MessageType::CeasePair;
    const NAME: &'static str = "CeasePair";

    fn write(&self, writer: &mut Writer) {
        writer.pairing_id(self.pairing_id);
        writer.device(self.device);
        writer.device(self.ended_by);
        writer.opaque(&self.tag);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            pairing_id: reader.pairing_id()?,
            device: reader.device("device")?,
            ended_by: reader.device("ended_by")?,
            tag: reader.bytes("tag")?,
        })
    }
}
