//! A commit of the own leaf is followed: made again, compared, and merged.

use openmls_traits::crypto::OpenMlsCrypto as _;
use paired_mls::{
    Event, Secret, Spot,
    leaf::{LeafNotify, LeafPending, LeafUse, Origin, Speaker},
    wire::{LeafNode, PublicCommit},
};

use paired_mls_group::{
    Committer,
    gate::check_signature_keys,
    identity::Asked,
    shared::{security, security_changed, strike_off},
};

use super::{
    LeafGroup,
    make::{message_hash, remake},
    next_epoch,
};
use crate::{Device, Difference, Error, PeerError, Platform, Received, UsageError, view};

/// How many positions of each partner's lane are tried on an encrypted commit whose Notify is lost:
/// each costs as much as a commit.
const BLIND_POSITIONS: usize = 4;

/// What a made commit is compared with.
enum Delivered<'a> {
    Message(&'a [u8]),
    /// The own commit, of which the hash is known.
    Own(&'a LeafPending),
}

impl LeafGroup {
    /// Follows a commit of the own leaf that was delivered.
    ///
    /// `public` is the commit if it is not encrypted: then everything that a Notify says stands in it,
    /// but for the index, which is recognised by the leaf's new key.
    pub(super) fn follow<P: Platform>(
        &mut self,
        device: &Device<P>,
        message: &[u8],
        public: Option<&PublicCommit>,
    ) -> Result<Received, Error> {
        if self.is_pending(device, message)? {
            return self.confirmed(device);
        }
        let candidates = match public {
            Some(commit) => self.seen(device, commit)?.into_iter().collect(),
            None => self.announced_or_blind(device)?,
        };
        let mut refused = None;
        for notify in candidates {
            match self.follow_notify(device, &notify, &Delivered::Message(message)) {
                Ok(events) => return Ok(Received::Commit { events, heal: None }),
                Err(error @ Error::Peer(_)) => refused = refused.or(Some(error)),
                Err(error) => return Err(error),
            }
        }
        Err(refused.unwrap_or_else(|| PeerError::NotFromTheTape.into()))
    }

    /// Merges the own commit that waits.
    pub(super) fn follow_pending<P: Platform>(
        &mut self,
        device: &Device<P>,
        pending: &LeafPending,
    ) -> Result<Vec<Event>, Error> {
        self.follow_notify(device, &pending.notify, &Delivered::Own(pending))
    }

    /// Whether a message is the own commit that waits.
    fn is_pending<P: Platform>(&self, device: &Device<P>, message: &[u8]) -> Result<bool, Error> {
        let Some(pending) = self.pending() else {
            return Ok(false);
        };
        Ok(pending.hash == message_hash(&self.mls, device, message)?)
    }

    /// What a commit in the clear says about itself; `None` if its leaf key is not from the tape.
    fn seen<P: Platform>(
        &self,
        device: &Device<P>,
        commit: &PublicCommit,
    ) -> Result<Option<LeafNotify>, Error> {
        let Some((content, path)) = commit.commit().and_then(|c| Some((c, c.path()?))) else {
            return Ok(None);
        };
        let said = |spot| LeafNotify {
            spot,
            proposals: content.proposals().to_vec(),
            authenticated_data: commit.content().authenticated_data().to_vec(),
            leaf_node: path.leaf_node().encode(),
            signature: commit.signature().to_vec(),
        };
        let announced = self.announced().find(|notify| **notify == said(notify.spot));
        let spot = match announced {
            Some(notify) => Some(notify.spot),
            None => self.recognise(device, path.leaf_node())?,
        };
        Ok(spot.map(said))
    }

    /// Where on the tape the value is that a leaf's key was made with.
    fn recognise<P: Platform>(
        &self,
        device: &Device<P>,
        leaf: &LeafNode,
    ) -> Result<Option<Spot>, Error> {
        let config = || self.mls.ciphersuite().hpke_config();
        let crypto = device.provider().crypto();
        let is_it = |material: &Secret| {
            crypto
                .derive_hpke_keypair(config(), material.expose())
                .is_ok_and(|pair| pair.public == leaf.encryption_key())
        };
        let (tape, context) = (&self.record.tape, next_epoch(&self.mls));
        Ok(device.vault().recognise(tape, LeafUse::Commit, &context, is_it)?)
    }

    /// What partners have announced for this epoch. Without any, what an empty commit would be: all
    /// that can be guessed of an encrypted one.
    fn announced_or_blind<P: Platform>(
        &self,
        device: &Device<P>,
    ) -> Result<Vec<LeafNotify>, Error> {
        let announced: Vec<_> = self.announced().cloned().collect();
        if !announced.is_empty() {
            return Ok(announced);
        }
        let leaf_node = match self.mls.own_leaf_node() {
            Some(own) => tls_codec::Serialize::tls_serialize_detached(own)
                .map_err(Error::mls("serialize a leaf"))?,
            None => Vec::new(),
        };
        let empty = |spot| LeafNotify {
            spot,
            proposals: Vec::new(),
            authenticated_data: Vec::new(),
            leaf_node: leaf_node.clone(),
            signature: Vec::new(),
        };
        let upcoming = device.vault().upcoming(
            &self.record.tape,
            self.epoch().saturating_add(1),
            BLIND_POSITIONS,
        )?;
        Ok(upcoming.into_iter().map(empty).collect())
    }

    fn announced(&self) -> impl Iterator<Item = &LeafNotify> {
        let epoch = self.epoch();
        let of_epoch = self.record.announced.iter().filter(move |known| known.epoch == epoch);
        of_epoch.map(|known| &known.notify)
    }

    /// Makes a commit again, and merges it if it is the one that was delivered. Otherwise nothing has
    /// changed, neither in the group nor on the tape.
    fn follow_notify<P: Platform>(
        &mut self,
        device: &Device<P>,
        notify: &LeafNotify,
        delivered: &Delivered<'_>,
    ) -> Result<Vec<Event>, Error> {
        let (tape, epoch, by) =
            (self.record.tape.clone(), self.epoch(), notify.spot.index.device());
        let devices = device.vault().tape_info(&tape)?.devices;
        let lost = match (self.pending(), delivered) {
            (Some(pending), Delivered::Message(_)) => Some(pending.notify.spot.index),
            _ => None,
        };
        let known = self.identities.clone();
        let own = self.own_leaf();
        let (mut events, identities) = self.transact(device, |mls, record| {
            let made = remake(mls, device, &tape, notify).map_err(Error::received)?;
            let same = match delivered {
                Delivered::Message(message) => made.outgoing.commit == *message,
                Delivered::Own(own) => {
                    message_hash(mls, device, &made.outgoing.commit)? == own.hash
                }
            };
            if !same {
                let message = match delivered {
                    Delivered::Message(message) => *message,
                    Delivered::Own(_) => &[],
                };
                let first = Difference::first(&made.outgoing.commit, message);
                return Err(PeerError::Differs(first).into());
            }
            let staged = mls.pending_commit().ok_or(UsageError::NoCommitPending)?;
            let (staged, this) = (view::staged(staged)?, device.this());
            strike_off(&mut record.removals, &staged);
            let asked = Asked::of(&this, mls, &known, &staged, Committer::Member(own))?;
            mls.merge_pending_commit(device.provider())
                .map_err(Error::storage("merge a commit"))?;

            check_signature_keys(device, mls, &[])?;
            let before = (security(record), record.speaker.map(|speaker| speaker.device));
            record.speaker = Some(Speaker { device: by, since: epoch + 1, origin: Origin::Commit });
            record.given = None;
            // Those of this epoch stay until the next one is stored: a device that dies in between, and
            // cannot read the commit, needs them again.
            record.announced.retain(|known| known.epoch >= epoch);
            let mut events = Vec::new();
            let partners = devices.iter().copied().filter(|device| *device != by).collect();
            events.push(Event::Healed { by, devices: partners, index: Some(notify.spot.index) });
            events.extend(security_changed(record, before.0, &devices));
            if before.1 != Some(by) {
                events.push(Event::TokenTaken { by });
            }
            let settled = asked.settle(&this, mls, &known)?;
            events.extend(settled.events);
            Ok((events, settled.identities))
        })?;
        self.identities = identities;
        if let Some(index) = lost {
            events.insert(0, Event::CommitLost { index: Some(index) });
        }
        self.settle(device, notify.spot, &mut events);
        Ok(events)
    }
}
