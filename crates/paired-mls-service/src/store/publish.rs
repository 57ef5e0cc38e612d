//! Writing the log of a group: its total order.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
};

use paired_mls_api::{Access, DeviceId, EntryKind, GroupId, UserId};

use super::{
    StoreError, Topic, Transaction, Tx,
    chain::chain_at,
    directory::{DeviceById, DevicesOfUser},
    group::{Anchoring, Group, GroupById, Standing, list},
    mailbox::{Letter, LetterKind},
    proposers::{ProposalRoom, Proposers},
    repair::{Delisted, Removal, acknowledge, delist},
    row::{int, uint},
};

/// Where a message is in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Appended {
    pub(crate) position: u64,
    pub(crate) epoch: u64,
    pub(crate) age: Age,
}

/// Whether a message has its place since now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Age {
    /// Since now.
    New,
    /// The same request was made before.
    Old,
}

/// Why nothing was appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// There is no such group, or not for this account.
    NoGroup,
    /// The account may read the group, and not write to it.
    NotListed,
    /// The group is in this epoch.
    Epoch(u64),
    /// There is no such recipient.
    UnknownDevice(DeviceId),
    /// There is no such user.
    UnknownUser,
    /// The user never was on the roster.
    NeverListed(UserId),
    /// What removed the account, or another one that is to be put back, cannot be undone by it any more.
    RemovalStands,
    /// The roster would be told that this account has left, and it still has a leaf.
    StillAMember(UserId),
    /// The roster would be told that this account has come, and it has no leaf.
    NotAMember(UserId),
    /// The mailbox of this device has no room.
    Full(DeviceId),
    /// It would write more than this many bytes.
    TooMuch(usize),
    /// As many proposals of these wait in the epoch as may, or as long ones.
    Proposals(Proposers),
    /// The messages of the log would be longer than this, in bytes.
    LogFull {
        /// How long they may be.
        most: u64,
    },
}

/// How long the messages of a log may be, in bytes. Nothing bounds it if `None`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LogRoom(Option<u64>);

impl LogRoom {
    /// For messages that are no commits.
    pub(crate) fn for_messages(most: Option<u64>) -> Self {
        Self(most)
    }

    /// For commits: an eighth more, since what a log has of its epoch goes only when a commit ends that. So
    /// nobody keeps a group from healing by messages.
    pub(crate) fn for_commits(most: Option<u64>) -> Self {
        Self(most.map(|most| most.saturating_add(most / 8).saturating_add(COMMIT)))
    }

    /// Whether a message has room beside those that there are, as long as these.
    async fn takes(
        self,
        tx: &mut Tx,
        group: &GroupId,
        message: &[u8],
    ) -> Result<Result<(), Refusal>, StoreError> {
        let long = u64::try_from(message.len()).unwrap_or(u64::MAX);
        let row = sqlx::query(
            "UPDATE groups SET log_bytes = log_bytes + $2 WHERE group_id = $1 RETURNING log_bytes",
        )
        .bind(group.as_bytes())
        .bind(int(long)?)
        .fetch_one(tx.connection())
        .await?;
        let bytes = uint(&row, 0)?;
        Ok(match self.0 {
            Some(most) if bytes > most => Err(Refusal::LogFull { most }),
            _ => Ok(()),
        })
    }
}

/// A commit, in bytes: one has room in any log.
const COMMIT: u64 = 1 << 20;

/// What a commit does, as one transaction.
pub(crate) struct Publish<'a> {
    pub(crate) group: &'a GroupId,
    pub(crate) user: &'a UserId,
    pub(crate) device: &'a DeviceId,
    /// The epoch that it ends.
    pub(crate) epoch: u64,
    pub(crate) commit: &'a [u8],
    pub(crate) digest: &'a [u8],
    /// Whether it is the commit of a member, or of someone who joins by it.
    pub(crate) standing: Joining,
    pub(crate) group_info: Option<&'a [u8]>,
    pub(crate) anchoring: Anchoring,
    pub(crate) remove: &'a [UserId],
    pub(crate) add: &'a [UserId],
    /// Who is a member afterwards, if the service can tell.
    pub(crate) members: Option<&'a Members>,
    /// The identities whose leaves the commit removes, as far as the service can tell.
    pub(crate) left: &'a [Vec<u8>],
    /// Until when those that it removes can be put back, in seconds.
    pub(crate) contestable_until: u64,
    /// Welcomes and envelopes. The accounts that are welcomed join the roster.
    pub(crate) letters: &'a [Letter<'a>],
    /// What goes to each other device of the account, apart from the recipient.
    pub(crate) to_siblings: Letter<'a>,
    /// How many bytes may go to them, and of how many for the whole request.
    pub(crate) room: Room,
    /// How long the messages of the log may be with it.
    pub(crate) log: LogRoom,
}

