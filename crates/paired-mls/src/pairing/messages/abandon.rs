//! Abandon: a pairing that has not come about is given up.

use super::{Body, MessageType};
use crate::{
    DeviceId, PairingId,
    pairing::{
        codec::{DecodeError, Reader, Writer},
        terms::{Code, CodePoint},
    },
};

/// Tells the other devices, over the 1-to-1 channel, that the sender has given up a pairing that has not
/// come about. They give it up too.
///
/// ```text
/// enum { digits_differ(1), given_up(2), (255) } AbandonReason;
///
/// struct {
///     opaque        pairing_id[16];
///     uint16        device;                // that gives it up
///     AbandonReason reason;
/// } Abandon;
/// ```
///
/// It has no tag: before InitPairing there is no transcript to make one over. The channel says who sends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Abandon {
    /// The pairing.
    pub pairing_id: PairingId,
    /// The device that gives it up.
    pub device: DeviceId,
    /// Why.
    pub reason: Code<AbandonReason>,
}

/// Why a pairing is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AbandonReason {
    /// The digits on two devices are not the same.
    DigitsDiffer,
    /// The user does not want it.
    GivenUp,
}

impl CodePoint for AbandonReason {
    const ALL: &'static [(Self, u8)] = &[(Self::DigitsDiffer, 1), (Self::GivenUp, 2)];
}

impl Body for Abandon {
    const TYPE: MessageType = MessageType::Abandon;
    const NAME: &'static str = "Abandon";

    fn write(&self, writer: &mut Writer) {
        writer.pairing_id(self.pairing_id);
        writer.device(self.device);
        writer.u8(self.reason.code());
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            pairing_id: reader.pairing_id()?,
            device: reader.device("device")?,
            reason: Code::from_code(reader.u8("reason")?),
        })
    }
}
