//! The terms are known; confirmations are awaited.

use std::collections::BTreeSet;

use super::{Agreement, Ceasing, Ending, Paired, Road, Unpaired, seeded::check_hidden};
use crate::{
    CipherSuite, DeviceId, RecordName, Secret, Vault,
    pairing::{
        channel::{ChannelTrust, Outbound, Route, Source},
        error::{CallerError, Failed, PairingError, PeerError, StateName, WayRule},
        messages::{Accept, Body, DirectoryAccept, InitPairing, MessageType, PairingMessage},
        tag::TagPurpose,
        terms::{Mode, SignatureKeyPair, Terms},
        transcript::{Transcript, request_hash},
    },
};

/// A device that has asked for the pairing, or was asked, and waits until all others have confirmed.
///
/// This type makes it impossible to count on a partner that does not have the tape, that was told
/// other keys, or that the directory does not know.
#[derive(Debug, PartialEq, Eq)]
pub struct Invited {
    pub(super) agreement: Agreement,
    pub(super) road: Road,
    pub(super) registration: Registration,
    /// The partners whose Accept was verified.
    pub(super) accepted: BTreeSet<DeviceId>,
}

/// Whether the directory has tied the keys to the anchor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Registration {
    /// Hidden mode: the directory is told nothing.
    NotNeeded,
    /// Hidden mode, and the anchor leaf's private key has not been handed over yet.
    KeyAwaited,
    Awaited,
    Confirmed,
}

/// What a device is after a message that it received while invited.
#[derive(Debug)]
#[must_use]
pub enum Confirmation {
    /// Something is still missing.
    Waiting(Invited),
    /// Every partner has confirmed.
    Paired(Paired),
    /// A partner has ended the pairing.
    Ending(Ending),
}

impl Invited {
    /// What the devices have agreed on.
    pub fn terms(&self) -> &Terms {
        self.agreement.terms()
    }

    /// This device's number in the pairing.
    pub fn own_device(&self) -> DeviceId {
        self.agreement.own()
    }

    /// For [`ShortAuthString::derive`](crate::pairing::ShortAuthString::derive).
    pub fn transcript(&self) -> &Transcript {
        self.agreement.transcript()
    }

    /// The partners that have not confirmed yet.
    pub fn waiting_for(&self) -> Vec<DeviceId> {
        let partners = self.agreement.partners().into_iter();
        partners.filter(|device| !self.accepted.contains(device)).collect()
    }

    /// This device's request once more, for one that did not arrive: to the directory in standard mode;
    /// in hidden mode the initiator's over the 1-to-1 channel, with the anchor leaf's key pair.
    ///
    /// Returns `None` where it has none to send.
    ///
    /// # Errors
    ///
    /// [`CallerError`] if the message does not fit its length fields.
    pub fn request(
        &self,
        key_pair: Option<&SignatureKeyPair>,
    ) -> Result<Option<Outbound>, CallerError> {
        let initiator = self.terms().initiator() == self.own_device();
        let (route, private_key) = match (self.registration, key_pair) {
            (Registration::Awaited, _) => (Route::Directory, Secret::copy_of(&[])),
            (Registration::KeyAwaited, _) if initiator => (Route::OneToOne, Secret::copy_of(&[])),
            (Registration::NotNeeded, Some(pair)) if initiator => {
                (Route::OneToOne, Secret::copy_of(pair.private_key.expose()))
            }
            _ => return Ok(None),
        };
        let message = InitPairing::of(self.terms(), private_key).message()?;
        Ok(Some(Outbound { route, message }))
    }

    /// Notes that the 1-to-1 channel is safe, which may have been the last thing missing.
    ///
    /// Without effect for a seed that came offline. If the digits differ, [`Invited::abandon`].
    pub fn confirm_channel(self, trust: ChannelTrust) -> Confirmation {
        Self { road: self.road.verified(trust), ..self }.settle()
    }

    /// Whether this device is to hand over the anchor leaf's key as soon as the channel is safe.
    pub fn withholds_key(&self) -> bool {
        self.registration == Registration::KeyAwaited && self.is_initiator()
    }

    /// Whether the initiator is to hand over the anchor leaf's key.
    pub fn awaits_key(&self) -> bool {
        self.registration == Registration::KeyAwaited && !self.is_initiator()
    }

    fn is_initiator(&self) -> bool {
        self.terms().initiator() == self.own_device()
    }

