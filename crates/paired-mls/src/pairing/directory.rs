//! The directory's decision about a pairing of standard mode.
//!
//! A pure function of the requests: the service keeps the requests and who sent them, and replays them
//! here. It stores one entry for each pairing identifier.

use std::collections::BTreeSet;

use thiserror::Error;

use super::{
    codec::{DecodeError, TooLarge},
    error::Failed,
    messages::{Body, DirectoryAccept, MessageType, PairingMessage},
    terms::{AnchorKind, Mode, Party, Terms, TermsError},
    transcript::request_hash,
};
use crate::{DeviceId, PairingId, Secret};

/// A request that the directory refuses. To blame is the device that sent it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DirectoryError {
    /// The bytes are no pairing message.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The directory takes requests only.
    #[error("the directory takes InitPairing and was sent {0}")]
    NotARequest(MessageType),
    /// Nobody can pair like this.
    #[error(transparent)]
    Terms(#[from] TermsError),
    /// A request of hidden mode, with a private key in it.
    #[error(
        "hidden mode is none of the directory's business: take the key in this request out of use \
         and send the next one over the 1-to-1 channel"
    )]
    HiddenMode,
    /// The requester is not in its own request.
    #[error("the request does not list the device that sent it")]
    NotListed,
    /// The requests for one pairing identifier are not equal.
    #[error("the request differs from the one that is already there for pairing {0}")]
    Differs(PairingId),
    /// The answer does not fit a vector.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
}

/// What the directory knows of one pairing.
#[derive(Debug, PartialEq, Eq)]
pub enum RegistryEntry {
    /// Some devices have not asked yet.
    Pending(PendingPairing),
    /// All have asked for the same.
    Registered(RegisteredPairing),
}

/// A pairing that not all of its devices have asked for. No key is tied to anything.
#[derive(Debug, PartialEq, Eq)]
pub struct PendingPairing {
    terms: Terms,
    /// As it was sent; shown to the devices that have not asked yet.
    request: Secret,
    requested: BTreeSet<DeviceId>,
}

/// A pairing that all of its devices have asked for.
///
/// This type makes it impossible to tie a device's key to an anchor that the device did not ask for.
#[derive(Debug, PartialEq, Eq)]
pub struct RegisteredPairing {
    terms: Terms,
    request: Secret,
}

impl RegistryEntry {
    /// The first request for a pairing identifier.
    ///
    /// `requester` is who the directory authenticated the connection as.
    ///
    /// # Errors
    ///
    /// [`DirectoryError`], which names the cause.
    pub fn open(requester: &Party, request: &[u8]) -> Result<Self, DirectoryError> {
        let (terms, device) = read(requester, request)?;
        let request = Secret::copy_of(request);
        let requested = BTreeSet::from([device]);
        Ok(Self::Pending(PendingPairing { terms, request, requested }))
    }

    /// A further request for the same identifier. One that came before changes nothing.
    ///
    /// # Errors
    ///
    /// [`DirectoryError::Differs`] if it is not equal to the first one, and those of
    /// [`RegistryEntry::open`]; the entry is unchanged.
    pub fn submit(
        self,
        requester: &Party,
        request: &[u8],
    ) -> Result<Self, Failed<Self, DirectoryError>> {
        match self.check(requester, request) {
            Ok(device) => Ok(self.with(device)),
            Err(error) => Err(Failed::new(self, error)),
        }
    }

    fn check(&self, requester: &Party, request: &[u8]) -> Result<DeviceId, DirectoryError> {
        let (_, device) = read(requester, request)?;
        // One structure has one encoding, so that equal requests are equal bytes.
        let equal = self.request() == request;
        equal.then_some(device).ok_or(DirectoryError::Differs(self.terms().roster().pairing_id()))
    }

    fn with(self, device: DeviceId) -> Self {
        match self {
            Self::Registered(entry) => Self::Registered(entry),
            Self::Pending(mut entry) => {
                entry.requested.insert(device);
                match entry.waiting_for().is_empty() {
                    true => Self::Registered(RegisteredPairing {
                        terms: entry.terms,
                        request: entry.request,
                    }),
                    false => Self::Pending(entry),
                }
            }
        }
    }

    /// What the devices ask for.
    pub fn terms(&self) -> &Terms {
        match self {
            Self::Pending(entry) => &entry.terms,
            Self::Registered(entry) => &entry.terms,
        }
    }

    /// The request, for devices that have not asked yet.
    pub fn request(&self) -> &[u8] {
        match self {
            Self::Pending(entry) => entry.request.expose(),
            Self::Registered(entry) => entry.request.expose(),
        }
    }
}

impl PendingPairing {
    /// The devices that have not asked yet.
    pub fn waiting_for(&self) -> Vec<DeviceId> {
        let numbers = self.terms.roster().numbers().into_iter();
        numbers.filter(|device| !self.requested.contains(device)).collect()
    }
}

impl RegisteredPairing {
    /// What the devices asked for.
    pub fn terms(&self) -> &Terms {
        &self.terms
    }

    /// The device whose leaf, or path, the anchor is on, and which of both.
    pub fn anchor(&self) -> (DeviceId, AnchorKind) {
        (self.terms.initiator(), self.terms.anchor())
    }

    /// The signature keys that are tied to the anchor, in ascending order of the device numbers.
    pub fn signature_keys(&self) -> impl Iterator<Item = &[u8]> {
        let devices = self.terms.roster().devices().iter();
        devices.map(|device| device.party.signature_key.as_slice())
    }

    /// The Accept that goes to every device.
    ///
    /// # Errors
    ///
    /// [`DirectoryError::TooLarge`], which a message of this size never is.
    pub fn accept(&self) -> Result<Secret, DirectoryError> {
        let accept = DirectoryAccept {
            pairing_id: self.terms.roster().pairing_id(),
            request_hash: request_hash(&self.terms)?,
        };
        Ok(accept.message()?)
    }
}

fn read(requester: &Party, request: &[u8]) -> Result<(Terms, DeviceId), DirectoryError> {
    let message = match PairingMessage::decode(request)? {
        PairingMessage::InitPairing(message) => message,
        other => return Err(DirectoryError::NotARequest(other.message_type())),
    };
    let terms = message.terms()?;
    if let Mode::Hidden { .. } = terms.mode() {
        return Err(DirectoryError::HiddenMode);
    }
    let device = terms.roster().number_of(requester).ok_or(DirectoryError::NotListed)?;
    Ok((terms, device))
}
