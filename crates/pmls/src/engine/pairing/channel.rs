//! The 1-to-1 channel of a pairing, and what this device knows of it.

use paired_mls::{
    PairingId,
    pairing::{BookError, ChannelTrust, PairingState, Party},
};
use paired_mls_api::DeviceId;
use paired_mls_openmls::Channel;
use serde::{Deserialize, Serialize};

use super::Start;
use crate::{
    engine::{Engine, EngineError, change::Newcomer, item::Item},
    output::printable,
};

/// What the identifiers of 1-to-1 channels begin with: a device tells them from its groups.
pub(in crate::engine) const CHANNEL_PREFIX: &[u8] = b"PMLS 02 channel ";

/// What this device knows of a 1-to-1 channel.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::engine) struct ChannelRecord {
    pub(super) members: Vec<Member>,
    pub(super) pairing: Option<[u8; 16]>,
    /// What is to be asked for over it, if this device has opened it.
    pub(super) start: Option<Start>,
    pub(super) compared: Compared,
    #[serde(default)]
    pub(super) told: Told,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Member {
    identity: Vec<u8>,
    signature_key: Vec<u8>,
}

/// Whether the digits were compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Compared {
    NotYet,
    Equal,
}

/// Whether the user of this device, which was asked, has been told of the pairing and its digits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Told {
    #[default]
    NotYet,
    Told,
}

impl ChannelRecord {
    pub(super) fn opened(channel: &Channel, pairing: PairingId, start: Start) -> Self {
        Self { pairing: Some(pairing.0), start: Some(start), ..Self::joined(channel) }
    }

    pub(in crate::engine) fn joined(channel: &Channel) -> Self {
        let member =
            |party: Party| Member { identity: party.identity, signature_key: party.signature_key };
        let members = channel.members().into_iter().map(member).collect();
        let (compared, told) = (Compared::NotYet, Told::NotYet);
        Self { members, pairing: None, start: None, compared, told }
    }

    pub(in crate::engine) fn of(&self, pairing: PairingId) -> Self {
        Self { pairing: Some(pairing.0), ..self.clone() }
    }

    pub(in crate::engine) fn trust(&self) -> ChannelTrust {
        match self.compared {
            Compared::NotYet => ChannelTrust::Pending,
            Compared::Equal => ChannelTrust::Compared,
        }
    }

    /// Who else is in it, for people.
    pub(in crate::engine) fn others(&self, own: &Party) -> Vec<String> {
        let others = self.members.iter().filter(|member| member.signature_key != own.signature_key);
        others.map(|member| printable(&member.identity)).collect()
    }

    /// Whether its digits wait to be compared on this device, which was asked.
    pub(super) fn is_offer(&self) -> bool {
        self.compared == Compared::NotYet && self.start.is_none()
    }

    /// The users that are in it besides this device's, as they say themselves.
    pub(super) fn users(&self, own: &Party) -> Vec<&[u8]> {
        let others = self.members.iter().filter(|member| member.signature_key != own.signature_key);
        others.map(|member| member.identity.as_slice()).collect()
    }

    pub(super) fn parties(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.members.iter().map(|member| (&member.identity[..], &member.signature_key[..]))
    }
}

impl Engine {
    pub(in crate::engine) fn keep_channel(
        &self,
        id: &[u8],
        record: &ChannelRecord,
    ) -> Result<(), EngineError> {
        self.store().keep_channel(id, &serde_json::to_string(record)?, self.now())
    }

    pub(in crate::engine) fn channel_record(
        &self,
        id: &[u8],
    ) -> Result<Option<ChannelRecord>, EngineError> {
        Ok(self.channels()?.into_iter().find(|(known, _)| known == id).map(|(_, record)| record))
    }

    pub(super) fn channels(&self) -> Result<Vec<(Vec<u8>, ChannelRecord)>, EngineError> {
        let mut channels = Vec::new();
        for (id, record) in self.store().channels()? {
            channels.push((id, serde_json::from_str(&record)?));
        }
        Ok(channels)
    }

    pub(super) fn channel_of(
        &self,
        pairing: PairingId,
    ) -> Result<Option<(Vec<u8>, ChannelRecord)>, EngineError> {
        let channels = self.channels()?;
        Ok(channels.into_iter().find(|(_, record)| record.pairing == Some(pairing.0)))
    }

    pub(super) async fn open_channel(
        &mut self,
        with: &[Newcomer],
        pairing: PairingId,
        start: Start,
    ) -> Result<Vec<u8>, EngineError> {
        let mut packages = Vec::new();
        let mut partners = Vec::new();
        for partner in with {
            let (device, package) = self.claim_one(partner).await?;
            partners.push(device);
            packages.push(package);
        }
        let id = [CHANNEL_PREFIX, &self.random::<16>()?].concat();
        self.device().provider().transaction(|| {
            let (channel, welcome) = Channel::open(self.device(), &id, &packages)?;
            self.keep_channel(&id, &ChannelRecord::opened(&channel, pairing, start))?;
            for partner in &partners {
                self.enqueue(&Item::letter(partner.clone(), &welcome)?)?;
            }
            Ok::<_, EngineError>(())
        })?;
        Ok(id)
    }

    /// The digits that wait to be compared. They cover the channel and the transcript of the pairing, so
    /// there are none before this device has seed and request.
    pub(super) fn digits(
        &self,
        id: &[u8],
        record: &ChannelRecord,
    ) -> Result<Option<String>, EngineError> {
        let (Some(pairing), Compared::NotYet) = (record.pairing, record.compared) else {
            return Ok(None);
        };
        match self.book().load(PairingId(pairing)) {
            Ok(PairingState::Invited(invited)) => {
                let channel = Channel::load(self.device(), id)?;
                let digits = channel.digits_of(self.device(), invited.transcript())?;
                Ok(Some(digits.to_string()))
            }
            Ok(_) | Err(BookError::NoSuchPairing(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) fn addresses(&self, record: &ChannelRecord) -> Result<Vec<DeviceId>, EngineError> {
        let own = self.device().signature_key();
        let scheme = self.scheme()?;
        let others = record.members.iter().filter(|member| member.signature_key != own);
        Ok(others.map(|member| DeviceId::of_key(scheme, &member.signature_key)).collect())
    }

    pub(in crate::engine) fn close_channel(&self, id: &[u8]) -> Result<(), EngineError> {
        if let Ok(channel) = Channel::load(self.device(), id) {
            channel.close(self.device())?;
        }
        self.store().forget_channel(id)
    }
}
