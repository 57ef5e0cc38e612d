//! The log of a group, from the cursor on: each commit is followed in the order that the service gave.

use paired_mls::{Event, Freshness, wire::MlsMessage};
use paired_mls_api::{EntryKind, GroupId, LogEntry, ProblemKind};
use paired_mls_client::{ClientError, LogCursor};
use paired_mls_openmls::{Error, PeerError, Received};

use super::{
    Engine, EngineError, Group, GroupRow, Happening, Letter, Membership, Report,
    group::is_out,
    report::{Followed, PairingEvent, security_of},
};

/// How many entries are fetched at once.
const PAGE: u32 = 256;

/// How many proposals that were not kept are fetched again for a commit that cannot be followed without them, of
/// how many bytes, and from how many entries before it.
const MAX_FETCHED_AGAIN: usize = 4_096;
const BYTES_FETCHED_AGAIN: usize = 16 << 20;
const ENTRIES_LOOKED_BACK: u64 = 8_192;

/// Behind which entry of a group's log its epoch begins.
pub(super) fn epoch_begins(id: &GroupId) -> String {
    format!("epoch {id}")
}

/// What is to be done with the rest of a log.
pub(super) enum Next {
    Continue,
    /// This device is out of the group.
    Stop,
}

impl Engine {
    /// Reads the log of a group, from where it was read last.
    ///
    /// # Errors
    ///
    /// [`EngineError::Restored`] if that was in an earlier incarnation of the service.
    pub(crate) async fn catch_up(
        &mut self,
        row: &GroupRow,
        report: &mut Report,
    ) -> Result<(), EngineError> {
        if self.store().stands_still(&row.id)? {
            return Err(EngineError::Restored(row.name.clone()));
        }
        self.read_log(row, report).await
    }

    /// The same, also of a group that stands still.
    pub(super) async fn read_log(
        &mut self,
        row: &GroupRow,
        report: &mut Report,
    ) -> Result<(), EngineError> {
        let Some(row) = self.store().group(&row.id)?.filter(|row| row.state.takes_part()) else {
            return Ok(());
        };
        let mut group = self.load(&row)?;
        if group.check_vault()? == Freshness::VaultIsOlder {
            report.add(Happening::OlderVault { group: row.name.clone() });
        }
        let mut cursor = self.store().log_cursor(&row)?;
        loop {
            let page = self.client()?.log(&row.id, cursor, Some(PAGE)).await;
            let page = page.map_err(|error| of_group(&group, error))?;
            let Some(last) = page.entries.last() else { break };
            cursor = LogCursor { position: last.position, chain: Some(last.chain) };
            for entry in page.entries {
                let next = match self.follow(&mut group, &entry, report) {
                    // What the mailbox has to say may be what is missing: a Notify, a Welcome, a pairing.
                    Err(error) if entry.kind == EntryKind::Commit && !error.is_local() => {
                        Box::pin(self.sync_mailbox(report)).await?;
                        group = self.load(&row)?;
                        match self.follow(&mut group, &entry, report) {
                            Err(error) if !error.is_local() => self
                                .follow_with_proposals(&mut group, &entry, error, report)
                                .await
                                .map_err(|error| stuck(&group, &entry, error))?,
                            next => next.map_err(|error| stuck(&group, &entry, error))?,
                        }
                    }
                    next => next?,
                };
                self.store().read_through(&row.id, entry.position, &entry.chain)?;
                if matches!(next, Next::Stop) {
                    return Ok(());
                }
            }
            if cursor.position >= page.head {
                break;
            }
        }
        if group.check_vault()? == Freshness::StateIsOlder {
            report.add(Happening::OlderState { group: row.name.clone() });
        }
        self.who_is_who(&mut group, report).await?;
        Ok(())
    }

    /// Follows a commit that could not be followed, with all proposals of its epoch: there may have been no room
    /// for some of them.
    async fn follow_with_proposals(
        &self,
        group: &mut Group,
        entry: &LogEntry,
        error: EngineError,
        report: &mut Report,
    ) -> Result<Next, EngineError> {
        let proposals = self.proposals_before(group, entry).await;
        if proposals.is_empty()
            || header_of(&entry.message.0).is_none_or(|of| of.1 != group.epoch())
        {
            return Err(error);
        }
        self.follow_commit(group, entry, &proposals, report)
    }

    /// The proposals of the group's epoch that the log has before an entry; none if there are too many, or the log
    /// cannot be had now.
    async fn proposals_before(&self, group: &Group, entry: &LogEntry) -> Vec<Vec<u8>> {
        let looked_back = entry.position.saturating_sub(ENTRIES_LOOKED_BACK);
        let begins = self.store().cursor(&epoch_begins(&group.row.id)).unwrap_or_default();
        let (mut after, mut found, mut bytes) = (begins.max(looked_back), Vec::new(), 0_usize);
        while after.saturating_add(1) < entry.position {
            let Ok(client) = self.client() else { return Vec::new() };
            let Ok(page) = client.log(&group.row.id, after, Some(PAGE)).await else {
                return Vec::new();
            };
            let Some(last) = page.entries.last() else { break };
            after = last.position;
            for LogEntry { position, message, .. } in page.entries {
                let of = header_of(&message.0);
                if position < entry.position && of == Some((EntryKind::Proposal, group.epoch())) {
                    bytes = bytes.saturating_add(message.0.len());
                    found.push(message.0);
                }
            }
            if found.len() > MAX_FETCHED_AGAIN || bytes > BYTES_FETCHED_AGAIN {
                return Vec::new();
            }
        }
        found
    }

