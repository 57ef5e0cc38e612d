//! What this device sends from the shared leaf.

use openmls::prelude::{LeafNodeParameters, WireFormat};
use openmls_traits::random::OpenMlsRand as _;
use paired_mls::{
    Event,
    anchor::LeafIndex,
    leaf::{LeafMessage, LeafPending, SALT_LEN},
};

use paired_mls_group::{Library as _, gate::check_staged, identity::LeftOut, shared::TakenUp};

use super::{
    LeafGroup,
    content::Prepared,
    make::{make, message_hash, rehearse},
};
use crate::{
    Content, Device, Error, Outgoing, Platform, Received, UsageError,
    gate::gate_of,
    outgoing::message_bytes,
    package::newcomers,
    unusable::unusable,
    view::{self, leaf},
};

impl LeafGroup {
    /// Commits with this content and the proposals that were received: what waits to be removed too.
    ///
    /// # Errors
    ///
    /// Those of [`Group::commit`](crate::Group::commit).
    pub(crate) fn commit<P: Platform>(
        &mut self,
        device: &Device<P>,
        content: Content,
    ) -> Result<Outgoing, Error> {
        let Content { adds, removes, extensions, others, authenticated_data } = content;
        let members: Vec<_> = self.mls.members().map(|member| leaf(member.index)).collect();
        let is_other = |leaf: &&LeafIndex| members.contains(leaf) && **leaf != self.own_leaf();
        if let Some(stranger) = removes.iter().find(|leaf| !is_other(leaf)) {
            return Err(UsageError::NoSuchMember(*stranger).into());
        }
        let adds = newcomers(&self.mls, device, &adds)?;
        if let Some(extensions) = &extensions {
            gate_of(extensions).check_members(&device.leaves(&self.mls)?)?;
        }
        let prepared =
            Prepared { adds, extensions, others, authenticated_data, ..Prepared::default() };
        self.make(device, prepared, &removes)
    }

    /// Changes the leaf: its credential, signature keys, capabilities or extensions. This device signs
    /// with its own key, which is one of the old keys and of the new ones.
    ///
    /// # Errors
    ///
    /// [`PeerError::Ungated`](crate::PeerError::Ungated) for several signature keys in a group that does not require `paired_mls`
    /// of its members, [`PeerError::SignatureKeyTwice`](crate::PeerError::SignatureKeyTwice); otherwise as [`Group::add`](crate::Group::add).
    pub fn update_leaf<P: Platform>(
        &mut self,
        device: &Device<P>,
        parameters: LeafNodeParameters,
    ) -> Result<Outgoing, Error> {
        self.make(device, Prepared { leaf: Some(parameters), ..Prepared::default() }, &[])
    }

    /// Encrypts an application message; returns its `MLSMessage`.
    ///
    /// # Errors
    ///
    /// [`UsageError::TokenElsewhere`] if another device of the leaf has the token, or none, and
    /// [`UsageError::TokenGiven`] if this one has given it away: [`Group::update`](crate::Group::update) takes it. [`UsageError::Removed`]; [`Error::Mls`], for instance while
    /// proposals wait for a commit.
    pub(crate) fn send<P: Platform>(
        &mut self,
        device: &Device<P>,
        message: &[u8],
    ) -> Result<Vec<u8>, Error> {
        self.require_membership()?;
        self.require_token(device)?;
        let sent = self
            .mls
            .create_message(device.provider(), device.signer(), message)
            .map_err(Error::mls("encrypt a message"))?;
        message_bytes(sent)
    }

    /// Proposes that this leaf be removed; another member has to commit it.
    ///
    /// # Errors
    ///
    /// [`UsageError::EncryptedProposal`] where handshake messages are encrypted: the other devices of
    /// the leaf could not read it. [`UsageError::CommitPending`], [`UsageError::Removed`],
    /// [`Error::Mls`].
    pub(crate) fn leave<P: Platform>(&mut self, device: &Device<P>) -> Result<Vec<u8>, Error> {
        self.require_no_pending()?;
        let outgoing = self.mls.configuration().wire_format_policy().outgoing();
        if WireFormat::from(outgoing) != WireFormat::PublicMessage {
            return Err(UsageError::EncryptedProposal.into());
        }
        self.transact(device, |mls, _| {
            let proposal = mls
                .leave_group(device.provider(), device.signer())
                .map_err(Error::mls("propose to leave"))?;
            message_bytes(proposal)
        })
    }

