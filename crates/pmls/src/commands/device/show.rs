//! `pmls device show`

use std::{fmt, path::PathBuf};

use paired_mls_api::DeviceId;
use serde::Serialize;

use crate::{
    output::printable,
    session::{ServerPlace, Session, VaultPlace},
};

/// Who a device is.
#[derive(Serialize)]
pub(crate) struct DeviceReport {
    device: DeviceId,
    user: String,
    name: String,
    suite: u16,
    server: ServerPlace,
    home: PathBuf,
    vault: VaultPlace,
}

impl DeviceReport {
    pub(crate) fn of(session: &Session) -> Self {
        let profile = session.profile().clone();
        Self {
            device: profile.device,
            user: printable(profile.user.as_bytes()),
            name: profile.name,
            suite: profile.suite.code_point(),
            server: profile.server,
            home: session.home().folder().to_owned(),
            vault: profile.vault,
        }
    }
}

impl fmt::Display for DeviceReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Device  {} ({}'s {})", self.device, self.user, self.name)?;
        writeln!(f, "Suite   {}", self.suite)?;
        writeln!(f, "Server  {}", self.server.url)?;
        writeln!(f, "Home    {}", self.home.display())?;
        write!(f, "Vault   {}", self.vault)
    }
}