    pub(super) fn follow(
        &self,
        group: &mut Group,
        entry: &LogEntry,
        report: &mut Report,
    ) -> Result<Next, EngineError> {
        match header_of(&entry.message.0) {
            Some((EntryKind::Commit, epoch)) if epoch == group.epoch() => {
                self.follow_commit(group, entry, &[], report)
            }
            Some((EntryKind::Commit, epoch)) if epoch > group.epoch() => {
                Err(EngineError::Missing { group: group.row.name.clone(), epoch: group.epoch() })
            }
            Some((EntryKind::Proposal, epoch)) if epoch == group.epoch() => {
                match group.process(&entry.message.0).map_err(EngineError::from) {
                    Err(error) if error.is_local() => return Err(error),
                    // Nobody can commit what this device cannot accept, or it is its own.
                    Err(error) if error.is_suspicious() => report.dropped(&error),
                    Ok(Received::Impostor { events, .. }) => self.told(group, &events, report)?,
                    Err(_) | Ok(_) => {}
                }
                Ok(Next::Continue)
            }
            Some((EntryKind::Application, epoch)) => {
                if epoch >= group.row.since {
                    self.hear(group, epoch, entry, report)?;
                }
                Ok(Next::Continue)
            }
            // Whatever it is, everybody else has it too: it may be what ends the epoch.
            None if entry.kind == EntryKind::Commit => {
                Err(Error::from(PeerError::Kind("message that can be read")).into())
            }
            None => {
                let (group, epoch) = (group.row.name.clone(), entry.epoch);
                report.add(Happening::Unread { group, epoch, position: entry.position });
                Ok(Next::Continue)
            }
            // Of an epoch that is over: it was processed, or came before this device.
            _ => Ok(Next::Continue),
        }
    }

    /// In one transaction: a message can be decrypted only once.
    fn hear(
        &self,
        group: &mut Group,
        epoch: u64,
        entry: &LogEntry,
        report: &mut Report,
    ) -> Result<(), EngineError> {
        let id = group.row.id.clone();
        let heard = self.device().provider().transaction(|| {
            let (sender, identity, message) = match group.process(&entry.message.0)? {
                Received::Application { sender, identity, message } => (sender, identity, message),
                Received::Own if epoch == group.epoch() => {
                    self.heard_itself(group, &entry.message.0)?;
                    return Ok(None);
                }
                _ => return Ok(None),
            };
            let letter = Letter {
                group: id.clone(),
                epoch,
                position: entry.position,
                id: self.message_id(&entry.message.0)?,
                received_at: self.now(),
                sender: group.sender(sender, &identity),
                content: message,
            };
            let dropped = self.store().keep_letter(&letter)?;
            Ok::<_, EngineError>(Some((letter, dropped)))
        });
        match heard {
            Ok(Some((letter, dropped))) => {
                report.heard(&group.row.name, letter);
                dropped.into_iter().for_each(|by| report.message_dropped(&group.row.name, by));
            }
            Ok(None) => {}
            Err(error) if error.is_local() => return Err(error),
            // Too late, or of a sender whose state is an older copy. What it says is lost.
            Err(_) => report.add(Happening::Unread {
                group: group.row.name.clone(),
                epoch,
                position: entry.position,
            }),
        }
        Ok(())
    }

    fn follow_commit(
        &self,
        group: &mut Group,
        entry: &LogEntry,
        refused: &[Vec<u8>],
        report: &mut Report,
    ) -> Result<Next, EngineError> {
        let received = match group.process_with(refused, &entry.message.0) {
            Err(Error::Peer(PeerError::RefreshNeedsWelcome)) => self.renew(group, entry)?,
            received => received?,
        };
        let Received::Commit { events, .. } = received else { return Ok(Next::Continue) };
        self.merged(&group.row.id)?;
        self.store().set_cursor(&epoch_begins(&group.row.id), entry.position)?;
        self.told(group, &events, report)?;
        let own = group.own_number()?;
        let by_partner =
            |event: &Event| matches!(event, Event::Healed { by, .. } if Some(*by) != own);
        if events.iter().any(by_partner) {
            self.store().set_used(&group.row.id)?;
        }
        self.look_for_ended(group, &events, report)?;
        if is_out(&events) || !group.mls().is_active() {
            self.store().set_membership(&group.row.id, Membership::Gone)?;
            return Ok(Next::Stop);
        }
        self.still_leaving(group)?;
        Ok(Next::Continue)
    }

