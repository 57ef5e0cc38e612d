//! Who the members are: what every commit and every tree claims is put to the device's
//! [`CredentialPolicy`].
//!
//! ```text
//! a KeyPackage that this device is to add          admit      refused unless it is accepted
//! a proposal that waits for this device's commit   left_out   not committed unless it is accepted
//! a commit that is merged, whoever made it         Asked      merged, and the leaf is marked; or refused
//! a tree that this device comes into               present    marked; or refused
//! ```

use openmls::prelude::{
    Credential as MlsCredential, KeyPackage, LeafNode, LeafNodeIndex, MlsGroup, Proposal,
    QueuedProposal, Sender, StagedCommit,
};
use paired_mls::{
    Event,
    anchor::LeafIndex,
    group::{
        Identities,
        credential::{Cause, Claim, Identity, Strictness, Verdict},
    },
    leaf::SignatureKeys,
    wire::{Credential, CredentialType},
};

use paired_mls_group::Committer;

use crate::{Device, Error, PeerError, Platform, steer::key_len, view::leaf};

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
pub(crate) struct Asked {
    epoch: u64,
    judged: Vec<Judged>,
    gone: Vec<LeafIndex>,
    events: Vec<Event>,
}

/// The identities after a call, and what is told of it.
pub(crate) struct Settled {
    pub(crate) identities: Identities,
    pub(crate) events: Vec<Event>,
}

impl Asked {
    /// Asks the policy about every leaf that a staged commit changes. The own leaf is this device's.
    ///
    /// # Errors
    ///
    /// [`PeerError::Identity`], [`PeerError::TakenOut`] for what a strict policy refuses.
    pub(crate) fn of<P: Platform>(
        device: &Device<P>,
        mls: &MlsGroup,
        identities: &Identities,
        staged: &StagedCommit,
        by: Committer,
    ) -> Result<Self, Error> {
        let epoch = mls.epoch().as_u64();
        let own = leaf(mls.own_leaf_index());
        let mut asked = Self { epoch, judged: Vec::new(), gone: Vec::new(), events: Vec::new() };
        let last = |at: LeafIndex| last_accepted(mls, identities, at);
        let mut replaced = None;
        for queued in staged.queued_proposals() {
            match (queued.proposal(), queued.sender()) {
                (Proposal::Add(add), _) => {
                    let new = add.key_package().leaf_node();
                    if is_own(device, new) {
                        continue;
                    }
                    let at = At::Newcomer(new.signature_key().as_slice().to_vec());
                    asked.judge(device, mls, at, new, Cause::Added, None);
                }
                (Proposal::Update(update), Sender::Member(sender)) => {
                    let at = leaf(*sender);
                    if changes(mls, at, update.leaf_node()) && at != own {
                        let new = update.leaf_node();
                        asked.judge(device, mls, At::Leaf(at), new, Cause::Updated, last(at));
                    }
                }
                (Proposal::Remove(remove), sender) => {
                    let at = leaf(remove.removed());
                    asked.gone.push(at);
                    if matches!(sender, Sender::NewMemberCommit) {
                        replaced = Some(at);
                    }
                }
                (Proposal::SelfRemove, Sender::Member(sender)) => asked.gone.push(leaf(*sender)),
                _ => {}
            }
        }
        if let Some(new) = staged.update_path_leaf_node() {
            match by {
                Committer::Member(at) if at != own && changes(mls, at, new) => {
                    asked.judge(device, mls, At::Leaf(at), new, Cause::Path, last(at));
                }
                Committer::Member(_) => {}
                Committer::External(at) => {
                    let before = replaced.and_then(last);
                    let claims = credential(new.credential());
                    if let Some(leaf) = replaced
                        && before.as_ref() != Some(&claims)
                        && credential_at(mls, leaf).as_ref() != Some(&claims)
                    {
                        let identity = before.clone();
                        asked.events.push(Event::TakenOut { leaf, identity, by: claims });
                    }
                    asked.judge(device, mls, At::Leaf(at), new, Cause::External, before);
                }
            }
        }
        asked.refuse_if_strict(device)?;
        Ok(asked)
    }

