//! From a wish to a pairing: seed, request, and the digits that people compare.

use paired_mls::{
    DeviceId as Number, PairingId, Secret,
    pairing::{
        AbandonReason, ChannelTrust, PairingDevice, Party, Request, Roster, Route, ShareRand,
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
    engine::{
        Engine, EngineError, Happening, Report, change::Newcomer, identity::check_key_package,
        item::Item,
    },
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
        let id = self.open_channel(with, pairing, start).await?;
        self.share_rand(&id, pairing, report)?;
        self.ask(pairing, start, report)?;
        self.flush(report).await?;
        self.invitation(pairing)
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
        if start == Start::Hidden {
            self.open_channel(with, pairing, start).await?;
        }
        self.ask(pairing, start, report)?;
        self.flush(report).await?;
        self.invitation(pairing)
    }

    pub(super) fn invitation(&self, pairing: PairingId) -> Result<Invitation, EngineError> {
        let view = self.pairing_view(pairing)?;
        let with = view.with.into_iter().map(|partner| partner.user).collect();
        Ok(Invitation { id: view.id, with, digits: view.digits })
    }

    /// Asks for the pairing at once, so that the digits cover it; nothing is done with the seed before they
    /// are compared. In standard mode the directory is asked. In hidden mode the terms go over the
    /// channel, and the leaf's private key waits for the digits.
    fn ask(
        &self,
        pairing: PairingId,
        start: Start,
        report: &mut Report,
    ) -> Result<(), EngineError> {
        let progress = match start.standard() {
            Some(anchor) => self.book().initiate(pairing, Request::Standard(anchor))?,
            None => {
                let (id, _) = self
                    .channel_of(pairing)?
                    .ok_or_else(|| EngineError::NoPairing(pairing.to_string()))?;
                let suite = self.session.profile().suite;
                let key_pair = generate_signature_key(self.crypto(), suite)?;
                let channel = Channel::load(self.device(), &id)?;
                let channel = channel.one_to_one(ChannelTrust::Pending);
                let request = Request::HiddenAnnounced { key_pair: &key_pair, channel: &channel };
                self.book().initiate(pairing, request)?
            }
        };
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
    /// caller has compared. If they differ, the pairing is given up, also on the other devices.
    pub(crate) async fn confirm_pairing(
        &mut self,
        name: &str,
        digits: Option<&str>,
        report: &mut Report,
    ) -> Result<PairingId, EngineError> {
        self.sync_mailbox(report).await?;
        let (id, record) = self.invited(name)?;
        let pairing = record.pairing.map(PairingId).ok_or(EngineError::NoDigitsYet)?;
        let own = self.digits(&id, &record)?.ok_or(EngineError::NoDigitsYet)?;
        if digits.is_some_and(|digits| only_digits(digits) != only_digits(&own)) {
            self.give_up(pairing, AbandonReason::DigitsDiffer, report)?;
            // What cannot be sent now goes with the next `sync`: the user hears of the digits first.
            let _ = self.flush(report).await;
            return Err(EngineError::DigitsDiffer);
        }
        // The channel's record last: until then this can be done again.
        let progress = self.book().confirm_channel(pairing, ChannelTrust::Compared)?;
        self.follow_up(progress, report)?;
        self.keep_channel(&id, &ChannelRecord { compared: Compared::Equal, ..record })?;
        self.flush(report).await?;
        self.sync_mailbox(report).await?;
        Ok(pairing)
    }

    /// The channel that waits to be compared, by the pairing, or, if there is one only, by nothing. Those
    /// that nobody has asked for anything over yet come last.
    fn invited(&self, name: &str) -> Result<(Vec<u8>, ChannelRecord), EngineError> {
        let (mut open, mut silent) = (Vec::new(), Vec::new());
        for channel in self.channels()? {
            match channel.1.pairing {
                _ if channel.1.compared != Compared::NotYet => {}
                Some(id) if PairingId(id).to_string().starts_with(name) => open.push(channel),
                None if name.is_empty() => silent.push(channel),
                _ => {}
            }
        }
        let mut found = if open.is_empty() { silent } else { open }.into_iter();
        match (found.next(), found.next()) {
            (Some(channel), None) => Ok(channel),
            (Some(_), Some(_)) => Err(EngineError::Ambiguous(name.to_owned())),
            (None, _) => Err(EngineError::NoPairing(name.to_owned())),
        }
    }

    /// Gives up a pairing that has not come about, and tells the other devices. Nothing of it stays.
    pub(super) fn give_up(
        &self,
        pairing: PairingId,
        why: AbandonReason,
        report: &mut Report,
    ) -> Result<(), EngineError> {
        let channel = self.channel_of(pairing)?;
        // Who the partners are is read before the state goes.
        let partners = self.partners_of(pairing).unwrap_or_default();
        let progress = self.book().refuse(pairing, why)?;
        self.device().provider().transaction(|| {
            for outbound in &progress.send {
                match &outbound.route {
                    Route::OneToOne if channel.is_none() => {}
                    Route::Partners(_) => {
                        for (_, to) in &partners {
                            let letter = Item::letter(to.clone(), outbound.message.expose())?;
                            self.enqueue(&letter)?;
                        }
                    }
                    _ => self.post(pairing, outbound)?,
                }
            }
            match &channel {
                Some((id, _)) => self.close_channel(id),
                None => Ok(()),
            }
        })?;
        report.add(Happening::Abandoned { pairing: pairing.to_string() });
        Ok(())
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
