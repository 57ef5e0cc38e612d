//! The tape of a group: its lanes are opened one by one, each by its device.
//!
//! A device that pairs in a group takes nothing from the pairing's tape. When it first commits from the
//! tape there, it takes the next value of *its own* lane of the pairing's tape, and from it comes its
//! lane of the group's tape. So groups in which nobody commits cost nothing, and the others are counted
//! in order, which a punctured tree stores in a few nodes, however many there are.
//!
//! ```text
//! notify_secret' = ExpandWithLabel(notify_secret, "group", group_id, Nh)
//! accept_secret' = ExpandWithLabel(accept_secret, "group", group_id, Nh)
//!
//! opening  = take(device, position)                              // of the pairing's tape
//! lane     = ExpandWithLabel(opening, "lane", group_id, Nh)      // the node of depth 16 above all of
//!                                                                // the device's indices
//! ```
//!
//! The position goes with each Notify, so that the devices need not agree on it before.

use std::collections::BTreeMap;

use super::{DeviceId, Index, Spot, Staged, Tape, TapeError, TapeValue, pprf::Pprf};
use crate::Secret;

/// The opening of every lane of the tape that KeyPackages come from: it is reserved, so that nobody
/// has to be told.
pub(crate) const PACKAGES_OPENING: u64 = 0;

/// The first position of the pairing's tape that opens a lane in a group.
pub const FIRST_OPENING: u64 = 1;

/// How far a device skips ahead on the pairing's tape where its vault, or a partner's, may be an older
/// copy: to the next multiple above. More lanes than a device opens between a backup and its return.
pub const SKIPPED_OPENINGS: u64 = 1 << 24;

/// How many openings are tried on a commit whose Notify has not come: of those that come next, of those
/// that were passed over, and after each of as many skips.
const TRIED_OPENINGS: usize = 32;
const TRIED_SKIPS: u64 = 8;
const TRIED_AFTER_A_SKIP: u64 = 2;

/// What distinguishes the tape of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Lanes {
    /// The openings, on the pairing's tape, of the lanes that are open.
    pub(super) opened: BTreeMap<DeviceId, u64>,
    /// The epoch of the group that this device has reached with this vault.
    pub(super) epoch: u64,
    /// Where the own lane is opened next; ahead, it is opened anew before it is drawn from.
    pub(super) next_opening: NextOpening,
}

/// Where the own lane of a group's tape is opened next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum NextOpening {
    /// At the next position.
    #[default]
    InOrder,
    /// At the next multiple of [`SKIPPED_OPENINGS`].
    Ahead,
}

impl Tape {
    /// The tape of a group, of which no lane is open. Nothing is taken from this one.
    pub(crate) fn group(&self, group_id: &[u8]) -> Result<Self, TapeError> {
        let suite = self.suite;
        let derive = |secret| suite.expand_with_label(secret, "group", group_id, suite.kdf_len());
        Ok(Self {
            suite,
            own: self.own,
            devices: self.devices.clone(),
            next: 0,
            notify_secret: derive(&self.notify_secret)?,
            accept_secret: derive(&self.accept_secret)?,
            pprf: Pprf::empty(suite),
            in_flight: None,
            lanes: Some(Lanes::default()),
        })
    }

    /// The opening of a device's lane of this group's tape; `None` if it is not open.
    pub(crate) fn opening(&self, device: DeviceId) -> Option<u64> {
        self.lanes.as_ref()?.opened.get(&device).copied()
    }

    /// The epoch that was [noted](Tape::note_epoch) last.
    pub(crate) fn epoch(&self) -> u64 {
        self.lanes.as_ref().map_or(0, |lanes| lanes.epoch)
    }

    /// Notes in which epoch of the group this device is. Returns whether that is news. It is an earlier
    /// one if the delivery service was set back, and the device came in again.
    pub(crate) fn note_epoch(&mut self, epoch: u64) -> bool {
        match &mut self.lanes {
            Some(lanes) if lanes.epoch != epoch => {
                lanes.epoch = epoch;
                true
            }
            _ => false,
        }
    }

    /// Makes this device skip ahead on this tape, the pairing's, whichever lane it opens next.
    pub(crate) fn skip_openings(&mut self) {
        self.next = next_skip(self.next.max(FIRST_OPENING)).min(Index::MAX_POSITION + 1);
    }

    /// The same where it is not certain that this vault is an older copy: whoever has a device's keys can raise
    /// that doubt as often as he likes. So nothing changes if no lane was opened since the last skip. Returns
    /// whether it did.
    pub(crate) fn skip_in_doubt(&mut self) -> bool {
        let changes = !self.has_skipped();
        if changes {
            self.skip_openings();
        }
        changes
    }

    /// Whether no lane was opened since the last skip.
    fn has_skipped(&self) -> bool {
        self.next > 0 && self.next.is_multiple_of(SKIPPED_OPENINGS)
    }

    /// Whether this device has handed out `index`, of its own lane, with this vault.
    pub(crate) fn remembers(&self, index: Index) -> bool {
        index.position() < self.next
    }

    pub(super) fn spot(&self, index: Index) -> Spot {
        Spot { opening: self.opening(index.device()).unwrap_or_default(), index }
    }

    /// Where the own lane of `group` is to be opened on this tape, the pairing's.
    pub(crate) fn next_opening(&self, group: &Self) -> Result<Index, TapeError> {
        let next = self.next.max(FIRST_OPENING);
        let next = match group.lanes.as_ref().map(|lanes| lanes.next_opening) {
            Some(NextOpening::Ahead) if !self.has_skipped() => next_skip(next),
            _ => next,
        };
        let index = Index::new(self.own, next).and_then(|index| self.next_held(index));
        index.ok_or(TapeError::LaneExhausted(self.own))
    }

