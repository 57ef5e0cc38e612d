//! What is to be sent: stored in one transaction with the state that it comes from, sent in its order,
//! and forgotten once the service has it. The service answers a repeated request like the first one,
//! so a device that dies in between sends it again.
//!
//! ```text
//! waiting ─┬─ the service has it ──────────────► forgotten   (a commit, an external commit: kept until merged)
//!          ├─ the service is away, has no room ─► waiting     with the reason
//!          ├─ a message of an epoch that is over ► late ──► made again in the new epoch, waiting
//!          └─ refused for good ─────────────────► refused     undone here; kept with the reason, to be looked at
//! ```

mod fate;
mod refused;
mod table;

use std::collections::BTreeSet;

use paired_mls_api::{Envelope, GroupId, ProblemKind};
use paired_mls_client::{ClientError, Publication};

pub(super) use self::fate::{Fate, Sent};
pub(crate) use self::{refused::Refused, table::Waiting};
use super::{
    Engine, EngineError, Happening,
    item::{Again, Item},
    leaf::anchor_client,
    rejoin::Rejoined,
    report::Report,
};

impl Engine {
    /// Stores a request; [`Engine::flush`] sends it. Returns its number.
    ///
    /// If it is refused for good, the command that this process runs has failed.
    pub(super) fn enqueue(&self, item: &Item) -> Result<i64, EngineError> {
        let id = self.store().enqueue(item, self.now())?;
        self.made.borrow_mut().insert(id);
        Ok(id)
    }

    /// Sends what is to be sent, in its order. Returns what became of each request.
    ///
    /// A request that the service refuses for good is undone and reported, so that it does not hold up
    /// the others for ever.
    ///
    /// # Errors
    ///
    /// [`EngineError::Waiting`] if the service does not answer: everything from there on waits.
    pub(super) async fn flush(&mut self, report: &mut Report) -> Result<Sent, EngineError> {
        let mut sent = Sent::default();
        for (id, item) in self.store().outbox()? {
            if self.waits_for_rejoin(&item)? {
                self.store()
                    .put_off(id, "the service was restored: come back into the group first")?;
                continue;
            }
            let fate = match self.dispatch(&item).await {
                Ok(fate) => fate,
                Err(error) => match Fate::of(&item, error) {
                    Ok(fate) => fate,
                    Err(EngineError::Client(source)) if source.is_transient() => {
                        let waiting = self.store().put_off(id, &source.to_string())?;
                        return Err(EngineError::Waiting { waiting, source });
                    }
                    Err(error) => return Err(error),
                },
            };
            self.conclude(id, &item, &fate, report)?;
            sent.note(id, fate);
            self.hear_incarnation()?;
        }
        Ok(sent)
    }

    /// Whether a request is about a group that stands still since the service was restored.
    fn waits_for_rejoin(&self, item: &Item) -> Result<bool, EngineError> {
        match (item, item.group()) {
            (Item::Rejoin { .. } | Item::Group(_), _) | (_, None) => Ok(false),
            (_, Some(group)) => self.store().stands_still(group),
        }
    }

    /// What follows from what became of a request.
    fn conclude(
        &mut self,
        id: i64,
        item: &Item,
        fate: &Fate,
        report: &mut Report,
    ) -> Result<(), EngineError> {
        match (fate, item) {
            (Fate::Taken { .. }, Item::Commit { group, .. }) => {
                self.store().replace(id, &Item::Merge(group.clone()))
            }
            (Fate::Taken { position }, Item::Rejoin { group, publish, info, state }) => {
                let position = position.unwrap_or_default();
                let rejoined = Rejoined {
                    commit: &publish.commit.0,
                    info: &info.0,
                    state: state.as_ref().map(|state| state.0.0.as_slice()),
                };
                self.came_back(group, position, &rejoined, report)?;
                self.store().sent(id)
            }
            (Fate::Taken { .. } | Fate::Lost, _) => self.store().sent(id),
            (Fate::Late, _) => self.store().late(id),
            (Fate::Full(problem), _) => self.store().put_off(id, problem).map(drop),
            (Fate::Refused(refused), _) => {
                let refused = refused.clone();
                self.undo(item)?;
                self.store().refuse(id, &refused.to_string())?;
                report.add(Happening::Refused { what: item.name(), why: refused.to_string() });
                if self.made.borrow().contains(&id) {
                    self.refused.borrow_mut().push(refused);
                }
                Ok(())
            }
        }
    }

