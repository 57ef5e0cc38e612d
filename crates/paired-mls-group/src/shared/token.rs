//! Who may send application messages from a shared leaf.
//!
//! ```text
//!   wants to send                                     has the token
//!      │ ── ask_token: TokenWanted ──────────────────────► │  sends what it has to send
//!      │ ◄───────────────────── give_token: TokenGiven ──  │  and from here on nothing
//!      │ ── update: a commit of its own ─────────────────► │
//!   has the token
//! ```
//!
//! Only the last arrow moves the token. The others are a courtesy: nothing that the partner sends comes
//! too late for the others then. A device whose partner does not answer commits all the same, after a
//! time of its own choosing.

use paired_mls::{DeviceId, leaf::LeafRecord};

use crate::UsageError;

/// The device that may send in `epoch`; `None` if none may, until one of them commits.
pub fn token(record: &LeafRecord, epoch: u64) -> Option<DeviceId> {
    let speaker = record.speaker.filter(|speaker| speaker.since <= epoch);
    speaker.map(|speaker| speaker.device)
}

/// Refuses unless the device `own` has the token in `epoch`.
fn require_token(record: &LeafRecord, epoch: u64, own: DeviceId) -> Result<(), UsageError> {
    match token(record, epoch) {
        holder if holder == Some(own) => Ok(()),
        holder => Err(UsageError::TokenElsewhere(holder)),
    }
}

/// Refuses unless the device `own` may send in `epoch`: it has the token, and has not given it away.
///
/// # Errors
///
/// [`UsageError::TokenElsewhere`], [`UsageError::TokenGiven`].
pub fn require_speech(record: &LeafRecord, epoch: u64, own: DeviceId) -> Result<(), UsageError> {
    require_token(record, epoch, own)?;
    match record.given {
        Some(_) => Err(UsageError::TokenGiven),
        None => Ok(()),
    }
}

/// Gives the token away in `epoch`.
///
/// # Errors
///
/// [`UsageError::TokenElsewhere`] if the device `own` does not have it.
pub fn give_token(record: &mut LeafRecord, epoch: u64, own: DeviceId) -> Result<(), UsageError> {
    require_token(record, epoch, own)?;
    record.given.get_or_insert(epoch);
    Ok(())
}
