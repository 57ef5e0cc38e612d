//! What is checked of a message to a group before it gets its place, as far as the service can read it.

use std::sync::Arc;

use paired_mls::wire::Sender;
use paired_mls_api::{GroupId, RosterChange, UserId};

use super::{
    Caller, Failure,
    failure::{BaseFault, MessageFault, Rule},
    message::group_info as check_group_info,
    public::{Base, Change, Leads, PublicParts, is_own, judge, known_newcomer, own_leaf, parts},
};
use crate::{
    AppState,
    store::{Anchoring, GroupById, GroupInfo, Members, ProposalsOf},
};

/// The most proposals of an epoch that are looked at to find those that a commit names, and the longest, in bytes.
const PROPOSALS: u32 = 256;
const LONGEST: u32 = 16 << 10;

/// A commit as it is told.
pub(super) struct Told<'a> {
    pub(super) epoch: u64,
    pub(super) commit: &'a [u8],
    pub(super) group_info: Option<&'a [u8]>,
    pub(super) roster: &'a RosterChange,
    pub(super) welcomes: usize,
}

/// What the service has found out about a commit.
pub(super) struct Checked {
    /// Whether its GroupInfo follows from what was there before.
    pub(super) anchoring: Anchoring,
    /// Who is a member afterwards, if it can tell.
    pub(super) members: Option<Members>,
    /// The identities of the leaves that go.
    pub(super) left: Vec<Vec<u8>>,
}

impl Checked {
    /// Nothing.
    const NOTHING: Self = Self { anchoring: Anchoring::Claimed, members: None, left: Vec::new() };
}

/// Checks a commit. One that is not of the current epoch loses anyway, or was made before.
pub(super) async fn check_commit(
    state: &AppState,
    caller: &Caller,
    group: &GroupId,
    told: &Told<'_>,
) -> Result<Checked, Failure> {
    let parts = parts(told.commit)?;
    if parts.is_none() && told.group_info.is_none() {
        return Ok(Checked::NOTHING);
    }
    let found = state.store.run(&GroupById { group, user: &caller.user }).await?;
    if !found.is_some_and(|found| found.epoch == told.epoch && found.may_join()) {
        return Ok(Checked::NOTHING);
    }
    let change = match parts {
        Some(parts) => check_public(state, caller, group, told, parts).await?,
        None => None,
    };
    let next = match told.group_info {
        None => None,
        Some(group_info) => {
            let next = (group, told.epoch.saturating_add(1));
            Some(accept_group_info(state, caller, next, group_info).await?)
        }
    };
    let Some((change, before)) = change else { return Ok(Checked::NOTHING) };
    let mut anchoring = Anchoring::Claimed;
    if let Some(next) = &next {
        match change.leads_to(next) {
            Leads::Elsewhere => return Err(MessageFault::ForeignGroupInfo.into()),
            Leads::There if next.has_tree() => anchoring = before,
            Leads::There | Leads::Perhaps => {}
        }
        if change.sender.is_none() && !next.has_tree() {
            return Err(MessageFault::NoTree.into());
        }
    }
    // From outside, the roster changes for the sender alone.
    let left = match change.sender {
        Some(_) => change.removed.into_iter().map(|seat| seat.identity).collect(),
        None => Vec::new(),
    };
    Ok(Checked { anchoring, members: change.members, left })
}