    /// Hands over the anchor leaf's key, now that the 1-to-1 channel is safe.
    ///
    /// # Errors
    ///
    /// [`CallerError::ChannelNotVerified`] while `trust` is pending, [`CallerError::NoAnchorKey`] if there is
    /// none to give, or the pair is another one.
    pub fn give_key(
        self,
        key_pair: &SignatureKeyPair,
        trust: ChannelTrust,
    ) -> Result<(Confirmation, Outbound), Failed<Self>> {
        match self.key_message(key_pair, trust) {
            Ok(message) => {
                let road = self.road.verified(trust);
                let state = Self { road, registration: Registration::NotNeeded, ..self };
                Ok((state.settle(), Outbound { route: Route::OneToOne, message }))
            }
            Err(error) => Err(Failed::new(self, error.into())),
        }
    }

    fn key_message(
        &self,
        key_pair: &SignatureKeyPair,
        trust: ChannelTrust,
    ) -> Result<Secret, CallerError> {
        if trust == ChannelTrust::Pending {
            return Err(CallerError::ChannelNotVerified);
        }
        let announced = Mode::Hidden { anchor_key: key_pair.public_key.clone() };
        if !self.withholds_key() || *self.terms().mode() != announced {
            return Err(CallerError::NoAnchorKey);
        }
        let private_key = Secret::copy_of(key_pair.private_key.expose());
        Ok(InitPairing::of(self.terms(), private_key).message()?)
    }

    /// Receives the anchor leaf's key, which the initiator hands over once its user has compared the digits.
    ///
    /// Returns the next state and the key pair. `is_pair` is as for
    /// [`Seeded::receive_init`](super::Seeded::receive_init).
    ///
    /// # Errors
    ///
    /// [`PeerError`], whose variants name the cause: other terms than were announced, another way, another
    /// sender, or no key that fits.
    pub fn receive_key(
        self,
        source: Source<'_>,
        message: &[u8],
        is_pair: impl FnOnce(CipherSuite, &SignatureKeyPair) -> bool,
    ) -> Result<(Confirmation, SignatureKeyPair), Failed<Self>> {
        match self.try_receive_key(source, message, is_pair) {
            Ok((road, key_pair)) => {
                let state = Self { road, registration: Registration::NotNeeded, ..self };
                Ok((state.settle(), key_pair))
            }
            Err(error) => Err(Failed::new(self, error)),
        }
    }

    fn try_receive_key(
        &self,
        source: Source<'_>,
        bytes: &[u8],
        is_pair: impl FnOnce(CipherSuite, &SignatureKeyPair) -> bool,
    ) -> Result<(Road, SignatureKeyPair), PairingError> {
        let message = match self.agreement.decode(bytes)? {
            PairingMessage::InitPairing(message) if self.awaits_key() => message,
            other => return Err(super::out_of_order(&other, StateName::Invited)),
        };
        if message.terms().map_err(PeerError::from)? != *self.terms() {
            return Err(PeerError::TermsDiffer.into());
        }
        let road = match check_hidden(self.terms(), source)? {
            ChannelTrust::Pending => self.road,
            trust => self.road.verified(trust),
        };
        match message.key_pair {
            Some(pair) if is_pair(self.terms().roster().suite(), &pair) => Ok((road, pair)),
            _ => Err(PeerError::KeyPairMismatch.into()),
        }
    }

    /// This device's Accept, for every partner. May be made and sent any number of times.
    ///
    /// # Errors
    ///
    /// [`CallerError::NotRegistered`] before the directory has accepted, [`CallerError::NoAnchorKey`] before
    /// the shared leaf's key was handed over,
    /// [`CallerError::ChannelNotVerified`] before the digits were compared, or the vault's error.
    pub fn accept(&self, vault: &Vault) -> Result<Outbound, PairingError> {
        match self.registration {
            Registration::Awaited => return Err(CallerError::NotRegistered.into()),
            Registration::KeyAwaited => return Err(CallerError::NoAnchorKey.into()),
            Registration::NotNeeded | Registration::Confirmed => {}
        }
        self.road.check()?;
        self.agreement.accept(vault)
    }

    /// Receives a partner's Accept, the directory's, or a CeasePair.
    ///
    /// Returns the next state and what to send. An Accept that came before is accepted again.
    ///
    /// # Errors
    ///
    /// [`PeerError::WrongTag`], [`PeerError::Reflected`] and [`PeerError::ForeignDevice`] for an
    /// Accept that no partner made for this device, [`PeerError::OtherRequest`] if the directory
    /// accepted something else, [`PeerError::OutOfOrder`] for another message.
    pub fn receive(
        self,
        vault: &Vault,
        source: Source<'_>,
        message: &[u8],
    ) -> Result<(Confirmation, Vec<Outbound>), Failed<Self>> {
        match self.check(vault, source, message) {
            Ok(Checked::Accepted(device)) => {
                let mut state = self;
                state.accepted.insert(device);
                Ok((state.settle(), Vec::new()))
            }
            Ok(Checked::Registered) => {
                let state = Self { registration: Registration::Confirmed, ..self };
                Ok((state.settle(), Vec::new()))
            }
            Ok(Checked::Ended(ceasing, send)) => Ok((Confirmation::Ending(ceasing.settle()), send)),
            Err(error) => Err(Failed::new(self, error)),
        }
    }

