//! A device whose MLS state, vault or keys are lost comes back.
//!
//! ```text
//! recovery.json   what is lost, and what is known of it     from now on `pmls recover` goes on, nothing else works
//! the vault       put aside, with its counter and the state  only if the keys are lost
//! device.toml     without its device id                      a vault and a key are made, as by `device init`
//! (the service)   the device is registered, the groups are marked as those to come back into
//! recovery.json   removed                                    `pmls sync` brings the device back by itself
//! ```

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use paired_mls_api::DeviceId;
use paired_mls_vault::{CounterError, SealedError, SealedFile};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    DeviceFile, Home, OpenVault, Opening, Session, SessionError, VaultPlace, device_key, state,
    vault::renew_counter,
};
use crate::settings::GlobalOptions;

/// What is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Lost {
    /// Nothing in the home: whatever cannot go on is taken up anew.
    Nothing,
    /// The MLS state; the vault is there.
    State,
    /// The vault, or it is an older copy: no key of it is used any more.
    Keys,
}

/// How far the recovery of lost keys has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Step {
    Begun,
    PutAside,
}

/// A recovery that was begun.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Recovery {
    pub(crate) lost: Lost,
    step: Step,
    /// The device as it was.
    pub(crate) old: DeviceId,
    pub(crate) known: Known,
}

/// What is remembered beside the MLS state, so that its loss is no loss of the names of groups. Nothing of it
/// is secret from whoever has that state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Known {
    pub(crate) groups: Vec<KnownGroup>,
    pub(crate) pairings: Vec<KnownPairing>,
}

/// A group that the device is in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KnownGroup {
    pub(crate) id: String,
    pub(crate) name: String,
    /// The pairing of the leaf that is shared there.
    pub(crate) pairing: Option<String>,
}

/// A pairing of the device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KnownPairing {
    pub(crate) id: String,
    pub(crate) with: Vec<String>,
}

/// Whether keys are made anew that are not lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keys {
    KeepThem,
    MakeNew,
}

impl Home {
    fn recovery_file(&self) -> PathBuf {
        self.folder().join("recovery.json")
    }

    fn known_file(&self) -> PathBuf {
        self.folder().join("groups.json")
    }

    /// Refuses a home whose MLS state is gone, or whose recovery is not done.
    pub(super) fn require_whole(&self) -> Result<(), SessionError> {
        let home = self.folder().to_owned();
        if self.recovery_file().exists() {
            return Err(SessionError::Recovering { home });
        }
        match self.has_state() {
            true => Ok(()),
            false => Err(SessionError::NoState { home }),
        }
    }

    /// Whether there is an MLS state. An empty file is none: a crash or a full disk may leave one.
    fn has_state(&self) -> bool {
        fs::metadata(self.mls_state()).is_ok_and(|state| state.len() > 0)
    }

    /// Remembers the groups and pairings of the device.
    pub(crate) fn remember(&self, known: &Known) -> Result<(), SessionError> {
        let path = self.known_file();
        // One that cannot be read is written anew.
        if read::<Known>(&path).ok().flatten().as_ref() == Some(known) {
            return Ok(());
        }
        write(&path, known)
    }

    /// The recovery is done.
    pub(crate) fn recovered(&self) -> Result<(), SessionError> {
        let path = self.recovery_file();
        fs::remove_file(&path).map_err(SessionError::home("remove", &path))?;
        sync_folder(self.folder()).map_err(SessionError::home("write", self.folder()))
    }
}

impl Session {
    /// Gives the vault of a home a new counter in the place of one that is lost.
    pub(crate) fn renew_counter(options: &GlobalOptions) -> Result<Arc<SealedFile>, SessionError> {
        let home = Home::open(options)?;
        let path = home.device_file();
        let unfinished = || SessionError::Unfinished { home: home.folder().to_owned() };
        let file = DeviceFile::read(&path)?.ok_or_else(unfinished)?;
        renew_counter(&file.vault.with(options)?, home.folder(), options)
    }

    /// Begins to bring a device back, or goes on with it: afterwards the home has a vault, a key and an MLS
    /// state. The service knows nothing of it yet, and [`Home::recovered`] ends it.
    pub(crate) fn recover(
        options: &GlobalOptions,
        keys: Keys,
    ) -> Result<(Self, Recovery), SessionError> {
        let home = Home::open(options)?;
        let path = home.device_file();
        let unfinished = || SessionError::Unfinished { home: home.folder().to_owned() };
        let mut file = DeviceFile::read(&path)?.ok_or_else(unfinished)?;
        let mut recovery = match read::<Recovery>(&home.recovery_file())? {
            // What was begun without new keys may not lead on: the device is revoked, for instance.
            Some(begun) if keys == Keys::MakeNew && begun.lost != Lost::Keys => {
                let begun = Recovery { lost: Lost::Keys, ..begun };
                write(&home.recovery_file(), &begun)?;
                begun
            }
            Some(begun) => begun,
            None => {
                let old = file.device.clone().ok_or_else(unfinished)?;
                let lost = match keys {
                    Keys::MakeNew => Lost::Keys,
                    Keys::KeepThem => what_is_lost(&home, &file, options)?,
                };
                let known = read(&home.known_file())?.unwrap_or_default();
                let begun = Recovery { lost, step: Step::Begun, old, known };
                write(&home.recovery_file(), &begun)?;
                begun
            }
        };
        if recovery.lost == Lost::State {
            put_useless_state_aside(&home, &recovery.old)?;
        }
        if recovery.lost != Lost::Keys {
            let session = Self::open_in(home, options)?;
            return Ok((session, recovery));
        }
        if recovery.step == Step::Begun {
            put_aside(&home, &file.vault.clone().with(options)?)?;
            file.device = None;
            file.write(&path)?;
            recovery.step = Step::PutAside;
            write(&home.recovery_file(), &recovery)?;
        }
        // It takes the home's lock itself; nobody else gets past the file of the recovery meanwhile.
        drop(home);
        Ok((Self::set_up(options, None)?, recovery))
    }
}

