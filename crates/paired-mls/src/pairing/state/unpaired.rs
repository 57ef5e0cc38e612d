//! Before a pairing.

use super::{Road, Seeded};
use crate::{
    DeviceId, Secret, Seed, TapeError, Vault,
    pairing::{
        channel::{OneToOne, Outbound, Route, Source},
        error::{CallerError, Failed, PairingError, PeerError, StateName, WayRule},
        messages::{Body, MessageType, PairingMessage, ShareRand},
        terms::{Party, Roster},
    },
};

/// A device that knows who it is, and nothing of a pairing yet.
///
/// This type makes it impossible to confirm, or to end, a pairing that nobody has begun. A device in
/// several pairings has one state for each.
///
/// The step from here puts the tape into the vault and then gives the state to store. A device that
/// died in between is told [`VaultError::Exists`](crate::VaultError::Exists): it erases
/// [`RecordName::Pairing`](crate::RecordName::Pairing), which nobody has used yet, and the devices
/// begin again with another identifier.
#[derive(Debug, PartialEq, Eq)]
pub struct Unpaired {
    pub(super) own: Party,
}

impl Unpaired {
    /// A device with its identity and public signature key, as in its MLS credential.
    pub fn new(own: Party) -> Self {
        Self { own }
    }

    /// This device.
    pub fn party(&self) -> &Party {
        &self.own
    }

    /// Takes a seed that the user brought on hardware: the recommended road, with
    /// [`Unpaired::receive_share_rand`] from [`Source::Offline`] for a file.
    ///
    /// `seed` is Nh random bytes, the same on all devices; the caller erases them.
    ///
    /// # Errors
    ///
    /// [`CallerError::NotListed`], [`CallerError::Seed`], or the vault's error, among them
    /// [`VaultError::Exists`](crate::VaultError::Exists) for a pairing that it holds already.
    pub fn load_seed(
        self,
        vault: &Vault,
        roster: Roster,
        seed: &Secret,
    ) -> Result<Seeded, Failed<Self>> {
        match self.check_listed(&roster).and_then(|own| create(vault, &roster, own, seed)) {
            Ok(own) => Ok(Seeded { own, roster, road: Road::Offline }),
            Err(error) => Err(Failed::new(self, error)),
        }
    }

    /// Sends a seed to the other devices over the 1-to-1 channel.
    ///
    /// `seed` is Nh bytes from the caller's random number generator; the caller erases them.
    ///
    /// Returns the state and ShareRand. The seed is nowhere else afterwards: if the message is lost,
    /// begin again with another pairing identifier and seed.
    ///
    /// # Errors
    ///
    /// [`CallerError::ChannelMembers`] if anybody else is in the channel; otherwise as
    /// [`Unpaired::load_seed`].
    ///
    /// # Security
    ///
    /// The pairing is as good as the channel. Prefer the offline road.
    pub fn share_rand(
        self,
        vault: &Vault,
        roster: Roster,
        seed: &Secret,
        channel: &OneToOne,
    ) -> Result<(Seeded, Outbound), Failed<Self>> {
        match self.try_share(vault, &roster, seed, channel) {
            Ok((own, message)) => {
                let road = Road::OneToOne(channel.trust);
                let outbound = Outbound { route: Route::OneToOne, message };
                Ok((Seeded { own, roster, road }, outbound))
            }
            Err(error) => Err(Failed::new(self, error)),
        }
    }

    fn try_share(
        &self,
        vault: &Vault,
        roster: &Roster,
        seed: &Secret,
        channel: &OneToOne,
    ) -> Result<(DeviceId, Secret), PairingError> {
        let own = self.check_listed(roster)?;
        if !channel.is_of(roster) {
            return Err(CallerError::ChannelMembers.into());
        }
        let message = ShareRand {
            pairing_id: roster.pairing_id(),
            cipher_suite: roster.suite().code_point(),
            seed: Secret::copy_of(seed.expose()),
            devices: roster.devices().to_vec(),
        };
        let message = message.message().map_err(CallerError::from)?;
        Ok((create(vault, roster, own, seed)?, message))
    }

    /// Receives the seed: over the 1-to-1 channel, or as an offline file with the same content.
    ///
    /// # Errors
    ///
    /// [`PeerError::WrongWay`] for a seed that came any other way, [`PeerError::ChannelMembers`] if
    /// anybody else is in the channel, [`PeerError::NotListed`] if this device is not meant,
    /// [`PeerError::OutOfOrder`] for another message, which may be given again later, and
    /// [`VaultError::Exists`](crate::VaultError::Exists) for a replay.
    pub fn receive_share_rand(
        self,
        vault: &Vault,
        source: Source<'_>,
        message: &[u8],
    ) -> Result<Seeded, Failed<Self>> {
        match self.try_receive(vault, source, message) {
            Ok(seeded) => Ok(seeded),
            Err(error) => Err(Failed::new(self, error)),
        }
    }

    fn try_receive(
        &self,
        vault: &Vault,
        source: Source<'_>,
        bytes: &[u8],
    ) -> Result<Seeded, PairingError> {
        let message = match PairingMessage::decode(bytes).map_err(PeerError::from)? {
            PairingMessage::ShareRand(message) => message,
            PairingMessage::Unknown { message_type, .. } => {
                return Err(PeerError::UnknownMessage(message_type).into());
            }
            other => return Err(super::out_of_order(&other, StateName::Unpaired)),
        };
        let roster = message.roster().map_err(PeerError::from)?;
        let own = roster.number_of(&self.own).ok_or(PeerError::NotListed)?;
        let road = match source {
            Source::Offline => Road::Offline,
            Source::OneToOne { channel, .. } if !channel.is_of(&roster) => {
                return Err(PeerError::ChannelMembers.into());
            }
            Source::OneToOne { sender, .. } if *sender == self.own => {
                return Err(PeerError::Reflected(MessageType::ShareRand).into());
            }
            Source::OneToOne { channel, .. } => Road::OneToOne(channel.trust),
            Source::Directory | Source::Relay => {
                return Err(PeerError::WrongWay {
                    message: MessageType::ShareRand,
                    way: source.way(),
                    rule: WayRule::Seed,
                }
                .into());
            }
        };
        let own = create(vault, &roster, own, &message.seed).map_err(|error| match error {
            PairingError::Caller(CallerError::Seed(length)) => PeerError::Seed(length).into(),
            other => other,
        })?;
        Ok(Seeded { own, roster, road })
    }

    fn check_listed(&self, roster: &Roster) -> Result<DeviceId, PairingError> {
        Ok(roster.number_of(&self.own).ok_or(CallerError::NotListed)?)
    }
}

/// Creates the tape in the vault; everything else has been checked.
fn create(
    vault: &Vault,
    roster: &Roster,
    own: DeviceId,
    seed: &Secret,
) -> Result<DeviceId, PairingError> {
    let seed = Seed::new(roster.suite(), Secret::copy_of(seed.expose()))
        .map_err(|error: TapeError| CallerError::Seed(error))?;
    vault.create(roster.suite(), seed, roster.pairing_id(), &roster.numbers(), own)?;
    Ok(own)
}
