//! Leaf refresh: a partner's leaf is taken out and put in again, with keys from the tape.
//!
//! A paired commit renews the path from the anchor up, but not the partner's own leaf key. A refresh
//! does: in one paired commit the active device removes the partner's leaf and adds it again with a
//! KeyPackage that the partner has published, and whose private keys are on the tape alone. The partner
//! enters by the Welcome, and sends nothing.
//!
//! ```text
//! passive   publish ─── KeyPackage ───►  adopt                        active
//!           …
//!           process_refresh ◄── commit, Welcome with a tag ───  refresh
//! ```

use openmls::{
    prelude::{
        KeyPackage, LeafNodeIndex, MlsGroup, MlsMessageBodyIn, ProcessedMessageContent,
        ProcessedWelcome, ProtocolMessage, Sender, StagedCommit, Welcome,
    },
    treesync::LeafNodeSource,
};
use openmls_traits::storage::StorageProvider as _;
use paired_mls::{
    DeviceId, PairingId,
    group::{Identities, RefreshWelcome},
    leaf::{Held, LeafPackage},
};

use paired_mls_group::{
    Committer,
    node::{self, Merged, Paired, Proposals, Provision},
    packages::{authenticate, keep, take},
};

use super::{
    PairedGroup,
    lifecycle::{parse, staged_welcome},
    send::Prepared,
};
use crate::{
    Content, Device, Error, Outgoing, PeerError, Platform, Received, UsageError,
    package::{erase, package_for, restore, validate},
    provider::atomically,
    view::{self, leaf},
};

impl PairedGroup {
    /// Keeps a KeyPackage that a partner has published, for [`HealPolicy::Refresh`].
    ///
    /// [`HealPolicy::Refresh`]: paired_mls::HealPolicy::Refresh
    ///
    /// # Errors
    ///
    /// As [`PairedGroup::refresh`], but for the errors of a commit.
    pub fn adopt<P: Platform>(&self, device: &Device<P>, key_package: &[u8]) -> Result<(), Error> {
        let parsed = validate(device, key_package)?;
        let paired = self.paired.as_ref().ok_or(UsageError::NotPaired)?;
        self.partner(device, paired, &parsed)?;
        let pairing = paired.record.tape.pairing;
        let index = authenticate(device, device.vault(), pairing, key_package)?;
        let key_package = key_package.to_vec();
        keep(device.vault(), pairing, LeafPackage { index, key_package, held: Held::Free })
    }

    /// Renews a partner's whole leaf, with a KeyPackage that it has published. Others see that it is
    /// removed and added again. Deliver `refresh` of what is returned to the partner together with the
    /// commit.
    ///
    /// # Errors
    ///
    /// [`PeerError::NotFromTheTape`] for a forged KeyPackage, [`PeerError::Message`] for one that is
    /// not valid; [`UsageError::NotPaired`], [`UsageError::NotAPartner`],
    /// [`UsageError::OtherCredential`]; [`UsageError::RefreshPlace`] if the tree has no place for the
    /// new leaf under the anchor; [`UsageError::PackageTaken`] if a commit of this device in another group uses the
    /// KeyPackage; otherwise as [`Group::add`](crate::Group::add).
    pub fn refresh<P: Platform>(
        &mut self,
        device: &Device<P>,
        key_package: &[u8],
    ) -> Result<Outgoing, Error> {
        self.require_no_pending()?;
        let parsed = validate(device, key_package)?;
        let paired = self.paired.as_ref().ok_or(UsageError::NotPaired)?;
        paired.require_active()?;
        let partner = self.partner(device, paired, &parsed)?;
        let pairing = paired.record.tape.pairing;
        let index = authenticate(device, device.vault(), pairing, key_package)?;

        let seat = paired.standing.leaf_of(partner).ok_or(UsageError::DeviceNotInGroup(partner))?;
        let left_out = self.left_out(device)?;
        let waiting = self.kept(&left_out)?;
        let mut proposals = Proposals::of(&waiting, self.own_leaf());
        proposals.add(parsed.leaf_node().signature_key().as_slice());
        proposals.remove(seat);
        paired.require_place(&proposals, partner)?;
        take(device.vault(), pairing, index, key_package, self.group_id())?;
        let (adds, removes, renews) = (vec![parsed], vec![seat], vec![partner]);
        let content = Prepared { adds, removes, renews, ..Prepared::default() };
        self.make_without(device, content, &left_out)
    }

    /// Whether a message is the Welcome of a refresh of this device's leaf that a partner has made: what to
    /// keep of what strangers send, until its commit comes.
    ///
    /// Returns the epoch that the refresh creates.
    ///
    /// # Errors
    ///
    /// [`PeerError::Refresh`] if it is none, or forged;
    /// [`UsageError::NotPaired`], [`Error::Vault`].
    pub fn check_refresh<P: Platform>(
        &self,
        device: &Device<P>,
        refresh: &[u8],
    ) -> Result<u64, Error> {
        let paired = self.paired.as_ref().ok_or(UsageError::NotPaired)?;
        Ok(paired.open_refresh(device.vault(), refresh)?.epoch)
    }

