//! The settings of a device.

use std::{path::PathBuf, time::Duration};

use clap::{ArgMatches, Args};
use etcetera::BaseStrategy as _;
use serde::{Deserialize, Serialize};
use url::Url;

use super::{ConfigFile, Effective, Layers, SettingsError};

/// The settings of a device, in one layer: the flags of every command, and the table `[device]` of the
/// configuration file.
#[derive(Args, Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
#[command(next_help_heading = "Device")]
pub(crate) struct DeviceSettings {
    /// The folder of the device's state [default: the platform's folder for data].
    #[arg(long, global = true, value_name = "DIR", env = "PMLS_HOME", hide_env_values = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    home: Option<PathBuf>,
    /// Where the vault lies [default: in the home].
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        env = "PMLS_VAULT_PATH",
        hide_env_values = true
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    vault_path: Option<PathBuf>,
    /// A file that holds the vault's passphrase or PIN, instead of asking for it.
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "PMLS_PASSPHRASE_FILE",
        hide_env_values = true
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    passphrase_file: Option<PathBuf>,
    /// The service [default: the one that the device was set up with].
    #[arg(long, global = true, value_name = "URL", env = "PMLS_SERVER", hide_env_values = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    server: Option<Url>,
    /// The root certificate of the service, in PEM, where it is none that the system trusts.
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "PMLS_SERVER_ROOT",
        hide_env_values = true
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    server_root: Option<PathBuf>,
    /// Whether the service may be one without TLS on another machine: only on a network that is safe.
    #[arg(
        long,
        global = true,
        value_name = "BOOL",
        env = "PMLS_ALLOW_HTTP",
        hide_env_values = true,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true"
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    allow_http: Option<bool>,
    /// How long the service may take for an answer [default: 30].
    #[arg(
        long,
        global = true,
        value_name = "SECONDS",
        env = "PMLS_TIMEOUT",
        hide_env_values = true,
        value_parser = clap::value_parser!(u64).range(1..=3600)
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout: Option<u64>,
    /// How long to wait for another process that works with the home [default: 5].
    #[arg(
        long,
        global = true,
        value_name = "SECONDS",
        env = "PMLS_LOCK_WAIT",
        hide_env_values = true,
        value_parser = clap::value_parser!(u64).range(0..=86400)
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    lock_wait: Option<u64>,
}

/// How long to wait for another process, in seconds.
const WAIT: u64 = 5;

/// How long the service may take, in seconds.
const TIMEOUT: u64 = 30;

/// What holds for a command that acts as a device.
#[derive(Clone, Debug)]
pub(crate) struct GlobalOptions {
    /// The folder of the device's state.
    pub(crate) home: PathBuf,
    /// Where the vault lies, if not where the device was set up with it.
    pub(crate) vault_path: Option<PathBuf>,
    /// A file that holds the vault's passphrase or PIN.
    pub(crate) passphrase_file: Option<PathBuf>,
    /// The service, if not the one that the device was set up with.
    pub(crate) server: Option<Url>,
    /// Its root certificate.
    pub(crate) server_root: Option<PathBuf>,
    /// Whether it may be one without TLS.
    pub(crate) allow_http: Option<bool>,
    /// How long the service may take for an answer.
    pub(crate) timeout: Duration,
    /// How long to wait for another process that works with the home.
    pub(crate) wait: Duration,
}

impl DeviceSettings {
    /// The effective values, with where each comes from.
    pub(crate) fn effective(
        &self,
        file: &ConfigFile,
        matches: &ArgMatches,
    ) -> Result<Effective<Self>, SettingsError> {
        let home = etcetera::base_strategy::choose_native_strategy()
            .ok()
            .map(|platform| platform.data_dir().join("pmls"));
        let defaults = Self { home, ..Self::default() };
        Layers { defaults: &defaults, file: &file.device, path: file.path.as_deref(), given: self }
            .effective(matches)
    }
}

impl TryFrom<DeviceSettings> for GlobalOptions {
    type Error = SettingsError;

    fn try_from(settings: DeviceSettings) -> Result<Self, SettingsError> {
        let DeviceSettings { home, vault_path, passphrase_file, .. } = settings;
        let DeviceSettings { server, server_root, allow_http, timeout, lock_wait, .. } = settings;
        let wait = Duration::from_secs(lock_wait.unwrap_or(WAIT));
        let timeout = Duration::from_secs(timeout.unwrap_or(TIMEOUT));
        let home = home.ok_or(SettingsError::NoDataFolder)?;
        Ok(Self {
            home,
            vault_path,
            passphrase_file,
            server,
            server_root,
            allow_http,
            timeout,
            wait,
        })
    }
}