    fn check(
        &self,
        vault: &Vault,
        source: Source<'_>,
        bytes: &[u8],
    ) -> Result<Checked, PairingError> {
        match self.agreement.decode(bytes)? {
            PairingMessage::Accept(accept) => {
                self.agreement.verify_accept(vault, &accept)?;
                Ok(Checked::Accepted(accept.device))
            }
            PairingMessage::DirectoryAccept(accept) => {
                self.check_directory(source, &accept)?;
                Ok(Checked::Registered)
            }
            PairingMessage::CeasePair(cease) => {
                let (ceasing, send) = Ceasing::after_cease_pair(vault, &self.agreement, &cease)?;
                Ok(Checked::Ended(Box::new(ceasing), send))
            }
            other => Err(super::out_of_order(&other, StateName::Invited)),
        }
    }

    fn check_directory(
        &self,
        source: Source<'_>,
        accept: &DirectoryAccept,
    ) -> Result<(), PairingError> {
        if !matches!(source, Source::Directory) {
            return Err(PeerError::WrongWay {
                message: MessageType::DirectoryAccept,
                way: source.way(),
                rule: WayRule::DirectoryOnly,
            }
            .into());
        }
        let asked = matches!(self.registration, Registration::Awaited | Registration::Confirmed);
        let own = request_hash(self.terms()).map_err(CallerError::from)?;
        if !asked || accept.request_hash != own {
            return Err(PeerError::OtherRequest.into());
        }
        Ok(())
    }

    /// Paired, if nothing is missing any more.
    fn settle(self) -> Confirmation {
        let complete = self.waiting_for().is_empty()
            && matches!(self.registration, Registration::NotNeeded | Registration::Confirmed)
            && self.road.check().is_ok();
        if complete {
            Confirmation::Paired(Paired { agreement: self.agreement })
        } else {
            Confirmation::Waiting(self)
        }
    }

    /// Whether the seed came over a channel that nobody has looked at yet: anybody can send such a one.
    pub(in crate::pairing) fn is_unverified(&self) -> bool {
        self.road == Road::OneToOne(ChannelTrust::Pending) && !self.is_initiator()
    }

    /// Whether a 1-to-1 channel is part of it.
    pub(in crate::pairing) fn has_channel(&self) -> bool {
        self.road != Road::Offline || matches!(self.terms().mode(), Mode::Hidden { .. })
    }

    /// CeasePair for the partners that may count on this device already, since it has given its Accept.
    pub(in crate::pairing) fn take_back(
        &self,
        vault: &Vault,
    ) -> Result<Option<Outbound>, PairingError> {
        match self.accept(vault) {
            Ok(_) => Ok(Some(Ceasing::begin(vault, &self.agreement)?.1)),
            Err(PairingError::Caller(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Gives up: the digits differ, or the user said no. Erases the tape.
    ///
    /// # Errors
    ///
    /// The vault's; then the tape may still be there.
    pub fn abandon(self, vault: &Vault) -> Result<Unpaired, Failed<Self>> {
        match vault.erase(&RecordName::Pairing(self.agreement.pairing_id())) {
            Ok(()) => Ok(Unpaired { own: self.agreement.own_party() }),
            Err(error) => Err(Failed::new(self, error.into())),
        }
    }
}

/// A message that has passed every check.
enum Checked {
    Accepted(DeviceId),
    Registered,
    Ended(Box<Ceasing>, Vec<Outbound>),
}

impl Agreement {
    /// ```text
    /// tag = ExpandWithLabel(accept_secret, "accept tag", transcript_hash || device, Nh)
    /// ```
    pub(super) fn accept(&self, vault: &Vault) -> Result<Outbound, PairingError> {
        let tag = self.tag(vault, &self.input(TagPurpose::Accept))?;
        let accept = Accept { pairing_id: self.pairing_id(), device: self.own(), tag };
        Ok(Outbound {
            route: Route::Partners(self.partners()),
            message: accept.message().map_err(CallerError::from)?,
        })
    }

    pub(super) fn verify_accept(&self, vault: &Vault, accept: &Accept) -> Result<(), PairingError> {
        let input = self.input(TagPurpose::Accept);
        self.verify(vault, MessageType::Accept, accept.device, &input, &accept.tag)
    }
}
