//! InitPairing: who pairs, and how.

use super::{Body, MessageType};
use crate::{
    DeviceId, PairingId, Secret,
    pairing::{
        codec::{DecodeError, Reader, Writer},
        terms::{
            AnchorKind, Code, Mode, ModeKind, PairingDevice, Roster, SignatureKeyPair, Terms,
            TermsError,
        },
    },
};

/// Asks for a pairing. Standard mode: each device sends it to the directory. Hidden mode: the
/// initiator sends it over the 1-to-1 channel: first with an empty private key, so that the digits cover
/// what it says, and once they were compared with the key.
///
/// ```text
/// enum { standard(1), hidden(2), (255) } PairingMode;
/// enum { leaf(1), node(2), (255) }       AnchorType;
///
/// struct {
///     opaque public_key<V>;
///     opaque private_key<V>;
/// } SignatureKeyPair;
///
/// struct {
///     opaque        pairing_id[16];
///     CipherSuite   cipher_suite;
///     PairingMode   mode;
///     AnchorType    anchor;
///     uint16        initiator;                 // whose leaf, or path, the anchor is on
///     PairingDevice devices<V>;                // in ascending order of their numbers
///     optional<SignatureKeyPair> key_pair;     // of the anchor leaf: in hidden mode, and only there
/// } InitPairing;
/// ```
///
/// # Security
///
/// In hidden mode it holds a private signature key, which is erased when the message is dropped.
#[derive(Debug)]
pub struct InitPairing {
    /// The pairing.
    pub pairing_id: PairingId,
    /// Code point of the cipher suite (RFC 9420 section 17.1).
    pub cipher_suite: u16,
    /// Whose signature keys are used.
    pub mode: Code<ModeKind>,
    /// What the devices share in the tree.
    pub anchor: Code<AnchorKind>,
    /// The device whose place in the group the anchor is.
    pub initiator: DeviceId,
    /// All devices of the pairing.
    pub devices: Vec<PairingDevice>,
    /// The signature key pair of the anchor leaf.
    pub key_pair: Option<SignatureKeyPair>,
}

impl InitPairing {
    /// The request for `terms`; `private_key` belongs to the anchor's key of hidden mode and is
    /// ignored in standard mode.
    pub(in crate::pairing) fn of(terms: &Terms, private_key: Secret) -> Self {
        let (mode, anchor, key_pair) = match terms.mode() {
            Mode::Standard(anchor) => (ModeKind::Standard, *anchor, None),
            Mode::Hidden { anchor_key } => (
                ModeKind::Hidden,
                AnchorKind::Leaf,
                Some(SignatureKeyPair { public_key: anchor_key.clone(), private_key }),
            ),
        };
        Self {
            pairing_id: terms.roster().pairing_id(),
            cipher_suite: terms.roster().suite().code_point(),
            mode: Code::Known(mode),
            anchor: Code::Known(anchor),
            initiator: terms.initiator(),
            devices: terms.roster().devices().to_vec(),
            key_pair,
        }
    }

    /// What the message says apart from the private key.
    ///
    /// # Errors
    ///
    /// [`TermsError`] if nobody can pair like this, or if a mode, anchor or cipher suite is unknown.
    pub fn terms(&self) -> Result<Terms, TermsError> {
        let roster = Roster::from_wire(self.pairing_id, self.cipher_suite, self.devices.clone())?;
        let mode = match (self.mode, self.anchor, &self.key_pair) {
            (Code::Unknown(mode), ..) => return Err(TermsError::UnknownMode(mode)),
            (_, Code::Unknown(anchor), _) => return Err(TermsError::UnknownAnchor(anchor)),
            (Code::Known(ModeKind::Standard), Code::Known(anchor), None) => Mode::Standard(anchor),
            (Code::Known(ModeKind::Standard), _, Some(_)) => {
                return Err(TermsError::StandardWithKeyPair);
            }
            (Code::Known(ModeKind::Hidden), Code::Known(AnchorKind::Node), _) => {
                return Err(TermsError::HiddenAtNode);
            }
            (Code::Known(ModeKind::Hidden), Code::Known(AnchorKind::Leaf), Some(pair)) => {
                Mode::Hidden { anchor_key: pair.public_key.clone() }
            }
            (Code::Known(ModeKind::Hidden), Code::Known(AnchorKind::Leaf), None) => {
                return Err(TermsError::HiddenWithoutKeyPair);
            }
        };
        Terms::new(roster, self.initiator, mode)
    }
}

impl Body for InitPairing {
    const TYPE: MessageType = MessageType::InitPairing;
    const NAME: &'static str = "InitPairing";

    fn write(&self, writer: &mut Writer) {
        writer.pairing_id(self.pairing_id);
        writer.u16(self.cipher_suite);
        writer.u8(self.mode.code());
        writer.u8(self.anchor.code());
        writer.device(self.initiator);
        writer.list(&self.devices, |writer, device| device.write(writer));
        writer.optional(self.key_pair.as_ref(), |writer, pair| {
            writer.opaque(&pair.public_key);
            writer.opaque(pair.private_key.expose());
        });
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            pairing_id: reader.pairing_id()?,
            cipher_suite: reader.u16("cipher_suite")?,
            mode: Code::from_code(reader.u8("mode")?),
            anchor: Code::from_code(reader.u8("anchor")?),
            initiator: reader.device("initiator")?,
            devices: reader.list("devices", PairingDevice::read)?,
            key_pair: reader.optional("key_pair", |reader| {
                Ok(SignatureKeyPair {
                    public_key: reader.bytes("key_pair.public_key")?,
                    private_key: reader.secret("key_pair.private_key")?,
                })
            })?,
        })
    }
}
