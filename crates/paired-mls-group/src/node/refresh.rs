//! Whose leaf is to be renewed, and by which KeyPackage.

use alloc::vec::Vec;

use paired_mls::{
    DeviceId, EpochSecurity, Phase,
    group::Occupant,
    leaf::LeafPackage,
    wire::{LeafNode, LeafNodeSource},
};

use super::{Paired, Proposals, device_of};
use crate::{
    Error, Library, Outgoing, ThisDevice, UsageError,
    packages::{self, OVERLAP, Window, covered},
};

/// How long before its end a leaf is renewed also if that gains little, in seconds: a day.
const LAST_CALL: u64 = 24 * 60 * 60;

/// Until when a partner can be kept in a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Provision {
    /// The partner.
    pub device: DeviceId,
    /// The end of its leaf, in seconds since 1970; `None` if the partner has renewed it by a commit.
    pub leaf_until: Option<u64>,
    /// How long its KeyPackages here renew it without a gap, in seconds since 1970; the end of the leaf, or the
    /// present, if there are none.
    pub until: u64,
    /// Whether a renewed leaf would be under the anchor, as the tree is now.
    pub place: Place,
}

/// Where a renewed leaf would be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Under the anchor.
    UnderTheAnchor,
    /// Elsewhere: a blank leaf lies left of it. The leaf cannot be renewed.
    Elsewhere,
}

/// The first commit that is made of these KeyPackages, which are [overdue](Paired::overdue). One that has no place, or
/// that the partner has made wrongly, does not keep the others from being renewed.
///
/// # Errors
///
/// Those of `refresh`, but for [`Error::Usage`] and [`Error::Peer`].
pub fn first_renewal(
    overdue: Vec<LeafPackage>,
    mut refresh: impl FnMut(&[u8]) -> Result<Outgoing, Error>,
) -> Result<Option<Outgoing>, Error> {
    for package in overdue {
        match refresh(&package.key_package) {
            Err(Error::Usage(_) | Error::Peer(_)) => {}
            made => return made.map(Some),
        }
    }
    Ok(None)
}

impl Paired {
    /// The partner that a KeyPackage with this leaf is of.
    ///
    /// # Errors
    ///
    /// [`UsageError::NotAPartner`], [`UsageError::DeviceNotInGroup`], [`UsageError::OtherCredential`].
    pub fn partner<L: Library>(
        &self,
        device: &ThisDevice<'_, L>,
        group: &L::Group,
        new: &LeafNode,
    ) -> Result<DeviceId, UsageError> {
        let partner = device_of(&self.record, new.signature_key())
            .filter(|_| new.signature_key() != device.signature_key)
            .ok_or(UsageError::NotAPartner)?;
        let seat = self.standing.leaf_of(partner).ok_or(UsageError::DeviceNotInGroup(partner))?;
        let old = device.library.leaf(group, seat);
        match old.is_some_and(|old| old.credential() == new.credential()) {
            true => Ok(partner),
            false => Err(UsageError::OtherCredential),
        }
    }

    /// Refuses a leaf refresh while the pairing is ending.
    ///
    /// # Errors
    ///
    /// [`UsageError::Ceasing`].
    pub fn require_active(&self) -> Result<(), UsageError> {
        match self.record.phase {
            Phase::Active => Ok(()),
            Phase::Ceasing => Err(UsageError::Ceasing),
        }
    }

    /// The KeyPackages that are at hand, for a refresh of a weakened partner, or of one whose leaf somebody else has.
    ///
    /// # Errors
    ///
    /// [`Error::Vault`], [`Error::LeafRecord`].
    pub fn renewals<L: Library>(
        &self,
        device: &ThisDevice<'_, L>,
        group: &L::Group,
    ) -> Result<Vec<LeafPackage>, Error> {
        let security = &self.record.security;
        let weakened = security.iter().filter(|(of, epoch)| {
            *epoch == EpochSecurity::Weakened || security.occupant(*of) == Some(Occupant::Impostor)
        });
        let weakened: Vec<_> = weakened.map(|(of, _)| of).collect();
        let mut at_hand = self.packages(device, group)?;
        at_hand.retain(|package| weakened.contains(&package.index.device()));
        Ok(at_hand.into_iter().filter(|package| is_current(device, package)).collect())
    }

