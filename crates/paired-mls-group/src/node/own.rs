//! What an encrypted message of the own leaf is, of which MLS lets its sender read nothing.

use alloc::vec::Vec;

use paired_mls::{
    GroupRecord, Vault,
    wire::{ContentType, MlsMessage},
};

use super::Paired;
use crate::{Error, PeerError};

/// An encrypted message from the own leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnPrivate {
    /// The own commit that waits.
    Pending,
    /// A commit of the current epoch that this device has not made.
    Forged,
    /// An application message or a proposal, or of an epoch that is over.
    Other,
}

impl OwnPrivate {
    /// Tells it, in this group and epoch. `waiting` hashes the message if an own commit waits, and is `None` if none does.
    ///
    /// # Errors
    ///
    /// [`PeerError::Message`] for what is no MLS message; [`Error::Vault`], and that of `waiting`.
    pub fn of(
        vault: &Vault,
        paired: Option<&Paired>,
        (group_id, epoch): (&[u8], u64),
        message: &[u8],
        waiting: Option<impl FnOnce() -> Result<Vec<u8>, Error>>,
    ) -> Result<Self, Error> {
        let is_commit = match MlsMessage::decode(message).map_err(PeerError::message)? {
            MlsMessage::Framed(header) => {
                header.content_type() == ContentType::COMMIT && header.epoch() == epoch
            }
            _ => false,
        };
        if !is_commit {
            return Ok(Self::Other);
        }
        let Some(hash) = waiting else {
            return Ok(Self::Forged);
        };
        match paired {
            Some(Paired { record: GroupRecord { pending, .. }, .. }) => match pending {
                Some(pending) if pending.hash == hash()? => Ok(Self::Pending),
                _ => Ok(Self::Forged),
            },
            None => Ok(match vault.is_own_commit(group_id, &hash()?)? {
                Some(true) => Self::Pending,
                Some(false) => Self::Forged,
                // Made before commits were noted.
                None => Self::Other,
            }),
        }
    }
}