    /// Merges this device's commit: the delivery service has accepted it.
    ///
    /// Returns what it changed.
    ///
    /// # Errors
    ///
    /// [`UsageError::NoCommitPending`]; [`Error::Storage`], [`Error::Vault`].
    pub(crate) fn confirm<P: Platform>(&mut self, device: &Device<P>) -> Result<Vec<Event>, Error> {
        let pending = self.pending().ok_or(UsageError::NoCommitPending)?.clone();
        self.follow_pending(device, &pending)
    }

    /// Drops this device's commit: the delivery service has refused it. Its tape index is burned.
    ///
    /// # Errors
    ///
    /// [`UsageError::NoCommitPending`]; [`Error::Storage`], [`Error::Vault`].
    pub(crate) fn discard<P: Platform>(&mut self, device: &Device<P>) -> Result<(), Error> {
        let spot = self.pending().ok_or(UsageError::NoCommitPending)?.notify.spot;
        self.transact(device, |_, record| {
            record.pending = None;
            Ok(())
        })?;
        Ok(device.vault().burn_through(&self.record.tape, spot)?)
    }

    /// Processes the own commit as the delivery service delivers it.
    pub(super) fn confirmed<P: Platform>(&mut self, device: &Device<P>) -> Result<Received, Error> {
        Ok(Received::Commit { events: self.confirm(device)?, heal: None })
    }

    fn make<P: Platform>(
        &mut self,
        device: &Device<P>,
        content: Prepared,
        removes: &[LeafIndex],
    ) -> Result<Outgoing, Error> {
        self.require_membership()?;
        self.check_vault(device)?;
        self.require_no_pending()?;
        self.require_active()?;
        let mut wanted = self.record.removals.clone();
        wanted.extend(removes);
        let mut waiting = view::waiting(&self.mls)?;
        let mut left_out = LeftOut::of(&device.this(), &self.mls, &self.identities, &waiting);
        waiting.retain(|proposed| left_out.keeps(&proposed.reference));
        let references = waiting.iter().map(|proposed| proposed.reference.clone()).collect();
        for reference in unusable(device, self.mls.group_id(), references)? {
            left_out.leave(reference);
        }
        waiting.retain(|proposed| left_out.keeps(&proposed.reference));
        let taken = TakenUp::of(self.own_leaf(), &waiting, &wanted);
        let removals = taken.removals.clone();
        let content = content.with(taken);

        let tape = self.record.tape.clone();
        let epoch = self.epoch();
        let spot = device.vault().reserve(&tape, epoch.saturating_add(1))?;
        let made = rehearse(device, self.mls.group_id(), |copy| {
            let made = make(copy, device, &tape, spot, content, Vec::new())?;
            if let Some(staged) = copy.pending_commit() {
                check_staged(device, copy, &view::staged(staged)?, &[])?;
            }
            Ok(made)
        })?;
        let hash = message_hash(&self.mls, device, &made.outgoing.commit)?;
        let notify = self.tell(device, &LeafMessage::Commit(made.notify.clone()))?;
        self.transact(device, |_, record| {
            record.pending = Some(LeafPending { epoch, hash, notify: made.notify });
            record.removals = removals;
            Ok(())
        })?;
        Ok(Outgoing { notify: Some(notify), events: left_out.events, ..made.outgoing })
    }

    /// Seals a message for the other devices of the leaf.
    pub(super) fn tell<P: Platform>(
        &self,
        device: &Device<P>,
        said: &LeafMessage,
    ) -> Result<Vec<u8>, Error> {
        let salt: [u8; SALT_LEN] = device
            .provider()
            .rand()
            .random_array()
            .map_err(Error::mls("draw the salt of a Notify"))?;
        Ok(device.vault().seal_leaf_message(&self.record.tape, said, self.epoch(), salt)?)
    }
}
