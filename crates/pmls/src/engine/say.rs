//! What this device says in a group: messages, and that it wants to leave.

use openmls_traits::{crypto::OpenMlsCrypto as _, types::HashType};
use paired_mls_api::GroupId;

use super::{
    Change, Engine, EngineError, Group, GroupRow, Happening, Membership, Report,
    commit::ATTEMPTS,
    item::{Again, Item},
    outbox::Fate,
};

/// The length of what a message is known again by, in bytes.
const DIGEST: usize = 16;

impl Engine {
    /// Encrypts an application message and sends it.
    ///
    /// # Errors
    ///
    /// [`EngineError::Refused`] if the service does not take it: then nobody gets it.
    pub(crate) async fn send(
        &mut self,
        name: &str,
        content: &[u8],
        report: &mut Report,
    ) -> Result<(), EngineError> {
        self.sync_mailbox(report).await?;
        let mut group = self.ready(name, report).await?;
        if group.row.state == Membership::Leaving {
            return Err(EngineError::IsLeaving(group.row.name));
        }
        if self.is_behind(&group)? {
            report.add(Happening::OlderCopy { group: group.row.name.clone() });
            self.commit(name, &Change::Update, report).await?;
            group = self.group(name)?;
        } else if has_proposals(&group) {
            // MLS sends nothing while proposals wait: somebody has to commit them.
            self.commit(name, &Change::Update, report).await?;
            group = self.group(name)?;
        }
        let id = self.say(&mut group, content)?;
        let Some(position) = self.deliver(id, &group.row, report).await? else { return Ok(()) };
        report.add(Happening::Sent { group: group.row.name, position, bytes: content.len() });
        Ok(())
    }

    /// Encrypts an application message, to be sent.
    fn say(&self, group: &mut Group, content: &[u8]) -> Result<i64, EngineError> {
        self.device().provider().transaction(|| {
            let item = self.encrypt(group, content)?;
            self.enqueue(&item)
        })
    }

    fn encrypt(&self, group: &mut Group, content: &[u8]) -> Result<Item, EngineError> {
        let id = group.row.id.clone();
        let message = group.send(content)?;
        self.store().remember_said(&id, &self.digest(&message)?)?;
        let again = Some(Again::Say(content.to_vec().into()));
        Ok(Item::Message { group: id, message: message.into(), again })
    }

    /// Sends a message that was stored to be sent, and makes it again while its epoch is over.
    ///
    /// Returns its place in the log.
    async fn deliver(
        &mut self,
        id: i64,
        row: &GroupRow,
        report: &mut Report,
    ) -> Result<Option<u64>, EngineError> {
        for _ in 0..ATTEMPTS {
            let sent = self.flush(report).await?;
            match sent.of(id) {
                Some(Fate::Taken { position }) => return Ok(*position),
                Some(Fate::Refused(refused)) => {
                    return Err(EngineError::Refused(Box::new(refused.clone())));
                }
                _ => {}
            }
            self.catch_up(row, report).await?;
            self.renew_late(report)?;
        }
        Err(EngineError::AlwaysLost(ATTEMPTS))
    }

    /// Makes messages again whose epoch was over before the service had them, in the epochs that their
    /// groups are in now.
    pub(super) fn renew_late(&mut self, report: &mut Report) -> Result<(), EngineError> {
        for (id, item) in self.store().late_items()? {
            let Item::Message { group, again: Some(again), .. } = item else {
                self.store().sent(id)?;
                continue;
            };
            let row = self.store().group(&group)?.filter(|row| row.state.takes_part());
            let Some(row) = row else {
                report.add(Happening::NotSent { group: group.to_string() });
                self.store().sent(id)?;
                continue;
            };
            let mut group = self.load(&row)?;
            if group.has_pending() || has_proposals(&group) {
                continue;
            }
            self.device().provider().transaction(|| {
                let item = match again.content() {
                    Some(content) => self.encrypt(&mut group, content)?,
                    None => leaving(&mut group)?,
                };
                self.store().replace(id, &item)
            })?;
        }
        Ok(())
    }

    /// Whether this device has sent more in this epoch than it knows: its MLS state is an older copy, and
    /// what it encrypts by it nobody could read.
    fn is_behind(&self, group: &Group) -> Result<bool, EngineError> {
        let row = self.store().group(&group.row.id)?;
        Ok(row.and_then(|row| row.behind) == Some(group.epoch()))
    }

