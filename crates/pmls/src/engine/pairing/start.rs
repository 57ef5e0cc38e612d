//! From a wish to a pairing: seed, request, and the digits that people compare.

use paired_mls::{
    DeviceId as Number, PairingId, Secret,
    pairing::{
        BookError, ChannelTrust, PairingDevice, PairingState, Party, Request, Roster, ShareRand,
    },
};
use paired_mls_api::{DeviceId, DeviceView, UserId};
use paired_mls_openmls::{Channel, generate_signature_key};
use serde::Serialize;

use super::{
    Start,
    channel::{ChannelRecord, Compared},
};
use crate::{
    engine::{Engine, EngineError, Report, change::Newcomer, identity::check_key_package},
    output::printable,
};

/// A channel that waits for people to compare digits.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Invitation {
    /// The pairing, once its seed has come; the channel before that.
    pub(crate) id: String,
    pub(crate) with: Vec<String>,
    pub(crate) digits: Option<String>,
}

impl Engine {
    /// Asks other devices to pair: opens a 1-to-1 channel with them and sends a seed that is made now
    /// through it.
    ///
    /// Returns what people have to compare.
    pub(crate) async fn start_pairing(
        &mut self,
        with: &[Newcomer],
        start: Start,
        report: &mut Report,
    ) -> Result<Invitation, EngineError> {
        let pairing = PairingId(self.random()?);
        let (id, digits) = self.open_channel(with, pairing, start).await?;
        self.share_rand(&id, pairing, report)?;
        self.ask_directory(pairing, start, report)?;
        self.flush(report).await?;
        self.invitation(pairing, Some(digits))
    }

    /// Asks for a pairing whose seed is in a file that the other devices have too. In hidden mode a
    /// 1-to-1 channel is opened all the same, for the leaf's key.
    pub(crate) async fn start_with_seed(
        &mut self,
        with: &[Newcomer],
        start: Start,
        seed: &ShareRand,
        report: &mut Report,
    ) -> Result<Invitation, EngineError> {
        let pairing = self.load_seed(seed)?;
        let digits = match start {
            Start::Hidden => Some(self.open_channel(with, pairing, start).await?.1),
            Start::Node | Start::Leaf => None,
        };
        self.ask_directory(pairing, start, report)?;
        self.flush(report).await?;
        self.invitation(pairing, digits)
    }

    pub(super) fn invitation(
        &self,
        pairing: PairingId,
        digits: Option<String>,
    ) -> Result<Invitation, EngineError> {
        let with = self.pairing_view(pairing)?.with.into_iter();
        let with = with.map(|partner| partner.user).collect();
        Ok(Invitation { id: pairing.to_string(), with, digits })
    }

    /// In standard mode the directory is asked at once; nothing is done with the seed before the digits
    /// are compared. In hidden mode a private key goes over the channel, and that waits for them.
    pub(super) fn ask_directory(
        &self,
        pairing: PairingId,
        start: Start,
        report: &mut Report,
    ) -> Result<(), EngineError> {
        let Some(anchor) = start.standard() else { return Ok(()) };
        let progress = self.book().initiate(pairing, Request::Standard(anchor))?;
        self.follow_up(progress, report)
    }

    pub(super) fn share_rand(
        &self,
        id: &[u8],
        pairing: PairingId,
        report: &mut Report,
    ) -> Result<(), EngineError> {
        let suite = self.session.profile().suite;
        let seed = Secret::new(self.random_vec(suite.kdf_len())?);
        let channel = Channel::load(self.device(), id)?.one_to_one(ChannelTrust::Pending);
        let roster = self.roster(pairing, channel.members.clone())?;
        let progress = self.book().share_rand(roster, &seed, &channel)?;
        self.follow_up(progress, report)
    }

    /// This device is number 0, and the others follow in the order of their keys.
    pub(super) fn roster(
        &self,
        pairing: PairingId,
        members: Vec<Party>,
    ) -> Result<Roster, EngineError> {
        let own = self.party();
        let mut others: Vec<_> = members.into_iter().filter(|party| *party != own).collect();
        others.sort();
        let parties = std::iter::once(own).chain(others);
        let devices = (0..).map(Number).zip(parties);
        let devices = devices.map(|(device, party)| PairingDevice { device, party }).collect();
        Ok(Roster::new(pairing, self.session.profile().suite, devices)?)
    }

    /// Makes a seed for a file that goes by hand: it says who is to pair, and holds the seed.
    pub(crate) async fn make_seed(&mut self, with: &[Newcomer]) -> Result<ShareRand, EngineError> {
        let mut parties = Vec::new();
        for partner in with {
            let device = self.look_up(partner).await?;
            parties.push(Party {
                identity: device.user.as_bytes().to_vec(),
                signature_key: device.signature_key.0,
            });
        }
        let suite = self.session.profile().suite;
        let roster = self.roster(PairingId(self.random()?), parties)?;
        Ok(ShareRand {
            pairing_id: roster.pairing_id(),
            cipher_suite: suite.code_point(),
            seed: Secret::new(self.random_vec(suite.kdf_len())?),
            devices: roster.devices().to_vec(),
        })
    }

