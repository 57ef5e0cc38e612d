//! Who a device is: what `device.toml` says. Nothing in it is secret.

use std::{
    fmt, fs,
    io::{self, Write as _},
    path::{Path, PathBuf, absolute},
};

use paired_mls::CipherSuite;
use paired_mls_api::{DeviceId, IdError, UserId};
use paired_mls_client::{Server, ServerError};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use url::Url;

use super::{NewDevice, SessionError};
use crate::settings::GlobalOptions;

/// The facts of a device that was set up.
#[derive(Clone, Debug)]
pub(crate) struct Profile {
    /// Whose device it is: the identity in its credential.
    pub(crate) user: UserId,
    /// Its id at the service, made from its signature key.
    pub(crate) device: DeviceId,
    /// Its cipher suite.
    pub(crate) suite: CipherSuite,
    /// What its owner calls it.
    pub(crate) name: String,
    /// The service that it uses.
    pub(crate) server: ServerPlace,
    /// Where its vault is.
    pub(crate) vault: VaultPlace,
    /// Where its signature key is.
    pub(crate) key: KeyPlace,
}

/// Where the service is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct ServerPlace {
    /// Its address.
    pub(crate) url: Url,
    /// Its root certificate, where it is none that the system trusts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) root: Option<PathBuf>,
    /// Whether it may be one without TLS.
    #[serde(default, skip_serializing_if = "Transport::is_protected")]
    pub(crate) transport: Transport,
}

/// What a connection to the service has to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Transport {
    /// TLS, or within this machine.
    #[default]
    Protected,
    /// Anything: the network is protected by other means.
    InTheClear,
}

impl Transport {
    fn is_protected(&self) -> bool {
        *self == Self::Protected
    }
}

impl ServerPlace {
    /// The place with what the options say instead.
    pub(crate) fn with(mut self, options: &GlobalOptions) -> Result<Self, SessionError> {
        self.url = options.server.clone().unwrap_or(self.url);
        if let Some(path) = &options.server_root {
            self.root = Some(absolute(path).map_err(SessionError::file("find", path))?);
        }
        self.transport = match options.allow_http {
            Some(true) => Transport::InTheClear,
            Some(false) => Transport::Protected,
            None => self.transport,
        };
        Ok(self)
    }

    /// The service, for a client.
    pub(crate) fn server(&self) -> Result<Server, SessionError> {
        let server = match self.transport {
            Transport::Protected => Server::new(self.url.as_str()),
            Transport::InTheClear => Server::in_the_clear(self.url.as_str()),
        };
        let server = server.map_err(|source| self.failure(source))?;
        let Some(path) = &self.root else {
            return Ok(server);
        };
        let pem = fs::read(path).map_err(SessionError::file("read", path))?;
        server.with_root(&pem).map_err(|source| self.failure(source))
    }

    fn failure(&self, source: ServerError) -> SessionError {
        SessionError::Server { url: self.url.clone(), source }
    }
}

/// Where a vault is, and of which kind. Relative paths begin at the home.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum VaultPlace {
    /// A folder of files in the clear.
    Plain {
        /// The folder.
        path: PathBuf,
    },
    /// A file that is sealed under a passphrase.
    Sealed {
        /// The file.
        path: PathBuf,
        /// The counter that tells an older copy of it.
        counter: PathBuf,
    },
    /// The same; the keyring remembers the passphrase.
    #[serde(rename = "sealed+keyring")]
    SealedKeyring {
        /// The file.
        path: PathBuf,
        /// The counter that tells an older copy of it.
        counter: PathBuf,
    },
    /// A file that is sealed under a PKCS #11 token.
    Pkcs11 {
        /// The file.
        path: PathBuf,
        /// The token's library.
        module: PathBuf,
        /// The token's label.
        token: String,
    },
}

/// Where the device's signature key is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "place", rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum KeyPlace {
    /// A record in the vault.
    Vault,
    /// A key that cannot leave the vault's token.
    Token {
        /// The key's label.
        label: String,
    },
}

/// Why `device.toml` cannot be used.
#[derive(Debug, Error)]
pub(crate) enum ProfileError {
    /// The disk refuses.
    #[error("cannot {action} {path}: {source}; check the disk and the permissions")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// It does not say what it should.
    #[error("{path} is damaged: restore it from a copy; nothing in it is secret. {source}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: Box<toml::de::Error>,
    },
    /// It was written by a later version of this software.
    #[error("{path} has format {version} and this software reads format 1: update it")]
    Version {
        /// The file.
        path: PathBuf,
        /// The format.
        version: u32,
    },
    /// The user's name is too long, or empty.
    #[error("{path} names no user: {source}; restore it from a copy")]
    User {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: IdError,
    },
    /// The suite is none that this software has.
    #[error("{path} names cipher suite {suite}, which this software does not have: update it")]
    Suite {
        /// The file.
        path: PathBuf,
        /// Its code point.
        suite: u16,
    },
}

