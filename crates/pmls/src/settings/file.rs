//! The configuration file.

use std::{fs, io, path::PathBuf};

use clap::Args;
use etcetera::BaseStrategy as _;
use serde::Deserialize;

use super::{DeviceSettings, LimitSettings, ServeSettings, SettingsError};

/// Which configuration file.
#[derive(Args, Clone, Debug)]
pub(crate) struct FileOption {
    /// The configuration file [default: pmls/config.toml in the platform's folder for configuration].
    #[arg(long, global = true, value_name = "FILE", env = "PMLS_CONFIG", hide_env_values = true)]
    config: Option<PathBuf>,
}

/// What the configuration file says. A key that is none is an error.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ConfigFile {
    /// Where it was read from; `None` if there is no such file.
    #[serde(skip)]
    pub(crate) path: Option<PathBuf>,
    /// The settings of a device.
    pub(crate) device: DeviceSettings,
    /// The settings of a server.
    pub(crate) serve: ServeSettings,
    /// The limits of a server.
    pub(crate) limits: LimitSettings,
}

impl FileOption {
    /// Reads the file. One that was asked for has to be there.
    pub(crate) fn read(&self) -> Result<ConfigFile, SettingsError> {
        let usual = || {
            let platform = etcetera::base_strategy::choose_native_strategy().ok()?;
            Some(platform.config_dir().join("pmls").join("config.toml"))
        };
        let Some(path) = self.config.clone().or_else(usual) else {
            return Ok(ConfigFile::default());
        };
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.config.is_none() => {
                return Ok(ConfigFile::default());
            }
            Err(source) => return Err(SettingsError::Read { path, source }),
        };
        match toml::from_str::<ConfigFile>(&text) {
            Ok(file) => Ok(ConfigFile { path: Some(path), ..file }),
            Err(source) => Err(SettingsError::Parse { path, source: Box::new(source) }),
        }
    }
}