    /// Processes a refresh of this device's own leaf: the commit that removes it, and the Welcome that
    /// brings it back, as [`Outgoing::refresh`] has it. Its old state is erased in the same transaction.
    ///
    /// # Errors
    ///
    /// [`PeerError::Refresh`] if no partner has made the Welcome; [`PeerError::NoRefresh`] if it is not a
    /// partner who has committed, or commit and Welcome do not belong together; [`UsageError::NoTapeKeyPackage`] if the Welcome is for a KeyPackage that this
    /// device has not published; [`Error::Peer`], [`Error::Vault`], [`Error::Storage`]. The group is as it
    /// was before; process both again.
    pub fn process_refresh<P: Platform>(
        &mut self,
        device: &Device<P>,
        commit: &[u8],
        refresh: &[u8],
    ) -> Result<Received, Error> {
        let paired = self.paired.as_ref().ok_or(UsageError::NotPaired)?;
        let pairing = paired.record.tape.pairing;
        let refresh = paired.open_refresh(device.vault(), refresh)?;
        let MlsMessageBodyIn::Welcome(welcome) = parse(&refresh.welcome)?.extract() else {
            return Err(PeerError::Kind("Welcome").into());
        };
        let package = package_for(device, pairing, &welcome)?;
        let swap = Swap {
            paired,
            pairing,
            package: &package,
            refresh: &refresh,
            identities: &self.identities,
        };
        let (mls, paired, mut merged) = match atomically(device.provider(), || {
            swap.run(&mut self.mls, device, commit, welcome)
        }) {
            Ok(done) => done,
            Err(error) => {
                *self = Self::load(device, self.group_id())?;
                return Err(error);
            }
        };
        let identities = self.identities.clone();
        *self = Self { mls, identities, paired: Some(paired) };
        merged.used.push(package.index);
        self.settle(device, &mut merged);
        Ok(Received::Commit { events: merged.events, heal: None })
    }

    /// The end of the lifetime of each device's leaf, in seconds since 1970; a leaf that its device has
    /// renewed by a commit has none, and is not listed.
    ///
    /// After it new members on OpenMLS refuse the tree and cannot join: refresh the device again before
    /// that, or let it commit.
    pub fn lifetimes(&self) -> Vec<(DeviceId, u64)> {
        let end =
            |index: LeafNodeIndex| match self.mls.public_group().leaf(index)?.leaf_node_source() {
                LeafNodeSource::KeyPackage(lifetime) => Some(lifetime.not_after()),
                _ => None,
            };
        let seats = self.devices().into_iter();
        seats
            .filter_map(|(device, leaf)| Some((device, end(LeafNodeIndex::new(leaf.value()))?)))
            .collect()
    }

    /// The KeyPackage, an `MLSMessage`, by which a partner's leaf is [renewed](PairedGroup::refresh) for longest now; `None` if
    /// none is at hand.
    ///
    /// # Errors
    ///
    /// [`UsageError::NotPaired`], [`Error::Vault`], [`Error::LeafRecord`].
    pub fn renewal_of<P: Platform>(
        &self,
        device: &Device<P>,
        partner: DeviceId,
    ) -> Result<Option<Vec<u8>>, Error> {
        let paired = self.paired.as_ref().ok_or(UsageError::NotPaired)?;
        let package = paired.renewal_of(&device.this(), &self.mls, partner)?;
        Ok(package.map(|package| package.key_package))
    }

    /// Until when the KeyPackages that partners have handed over keep each of them in the group, without them.
    /// `sharing` is the number of groups of the pairing, since each KeyPackage is for one of them.
    ///
    /// # Errors
    ///
    /// [`Error::Vault`], [`Error::LeafRecord`], [`Error::Mls`].
    pub fn provisions<P: Platform>(
        &self,
        device: &Device<P>,
        sharing: usize,
    ) -> Result<Vec<Provision>, Error> {
        let paired = self.paired.as_ref();
        paired
            .map_or(Ok(Vec::new()), |paired| paired.provisions(&device.this(), &self.mls, sharing))
    }

    /// The devices whose leaves have to be renewed before `deadline`, in seconds since 1970.
    pub fn expiring(&self, deadline: u64) -> Vec<DeviceId> {
        let lifetimes = self.lifetimes().into_iter();
        lifetimes.filter(|(_, end)| *end < deadline).map(|(device, _)| device).collect()
    }

    /// The commit that heals under [`HealPolicy::Refresh`]: a refresh of a weakened partner, or of one whose leaf somebody else has, if a
    /// KeyPackage is at hand and the tree has a place for it, and otherwise an ordinary paired commit.
    ///
    /// [`HealPolicy::Refresh`]: paired_mls::HealPolicy::Refresh
    pub(super) fn refresh_or_update<P: Platform>(
        &mut self,
        device: &Device<P>,
    ) -> Result<Outgoing, Error> {
        let paired = self.paired.as_ref().ok_or(UsageError::NotPaired)?;
        for package in paired.renewals(&device.this(), &self.mls)? {
            if let Ok(outgoing) = self.refresh(device, &package.key_package) {
                return Ok(outgoing);
            }
        }
        self.commit(device, Content::new())
    }

