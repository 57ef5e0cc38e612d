//! Coming in from outside, by an external commit (RFC 9420 section 12.4.3.2), in two phases.
//!
//! ```text
//! Group::rejoin  ->  Rejoin: the commit, to the delivery service. Nothing has changed.
//!                      accepted:  confirm; after a restart, enter
//!                      refused:   drop it; the old state, if there is one, goes on
//! ```

use openmls::prelude::MlsGroupJoinConfig;
use paired_mls::Secret;

use super::Group;
use crate::{Device, Error, LeafGroup, Outgoing, PairedGroup, Platform, UsageError};

/// An external commit that waits for the delivery service. Until it is confirmed nothing has changed:
/// this device may still be in the group by its old state, and go on with it.
#[must_use = "deliver the commit, then confirm it"]
pub struct Rejoin {
    outgoing: Outgoing,
    group_info: Vec<u8>,
    config: MlsGroupJoinConfig,
    state: Option<Secret>,
}

impl Rejoin {
    /// What is to be delivered.
    pub fn outgoing(&self) -> &Outgoing {
        &self.outgoing
    }

    /// The MLS state that the commit leads to, for [`Group::enter`]; `None` for a shared leaf, whose commit is made
    /// again from the tape.
    ///
    /// # Security
    ///
    /// Keep it with the MLS state of the device: it is the like of it.
    pub fn state(&self) -> Option<&Secret> {
        self.state.as_ref()
    }

    /// The delivery service has accepted the commit: this device is in the group. Behind a shared leaf it has the
    /// token.
    ///
    /// If the delivery service refuses it, drop this value, and begin again with the GroupInfo of the
    /// epoch that won.
    ///
    /// # Errors
    ///
    /// As [`Group::enter`].
    pub fn confirm<P: Platform>(self, device: &Device<P>) -> Result<Group, Error> {
        let Self { outgoing, group_info, config, state } = self;
        let state = state.as_ref().map(Secret::expose);
        Group::enter(device, &group_info, &outgoing.commit, state, &config)
    }
}

impl Group {
    /// Comes into a group from outside, by an external commit that takes the place of the device's leaf, if it
    /// is there: after a loss of the MLS state, or of too many messages; or, behind a leaf that devices share, to
    /// bring the leaf in.
    ///
    /// If the vault knows this device as paired in the group, and the new leaf shares a subtree
    /// with a partner and no stranger, or if the leaf is shared, this too is a paired commit: it heals the partners.
    ///
    /// # Errors
    ///
    /// [`PeerError`](crate::PeerError) for a GroupInfo that is damaged, forged, of a reserved group identifier, or
    /// carries no ratchet tree, and [`PeerError::Identity`](crate::PeerError::Identity) under a strict credential
    /// policy; [`Error::Guard`], [`Error::Vault`], [`Error::Mls`], [`Error::Storage`].
    pub fn rejoin<P: Platform>(
        device: &Device<P>,
        group_info: &[u8],
        config: &MlsGroupJoinConfig,
    ) -> Result<Rejoin, Error> {
        let (outgoing, state) = match device.shared_leaf() {
            Some(pairing) => (LeafGroup::rejoin(device, pairing, group_info, config)?, None),
            None => {
                let (outgoing, state) = PairedGroup::rejoin(device, group_info, config)?;
                (outgoing, Some(state))
            }
        };
        let (group_info, config) = (group_info.to_vec(), config.clone());
        Ok(Rejoin { outgoing, group_info, config, state })
    }

    /// Comes into a group by an external commit that the delivery service has accepted: its own, for which `state`
    /// is what [`Rejoin::state`] gave; or, behind a shared leaf, that of any device of the pairing. `group_info` is
    /// the GroupInfo of the epoch that the commit ended. An old state of the group is erased.
    ///
    /// [`Rejoin::confirm`] does so without a restart in between.
    ///
    /// # Errors
    ///
    /// [`UsageError::OtherRejoin`] if the state is not the one that the commit leads to, or missing. Behind a shared
    /// leaf [`PeerError::NotFromTheTape`](crate::PeerError::NotFromTheTape) if no device of the pairing has made the
    /// commit, [`PeerError::Differs`](crate::PeerError::Differs), and [`UsageError::OtherCredential`] if its leaf is
    /// of another user. [`PeerError`](crate::PeerError), [`Error::Vault`], [`Error::Storage`]: nothing is lost, call
    /// it again.
    pub fn enter<P: Platform>(
        device: &Device<P>,
        group_info: &[u8],
        commit: &[u8],
        state: Option<&[u8]>,
        config: &MlsGroupJoinConfig,
    ) -> Result<Self, Error> {
        match device.shared_leaf() {
            Some(pairing) => {
                LeafGroup::enter(device, pairing, group_info, commit, config).map(Self::from)
            }
            None => {
                let state = state.ok_or(UsageError::OtherRejoin)?;
                PairedGroup::enter(device, group_info, commit, state).map(Self::from)
            }
        }
    }
}
