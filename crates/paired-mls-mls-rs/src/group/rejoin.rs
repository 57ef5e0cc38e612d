//! Coming in from outside, by an external commit (RFC 9420 section 12.4.3.2), in two phases.
//!
//! ```text
//! Group::rejoin  ->  Rejoin: the commit, to the delivery service. Nothing has changed.
//!                      accepted:  confirm; after a restart, enter
//!                      refused:   drop it; the old state, if there is one, goes on
//! ```
//!
//! mls-rs merges such a commit as it makes it. So it is made apart from the MLS state, which it replaces once the
//! delivery service has accepted it.

use std::sync::Arc;

use mls_rs::{CryptoProvider, MlsMessage, extension::ExtensionType, group::GroupInfo};
use paired_mls::{
    EpochContext, PairingId, RecordName, Secret, pairing::SignalPolicy, wire::RatchetTree,
};
use paired_mls_group::{
    Error, Membership, Outgoing, PeerError, Sending, Steering as _, UsageError,
    gate::check_signature_keys,
    identity,
    node::{Paired, Seat},
    reserved::require_unreserved,
};
use tls_codec::{DeserializeBytes as _, Serialize as _, VLBytes};

use super::{Group, lifecycle::forget_shared, send::message_hash};
use crate::{
    Device, Unsupported,
    config::{LIFETIME, MlsState},
    steer::EXTERNAL,
    view,
};

/// An external commit that waits for the delivery service. Until it is confirmed nothing has changed:
/// this device may still be in the group by its old state, and go on with it.
#[must_use = "deliver the commit, then confirm it"]
#[derive(Debug)]
pub struct Rejoin {
    outgoing: Outgoing,
    group_info: Vec<u8>,
    state: Secret,
}

impl Rejoin {
    /// What is to be delivered.
    pub fn outgoing(&self) -> &Outgoing {
        &self.outgoing
    }

    /// The MLS state that the commit leads to, for [`Group::enter`].
    ///
    /// # Security
    ///
    /// Keep it with the MLS state of the device: it is the like of it.
    pub fn state(&self) -> &Secret {
        &self.state
    }

    /// The delivery service has accepted the commit: this device is in the group.
    ///
    /// If the delivery service refuses it, drop this value, and begin again with the GroupInfo of the
    /// epoch that won.
    ///
    /// # Errors
    ///
    /// As [`Group::enter`].
    pub fn confirm<C: CryptoProvider + Clone>(self, device: &Device<C>) -> Result<Group<C>, Error> {
        let Self { outgoing, group_info, state } = self;
        Group::enter(device, &group_info, &outgoing.commit, state.expose())
    }
}

impl<C: CryptoProvider + Clone> Group<C> {
    /// Comes into a group from outside, by an external commit that takes the place of the device's leaf, if it
    /// is there: after a loss of the MLS state, or of too many messages.
    ///
    /// If the vault knows this device as paired in the group, and the new leaf shares a subtree
    /// with a partner and no stranger, this too is a paired commit: it heals the partners.
    ///
    /// # Errors
    ///
    /// [`PeerError`] for a GroupInfo that is damaged, forged, of a reserved group identifier, or carries no
    /// ratchet tree, and [`PeerError::Identity`] under a strict credential policy; [`UsageError::CipherSuite`];
    /// [`Unsupported::Signal`], as an [`Error::Mls`], if the vault says that the pairing is announced;
    /// [`Error::Guard`], [`Error::Vault`], [`Error::Mls`], [`Error::Storage`].
    pub fn rejoin(device: &Device<C>, group_info: &[u8]) -> Result<Rejoin, Error> {
        let message = parse(group_info)?;
        let info = read(&message)?;
        let context = info.group_context();
        if context.cipher_suite != view::mls_suite(device.suite()) {
            return Err(UsageError::CipherSuite.into());
        }
        let group_id = context.group_id.clone();
        let next_epoch = EpochContext {
            group_id: group_id.clone(),
            epoch: context.epoch.saturating_add(1),
            confirmed_transcript_hash: context.confirmed_transcript_hash.to_vec(),
        };
        let tree = tree_of(info)?;
        let record = device.vault().load_group(&group_id)?;
        if record.as_ref().is_some_and(|record| record.signal == SignalPolicy::Announce) {
            return Err(Error::mls("announce the pairing")(Unsupported::Signal));
        }
        let seat = match &record {
            Some(record) => Some(Seat::find(&tree, record, device.signature_key())?),
            None => None,
        };

        let (client, handles) = device.client(LIFETIME);
        // It is made apart: of an old state nothing is read.
        handles.shelf.erase(&group_id);
        let builder = client.external_commit_builder();
        let mut builder = builder.map_err(Error::mls("build an external commit"))?;
        if let Some(old) = own_leaf_in(&tree, device.signature_key()) {
            builder = builder.with_removal(old);
        }
        let path = match (&record, &seat) {
            (Some(record), Some(seat)) => seat.draw(device.vault(), record, &next_epoch)?,
            _ => None,
        };
        let anchor = seat.as_ref().and_then(|seat| seat.anchor.as_ref());
        let (built, drawn_from) = match (&record, anchor, path) {
            (Some(record), Some(anchor), Some(path)) => {
                let sending = Sending::new(device, device.vault(), &record.tape, path, anchor)?;
                let sending = Arc::new(sending);
                let armed = handles.slot.arm(sending.clone(), EXTERNAL);
                let built = builder.build(message.clone());
                drop(armed);
                let refused =
                    |error| sending.take_error().unwrap_or(PeerError::message(error).into());
                (built.map_err(refused)?, Some(record.tape.pairing))
            }
            _ => (builder.build(message.clone()).map_err(PeerError::message)?, None),
        };
        let (mls, commit) = built;
        let commit = commit.to_bytes().map_err(Error::mls("serialize a message"))?;
        let mut state = MlsState { mls, membership: Membership::Stays, handles };
        let pairing = record.as_ref().map(|record| record.devices.as_slice());
        check_signature_keys(device, &state, pairing.unwrap_or_default())?;
        identity::check_present(&device.this(), &state)?;
        state.mls.write_to_storage().map_err(Error::storage("store a group"))?;
        let stored = state.handles.shelf.take(&group_id).ok_or(UsageError::NoSuchGroup)?;
        let waiting =
            Waiting { drawn_from, commit: message_hash(device, &commit)?, record: stored };
        let identities = Default::default();
        let group_info_after = Self { state, identities, paired: None }.group_info()?;
        let outgoing = Outgoing {
            commit,
            welcome: None,
            refresh: None,
            group_info: Some(group_info_after),
            notify: None,
            events: Vec::new(),
        };
        Ok(Rejoin { outgoing, group_info: group_info.to_vec(), state: waiting.encode()? })
    }

