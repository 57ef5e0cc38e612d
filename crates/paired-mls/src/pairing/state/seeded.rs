//! The tape is in the vault; nobody has asked for the pairing yet.

use super::{Agreement, Invited, Road, Unpaired, invited::Registration};
use crate::{
    CipherSuite, DeviceId, PairingId, RecordName, Secret, Vault,
    pairing::{
        channel::{ChannelTrust, OneToOne, Outbound, Route, Source},
        error::{CallerError, Failed, PairingError, PeerError, StateName, WayRule},
        messages::{Body, InitPairing, MessageType, PairingMessage},
        terms::{AnchorKind, Mode, Roster, SignatureKeyPair, Terms},
    },
};

/// A device that has the seed in its vault, as a tape, and waits for the request.
///
/// This type makes it impossible to ask for a pairing before this device can confirm it.
#[derive(Debug, PartialEq, Eq)]
pub struct Seeded {
    pub(super) own: DeviceId,
    pub(super) roster: Roster,
    pub(super) road: Road,
}

/// What the initiator asks for.
#[derive(Clone, Copy, Debug)]
pub enum Request<'a> {
    /// Standard mode: the directory ties the devices' signature keys to the anchor.
    Standard(AnchorKind),
    /// Hidden mode: the devices share the anchor leaf and its signature key.
    Hidden {
        /// The anchor leaf's.
        key_pair: &'a SignatureKeyPair,
        /// The channel that the key will go over.
        channel: &'a OneToOne,
    },
    /// The same where people have not compared the digits yet, which are to cover the terms: the public
    /// key goes now, and the private one with [`Invited::give_key`].
    HiddenAnnounced {
        /// The anchor leaf's.
        key_pair: &'a SignatureKeyPair,
        /// The channel that the key will go over.
        channel: &'a OneToOne,
    },
}

/// What an invited device does with a request that it has received.
#[derive(Debug)]
#[must_use]
pub enum Joined {
    /// Standard mode.
    Standard {
        /// The next state.
        state: Invited,
        /// This device's own request, equal to the initiator's.
        request: Outbound,
    },
    /// Hidden mode, without the key yet: [`Invited::receive_key`].
    Announced {
        /// The next state.
        state: Invited,
    },
    /// Hidden mode.
    Hidden {
        /// The next state.
        state: Invited,
        /// The anchor leaf's key pair. Store it beside the tape before this device confirms:
        /// Accept says that the keys are provisioned.
        key_pair: SignatureKeyPair,
    },
}

impl Seeded {
    /// The pairing.
    pub fn pairing_id(&self) -> PairingId {
        self.roster.pairing_id()
    }

    /// This device's number in the pairing.
    pub fn own_device(&self) -> DeviceId {
        self.own
    }

    /// Whether the seed came over a channel that nobody has looked at yet: anybody can send such a one.
    pub(in crate::pairing) fn is_unverified(&self) -> bool {
        self.road == Road::OneToOne(ChannelTrust::Pending)
    }

    /// Whether the seed came over a 1-to-1 channel.
    pub(in crate::pairing) fn has_channel(&self) -> bool {
        self.road != Road::Offline
    }

    /// The devices and the cipher suite.
    pub fn roster(&self) -> &Roster {
        &self.roster
    }

    /// Notes that the 1-to-1 channel is safe. Without effect for a seed that came offline.
    pub fn confirm_channel(self, trust: ChannelTrust) -> Self {
        Self { road: self.road.verified(trust), ..self }
    }

    /// Asks for the pairing, as its initiator.
    ///
    /// Returns the state and InitPairing: to the directory in standard mode, over the 1-to-1 channel
    /// in hidden mode.
    ///
    /// # Errors
    ///
    /// [`TermsError::HiddenAcrossIdentities`](crate::pairing::TermsError) for hidden mode between two
    /// users; [`CallerError::ChannelNotVerified`] and [`CallerError::ChannelMembers`] for a private
    /// key that would go over a channel that nobody has verified, or to someone else.
    pub fn initiate(self, request: Request<'_>) -> Result<(Invited, Outbound), Failed<Self>> {
        match self.try_initiate(request) {
            Ok(done) => Ok(done),
            Err(error) => Err(Failed::new(self, error.into())),
        }
    }

    fn try_initiate(&self, request: Request<'_>) -> Result<(Invited, Outbound), CallerError> {
        match request {
            Request::Standard(anchor) => {
                let terms = Terms::new(self.roster.clone(), self.own, Mode::Standard(anchor))?;
                self.request(terms)
            }
            Request::HiddenAnnounced { key_pair, channel } => {
                let terms = self.hidden_terms(key_pair, channel)?;
                let message = InitPairing::of(&terms, Secret::copy_of(&[])).message()?;
                let state = Invited::new(self.own, terms, self.road, Registration::KeyAwaited)?;
                Ok((state, Outbound { route: Route::OneToOne, message }))
            }
            Request::Hidden { key_pair, channel } => {
                let terms = self.hidden_terms(key_pair, channel)?;
                if channel.trust == ChannelTrust::Pending {
                    return Err(CallerError::ChannelNotVerified);
                }
                let private_key = Secret::copy_of(key_pair.private_key.expose());
                let message = InitPairing::of(&terms, private_key).message()?;
                let road = self.road.verified(channel.trust);
                let state = Invited::new(self.own, terms, road, Registration::NotNeeded)?;
                Ok((state, Outbound { route: Route::OneToOne, message }))
            }
        }
    }

