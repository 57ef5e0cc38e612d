//! Groups: the total order of commits, and what else goes into the log.

use paired_mls_api::{
    CreateGroup, DeviceId, EntryKind, GroupId, GroupView, LogPage, PublishCommit, Published, UserId,
};

use super::{
    Caller, Failure,
    brings::Brings,
    failure::MessageFault,
    message::{digest, envelope, group_info as check_group_info, header},
};
use crate::{
    AppState,
    store::{
        Age, Append, Appended, EntriesAfter, Group, GroupById, GroupInfo, Letter, LetterKind,
        OpenGroup, Publish,
    },
};

/// Creates a group.
pub(crate) async fn create(
    state: &AppState,
    caller: &Caller,
    request: CreateGroup,
) -> Result<GroupView, Failure> {
    let CreateGroup { group, epoch, access, group_info } = request;
    if let Some(group_info) = &group_info {
        check_group_info(&group, epoch, &group_info.0)?;
    }
    let group_info = group_info.as_ref().map(|message| message.0.as_slice());
    let open = OpenGroup { group: &group, user: &caller.user, epoch, access, group_info };
    if !state.store.run(&open).await? {
        return Err(Failure::Exists);
    }
    Ok(GroupView { group, epoch, head: 0, access })
}

/// Where a group is.
pub(crate) async fn view(
    state: &AppState,
    caller: &Caller,
    group: GroupId,
) -> Result<GroupView, Failure> {
    let found = visible(state, &caller.user, &group).await?;
    Ok(GroupView { group, epoch: found.epoch, head: found.readable(), access: found.access })
}

/// A group that the account was, is or may become a member of.
pub(crate) async fn visible(
    state: &AppState,
    user: &UserId,
    group: &GroupId,
) -> Result<Group, Failure> {
    let found = state.store.run(&GroupById { group, user }).await?;
    let known = found.filter(|found| found.may_join() || found.readable() > 0);
    known.ok_or(Failure::NotFound)
}

/// Publishes a commit with everything that belongs to it.
pub(crate) async fn publish_commit(
    state: &AppState,
    caller: &Caller,
    group: &GroupId,
    request: PublishCommit,
) -> Result<(Published, Age), Failure> {
    let brings = Brings::bounded(&request, &state.limits)?;
    let commit = request.commit.0;
    let header = header(group, &commit)?;
    if header.kind != EntryKind::Commit {
        return Err(MessageFault::NotA("commit").into());
    }
    if let Some(group_info) = &request.group_info {
        check_group_info(group, header.epoch.saturating_add(1), &group_info.0)?;
    }
    let account_envelope = envelope(request.account_envelope.0)?;
    let envelopes = brings.envelopes(request.welcomes, request.envelopes)?;
    let letters: Vec<_> = envelopes
        .iter()
        .map(|(device, kind, bytes)| Letter { kind: *kind, ..letter(state, device.clone(), bytes) })
        .collect();
    let publish = Publish {
        group,
        user: &caller.user,
        device: &caller.device,
        epoch: header.epoch,
        commit: &commit,
        digest: &digest(&commit),
        standing: header.standing,
        group_info: request.group_info.as_ref().map(|message| message.0.as_slice()),
        remove: &request.roster.remove,
        add: &request.roster.add,
        letters: &letters,
        to_siblings: letter(state, caller.device.clone(), &account_envelope),
        room: brings.room,
    };
    let outcome = state.store.run(&publish).await?;
    state.metrics.commit(outcome.is_ok());
    Ok(published(outcome?))
}

/// Publishes a proposal or an application message.
pub(crate) async fn publish_message(
    state: &AppState,
    caller: &Caller,
    group: &GroupId,
    message: &[u8],
) -> Result<(Published, Age), Failure> {
    let header = header(group, message)?;
    let past_epochs = match header.kind {
        EntryKind::Application => state.limits.past_epochs,
        EntryKind::Proposal => 0,
        EntryKind::Commit => {
            return Err(MessageFault::NotA("proposal or application message").into());
        }
    };
    let append = Append {
        group,
        user: &caller.user,
        standing: header.standing,
        epoch: header.epoch,
        past_epochs,
        kind: header.kind,
        message,
        digest: &digest(message),
    };
    Ok(published(state.store.run(&append).await??))
}

fn published(appended: Appended) -> (Published, Age) {
    let Appended { position, epoch, age } = appended;
    (Published { position, epoch }, age)
}

pub(super) fn letter<'a>(state: &AppState, recipient: DeviceId, envelope: &'a [u8]) -> Letter<'a> {
    let expires_at = state.clock.now().saturating_add(state.limits.mailbox_seconds);
    let limit = state.limits.mailbox_items;
    Letter { recipient, envelope, kind: LetterKind::Other, limit, expires_at }
}

/// The log after a cursor.
pub(crate) async fn log(
    state: &AppState,
    caller: &Caller,
    group: &GroupId,
    after: u64,
    limit: Option<u32>,
) -> Result<LogPage, Failure> {
    let found = visible(state, &caller.user, group).await?;
    let head = found.readable();
    if after > head {
        return Err(Failure::Beyond { head });
    }
    let limit = limit.unwrap_or(state.limits.page).min(state.limits.page);
    let entries = EntriesAfter { group, after, through: head, limit };
    Ok(LogPage { entries: state.store.run(&entries).await?, head })
}

/// The GroupInfo of the current epoch.
pub(crate) async fn group_info(
    state: &AppState,
    caller: &Caller,
    group: &GroupId,
) -> Result<Vec<u8>, Failure> {
    let found = visible(state, &caller.user, group).await?;
    if !found.may_join() {
        return Err(Failure::NotFound);
    }
    state.store.run(&GroupInfo(group)).await?.ok_or(Failure::NotFound)
}
