//! DirectoryAccept: the directory confirms a pairing of standard mode.

use super::{Body, MessageType};
use crate::{
    PairingId,
    pairing::codec::{DecodeError, Reader, Writer},
};

/// The directory's Accept: all devices have sent the same InitPairing, and their signature keys are
/// tied to the anchor.
///
/// The directory has no secret of the pairing; the message is authentic because it came over the
/// authenticated connection to the directory.
///
/// ```text
/// struct {
///     opaque pairing_id[16];
///     opaque request_hash<V>;              // Hash(InitPairing), the suite's hash, Nh bytes
/// } DirectoryAccept;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryAccept {
    /// The pairing.
    pub pairing_id: PairingId,
    /// The hash of the InitPairing that all devices sent.
    pub request_hash: Vec<u8>,
}

impl Body for DirectoryAccept {
    const TYPE: MessageType = MessageType::DirectoryAccept;
    const NAME: &'static str = "DirectoryAccept";

    fn write(&self, writer: &mut Writer) {
        writer.pairing_id(self.pairing_id);
        writer.opaque(&self.request_hash);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { pairing_id: reader.pairing_id()?, request_hash: reader.bytes("request_hash")? })
    }
}