    /// Comes into a group by an external commit of its own that the delivery service has accepted: `state` is what
    /// [`Rejoin::state`] gave, `group_info` the GroupInfo of the epoch that the commit ended. An old state of the group
    /// is erased.
    ///
    /// [`Rejoin::confirm`] does so without a restart in between.
    ///
    /// # Errors
    ///
    /// [`UsageError::OtherRejoin`] if the state is not the one that the commit leads to.
    /// [`PeerError`], [`Error::Vault`], [`Error::Storage`]: nothing is lost, call it again.
    pub fn enter(
        device: &Device<C>,
        group_info: &[u8],
        commit: &[u8],
        state: &[u8],
    ) -> Result<Self, Error> {
        let message = parse(group_info)?;
        let info = read(&message)?;
        let group_id = info.group_context().group_id.clone();
        let waiting = Waiting::decode(state)?;
        if waiting.commit != message_hash(device, commit)? {
            return Err(UsageError::OtherRejoin.into());
        }
        let (client, handles) = device.client(LIFETIME);
        handles.shelf.put(&group_id, waiting.record);
        let mls = client.load_group(&group_id).map_err(|_| UsageError::OtherRejoin)?;
        let mut state = MlsState { mls, membership: Membership::Stays, handles };
        device.vault().erase(&RecordName::OwnCommit(group_id.clone()))?;
        forget_shared(device, &group_id)?;
        let identities = identity::present(&device.this(), &state)?;
        let (this, tree) = (device.this(), || tree_of(info));
        let paired = Paired::entered(&this, &state, tree, waiting.drawn_from)?;
        state.keep()?;
        Ok(Self { state, identities, paired })
    }
}

/// The state that an external commit leads to, if the delivery service accepts it.
struct Waiting {
    /// The pairing from whose tape the commit was made; `None` if it is an ordinary one.
    drawn_from: Option<PairingId>,
    /// The hash of the commit.
    commit: Vec<u8>,
    /// What is to be stored of the group.
    record: Secret,
}

impl Waiting {
    fn encode(&self) -> Result<Secret, Error> {
        let pairing = self.drawn_from.map(|pairing| pairing.0.to_vec()).unwrap_or_default();
        let head = (VLBytes::new(pairing), VLBytes::new(self.commit.clone()));
        let head = head.tls_serialize_detached();
        let head = head.map_err(Error::mls("serialize the state of a rejoin"))?;
        Ok(Secret::new([&head, self.record.expose()].concat()))
    }

    fn decode(state: &[u8]) -> Result<Self, UsageError> {
        let other = UsageError::OtherRejoin;
        let Ok(((pairing, commit), record)) = <(VLBytes, VLBytes)>::tls_deserialize_bytes(state)
        else {
            return Err(other);
        };
        let drawn_from = match pairing.as_slice() {
            [] => None,
            pairing => Some(PairingId(pairing.try_into().map_err(|_| other)?)),
        };
        let (commit, record) = (commit.as_slice().to_vec(), Secret::copy_of(record));
        Ok(Self { drawn_from, commit, record })
    }
}

fn parse(message: &[u8]) -> Result<MlsMessage, PeerError> {
    MlsMessage::from_bytes(message).map_err(PeerError::message)
}

/// Reads a GroupInfo.
fn read(message: &MlsMessage) -> Result<&GroupInfo, PeerError> {
    let info = message.as_group_info().ok_or(PeerError::Kind("GroupInfo"))?;
    require_unreserved(&info.group_context().group_id)?;
    Ok(info)
}

/// The ratchet tree that a GroupInfo carries.
fn tree_of(info: &GroupInfo) -> Result<RatchetTree, Error> {
    let tree = info.extensions().get(ExtensionType::RATCHET_TREE);
    let tree = tree.ok_or(PeerError::Kind("GroupInfo with a ratchet tree"))?;
    Ok(RatchetTree::decode(&tree.extension_data).map_err(PeerError::message)?)
}

/// The leaf with this signature key.
fn own_leaf_in(tree: &RatchetTree, own_key: &[u8]) -> Option<u32> {
    let leaves = (0_u32..).zip(tree.nodes().iter().step_by(2));
    let own = |index: &u32| tree.leaf(*index).is_some_and(|leaf| leaf.signature_key() == own_key);
    leaves.map(|(index, _)| index).find(own)
}
