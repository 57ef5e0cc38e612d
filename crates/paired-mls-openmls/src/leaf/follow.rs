//! A commit of the own leaf is followed: made again, compared, and merged.

use paired_mls::{
    Event,
    leaf::{LeafNotify, LeafPending},
    wire::PublicCommit,
};

use paired_mls_group::{
    Committer,
    gate::check_signature_keys,
    identity::Asked,
    shared::{Delivered, candidates, follow, strike_off},
};

use super::{
    LeafGroup,
    make::{message_hash, remake},
};
use crate::{
    Device, Error, PeerError, Platform, Received, UsageError, group::suite_of, view,
    waiting::keep_all,
};

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
        refused_proposals: &[Vec<u8>],
    ) -> Result<Received, Error> {
        if self.is_pending(device, message)? {
            return self.confirmed(device);
        }
        let vault = device.vault();
        let candidates = candidates(device, vault, &self.mls, &self.record, public)?;
        let mut refused = None;
        for notify in candidates {
            let delivered = Delivered::Message(message);
            match self.follow_notify(device, &notify, &delivered, refused_proposals) {
                Ok(events) => return Ok(Received::Commit { events, heal: None }),
                Err(error @ Error::Peer(_)) => refused = refused.or(Some(error)),
                Err(error) => return Err(error),
            }
        }
        // Perhaps this device has made it, and what it has is a backup of before.
        device.vault().doubt(self.record.tape.pairing)?;
        Err(refused.unwrap_or_else(|| PeerError::NotFromTheTape.into()))
    }

    /// Merges the own commit that waits.
    pub(super) fn follow_pending<P: Platform>(
        &mut self,
        device: &Device<P>,
        pending: &LeafPending,
    ) -> Result<Vec<Event>, Error> {
        self.follow_notify(device, &pending.notify, &Delivered::Own(pending), &[])
    }

    /// Whether a message is the own commit that waits.
    fn is_pending<P: Platform>(&self, device: &Device<P>, message: &[u8]) -> Result<bool, Error> {
        let Some(pending) = self.pending() else {
            return Ok(false);
        };
        Ok(pending.hash == message_hash(&self.mls, device, message)?)
    }

    /// Makes a commit again, and merges it if it is the one that was delivered. Otherwise nothing has
    /// changed, neither in the group nor on the tape.
    fn follow_notify<P: Platform>(
        &mut self,
        device: &Device<P>,
        notify: &LeafNotify,
        delivered: &Delivered<'_>,
        refused_proposals: &[Vec<u8>],
    ) -> Result<Vec<Event>, Error> {
        let (tape, epoch) = (self.record.tape.clone(), self.epoch().saturating_add(1));
        let devices = device.vault().tape_info(&tape)?.devices;
        let suite = suite_of(self.mls.ciphersuite()).ok_or(UsageError::CipherSuite)?;
        let lost = delivered.lost(self.pending());
        let known = self.identities.clone();
        let own = self.own_leaf();
        let (mut events, identities) = self.transact(device, |mls, record| {
            keep_all(mls, device, refused_proposals)?;
            let made = remake(mls, device, &tape, notify).map_err(Error::received)?;
            delivered.check(device, suite, &made.outgoing.commit)?;
            let staged = mls.pending_commit().ok_or(UsageError::NoCommitPending)?;
            let (staged, this) = (view::staged(staged)?, device.this());
            strike_off(&mut record.removals, &staged);
            let asked = Asked::of(&this, mls, &known, &staged, Committer::Member(own))?;
            mls.merge_pending_commit(device.provider())
                .map_err(Error::storage("merge a commit"))?;

            check_signature_keys(device, mls, &[])?;
            let mut events = follow(record, notify.spot, epoch, &devices);
            let settled = asked.settle(&this, mls, &known)?;
            events.extend(settled.events);
            Ok((events, settled.identities))
        })?;
        self.identities = identities;
        if let Some(lost) = lost {
            events.insert(0, lost);
        }
        self.settle(device, notify.spot, &mut events);
        Ok(events)
    }
}
