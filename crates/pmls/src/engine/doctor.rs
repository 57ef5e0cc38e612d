//! What is wrong with a device, and the one command that helps with each.

use paired_mls::{Freshness, PairingId};
use paired_mls_api::ProblemKind;
use paired_mls_client::ClientError;
use serde::Serialize;

use super::{
    Engine, EngineError, Group, Offers, Report,
    incarnation::is_restored,
    store::{from_sql, seconds},
};

/// Something that is wrong.
#[derive(Debug, Serialize)]
pub(crate) struct Finding {
    pub(crate) kind: FindingKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) group: Option<String>,
    /// The entry of the group's log that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) position: Option<u64>,
    pub(crate) what: String,
    /// The command that helps.
    pub(crate) run: String,
}

/// What is wrong, for scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum FindingKind {
    /// The vault is gone, or so old that its tapes must not be used.
    VaultLost,
    /// The counter that tells an older copy of the vault is gone; the vault is there.
    CounterLost,
    /// The MLS state is gone.
    StateLost,
    /// A recovery was begun and is not done.
    RecoveryBegun,
    /// The vault is older than the MLS state of a group.
    VaultOlder,
    /// The MLS state of a group is older than the vault.
    StateOlder,
    /// The MLS state of a group is gone.
    GroupStateLost,
    /// The log of a group cannot be followed.
    Stuck,
    /// The service does not know the device.
    NotRegistered,
    /// The device was shut out.
    Revoked,
    /// The service does not know a group, or not that this account is in it.
    GroupNotAtService,
    /// The service has less of a log than this device has read.
    ServiceOlder,
    /// The vault has no tape of a pairing that it has.
    TapeLost,
    /// Nobody can add this device: the service has no KeyPackage of it that lasts.
    NoKeyPackages,
    /// Somebody has used a KeyPackage whose private keys are gone.
    WelcomeLost,
    /// The service does not answer: nothing of it could be looked at.
    ServiceAway,
}

impl Finding {
    pub(crate) fn new(kind: FindingKind, what: impl Into<String>, run: impl Into<String>) -> Self {
        Self { kind, group: None, position: None, what: what.into(), run: run.into() }
    }

    fn of_group(kind: FindingKind, group: &str, what: impl Into<String>, run: &str) -> Self {
        Self { group: Some(group.to_owned()), ..Self::new(kind, what, format!("{run} {group}")) }
    }
}

const REJOIN: &str = "pmls group rejoin";

impl Engine {
    /// Looks at everything that this device has, and at what the service has of it. Nothing is fetched and
    /// nothing is sent.
    pub(crate) async fn examine(&mut self) -> Result<Vec<Finding>, EngineError> {
        let mut findings = Vec::new();
        let mut looked = self.examine_service(&mut findings).await;
        if is_restored(&looked) {
            findings.clear();
            self.restored(&mut Report::default())?;
            looked = self.examine_service(&mut findings).await;
        }
        match looked {
            Err(EngineError::Client(error)) if error.is_transient() => {
                let what = format!("the service does not answer: {error}");
                findings.push(Finding::new(FindingKind::ServiceAway, what, "pmls doctor"));
            }
            done => done?,
        }
        self.examine_pairings(&mut findings)?;
        for row in self.store().groups()?.into_iter().filter(|row| row.state.takes_part()) {
            match self.load(&row) {
                Ok(group) => self.examine_group(group, &mut findings)?,
                Err(EngineError::Mls(_)) => findings.push(Finding::of_group(
                    FindingKind::GroupStateLost,
                    &row.name,
                    "the MLS state of the group cannot be loaded",
                    REJOIN,
                )),
                Err(error) => return Err(error),
            }
        }
        Ok(findings)
    }

    fn examine_group(
        &self,
        mut group: Group,
        findings: &mut Vec<Finding>,
    ) -> Result<(), EngineError> {
        let name = group.row.name.clone();
        match group.check_vault()? {
            Freshness::VaultIsOlder => findings.push(Finding::of_group(
                FindingKind::VaultOlder,
                &name,
                "the vault is older than the state of the group, as after a restored backup",
                "pmls update",
            )),
            Freshness::StateIsOlder => findings.push(Finding::of_group(
                FindingKind::StateOlder,
                &name,
                "the state of the group is older than the vault, as after a restored backup",
                REJOIN,
            )),
            Freshness::Current => {}
        }
        let told = |finding: &Finding| finding.group.as_ref() == Some(&name);
        if self.store().stands_still(&group.row.id)? {
            if !findings.iter().any(told) {
                let what = EngineError::Restored(name.clone()).to_string();
                let kind = FindingKind::ServiceOlder;
                findings.push(Finding::of_group(kind, &name, what, REJOIN));
            }
        } else if let Some(trouble) = self.store().trouble(&group.row.id)? {
            let finding = Finding::of_group(FindingKind::Stuck, &name, trouble.why, REJOIN);
            findings.push(Finding { position: trouble.position, ..finding });
        }
        Ok(())
    }

