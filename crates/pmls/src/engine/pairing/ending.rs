//! The end of a pairing: who leaves which group, who stays, and who has to commit that.
//!
//! ```text
//! pair end           CeasePair, and once the partners have answered:
//!                      at a node, two devices    this device leaves each group; where nobody but the partner is
//!                                                left to commit that, it takes the partner out and stays
//!                      at a leaf, or three       all leave, and those that did not end it may pair again
//! pair end --force   the partners are lost: this device stays, and takes their leaves out
//! ```

use std::collections::BTreeSet;

use paired_mls::{
    DeviceId as Number, PairingId,
    anchor::LeafIndex,
    pairing::{AnchorKind, PairingState, Terms},
};
use serde::Serialize;

use crate::{
    engine::{Change, Engine, EngineError, Group, Happening, Membership, Report, change::Target},
    output::printable,
};

/// Whether the partners can still answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Partners {
    Answer,
    /// They are lost, or nobody waits for them any more.
    Lost,
}

impl From<bool> for Partners {
    /// From a flag.
    fn from(force: bool) -> Self {
        if force { Self::Lost } else { Self::Answer }
    }
}

/// What the end of a pairing does.
#[derive(Debug, Serialize)]
pub(crate) struct EndView {
    pub(crate) pairing: String,
    pub(crate) with: Vec<String>,
    pub(crate) groups: Vec<EndInGroup>,
    /// Whether the partners have to answer before anything of it happens.
    pub(crate) waits_for_partners: bool,
    /// Whether those that stay may pair again among themselves.
    pub(crate) pair_anew: bool,
}

/// What it does in a group.
#[derive(Debug, Serialize)]
pub(crate) struct EndInGroup {
    pub(crate) group: String,
    /// The devices that go.
    pub(crate) leave: Vec<String>,
    pub(crate) stay: Vec<String>,
    /// Who has to commit it.
    pub(crate) committed_by: CommittedBy,
}

/// Who has to commit what the end of a pairing does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum CommittedBy {
    /// This device does.
    ThisDevice,
    /// Another member does, with its next commit.
    AnotherMember,
}

/// Who has ended a pairing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EndedBy {
    ThisDevice,
    Another,
}

/// What happens in a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// This device asks to be removed.
    Leave,
    /// It takes the partners out.
    TakeOut,
    /// All devices of the pairing ask to be removed.
    AllLeave,
}

impl Engine {
    /// What the end of a pairing would do.
    pub(crate) fn plan_end(&self, name: &str, partners: Partners) -> Result<EndView, EngineError> {
        let pairing = self.find_pairing(name)?;
        let terms = self.terms(pairing)?;
        let mut groups = Vec::new();
        for group in self.groups_of(pairing)? {
            let names: Vec<_> = self.names(&group)?.into_iter().collect();
            let own = self.own_number(&terms).map(|number| number.0);
            let (own, others): (Vec<_>, Vec<_>) =
                names.into_iter().partition(|(number, _)| Some(*number) == own);
            let of = |devices: Vec<(u16, String)>| devices.into_iter().map(|(_, name)| name);
            let (own, others): (Vec<_>, Vec<_>) = (of(own).collect(), of(others).collect());
            let way = self.way(&group, &terms, partners);
            let (leave, stay) = match way {
                Way::Leave => (own, others),
                Way::TakeOut => (others, own),
                Way::AllLeave => (own.into_iter().chain(others).collect(), Vec::new()),
            };
            let committed_by = match way {
                Way::TakeOut => CommittedBy::ThisDevice,
                Way::Leave | Way::AllLeave => CommittedBy::AnotherMember,
            };
            groups.push(EndInGroup { group: group.row.name, leave, stay, committed_by });
        }
        Ok(EndView {
            pairing: pairing.to_string(),
            with: self.pairing_partners(pairing)?,
            groups,
            waits_for_partners: partners == Partners::Answer,
            pair_anew: terms.roster().devices().len() > 2 && partners == Partners::Answer,
        })
    }

    fn way(&self, group: &Group, terms: &Terms, partners: Partners) -> Way {
        if terms.anchor() == AnchorKind::Leaf {
            return Way::AllLeave;
        }
        if partners == Partners::Lost || is_alone_with_partners(group, terms) {
            return Way::TakeOut;
        }
        match terms.roster().devices().len() {
            2 => Way::Leave,
            _ => Way::AllLeave,
        }
    }

    /// Ends a pairing: asks the partners, draws nothing more, and, once they have answered, leaves.
    pub(crate) async fn end_pairing(
        &mut self,
        name: &str,
        report: &mut Report,
    ) -> Result<PairingId, EngineError> {
        self.sync(report).await?;
        let pairing = self.find_pairing(name)?;
        self.cease(pairing, report)?;
        self.flush(report).await?;
        Ok(pairing)
    }

