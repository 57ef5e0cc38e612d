//! Groups: the total order of commits, and what else goes into the log.

use paired_mls_api::{
    CreateGroup, DeviceId, EntryKind, GroupId, GroupView, LogPage, PublishCommit, Published,
    RosterChange, RosterRepair, RosterRepaired, UserId,
};

use super::{
    Caller, Cut, Failure, Page, Wanted,
    brings::Brings,
    check::{Told, accept_group_info, check_commit, check_proposal, current_base},
    failure::{MessageFault, Rule},
    message::{digest, envelope, header},
    page::room,
    unused::use_group,
};
use crate::{
    AppState,
    store::{
        Age, Anchoring, Append, Appended, EntriesAfter, Group, GroupById, GroupInfo, Letter,
        LetterKind, LogRoom, Most, NoteReaders, OpenGroup, PageAfter, ProposalRoom, PrunedThrough,
        Publish, PutBack, Refusal, SetGroupInfo, Sizes, Standing,
    },
};

/// For how long those that a commit has removed can put themselves back, if nobody builds on the commit: a
/// week.
const CONTESTABLE: u64 = 7 * 24 * 60 * 60;

/// Creates a group.
pub(crate) async fn create(
    state: &AppState,
    caller: &Caller,
    request: CreateGroup,
) -> Result<GroupView, Failure> {
    let CreateGroup { group, epoch, access, group_info } = request;
    // First of all: what is said to anybody else does not depend on whether there is such a group.
    if !group.is_of_creator(&caller.user) {
        return Err(Rule::ForeignGroupId.into());
    }
    let mut anchoring = Anchoring::Claimed;
    if let Some(group_info) = &group_info {
        let base = accept_group_info(state, caller, (&group, epoch), &group_info.0).await?;
        if base.has_tree() {
            anchoring = Anchoring::Anchored;
        }
    }
    let group_info = group_info.as_ref().map(|message| message.0.as_slice());
    let user = &caller.user;
    let open = OpenGroup { group: &group, user, epoch, access, group_info, anchoring };
    if !state.store.run(&open).await? {
        return Err(Failure::Exists);
    }
    Ok(GroupView { group, epoch, head: 0, start: 0, access })
}

/// Where a group is.
pub(crate) async fn view(
    state: &AppState,
    caller: &Caller,
    group: GroupId,
) -> Result<GroupView, Failure> {
    let found = visible(state, &caller.user, &group).await?;
    let (head, start) = (found.readable(), found.start);
    Ok(GroupView { group, epoch: found.epoch, head, start, access: found.access })
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
    let brings = Brings::bounded(&request, &state.limits.now())?;
    let commit = request.commit.0;
    let header = header(group, &commit)?;
    if header.kind != EntryKind::Commit {
        return Err(MessageFault::NotA("commit").into());
    }
    let account_envelope = envelope(request.account_envelope.0)?;
    let RosterChange { remove, add } = &request.roster;
    let welcomes = request.welcomes.len();
    let envelopes = brings.envelopes(request.welcomes, request.envelopes)?;
    let told = Told {
        epoch: header.epoch,
        commit: &commit,
        group_info: request.group_info.as_ref().map(|message| message.0.as_slice()),
        roster: &request.roster,
        welcomes,
    };
    let checked = check_commit(state, caller, group, &told).await?;
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
        group_info: told.group_info,
        anchoring: checked.anchoring,
        remove,
        add,
        members: checked.members.as_ref(),
        left: &checked.left,
        contestable_until: state.clock.now().saturating_add(CONTESTABLE),
        letters: &letters,
        to_siblings: letter(state, caller.device.clone(), &account_envelope),
        room: brings.room,
        log: LogRoom::for_commits(state.limits.now().log_bytes),
    };
    let mut outcome = state.store.run(&publish).await?;
    if let Err(Refusal::LogFull { .. }) = outcome
        && make_room_in_log(state, group, commit.len()).await?
    {
        outcome = state.store.run(&publish).await?;
    }
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
        EntryKind::Application => state.limits.now().past_epochs,
        EntryKind::Proposal => 0,
        EntryKind::Commit => {
            return Err(MessageFault::NotA("proposal or application message").into());
        }
    };
    if header.kind == EntryKind::Proposal {
        check_proposal(state, caller, group, header.epoch, message).await?;
    }
    let append = Append {
        group,
        user: &caller.user,
        standing: header.standing,
        epoch: header.epoch,
        past_epochs,
        kind: header.kind,
        message,
        digest: &digest(message),
        log: LogRoom::for_messages(state.limits.now().log_bytes),
        proposals: proposal_room(state),
    };
    let mut outcome = state.store.run(&append).await?;
    if let Err(Refusal::LogFull { .. }) = outcome
        && make_room_in_log(state, group, message.len()).await?
    {
        outcome = state.store.run(&append).await?;
    }
    Ok(published(outcome?))
}

/// How many proposals may wait in an epoch.
fn proposal_room(state: &AppState) -> ProposalRoom {
    let limits = state.limits.now();
    let most = |proposals, bytes| Most { proposals, bytes };
    ProposalRoom {
        of_account: most(limits.proposals_each, limits.proposal_bytes_each),
        of_all: most(limits.proposals, limits.proposal_bytes),
    }
}

