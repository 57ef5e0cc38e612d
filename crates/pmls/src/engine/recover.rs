//! A device that has lost something comes back into its groups.

use paired_mls::{Freshness, PairingId, pairing::PairingState};
use paired_mls_api::{GroupId, KeyPackageUpload, ProblemKind};
use paired_mls_openmls::{PackageKind, gate_capabilities, openmls::prelude::Capabilities};

use super::{Change, Engine, EngineError, Happening, Membership, Offers, Report};
use crate::session::{Known, KnownGroup, KnownPairing, Lost, Recovery, Session};

/// How many KeyPackages are made in the place of those that are withdrawn.
const PACKAGES: u16 = 20;

impl Engine {
    /// Goes on with a recovery whose device is registered: withdraws what others may still use of what is
    /// lost, and comes back into all groups. Dies it in between, `pmls recover` or, later, `pmls sync` goes on.
    ///
    /// # Errors
    ///
    /// That of the last group that this device does not come back into; the others are done.
    pub(crate) async fn recover(
        &mut self,
        recovery: &Recovery,
        report: &mut Report,
    ) -> Result<(), EngineError> {
        self.device().provider().transaction(|| self.take_up(recovery, report))?;
        self.withdraw_lost(recovery).await?;
        self.session.home().recovered()?;
        if recovery.lost == Lost::Nothing {
            return self.mend_groups(report).await;
        }
        let mut failed = None;
        for row in self.store().groups()? {
            if row.state != Membership::Rejoining {
                continue;
            }
            let done = match self.rejoin(&row.id.to_string(), report).await {
                Ok(()) => self.remove_lost_leaf(recovery, &row.name, report).await,
                failed => failed,
            };
            match done {
                Err(error) if error.is_of_one_group() || error.is_final() => failed = Some(error),
                done => done?,
            }
        }
        self.settle_pairings(report)?;
        self.flush(report).await?;
        failed.map_or(Ok(()), Err)
    }

    /// The groups that were known are those to come back into.
    fn take_up(&self, recovery: &Recovery, report: &mut Report) -> Result<(), EngineError> {
        if recovery.lost == Lost::Nothing {
            return Ok(());
        }
        for group in &recovery.known.groups {
            let Ok(id) = group.id.parse::<GroupId>() else { continue };
            let pairing = group.pairing.as_deref().and_then(pairing_of);
            if recovery.lost == Lost::Keys && pairing.is_some() {
                report.add(Happening::LeafLost { group: group.name.clone(), id: group.id.clone() });
                continue;
            }
            if self.store().group(&id)?.is_none() {
                self.store().enter_group(&id, &group.name, pairing, 0)?;
                self.store().set_membership(&id, Membership::Rejoining)?;
            }
        }
        if recovery.lost == Lost::Keys {
            for KnownPairing { id, with } in &recovery.known.pairings {
                let (pairing, with) = (id.clone(), with.clone());
                report.add(Happening::PairingLost { pairing, with });
            }
        }
        Ok(())
    }

    /// The private keys of the KeyPackages at the service may be lost: nobody is to use them.
    async fn withdraw_lost(&mut self, recovery: &Recovery) -> Result<(), EngineError> {
        let offers = match self.store().offers()? {
            Offers::Nothing if recovery.lost == Lost::Nothing => return Ok(()),
            Offers::Gated => Offers::Gated,
            Offers::Nothing | Offers::Plain => Offers::Plain,
        };
        if recovery.lost == Lost::Keys && recovery.old != self.session.profile().device {
            match self.client()?.revoke(&recovery.old).await {
                Err(error) if error.problem() == Some(ProblemKind::NotFound) => {}
                revoked => revoked.map(drop)?,
            }
        }
        self.client()?.withdraw().await?;
        self.store().none_ahead()?;
        let suite = self.ciphersuite()?;
        let capabilities = || match offers {
            Offers::Gated => gate_capabilities(),
            _ => Capabilities::default(),
        };
        let make = |kind| self.device().key_package_of(suite, capabilities(), kind);
        let once = (0..PACKAGES).map(|_| Ok(make(PackageKind::Once)?.into()));
        let upload = KeyPackageUpload {
            key_packages: once.collect::<Result<_, EngineError>>()?,
            last_resort: vec![make(PackageKind::LastResort)?.into()],
        };
        self.client()?.upload(&upload).await?;
        self.store().set_offers(offers)?;
        self.store().note_packages_end(&upload)?;
        self.store().no_lost_welcomes()?;
        let counts = self.client()?.count().await?;
        self.store().note_stock(&counts, suite.into())?;
        self.store().note_counted(&counts, suite.into(), self.now())
    }

    /// The leaf of the key that is lost goes: nobody is there any more.
    async fn remove_lost_leaf(
        &mut self,
        recovery: &Recovery,
        name: &str,
        report: &mut Report,
    ) -> Result<(), EngineError> {
        let old = recovery.old.to_string();
        if recovery.old == self.session.profile().device {
            return Ok(());
        }
        let group = self.group(name)?;
        let mut members = group.members().into_iter();
        let Some((leaf, _)) = members.find(|(_, who)| who.devices == [old.clone()]) else {
            return Ok(());
        };
        let targets = group.targets(&[format!("#{}", leaf.value())])?;
        self.commit(name, &Change::Remove(targets), report).await
    }

    /// Nothing is lost: groups that cannot go on are taken up anew.
    async fn mend_groups(&mut self, report: &mut Report) -> Result<(), EngineError> {
        let mut failed = match self.sync(report).await {
            Err(error) if error.is_of_one_group() => Some(error),
            done => done.map(|()| None)?,
        };
        for row in self.store().groups()?.into_iter().filter(|row| row.state.takes_part()) {
            let freshness = self.load(&row)?.check_vault()?;
            let trouble = self.store().trouble(&row.id)?.is_some();
            let done = if trouble || freshness == Freshness::StateIsOlder {
                self.rejoin(&row.name, report).await
            } else if freshness == Freshness::VaultIsOlder {
                self.commit(&row.name, &Change::Update, report).await
            } else {
                continue;
            };
            match done {
                Err(error) if error.is_of_one_group() || error.is_final() => failed = Some(error),
                done => {
                    done?;
                    self.store().no_trouble(&row.id)?;
                    failed = None;
                }
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// What is remembered beside the MLS state.
    pub(super) fn known(&self) -> Result<Known, EngineError> {
        let rows = self.store().groups()?.into_iter();
        let rows = rows.filter(|row| row.state != Membership::Gone);
        let groups = rows.map(|row| KnownGroup {
            id: row.id.to_string(),
            name: row.name,
            pairing: row.pairing.map(|pairing| pairing.to_string()),
        });
        let groups = groups.collect();
        let mut pairings = Vec::new();
        for pairing in self.book().pairings()? {
            if !matches!(self.book().load(pairing)?, PairingState::Paired(_)) {
                continue;
            }
            let with = self.pairing_partners(pairing)?;
            pairings.push(KnownPairing { id: pairing.to_string(), with });
        }
        Ok(Known { groups, pairings })
    }

    /// Takes up the engine of a session that was opened by a recovery.
    pub(crate) fn of(session: Session) -> Result<Self, EngineError> {
        let engine = Self::assemble(session)?;
        engine.remember()?;
        engine.drop_unsent()?;
        Ok(engine)
    }
}

fn pairing_of(text: &str) -> Option<PairingId> {
    let bytes = hex::decode(text).ok()?;
    Some(PairingId(bytes.try_into().ok()?))
}
