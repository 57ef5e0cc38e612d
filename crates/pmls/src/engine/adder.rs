//! Who puts this device into groups that its user knows nothing of, and into how many.
//!
//! ```text
//! who puts this device in                        of one    while there are fewer in all than
//! a device of the user, or of a partner          any number: its user knows of the group
//! a member of a group that the user knows        4         32
//! anybody else                                   4         24
//! ```
//!
//! All whom the directory does not know count as one. The further one is refused; what the device is in stays. A group
//! is known once the user has named it in a command, or a partner has committed in it.

use std::fmt;

use paired_mls::pairing::PairingState;
use paired_mls_api::{GroupId, UserId};
use paired_mls_openmls::{Error, Group as MlsPaired, UsageError};
use serde::Serialize;

use super::{Engine, EngineError, Happening, Report, Store, leaf::terms_of};
use crate::{output::printable, session::OwnDevice};

/// In how many groups this device is that its user knows nothing of.
pub(super) const MAX_UNUSED: usize = 32;
/// Of these, how many anybody fills who is in no group that the user knows.
pub(super) const MAX_OF_STRANGERS: usize = 24;
/// Of these, how many one user has put it into.
pub(super) const MAX_OF_ONE: usize = 4;

/// Who puts this device into a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Adder {
    /// The user's own device, or a partner's.
    Own,
    /// A device of this user; `None` if the directory knows no such device.
    Other(Option<UserId>),
}

/// Why there is no room for one more group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Crowded {
    /// The same user has put it into as many as one user may.
    OfOneUser,
    /// Strangers have put it into as many as they may together.
    OfStrangers,
    /// There are as many as may be.
    InAll,
}

impl fmt::Display for Crowded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OfOneUser => write!(f, "it is in {MAX_OF_ONE} groups already by the same user"),
            Self::OfStrangers => write!(
                f,
                "it is in {MAX_OF_STRANGERS} groups already that others have put it into, and the last {} are for \
                 members of groups that you know",
                MAX_UNUSED - MAX_OF_STRANGERS
            ),
            Self::InAll => {
                write!(f, "it is in {MAX_UNUSED} groups already that others have put it into")
            }
        }
    }
}

impl Store<'_> {
    /// What keeps this device out of one more group, if its user does not know whoever puts it in.
    pub(super) fn crowded(
        &self,
        id: &GroupId,
        adder: Option<&UserId>,
    ) -> Result<Option<Crowded>, EngineError> {
        let (all, of_adder) = self.unused_besides(id, adder)?;
        Ok(match (all, of_adder) {
            (_, MAX_OF_ONE..) => Some(Crowded::OfOneUser),
            (MAX_UNUSED.., _) => Some(Crowded::InAll),
            (MAX_OF_STRANGERS.., _) => Some(Crowded::OfStrangers),
            _ => None,
        })
    }
}

impl Engine {
    /// Who has put this device into the group of a Welcome, if it comes into it; what is refused is told.
    pub(super) async fn let_in(
        &mut self,
        device: &OwnDevice,
        (id, welcome): (&GroupId, &[u8]),
        report: &mut Report,
    ) -> Result<Option<Adder>, EngineError> {
        if self.store().is_used(id)? {
            return Ok(Some(Adder::Own));
        }
        let keys = match MlsPaired::welcome_sender(device, welcome) {
            // It is in: the Welcome waits for what the log has to say, and is judged then.
            Err(Error::Usage(UsageError::StillMember)) => return Ok(Some(Adder::Other(None))),
            keys => keys?,
        };
        let user = match self.adder(&keys).await? {
            Adder::Own => return Ok(Some(Adder::Own)),
            Adder::Other(user) => user,
        };
        let crowded = match self.store().crowded(id, user.as_ref())? {
            Some(Crowded::OfStrangers) if self.is_member_somewhere(user.as_ref())? => None,
            crowded => crowded,
        };
        let Some(why) = crowded else { return Ok(Some(Adder::Other(user))) };
        let by = user.map(|user| printable(user.as_bytes()));
        report.add(Happening::GroupRefused { id: id.to_string(), by, why });
        Ok(None)
    }

    /// Whose leaf has these keys, as the directory says: what the leaf says of itself does not count.
    async fn adder(&mut self, keys: &[Vec<u8>]) -> Result<Adder, EngineError> {
        for pairing in self.book().pairings()? {
            let state = self.book().load(pairing)?;
            let is_on = matches!(state, PairingState::Paired(_) | PairingState::Ceasing(_));
            let terms = terms_of(&state).filter(|_| is_on);
            let devices = terms.map(|terms| terms.roster().devices()).unwrap_or_default();
            if devices.iter().any(|device| keys.contains(&device.party.signature_key)) {
                return Ok(Adder::Own);
            }
        }
        let mut found = None;
        for device in self.session.directory().devices(keys) {
            let owner = match self.owner_of(&device).await {
                // Who cannot be asked about now is nobody whom the directory knows.
                Err(error) if error.is_network() => None,
                owner => owner?,
            };
            found = found.or(owner);
        }
        let own = found.as_ref() == Some(&self.session.profile().user);
        Ok(if own { Adder::Own } else { Adder::Other(found) })
    }

    /// Whether a user is a member of a group that the user of this device knows.
    fn is_member_somewhere(&self, user: Option<&UserId>) -> Result<bool, EngineError> {
        let Some(user) = user else { return Ok(false) };
        for row in self.store().groups()? {
            if !row.state.takes_part() || !self.store().is_used(&row.id)? {
                continue;
            }
            let members = self.load(&row)?.identities();
            let names = members.iter().filter_map(|member| member.identity.verified());
            if names.into_iter().any(|name| name.content() == user.as_bytes()) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests;