    /// The partner that a KeyPackage is of.
    fn partner<P: Platform>(
        &self,
        device: &Device<P>,
        paired: &Paired,
        key_package: &KeyPackage,
    ) -> Result<DeviceId, Error> {
        let new = view::leaf_node(key_package.leaf_node())?;
        Ok(paired.partner(&device.this(), &self.mls, &new)?)
    }
}

/// Whether a commit renews this device's leaf, and a partner has made it.
pub(super) fn renews_own_leaf<P: Platform>(
    device: &Device<P>,
    paired: Option<&Paired>,
    staged: &StagedCommit,
    committer: Committer,
) -> Result<bool, Error> {
    if paired.is_none() || !staged.self_removed() {
        return Ok(false);
    }
    let staged = view::staged(staged)?;
    node::renews_own_leaf(&device.this(), paired, &staged, committer)
}

/// The old state of the own leaf goes, and the new one comes.
struct Swap<'a> {
    paired: &'a Paired,
    pairing: PairingId,
    package: &'a LeafPackage,
    refresh: &'a RefreshWelcome,
    identities: &'a Identities,
}

impl Swap<'_> {
    /// In a transaction.
    fn run<P: Platform>(
        &self,
        old: &mut MlsGroup,
        device: &Device<P>,
        commit: &[u8],
        welcome: Welcome,
    ) -> Result<(MlsGroup, Paired, Merged), Error> {
        let provider = device.provider();
        let parsed = parse(commit)?.try_into_protocol_message().map_err(PeerError::message)?;
        // Of an encrypted commit OpenMLS does not show it.
        let confirmation_tag = match &parsed {
            ProtocolMessage::PublicMessage(message) => message.confirmation_tag().cloned(),
            ProtocolMessage::PrivateMessage(_) => None,
        };
        let processed = old.process_message(provider, parsed).map_err(PeerError::message)?;
        let Sender::Member(sender) = *processed.sender() else {
            return Err(PeerError::NoRefresh("the committer is no member").into());
        };
        let ProcessedMessageContent::StagedCommitMessage(staged) = processed.into_content() else {
            return Err(PeerError::NoRefresh("the first message is no commit").into());
        };
        let (commit, this) = (view::staged(&staged)?, device.this());
        let committer = Committer::Member(leaf(sender));
        let swap = self.paired.swap(&this, old, self.identities, &commit, committer)?;

        // Of the old state nothing stays behind: `delete` erases the keys of the epoch that the group is
        // in by then, and no other.
        let storage = provider.storage();
        let (epoch, own) = (old.epoch(), old.own_leaf_index().u32());
        let stale = old.own_leaf_node().map(|own| own.encryption_key().clone());
        old.merge_staged_commit(provider, *staged).map_err(Error::storage("merge a commit"))?;
        let expected = old.public_group().group_context().clone();
        let tree = old.export_ratchet_tree();
        let config = old.configuration().clone();
        storage
            .delete_encryption_epoch_key_pairs(old.group_id(), &epoch, own)
            .map_err(Error::storage("erase the keys of an epoch"))?;
        if let Some(stale) = stale {
            storage
                .delete_encryption_key_pair(&stale)
                .map_err(Error::storage("erase a leaf key"))?;
        }
        old.delete(storage).map_err(Error::storage("delete a group"))?;

        let credential = device.credential();
        restore(device, self.pairing, credential, self.package)?;
        let processed = ProcessedWelcome::new_from_welcome(provider, &config, welcome)
            .map_err(PeerError::message)?;
        let staged = staged_welcome(device, processed, Some(tree.into()))?;
        if staged.welcome_sender_index() != sender {
            return Err(PeerError::NoRefresh("the committer has not signed the Welcome").into());
        }
        let mls = staged.into_group(provider).map_err(PeerError::message)?;
        if confirmation_tag.is_some_and(|tag| tag != *mls.confirmation_tag()) {
            return Err(PeerError::NoRefresh("the Welcome has another key schedule").into());
        }
        // OpenMLS gives a member that is removed no transcript hash of the new epoch. The tree hash binds
        // the Welcome to this commit: all keys of the committer's path are new.
        let context = mls.public_group().group_context();
        let same = context.group_id() == expected.group_id()
            && context.epoch() == expected.epoch()
            && context.tree_hash() == expected.tree_hash()
            && context.extensions() == expected.extensions()
            && context.epoch().as_u64() == self.refresh.epoch
            && context.tree_hash() == self.refresh.tree_hash;
        if !same {
            return Err(PeerError::NoRefresh("the Welcome leads into another epoch").into());
        }
        erase(device, self.package)?;
        let (paired, merged) = swap.enter(&this, self.identities, &mls)?;
        Ok((mls, paired, merged))
    }
}