    /// A message of this device's own leaf has come back. One that it does not remember was sent by a later
    /// state of it.
    pub(super) fn heard_itself(&self, group: &Group, message: &[u8]) -> Result<(), EngineError> {
        let id = &group.row.id;
        if group.speaks_alone() && !self.store().has_said(id, &self.digest(message)?)? {
            self.store().set_behind(id, group.epoch())?;
        }
        Ok(())
    }

    /// Proposes that this device be removed. A member that is alone in its group just goes.
    pub(crate) async fn leave(
        &mut self,
        name: &str,
        report: &mut Report,
    ) -> Result<(), EngineError> {
        self.sync_mailbox(report).await?;
        let mut group = self.ready(name, report).await?;
        let row = group.row.clone();
        if group.members().len() < 2 {
            self.store().set_membership(&row.id, Membership::Gone)?;
            report.add(Happening::Left { group: row.name });
            return Ok(());
        }
        if row.state != Membership::Leaving {
            let id = self.propose_to_leave(&mut group)?;
            self.deliver(id, &row, report).await?;
        }
        report.add(Happening::Leaving { group: row.name });
        Ok(())
    }

    /// Takes back that this device wants to leave: its commit ends the epoch that the proposal is for.
    ///
    /// # Errors
    ///
    /// [`EngineError::NotIn`] if another member has carried it out meanwhile.
    pub(crate) async fn stay(
        &mut self,
        name: &str,
        report: &mut Report,
    ) -> Result<(), EngineError> {
        self.sync_mailbox(report).await?;
        let row = self.find(name)?;
        if row.state != Membership::Leaving {
            return Err(EngineError::NotLeaving(row.name));
        }
        self.device().provider().transaction(|| {
            let items = self.store().outbox()?.into_iter().chain(self.store().late_items()?);
            for (id, item) in items {
                if is_to_leave(&item, &row.id) {
                    self.store().sent(id)?;
                }
            }
            self.store().set_membership(&row.id, Membership::Active)
        })?;
        self.commit(name, &Change::Update, report).await?;
        report.add(Happening::Stays { group: row.name });
        Ok(())
    }

    /// A commit has ended the epoch of this device's proposal to leave, and has not carried it out: it is
    /// made again.
    pub(super) fn still_leaving(&self, group: &mut Group) -> Result<(), EngineError> {
        let row = self.store().group(&group.row.id)?;
        let leaving = row.is_some_and(|row| row.state == Membership::Leaving);
        if leaving && !group.has_pending() && !self.is_leaving_underway(&group.row.id)? {
            self.propose_to_leave(group)?;
        }
        Ok(())
    }

    fn is_leaving_underway(&self, id: &GroupId) -> Result<bool, EngineError> {
        let items = self.store().outbox()?.into_iter().chain(self.store().late_items()?);
        Ok(items.into_iter().any(|(_, item)| is_to_leave(&item, id)))
    }

    pub(super) fn propose_to_leave(&self, group: &mut Group) -> Result<i64, EngineError> {
        let id = group.row.id.clone();
        self.device().provider().transaction(|| {
            let item = leaving(group)?;
            self.store().set_membership(&id, Membership::Leaving)?;
            self.enqueue(&item)
        })
    }

    /// By what people and scripts name a message: the same at all members.
    pub(super) fn message_id(&self, message: &[u8]) -> Result<String, EngineError> {
        Ok(paired_mls_api::Base64Url(self.digest(message)?).to_string())
    }

    /// What a message is known again by.
    pub(super) fn digest(&self, message: &[u8]) -> Result<Vec<u8>, EngineError> {
        let digest = self.crypto().hash(HashType::Sha2_256, message);
        let mut digest = digest.map_err(|source| super::group::mls("hash a message", source))?;
        digest.truncate(DIGEST);
        Ok(digest)
    }
}

fn leaving(group: &mut Group) -> Result<Item, EngineError> {
    let id: GroupId = group.row.id.clone();
    Ok(Item::Message { group: id, message: group.leave()?.into(), again: Some(Again::Leave) })
}

fn is_to_leave(item: &Item, id: &GroupId) -> bool {
    matches!(item, Item::Message { group, again: Some(Again::Leave), .. } if group == id)
}

/// Whether proposals wait for a commit.
fn has_proposals(group: &Group) -> bool {
    group.mls().pending_proposals().next().is_some()
}
