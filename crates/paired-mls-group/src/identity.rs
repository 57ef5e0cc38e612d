//! Who the members are: what every commit and every tree claims is put to the device's
//! [`CredentialPolicy`].
//!
//! ```text
//! a KeyPackage that this device is to add          admit      refused unless it is accepted
//! a proposal that waits for this device's commit   left_out   not committed unless it is accepted
//! a commit that is merged, whoever made it         Asked      merged, and the leaf is marked; or refused
//! a tree that this device comes into               present    marked; or refused
//! ```

use alloc::{vec, vec::Vec};

use paired_mls::{
    Event,
    anchor::LeafIndex,
    group::{
        Identities,
        credential::{Cause, Claim, Identity, Strictness, Verdict},
    },
    leaf::SignatureKeys,
    wire::{Credential, LeafNode, LeafNodeSource},
};

use crate::{
    Committer, Error, Library, Membership, PeerError, Proposal, Proposed, Proposer, StagedCommit,
    ThisDevice,
};

/// A member of a group, and who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberIdentity {
    /// Its leaf.
    pub leaf: LeafIndex,
    /// Who it is.
    pub identity: Identity,
    /// The signature keys of its leaf: one, or those of all devices that share it.
    pub signature_keys: Vec<Vec<u8>>,
}

/// Where a leaf is that a commit changes.
enum At {
    Leaf(LeafIndex),
    /// OpenMLS puts it somewhere: the signature key tells where.
    Newcomer(Vec<u8>),
}

struct Judged {
    at: At,
    cause: Cause,
    claims: Credential,
    signature_keys: Vec<Vec<u8>>,
    last: Option<Credential>,
    verdict: Verdict,
}

/// What a commit makes of the members' identities; it is not merged yet.
pub struct Asked {
    epoch: u64,
    judged: Vec<Judged>,
    gone: Vec<LeafIndex>,
    events: Vec<Event>,
}

/// The identities after a call, and what is told of it.
pub struct Settled {
    /// Which members are not verified.
    pub identities: Identities,
    /// What is told.
    pub events: Vec<Event>,
}

impl Asked {
    /// Asks the policy about every leaf that a staged commit changes. The own leaf is this device's.
    ///
    /// # Errors
    ///
    /// [`PeerError::Identity`], [`PeerError::TakenOut`] for what a strict policy refuses.
    pub fn of<L: Library>(
        device: &ThisDevice<'_, L>,
        group: &L::Group,
        identities: &Identities,
        staged: &StagedCommit,
        by: Committer,
    ) -> Result<Self, Error> {
        let epoch = device.library.epoch_mark(group).epoch;
        let own = device.library.own_leaf(group);
        let mut asked = Self { epoch, judged: Vec::new(), gone: Vec::new(), events: Vec::new() };
        let last = |at: LeafIndex| last_accepted(device, group, identities, at);
        let mut replaced = None;
        for proposed in &staged.proposals {
            match (&proposed.proposal, proposed.member()) {
                (Proposal::Add { leaf: new, .. }, _) => {
                    if is_own(device, new) {
                        continue;
                    }
                    let at = At::Newcomer(new.signature_key().to_vec());
                    asked.judge(device, group, at, new, Cause::Added, None);
                }
                (Proposal::Update(new), Some(at))
                    if at != own && changes(device, group, at, new) =>
                {
                    asked.judge(device, group, At::Leaf(at), new, Cause::Updated, last(at));
                }
                (Proposal::Remove(at), _) => {
                    asked.gone.push(*at);
                    if proposed.by == Proposer::NewMemberCommit {
                        replaced = Some(*at);
                    }
                }
                (Proposal::SelfRemove, Some(at)) => asked.gone.push(at),
                _ => {}
            }
        }
        if let Some(new) = &staged.path {
            match by {
                Committer::Member(at) if at != own && changes(device, group, at, new) => {
                    asked.judge(device, group, At::Leaf(at), new, Cause::Path, last(at));
                }
                Committer::Member(_) => {}
                Committer::External(at) => {
                    let before = replaced.and_then(last);
                    let claims = new.credential().clone();
                    if let Some(leaf) = replaced
                        && before.as_ref() != Some(&claims)
                        && credential_at(device, group, leaf).as_ref() != Some(&claims)
                    {
                        let identity = before.clone();
                        asked.events.push(Event::TakenOut { leaf, identity, by: claims });
                    }
                    asked.judge(device, group, At::Leaf(at), new, Cause::External, before);
                }
            }
        }
        asked.refuse_if_strict(device)?;
        Ok(asked)
    }

