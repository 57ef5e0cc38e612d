//! Leaf refresh: a partner's leaf is taken out and put in again, with keys from the tape.
//!
//! ```text
//! passive   publish ─── KeyPackage ───►  adopt                        active
//!           …
//!           process_refresh ◄── commit, Welcome with a tag ───  refresh
//! ```

use std::{sync::Arc, time::Duration};

use mls_rs::{
    CipherSuiteProvider as _, CryptoProvider, ExtensionList, KeyPackageStorage as _, MlsMessage,
    error::IntoAnyError,
    group::{CommitEffect, CommitMessageDescription, GroupInfo, proposal::Proposal},
    mls_rs_codec::{MlsEncode as _, MlsSize as _},
    time::MlsTime,
};
use mls_rs_core::key_package::KeyPackageData;
use paired_mls::{
    DeviceId, PairingId,
    group::RefreshWelcome,
    leaf::{Held, LeafPackage},
    wire::{LeafNodeSource, PublicCommit},
};
use paired_mls_group::{
    Committer, Draw, Error, Library as _, Membership, Outgoing, PeerError, Received, Replay,
    Steering as _, UsageError,
    node::{Merged, Paired, Proposals},
    packages::{self, authenticate, keep, take},
};
use tls_codec::{DeserializeBytes as _, VLBytes};

use super::{
    Content, Group,
    receive::{Opened, parse, unprotect},
    send::Prepared,
};
use crate::{
    Device,
    config::MlsState,
    signer::provider,
    steer::{KEY_PACKAGE, Witness, blame},
    view::{self, Described},
};

impl<C: CryptoProvider + Clone> Group<C> {
    /// Makes a KeyPackage from the tape of a pairing, for a later [refresh](Group::refresh) of this device's leaf; returns
    /// its `MLSMessage`. Give it to the partners, which [adopt](Group::adopt) it. Its private keys are in no storage: they
    /// are derived from the tape when a Welcome comes.
    ///
    /// The lifetime is given by the caller, in seconds since 1970; members on OpenMLS accept one of 84 days at most, and
    /// the new leaf carries it until this device commits or is refreshed again.
    ///
    /// # Errors
    ///
    /// [`UsageError::CipherSuite`]; [`Error::Guard`], [`Error::Vault`], [`Error::Mls`].
    pub fn publish(
        device: &Device<C>,
        pairing: PairingId,
        not_before: u64,
        not_after: u64,
    ) -> Result<Vec<u8>, Error> {
        if device.vault().pairing_info(pairing)?.suite != device.suite() {
            return Err(UsageError::CipherSuite.into());
        }
        let (index, replay) = packages::begin(device.vault(), pairing, device.now())?;
        let replay = Arc::new(replay);
        let lifetime = Duration::from_secs(not_after.saturating_sub(not_before));
        let (client, handles) = device.client(lifetime);
        let armed = handles.slot.arm(replay.clone(), KEY_PACKAGE);
        let (of_package, of_leaf) = (ExtensionList::default(), ExtensionList::default());
        let from = Some(MlsTime::from(not_before));
        let made = client.generate_key_package_message(of_package, of_leaf, from);
        drop(armed);
        // What mls-rs would store are the private keys: that is not kept.
        handles.shelf.drop_staged();
        let made = made.and_then(|made| made.to_bytes());
        let key_package = made.map_err(blame(&*replay, "make a KeyPackage"))?;
        let package = LeafPackage { index, key_package: key_package.clone(), held: Held::Free };
        keep(device.vault(), pairing, package)?;
        Ok(key_package)
    }

