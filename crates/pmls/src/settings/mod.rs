//! Settings: defaults, then the configuration file, then the environment, then the command line. The
//! later one wins, and each value remembers where it came from.

mod device;
mod file;
mod layers;
mod limits;
mod serve;

use std::{io, path::PathBuf};

use thiserror::Error;

pub(crate) use self::{
    device::{DeviceSettings, GlobalOptions},
    file::{ConfigFile, FileOption},
    layers::{Effective, Layers, Origin},
    limits::LimitSettings,
    serve::ServeSettings,
};

/// Why the settings cannot be used. To blame is whoever has written them.
#[derive(Debug, Error)]
pub(crate) enum SettingsError {
    /// The configuration file cannot be read.
    #[error("cannot read the configuration file {path}: {source}; correct --config")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// The configuration file says something that is no setting.
    #[error("the configuration file {path} cannot be used: {source}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where, and what is wrong.
        source: Box<toml::de::Error>,
    },
    /// The environment says something that is no setting.
    #[error(transparent)]
    Environment(#[from] clap::Error),
    /// A certificate without its key, or a key without its certificate.
    #[error("TLS needs --tls-certificates and --tls-private-key: give both, or neither")]
    HalfOfTls,
    /// The platform says no folder for the user's data.
    #[error("this platform names no folder for data: give one with --home")]
    NoDataFolder,
    /// A value could not be taken from one layer to the next.
    #[error("a setting cannot be read")]
    Value(#[from] serde_json::Error),
}
