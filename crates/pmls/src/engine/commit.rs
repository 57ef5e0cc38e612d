//! What this device sends into a group.

use openmls_traits::{OpenMlsProvider as _, random::OpenMlsRand as _};
use paired_mls::{DeviceId as Number, anchor::LeafIndex};
use paired_mls_api::{
    Access, CreateGroup, DeviceId, Envelope, GroupId, PublishCommit, RosterChange, UserId,
    WelcomeFor,
};
use paired_mls_openmls::{Group as MlsPaired, Outgoing, UsageError};

use super::{
    Change, Engine, EngineError, Group, GroupRow, Membership, Report,
    group::{Door, create_config},
    item::Item,
    outbox::Fate,
};

/// How often a commit is made again because another one has won.
pub(super) const ATTEMPTS: u32 = 16;

/// A commit that is ready to be sent, and who has to get what of it.
struct Ready {
    outgoing: Outgoing,
    welcomed: Vec<DeviceId>,
    orphans: Vec<Vec<u8>>,
}

impl Engine {
    /// Creates a group with this device as its only member.
    pub(crate) async fn create_group(
        &mut self,
        name: &str,
        door: Door,
        access: Access,
        report: &mut Report,
    ) -> Result<GroupRow, EngineError> {
        if self.store().groups()?.iter().any(|row| row.name == name) {
            return Err(EngineError::NameTaken(name.to_owned()));
        }
        let id = self.new_group_id()?;
        let config = create_config(self, door)?;
        self.device().provider().transaction(|| {
            let created = MlsPaired::create(self.device(), id.as_bytes(), &config)?;
            // The service verifies what comes after by it.
            let group_info = Some(created.group_info(self.device())?.into());
            self.store().enter_group(&id, name, None, 0)?;
            let create = CreateGroup { group: id.clone(), epoch: 0, access, group_info };
            self.enqueue(&Item::Group(create))
        })?;
        self.flush(report).await?;
        self.outcome(Ok(()))?;
        self.find(name)
    }

    /// Makes a commit, sends it, and follows whichever wins the epoch; makes it again if that is another
    /// one.
    pub(crate) async fn commit(
        &mut self,
        name: &str,
        change: &Change,
        report: &mut Report,
    ) -> Result<(), EngineError> {
        self.sync_mailbox(report).await?;
        // One of before that waits to be sent, for instance to heal, goes first.
        self.flush(report).await?;
        // Each can be claimed once: they are kept for the case that another commit wins.
        let packages = match change {
            Change::Add(newcomers) => {
                let group = self.ready(name, report).await?;
                self.claim(&group, newcomers, report).await?
            }
            _ => Vec::new(),
        };
        if matches!(change, Change::Add(_)) && packages.is_empty() {
            return Ok(());
        }
        if matches!(change, Change::Add(_)) {
            // A newcomer might not take a tree with a leaf that has ended.
            let row = self.ready(name, report).await?.row;
            self.heal_if_due(&row, report)?;
            self.flush(report).await?;
        }
        for _ in 0..ATTEMPTS {
            let mut group = self.ready(name, report).await?;
            let id = self.device().provider().transaction(|| {
                let ready = self.make(&mut group, change, &packages)?;
                self.queue(&group, ready)
            })?;
            let sent = self.flush(report).await?;
            let row = group.row;
            self.catch_up(&row, report).await?;
            match sent.of(id) {
                Some(Fate::Lost) => {}
                Some(Fate::Refused(refused)) => {
                    return Err(EngineError::Refused(Box::new(refused.clone())));
                }
                _ => {
                    packages
                        .iter()
                        .try_for_each(|(device, ..)| self.store().used_claimed(device))?;
                    return Ok(());
                }
            }
        }
        Err(EngineError::AlwaysLost(ATTEMPTS))
    }

    /// The group, caught up with, and without a commit of this device on its way: one that was made to heal
    /// is sent first.
    pub(super) async fn ready(
        &mut self,
        name: &str,
        report: &mut Report,
    ) -> Result<Group, EngineError> {
        for _ in 0..ATTEMPTS {
            let row = self.find(name)?;
            if row.state == Membership::Rejoining {
                self.rejoin_again(report).await?;
            }
            self.catch_up(&row, report).await?;
            let group = self.group(name)?;
            if !group.has_pending() {
                return Ok(group);
            }
            self.flush(report).await?;
        }
        Err(EngineError::AlwaysLost(ATTEMPTS))
    }

    fn make(
        &self,
        group: &mut Group,
        change: &Change,
        packages: &[(DeviceId, Vec<DeviceId>, Vec<u8>)],
    ) -> Result<Ready, EngineError> {
        let mut welcomed = Vec::new();
        let mut removed = Vec::new();
        let outgoing = match change {
            Change::Update => group.update()?,
            Change::Add(_) => {
                welcomed = packages.iter().flat_map(|(_, devices, _)| devices.clone()).collect();
                let packages: Vec<_> =
                    packages.iter().map(|(_, _, package)| package.clone()).collect();
                group.add(&packages)?
            }
            Change::Remove(targets) => {
                let there = targets.iter().filter(|target| group.has(target));
                removed = there.map(|target| target.leaf).collect();
                if let (true, Some(first)) = (removed.is_empty(), targets.first()) {
                    return Err(EngineError::NoMember(first.name.clone()));
                }
                group.remove(&removed)?
            }
            Change::Refresh(partner) => {
                let (outgoing, device) = self.refresh(group, *partner)?;
                welcomed.push(device);
                outgoing
            }
        };
        welcomed.sort();
        welcomed.dedup();
        let orphans = match change {
            Change::Refresh(_) => Vec::new(),
            _ => group.orphans(&removed),
        };
        Ok(Ready { outgoing, welcomed, orphans })
    }

