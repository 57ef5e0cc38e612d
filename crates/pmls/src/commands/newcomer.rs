//! Users and devices on the command line: `alice`, or `alice/3f2a` for the device whose id begins so.

use clap::Args;
use paired_mls_api::UserId;

use crate::{
    engine::{EngineError, Newcomer},
    failure::Failure,
    output::escape,
};

/// Other users' devices.
#[derive(Args)]
pub(crate) struct Newcomers {
    /// Users, or single devices of users; `pmls device list USER` shows them.
    #[arg(required = true, value_name = "USER[/DEVICE]")]
    users: Vec<String>,
}

impl Newcomers {
    pub(super) fn parse(&self) -> Result<Vec<Newcomer>, Failure> {
        self.users.iter().map(|user| parse(user)).collect()
    }
}

/// Reads one of them.
pub(super) fn parse(text: &str) -> Result<Newcomer, Failure> {
    let parsed = escape::parse(text).ok_or_else(|| EngineError::Escape(text.to_owned()))?;
    let (user, device) = parsed;
    let user = UserId::new(user).map_err(EngineError::from)?;
    Ok(Newcomer { user, device })
}
