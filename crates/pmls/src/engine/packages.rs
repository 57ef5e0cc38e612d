//! KeyPackages of this device at the service: published, withdrawn, and made anew before they run out.

use std::time::Duration;

use paired_mls_api::{KeyPackageCount, KeyPackageUpload};
use paired_mls_openmls::{PackageKind, gate_capabilities, openmls::prelude::Capabilities};

use super::{Engine, EngineError, Happening, Report, Store, item::Item, store::seconds};

/// With so few left, more are made.
const LOW: u64 = 5;
/// How many there are then.
const FULL: u64 = 20;
/// How often the service is asked.
const INTERVAL: Duration = Duration::from_secs(60 * 60);

/// Whether this device offers KeyPackages of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offers {
    /// It has never published any, or has withdrawn them.
    Nothing,
    /// Those of any client.
    Plain,
    /// Those that fit into groups with leaves of several signature keys.
    Gated,
}

const OFFERS: &str = "offers";

impl Store<'_> {
    /// What this device offers from now on.
    pub(crate) fn set_offers(&self, offers: Offers) -> Result<(), EngineError> {
        let number = match offers {
            Offers::Nothing => 0,
            Offers::Plain => 1,
            Offers::Gated => 2,
        };
        self.set_cursor(OFFERS, number)
    }

    pub(super) fn offers(&self) -> Result<Offers, EngineError> {
        Ok(match self.cursor(OFFERS)? {
            0 => Offers::Nothing,
            1 => Offers::Plain,
            _ => Offers::Gated,
        })
    }
}

impl Engine {
    /// Makes more KeyPackages where few are left. The service is asked once in an hour, and whenever this
    /// device was added to a group.
    pub(super) async fn replenish(&mut self, report: &mut Report) -> Result<(), EngineError> {
        let offers = self.store().offers()?;
        if offers == Offers::Nothing {
            return Ok(());
        }
        let now = u64::try_from(seconds(self.now())).unwrap_or_default();
        let joined = |event: &Happening| matches!(event, Happening::Joined { .. });
        let due = self
            .store()
            .counted()?
            .map_or(0, |counted| counted.at)
            .saturating_add(INTERVAL.as_secs());
        if now < due && !report.events.iter().any(joined) {
            return Ok(());
        }
        let suite = self.session.profile().suite.code_point();
        let counts = self.client()?.count().await?;
        self.store().note_counted(&counts, suite, self.now())?;
        let count = counts.into_iter().find(|count| count.suite == suite);
        let KeyPackageCount { once: left, last_resort, .. } =
            count.unwrap_or(KeyPackageCount { suite, once: 0, last_resort: 0, later: 0 });
        if left >= LOW {
            return Ok(());
        }
        let capabilities = || match offers {
            Offers::Gated => gate_capabilities(),
            _ => Capabilities::default(),
        };
        let suite = self.ciphersuite()?;
        let make = |kind| self.device().key_package_of(suite, capabilities(), kind);
        let made = FULL.saturating_sub(left);
        self.device().provider().transaction(|| {
            let once = (0..made).map(|_| Ok(make(PackageKind::Once)?.into()));
            let mut upload = KeyPackageUpload {
                key_packages: once.collect::<Result<_, EngineError>>()?,
                last_resort: Vec::new(),
            };
            if last_resort == 0 {
                upload.last_resort.push(make(PackageKind::LastResort)?.into());
            }
            self.store().note_packages_end(&upload)?;
            self.enqueue(&Item::Packages(upload)).map(drop)
        })?;
        self.flush(report).await?;
        let counts = self.client()?.count().await?;
        self.store().note_counted(&counts, suite.into(), self.now())?;
        report.add(Happening::KeyPackages { made, left });
        Ok(())
    }
}
