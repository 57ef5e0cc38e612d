//! ShareRand: the seed of the tape.

use super::{Body, MessageType};
use crate::{
    PairingId, Secret,
    pairing::{
        codec::{DecodeError, Reader, Writer},
        terms::{PairingDevice, Roster, TermsError},
    },
};

/// Gives the seed of the tape to the other devices: over the 1-to-1 channel, or as the content of
/// an offline file.
///
/// ```text
/// struct {
///     uint16 device;
///     opaque identity<V>;                  // as in the device's MLS credential
///     opaque signature_key<V>;             // its public key
/// } PairingDevice;
///
/// struct {
///     opaque        pairing_id[16];        // random, used once
///     CipherSuite   cipher_suite;
///     opaque        seed<V>;               // Nh bytes
///     PairingDevice devices<V>;            // in ascending order of their numbers
/// } ShareRand;
/// ```
///
/// # Security
///
/// Whoever reads it can compute the whole tape. The seed is erased when the message is dropped.
#[derive(Debug)]
pub struct ShareRand {
    /// The pairing.
    pub pairing_id: PairingId,
    /// Code point of the cipher suite (RFC 9420 section 17.1).
    pub cipher_suite: u16,
    /// Nh random bytes.
    pub seed: Secret,
    /// All devices of the pairing.
    pub devices: Vec<PairingDevice>,
}

impl ShareRand {
    /// What the message says apart from the seed.
    ///
    /// # Errors
    ///
    /// [`TermsError`] if this is no list of devices that can pair, or an unknown cipher suite.
    pub fn roster(&self) -> Result<Roster, TermsError> {
        Roster::from_wire(self.pairing_id, self.cipher_suite, self.devices.clone())
    }
}

impl Body for ShareRand {
    const TYPE: MessageType = MessageType::ShareRand;
    const NAME: &'static str = "ShareRand";

    fn write(&self, writer: &mut Writer) {
        writer.pairing_id(self.pairing_id);
        writer.u16(self.cipher_suite);
        writer.opaque(self.seed.expose());
        writer.list(&self.devices, |writer, device| device.write(writer));
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            pairing_id: reader.pairing_id()?,
            cipher_suite: reader.u16("cipher_suite")?,
            seed: reader.secret("seed")?,
            devices: reader.list("devices", PairingDevice::read)?,
        })
    }
}
