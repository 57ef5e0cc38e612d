//! KeyPackages of this device at the service: published, withdrawn, and made anew before they run out.

use std::time::Duration;

use paired_mls_api::{KeyPackageCount, KeyPackageUpload};
use paired_mls_openmls::{
    PackageKind, Window, gate_capabilities,
    openmls::prelude::{Capabilities, Lifetime},
};

use super::{
    Engine, EngineError, Happening, Report, Store,
    item::Item,
    store::{from_sql, seconds},
};

/// With fewer left, more are made, however few there were.
const LOW: u64 = 5;
/// How many there are then at least.
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
const STOCK: &str = "packages stock";
const AHEAD: &str = "packages ahead";

/// How many are made for each window of a device that only receives, beside one of the last resort.
const ONCE_AHEAD: u64 = 3;

impl Store<'_> {
    /// What this device offers from now on.
    pub(crate) fn set_offers(&self, offers: Offers) -> Result<(), EngineError> {
        let number = match offers {
            Offers::Nothing => 0,
            Offers::Plain => 1,
            Offers::Gated => 2,
        };
        if offers == Offers::Nothing {
            self.none_ahead()?;
        }
        self.set_cursor(OFFERS, number)
    }

    /// Those that were made ahead are withdrawn.
    pub(super) fn none_ahead(&self) -> Result<(), EngineError> {
        self.set_cursor(AHEAD, 0)
    }

    /// The end of the last window for which there are some at the service; zero if none were made ahead.
    pub(super) fn packages_ahead(&self) -> Result<u64, EngineError> {
        self.cursor(AHEAD)
    }

    /// Remembers how many the service had after an upload: it keeps a quarter of them for own devices and partners.
    pub(crate) fn note_stock(
        &self,
        counts: &[KeyPackageCount],
        suite: u16,
    ) -> Result<(), EngineError> {
        let count = counts.iter().find(|count| count.suite == suite);
        self.set_cursor(STOCK, count.map_or(0, |count| count.once))
    }

    /// With fewer left, more are made: more than the service keeps back, so that others find some.
    fn packages_low(&self) -> Result<u64, EngineError> {
        let stock = match self.cursor(STOCK)? {
            0 => FULL,
            stock => stock,
        };
        Ok((stock / 2).max(LOW))
    }

    pub(crate) fn offers(&self) -> Result<Offers, EngineError> {
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
        let made = match left < self.store().packages_low()? {
            true => FULL.saturating_sub(left).max(FULL / 2),
            false if last_resort > 0 => return Ok(()),
            false => 0,
        };
        let suite = self.ciphersuite()?;
        let make = |kind| self.device().key_package_of(suite, capabilities(offers), kind);
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
        self.store().note_stock(&counts, suite.into())?;
        let made = made.saturating_add(u64::from(last_resort == 0));
        report.add(Happening::KeyPackages { made, left });
        Ok(())
    }

    /// Offers KeyPackages for each window of the next years, if this device only receives and offers any: so that it can
    /// be added to a group when it cannot publish any more. The service gives each out in its time.
    pub(super) async fn publish_ahead(&mut self, report: &mut Report) -> Result<(), EngineError> {
        let offers = self.store().offers()?;
        if offers == Offers::Nothing {
            return Ok(());
        }
        let now = from_sql(seconds(self.now()));
        let ahead = self.store().packages_ahead()?;
        let last = Some(Window::until(ahead)).filter(|_| ahead > 0);
        let windows = Window::ahead(last, now);
        let Some(until) = windows.last().map(|window| window.not_after) else { return Ok(()) };
        let suite = self.ciphersuite()?;
        let mut made = 0_u64;
        self.device().provider().transaction(|| {
            let mut upload = KeyPackageUpload::default();
            for Window { not_before, not_after } in windows {
                let make = |kind| {
                    let lifetime = Lifetime::init(not_before, not_after);
                    self.device().key_package_for(suite, capabilities(offers), kind, lifetime)
                };
                for _ in 0..ONCE_AHEAD {
                    upload.key_packages.push(make(PackageKind::Once)?.into());
                }
                upload.last_resort.push(make(PackageKind::LastResort)?.into());
                made += ONCE_AHEAD + 1;
            }
            self.store().set_cursor(AHEAD, until)?;
            self.enqueue(&Item::Packages(upload)).map(drop)
        })?;
        self.flush(report).await?;
        report.add(Happening::KeyPackagesAhead { made, until });
        Ok(())
    }
}

fn capabilities(offers: Offers) -> Capabilities {
    match offers {
        Offers::Gated => gate_capabilities(),
        _ => Capabilities::default(),
    }
}
