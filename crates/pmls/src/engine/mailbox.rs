//! What comes into the device's mailbox: Welcomes, Notifies, KeyPackages of partners, the 1-to-1
//! channel, and the pairing protocol. Much of it is for another device of the account, or for nobody.

use std::collections::BTreeSet;

use openmls_rust_crypto::RustCrypto;
use paired_mls::{
    PairingId,
    group::RefreshWelcome,
    leaf::{Held, KeyProofMessage, RefreshChain},
    pairing::{AnchorKind, MessageType, Mode, PairingMessage, PairingState, Progress, Source},
    wire::{FramedHeader, KeyPackage, MlsMessage},
};
use paired_mls_api::{Envelope, GroupId, MailboxItem, ProblemKind};
use paired_mls_openmls::{
    Channel, Error, Group as MlsPaired, LeafGroup, Received, UsageError, is_key_pair,
};

use super::{
    Engine, EngineError, Happening, Membership, Report,
    adder::Adder,
    group::join_config,
    incarnation::is_restored,
    leaf::{anchor_client, terms_of},
    pairing::CHANNEL_PREFIX,
};
use crate::output::short;

/// The name of the mailbox's cursor.
const CURSOR: &str = "mailbox";

/// How many KeyPackages of the partners of one pairing are kept.
const MAX_PACKAGES: usize = 256;

/// How many items are fetched at once.
const PAGE: u32 = 256;

/// Whether this device has come into a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Came {
    In,
    Nowhere,
}

impl Engine {
    /// Reads the mailbox, from where it was read last. What was stored to be sent is sent first, and
    /// what comes of the messages afterwards.
    pub(crate) async fn sync_mailbox(&mut self, report: &mut Report) -> Result<(), EngineError> {
        let mut read = self.read_mailbox(report).await;
        if is_restored(&read) {
            self.restored(report)?;
            read = self.read_mailbox(report).await;
        }
        read?;
        self.hear_incarnation()
    }

    async fn read_mailbox(&mut self, report: &mut Report) -> Result<(), EngineError> {
        self.flush(report).await?;
        loop {
            let after = self.store().cursor(CURSOR)?;
            let page = match self.client()?.items(after, Some(PAGE)).await {
                // The service was restored from a backup. What it has is read again: most of it is known,
                // and what is known already is dropped.
                Err(error) if error.problem() == Some(ProblemKind::Beyond) && after > 0 => {
                    report.add(Happening::MailboxRestored);
                    self.store().set_cursor(CURSOR, 0)?;
                    continue;
                }
                page => page?,
            };
            let Some(last) = page.items.last().map(|item| item.position) else { break };
            for item in page.items {
                let position = item.position;
                self.open_item(item, report).await?;
                self.store().set_cursor(CURSOR, position)?;
            }
            self.client()?.ack(last).await?;
            self.flush(report).await?;
        }
        self.settle_pairings(report)?;
        self.flush(report).await?;
        Ok(())
    }

    pub(super) fn mailbox_cursor(&self) -> Result<u64, EngineError> {
        self.store().cursor(CURSOR)
    }