    /// Keeps a KeyPackage that a partner has published, for [`HealPolicy::Refresh`](paired_mls::HealPolicy::Refresh).
    ///
    /// # Errors
    ///
    /// As [`Group::refresh`], but for the errors of a commit.
    pub fn adopt(&self, device: &Device<C>, key_package: &[u8]) -> Result<(), Error> {
        let paired = self.paired.as_ref().ok_or(UsageError::NotPaired)?;
        let newcomer = self.validate(device, key_package)?;
        paired.partner(&device.this(), &self.state, &newcomer.leaf)?;
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
    /// new leaf under the anchor; otherwise as [`Group::commit`].
    pub fn refresh(&mut self, device: &Device<C>, key_package: &[u8]) -> Result<Outgoing, Error> {
        self.require_no_pending()?;
        let newcomer = self.validate(device, key_package)?;
        let paired = self.paired.as_ref().ok_or(UsageError::NotPaired)?;
        paired.require_active()?;
        let partner = paired.partner(&device.this(), &self.state, &newcomer.leaf)?;
        let pairing = paired.record.tape.pairing;
        let index = authenticate(device, device.vault(), pairing, key_package)?;

        let seat = paired.standing.leaf_of(partner).ok_or(UsageError::DeviceNotInGroup(partner))?;
        let content = Prepared {
            adds: vec![newcomer],
            removes: vec![seat],
            renews: vec![partner],
            ..Prepared::default()
        };
        let left_out = self.left_out(device, &content)?;
        let waiting = self.kept(&left_out)?;
        let mut proposals = Proposals::of(&waiting, self.own_leaf());
        content.adds.iter().for_each(|newcomer| proposals.add(newcomer.leaf.signature_key()));
        proposals.remove(seat);
        paired.require_place(&proposals, partner)?;
        take(device.vault(), pairing, index, key_package, self.group_id())?;
        self.make_without(device, &content, &left_out)
    }

    /// Whether a message is the Welcome of a refresh of this device's leaf that a partner has made: what to
    /// keep of what strangers send, until its commit comes.
    ///
    /// Returns the epoch that the refresh creates.
    ///
    /// # Errors
    ///
    /// [`PeerError::Refresh`] if it is none, or forged; [`UsageError::NotPaired`], [`Error::Vault`].
    pub fn check_refresh(&self, device: &Device<C>, refresh: &[u8]) -> Result<u64, Error> {
        let paired = self.paired.as_ref().ok_or(UsageError::NotPaired)?;
        Ok(paired.open_refresh(device.vault(), refresh)?.epoch)
    }

    /// Processes a refresh of this device's own leaf: the commit that removes it, and the Welcome that
    /// brings it back, as [`Outgoing::refresh`] has it, with the ratchet tree in it. Its old state is erased in the same
    /// transaction.
    ///
    /// # Errors
    ///
    /// [`PeerError::Refresh`] if no partner has made the Welcome; [`PeerError::NoRefresh`] if it is not a
    /// partner who has committed, or commit and Welcome do not belong together; [`UsageError::NoTapeKeyPackage`] if the
    /// Welcome is for a KeyPackage that this device has not published; [`Error::Peer`], [`Error::Vault`],
    /// [`Error::Storage`]. The group is as it was before; process both again.
    pub fn process_refresh(
        &mut self,
        device: &Device<C>,
        commit: &[u8],
        refresh: &[u8],
    ) -> Result<Received, Error> {
        self.require_member()?;
        let paired = self.paired.as_ref().ok_or(UsageError::NotPaired)?;
        let pairing = paired.record.tape.pairing;
        let refresh = paired.open_refresh(device.vault(), refresh)?;
        let welcome = MlsMessage::from_bytes(&refresh.welcome).map_err(PeerError::message)?;
        let package = packages::package_for(device, device.vault(), pairing, |reference| {
            let named = welcome.welcome_key_package_references();
            named.iter().any(|named| named.as_ref() == reference)
        })?;
        let swap = Swap { group: self, paired, package: &package, refresh: &refresh };
        let (state, paired, mut merged) = match swap.run(device, commit, &welcome) {
            Ok(done) => done,
            Err(error) => {
                *self = Self::load(device, self.group_id())?;
                return Err(error);
            }
        };
        let identities = self.identities.clone();
        *self = Self { state, identities, paired: Some(paired) };
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
        let end = |at| match view::leaf_at(&self.state.mls, at)?.source() {
            LeafNodeSource::KeyPackage(lifetime) => Some(lifetime.not_after()),
            _ => None,
        };
        let seats = self.devices().into_iter();
        seats.filter_map(|(device, leaf)| Some((device, end(leaf)?))).collect()
    }

    /// The devices whose leaves have to be renewed before `deadline`, in seconds since 1970.
    pub fn expiring(&self, deadline: u64) -> Vec<DeviceId> {
        let lifetimes = self.lifetimes().into_iter();
        lifetimes.filter(|(_, end)| *end < deadline).map(|(device, _)| device).collect()
    }

    /// The commit that heals under [`HealPolicy::Refresh`](paired_mls::HealPolicy::Refresh): a refresh of a weakened
    /// partner, or of one whose leaf somebody else has, if a KeyPackage is at hand and the tree has a place for it, and
    /// otherwise an ordinary paired commit.
    pub(super) fn refresh_or_update(&mut self, device: &Device<C>) -> Result<Outgoing, Error> {
        let paired = self.paired.as_ref().ok_or(UsageError::NotPaired)?;
        for package in paired.renewals(&device.this(), &self.state)? {
            if let Ok(outgoing) = self.refresh(device, &package.key_package) {
                return Ok(outgoing);
            }
        }
        self.commit(device, Content::new())
    }
}

/// The old state of the own leaf goes, and the new one comes.
struct Swap<'a, C: CryptoProvider + Clone> {
    group: &'a Group<C>,
    paired: &'a Paired,
    package: &'a LeafPackage,
    refresh: &'a RefreshWelcome,
}

