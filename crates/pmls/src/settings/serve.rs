//! The settings of a server.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use clap::{ArgMatches, Args, ValueEnum};
use paired_mls_service::{Config, Limits, LogFormat, TlsFiles};
use serde::{Deserialize, Serialize};

use super::{ConfigFile, Effective, Layers, SettingsError};

/// The settings of a server, in one layer: the flags of `pmls serve`, and the table `[serve]` of the
/// configuration file.
#[derive(Args, Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct ServeSettings {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS", env = "PMLS_LISTEN")]
    #[serde(skip_serializing_if = "Option::is_none")]
    listen: Option<SocketAddr>,
    /// `sqlite://FILE`, which is created, or `postgres://…`.
    #[arg(long, value_name = "URL", env = "PMLS_DATABASE", hide_env_values = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    database: Option<String>,
    /// Connections to the database, at most.
    #[arg(long, value_name = "N", env = "PMLS_CONNECTIONS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    connections: Option<u32>,
    /// How long the file of a SQLite database may get [default: as long as the disk takes].
    #[arg(long, value_name = "BYTES", env = "PMLS_DATABASE_BYTES")]
    #[serde(skip_serializing_if = "Option::is_none")]
    database_bytes: Option<u64>,
    /// The certificate chain, in PEM; without one the service speaks plain HTTP, for behind a proxy.
    #[arg(long, value_name = "FILE", env = "PMLS_TLS_CERTIFICATES")]
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_certificates: Option<PathBuf>,
    /// The certificate's private key, in PEM.
    #[arg(long, value_name = "FILE", env = "PMLS_TLS_PRIVATE_KEY")]
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_private_key: Option<PathBuf>,
    /// A name that clients reach this service by, with its port unless that is the default one of the
    /// scheme; may be given more than once. Requests that were signed for another one are refused.
    #[arg(
        long = "authority",
        value_name = "HOST",
        env = "PMLS_AUTHORITIES",
        value_delimiter = ','
    )]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    authorities: Vec<String>,
    /// The address of a proxy in front of this service, whose connections carry those of many clients;
    /// may be given more than once.
    #[arg(long = "proxy", value_name = "ADDRESS", env = "PMLS_PROXIES", value_delimiter = ',')]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    proxies: Vec<IpAddr>,
    /// Where to serve metrics for Prometheus, in the clear [default: not at all].
    #[arg(long, value_name = "ADDRESS", env = "PMLS_METRICS_LISTEN")]
    #[serde(skip_serializing_if = "Option::is_none")]
    metrics_listen: Option<SocketAddr>,
    /// How logs are written, to standard error.
    #[arg(long, value_name = "FORMAT", env = "PMLS_LOG_FORMAT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    log_format: Option<LogForm>,
    /// How much is logged: error, warn, info, debug, trace, or a filter of crates and levels.
    #[arg(long, value_name = "LEVEL", env = "RUST_LOG")]
    #[serde(skip_serializing_if = "Option::is_none")]
    log_level: Option<String>,
    /// How many seconds requests have to end when the server is told to stop.
    #[arg(long, value_name = "SECONDS", env = "PMLS_GRACE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    grace: Option<u64>,
}

/// How logs are written.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
enum LogForm {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl ServeSettings {
    /// The effective values, with where each comes from.
    pub(crate) fn effective(
        &self,
        file: &ConfigFile,
        matches: &ArgMatches,
    ) -> Result<Effective<Self>, SettingsError> {
        let defaults = Self::defaults();
        Layers { defaults: &defaults, file: &file.serve, path: file.path.as_deref(), given: self }
            .effective(matches)
    }

    fn defaults() -> Self {
        let Config { listen, database, connections, grace, .. } =
            Config::new(LISTEN, "sqlite://pmls-service.sqlite");
        Self {
            listen: Some(listen),
            database: Some(database),
            connections: Some(connections),
            log_format: Some(LogForm::Text),
            log_level: Some(LOG_LEVEL.to_owned()),
            grace: Some(grace.as_secs()),
            ..Self::default()
        }
    }

    /// The database, if this layer names one.
    pub(crate) fn database(&self) -> Option<&str> {
        self.database.as_deref()
    }

    /// How logs are written.
    pub(crate) fn log_format(&self) -> LogFormat {
        match self.log_format {
            Some(LogForm::Json) => LogFormat::Json,
            Some(LogForm::Text) | None => LogFormat::Text,
        }
    }

    /// How much is logged.
    pub(crate) fn log_level(&self) -> &str {
        self.log_level.as_deref().unwrap_or(LOG_LEVEL)
    }

    /// What the service is started with.
    pub(crate) fn config(self, limits: Limits) -> Result<Config, SettingsError> {
        let mut config =
            Config::new(self.listen.unwrap_or(LISTEN), self.database.unwrap_or_default());
        config.tls = match (self.tls_certificates, self.tls_private_key) {
            (Some(certificates), Some(private_key)) => Some(TlsFiles { certificates, private_key }),
            (None, None) => None,
            _ => return Err(SettingsError::HalfOfTls),
        };
        config.connections = self.connections.unwrap_or(config.connections);
        config.database_bytes = self.database_bytes;
        config.authorities = self.authorities;
        config.proxies = self.proxies;
        config.metrics_listen = self.metrics_listen;
        config.grace = self.grace.map_or(config.grace, Duration::from_secs);
        config.limits = limits;
        Ok(config)
    }
}

/// What concerns an operator.
const LOG_LEVEL: &str = "info";

const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8420);