    /// Opens one envelope. What cannot be used is dropped: it was for another device, or is no longer of
    /// any use, or somebody has sent nonsense.
    async fn open_item(
        &mut self,
        item: MailboxItem,
        report: &mut Report,
    ) -> Result<(), EngineError> {
        let Ok(envelope) = Envelope::decode(item.envelope.0) else { return Ok(()) };
        let content = envelope.content();
        let opened = match MlsMessage::decode(content) {
            Ok(MlsMessage::Welcome) => self.welcome(content, report).await,
            Ok(MlsMessage::KeyPackage(package)) => self.offer(&package, content),
            Ok(MlsMessage::Framed(header)) => self.framed(&header, content, report),
            Ok(_) => Ok(()),
            Err(_) => {
                if let Ok(refresh) = RefreshWelcome::decode(content) {
                    self.refresh_welcome(&refresh.group_id, content)
                } else if let Ok(chain) = RefreshChain::decode(content) {
                    self.chain_came(&chain, content, report)
                } else if let Ok(proof) = KeyProofMessage::decode(content) {
                    self.key_proof(&proof)
                } else {
                    self.pairing_message(content, report).await
                }
            }
        };
        match opened {
            Err(error) if error.is_local() => Err(error),
            Err(error) => {
                if error.is_suspicious() {
                    report.dropped(&error);
                }
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    /// A Welcome: into a group, with a leaf of the device's own or the shared one; into a 1-to-1 channel;
    /// or for nobody here.
    async fn welcome(&mut self, welcome: &[u8], report: &mut Report) -> Result<(), EngineError> {
        match MlsPaired::welcome_group_id(self.device(), welcome) {
            Ok(id) if id.starts_with(CHANNEL_PREFIX) => return self.offered(welcome).await,
            Ok(id) => {
                let (device, id) = (self.session.own_device(), GroupId::new(id)?);
                let Some(adder) = self.let_in(&device, (&id, welcome), report).await? else {
                    return Ok(());
                };
                let joined = self.device().provider().transaction(|| {
                    let group = MlsPaired::join(self.device(), welcome, &join_config())?;
                    let epoch = group.epoch();
                    self.store().note_welcome(&self.message_id(welcome)?)?;
                    self.entered(&id, None, (epoch, &adder), report)
                });
                return match joined {
                    // The log has the removal that comes before it, or nobody has removed this device.
                    Err(EngineError::Mls(Error::Usage(UsageError::StillMember))) => {
                        self.store().keep_welcome(welcome, self.now())
                    }
                    Err(error) => Err(error),
                    Ok(()) => self.who_is_in(&id, report).await,
                };
            }
            // For none of the device's own KeyPackages.
            Err(_) => {}
        }
        for pairing in self.paired(AnchorKind::Leaf)? {
            let device = self.behind_leaf(pairing)?;
            let id = match MlsPaired::welcome_group_id(&device, welcome) {
                Ok(id) => GroupId::new(id)?,
                Err(Error::Usage(UsageError::NoTapeKeyPackage)) => continue,
                Err(error) => return Err(error.into()),
            };
            let still = MlsPaired::load(&device, id.as_bytes());
            if still.is_ok_and(|group| group.mls().is_active()) {
                return self.store().keep_welcome(welcome, self.now());
            }
            let Some(adder) = self.let_in(&device, (&id, welcome), report).await? else {
                return Ok(());
            };
            // The row first: to join burns the KeyPackage, and a group without a row would be lost. A row
            // without a group is dropped at the next start, and the Welcome read again.
            self.entered(&id, Some(pairing), (0, &adder), report)?;
            let group = MlsPaired::join(&device, welcome, &join_config())?;
            self.store().back_since(&id, group.epoch(), 0)?;
            self.store().note_welcome(&self.message_id(welcome)?)?;
            return self.who_is_in(&id, report).await;
        }
        self.for_nobody(welcome, report).await
    }

    /// A Welcome that no KeyPackage here is for: it is for another device of the account, or was read before;
    /// or its private keys are gone. The last is said only where it is certain.
    async fn for_nobody(&mut self, welcome: &[u8], report: &mut Report) -> Result<(), EngineError> {
        if self.store().used_welcome(&self.message_id(welcome)?)? {
            return Ok(());
        }
        let user = self.session.profile().user.clone();
        let view = self.user_view(&user).await?;
        if view.devices.len() == 1 && self.paired(AnchorKind::Leaf)?.is_empty() {
            self.store().note_lost_welcome()?;
            report.add(Happening::WelcomeLost);
        }
        Ok(())
    }

    /// The Welcome of a leaf refresh, whose commit is still to come: kept if a partner has made it, and
    /// nobody else's.
    pub(super) fn refresh_welcome(
        &mut self,
        group_id: &[u8],
        content: &[u8],
    ) -> Result<(), EngineError> {
        let row = self.store().group(&GroupId::new(group_id)?)?;
        let Some(row) = row.filter(|row| row.state != Membership::Gone) else { return Ok(()) };
        let mut group = self.load(&row)?;
        let now = group.epoch();
        let Some((own, device)) = group.as_own() else { return Ok(()) };
        let epoch = own.check_refresh(device, content)?;
        // It may be for another partner, who hears this device's feed.
        self.store().keep_refresh(&row.id, content)?;
        for (number, kept) in self.store().welcomes()? {
            let of_the_past = |kept: RefreshWelcome| kept.group_id == group_id && kept.epoch <= now;
            if RefreshWelcome::decode(&kept).is_ok_and(of_the_past) {
                self.store().forget_welcome(number)?;
            }
        }
        if epoch > now {
            self.store().keep_welcome(content, self.now())?;
        }
        Ok(())
    }

    /// Opens the Welcomes again that were kept: the log may have had the removal by now that one of them comes
    /// after. Those of leaf refreshes stay.
    ///
    /// Returns whether this device has come into a group.
    pub(super) async fn open_kept(&mut self, report: &mut Report) -> Result<Came, EngineError> {
        let mut came = Came::Nowhere;
        for (number, welcome) in self.store().welcomes()? {
            if RefreshWelcome::decode(&welcome).is_ok() {
                continue;
            }
            let before = report.joined();
            match self.welcome(&welcome, report).await {
                Err(error) if error.is_local() => return Err(error),
                // It stays until it is too old: there are few.
                Err(_) => {}
                Ok(()) if report.joined() > before => {
                    self.store().forget_welcome(number)?;
                    came = Came::In;
                }
                Ok(()) => {}
            }
        }
        Ok(came)
    }

    fn entered(
        &self,
        id: &GroupId,
        pairing: Option<PairingId>,
        (since, adder): (u64, &Adder),
        report: &mut Report,
    ) -> Result<(), EngineError> {
        let short = format!("group-{}", short(&id.to_string()));
        let known = self.store().is_used(id)?;
        self.store().enter_group(id, &short, pairing, since)?;
        match adder {
            Adder::Own => self.store().set_used(id)?,
            Adder::Other(_) if known => {}
            Adder::Other(user) => self.store().set_unused(id, user.as_ref())?,
        }
        let row = self.store().group(id)?;
        let name = row.map_or(short, |row| row.name);
        report.add(Happening::Joined { group: name, id: id.to_string() });
        Ok(())
    }

    /// A KeyPackage that a partner has made from the tape: of the shared leaf, or for a leaf refresh.
    fn offer(&mut self, package: &KeyPackage, content: &[u8]) -> Result<(), EngineError> {
        let key = package.leaf_node().signature_key().to_vec();
        for pairing in self.paired(AnchorKind::Leaf)? {
            let device = self.behind_leaf(pairing)?;
            if device.signature_key() == key {
                self.has_room_for_package(pairing)?;
                return Ok(LeafGroup::adopt(&device, pairing, content)?);
            }
        }
        let mut partners = Vec::new();
        for pairing in self.paired(AnchorKind::Node)? {
            let terms = self.terms(pairing)?;
            if terms.roster().devices().iter().any(|device| device.party.signature_key == key) {
                partners.push(pairing);
            }
        }
        if partners.is_empty() {
            // Anybody can send one: no group is looked at for it.
            return Ok(());
        }
        for row in self.store().groups()? {
            if !row.state.takes_part() || row.pairing.is_some() {
                continue;
            }
            let mut group = self.load(&row)?;
            let Some(pairing) = group.pairing() else { continue };
            if let (true, Some((own, device))) = (partners.contains(&pairing), group.as_own()) {
                self.has_room_for_package(pairing)?;
                return Ok(own.adopt(device, content)?);
            }
        }
        Ok(())
    }

    fn has_room_for_package(&self, pairing: PairingId) -> Result<(), EngineError> {
        let kept = self.session.vault().load_leaf_packages(pairing)?.0;
        // What this device has made ahead for a partner is beside it.
        let kept = kept.iter().filter(|kept| kept.held == Held::Free).count();
        if kept < MAX_PACKAGES { Ok(()) } else { Err(EngineError::TooManyPackages(pairing)) }
    }

    /// A message of a 1-to-1 channel, or of a partner behind a shared leaf. Commits and proposals of groups
    /// come from the log alone.
    fn framed(
        &mut self,
        header: &FramedHeader,
        content: &[u8],
        report: &mut Report,
    ) -> Result<(), EngineError> {
        if header.group_id().starts_with(CHANNEL_PREFIX) {
            return self.over_channel(header.group_id(), content, report);
        }
        let row = self.store().group(&GroupId::new(header.group_id())?)?;
        let Some(row) = row.filter(|row| row.pairing.is_some() && row.state.takes_part()) else {
            return Ok(());
        };
        let mut group = self.load(&row)?;
        if header.epoch() < group.epoch() {
            // What was announced is in the log, and was followed without it.
            return Ok(());
        }
        let name = row.name.clone();
        let (shared, device) = group.as_shared().ok_or(EngineError::NoSharedLeaf(name))?;
        match shared.process_notify(device, content)? {
            Received::TokenWanted { by } => {
                report.add(Happening::TokenWanted { group: row.name, by: by.0 });
            }
            Received::TokenGiven { by } => {
                self.partner_gave_token(&group)?;
                report.add(Happening::TokenGiven { group: row.name, by: by.0 });
            }
            _ => {}
        }
        Ok(())
    }

    /// A pairing message of a partner by way of a channel.
    fn over_channel(
        &mut self,
        id: &[u8],
        content: &[u8],
        report: &mut Report,
    ) -> Result<(), EngineError> {
        let Some(record) = self.channel_record(id)? else { return Ok(()) };
        let progress = self.device().provider().transaction(|| {
            let mut channel = Channel::load(self.device(), id)?;
            let Some((sender, message)) = channel.receive(self.device(), content)? else {
                return Ok(None);
            };
            let one_to_one = channel.one_to_one(record.trust());
            let source = Source::OneToOne { channel: &one_to_one, sender: &sender };
            let progress = self.receive(source, message.expose())?;
            if let Ok(PairingMessage::Abandon(abandon)) = PairingMessage::decode(message.expose()) {
                self.close_channel(id)?;
                report.refused(&sender, &abandon);
                return Ok(None);
            }
            self.keep_channel(id, &record.of(progress.pairing))?;
            Ok::<_, EngineError>(Some(progress))
        })?;
        if let Some(progress) = progress {
            self.follow_up(progress, report)?;
        }
        Ok(())
    }

    /// A pairing message by mailbox. What the directory says is asked of the directory itself, since
    /// anybody can put something into a mailbox.
    async fn pairing_message(
        &mut self,
        content: &[u8],
        report: &mut Report,
    ) -> Result<(), EngineError> {
        let Ok(message) = PairingMessage::decode(content) else { return Ok(()) };
        let Some(pairing) = message.pairing_id() else { return Ok(()) };
        let progress = match message.message_type() {
            MessageType::InitPairing | MessageType::DirectoryAccept => {
                let view = self.client()?.pairing(&pairing.0).await?;
                let Some(message) = view.message else { return Ok(()) };
                self.receive(Source::Directory, &message.0)?
            }
            _ => self.receive(Source::Relay, content)?,
        };
        self.follow_up(progress, report)
    }

    pub(super) fn receive(
        &self,
        source: Source<'_>,
        message: &[u8],
    ) -> Result<Progress, EngineError> {
        let crypto = RustCrypto::default();
        let is_pair = |suite, pair: &_| is_key_pair(&crypto, suite, pair);
        Ok(self.book().receive(source, message, &is_pair)?)
    }

    /// The pairings with this anchor that have come about.
    pub(super) fn paired(&self, anchor: AnchorKind) -> Result<Vec<PairingId>, EngineError> {
        let mut found = Vec::new();
        for pairing in self.book().pairings()? {
            let state = self.book().load(pairing)?;
            let active = matches!(state, PairingState::Paired(_) | PairingState::Ceasing(_));
            if active && terms_of(&state).is_some_and(|terms| terms.anchor() == anchor) {
                found.push(pairing);
            }
        }
        Ok(found)
    }

    /// The mailbox of a hidden leaf's key gets Welcomes like those of all devices of the account. Nobody
    /// reads it: it is emptied, so that it does not fill up. It is there once the leaf is in a group.
    pub(super) async fn empty_anchor_mailboxes(&mut self) -> Result<(), EngineError> {
        let rows = self.store().groups()?.into_iter();
        let rows = rows.filter(|row| row.state.takes_part());
        let used: BTreeSet<_> = rows.filter_map(|row| row.pairing).collect();
        for pairing in used {
            let paired = matches!(self.book().load(pairing)?, PairingState::Paired(_));
            if paired && matches!(self.terms(pairing)?.mode(), Mode::Hidden { .. }) {
                let client = anchor_client(&self.session, pairing.0)?;
                let page = client.items(0, Some(PAGE)).await?;
                if let Some(last) = page.items.last() {
                    client.ack(last.position).await?;
                }
            }
        }
        Ok(())
    }
}
