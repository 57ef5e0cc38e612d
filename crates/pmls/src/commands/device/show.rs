//! `pmls device show`

use std::{fmt, path::PathBuf};

use paired_mls_api::DeviceId;
use serde::Serialize;
use url::Url;

use crate::{
    failure::Failure,
    output::printable,
    session::{Session, VaultPlace},
    settings::GlobalOptions,
};

/// Who a device is.
#[derive(Serialize)]
pub(crate) struct DeviceReport {
    device: DeviceId,
    user: String,
    name: String,
    suite: u16,
    server: Url,
    home: PathBuf,
    vault: VaultPlace,
}

/// Opens the home, so that what is shown is what works.
pub(super) fn show(options: &GlobalOptions) -> Result<DeviceReport, Failure> {
    Ok(DeviceReport::of(&Session::open(options)?))
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
        writeln!(f, "Server  {}", self.server)?;
        writeln!(f, "Home    {}", self.home.display())?;
        write!(f, "Vault   {}", self.vault)
    }
}
