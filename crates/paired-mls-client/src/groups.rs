//! Groups.

use futures_util::Stream;
use paired_mls_api::{
    CreateGroup, GroupId, GroupView, LogEntry, LogPage, MLS_MESSAGE, ProblemKind, PublishCommit,
    Published, RosterRepair, RosterRepaired, UserId, path,
};

use crate::{
    Client, ClientError, ClientKey, LogCursor, answer::if_found, request::Request,
    subscription::Subscription,
};

/// What became of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a commit that has lost must be discarded"]
pub enum Publication {
    /// It has its place in the log.
    Accepted(Published),
    /// Another commit was faster, or this one is of another epoch. Nothing of it has taken effect: fetch
    /// the log, and make another one.
    Lost {
        /// The epoch that the group is in.
        epoch: u64,
    },
}

impl<K: ClientKey> Client<K> {
    /// Creates a group, with this device's account on its roster. It is not asked for twice: the group
    /// would be said to exist.
    ///
    /// # Errors
    ///
    /// [`ClientError::NoAnswer`], [`ClientError::Unavailable`]: it may be there; [`Self::group`] tells.
    /// [`ClientError::Refused`] if it exists.
    pub async fn create_group(&self, group: &CreateGroup) -> Result<GroupView, ClientError> {
        let request = Request::post(path::GROUPS).json(group).never_blindly_again();
        self.ask(request).await?.json()
    }

    /// Where a group is.
    ///
    /// # Errors
    ///
    /// [`ClientError::Refused`] if there is no such group, or not for this account.
    pub async fn group(&self, group: &GroupId) -> Result<GroupView, ClientError> {
        self.ask(Request::get(path::of_group(path::GROUP, group))).await?.json()
    }

    /// Publishes a commit with everything that belongs to it, all or nothing. The same commit again is
    /// answered as before, for as long as the log is there.
    ///
    /// # Errors
    ///
    /// [`ClientError::Refused`] if it is not valid, or not this account's to make.
    pub async fn publish_commit(
        &self,
        group: &GroupId,
        commit: &PublishCommit,
    ) -> Result<Publication, ClientError> {
        let path = path::of_group(path::GROUP_COMMITS, group);
        match self.ask(Request::post(path).json(commit)).await {
            Ok(answer) => answer.json().map(Publication::Accepted),
            Err(ClientError::Refused(problem)) => {
                match (problem.known_kind(), problem.current_epoch) {
                    (Some(ProblemKind::WrongEpoch), Some(epoch)) => Ok(Publication::Lost { epoch }),
                    _ => Err(ClientError::Refused(problem)),
                }
            }
            Err(error) => Err(error),
        }
    }

    /// Publishes a proposal or an application message. The same one again is answered as before.
    ///
    /// # Errors
    ///
    /// [`ClientError::Refused`] if it is not valid, of another epoch, or not this account's to send.
    pub async fn publish_message(
        &self,
        group: &GroupId,
        message: &[u8],
    ) -> Result<Published, ClientError> {
        let path = path::of_group(path::GROUP_MESSAGES, group);
        self.ask(Request::post(path).bytes(MLS_MESSAGE, message.to_vec())).await?.json()
    }

    /// The log of a group after a position, `limit` entries at most, or as many as the service gives at
    /// once, and 4 MiB of them. One that is longer comes alone.
    ///
    /// # Errors
    ///
    /// [`ClientError::TooLong`] for a single entry that no service takes. [`ClientError::OtherHistory`],
    /// [`ClientError::Gap`]: the log is not the one that was read up to the cursor, or has a hole.
    /// [`ClientError::Refused`] if there is no such group, or not for this account.
    pub async fn log(
        &self,
        group: &GroupId,
        after: impl Into<LogCursor>,
        limit: Option<u32>,
    ) -> Result<LogPage, ClientError> {
        let (path, cursor) = (path::of_group(path::GROUP_MESSAGES, group), after.into());
        let page = self.page(&path, cursor.position, limit).await;
        let page: LogPage = page.map_err(|error| cursor.explain(error))?;
        cursor.check(group, &page)?;
        Ok(page)
    }

    /// The GroupInfo of the current epoch; nothing if the last commit brought none, or if there is no such
    /// group for this account.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn group_info(&self, group: &GroupId) -> Result<Option<Vec<u8>>, ClientError> {
        let request = Request::get(path::of_group(path::GROUP_INFO, group));
        let found = if_found(self.ask(request).await)?;
        found.map(|answer| answer.bytes(MLS_MESSAGE)).transpose()
    }

    /// Publishes the GroupInfo of the current epoch, with the ratchet tree in it, for others to join by: the
    /// last commit brought none.
    ///
    /// # Errors
    ///
    /// [`ClientError::Refused`] if it is not valid, not of the current epoch, or if this account is not on the
    /// roster.
    pub async fn publish_group_info(
        &self,
        group: &GroupId,
        group_info: &[u8],
    ) -> Result<(), ClientError> {
        let path = path::of_group(path::GROUP_INFO, group);
        self.ask(Request::put(path).bytes(MLS_MESSAGE, group_info.to_vec())).await?.nothing()
    }

    /// Puts accounts back on the roster that were removed: a repair, see [`RosterRepair`]. It changes nobody's
    /// leaf. Doing it again changes nothing.
    ///
    /// # Errors
    ///
    /// [`ClientError::Refused`] if this account may not, or if one of the users was never on the roster.
    pub async fn put_back(
        &self,
        group: &GroupId,
        users: &[UserId],
    ) -> Result<RosterRepaired, ClientError> {
        let repair = RosterRepair { put_back: users.to_vec() };
        let path = path::of_group(path::GROUP_ROSTER, group);
        self.ask(Request::post(path).json(&repair)).await?.json()
    }

    /// The log of a group after a position, and then as it grows, each entry once and in its order. The
    /// stream reconnects by itself and resumes after its last entry.
    ///
    /// A newcomer may begin at 0: its first entry is the commit that has added it.
    ///
    /// The last entry for an account that is removed is the commit that does it. The stream then waits
    /// for the account to be added again.
    ///
    /// It holds an error where it ends for good, as when the log is another one than that of the cursor, and
    /// one for each attempt after five in a row have failed: whoever reads on waits until the service is back.
    pub fn group_events<C: Into<LogCursor>>(
        &self,
        group: &GroupId,
        after: C,
    ) -> impl Stream<Item = Result<LogEntry, ClientError>> + Unpin + use<K, C> {
        let (path, after) = (path::of_group(path::GROUP_EVENTS, group), after.into());
        let subscription = Subscription::new(self.clone(), path, after);
        match after.position {
            0 => subscription.of_newcomer(group.clone()).stream(),
            _ => subscription.stream(),
        }
    }
}
