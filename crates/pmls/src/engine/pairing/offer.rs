//! Offers to pair: anybody can make them, so they are checked, bounded, and end.
//!
//! ```text
//! a Welcome into a 1-to-1 channel ─► the directory knows each member as who it says that it is
//!   ─► at most MAX_OF_ONE offers of one user, MAX in all; each ends after AGE
//!      where there is no room, the oldest of the user with the most offers goes
//! ```

use std::{collections::BTreeMap, time::Duration};

use paired_mls::{PairingId, pairing::PairingState};
use paired_mls_api::{DeviceId, UserId};
use paired_mls_openmls::Channel;

use super::channel::{ChannelRecord, Told};
use crate::{
    engine::{Engine, EngineError, Happening, Report, store::seconds},
    output::printable,
};

/// How many pairings may wait for their digits to be compared.
const MAX: usize = 16;
/// How many of them with one user.
const MAX_OF_ONE: usize = 4;
/// How long they wait.
const AGE: Duration = Duration::from_secs(7 * 24 * 60 * 60);

impl Engine {
    /// Somebody has opened a 1-to-1 channel with this device.
    pub(in crate::engine) async fn offered(&mut self, welcome: &[u8]) -> Result<(), EngineError> {
        let id = self.device().provider().transaction(|| {
            let channel = Channel::join(self.device(), welcome)?;
            self.keep_channel(channel.id(), &ChannelRecord::joined(&channel))?;
            Ok::<_, EngineError>(channel.id().to_vec())
        })?;
        let Some(record) = self.channel_record(&id)? else { return Ok(()) };
        match self.are_who_they_say(&record).await {
            Ok(()) => {}
            // Nobody knows now: the Welcome cannot be used twice, so the offer stays, and the digits decide.
            Err(error) if error.is_local() => {}
            Err(error) => {
                self.close_channel(&id)?;
                return Err(error);
            }
        }
        self.make_room_for_offer(&id)
    }

    /// Tells of an offer, once its digits can be shown: they cover what is asked for.
    pub(super) fn tell_of_offer(
        &self,
        pairing: PairingId,
        report: &mut Report,
    ) -> Result<(), EngineError> {
        let Some((id, record)) = self.channel_of(pairing)? else { return Ok(()) };
        if !record.is_offer() || record.told == Told::Told {
            return Ok(());
        }
        if let Some(digits) = self.digits(&id, &record)? {
            let by = record.others(&self.party());
            self.keep_channel(&id, &ChannelRecord { told: Told::Told, ..record })?;
            report.add(Happening::PairingOffered { by, digits });
        }
        Ok(())
    }

    /// Asks the directory about each member of a channel.
    async fn are_who_they_say(&mut self, record: &ChannelRecord) -> Result<(), EngineError> {
        let scheme = self.scheme()?;
        let members: Vec<_> = record
            .parties()
            .map(|(user, key)| (user.to_vec(), DeviceId::of_key(scheme, key)))
            .collect();
        for (user, device) in members {
            let owner = self.owner_of(&device).await?;
            if owner.as_ref().map(UserId::as_bytes) != Some(user.as_slice()) {
                return Err(EngineError::Impostor { says: printable(&user), device });
            }
        }
        Ok(())
    }

    /// The newest offer stays.
    fn make_room_for_offer(&mut self, newest: &[u8]) -> Result<(), EngineError> {
        self.end_old_offers()?;
        let own = self.party();
        loop {
            let mut offers = BTreeMap::<Vec<u8>, Vec<(Vec<u8>, ChannelRecord)>>::new();
            for (id, record) in self.channels()?.into_iter().filter(|(_, r)| r.is_offer()) {
                let user = record.users(&own).first().map(|user| user.to_vec());
                offers.entry(user.unwrap_or_default()).or_default().push((id, record));
            }
            let all: usize = offers.values().map(Vec::len).sum();
            let Some(most) = offers.into_values().max_by_key(Vec::len) else { return Ok(()) };
            if most.len() <= MAX_OF_ONE && all <= MAX {
                return Ok(());
            }
            let oldest = most.into_iter().find(|(id, _)| id != newest);
            let Some((id, record)) = oldest else { return Ok(()) };
            self.drop_offer(&id, &record)?;
        }
    }

    /// Offers that nobody has answered end by themselves.
    pub(in crate::engine) fn end_old_offers(&mut self) -> Result<(), EngineError> {
        let before = seconds(self.now()).saturating_sub(seconds_of(AGE));
        let old = self.store().channels_before(u64::try_from(before).unwrap_or_default())?;
        for id in old {
            if let Some(record) = self.channel_record(&id)?.filter(ChannelRecord::is_offer) {
                self.drop_offer(&id, &record)?;
            }
        }
        Ok(())
    }

    fn drop_offer(&self, id: &[u8], record: &ChannelRecord) -> Result<(), EngineError> {
        if let Some(pairing) = record.pairing.map(PairingId) {
            match self.book().load(pairing) {
                Ok(PairingState::Paired(_) | PairingState::Ceasing(_)) | Err(_) => {}
                Ok(_) => self.book().abandon(pairing)?,
            }
        }
        self.close_channel(id)
    }
}

fn seconds_of(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}