/// A part of what one request may write, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Room {
    pub(crate) left: usize,
    pub(crate) of: usize,
}

/// Who may send a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Joining {
    /// An account of the roster.
    Inside,
    /// Whoever may join.
    Outside,
}

impl Joining {
    fn allowed(self, group: &Group) -> Result<(), Refusal> {
        match (group.standing, self) {
            (Standing::Listed, _) => Ok(()),
            (_, Self::Outside) if group.access == Access::Anyone => Ok(()),
            (Standing::RemovedAt(_), _) => Err(Refusal::NotListed),
            (Standing::Stranger, _) if group.access == Access::Anyone => Err(Refusal::NotListed),
            (Standing::Stranger, _) => Err(Refusal::NoGroup),
        }
    }
}

impl Transaction for Publish<'_> {
    const NAME: &'static str = "publish_commit";
    type Output = Result<Appended, Refusal>;

    async fn run(&self, tx: &mut Tx) -> Result<Self::Output, StoreError> {
        // The compare-and-swap, which also locks the group.
        let head = sqlx::query(
            "UPDATE groups SET epoch = epoch + 1, head = head + 1, used_day = NULL,
                 group_info_epoch = CASE WHEN $3 IS NULL THEN group_info_epoch ELSE epoch + 1 END,
                 group_info_anchored = CASE WHEN $3 IS NULL THEN group_info_anchored ELSE $4 END,
                 group_info = COALESCE($3, group_info)
             WHERE group_id = $1 AND epoch = $2 RETURNING head, contested",
        )
        .bind(self.group.as_bytes())
        .bind(int(self.epoch)?)
        .bind(self.group_info)
        .bind(self.anchoring.column())
        .fetch_optional(tx.connection())
        .await?;
        let allowed = allowed(tx, self.group, self.user, self.standing).await?;
        let (Some(head), Ok(_)) = (head, &allowed) else {
            return lost(tx, self.group, self.digest, allowed).await;
        };
        if let Err(refusal) = self.log.takes(tx, self.group, self.commit).await? {
            return Ok(Err(refusal));
        }
        let position = uint(&head, 0)?;
        let entry = NewEntry { position, epoch: self.epoch, kind: EntryKind::Commit };
        entry.insert(tx, self.group, self.commit, self.digest).await?;
        if uint(&head, 1)? > 0 {
            acknowledge(tx, self.group, self.user, self.epoch).await?;
        }
        let welcomed = match self.welcomed(tx).await? {
            Ok(welcomed) => welcomed,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if let Err(refusal) = self.change_roster(tx, position, &welcomed).await? {
            return Ok(Err(refusal));
        }
        if let Err(refusal) = self.deliver(tx, &welcomed).await? {
            return Ok(Err(refusal));
        }
        tx.wake(Topic::group(self.group));
        Ok(Ok(Appended { position, epoch: self.epoch, age: Age::New }))
    }

    fn keeps(output: &Self::Output) -> bool {
        matches!(output, Ok(Appended { age: Age::New, .. }))
    }
}

/// The devices that are welcomed, and whose they are.
pub(super) type Welcomed = BTreeMap<DeviceId, UserId>;