/// Drops of a log what everybody has read, so that as many bytes find room; `false` if nothing goes.
async fn make_room_in_log(
    state: &AppState,
    group: &GroupId,
    bytes: usize,
) -> Result<bool, Failure> {
    let Some(most) = state.limits.now().log_bytes else { return Ok(false) };
    state.store.run(&NoteReaders(&state.read_by.take())).await?;
    let left = most.saturating_sub(u64::try_from(bytes).unwrap_or(u64::MAX));
    Ok(state.store.cut_log(group, left).await? > 0)
}

fn published(appended: Appended) -> (Published, Age) {
    let Appended { position, epoch, age } = appended;
    (Published { position, epoch }, age)
}

pub(super) fn letter<'a>(state: &AppState, recipient: DeviceId, envelope: &'a [u8]) -> Letter<'a> {
    let at = state.clock.now();
    let expires_at = at.saturating_add(state.limits.now().mailbox_seconds);
    let (limit, bytes) = (state.limits.now().mailbox_items, state.limits.now().mailbox_bytes);
    Letter { recipient, envelope, kind: LetterKind::Other, limit, bytes, at, expires_at }
}

/// The log after a cursor.
pub(crate) async fn log(
    state: &AppState,
    caller: &Caller,
    group: &GroupId,
    after: u64,
    wanted: Wanted,
) -> Result<Page<LogPage>, Failure> {
    let found = visible(state, &caller.user, group).await?;
    let head = found.readable();
    if after > head {
        return Err(Failure::Beyond { head });
    }
    let limit = wanted.count(state);
    let after = kept_after(state, group, after.max(found.start)).await?;
    if found.standing == Standing::Listed {
        use_group(state, group, &found).await;
        state.read_by.note(group, &caller.device, after);
    }
    let entries = EntriesAfter { group, after, through: head, limit };
    let cut = Cut::of(&state.store.run(&Sizes(entries)).await?, wanted.bytes(state));
    let (through, share) = match cut {
        Some(cut) => (cut.through, room(state, cut.memory()).await?),
        None => (after, None),
    };
    let entries = EntriesAfter { through, ..entries };
    let (chain, entries) = state.store.run(&PageAfter(entries)).await?;
    Ok(Page { content: LogPage { after, chain, entries, head }, share })
}

/// Where to read on. Whoever has read something and misses what is gone is told; a newcomer begins with what
/// there is.
pub(crate) async fn kept_after(
    state: &AppState,
    group: &GroupId,
    after: u64,
) -> Result<u64, Failure> {
    match state.store.run(&PrunedThrough(group)).await? {
        pruned if after >= pruned => Ok(after),
        pruned if after == 0 => Ok(pruned),
        through => Err(Failure::Pruned { through }),
    }
}

/// The GroupInfo of the current epoch. An older one would lead nowhere: who joins by it loses.
pub(crate) async fn group_info(
    state: &AppState,
    caller: &Caller,
    group: &GroupId,
) -> Result<Page<Vec<u8>>, Failure> {
    let found = visible(state, &caller.user, group).await?;
    if !found.may_join() {
        return Err(Failure::NotFound);
    }
    let last = state.store.run(&GroupInfo(group)).await?;
    let current = last.filter(|last| last.epoch == found.epoch);
    let content = current.map(|current| current.message).ok_or(Failure::StaleGroupInfo)?;
    let share = room(state, content.len()).await?;
    Ok(Page { content, share })
}

/// A member publishes the GroupInfo of the current epoch: the last commit brought none, or one without the
/// ratchet tree.
pub(crate) async fn set_group_info(
    state: &AppState,
    caller: &Caller,
    group: &GroupId,
    group_info: &[u8],
) -> Result<(), Failure> {
    let found = visible(state, &caller.user, group).await?;
    if found.standing != Standing::Listed {
        return Err(Rule::NotListed.into());
    }
    let epoch = found.epoch;
    let base = accept_group_info(state, caller, (group, epoch), group_info).await?;
    if !base.has_tree() {
        return Err(MessageFault::NoTree.into());
    }
    if let Some((known, _)) = current_base(state, group, epoch).await?
        && known.has_tree()
        && !known.agrees_with(&base)
    {
        return Err(MessageFault::ForeignGroupInfo.into());
    }
    match state.store.run(&SetGroupInfo { group, epoch, group_info }).await? {
        true => Ok(()),
        false => Err(Failure::WrongEpoch(epoch.saturating_add(1))),
    }
}

/// Puts accounts back on the roster.
pub(crate) async fn repair(
    state: &AppState,
    caller: &Caller,
    group: &GroupId,
    request: RosterRepair,
) -> Result<RosterRepaired, Failure> {
    let RosterRepair { put_back: users } = request;
    if users.len() > state.limits.now().recipients {
        return Err(Failure::Full(None));
    }
    let (by, now) = (&caller.user, state.clock.now());
    let put_back = state.store.run(&PutBack { group, by, users: &users, now }).await??;
    Ok(RosterRepaired { put_back })
}
