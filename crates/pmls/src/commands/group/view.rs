//! Groups, as they are shown.

use std::fmt;

use paired_mls::anchor::LeafIndex;
use paired_mls_openmls::{Announcement, announcements};
use serde::Serialize;

use crate::{
    engine::{Engine, EngineError, Group, GroupRow, Who},
    failure::Failure,
    output::short,
};

/// A group for people and scripts.
#[derive(Debug, Serialize)]
pub(super) struct GroupView {
    group: String,
    id: String,
    epoch: u64,
    authenticator: String,
    state: &'static str,
    shared_leaf: bool,
    pairing: Option<String>,
    members: Vec<MemberView>,
    /// What members say of their pairings; nobody can check it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    announcements: Vec<AnnouncementView>,
}

#[derive(Debug, Serialize)]
pub(super) struct AnnouncementView {
    by: u32,
    paired_with: Vec<u32>,
    on_behalf_of: Vec<u32>,
}

impl From<Announcement> for AnnouncementView {
    fn from(announcement: Announcement) -> Self {
        let numbers = |leaves: Vec<LeafIndex>| leaves.into_iter().map(LeafIndex::value).collect();
        Self {
            by: announcement.by.value(),
            paired_with: numbers(announcement.paired_with),
            on_behalf_of: numbers(announcement.on_behalf_of),
        }
    }
}

impl fmt::Display for AnnouncementView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |leaves: &[u32]| {
            leaves.iter().map(|leaf| format!("#{leaf}")).collect::<Vec<_>>().join(", ")
        };
        write!(f, "#{} says that it is paired with {}", self.by, list(&self.paired_with))?;
        match self.on_behalf_of.is_empty() {
            true => Ok(()),
            false => write!(f, ", and has committed for {}", list(&self.on_behalf_of)),
        }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct MemberView {
    leaf: u32,
    #[serde(flatten)]
    who: Who,
}

impl GroupView {
    pub(super) fn of(group: &Group) -> Self {
        let member = |(leaf, who): (LeafIndex, Who)| MemberView { leaf: leaf.value(), who };
        Self {
            group: group.row.name.clone(),
            id: group.row.id.to_string(),
            epoch: group.epoch(),
            authenticator: hex::encode(group.mls().epoch_authenticator().as_slice()),
            state: group.row.state.name(),
            shared_leaf: group.shared().is_some(),
            pairing: group.pairing().map(|pairing| pairing.to_string()),
            members: group.members().into_iter().map(member).collect(),
            announcements: announcements(group.mls()).into_iter().map(Into::into).collect(),
        }
    }
}

impl fmt::Display for GroupView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.group)?;
        writeln!(f, "  id             {}", self.id)?;
        writeln!(f, "  epoch          {}", self.epoch)?;
        let authenticator = self.authenticator.get(..16).unwrap_or_default();
        writeln!(f, "  authenticator  {authenticator}…")?;
        if let Some(pairing) = &self.pairing {
            let leaf = if self.shared_leaf { ", behind a shared leaf" } else { "" };
            writeln!(f, "  pairing        {}{leaf}", short(pairing))?;
        }
        f.write_str("  members      ")?;
        self.members
            .iter()
            .try_for_each(|member| write!(f, "  #{} {}", member.leaf, member.who.shown))?;
        self.announcements.iter().try_for_each(|announcement| write!(f, "\n  {announcement}"))
    }
}

/// All groups.
#[derive(Debug, Serialize)]
pub(super) struct GroupList {
    groups: Vec<Line>,
}

#[derive(Debug, Serialize)]
pub(super) struct Line {
    group: String,
    id: String,
    state: &'static str,
    epoch: Option<u64>,
    unread: u64,
}

pub(super) fn list(engine: &Engine) -> Result<GroupList, Failure> {
    let line = |row: GroupRow| -> Result<Line, EngineError> {
        let epoch = match row.state.takes_part() {
            true => Some(engine.load(&row)?.epoch()),
            false => None,
        };
        let unread = engine.store().unread(&row.id)?;
        let (id, state) = (row.id.to_string(), row.state.name());
        Ok(Line { group: row.name, id, state, epoch, unread })
    };
    let groups = engine.store().groups()?.into_iter().map(line).collect::<Result<_, _>>()?;
    Ok(GroupList { groups })
}

impl fmt::Display for GroupList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.groups.is_empty() {
            return f.write_str("no groups: `pmls group create NAME` makes one");
        }
        for (n, line) in self.groups.iter().enumerate() {
            if n > 0 {
                writeln!(f)?;
            }
            write!(f, "{:16} {:8}", line.group, line.state)?;
            if let Some(epoch) = line.epoch {
                write!(f, " epoch {epoch}")?;
            }
            if line.unread > 0 {
                write!(f, ", {} unread", line.unread)?;
            }
        }
        Ok(())
    }
}