impl<C: CryptoProvider + Clone> Swap<'_, C> {
    fn run(
        &self,
        device: &Device<C>,
        message: &[u8],
        welcome: &MlsMessage,
    ) -> Result<(MlsState<C>, Paired, Merged), Error> {
        let (old, this) = (&self.group.state, device.this());
        let witness = Arc::new(Witness::default());
        let mut removed = old.clone();
        let Opened::Commit(description) = unprotect(&mut removed, parse(message)?, &witness)?
        else {
            return Err(PeerError::NoRefresh("the first message is no commit").into());
        };
        let described = Described::of(device, old, &removed, &description, witness.path())?;
        let (commit, committer) = (&described.staged, described.committer);
        let Committer::Member(at) = committer else {
            return Err(PeerError::NoRefresh("the committer is no member").into());
        };
        let identities = &self.group.identities;
        let swap = self.paired.swap(&this, old, identities, commit, committer)?;

        let mut state = self.enter(device, message, welcome, at.value())?;
        // mls-rs works out no tree of an epoch that it is not in. The committer's leaf binds the Welcome to this commit: its
        // key is new, and its parent hash is of all keys of the path.
        let context = state.mls.context();
        let same = context.group_id == old.mls.group_id()
            && Some(context.epoch) == old.mls.current_epoch().checked_add(1)
            && context.extensions == extensions_after(old, &description)
            && commit.path.is_some()
            && device.leaf(&state, at) == commit.path
            && context.epoch == self.refresh.epoch
            && context.tree_hash == self.refresh.tree_hash;
        if !same {
            return Err(PeerError::NoRefresh("the Welcome leads into another epoch").into());
        }
        let (paired, merged) = swap.enter(&this, identities, &state)?;
        state.keep()?;
        Ok((state, paired, merged))
    }

    /// Joins by the Welcome in a storage of its own, in which the old group is erased. Nothing is kept yet.
    fn enter(
        &self,
        device: &Device<C>,
        commit: &[u8],
        welcome: &MlsMessage,
        committer: u32,
    ) -> Result<MlsState<C>, Error> {
        let (client, mut handles) = device.client(crate::config::LIFETIME);
        handles.shelf.erase(self.group.group_id());
        let pairing = self.paired.record.tape.pairing;
        let (reference, keys) = private_keys(device, pairing, self.package)?;
        handles.shelf.insert(reference, keys).map_err(Error::storage("stage a KeyPackage"))?;
        let info = client.examine_welcome_message(welcome).map_err(PeerError::message)?;
        if info.sender() != committer {
            return Err(PeerError::NoRefresh("the committer has not signed the Welcome").into());
        }
        // Of an encrypted commit mls-rs does not show it.
        let public = PublicCommit::decode(commit).ok().flatten();
        if public.is_some_and(|public| {
            confirmation_tag(&info).as_deref() != Some(public.confirmation_tag())
        }) {
            return Err(PeerError::NoRefresh("the Welcome has another key schedule").into());
        }
        let (mls, _) = client.join_group(None, welcome, None).map_err(PeerError::message)?;
        Ok(MlsState { mls, membership: Membership::Stays, handles })
    }
}

