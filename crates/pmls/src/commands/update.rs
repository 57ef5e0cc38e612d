//! `pmls update`: the commit that heals.

use clap::Args;
use paired_mls::DeviceId;

use super::told;
use crate::{
    engine::{Change, Engine, Report},
    failure::Failure,
    output::Printer,
};

/// Which groups, and how.
#[derive(Args)]
pub(crate) struct UpdateArgs {
    /// The groups; all in which this device is paired, if none is named.
    groups: Vec<String>,
    /// Renew the whole leaf of this device of the pairing, with a KeyPackage that it has made from the
    /// tape by `pmls pair publish`. Others see that it is removed and added again.
    #[arg(long, value_name = "NUMBER")]
    refresh: Option<u16>,
}

pub(super) async fn run(
    args: &UpdateArgs,
    engine: &mut Engine,
    output: Printer<'_>,
) -> Result<(), Failure> {
    let mut report = Report::default();
    let change = match args.refresh {
        Some(number) => Change::Refresh(DeviceId(number)),
        None => Change::Update,
    };
    let groups = match args.groups.is_empty() {
        true => {
            engine.sync(&mut report).await?;
            engine.paired_groups()?
        }
        false => args.groups.clone(),
    };
    if groups.is_empty() {
        return Err(Failure::NothingToUpdate);
    }
    let mut done = Ok(());
    for group in groups {
        done = engine.commit(&group, &change, &mut report).await;
        if done.is_err() {
            break;
        }
    }
    told(engine.outcome(done), &report, output)
}