/// What of a home is lost. Whatever else keeps the vault from being opened, a wrong passphrase for instance, is
/// no loss and an error.
pub(crate) fn what_is_lost(
    home: &Home,
    file: &DeviceFile,
    options: &GlobalOptions,
) -> Result<Lost, SessionError> {
    let place = file.vault.clone().with(options)?;
    let opened = match OpenVault::open(&place, home.folder(), options, Opening::Existing) {
        Err(error) if is_loss(&error) => return Ok(Lost::Keys),
        opened => opened?,
    };
    match device_key(&opened, &file.key, file.suite(&home.device_file())?)? {
        None => return Ok(Lost::Keys),
        Some(key) if file.device.as_ref().is_some_and(|device| *device != key.device()) => {
            return Err(SessionError::OtherKey);
        }
        Some(_) => {}
    }
    let Some(device) = file.device.as_ref().filter(|_| home.has_state()) else {
        return Ok(Lost::State);
    };
    match state::open(&home.mls_state(), device) {
        Err(error) if state::is_useless(&error) => Ok(Lost::State),
        opened => opened.map(|_| Lost::Nothing),
    }
}

/// A state that is of no use makes room for a new one.
fn put_useless_state_aside(home: &Home, device: &DeviceId) -> Result<(), SessionError> {
    match state::open(&home.mls_state(), device) {
        Err(error) if state::is_useless(&error) => put_state_aside(home),
        opened => opened.map(drop),
    }
}

/// Whether the vault is gone, or an older copy whose tapes must not be used.
pub(crate) fn is_loss(error: &SessionError) -> bool {
    matches!(
        error,
        SessionError::NoVault { .. }
            | SessionError::NoKey
            | SessionError::Sealed(SealedError::RolledBack { .. })
            | SessionError::Counter(CounterError::Missing { .. } | CounterError::Damaged { .. })
    )
}

/// Whether all that is lost is the counter of the vault, which may be whole.
pub(crate) fn is_counter_lost(error: &SessionError) -> bool {
    matches!(
        error,
        SessionError::Counter(CounterError::Missing { .. } | CounterError::Damaged { .. })
    )
}

/// Nothing is deleted: what is put aside may be of use to somebody who knows why.
pub(super) fn put_aside(home: &Home, place: &VaultPlace) -> Result<(), SessionError> {
    let mut paths = home.mls_state_files().to_vec();
    paths.push(home.folder().join(place.path()));
    if let VaultPlace::Sealed { counter, .. } | VaultPlace::SealedKeyring { counter, .. } = place {
        paths.push(home.folder().join(counter));
    }
    put_all_aside(&paths)
}

/// The same for the MLS state alone.
pub(super) fn put_state_aside(home: &Home) -> Result<(), SessionError> {
    put_all_aside(&home.mls_state_files())
}

fn put_all_aside(paths: &[PathBuf]) -> Result<(), SessionError> {
    paths.iter().filter(|path| path.exists()).try_for_each(|path| put_one_aside(path))
}

/// Moves a file or folder out of the way.
pub(super) fn put_one_aside(path: &Path) -> Result<(), SessionError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let aside = |number: u64| {
        let mut aside = path.to_owned().into_os_string();
        aside.push(format!(".lost-{number}"));
        PathBuf::from(aside)
    };
    let free = (now..).map(aside).find(|aside| !aside.exists());
    fs::rename(path, free.unwrap_or_else(|| aside(now)))
        .map_err(SessionError::home("put aside", path))
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, SessionError> {
    match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(SessionError::home("read", path)(error)),
        Ok(text) => {
            let read = serde_json::from_slice(&text).map_err(io::Error::from);
            read.map(Some).map_err(SessionError::home("read", path))
        }
    }
}

/// Atomically and durably.
fn write(path: &Path, content: &impl Serialize) -> Result<(), SessionError> {
    let new = path.with_extension("json.new");
    let written = || -> io::Result<()> {
        let mut file = fs::File::create(&new)?;
        file.write_all(&serde_json::to_vec(content)?)?;
        file.sync_all()?;
        fs::rename(&new, path)?;
        path.parent().map_or(Ok(()), sync_folder)
    };
    written().map_err(SessionError::home("write", path))
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    fs::File::open(folder)?.sync_all()
}
