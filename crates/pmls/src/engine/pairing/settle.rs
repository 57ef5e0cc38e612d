//! Pairings that have come about are put to use in groups, and those that are over, out of it.

use paired_mls::{
    DeviceId as Number, Event, HealPolicy, PairingId, Phase,
    pairing::{AbandonReason, AnchorKind, PairingState, SignalPolicy, Step, Terms},
};
use paired_mls_openmls::{Footing, PairedGroup};

use super::{channel::ChannelRecord, ending::EndedBy};
use crate::{
    engine::{
        Engine, EngineError, Group, Happening, Membership, Report, item::Item, report::PairingEvent,
    },
    session::OwnDevice,
};

impl Engine {
    /// Puts pairings that have come about to use, and draws nothing more from those that end.
    pub(in crate::engine) fn settle_pairings(
        &mut self,
        report: &mut Report,
    ) -> Result<(), EngineError> {
        self.end_old_offers()?;
        for pairing in self.book().pairings()? {
            match self.book().load(pairing)? {
                PairingState::Paired(paired) => {
                    if let Some((id, _)) = self.channel_of(pairing)? {
                        self.close_channel(&id)?;
                    }
                    match paired.terms().anchor() {
                        AnchorKind::Leaf => self.open_leaf_once(pairing)?,
                        AnchorKind::Node => self.pair_groups(pairing, report)?,
                    }
                }
                PairingState::Ceasing(_) | PairingState::Ceased(_) => self.cease_groups(pairing)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// Takes pairings that are over out of use. Only after all groups have been caught up with: what
    /// partners have sent before they knew needs the tape.
    pub(in crate::engine) fn tidy_up_pairings(
        &self,
        report: &mut Report,
    ) -> Result<(), EngineError> {
        for pairing in self.book().pairings()? {
            if matches!(self.book().load(pairing)?, PairingState::Ceased(_)) {
                self.tidy_up(pairing, report)?;
            }
        }
        Ok(())
    }

    pub(super) fn open_leaf_once(&self, pairing: PairingId) -> Result<(), EngineError> {
        let opened = format!("leaf {pairing}");
        if self.store().cursor(&opened)? > 0 {
            return Ok(());
        }
        self.device().provider().transaction(|| {
            self.open_leaf(pairing)?;
            self.store().set_cursor(&opened, 1)
        })
    }

    /// Uses a pairing at a node in each group that all of its devices are in.
    pub(super) fn pair_groups(
        &self,
        pairing: PairingId,
        report: &mut Report,
    ) -> Result<(), EngineError> {
        let terms = self.terms(pairing)?;
        for row in self.store().groups()? {
            if row.state != Membership::Active || row.pairing.is_some() {
                continue;
            }
            let mut group = self.load(&row)?;
            let all = has_all(&group, &terms);
            let pending = group.has_pending();
            let used = group.any_pairing();
            if !all || pending || used == Some(pairing) {
                continue;
            }
            let pairing_id = pairing.to_string();
            if let Some(other) = used {
                if self.is_news(&format!("unused {pairing} {}", row.id))? {
                    let (group, instead) = (row.name.clone(), other.to_string());
                    report.add(Happening::NotUsedIn { group, pairing: pairing_id, instead });
                }
                continue;
            }
            let Some(footing) = group.pair(&terms.pairing())? else { continue };
            let group = row.name.clone();
            let names = terms.roster().devices().len();
            let left_out = match footing {
                Footing::Whole => Vec::new(),
                Footing::Shrunk { left_out } => left_out.iter().map(|device| device.0).collect(),
                Footing::Suspended | Footing::Alone => {
                    let own = self.own_number(&terms);
                    let devices = terms.roster().devices().iter().map(|device| device.device);
                    devices.filter(|device| Some(*device) != own).map(|device| device.0).collect()
                }
            };
            let happening = match left_out.len() + 1 < names {
                true => Happening::PairedIn { group, pairing: pairing_id, left_out },
                false => Happening::PairedApart { group, pairing: pairing_id },
            };
            report.add(happening);
        }
        Ok(())
    }

    /// The pairings that a commit of this device would heal by, and does not: all of their devices are in
    /// the group, which uses another one.
    pub(in crate::engine) fn unused(
        &self,
        group: &Group,
        events: &[Event],
    ) -> Result<Vec<PairingEvent>, EngineError> {
        let Some(used) = group.pairing().filter(|_| group.shared().is_none()) else {
            return Ok(Vec::new());
        };
        let own = group.own_number()?;
        let is_own = |event: &Event| match event {
            Event::Healed { by, .. } | Event::NotHealed { by, .. } => Some(*by) == own,
            _ => false,
        };
        if !events.iter().any(is_own) {
            return Ok(Vec::new());
        }
        let mut unused = Vec::new();
        for pairing in self.book().pairings()? {
            let PairingState::Paired(paired) = self.book().load(pairing)? else { continue };
            let terms = paired.terms();
            if pairing != used && terms.anchor() == AnchorKind::Node && has_all(group, terms) {
                unused.push(PairingEvent::PairingUnused { pairing: pairing.to_string() });
            }
        }
        Ok(unused)
    }

    pub(in crate::engine) fn groups_of(
        &self,
        pairing: PairingId,
    ) -> Result<Vec<Group>, EngineError> {
        let mut groups = Vec::new();
        for row in self.store().groups()? {
            if !row.state.takes_part() {
                continue;
            }
            let group = self.load(&row)?;
            if group.any_pairing() == Some(pairing) {
                groups.push(group);
            }
        }
        Ok(groups)
    }

    pub(super) fn cease_groups(&self, pairing: PairingId) -> Result<(), EngineError> {
        let mut groups = self.groups_of(pairing)?;
        let mut failed = None;
        // One that fails stops no other.
        for group in groups.iter_mut().filter(|group| group.phase() == Some(Phase::Active)) {
            if let Err(error) = group.cease() {
                failed.get_or_insert(error);
            }
        }
        failed.map_or(Ok(()), |error| Err(error.into()))
    }

    /// Gives up a pairing that has not come about, and tells its devices; without a name, also offers that have not even sent
    /// a seed.
    pub(crate) async fn abandon_pairing(
        &mut self,
        name: &str,
        report: &mut Report,
    ) -> Result<(), EngineError> {
        let silent = |record: &ChannelRecord| record.pairing.is_none();
        if name.is_empty() {
            for (id, _) in self.channels()?.into_iter().filter(|(_, record)| silent(record)) {
                self.close_channel(&id)?;
                report.add(Happening::Abandoned { pairing: String::new() });
            }
        }
        let pairing = match self.find_pairing(name) {
            Err(EngineError::NoPairing(_)) if name.is_empty() && !report.events.is_empty() => {
                return Ok(());
            }
            found => found?,
        };
        self.give_up(pairing, AbandonReason::GivenUp, report)?;
        // What cannot be sent now goes with the next `sync`.
        let _ = self.flush(report).await;
        Ok(())
    }

    /// The pairing is over: its tape goes, and this device takes the steps of the plan that are its own.
    pub(super) fn tidy_up(
        &self,
        pairing: PairingId,
        report: &mut Report,
    ) -> Result<(), EngineError> {
        if self.session.vault().pairing_info(pairing).is_err() {
            return Ok(());
        }
        let terms = self.terms(pairing)?;
        let own = self.own_number(&terms);
        let plan = match self.book().load(pairing)? {
            PairingState::Ceased(ceased) => ceased.plan(),
            _ => return Ok(()),
        };
        let stays = self.stays(pairing)?;
        let ours = |devices: &[Number]| !stays && own.is_some_and(|own| devices.contains(&own));
        let mut next = Vec::new();
        let mut leaves = false;
        for step in plan.steps() {
            match step {
                Step::Leave(devices) => leaves = ours(devices),
                Step::Return(devices) if ours(devices) => {
                    next.push(Happening::ReturnAnew { pairing: pairing.to_string() });
                }
                Step::PairAnew(devices) if ours(devices) => {
                    next.push(Happening::PairAnew { pairing: pairing.to_string() });
                }
                _ => {}
            }
        }
        let mut groups = self.groups_of(pairing)?;
        if leaves {
            let other = plan
                .steps()
                .iter()
                .any(|step| matches!(step, Step::PairAnew(devices) if ours(devices)));
            let by = if other { EndedBy::Another } else { EndedBy::ThisDevice };
            self.leave_groups(&terms, &mut groups, by, report)?;
        }
        if groups.iter().any(|group| group.shared().is_some()) {
            // What partners have sent before they knew needs the tape, until the leaf is out.
            return Ok(());
        }
        groups.into_iter().try_for_each(Group::unpair)?;
        let rows = self.store().groups()?;
        for row in rows.iter().filter(|row| row.pairing == Some(pairing)) {
            self.load(row)?.unpair()?;
            self.store().forget_group(&row.id)?;
        }
        if let (Some(anchor), true) = (self.anchor_id(&terms)?, own == Some(terms.initiator())) {
            self.enqueue(&Item::Revoke(anchor))?;
        }
        let ids: Vec<_> = rows.iter().map(|row| row.id.as_bytes().to_vec()).collect();
        self.book().erase(pairing, &ids)?;
        self.forget_stays(pairing)?;
        self.store().forget_key_proofs(pairing)?;
        report.add(Happening::Ended { pairing: pairing.to_string(), leaves });
        next.into_iter().for_each(|happening| report.add(happening));
        Ok(())
    }

    /// Chooses what this device does when an event has weakened a partner.
    pub(crate) fn set_heal_policy(
        &self,
        name: &str,
        policy: HealPolicy,
    ) -> Result<(), EngineError> {
        let mut group = self.group(name)?;
        let (own, device) = own_leaf(&mut group)?;
        Ok(own.set_heal_policy(device, policy)?)
    }

    /// Chooses whether the group is told that this device is paired.
    pub(crate) fn set_signal_policy(
        &self,
        name: &str,
        policy: SignalPolicy,
    ) -> Result<(), EngineError> {
        let mut group = self.group(name)?;
        let (own, device) = own_leaf(&mut group)?;
        Ok(own.set_signal_policy(device, policy)?)
    }
}

/// Whether all devices of a pairing are members.
fn has_all(group: &Group, terms: &Terms) -> bool {
    let keys: Vec<_> = group.mls().members().map(|member| member.signature_key).collect();
    let devices = terms.roster().devices();
    devices.iter().all(|device| keys.contains(&device.party.signature_key))
}

fn own_leaf(group: &mut Group) -> Result<(&mut PairedGroup, &OwnDevice), EngineError> {
    let name = group.row.name.clone();
    group.as_own().ok_or(EngineError::SharedLeaf(name))
}
