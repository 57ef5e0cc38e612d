//! What an operator does, beside a service that may run on the same database.
//!
//! An [`Admin`] works on the database itself, not through the service: what one does is seen by the other, since
//! each thing is one transaction or several that each leave the database as it should be. A service on SQLite
//! looks once a second whether an operator has changed something; replicas on PostgreSQL are told.

mod backup;
mod check;
mod view;

use std::sync::Arc;

use paired_mls_api::{DeviceId, GroupId, UserId};

pub use self::{
    backup::{RestoreError, restore},
    view::{
        ApprovalOf, Backup, Checked, Deleted, DeviceLine, Finding, GroupDetails, GroupLine,
        KeyPackages, MemberLine, OnPaper, OwnGroup, Restored, ShutOutAgain, UserDetails, UserLine,
    },
};
use crate::{
    Clock, RolledBack, StoreError, Unread,
    store::{
        APPROVED, Approvals, Ban, ByOperator, DeleteApproval, DeleteDevice, DeleteGroup, DeleteLog,
        DeleteUser, DeviceById, Devices, DropDevices, FreeDevice, Groups, GroupsAlone,
        NewIncarnation, OwnGroups, Prune, Reopen, RevokeDevice, RollBack, Roster, Store,
        Transaction, Unban, Users,
    },
};

/// The most that one call lists.
const MOST: u32 = 1000;

/// What becomes of the devices that a user has, when the operator lets in another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OldDevices {
    /// They stay.
    Kept,
    /// They are revoked: they are lost, or somebody else has them.
    Revoked,
}

/// An operator at a database.
pub struct Admin {
    store: Store,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for Admin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Admin").field("database", self.store.database()).finish_non_exhaustive()
    }
}

impl Admin {
    /// Opens a database that is there and of this version. Nothing of it changes.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if it is not there, of another version, or another program's.
    pub async fn open(database: &str, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        // The service wakes its own subscribers.
        let store = Store::attach(database, Arc::new(|_| {})).await?;
        Ok(Self { store, clock })
    }

    /// Ends the connections to the database.
    pub async fn close(self) {
        self.store.close().await;
    }

    async fn change<T: Transaction>(&self, transaction: T) -> Result<T::Output, StoreError> {
        self.store.run(&ByOperator(transaction)).await
    }

    /// Users in the order of their names, behind one; 1,000 at most.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails; so of all others.
    pub async fn users(
        &self,
        after: Option<&UserId>,
        limit: u32,
    ) -> Result<Vec<UserLine>, StoreError> {
        let from = after.map(UserId::as_bytes).unwrap_or_default();
        self.store.run(&Users { from, through: None, limit: limit.min(MOST) }).await
    }

