//! Whom a commit of this device reaches, and when one that heals is due.

use alloc::vec::Vec;

use paired_mls::{
    CipherSuite, DeviceId, EpochSecurity, GroupRecord, HealPolicy, Phase,
    anchor::Anchor,
    pairing::{PairedSignal, SignalPolicy},
};

use super::{Paired, Proposals, Standing};
use crate::{Error, UsageError};

/// Whom a commit reaches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Aim {
    /// `None` if it has no partner to notify.
    pub anchor: Option<Anchor>,
    /// The devices that it heals, those with new leaves among them.
    pub heals: Vec<DeviceId>,
}

impl Paired {
    /// Whom a commit with these proposals reaches, which `renews` the leaves of some devices.
    ///
    /// # Errors
    ///
    /// [`Error::Mls`], [`Error::Locate`].
    pub fn aim(&self, proposals: &Proposals<'_>, renews: &[DeviceId]) -> Result<Aim, Error> {
        if self.record.phase == Phase::Ceasing {
            return Ok(Aim::default());
        }
        let (after, added) = proposals.apply(&self.standing, &self.record)?;
        let anchor = after.anchorage(self.standing.own, &added)?.anchor().cloned();
        let covered = anchor.as_ref().map(Anchor::covered).unwrap_or_default();
        let followers = covered.iter().filter(|leaf| !added.contains(leaf));
        let mut heals: Vec<_> = followers.filter_map(|leaf| after.device_at(*leaf)).collect();
        heals.extend(renews);
        heals.sort_unstable();
        Ok(Aim { anchor, heals })
    }

    /// Refuses a leaf refresh of `partner` whose new leaf would not lie under the anchor.
    ///
    /// # Errors
    ///
    /// [`UsageError::RefreshPlace`]; [`UsageError::DeviceNotInGroup`] if the proposals do not add it;
    /// [`Error::Mls`], [`Error::Locate`].
    pub fn require_place(&self, proposals: &Proposals<'_>, partner: DeviceId) -> Result<(), Error> {
        let (after, added) = proposals.apply(&self.standing, &self.record)?;
        let place = after.leaf_of(partner).ok_or(UsageError::DeviceNotInGroup(partner))?;
        let anchorage = after.anchorage(self.standing.own, &added)?;
        let covered = anchorage.anchor().map(Anchor::covered).unwrap_or_default();
        if covered.contains(&place) { Ok(()) } else { Err(UsageError::RefreshPlace.into()) }
    }

    /// How to heal now; [`HealPolicy::Manual`] if nothing is to be done. `aim` says whom a commit would reach
    /// that does nothing else.
    ///
    /// It is decided from the state, not from what has just happened: a commit that lost its race, or died
    /// with the process, is due again.
    ///
    /// ```text
    /// due   the policy is AtOnce or Refresh, no commit waits, and
    ///       a device is exposed or weakened that a commit of this device heals: a partner below the anchor
    ///       as the tree is now, or this device itself
    /// ```
    ///
    /// A partner that no commit of this device can heal, by its place or because the pairing is ending, makes
    /// none due; nor does a commit that has healed whom it could. So there is no loop.
    ///
    /// # Errors
    ///
    /// That of `aim`.
    pub fn due(&self, aim: impl FnOnce() -> Result<Aim, Error>) -> Result<HealPolicy, Error> {
        let Self { record, standing } = self;
        if record.phase != Phase::Active || record.heal_policy == HealPolicy::Manual {
            return Ok(HealPolicy::Manual);
        }
        let own = standing.device_at(standing.own);
        let aim = aim()?;
        let unsafe_now = (record.security.iter())
            .filter(|(_, security)| !matches!(security, EpochSecurity::Secure(_)))
            .any(|(device, _)| own == Some(device) || aim.heals.contains(&device));
        Ok(if unsafe_now { record.heal_policy } else { HealPolicy::Manual })
    }

    /// What the group is told of a commit of this device that heals these, if it is told. `standing` is that
    /// of the epoch that the commit ends, or of the one that an external commit creates.
    ///
    /// # Errors
    ///
    /// [`UsageError::Signal`].
    pub fn signal(
        record: &GroupRecord,
        standing: &Standing,
        suite: CipherSuite,
        heals: &[DeviceId],
    ) -> Result<Option<PairedSignal>, UsageError> {
        match (record.signal, record.phase, standing.device_at(standing.own)) {
            (SignalPolicy::Announce, Phase::Active, Some(own)) => {
                Ok(Some(PairedSignal::of(suite, &record.devices, own, heals)?))
            }
            _ => Ok(None),
        }
    }
}