/// A commit in the clear, and how far the GroupInfo can be believed by which it was judged; nothing if there is none to
/// judge a member's by.
async fn check_public(
    state: &AppState,
    caller: &Caller,
    group: &GroupId,
    told: &Told<'_>,
    parts: PublicParts,
) -> Result<Option<(Change, Anchoring)>, Failure> {
    if parts.adds.len() > state.limits.now().recipients || parts.updates.len() > 1 {
        return Err(Failure::Full(None));
    }
    if let Some(leaf) = parts.path_leaf() {
        own_leaf(state, caller, leaf).await?;
    }
    for key_package in &parts.adds {
        known_newcomer(state, key_package).await?;
    }
    let base = current_base(state, group, told.epoch).await?;
    let outside = !matches!(parts.sender, Sender::Member(_));
    if outside {
        let own = |user: &UserId| *user == caller.user;
        let RosterChange { remove, add } = told.roster;
        if !remove.iter().chain(add).all(own) || told.welcomes > 0 {
            return Err(Rule::ForeignRoster.into());
        }
        let (base, _) = base.as_ref().ok_or(Failure::NoBase(BaseFault::Missing))?;
        if !base.has_tree() {
            return Err(Failure::NoBase(BaseFault::NoTree));
        }
    }
    let Some((base, anchoring)) = base else { return Ok(None) };
    let (epoch, limit, longest) = (told.epoch, PROPOSALS, LONGEST);
    let proposals = ProposalsOf { group, epoch, limit, longest };
    let proposals = match parts.is_whole() {
        true => Vec::new(),
        false => state.store.run(&proposals).await?,
    };
    let removes = parts.removes().iter().filter_map(|leaf| base.seat(*leaf)).collect::<Vec<_>>();
    let (commit, id) = (told.commit.to_vec(), group.as_bytes().to_vec());
    let judged = move || judge(&base, &id, &commit, &parts, &proposals);
    let change = match state.bases.turn(judged).await? {
        Ok(change) => change,
        // A GroupInfo that a member has made up must not keep the commits of others out. One that is
        // right is proven so by a commit that verifies, for the signature covers the epoch's context.
        Err(_) if anchoring == Anchoring::Claimed && !outside => return Ok(None),
        Err(fault) => return Err(fault.into()),
    };
    if outside && !removes.iter().all(|seat| is_own(caller, seat)) {
        return Err(Rule::ForeignRemoval.into());
    }
    if change.sender.as_ref().is_some_and(|seat| !is_own(caller, seat)) {
        return Err(Rule::ForeignLeaf.into());
    }
    for key_package in &change.added {
        known_newcomer(state, key_package).await?;
    }
    Ok(Some((change, anchoring)))
}

/// A proposal in the clear: the leaf of an Update is the sender's own, a KeyPackage that is to be added is one
/// that the directory knows, and nobody proposes from the seat of somebody else.
pub(super) async fn check_proposal(
    state: &AppState,
    caller: &Caller,
    group: &GroupId,
    epoch: u64,
    message: &[u8],
) -> Result<(), Failure> {
    let Some(parts) = parts(message)? else { return Ok(()) };
    // What is said to a stranger does not depend on what the service has of the group, or whether it has it.
    let found = state.store.run(&GroupById { group, user: &caller.user }).await?;
    if !found.is_some_and(|found| found.may_join()) {
        return Ok(());
    }
    for leaf in &parts.updates {
        own_leaf(state, caller, leaf).await?;
    }
    for key_package in &parts.adds {
        let users = known_newcomer(state, key_package).await?;
        if parts.sender == Sender::NewMemberProposal && !users.contains(&caller.user) {
            return Err(Rule::ForeignLeaf.into());
        }
    }
    if let Sender::Member(leaf) = parts.sender
        && let Some((base, Anchoring::Anchored)) = current_base(state, group, epoch).await?
        && base.seat(leaf).is_some_and(|seat| !is_own(caller, &seat))
    {
        return Err(Rule::ForeignLeaf.into());
    }
    Ok(())
}

/// The GroupInfo of the current epoch, if that is this one and there is one, and how far it can be believed.
pub(super) async fn current_base(
    state: &AppState,
    group: &GroupId,
    epoch: u64,
) -> Result<Option<(Arc<Base>, Anchoring)>, Failure> {
    let stored = state.store.run(&GroupInfo(group)).await?;
    let Some(stored) = stored.filter(|stored| stored.epoch == epoch) else { return Ok(None) };
    // One that an older version has stored unread may be no good: it is as if there were none.
    let base = state.bases.read(&stored.message).await.ok();
    Ok(base.map(|base| (base, stored.anchoring)))
}

/// Checks that bytes are the GroupInfo of a group and epoch, that they verify, and that a leaf of the caller's
/// has signed them.
pub(super) async fn accept_group_info(
    state: &AppState,
    caller: &Caller,
    (group, epoch): (&GroupId, u64),
    group_info: &[u8],
) -> Result<Arc<Base>, Failure> {
    check_group_info(group, epoch, group_info)?;
    let base = state.bases.read(group_info).await?;
    if base.epoch() != epoch {
        return Err(MessageFault::OtherEpoch.into());
    }
    if let Some(leaf) = base.signer() {
        own_leaf(state, caller, leaf).await?;
    }
    Ok(base)
}