    /// Devices in the order of their ids, of one user or of all, behind one; 1,000 at most.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn devices(
        &self,
        of: Option<&UserId>,
        after: Option<&DeviceId>,
        limit: u32,
    ) -> Result<Vec<DeviceLine>, StoreError> {
        let from = after.map(DeviceId::as_bytes).unwrap_or_default();
        self.store.run(&Devices { from, of, limit: limit.min(MOST) }).await
    }

    /// Groups in the order of their ids, behind one; 1,000 at most.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn groups(
        &self,
        after: Option<&GroupId>,
        limit: u32,
    ) -> Result<Vec<GroupLine>, StoreError> {
        let from = after.map(GroupId::as_bytes).unwrap_or_default();
        self.store.run(&Groups { from, only: None, limit: limit.min(MOST) }).await
    }

    /// Approvals that have not ended, of one user or of all; 1,000 at most.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn approvals(&self, of: Option<&UserId>) -> Result<Vec<ApprovalOf>, StoreError> {
        self.store.run(&Approvals { of, now: self.clock.now(), limit: MOST }).await
    }

    /// A user with its devices and groups, if there is one.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn user(&self, user: &UserId) -> Result<Option<UserDetails>, StoreError> {
        let found = Users { from: &[], through: Some(user), limit: 1 };
        let Some(line) = self.store.run(&found).await?.pop() else { return Ok(None) };
        let list = self.devices(Some(user), None, MOST).await?;
        let groups = self.store.run(&OwnGroups(user)).await?;
        let approvals = self.approvals(Some(user)).await?;
        Ok(Some(UserDetails { line, list, groups, approvals }))
    }

    /// A device, if there is one.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn device(&self, device: &DeviceId) -> Result<Option<DeviceLine>, StoreError> {
        let Some(found) = self.store.run(&DeviceById(device)).await? else { return Ok(None) };
        let devices = self.devices(Some(&found.user), None, MOST).await?;
        Ok(devices.into_iter().find(|line| line.device == *device))
    }

    /// A group with its roster, if there is one.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn group(&self, group: &GroupId) -> Result<Option<GroupDetails>, StoreError> {
        let found = Groups { from: &[], only: Some(group), limit: 1 };
        let Some(line) = self.store.run(&found).await?.pop() else { return Ok(None) };
        let roster = self.store.run(&Roster(group)).await?;
        Ok(Some(GroupDetails { line, roster }))
    }

    /// The groups that nobody but this user ever was in.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn groups_alone(&self, user: &UserId) -> Result<Vec<GroupId>, StoreError> {
        self.store.run(&GroupsAlone(user)).await
    }

    /// Revokes a device, for ever. Returns since when it is revoked; nothing if there is none.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn revoke(&self, device: &DeviceId) -> Result<Option<u64>, StoreError> {
        let Some(found) = self.store.run(&DeviceById(device)).await? else { return Ok(None) };
        let now = self.clock.now();
        self.change(RevokeDevice { user: &found.user, device, now }).await
    }

    /// Lets a device register for a user within a day, as one of its own devices would. Returns how many devices
    /// were revoked for it; nothing if there is no such user.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn free(
        &self,
        user: &UserId,
        device: &DeviceId,
        old: OldDevices,
    ) -> Result<Option<u64>, StoreError> {
        let now = self.clock.now();
        // First those that could take the approval back.
        let mut revoked = 0;
        if old == OldDevices::Revoked {
            let devices = self.devices(Some(user), None, MOST).await?;
            for line in devices.iter().filter(|line| line.revoked_at.is_none()) {
                self.change(RevokeDevice { user, device: &line.device, now }).await?;
                revoked += 1;
            }
        }
        let expires_at = now.saturating_add(APPROVED);
        let freed = self.change(FreeDevice { user, device, expires_at }).await?;
        Ok(freed.then_some(revoked))
    }

    /// Shuts a user out. Returns whether there is one.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn ban(&self, user: &UserId) -> Result<bool, StoreError> {
        self.change(Ban { user, now: self.clock.now() }).await
    }

    /// Lets a user in again. Returns whether there is one.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn unban(&self, user: &UserId) -> Result<bool, StoreError> {
        self.change(Unban(user)).await
    }

    /// Deletes a user with its devices, and the groups that nobody else ever was in. It is shut out first, so that
    /// nothing comes in between; where this ends too early, doing it again goes on.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn delete_user(&self, user: &UserId) -> Result<Option<Deleted>, StoreError> {
        if !self.ban(user).await? {
            return Ok(None);
        }
        let mut deleted = Deleted::default();
        for line in self.devices(Some(user), None, MOST).await? {
            self.change(DeleteDevice(&line.device)).await?;
            deleted.devices += 1;
        }
        // Those that have come since.
        deleted.devices += self.change(DropDevices(user)).await?;
        for group in self.groups_alone(user).await? {
            if let Some(gone) = self.delete_group(&group).await? {
                deleted.groups += gone.groups;
                deleted.entries += gone.entries;
            }
        }
        self.change(DeleteUser(user)).await?;
        Ok(Some(deleted))
    }

    /// Deletes a device. Unlike one that is revoked its key can be registered again. Returns whether there was one.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn delete_device(&self, device: &DeviceId) -> Result<bool, StoreError> {
        if self.store.run(&DeviceById(device)).await?.is_none() {
            return Ok(false);
        }
        self.change(DeleteDevice(device)).await?;
        Ok(true)
    }

    /// Deletes a group with its log: first nobody is in it any more, then the log goes in parts, and then the rest.
    /// Where this ends too early, doing it again goes on.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn delete_group(&self, group: &GroupId) -> Result<Option<Deleted>, StoreError> {
        let found = Groups { from: &[], only: Some(group), limit: 1 };
        if self.store.run(&found).await?.is_empty() {
            return Ok(None);
        }
        let mut deleted = Deleted { groups: 1, ..Deleted::default() };
        loop {
            match self.change(DeleteLog(group)).await? {
                0 => break,
                gone => deleted.entries += gone,
            }
        }
        self.change(DeleteGroup(group)).await?;
        Ok(Some(deleted))
    }

    /// Deletes an approval. Returns whether there was one.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn delete_approval(
        &self,
        user: &UserId,
        device: &DeviceId,
    ) -> Result<bool, StoreError> {
        self.change(DeleteApproval { user, device }).await
    }

    /// Puts everybody back on the roster of a group who ever was on it. Returns how many are back; nothing if there
    /// is no such group.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn reopen(&self, group: &GroupId) -> Result<Option<u64>, StoreError> {
        self.change(Reopen(group)).await
    }

    /// Drops the entries of a group's log behind a position, as [`crate::AppState::roll_back_group`] does.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn roll_back(
        &self,
        group: &GroupId,
        position: u64,
    ) -> Result<Option<RolledBack>, StoreError> {
        self.change(RollBack { group, position }).await
    }

    /// Drops the entries of a group's log up to a position. Returns how many went.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn prune(
        &self,
        group: &GroupId,
        through: u64,
        unread: Unread,
    ) -> Result<u64, StoreError> {
        self.change(Prune { group, through, unread }).await
    }

    /// Says that the database was restored from a backup by other means: a new history begins.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn mark_restored(
        &self,
        key_packages: KeyPackages,
        incarnation: [u8; 16],
    ) -> Result<Restored, StoreError> {
        let new = NewIncarnation { incarnation, key_packages, now: self.clock.now() };
        let (key_packages, approvals) = self.change(new).await?;
        Ok(Restored { key_packages, approvals, shut_out: None })
    }
}
