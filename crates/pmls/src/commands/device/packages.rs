//! `pmls device publish` and `withdraw`: KeyPackages, by which others add this device to groups.

use std::{fmt, time::SystemTime};

use clap::Args;
use paired_mls_api::{KeyPackageCount, KeyPackageUpload};
use paired_mls_openmls::{PackageKind, gate_capabilities, openmls::prelude::Capabilities};
use serde::Serialize;

use crate::{
    engine::{Offers, Store},
    failure::Failure,
    session::{Session, mls_suite},
};

/// How many KeyPackages.
#[derive(Args)]
pub(crate) struct PublishArgs {
    /// How many to make; each is for one group.
    #[arg(long, value_name = "N", default_value_t = 20)]
    count: u16,
    /// Make a new one for the last resort, for any number of groups where no other one is left; without this, only where
    /// the service has none.
    #[arg(long)]
    last_resort: bool,
    /// Make them fit for groups with leaves that have several signature keys, too.
    #[arg(long)]
    gated: bool,
}

/// What the service can give out now.
#[derive(Serialize)]
pub(super) struct Published {
    published: usize,
    claimable: Vec<KeyPackageCount>,
}

/// Nothing is given out any more.
#[derive(Serialize)]
pub(super) struct Withdrawn {
    claimable: Vec<KeyPackageCount>,
}

pub(super) async fn publish(args: &PublishArgs, session: &Session) -> Result<Published, Failure> {
    let suite = mls_suite(session.profile().suite)?;
    let capabilities = || if args.gated { gate_capabilities() } else { Capabilities::default() };
    let make = |kind| session.device().key_package_of(suite, capabilities(), kind);
    let once = (0..args.count).map(|_| Ok(make(PackageKind::Once)?.into()));
    let key_packages = once.collect::<Result<Vec<_>, Failure>>()?;
    let store = Store::of(session)?;
    let offers = if args.gated { Offers::Gated } else { Offers::Plain };
    let code_point = session.profile().suite.code_point();
    let mut last_resort = Vec::new();
    // One that was made for other groups would not fit where these do.
    if args.last_resort
        || store.offers()? != offers
        || !session
            .client()?
            .count()
            .await?
            .iter()
            .any(|count| count.suite == code_point && count.last_resort > 0)
    {
        last_resort.push(make(PackageKind::LastResort)?.into());
    }
    let published = key_packages.len().saturating_add(last_resort.len());
    let upload = KeyPackageUpload { key_packages, last_resort };
    session.client()?.upload(&upload).await?;
    store.note_packages_end(&upload)?;
    store.set_offers(offers)?;
    let claimable = session.client()?.count().await?;
    store.note_counted(&claimable, code_point, SystemTime::now())?;
    store.note_stock(&claimable, code_point)?;
    Ok(Published { published, claimable })
}

pub(super) async fn withdraw(session: &Session) -> Result<Withdrawn, Failure> {
    session.client()?.withdraw().await?;
    Store::of(session)?.set_offers(Offers::Nothing)?;
    Ok(Withdrawn { claimable: session.client()?.count().await? })
}

impl fmt::Display for Published {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Published {} KeyPackages.", self.published)?;
        for KeyPackageCount { suite, once, last_resort, later } in &self.claimable {
            write!(
                f,
                "\nThe service has {once} of suite {suite}, and {last_resort} for the last resort."
            )?;
            if *later > 0 {
                write!(f, " The time of {later} begins later.")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Withdrawn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Nobody can add this device to a group until `pmls device publish`.")
    }
}