    /// What a command has come to: it has failed if the service has refused for good something that it
    /// has sent.
    pub(crate) fn outcome(&self, done: Result<(), EngineError>) -> Result<(), EngineError> {
        done?;
        match self.refused.borrow_mut().drain(..).next() {
            Some(refused) => Err(EngineError::Refused(Box::new(refused))),
            None => Ok(()),
        }
    }

    /// The groups in which a commit of this device is on its way: to the service, or back from it.
    pub(super) fn underway(&self) -> Result<BTreeSet<GroupId>, EngineError> {
        let outbox = self.store().outbox_with_merges()?.into_iter();
        Ok(outbox
            .filter_map(|(_, item)| match item {
                Item::Commit { group, .. } | Item::Merge(group) => Some(group),
                _ => None,
            })
            .collect())
    }

    /// The group is in a new epoch: whatever commit of this device was on its way back has arrived.
    pub(super) fn merged(&self, group: &GroupId) -> Result<(), EngineError> {
        for (id, item) in self.store().outbox_with_merges()? {
            if matches!(&item, Item::Merge(of) if of == group) {
                self.store().sent(id)?;
            }
        }
        Ok(())
    }

    /// Takes back what a request was made with that the service does not take at all.
    fn undo(&mut self, item: &Item) -> Result<(), EngineError> {
        match item {
            Item::Commit { group, .. } => {
                let Some(row) = self.store().group(group)? else { return Ok(()) };
                let mut group = self.load(&row)?;
                if group.has_pending() { Ok(group.discard()?) } else { Ok(()) }
            }
            Item::Group(create) => self.erase_group(&create.group),
            Item::Rejoin { group, .. } => self.stay_out(group),
            Item::Message { group, again: Some(Again::Leave), .. } => {
                self.store().set_membership(group, super::Membership::Active)
            }
            _ => Ok(()),
        }
    }

    async fn dispatch(&mut self, item: &Item) -> Result<Fate, EngineError> {
        let client = self.client()?;
        match item {
            Item::Group(create) => known(client.create_group(create).await.map(drop))?,
            Item::Commit { group, publish } | Item::Rejoin { group, publish, .. } => {
                return Ok(match client.publish_commit(group, publish).await? {
                    Publication::Accepted(published) => {
                        Fate::Taken { position: Some(published.position) }
                    }
                    Publication::Lost { .. } => Fate::Lost,
                });
            }
            Item::Merge(_) => {}
            Item::Message { group, message, .. } => {
                let published = client.publish_message(group, &message.0).await?;
                return Ok(Fate::Taken { position: Some(published.position) });
            }
            Item::Letter { to, envelope } => {
                client.post(to, &Envelope::decode(envelope.0.clone())?).await?;
            }
            Item::Pairing(request) => {
                client.ask_pairing(&request.0).await?;
            }
            Item::Anchor { pairing, register } => {
                let device = register.device();
                client.approve(&device).await?;
                let anchor = anchor_client(&self.session, *pairing)?;
                anchor.register(register).await?;
            }
            Item::AnchorPackages { pairing, upload } => {
                known(anchor_client(&self.session, *pairing)?.upload(upload).await)?;
            }
            Item::Packages(upload) => known(client.upload(upload).await)?,
            Item::Withdraw => client.withdraw().await?,
            Item::Revoke(device) => {
                client.revoke(device).await?;
            }
        }
        Ok(Fate::Taken { position: None })
    }
}

/// That it exists is the answer to a request that is repeated because its answer was lost.
fn known(answer: Result<(), ClientError>) -> Result<(), ClientError> {
    match answer {
        Err(error) if error.problem() == Some(ProblemKind::Exists) => Ok(()),
        answer => answer,
    }
}