    /// Stores a commit to be sent.
    fn queue(&self, group: &Group, ready: Ready) -> Result<i64, EngineError> {
        let Ready { outgoing, welcomed, orphans } = ready;
        let mut remove = Vec::new();
        for identity in orphans {
            remove.push(UserId::new(identity)?);
        }
        if let Some(refresh) = &outgoing.refresh {
            self.store().keep_refresh(&group.row.id, refresh)?;
        }
        // The partner whose leaf is renewed gets the Welcome with what proves who has made it.
        let welcome = outgoing.refresh.as_ref().or(outgoing.welcome.as_ref());
        let welcomes = match (welcome, welcomed.is_empty()) {
            (Some(welcome), false) => {
                let envelope = Envelope::seal(welcome)?.into_bytes().into();
                vec![WelcomeFor { recipients: welcomed, envelope }]
            }
            _ => Vec::new(),
        };
        let roster = RosterChange { remove, add: Vec::new() };
        self.queue_commit(&group.row.id, outgoing, welcomes, roster)
    }

    /// Stores a commit to be sent that came of what was received: the one that heals at once.
    pub(super) fn queue_heal(&self, group: &Group, heal: Outgoing) -> Result<(), EngineError> {
        let orphans = group.orphans(&[]);
        let welcomed = match heal.welcome {
            // A refresh: the partner that is welcomed is one of those of the pairing.
            Some(_) => self.partners(group)?.into_iter().map(|(_, device)| device).collect(),
            None => Vec::new(),
        };
        self.queue(group, Ready { outgoing: heal, welcomed, orphans }).map(drop)
    }

    /// Stores a commit to be sent that takes out these leaves.
    pub(super) fn take_out(
        &self,
        group: &mut Group,
        leaves: &[LeafIndex],
    ) -> Result<(), EngineError> {
        let outgoing = group.remove(leaves)?;
        let orphans = group.orphans(leaves);
        self.queue(group, Ready { outgoing, welcomed: Vec::new(), orphans }).map(drop)
    }

    fn queue_commit(
        &self,
        group: &GroupId,
        outgoing: Outgoing,
        welcomes: Vec<WelcomeFor>,
        roster: RosterChange,
    ) -> Result<i64, EngineError> {
        let publish = Box::new(self.publication(outgoing, welcomes, roster)?);
        self.enqueue(&Item::Commit { group: group.clone(), publish })
    }

    /// A commit with everything that belongs to it.
    pub(super) fn publication(
        &self,
        outgoing: Outgoing,
        welcomes: Vec<WelcomeFor>,
        roster: RosterChange,
    ) -> Result<PublishCommit, EngineError> {
        let account_envelope = match &outgoing.notify {
            Some(notify) => Envelope::seal(notify)?,
            None => self.cover(&outgoing.commit)?,
        };
        Ok(PublishCommit {
            commit: outgoing.commit.into(),
            account_envelope: account_envelope.into_bytes().into(),
            welcomes,
            envelopes: Vec::new(),
            group_info: outgoing.group_info.map(Into::into),
            roster,
        })
    }

    /// Nothing for the other devices of the account, in the length of something.
    fn cover(&self, commit: &[u8]) -> Result<Envelope, EngineError> {
        let mut filled = true;
        let rand = self.device().provider().rand();
        let cover = Envelope::cover(commit, |random| match rand.random_vec(random.len()) {
            Ok(bytes) => random.copy_from_slice(&bytes),
            Err(_) => filled = false,
        })?;
        if filled { Ok(cover) } else { Err(EngineError::NoRandomness) }
    }

    /// The partners of this device in a group, with their ids at the service.
    pub(super) fn partners(&self, group: &Group) -> Result<Vec<(Number, DeviceId)>, EngineError> {
        let pairing = group.pairing().ok_or(UsageError::NotPaired)?;
        self.partners_of(pairing)
    }

    fn refresh(
        &self,
        group: &mut Group,
        partner: Number,
    ) -> Result<(Outgoing, DeviceId), EngineError> {
        let partners = self.partners(group)?;
        let device = partners.into_iter().find(|(number, _)| *number == partner);
        let (_, device) = device.ok_or(UsageError::DeviceNotInGroup(partner))?;
        let (own, at) = group.as_own().ok_or(UsageError::NotAPartner)?;
        let package = own.renewal_of(at, partner)?.ok_or(EngineError::NoRenewal(partner.0))?;
        Ok((own.refresh(at, &package)?, device))
    }
}
