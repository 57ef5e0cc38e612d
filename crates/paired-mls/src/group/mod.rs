//! What a pairing means in one group: who takes part, how safe each epoch is, and what happened.

mod event;
mod pairing;
mod record;
mod security;

pub use self::{
    event::Event,
    pairing::{PairedDevice, Pairing},
    record::{GroupRecord, GroupRecordError, HealPolicy, PendingCommit, Phase},
    security::{CommitFacts, EpochSecurity, LeafKey, SecurityTable},
};