    fn judge<L: Library>(
        &mut self,
        device: &ThisDevice<'_, L>,
        group: &L::Group,
        at: At,
        new: &LeafNode,
        cause: Cause,
        last: Option<Credential>,
    ) {
        let claims = new.credential().clone();
        let signature_keys = signature_keys(new.signature_key(), device.library.key_len(group));
        let leaf = match &at {
            At::Leaf(leaf) => Some(*leaf),
            At::Newcomer(_) => None,
        };
        let mut judged =
            Judged { at, cause, claims, signature_keys, last, verdict: Verdict::NotKnown };
        judged.verdict =
            device.credentials.judge(&judged.claim(device.library.group_id(group), leaf));
        self.judged.push(judged);
    }

    fn refuse_if_strict<L: Library>(&self, device: &ThisDevice<'_, L>) -> Result<(), PeerError> {
        if device.credentials.strictness() == Strictness::Mark {
            return Ok(());
        }
        if !self.events.is_empty() {
            return Err(PeerError::TakenOut);
        }
        match self.judged.iter().find(|judged| judged.verdict != Verdict::Accepted) {
            Some(judged) => Err(PeerError::identity(judged.claims.clone(), judged.verdict)),
            None => Ok(()),
        }
    }

    /// The commit is merged in `group`: works out who everybody is now, and stores it in the vault. Call it
    /// in the transaction that merges.
    ///
    /// # Errors
    ///
    /// [`Error::Vault`].
    pub fn settle<L: Library>(
        self,
        device: &ThisDevice<'_, L>,
        group: &L::Group,
        before: &Identities,
    ) -> Result<Settled, Error> {
        let Self { epoch, judged, gone, mut events } = self;
        if device.library.membership(group) == Membership::Removed {
            // Whoever comes back is told by the tree then who is there.
            let identities = Identities::default();
            device.vault.store_identities(device.library.group_id(group), before, &identities)?;
            return Ok(Settled { identities, events });
        }
        let next = epoch.saturating_add(1);
        let mut identities = before.clone();
        identities.rewind(epoch);
        for leaf in gone {
            identities.verify(leaf, next);
        }
        for judged in judged {
            let Some(leaf) = judged.place(device, group) else {
                continue;
            };
            judged.enter(device, group, leaf, next, &mut identities, &mut events);
        }
        identities.settle(next);
        device.vault.store_identities(device.library.group_id(group), before, &identities)?;
        Ok(Settled { identities, events })
    }
}

impl Judged {
    fn claim<'a>(&'a self, group_id: &'a [u8], leaf: Option<LeafIndex>) -> Claim<'a> {
        Claim {
            group_id,
            leaf,
            cause: self.cause,
            claims: &self.claims,
            signature_keys: &self.signature_keys,
            last: self.last.as_ref(),
        }
    }

    fn place<L: Library>(&self, device: &ThisDevice<'_, L>, group: &L::Group) -> Option<LeafIndex> {
        match &self.at {
            At::Leaf(leaf) => Some(*leaf),
            At::Newcomer(key) => {
                let mut keys = device.library.signature_keys(group).into_iter();
                Some(keys.find(|(_, other)| **other == **key)?.0)
            }
        }
    }

    /// The claim is part of the group from `epoch` on.
    fn enter<L: Library>(
        mut self,
        device: &ThisDevice<'_, L>,
        group: &L::Group,
        leaf: LeafIndex,
        epoch: u64,
        identities: &mut Identities,
        events: &mut Vec<Event>,
    ) {
        let claim = self.claim(device.library.group_id(group), Some(leaf));
        if self.verdict == Verdict::Accepted && device.credentials.accepted(&claim).is_err() {
            self.verdict = Verdict::Unavailable;
        }
        if self.verdict == Verdict::Accepted {
            identities.verify(leaf, epoch);
            return;
        }
        identities.mark(leaf, epoch, self.last.clone());
        events.push(Event::IdentityUnverified {
            leaf,
            claims: self.claims,
            last: self.last,
            cause: self.cause,
            verdict: self.verdict,
        });
    }
}

/// Asks the policy about everybody in a tree that this device has come into.
///
/// # Errors
///
/// [`PeerError::Identity`] for what a strict policy refuses; [`Error::Vault`].
pub fn present<L: Library>(
    device: &ThisDevice<'_, L>,
    group: &L::Group,
) -> Result<Identities, Error> {
    let group_id = device.library.group_id(group);
    let before = device.vault.load_identities(group_id)?;
    let epoch = device.library.epoch_mark(group).epoch;
    let asked = everybody(device, group, &before)?;
    let mut identities = Identities::default();
    for judged in asked.judged {
        if let At::Leaf(leaf) = judged.at {
            judged.enter(device, group, leaf, epoch, &mut identities, &mut Vec::new());
        }
    }
    identities.settle(epoch);
    device.vault.store_identities(group_id, &before, &identities)?;
    Ok(identities)
}

