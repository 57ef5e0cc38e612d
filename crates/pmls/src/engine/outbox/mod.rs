//! What is to be sent: stored in one transaction with the state that it comes from, sent in its order,
//! and forgotten once the service has it. The service answers a repeated request like the first one,
//! so a device that dies in between sends it again.

use std::collections::BTreeSet;

use paired_mls_api::{
    Base64Url, CreateGroup, DeviceId, Envelope, GroupId, KeyPackageUpload, ProblemKind,
    PublishCommit, RegisterDevice,
};
use paired_mls_client::{ClientError, Publication};
use serde::{Deserialize, Serialize};

use super::{Engine, EngineError, leaf::anchor_client, report::Report};

/// One request to the service.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Item {
    /// A new group.
    Group(CreateGroup),
    /// A commit, with everything that belongs to it.
    Commit { group: GroupId, publish: Box<PublishCommit> },
    /// A commit that the service has accepted: it is to be merged, when the log gets there.
    Merge(GroupId),
    /// A proposal or an application message.
    Message { group: GroupId, message: Base64Url },
    /// An envelope for a mailbox.
    Letter { to: DeviceId, envelope: Base64Url },
    /// A request of the pairing protocol to the directory.
    Pairing(Base64Url),
    /// The key of a leaf that devices share is registered like a device of its own.
    Anchor { pairing: [u8; 16], register: RegisterDevice },
    /// KeyPackages of that leaf.
    AnchorPackages { pairing: [u8; 16], upload: KeyPackageUpload },
    /// KeyPackages of the device.
    Packages(KeyPackageUpload),
    /// No more KeyPackages of the device are given out.
    Withdraw,
    /// The key of a leaf that is shared no more is taken out of use.
    Revoke(DeviceId),
}

/// What became of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is in the log.
    Accepted,
    /// Another one has won its epoch.
    Lost,
}

impl Item {
    /// An envelope with this content for a mailbox.
    pub(super) fn letter(to: DeviceId, content: &[u8]) -> Result<Self, EngineError> {
        let envelope = Envelope::seal(content)?.into_bytes().into();
        Ok(Self::Letter { to, envelope })
    }
}

impl Engine {
    /// Stores a request; [`Engine::flush`] sends it.
    pub(super) fn enqueue(&self, item: &Item) -> Result<(), EngineError> {
        self.store().enqueue(item)
    }

    /// Sends what is to be sent, in its order. Returns what became of the last commit among it.
    ///
    /// A request that the service refuses for good is dropped and reported, so that it does not hold up
    /// the others for ever.
    pub(super) async fn flush(&mut self, report: &mut Report) -> Result<Option<Fate>, EngineError> {
        let mut fate = None;
        for (id, item) in self.store().outbox()? {
            let commit = match &item {
                Item::Merge(_) => continue,
                Item::Commit { group, .. } => Some(group),
                _ => None,
            };
            match self.dispatch(&item).await {
                Ok(None) => {}
                Ok(Some(decided)) => {
                    fate = Some(decided);
                    if let (Fate::Accepted, Some(group)) = (decided, commit) {
                        self.store().replace(id, &Item::Merge(group.clone()))?;
                        continue;
                    }
                }
                Err(error) if error.is_final() => {
                    report.refused(&error);
                    if let Some(group) = commit {
                        self.drop_commit(group)?;
                    }
                }
                Err(EngineError::Client(source)) if source.is_transient() => {
                    let waiting = self.store().outbox()?.len();
                    return Err(EngineError::Waiting { waiting, source });
                }
                Err(error) => return Err(error),
            }
            self.store().sent(id)?;
        }
        Ok(fate)
    }

    /// The groups in which a commit of this device is on its way: to the service, or back from it.
    pub(super) fn underway(&self) -> Result<BTreeSet<GroupId>, EngineError> {
        let outbox = self.store().outbox()?.into_iter();
        Ok(outbox
            .filter_map(|(_, item)| match item {
                Item::Commit { group, .. } | Item::Merge(group) => Some(group),
                _ => None,
            })
            .collect())
    }

    /// The group is in a new epoch: whatever commit of this device was on its way back has arrived.
    pub(super) fn merged(&self, group: &GroupId) -> Result<(), EngineError> {
        for (id, item) in self.store().outbox()? {
            if matches!(&item, Item::Merge(of) if of == group) {
                self.store().sent(id)?;
            }
        }
        Ok(())
    }

    /// A commit that the service does not take at all.
    fn drop_commit(&self, group: &GroupId) -> Result<(), EngineError> {
        let Some(row) = self.store().group(group)? else { return Ok(()) };
        let mut group = self.load(&row)?;
        if group.has_pending() { Ok(group.discard()?) } else { Ok(()) }
    }

    async fn dispatch(&mut self, item: &Item) -> Result<Option<Fate>, EngineError> {
        let client = self.client()?;
        match item {
            Item::Group(create) => known(client.create_group(create).await.map(drop))?,
            Item::Commit { group, publish } => {
                return Ok(Some(match client.publish_commit(group, publish).await? {
                    Publication::Accepted(_) => Fate::Accepted,
                    Publication::Lost { .. } => Fate::Lost,
                }));
            }
            Item::Merge(_) => {}
            Item::Message { group, message } => {
                client.publish_message(group, &message.0).await?;
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
        Ok(None)
    }
}

/// That it exists is the answer to a request that is repeated because its answer was lost.
fn known(answer: Result<(), ClientError>) -> Result<(), ClientError> {
    match answer {
        Err(error) if error.problem() == Some(ProblemKind::Exists) => Ok(()),
        answer => answer,
    }
}