    /// The KeyPackages by which the leaves of partners are renewed now, because those end: for each partner the one that
    /// lasts longest, first for the partner whose leaf ends first. It depends on nothing but the state and the time, and not
    /// on the [`HealPolicy`](paired_mls::HealPolicy).
    ///
    /// ```text
    /// due   no pairing that ends, the partner has not renewed its leaf by a commit, and
    ///       the leaf ends within 14 days, and a KeyPackage at hand lasts for 14 days longer; or
    ///       the leaf ends within a day, or has ended, and a KeyPackage at hand lasts longer
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Vault`], [`Error::LeafRecord`].
    pub fn overdue<L: Library>(
        &self,
        device: &ThisDevice<'_, L>,
        group: &L::Group,
    ) -> Result<Vec<LeafPackage>, Error> {
        if self.record.phase != Phase::Active {
            return Ok(Vec::new());
        }
        let ends_before = |time: u64| {
            let ends = self.ends(device, group).into_iter();
            ends.filter(move |(_, end)| *end <= device.now.saturating_add(time))
        };
        // Most of the time no leaf ends soon, and the vault is not asked.
        if ends_before(OVERLAP).next().is_none() {
            return Ok(Vec::new());
        }
        let at_hand = self.packages(device, group)?;
        let mut due = Vec::new();
        for (partner, end) in ends_before(OVERLAP) {
            let gain = match end <= device.now.saturating_add(LAST_CALL) {
                true => 1,
                false => OVERLAP,
            };
            let of_it = at_hand.iter().filter(|package| package.index.device() == partner);
            let current = of_it.filter(|package| is_current(device, package));
            let until = |package: &LeafPackage| Window::of_package(package).map(|at| at.not_after);
            let best = current
                .filter(|package| until(package) >= Some(end.saturating_add(gain)))
                .max_by_key(|package| (until(package), core::cmp::Reverse(package.index)));
            due.extend(best.map(|package| (end, package.clone())));
        }
        due.sort_by_key(|(end, _)| *end);
        Ok(due.into_iter().map(|(_, package)| package).collect())
    }

    /// The KeyPackage by which a partner's leaf is renewed for longest now; `None` if none is at hand.
    ///
    /// # Errors
    ///
    /// [`Error::Vault`], [`Error::LeafRecord`].
    pub fn renewal_of<L: Library>(
        &self,
        device: &ThisDevice<'_, L>,
        group: &L::Group,
        partner: DeviceId,
    ) -> Result<Option<LeafPackage>, Error> {
        let at_hand = self.packages(device, group)?.into_iter();
        let of_it = at_hand.filter(|at| at.index.device() == partner && is_current(device, at));
        Ok(of_it.max_by_key(|at| {
            (Window::of_package(at).map(|at| at.not_after), core::cmp::Reverse(at.index))
        }))
    }

    /// Until when the KeyPackages at hand keep each partner in the group. `sharing` is the number of groups that are
    /// renewed by the same ones.
    ///
    /// # Errors
    ///
    /// [`Error::Vault`], [`Error::LeafRecord`], [`Error::Mls`], [`Error::Locate`].
    pub fn provisions<L: Library>(
        &self,
        device: &ThisDevice<'_, L>,
        group: &L::Group,
        sharing: usize,
    ) -> Result<Vec<Provision>, Error> {
        let (at_hand, ends) = (self.packages(device, group)?, self.ends(device, group));
        let partners = self.standing.seats.iter().filter(|(_, leaf)| *leaf != self.standing.own);
        let mut provisions = Vec::new();
        for (partner, seat) in partners {
            let leaf_until = ends.iter().find(|(of, _)| of == partner).map(|(_, end)| *end);
            let mut of_it = at_hand.clone();
            of_it.retain(|package| package.index.device() == *partner);
            let from = leaf_until.unwrap_or(device.now);
            // A leaf that has ended is renewed at once by what is current.
            let until = covered(&of_it, from.max(device.now), sharing, device.now);
            let until = if until > device.now { until } else { from };
            let keys = self.record.devices.iter().find(|paired| paired.device == *partner);
            let mut proposals = Proposals::of([], self.standing.own);
            proposals.add(keys.map(|paired| &*paired.signature_key).unwrap_or_default());
            proposals.remove(*seat);
            let place = match self.require_place(&proposals, *partner) {
                Ok(()) => Place::UnderTheAnchor,
                Err(Error::Usage(UsageError::RefreshPlace)) => Place::Elsewhere,
                Err(error) => return Err(error),
            };
            provisions.push(Provision { device: *partner, leaf_until, until, place });
        }
        Ok(provisions)
    }

    /// The ends of the leaves of partners that came in by a KeyPackage and were not renewed by a commit since.
    fn ends<L: Library>(
        &self,
        device: &ThisDevice<'_, L>,
        group: &L::Group,
    ) -> Vec<(DeviceId, u64)> {
        let partners = self.standing.seats.iter().filter(|(_, leaf)| *leaf != self.standing.own);
        let end = |leaf: LeafNode| match leaf.source() {
            LeafNodeSource::KeyPackage(lifetime) => Some(lifetime.not_after()),
            _ => None,
        };
        let ends =
            partners.filter_map(|(of, seat)| Some((*of, end(device.library.leaf(group, *seat)?)?)));
        ends.collect()
    }

    /// What is at hand of the partners, for a commit in this group.
    fn packages<L: Library>(
        &self,
        device: &ThisDevice<'_, L>,
        group: &L::Group,
    ) -> Result<Vec<LeafPackage>, Error> {
        let group_id = device.library.group_id(group);
        packages::usable(device.vault, self.record.tape.pairing, group_id, device.now)
    }
}

/// Whether a KeyPackage can be used now: by the clock of this device, and by that of its library.
fn is_current<L: Library>(device: &ThisDevice<'_, L>, package: &LeafPackage) -> bool {
    let mut clocks = core::iter::once(device.now).chain(device.library.clock());
    Window::of_package(package).is_some_and(|window| clocks.all(|time| window.contains(time)))
}