/// Refuses a tree that this device is about to come into as [`present`] would. Nothing is stored.
///
/// # Errors
///
/// Those of [`present`].
pub fn check_present<L: Library>(
    device: &ThisDevice<'_, L>,
    group: &L::Group,
) -> Result<(), Error> {
    let before = device.vault.load_identities(device.library.group_id(group))?;
    everybody(device, group, &before).map(drop)
}

/// Asks the policy about everybody but this device.
fn everybody<L: Library>(
    device: &ThisDevice<'_, L>,
    group: &L::Group,
    before: &Identities,
) -> Result<Asked, Error> {
    let epoch = device.library.epoch_mark(group).epoch;
    let own = device.library.own_leaf(group);
    let mut asked = Asked { epoch, judged: Vec::new(), gone: Vec::new(), events: Vec::new() };
    let leaves = device.library.leaves(group)?;
    for (at, node) in leaves.iter().filter(|(at, _)| *at != own) {
        let at = *at;
        // A mark of before holds for as long as the leaf says the same.
        let known = before.of(at, epoch, node.credential().clone());
        let last = match known {
            Identity::Unverified { last, .. } => last,
            Identity::Verified(_) => None,
        };
        asked.judge(device, group, At::Leaf(at), node, Cause::Present, last);
    }
    asked.refuse_if_strict(device)?;
    Ok(asked)
}

/// Asks the policy once more about the members that are not verified.
///
/// # Errors
///
/// [`Error::Vault`]; [`PeerError::Identity`] under a strict policy.
pub fn recheck<L: Library>(
    device: &ThisDevice<'_, L>,
    group: &L::Group,
    before: &Identities,
) -> Result<Settled, Error> {
    let epoch = device.library.epoch_mark(group).epoch;
    let mut identities = before.clone();
    let mut events = Vec::new();
    let Some(marked) = before.unverified(epoch) else {
        // So many are marked that nobody is listed: everybody is asked about.
        return Ok(Settled { identities: present(device, group)?, events });
    };
    for at in marked {
        let Some(node) = device.library.leaf(group, at) else {
            continue;
        };
        let last = last_accepted(device, group, before, at);
        let mut asked = Asked { epoch, judged: Vec::new(), gone: Vec::new(), events: Vec::new() };
        asked.judge(device, group, At::Leaf(at), &node, Cause::Present, last);
        let accepted =
            asked.judged.into_iter().filter(|judged| judged.verdict == Verdict::Accepted);
        for judged in accepted {
            let identity = judged.claims.clone();
            judged.enter(device, group, at, epoch, &mut identities, &mut Vec::new());
            if identities.of(at, epoch, identity.clone()).verified().is_some() {
                events.push(Event::IdentityVerified { leaf: at, identity });
            }
        }
    }
    device.vault.store_identities(device.library.group_id(group), before, &identities)?;
    Ok(Settled { identities, events })
}

/// Refuses a leaf that this device is to add, unless the policy accepts it.
///
/// # Errors
///
/// [`PeerError::Identity`].
pub fn admit<L: Library>(
    device: &ThisDevice<'_, L>,
    group: &L::Group,
    new: &LeafNode,
) -> Result<(), PeerError> {
    match verdict(device, group, None, new, Cause::Added, None) {
        Verdict::Accepted => Ok(()),
        verdict => Err(PeerError::identity(new.credential().clone(), verdict)),
    }
}

/// The proposals of others that a commit of this device leaves out, and what is told of them.
#[derive(Default)]
pub struct LeftOut {
    references: Vec<Vec<u8>>,
    /// What is told of them.
    pub events: Vec<Event>,
}