impl Publish<'_> {
    /// Also devices that were revoked: what that means depends on the others of their accounts.
    async fn welcomed(&self, tx: &mut Tx) -> Result<Result<Welcomed, Refusal>, StoreError> {
        let mut welcomed = Welcomed::new();
        for letter in self.letters {
            let LetterKind::Welcome(_) = letter.kind else { continue };
            let Some(device) = DeviceById(&letter.recipient).run(tx).await? else {
                return Ok(Err(Refusal::UnknownDevice(letter.recipient.clone())));
            };
            welcomed.insert(device.device, device.user);
        }
        Ok(Ok(welcomed))
    }

    async fn change_roster(
        &self,
        tx: &mut Tx,
        position: u64,
        welcomed: &Welcomed,
    ) -> Result<Result<(), Refusal>, StoreError> {
        let mut add: BTreeSet<_> = self.add.iter().chain(welcomed.values()).cloned().collect();
        if self.standing == Joining::Outside {
            add.insert(self.user.clone());
        }
        // One that goes and comes back by the same commit, as in a leaf refresh, stays.
        let told = self.remove.iter().filter(|user| !add.contains(user));
        let mut contestable = Contestable::No;
        for user in told.chain(&self.gone(tx).await?) {
            if self.is_member(tx, user).await? == Some(true) {
                return Ok(Err(Refusal::StillAMember(user.clone())));
            }
            let gone = delist(tx, self.group, user, position).await?;
            if gone == Delisted::Now && user != self.user {
                contestable = Contestable::Yes;
            }
        }
        if contestable == Contestable::Yes {
            let by = Removal { user: self.user, epoch: self.epoch, until: self.contestable_until };
            by.insert(tx, self.group, position).await?;
        }
        for user in &add {
            let known = sqlx::query("SELECT user_id FROM users WHERE user_id = $1")
                .bind(user.as_bytes())
                .fetch_optional(tx.connection())
                .await?;
            if known.is_none() {
                return Ok(Err(Refusal::UnknownUser));
            }
            if self.is_member(tx, user).await? == Some(false) {
                return Ok(Err(Refusal::NotAMember(user.clone())));
            }
            list(tx, self.group, user, position).await?;
        }
        Ok(Ok(()))
    }

    /// Whether an account has a leaf afterwards, if that can be told: one that names it, or that has the
    /// key of one of its devices.
    async fn is_member(&self, tx: &mut Tx, user: &UserId) -> Result<Option<bool>, StoreError> {
        let Some(members) = self.members else { return Ok(None) };
        if members.identities.contains(user.as_bytes()) {
            return Ok(Some(true));
        }
        let devices = DevicesOfUser(user).run(tx).await?;
        Ok(Some(devices.iter().any(|device| members.devices.contains(&device.device))))
    }

    /// The accounts that have lost their last leaf, whether the sender says so or not.
    async fn gone(&self, tx: &mut Tx) -> Result<Vec<UserId>, StoreError> {
        let mut gone = Vec::new();
        for identity in self.left {
            let Ok(user) = UserId::new(identity.as_slice()) else { continue };
            if self.is_member(tx, &user).await? == Some(false) {
                gone.push(user);
            }
        }
        Ok(gone)
    }
}

/// Whether there is somebody who could put itself back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Contestable {
    Yes,
    No,
}

/// Who has a leaf in a group.
#[derive(Clone, Debug, Default)]
pub(crate) struct Members {
    /// The identities that the leaves name.
    pub(crate) identities: BTreeSet<Vec<u8>>,
    /// The devices whose keys they have.
    pub(crate) devices: BTreeSet<DeviceId>,
}

/// Appends a proposal or an application message.
pub(crate) struct Append<'a> {
    pub(crate) group: &'a GroupId,
    pub(crate) user: &'a UserId,
    pub(crate) standing: Joining,
    pub(crate) epoch: u64,
    /// How many epochs it may be behind.
    pub(crate) past_epochs: u64,
    pub(crate) kind: EntryKind,
    pub(crate) message: &'a [u8],
    pub(crate) digest: &'a [u8],
    /// How long the messages of the log may be with it.
    pub(crate) log: LogRoom,
    /// How many proposals may wait, with it if it is one.
    pub(crate) proposals: ProposalRoom,
}