    /// Opens a lane of `group`, the tape of a group, with the value at `at` of this one. What the lane
    /// had of an earlier opening goes.
    pub(crate) fn open_lane(
        &mut self,
        group: &mut Self,
        group_id: &[u8],
        at: Index,
    ) -> Result<(), TapeError> {
        let evaluation = self.evaluate_opening(at)?;
        let device = at.device();
        let root = self.lane_root(&evaluation.value, group_id)?;
        let own = device == self.own;
        if own {
            // What was passed over is never opened.
            let passed = Index::new(device, FIRST_OPENING);
            self.pprf.puncture(evaluation);
            if let Some(first) = passed.filter(|first| *first < at) {
                self.pprf.forget(first.bits(), at.bits())?;
            }
            self.next = self.next.max(at.position() + 1);
            group.next = 0;
        } else {
            self.pprf.puncture(evaluation);
        }
        self.trim(device);
        group.pprf.plant(at.bits(), root);
        let lanes = group.lanes.get_or_insert_default();
        lanes.opened.insert(device, at.position());
        if own {
            lanes.next_opening = NextOpening::InOrder;
        }
        Ok(())
    }

    /// Whether the own lane of this group's tape is open, and not to be opened anew.
    pub(crate) fn may_draw(&self) -> bool {
        let in_order = |lanes: &Lanes| lanes.next_opening == NextOpening::InOrder;
        self.opening(self.own).is_some() && self.lanes.as_ref().is_some_and(in_order)
    }

    /// Makes this device open its lane of this group's tape anew before it draws again, far ahead. What
    /// the lane holds can be read until then. Returns whether that changes anything.
    pub(crate) fn reopen_ahead(&mut self) -> bool {
        let Some(lanes) = &mut self.lanes else { return false };
        std::mem::replace(&mut lanes.next_opening, NextOpening::Ahead) != NextOpening::Ahead
    }

    /// Makes this device skip ahead when it opens its lane of this group's tape, unless it is open.
    pub(crate) fn skip_unless_open(&mut self) -> bool {
        self.opening(self.own).is_none() && self.reopen_ahead()
    }

    /// The value at `spot` of a group's tape whose lane is opened with a value of this one. Nothing
    /// changes.
    pub(crate) fn preview_through(
        &self,
        group_id: &[u8],
        spot: Spot,
    ) -> Result<TapeValue, TapeError> {
        let device = spot.index.device();
        let at = spot.opened_at().filter(|_| self.devices.contains(&device));
        let at = at.ok_or(TapeError::ForeignDevice(device))?;
        let opening = self.evaluate_opening(at)?.value;
        let mut lane = Pprf::empty(self.suite);
        lane.plant(at.bits(), self.lane_root(&opening, group_id)?);
        Ok(TapeValue::new(self.suite, spot, lane.evaluate(spot.index.bits())?.value))
    }

    /// Where a device may have opened a lane that this device does not know of: the positions that come
    /// next, some that were passed over, and some after a skip.
    pub(crate) fn likely_openings(&self, device: DeviceId) -> Vec<u64> {
        let Some(first) = Index::new(device, FIRST_OPENING) else { return Vec::new() };
        let Some(last) = Index::new(device, Index::MAX_POSITION) else { return Vec::new() };
        let from = |first: Index| {
            let next = |index: &Index| {
                self.next_held(Index::new(device, index.position().saturating_add(1))?)
            };
            std::iter::successors(self.next_held(first), next)
        };
        let top = self.pprf.tail(first.bits(), last.bits()).unwrap_or(last.bits());
        let top = Index::from_bytes(top.to_be_bytes());
        let mut found: Vec<_> = from(top).take(TRIED_OPENINGS).map(Index::position).collect();
        found.extend(from(first).take(TRIED_OPENINGS).map(Index::position));
        let skips = (0..TRIED_SKIPS).map(|n| next_skip(top.position()) + n * SKIPPED_OPENINGS);
        found.extend(skips.flat_map(|skip| (0..TRIED_AFTER_A_SKIP).map(move |n| skip + n)));
        let mut seen = std::collections::BTreeSet::new();
        found.retain(|position| *position <= Index::MAX_POSITION && seen.insert(*position));
        found
    }

    /// Gives up the oldest holes of a lane that has more of them than a tape stores.
    pub(super) fn trim(&mut self, device: DeviceId) {
        let Some(first) = Index::new(device, 0) else { return };
        let last = first.bits() | Index::MAX_POSITION;
        // KeyPackages may be the last to come.
        let kept = self.lanes.is_none().then_some(first.bits() | PACKAGES_OPENING);
        self.pprf.trim(first.bits(), last, kept);
    }

    fn evaluate_opening(&self, at: Index) -> Result<super::pprf::Evaluation, TapeError> {
        self.pprf.evaluate(at.bits()).map_err(|error| match error {
            TapeError::Spent => TapeError::OpeningSpent(at),
            other => other,
        })
    }

    fn lane_root(&self, opening: &Secret, group_id: &[u8]) -> Result<Secret, TapeError> {
        Ok(self.suite.expand_with_label(opening, "lane", group_id, self.suite.kdf_len())?)
    }
}

/// The first multiple of [`SKIPPED_OPENINGS`] above a position.
fn next_skip(position: u64) -> u64 {
    (position / SKIPPED_OPENINGS + 1) * SKIPPED_OPENINGS
}

impl Staged {
    /// Where the value lies.
    pub(crate) fn spot(&self) -> Spot {
        self.spot
    }
}