    fn judge<P: Platform>(
        &mut self,
        device: &Device<P>,
        mls: &MlsGroup,
        at: At,
        new: &LeafNode,
        cause: Cause,
        last: Option<Credential>,
    ) {
        let claims = credential(new.credential());
        let signature_keys = keys(mls, new.signature_key().as_slice());
        let leaf = match &at {
            At::Leaf(leaf) => Some(*leaf),
            At::Newcomer(_) => None,
        };
        let mut judged =
            Judged { at, cause, claims, signature_keys, last, verdict: Verdict::NotKnown };
        judged.verdict = device.credentials().judge(&judged.claim(mls.group_id().as_slice(), leaf));
        self.judged.push(judged);
    }

    fn refuse_if_strict<P: Platform>(&self, device: &Device<P>) -> Result<(), PeerError> {
        if device.credentials().strictness() == Strictness::Mark {
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

    /// The commit is merged in `mls`: works out who everybody is now, and stores it in the vault. Call it
    /// in the transaction that merges.
    pub(crate) fn settle<P: Platform>(
        self,
        device: &Device<P>,
        mls: &MlsGroup,
        before: &Identities,
    ) -> Result<Settled, Error> {
        let Self { epoch, judged, gone, mut events } = self;
        if !mls.is_active() {
            // Whoever comes back is told by the tree then who is there.
            let identities = Identities::default();
            device.vault().store_identities(mls.group_id().as_slice(), before, &identities)?;
            return Ok(Settled { identities, events });
        }
        let next = epoch.saturating_add(1);
        let mut identities = before.clone();
        identities.rewind(epoch);
        for leaf in gone {
            identities.verify(leaf, next);
        }
        for judged in judged {
            let Some(leaf) = judged.place(mls) else {
                continue;
            };
            judged.enter(device, mls, leaf, next, &mut identities, &mut events);
        }
        identities.settle(next);
        device.vault().store_identities(mls.group_id().as_slice(), before, &identities)?;
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

    fn place(&self, mls: &MlsGroup) -> Option<LeafIndex> {
        match &self.at {
            At::Leaf(leaf) => Some(*leaf),
            At::Newcomer(key) => {
                let mut leaves = mls.treesync().full_leaves();
                let found = leaves.find(|(_, node)| node.signature_key().as_slice() == key)?;
                Some(leaf(found.0))
            }
        }
    }

    /// The claim is part of the group from `epoch` on.
    fn enter<P: Platform>(
        mut self,
        device: &Device<P>,
        mls: &MlsGroup,
        leaf: LeafIndex,
        epoch: u64,
        identities: &mut Identities,
        events: &mut Vec<Event>,
    ) {
        let claim = self.claim(mls.group_id().as_slice(), Some(leaf));
        if self.verdict == Verdict::Accepted && device.credentials().accepted(&claim).is_err() {
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
pub(crate) fn present<P: Platform>(
    device: &Device<P>,
    mls: &MlsGroup,
) -> Result<Identities, Error> {
    let group_id = mls.group_id().as_slice();
    let before = device.vault().load_identities(group_id)?;
    let epoch = mls.epoch().as_u64();
    let own = leaf(mls.own_leaf_index());
    let mut asked = Asked { epoch, judged: Vec::new(), gone: Vec::new(), events: Vec::new() };
    let others = mls.treesync().full_leaves().filter(|(index, _)| leaf(*index) != own);
    for (index, node) in others {
        let at = leaf(index);
        // A mark of before holds for as long as the leaf says the same.
        let known = before.of(at, epoch, credential(node.credential()));
        let last = match known {
            Identity::Unverified { last, .. } => last,
            Identity::Verified(_) => None,
        };
        asked.judge(device, mls, At::Leaf(at), node, Cause::Present, last);
    }
    asked.refuse_if_strict(device)?;
    let mut identities = Identities::default();
    for judged in asked.judged {
        if let At::Leaf(leaf) = judged.at {
            judged.enter(device, mls, leaf, epoch, &mut identities, &mut Vec::new());
        }
    }
    identities.settle(epoch);
    device.vault().store_identities(group_id, &before, &identities)?;
    Ok(identities)
}

/// Asks the policy once more about the members that are not verified.
pub(crate) fn recheck<P: Platform>(
    device: &Device<P>,
    mls: &MlsGroup,
    before: &Identities,
) -> Result<Settled, Error> {
    let epoch = mls.epoch().as_u64();
    let mut identities = before.clone();
    let mut events = Vec::new();
    let Some(marked) = before.unverified(epoch) else {
        // So many are marked that nobody is listed: everybody is asked about.
        return Ok(Settled { identities: present(device, mls)?, events });
    };
    for at in marked {
        let Some(node) = mls.public_group().leaf(index(at)) else {
            continue;
        };
        let last = last_accepted(mls, before, at);
        let mut asked = Asked { epoch, judged: Vec::new(), gone: Vec::new(), events: Vec::new() };
        asked.judge(device, mls, At::Leaf(at), node, Cause::Present, last);
        let accepted =
            asked.judged.into_iter().filter(|judged| judged.verdict == Verdict::Accepted);
        for judged in accepted {
            let identity = judged.claims.clone();
            judged.enter(device, mls, at, epoch, &mut identities, &mut Vec::new());
            if identities.of(at, epoch, identity.clone()).verified().is_some() {
                events.push(Event::IdentityVerified { leaf: at, identity });
            }
        }
    }
    device.vault().store_identities(mls.group_id().as_slice(), before, &identities)?;
    Ok(Settled { identities, events })
}

/// Refuses a KeyPackage that this device is to add, unless the policy accepts it.
pub(crate) fn admit<P: Platform>(
    device: &Device<P>,
    mls: &MlsGroup,
    key_package: &KeyPackage,
) -> Result<(), PeerError> {
    let new = key_package.leaf_node();
    match verdict(device, mls, None, new, Cause::Added, None) {
        Verdict::Accepted => Ok(()),
        verdict => Err(PeerError::identity(credential(new.credential()), verdict)),
    }
}

/// The proposals of others that a commit of this device leaves out, and what is told of them.
#[derive(Default)]
pub(crate) struct LeftOut {
    references: Vec<Vec<u8>>,
    pub(crate) events: Vec<Event>,
}

impl LeftOut {
    /// Asks the policy about the proposals that wait.
    pub(crate) fn of<P: Platform>(
        device: &Device<P>,
        mls: &MlsGroup,
        identities: &Identities,
    ) -> Self {
        let mut left_out = Self::default();
        for queued in mls.pending_proposals() {
            let (at, new, cause) = match (queued.proposal(), queued.sender()) {
                (Proposal::Add(add), _) => (None, add.key_package().leaf_node(), Cause::Added),
                (Proposal::Update(update), Sender::Member(sender))
                    if changes(mls, leaf(*sender), update.leaf_node()) =>
                {
                    (Some(leaf(*sender)), update.leaf_node(), Cause::Updated)
                }
                _ => continue,
            };
            let last = at.and_then(|at| last_accepted(mls, identities, at));
            let verdict = verdict(device, mls, at, new, cause, last);
            if let Some(not_after) = ended(device, queued.proposal()) {
                left_out.references.push(reference_of(queued).to_vec());
                let claims = credential(new.credential());
                left_out.events.push(Event::AddEnded { claims, not_after });
            } else if verdict != Verdict::Accepted {
                left_out.references.push(reference_of(queued).to_vec());
                let claims = credential(new.credential());
                left_out.events.push(Event::ProposalLeftOut { leaf: at, claims, verdict });
            }
        }
        left_out
    }

    /// Leaves out this one, too.
    pub(crate) fn leave(&mut self, reference: Vec<u8>) {
        self.references.push(reference);
    }

    /// Whether a proposal goes into the commit.
    pub(crate) fn keeps(&self, reference: &[u8]) -> bool {
        !self.references.iter().any(|left_out| left_out == reference)
    }
}

/// The reference of a proposal, which tells it from others.
pub(crate) fn reference_of(queued: &QueuedProposal) -> &[u8] {
    queued.proposal_reference_ref().as_slice()
}

/// The end of a KeyPackage that is proposed to be added and is not valid, by this device's clock or by the one
/// that OpenMLS reads: no commit with it could be made, nor followed.
fn ended<P: Platform>(device: &Device<P>, proposal: &Proposal) -> Option<u64> {
    let Proposal::Add(add) = proposal else {
        return None;
    };
    let lifetime = add.key_package().life_time();
    let is_current = (lifetime.not_before()..lifetime.not_after()).contains(&device.now());
    (!is_current || lifetime.validate().is_err()).then_some(lifetime.not_after())
}

fn verdict<P: Platform>(
    device: &Device<P>,
    mls: &MlsGroup,
    leaf: Option<LeafIndex>,
    new: &LeafNode,
    cause: Cause,
    last: Option<Credential>,
) -> Verdict {
    device.credentials().judge(&Claim {
        group_id: mls.group_id().as_slice(),
        leaf,
        cause,
        claims: &credential(new.credential()),
        signature_keys: &keys(mls, new.signature_key().as_slice()),
        last: last.as_ref(),
    })
}

/// The members, and who they are.
pub(crate) fn members(mls: &MlsGroup, identities: &Identities) -> Vec<MemberIdentity> {
    let own = leaf(mls.own_leaf_index());
    let member = |(index, node): (_, &LeafNode)| {
        let at = leaf(index);
        let claims = credential(node.credential());
        let identity = match at == own {
            true => Identity::Verified(claims),
            false => identities.of(at, mls.epoch().as_u64(), claims),
        };
        let signature_keys = keys(mls, node.signature_key().as_slice());
        MemberIdentity { leaf: at, identity, signature_keys }
    };
    mls.treesync().full_leaves().map(member).collect()
}

/// Who the member at this leaf is; `None` for a blank leaf.
pub(crate) fn member(mls: &MlsGroup, identities: &Identities, at: LeafIndex) -> Option<Identity> {
    let claims = credential_at(mls, at)?;
    Some(match at == leaf(mls.own_leaf_index()) {
        true => Identity::Verified(claims),
        false => identities.of(at, mls.epoch().as_u64(), claims),
    })
}

/// A credential, as the core has it.
pub(crate) fn credential(credential: &MlsCredential) -> Credential {
    let content = credential.serialized_content().to_vec();
    Credential::new(CredentialType(u16::from(credential.credential_type())), content)
}

/// Whom a leaf of the current epoch was last accepted as.
fn last_accepted(mls: &MlsGroup, identities: &Identities, at: LeafIndex) -> Option<Credential> {
    let claims = credential_at(mls, at)?;
    identities.of(at, mls.epoch().as_u64(), claims).last_accepted().cloned()
}

fn credential_at(mls: &MlsGroup, at: LeafIndex) -> Option<Credential> {
    Some(credential(mls.public_group().leaf(index(at))?.credential()))
}

/// Whether a leaf has this device's signature key and credential: it is asked about nobody but others.
fn is_own<P: Platform>(device: &Device<P>, new: &LeafNode) -> bool {
    let own = device.credential();
    (new.signature_key(), new.credential()) == (&own.signature_key, &own.credential)
}

/// Whether a leaf says something else about its identity than before.
fn changes(mls: &MlsGroup, at: LeafIndex, new: &LeafNode) -> bool {
    mls.public_group().leaf(index(at)).is_none_or(|old| {
        old.credential() != new.credential() || old.signature_key() != new.signature_key()
    })
}

/// The signature keys of a leaf; what is no list of keys counts as one.
fn keys(mls: &MlsGroup, content: &[u8]) -> Vec<Vec<u8>> {
    let key_len = key_len(mls.ciphersuite().signature_algorithm());
    match SignatureKeys::decode(content, key_len) {
        Ok(keys) => keys.keys().to_vec(),
        Err(_) => vec![content.to_vec()],
    }
}

fn index(leaf: LeafIndex) -> LeafNodeIndex {
    LeafNodeIndex::new(leaf.value())
}