impl Transaction for Append<'_> {
    const NAME: &'static str = "append_message";
    type Output = Result<Appended, Refusal>;

    async fn run(&self, tx: &mut Tx) -> Result<Self::Output, StoreError> {
        let row = sqlx::query(
            "UPDATE groups SET head = head + 1, used_day = NULL WHERE group_id = $1
             RETURNING head, epoch, contested",
        )
        .bind(self.group.as_bytes())
        .fetch_optional(tx.connection())
        .await?;
        let allowed = allowed(tx, self.group, self.user, self.standing).await?;
        let (Some(row), Ok(_)) = (row, &allowed) else {
            return lost(tx, self.group, self.digest, allowed).await;
        };
        if let Some(old) = find(tx, self.group, self.digest).await? {
            return Ok(Ok(old));
        }
        let current = uint(&row, 1)?;
        if !self.taken_in(current).contains(&self.epoch) {
            return Ok(Err(Refusal::Epoch(current)));
        }
        if self.kind == EntryKind::Proposal {
            let now = (self.group, current);
            if let Err(refusal) = self.proposals.takes(tx, now, self.user, self.message).await? {
                return Ok(Err(refusal));
            }
        }
        if let Err(refusal) = self.log.takes(tx, self.group, self.message).await? {
            return Ok(Err(refusal));
        }
        let position = uint(&row, 0)?;
        let entry = NewEntry { position, epoch: self.epoch, kind: self.kind };
        entry.insert(tx, self.group, self.message, self.digest).await?;
        if uint(&row, 2)? > 0 {
            acknowledge(tx, self.group, self.user, self.epoch).await?;
        }
        tx.wake(Topic::group(self.group));
        Ok(Ok(Appended { position, epoch: self.epoch, age: Age::New }))
    }

    fn keeps(output: &Self::Output) -> bool {
        matches!(output, Ok(Appended { age: Age::New, .. }))
    }
}

impl Append<'_> {
    /// The epochs of which it would be taken.
    fn taken_in(&self, current: u64) -> RangeInclusive<u64> {
        current.saturating_sub(self.past_epochs)..=current
    }
}

async fn allowed(
    tx: &mut Tx,
    group: &GroupId,
    user: &UserId,
    standing: Joining,
) -> Result<Result<Group, Refusal>, StoreError> {
    let Some(found) = (GroupById { group, user }).run(tx).await? else {
        return Ok(Err(Refusal::NoGroup));
    };
    Ok(standing.allowed(&found).map(|()| found))
}

/// What is said to one who has not won: that it had won before, or what the current epoch is.
async fn lost(
    tx: &mut Tx,
    group: &GroupId,
    digest: &[u8],
    allowed: Result<Group, Refusal>,
) -> Result<Result<Appended, Refusal>, StoreError> {
    match allowed {
        Err(Refusal::NoGroup) => Ok(Err(Refusal::NoGroup)),
        // Also one who has removed itself with the commit may ask again.
        other => Ok(match (find(tx, group, digest).await?, other) {
            (Some(old), _) => Ok(old),
            (None, Ok(found)) => Err(Refusal::Epoch(found.epoch)),
            (None, Err(refusal)) => Err(refusal),
        }),
    }
}

async fn find(tx: &mut Tx, group: &GroupId, digest: &[u8]) -> Result<Option<Appended>, StoreError> {
    let row = sqlx::query("SELECT position, epoch FROM log WHERE group_id = $1 AND digest = $2")
        .bind(group.as_bytes())
        .bind(digest)
        .fetch_optional(tx.connection())
        .await?;
    let read =
        |row| Ok(Appended { position: uint(&row, 0)?, epoch: uint(&row, 1)?, age: Age::Old });
    row.map(read).transpose()
}

struct NewEntry {
    position: u64,
    epoch: u64,
    kind: EntryKind,
}

impl NewEntry {
    async fn insert(
        &self,
        tx: &mut Tx,
        group: &GroupId,
        message: &[u8],
        digest: &[u8],
    ) -> Result<(), StoreError> {
        let digest: &[u8; 32] = digest.try_into().expect("a SHA-256 has 32 bytes");
        let chain = chain_at(tx, group, self.position.saturating_sub(1)).await?;
        let chain = chain.and(self.position, self.epoch, self.kind, digest);
        sqlx::query(
            "INSERT INTO log (group_id, position, epoch, kind, message, digest, chain)
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(group.as_bytes())
        .bind(int(self.position)?)
        .bind(int(self.epoch)?)
        .bind(self.kind.name())
        .bind(message)
        .bind(digest.as_slice())
        .bind(chain.as_bytes().as_slice())
        .execute(tx.connection())
        .await?;
        Ok(())
    }
}
