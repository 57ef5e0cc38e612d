//! What a commit is to do, as a person says it.

use paired_mls::{DeviceId as Number, anchor::LeafIndex};
use paired_mls_api::UserId;

/// What a commit is to do.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    /// Nothing but new keys: it heals whom it can.
    Update,
    /// Add these devices of users; all of a user that have a KeyPackage, if no device is named.
    Add(Vec<Newcomer>),
    /// Remove these members.
    Remove(Vec<Target>),
    /// Renew the whole leaf of a partner, with a KeyPackage from the tape.
    Refresh(Number),
}

/// A member that is to be removed. Its leaf alone would not say who: if another commit wins first, somebody
/// else may sit there.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) leaf: LeafIndex,
    pub(crate) signature_key: Vec<u8>,
    pub(crate) name: String,
}

/// Who is to be added.
#[derive(Clone, Debug)]
pub(crate) struct Newcomer {
    pub(crate) user: UserId,
    pub(crate) device: Option<String>,
}