    /// Takes a seed that came by hand, and waits for the other device to ask.
    pub(crate) fn load_seed(&self, seed: &ShareRand) -> Result<PairingId, EngineError> {
        let progress = self.book().load_seed(seed.roster()?, &seed.seed)?;
        Ok(progress.pairing)
    }

    /// People have compared the digits. `digits` are those that the other device shows; without them the
    /// caller has compared.
    pub(crate) async fn confirm_pairing(
        &mut self,
        name: &str,
        digits: Option<&str>,
        report: &mut Report,
    ) -> Result<PairingId, EngineError> {
        self.sync_mailbox(report).await?;
        let (id, record) = self.invited(name)?;
        if let Some(digits) = digits {
            let own = Channel::load(self.device(), &id)?.digits(self.device())?.to_string();
            if only_digits(digits) != only_digits(&own) {
                self.give_up(&id, &record)?;
                return Err(EngineError::DigitsDiffer);
            }
        }
        let pairing = record.pairing.map(PairingId);
        let pairing = pairing.ok_or_else(|| EngineError::NoPairing(name.to_owned()))?;
        let record = ChannelRecord { compared: Compared::Equal, ..record };
        self.keep_channel(&id, &record)?;
        match self.book().confirm_channel(pairing, ChannelTrust::Compared) {
            Ok(progress) => self.follow_up(progress, report)?,
            // A seed from a file needs no channel.
            Err(BookError::Unfit { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        if record.start == Some(Start::Hidden)
            && matches!(self.book().load(pairing)?, PairingState::Seeded(_))
        {
            let suite = self.session.profile().suite;
            let key_pair = generate_signature_key(self.crypto(), suite)?;
            let channel = Channel::load(self.device(), &id)?.one_to_one(ChannelTrust::Compared);
            let request = Request::Hidden { key_pair: &key_pair, channel: &channel };
            let progress = self.book().initiate(pairing, request)?;
            self.follow_up(progress, report)?;
        }
        self.flush(report).await?;
        self.sync_mailbox(report).await?;
        Ok(pairing)
    }

    /// The channel that waits to be compared, by the pairing, the channel, or, if there is one only, by
    /// nothing.
    pub(super) fn invited(&self, name: &str) -> Result<(Vec<u8>, ChannelRecord), EngineError> {
        let channels = self.channels()?.into_iter();
        let mut open = channels.filter(|(_, record)| {
            let id = record.pairing.map(|id| PairingId(id).to_string()).unwrap_or_default();
            record.compared == Compared::NotYet && id.starts_with(name)
        });
        match (open.next(), open.next()) {
            (Some(channel), None) => Ok(channel),
            (Some(_), Some(_)) => Err(EngineError::Ambiguous(name.to_owned())),
            (None, _) => Err(EngineError::NoPairing(name.to_owned())),
        }
    }

    pub(super) fn give_up(&self, id: &[u8], record: &ChannelRecord) -> Result<(), EngineError> {
        if let Some(pairing) = record.pairing {
            self.book().abandon(PairingId(pairing))?;
        }
        self.close_channel(id)
    }

    pub(super) async fn look_up(&self, newcomer: &Newcomer) -> Result<DeviceView, EngineError> {
        let view = self.user_view(&newcomer.user).await?;
        let own = &self.session.profile().device;
        let mut matching = view.devices.into_iter().filter(|device| {
            let named = newcomer.device.as_deref().unwrap_or_default();
            device.revoked_at.is_none()
                && device.device != *own
                && device.device.to_string().starts_with(named)
        });
        let name = name_of(&newcomer.user);
        match (matching.next(), matching.next()) {
            (Some(device), None) => Ok(device),
            (Some(_), Some(_)) => Err(EngineError::SeveralDevices(name)),
            (None, _) => Err(EngineError::NoDevice(name)),
        }
    }

    pub(super) async fn claim_one(
        &self,
        newcomer: &Newcomer,
    ) -> Result<(DeviceId, Vec<u8>), EngineError> {
        let wanted = self.look_up(newcomer).await?;
        let suite = self.session.profile().suite.code_point();
        let package = self.client()?.claim(&wanted.device, suite).await?;
        let name = name_of(&newcomer.user);
        let package = package.ok_or(EngineError::NoKeyPackage(name, suite))?;
        let view = self.user_view(&newcomer.user).await?;
        check_key_package(&package, &wanted, &view, suite)?;
        Ok((wanted.device, package))
    }
}

fn name_of(user: &UserId) -> String {
    printable(user.as_bytes())
}

fn only_digits(text: &str) -> String {
    text.chars().filter(char::is_ascii_digit).collect()
}