    /// What a commit, or somebody in the name of a device, has changed.
    fn told(
        &self,
        group: &Group,
        events: &[Event],
        report: &mut Report,
    ) -> Result<(), EngineError> {
        self.store().note_healed(&group.row.id, group.epoch(), events, self.now())?;
        let members = group.mls().is_active().then(|| group.mls().members().count());
        let mut said = self.unused(group, events)?;
        said.extend(events.iter().filter(|event| !is_of_identity(event)).map(PairingEvent::from));
        report.add(Happening::Commit(Followed {
            group: group.row.name.clone(),
            epoch: group.epoch(),
            members,
            events: said,
            security: security_of(group),
            names: self.names(group)?,
        }));
        Ok(())
    }

    /// Makes the commit that heals, if the group's policy demands one: also if an earlier one was lost,
    /// or died with the process.
    pub(super) fn heal_if_due(
        &self,
        row: &GroupRow,
        report: &mut Report,
    ) -> Result<(), EngineError> {
        let active = self.store().group(&row.id)?.filter(|row| row.state == Membership::Active);
        let Some(row) = active.filter(|row| row.pairing.is_none()) else { return Ok(()) };
        let mut group = self.load(&row)?;
        let made = self.device().provider().transaction(|| {
            let Some(heal) = group.heal_if_due()? else { return Ok(()) };
            self.queue_heal(&group, heal)
        });
        match made {
            Ok(()) => Ok(()),
            Err(error) if error.is_local() => Err(error),
            Err(_) => self.told(&group, &[Event::HealingFailed], report),
        }
    }

    /// A partner has renewed this device's whole leaf: the Welcome came by mailbox.
    fn renew(&self, group: &mut Group, entry: &LogEntry) -> Result<Received, EngineError> {
        let (own, device) =
            group.as_own().ok_or(PeerError::RefreshNeedsWelcome).map_err(Error::from)?;
        for (number, welcome) in self.store().welcomes()? {
            match own.process_refresh(device, &entry.message.0, &welcome) {
                Ok(received) => {
                    self.store().forget_welcome(number)?;
                    return Ok(received);
                }
                Err(Error::Peer(_) | Error::Usage(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::from(PeerError::RefreshNeedsWelcome).into())
    }

    /// A partner that goes on with a pairing that is ending is noticed.
    fn look_for_ended(
        &self,
        group: &Group,
        events: &[Event],
        report: &mut Report,
    ) -> Result<(), EngineError> {
        for event in events {
            let Event::Healed { index: Some(index), .. } = event else { continue };
            for pairing in self.book().pairings()? {
                if let Some(continues) = self.book().detect(pairing, *index)? {
                    report.add(Happening::PartnerContinues {
                        group: group.row.name.clone(),
                        pairing: pairing.to_string(),
                        by: continues.device.0,
                    });
                }
            }
        }
        Ok(())
    }
}

/// Who somebody is, is told once the directory was asked.
fn is_of_identity(event: &Event) -> bool {
    matches!(event, Event::IdentityUnverified { .. } | Event::IdentityVerified { .. })
}

/// What a message is and of which epoch, by its own header: the service is not taken at its word.
pub(super) fn header_of(message: &[u8]) -> Option<(EntryKind, u64)> {
    use paired_mls::wire::ContentType;
    let Ok(MlsMessage::Framed(header)) = MlsMessage::decode(message) else { return None };
    let kind = match header.content_type() {
        ContentType::COMMIT => EntryKind::Commit,
        ContentType::PROPOSAL => EntryKind::Proposal,
        ContentType::APPLICATION => EntryKind::Application,
        _ => return None,
    };
    Some((kind, header.epoch()))
}

/// What is wrong with the log of one group says nothing of the others.
fn of_group(group: &Group, error: ClientError) -> EngineError {
    let group = group.row.name.clone();
    match error {
        ClientError::Gap { .. } => EngineError::Hole { group, source: error },
        ClientError::Pruned { .. } => EngineError::Pruned { group, source: error },
        ClientError::OtherHistory { .. } => EngineError::OtherHistory { group, source: error },
        error => match error.problem() {
            Some(ProblemKind::Ended) => EngineError::Ended(group),
            Some(ProblemKind::NotFound | ProblemKind::Forbidden) => {
                EngineError::NotAtTheService(group)
            }
            _ => error.into(),
        },
    }
}

pub(super) fn stuck(group: &Group, entry: &LogEntry, error: EngineError) -> EngineError {
    match error {
        EngineError::Mls(source) => EngineError::Stuck {
            group: group.row.name.clone(),
            epoch: group.epoch(),
            position: entry.position,
            why: reason(&source),
        },
        other => other,
    }
}

/// Why a commit cannot be followed, without what a library says.
fn reason(error: &Error) -> String {
    match error {
        Error::Peer(PeerError::Message(_)) => "it is not valid for this device".to_owned(),
        Error::Peer(refused) => refused.to_string(),
        other => other.to_string(),
    }
}
