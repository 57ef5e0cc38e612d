//! What a pairing means in one group: who takes part, how safe each epoch is, and what happened.

pub mod credential;
mod event;
mod identities;
mod pairing;
mod pins;
mod record;
mod refresh;
mod security;
#[cfg(test)]
pub(crate) mod vectors;

pub use self::{
    event::{Act, Event, NotHealed, Oddity},
    identities::{Identities, IdentityRecordError, MAX_UNVERIFIED, Unverified},
    pairing::{PairedDevice, Pairing},
    pins::{MAX_PINS, PinError, PinFirstSeen},
    record::{EpochMark, GroupRecord, GroupRecordError, HealPolicy, PendingCommit, Phase},
    refresh::{RefreshError, RefreshWelcome},
    security::{Authorship, Changed, CommitFacts, EpochSecurity, LeafKey, Occupant, SecurityTable},
};