    fn hidden_terms(
        &self,
        key_pair: &SignatureKeyPair,
        channel: &OneToOne,
    ) -> Result<Terms, CallerError> {
        let mode = Mode::Hidden { anchor_key: key_pair.public_key.clone() };
        let terms = Terms::new(self.roster.clone(), self.own, mode)?;
        if channel.is_of(&self.roster) { Ok(terms) } else { Err(CallerError::ChannelMembers) }
    }

    /// The own request of standard mode.
    fn request(&self, terms: Terms) -> Result<(Invited, Outbound), CallerError> {
        let message = InitPairing::of(&terms, Secret::copy_of(&[])).message()?;
        let state = Invited::new(self.own, terms, self.road, Registration::Awaited)?;
        Ok((state, Outbound { route: Route::Directory, message }))
    }

    /// Receives the initiator's request: standard mode from the directory, which holds it until all
    /// devices have asked for the same; hidden mode over the 1-to-1 channel.
    ///
    /// `is_pair` tells, with the signature library of the application, whether a private key belongs
    /// to its public key: sign and verify something.
    ///
    /// # Errors
    ///
    /// [`PeerError`], whose variants name the cause: a request that came the wrong way, is about other
    /// devices than the seed came with, would join two users in hidden mode, or lacks the key pair.
    pub fn receive_init(
        self,
        source: Source<'_>,
        message: &[u8],
        is_pair: impl FnOnce(CipherSuite, &SignatureKeyPair) -> bool,
    ) -> Result<Joined, Failed<Self>> {
        match self.try_receive(source, message, is_pair) {
            Ok(joined) => Ok(joined),
            Err(error) => Err(Failed::new(self, error)),
        }
    }

    fn try_receive(
        &self,
        source: Source<'_>,
        bytes: &[u8],
        is_pair: impl FnOnce(CipherSuite, &SignatureKeyPair) -> bool,
    ) -> Result<Joined, PairingError> {
        let message = match super::decode_for(self.pairing_id(), bytes)? {
            PairingMessage::InitPairing(message) => message,
            other => return Err(super::out_of_order(&other, StateName::Seeded)),
        };
        let terms = message.terms().map_err(PeerError::from)?;
        if *terms.roster() != self.roster {
            return Err(PeerError::RosterDiffers.into());
        }
        if terms.initiator() == self.own {
            return Err(PeerError::Reflected(MessageType::InitPairing).into());
        }
        match (terms.mode(), message.key_pair) {
            (Mode::Hidden { .. }, Some(key_pair)) => {
                let road = match check_hidden(&terms, source)? {
                    ChannelTrust::Pending => self.road,
                    trust => self.road.verified(trust),
                };
                if key_pair.private_key.expose().is_empty() {
                    let state = Invited::new(self.own, terms, road, Registration::KeyAwaited)?;
                    return Ok(Joined::Announced { state });
                }
                if !is_pair(self.roster.suite(), &key_pair) {
                    return Err(PeerError::KeyPairMismatch.into());
                }
                let state = Invited::new(self.own, terms, road, Registration::NotNeeded)?;
                Ok(Joined::Hidden { state, key_pair })
            }
            _ => {
                if !matches!(source, Source::Directory) {
                    return Err(wrong_way(source, WayRule::Standard).into());
                }
                let (state, request) = self.request(terms)?;
                Ok(Joined::Standard { state, request })
            }
        }
    }

    /// Gives up: the digits differ, or the user said no. Erases the tape.
    ///
    /// # Errors
    ///
    /// The vault's; then the tape may still be there.
    pub fn abandon(self, vault: &Vault) -> Result<Unpaired, Failed<Self>> {
        match vault.erase(&RecordName::Pairing(self.pairing_id())) {
            Ok(()) => Ok(Unpaired { own: super::record::own_party(&self.roster, self.own) }),
            Err(error) => Err(Failed::new(self, error.into())),
        }
    }
}

/// Hidden mode: over the 1-to-1 channel of these devices, and from the initiator itself.
pub(super) fn check_hidden(terms: &Terms, source: Source<'_>) -> Result<ChannelTrust, PeerError> {
    let Source::OneToOne { channel, sender } = source else {
        return Err(wrong_way(source, WayRule::Hidden));
    };
    if !channel.is_of(terms.roster()) {
        return Err(PeerError::ChannelMembers);
    }
    if terms.roster().party(terms.initiator()) != Some(sender) {
        return Err(PeerError::NotFromInitiator(terms.initiator()));
    }
    Ok(channel.trust)
}

fn wrong_way(source: Source<'_>, rule: WayRule) -> PeerError {
    PeerError::WrongWay { message: MessageType::InitPairing, way: source.way(), rule }
}

impl Invited {
    fn new(
        own: DeviceId,
        terms: Terms,
        road: Road,
        registration: Registration,
    ) -> Result<Self, CallerError> {
        Ok(Self {
            agreement: Agreement::new(own, terms)?,
            road,
            registration,
            accepted: Default::default(),
        })
    }
}