    fn cease(&self, pairing: PairingId, report: &mut Report) -> Result<(), EngineError> {
        let progress = self.book().end(pairing)?;
        self.cease_groups(pairing)?;
        self.follow_up(progress, report)
    }

    /// Ends a pairing without the partners that do not answer: they are lost. This device stays in the groups,
    /// and takes them out; behind a shared leaf, the leaf goes.
    pub(crate) async fn force_end(
        &mut self,
        name: &str,
        report: &mut Report,
    ) -> Result<PairingId, EngineError> {
        self.sync(report).await?;
        let pairing = self.find_pairing(name)?;
        if matches!(self.book().load(pairing)?, PairingState::Paired(_)) {
            let (told, made) = (report.events.len(), self.made.borrow().clone());
            self.cease(pairing, report)?;
            self.flush(report).await?;
            self.forgive(told, &made, report)?;
        }
        let terms = self.terms(pairing)?;
        if terms.anchor() == AnchorKind::Node {
            self.store().set_cursor(&stays(pairing), 1)?;
            // Before the tape goes: killed in between, the same command goes on.
            for group in self.groups_of(pairing)? {
                let lost = leaves_of_partners(&group, &terms, self.own_number(&terms));
                if group.row.state == Membership::Active && !lost.is_empty() {
                    let name = group.row.name.clone();
                    self.commit(&name, &Change::Remove(lost), report).await?;
                }
            }
        }
        let progress = self.book().force_end(pairing)?;
        self.follow_up(progress, report)?;
        self.sync(report).await?;
        Ok(pairing)
    }

    /// That a lost partner gets nothing is no failure of the command that takes it out.
    fn forgive(
        &self,
        told: usize,
        made: &BTreeSet<i64>,
        report: &mut Report,
    ) -> Result<(), EngineError> {
        let refused = self.store().waiting()?.into_iter();
        for item in refused.filter(|item| item.state == "refused" && !made.contains(&item.id)) {
            if self.made.borrow().contains(&item.id) {
                self.store().sent(item.id)?;
            }
        }
        self.refused.borrow_mut().clear();
        let mut n = 0;
        report.events.retain(|event| {
            n += 1;
            n <= told || !matches!(event, Happening::Refused { .. })
        });
        Ok(())
    }

    /// Whether this device stays in the groups although it has ended the pairing.
    pub(super) fn stays(&self, pairing: PairingId) -> Result<bool, EngineError> {
        Ok(self.store().cursor(&stays(pairing))? > 0)
    }

    pub(super) fn forget_stays(&self, pairing: PairingId) -> Result<(), EngineError> {
        match self.stays(pairing)? {
            true => self.store().set_cursor(&stays(pairing), 0),
            false => Ok(()),
        }
    }

    /// The devices at a node leave each for itself; those behind a leaf, once for all: the initiator's
    /// proposal does it. Where nobody but partners could commit it, which may only receive, this device takes
    /// them out.
    pub(super) fn leave_groups(
        &self,
        terms: &Terms,
        groups: &mut [Group],
        by: EndedBy,
        report: &mut Report,
    ) -> Result<(), EngineError> {
        let shared = terms.anchor() == AnchorKind::Leaf;
        let own = self.own_number(terms);
        if shared && own != Some(terms.initiator()) {
            return Ok(());
        }
        for group in groups.iter_mut().filter(|group| group.row.state == Membership::Active) {
            if shared || !is_alone_with_partners(group, terms) {
                self.propose_to_leave(group)?;
                continue;
            }
            if by == EndedBy::Another {
                // Which takes this one out.
                continue;
            }
            let partners = leaves_of_partners(group, terms, own);
            let leaves: Vec<_> = partners.iter().map(|target| target.leaf).collect();
            self.device().provider().transaction(|| self.take_out(group, &leaves))?;
            for Target { name, .. } in partners {
                report.add(Happening::TakenOut { group: group.row.name.clone(), device: name });
            }
        }
        Ok(())
    }
}

/// Whether nobody is in the group but devices of the pairing.
fn is_alone_with_partners(group: &Group, terms: &Terms) -> bool {
    let devices = terms.roster().devices();
    let of_it = |key: &[u8]| devices.iter().any(|device| device.party.signature_key == key);
    group.mls().members().all(|member| of_it(&member.signature_key))
}

fn leaves_of_partners(group: &Group, terms: &Terms, own: Option<Number>) -> Vec<Target> {
    let devices = terms.roster().devices().iter().filter(|device| Some(device.device) != own);
    let members: Vec<_> = group.mls().members().collect();
    let targets = devices.filter_map(|device| {
        let key = &device.party.signature_key;
        let member = members.iter().find(|member| member.signature_key == *key)?;
        Some(Target {
            leaf: LeafIndex::new(member.index.u32())?,
            signature_key: key.clone(),
            name: printable(&device.party.identity),
        })
    });
    targets.collect()
}

/// The name of what is remembered: that this device stays.
fn stays(pairing: PairingId) -> String {
    format!("stays {pairing}")
}