const VERSION: u32 = 1;

/// What the file holds, from the first moment of `device init` on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeviceFile {
    version: u32,
    /// As text: what the command line takes is text.
    pub(crate) user: String,
    pub(crate) name: String,
    pub(crate) suite: u16,
    pub(crate) server: ServerPlace,
    /// Not there until the device has a signature key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) device: Option<DeviceId>,
    /// Not there once the service knows the device; the files of before do not have it.
    #[serde(default, skip_serializing_if = "Standing::is_known")]
    standing: Standing,
    pub(crate) vault: VaultPlace,
    pub(crate) key: KeyPlace,
}

/// Whether the service has said that it knows the device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Standing {
    /// It never has: nobody counts on this device.
    New,
    /// It has, once.
    #[default]
    Known,
}

impl Standing {
    fn is_known(&self) -> bool {
        *self == Self::Known
    }
}

impl DeviceFile {
    /// Whether this is the device that is wanted.
    pub(super) fn is_of(&self, wanted: &NewDevice) -> bool {
        let wanted = Self::from(wanted.clone());
        Self { device: None, standing: wanted.standing, ..self.clone() } == wanted
    }

    /// Whether nobody but this home knows of the device.
    pub(super) fn is_new(&self) -> bool {
        self.standing == Standing::New
    }

    /// The service has said that it knows the device. Returns whether that is news.
    pub(super) fn is_known_now(&mut self) -> bool {
        std::mem::replace(&mut self.standing, Standing::Known) == Standing::New
    }

    /// Reads the file; `None` if there is none.
    pub(crate) fn read(path: &Path) -> Result<Option<Self>, ProfileError> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed("read", path)(error)),
        };
        let damaged = |source| ProfileError::Damaged { path: path.to_owned(), source };
        // A later format may have fields that this software does not know: the version goes first.
        let versioned: Versioned = toml::from_str(&text).map_err(|error| damaged(error.into()))?;
        if versioned.version != VERSION {
            return Err(ProfileError::Version {
                path: path.to_owned(),
                version: versioned.version,
            });
        }
        Ok(Some(toml::from_str(&text).map_err(|error| damaged(error.into()))?))
    }

    /// Writes the file, atomically and durably.
    pub(crate) fn write(&self, path: &Path) -> Result<(), ProfileError> {
        let body = toml::to_string(self).map_err(io::Error::other);
        let text = body
            .map(|body| format!("# Made by `pmls device init`. Nothing here is secret.\n{body}"));
        let new = path.with_extension("toml.new");
        let write = |text: String| {
            let mut file = fs::File::create(&new)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&new, path)?;
            path.parent().map_or(Ok(()), |folder| fs::File::open(folder)?.sync_all())
        };
        text.and_then(write).map_err(failed("write", path))
    }

    pub(super) fn suite(&self, path: &Path) -> Result<CipherSuite, ProfileError> {
        let unknown = |_| ProfileError::Suite { path: path.to_owned(), suite: self.suite };
        CipherSuite::try_from(self.suite).map_err(unknown)
    }

    /// Whether a device can be made of this.
    pub(super) fn check(&self, path: &Path) -> Result<(), SessionError> {
        self.profile(path)?;
        self.server.server().map(drop)
    }

    /// The device's facts; `None` if it has no signature key yet.
    pub(crate) fn profile(&self, path: &Path) -> Result<Option<Profile>, ProfileError> {
        let at = || path.to_owned();
        let suite = self.suite(path)?;
        let user = UserId::new(self.user.as_bytes())
            .map_err(|source| ProfileError::User { path: at(), source })?;
        Ok(self.device.clone().map(|device| Profile {
            user,
            device,
            suite,
            name: self.name.clone(),
            server: self.server.clone(),
            vault: self.vault.clone(),
            key: self.key.clone(),
        }))
    }
}

impl From<NewDevice> for DeviceFile {
    fn from(wanted: NewDevice) -> Self {
        let NewDevice { user, name, suite, server, vault, key } = wanted;
        let suite = suite.code_point();
        let standing = Standing::New;
        Self { version: VERSION, user, name, suite, server, device: None, standing, vault, key }
    }
}

#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ProfileError {
    move |source| ProfileError::Io { action, path: path.to_owned(), source }
}

impl fmt::Display for VaultPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self {
            Self::Plain { .. } => "plain",
            Self::Sealed { .. } => "sealed",
            Self::SealedKeyring { .. } => "sealed+keyring",
            Self::Pkcs11 { .. } => "pkcs11",
        };
        write!(f, "{kind}, at {}", self.path().display())
    }
}

impl fmt::Display for KeyPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vault => f.write_str("in the vault"),
            Self::Token { label } => write!(f, "in the token, as {label}"),
        }
    }
}