/// The confirmation tag of a GroupInfo (RFC 9420 section 12.4.3), which mls-rs does not show:
///
/// ```text
/// struct { GroupContext group_context; Extension extensions<V>; MAC confirmation_tag; … } GroupInfo
/// opaque MAC<V>
/// ```
fn confirmation_tag(info: &GroupInfo) -> Option<Vec<u8>> {
    let bytes = info.mls_encode_to_vec().ok()?;
    let before = info.group_context().mls_encoded_len() + info.extensions().mls_encoded_len();
    let (tag, _) = VLBytes::tls_deserialize_bytes(bytes.get(before..)?).ok()?;
    Some(tag.as_slice().to_vec())
}

/// The reference of a KeyPackage of this device, and its private keys, which are on the tape.
fn private_keys<C: CryptoProvider + Clone>(
    device: &Device<C>,
    pairing: PairingId,
    package: &LeafPackage,
) -> Result<(Vec<u8>, KeyPackageData), Error> {
    let read = packages::read(&package.key_package)?;
    let LeafNodeSource::KeyPackage(lifetime) = read.leaf_node().source() else {
        return Err(PeerError::NotFromTheTape.into());
    };
    let replay = packages::again(device.vault(), pairing, package)?;
    let suite = provider(device.crypto(), device.suite())?;
    let pair = |replay: &Replay, draw, public_key: &[u8]| {
        let drawn = replay.draw(draw, device.suite().kdf_len()).and_then(Result::ok);
        let drawn = drawn.ok_or(PeerError::NotFromTheTape)?;
        let derived = suite.kem_derive(drawn.expose());
        let (secret, public) =
            derived.map_err(|error| PeerError::message(error.into_any_error()))?;
        (public.as_ref() == public_key).then_some(secret).ok_or(PeerError::NotFromTheTape)
    };
    let init_key = pair(&replay, Draw::InitKey, read.init_key())?;
    let leaf_key = pair(&replay, Draw::LeafKey, read.leaf_node().encryption_key())?;
    let bytes = package.key_package.get(4..).unwrap_or_default().to_vec();
    let data = KeyPackageData::new(bytes, init_key, leaf_key, lifetime.not_after());
    Ok((packages::reference(device, &package.key_package)?, data))
}

/// The extensions of the group's context after a commit.
fn extensions_after<C: CryptoProvider + Clone>(
    old: &MlsState<C>,
    description: &CommitMessageDescription,
) -> ExtensionList {
    let epoch = match &description.effect {
        CommitEffect::NewEpoch(epoch) | CommitEffect::Removed { new_epoch: epoch, .. } => epoch,
        CommitEffect::ReInit(_) => return old.mls.context().extensions.clone(),
    };
    let changed = epoch.applied_proposals().iter().find_map(|info| match &info.proposal {
        Proposal::GroupContextExtensions(extensions) => Some(extensions.clone()),
        _ => None,
    });
    changed.unwrap_or_else(|| old.mls.context().extensions.clone())
}