    fn examine_pairings(&self, findings: &mut Vec<Finding>) -> Result<(), EngineError> {
        for pairing in self.book().pairings()? {
            let needs_tape = super::leaf::terms_of(&self.book().load(pairing)?).is_some();
            let ended = self.is_ended(pairing)?;
            if needs_tape && !ended && self.session.vault().pairing_info(pairing).is_err() {
                let short: String = pairing.to_string().chars().take(8).collect();
                let what = format!("the tape of pairing {short} is gone: it heals nobody");
                let run = format!("pmls pair end {short} --force");
                findings.push(Finding::new(FindingKind::TapeLost, what, run));
            }
        }
        Ok(())
    }

    fn is_ended(&self, pairing: PairingId) -> Result<bool, EngineError> {
        use paired_mls::pairing::PairingState;
        Ok(matches!(self.book().load(pairing)?, PairingState::Ceased(_)))
    }

    async fn examine_service(&mut self, findings: &mut Vec<Finding>) -> Result<(), EngineError> {
        let own = self.session.profile().device.clone();
        match self.client()?.device_view(&own).await {
            Err(error) if error.is_revoked() => {
                let what = "this device was revoked, and comes back with new keys only, which another device of the \
                            user approves; if none is left, add --by-recovery-key --old-devices revoke";
                let run = "pmls recover --new-keys";
                findings.push(Finding::new(FindingKind::Revoked, what, run));
                return Ok(());
            }
            Err(error) if is_unknown(&error) => {
                let what = "the service does not know this device, as after a restored backup";
                let run = "pmls device register";
                findings.push(Finding::new(FindingKind::NotRegistered, what, run));
                return Ok(());
            }
            known => drop(known?),
        }
        let suite = self.session.profile().suite.code_point();
        let counts = self.client()?.count().await?;
        self.store().note_counted(&counts, suite, self.now())?;
        if let Some(counted) = self.store().counted()? {
            let none = counted.once == 0 && counted.last_resort == 0;
            let now = from_sql(seconds(self.now()));
            let end = counted.until.max(self.store().packages_ahead()?);
            let ended = end > 0 && end <= now;
            if self.store().offers()? != Offers::Nothing && (none || ended) {
                let what = match none {
                    true => "the service has no KeyPackage of this device: nobody can add it",
                    false => "the KeyPackages of this device at the service have ended",
                };
                let run = "pmls device publish";
                findings.push(Finding::new(FindingKind::NoKeyPackages, what, run));
            }
        }
        if self.store().lost_welcomes()? > 0 {
            let what = "somebody has added this device to a group by a KeyPackage whose private keys are \
                        gone, as after a restored backup: it cannot enter, and has to be added again";
            findings.push(Finding::new(FindingKind::WelcomeLost, what, "pmls recover"));
        }
        for row in self.store().groups()?.into_iter().filter(|row| row.state.takes_part()) {
            match self.client()?.group(&row.id).await {
                Ok(view) if view.head < row.cursor => findings.push(Finding::of_group(
                    FindingKind::ServiceOlder,
                    &row.name,
                    format!(
                        "the service has {} entries of the log, and this device has read {}: its database \
                         was restored from a backup",
                        view.head, row.cursor
                    ),
                    REJOIN,
                )),
                Ok(_) => {}
                Err(error) if is_unknown(&error) => findings.push(Finding {
                    run: format!("pmls group forget {} --still-in", row.name),
                    ..Finding::of_group(
                        FindingKind::GroupNotAtService,
                        &row.name,
                        "the service does not know the group, or this account is not on its list",
                        "",
                    )
                }),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

fn is_unknown(error: &ClientError) -> bool {
    matches!(
        error.problem(),
        Some(ProblemKind::NotFound | ProblemKind::Forbidden | ProblemKind::UnknownDevice)
    )
}
