//! Proposals in the name of a device that it does not make.

use alloc::{vec, vec::Vec};

use paired_mls::{DeviceId, Event, group::Act};

use super::Paired;
use crate::{Proposal, Proposed};

impl Paired {
    /// The alarm about a proposal that the device in whose name it is does not make, and the pairing
    /// after it; `None` for any other proposal. `waiting` are those that are known already.
    pub fn usurped_by(
        &self,
        proposed: &Proposed,
        waiting: impl IntoIterator<Item = Vec<u8>>,
    ) -> Option<(Vec<Event>, Self)> {
        let device = self.seat_of(proposed)?;
        let is_own = self.standing.device_at(self.standing.own) == Some(device);
        let is_known = || waiting.into_iter().any(|reference| reference == proposed.reference);
        let act = match proposed.proposal {
            Proposal::Update(_) => Act::UpdateProposed,
            _ if is_own && !is_known() => Act::Proposal,
            _ => return None,
        };
        let mut record = self.record.clone();
        let changed = record.security.usurp(device);
        let mut events = vec![Event::Impostor { device, act }];
        let changed = changed.filter(|(_, from, to)| from.name() != to.name());
        events.extend(changed.map(|(device, from, to)| Event::SecurityChanged {
            device,
            from,
            to,
        }));
        Some((events, Self { record, standing: self.standing.clone() }))
    }

    /// Whether a commit of this device leaves a proposal out: an Update in the seat of a device of the pairing.
    /// None of them makes such, so that it is of somebody who has its signature key.
    pub fn leaves_out(&self, proposed: &Proposed) -> bool {
        matches!(proposed.proposal, Proposal::Update(_)) && self.seat_of(proposed).is_some()
    }

    /// The device of the pairing in whose seat a proposal was made.
    fn seat_of(&self, proposed: &Proposed) -> Option<DeviceId> {
        self.standing.device_at(proposed.member()?)
    }
}