impl LeftOut {
    /// Asks the policy about the proposals that wait.
    pub fn of<L: Library>(
        device: &ThisDevice<'_, L>,
        group: &L::Group,
        identities: &Identities,
        waiting: &[Proposed],
    ) -> Self {
        let mut left_out = Self::default();
        let own = device.library.own_leaf(group);
        for proposed in waiting {
            if proposed.member() == Some(own) && proposed.removed() == Some(own) {
                // Nobody commits its own removal (RFC 9420 section 12.2).
                left_out.references.push(proposed.reference.clone());
                continue;
            }
            let (at, new, cause) = match (&proposed.proposal, proposed.member()) {
                (Proposal::Add { leaf, .. }, _) => (None, leaf, Cause::Added),
                (Proposal::Update(leaf), Some(at)) if changes(device, group, at, leaf) => {
                    (Some(at), leaf, Cause::Updated)
                }
                _ => continue,
            };
            let last = at.and_then(|at| last_accepted(device, group, identities, at));
            let verdict = verdict(device, group, at, new, cause, last);
            if let Some(not_after) = ended(device, &proposed.proposal) {
                left_out.references.push(proposed.reference.clone());
                let claims = new.credential().clone();
                left_out.events.push(Event::AddEnded { claims, not_after });
            } else if verdict != Verdict::Accepted {
                left_out.references.push(proposed.reference.clone());
                let claims = new.credential().clone();
                left_out.events.push(Event::ProposalLeftOut { leaf: at, claims, verdict });
            }
        }
        left_out
    }

    /// Leaves out this one, too.
    pub fn leave(&mut self, reference: Vec<u8>) {
        self.references.push(reference);
    }

    /// Whether a proposal goes into the commit.
    pub fn keeps(&self, reference: &[u8]) -> bool {
        !self.references.iter().any(|left_out| left_out == reference)
    }
}

/// The end of a KeyPackage that is proposed to be added and is not valid, by this device's clock or by the one
/// that the library reads: no commit with it could be made, nor followed.
fn ended<L: Library>(device: &ThisDevice<'_, L>, proposal: &Proposal) -> Option<u64> {
    let Proposal::Add { leaf, .. } = proposal else {
        return None;
    };
    let LeafNodeSource::KeyPackage(lifetime) = leaf.source() else {
        return None;
    };
    let validity = lifetime.not_before()..lifetime.not_after();
    let mut clocks = core::iter::once(device.now).chain(device.library.clock());
    (!clocks.all(|now| validity.contains(&now))).then_some(lifetime.not_after())
}

fn verdict<L: Library>(
    device: &ThisDevice<'_, L>,
    group: &L::Group,
    leaf: Option<LeafIndex>,
    new: &LeafNode,
    cause: Cause,
    last: Option<Credential>,
) -> Verdict {
    device.credentials.judge(&Claim {
        group_id: device.library.group_id(group),
        leaf,
        cause,
        claims: new.credential(),
        signature_keys: &signature_keys(new.signature_key(), device.library.key_len(group)),
        last: last.as_ref(),
    })
}

/// The member at a leaf, and who it is. This device knows who it is itself.
pub fn member(
    identities: &Identities,
    (leaf, own): (LeafIndex, LeafIndex),
    epoch: u64,
    claims: Credential,
    signature_keys: Vec<Vec<u8>>,
) -> MemberIdentity {
    let identity = match leaf == own {
        true => Identity::Verified(claims),
        false => identities.of(leaf, epoch, claims),
    };
    MemberIdentity { leaf, identity, signature_keys }
}

/// The signature keys of a leaf; what is no list of keys counts as one.
pub fn signature_keys(content: &[u8], key_len: usize) -> Vec<Vec<u8>> {
    match SignatureKeys::decode(content, key_len) {
        Ok(keys) => keys.keys().to_vec(),
        Err(_) => vec![content.to_vec()],
    }
}

/// Whom a leaf of the current epoch was last accepted as.
fn last_accepted<L: Library>(
    device: &ThisDevice<'_, L>,
    group: &L::Group,
    identities: &Identities,
    at: LeafIndex,
) -> Option<Credential> {
    let claims = credential_at(device, group, at)?;
    let epoch = device.library.epoch_mark(group).epoch;
    identities.of(at, epoch, claims).last_accepted().cloned()
}

fn credential_at<L: Library>(
    device: &ThisDevice<'_, L>,
    group: &L::Group,
    at: LeafIndex,
) -> Option<Credential> {
    Some(device.library.leaf(group, at)?.credential().clone())
}

/// Whether a leaf has this device's signature key and credential: it is asked about nobody but others.
fn is_own<L: Library>(device: &ThisDevice<'_, L>, new: &LeafNode) -> bool {
    (new.signature_key(), new.credential()) == (device.signature_key, &device.credential)
}

/// Whether a leaf says something else about its identity than before.
fn changes<L: Library>(
    device: &ThisDevice<'_, L>,
    group: &L::Group,
    at: LeafIndex,
    new: &LeafNode,
) -> bool {
    device.library.leaf(group, at).is_none_or(|old| {
        (old.credential(), old.signature_key()) != (new.credential(), new.signature_key())
    })
}
