//! The folder of one device, and that one process works with it at a time.

use std::{
    fmt,
    fs::{self, File, OpenOptions, TryLockError},
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use serde::Serialize;

use super::{DeviceFile, SessionError};
use crate::settings::GlobalOptions;

/// A device's folder, which this process has for itself as long as this lives.
///
/// ```text
/// <home>/device.toml   who the device is: public facts
/// <home>/mls.sqlite    the MLS state: what a thief of the device gets
/// <home>/vault         the vault, unless it lies elsewhere
/// <home>/lock          held by the process that works with it, whose number it holds
/// ```
#[derive(Debug)]
pub(crate) struct Home {
    folder: PathBuf,
    _lock: File,
}

/// The process that has a home.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) enum Holder {
    /// This one.
    Process(u32),
    /// One that has not written its number yet.
    Unknown,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process(pid) => write!(f, "process {pid}"),
            Self::Unknown => f.write_str("another process"),
        }
    }
}

impl Home {
    /// Opens a folder in which a device was set up.
    pub(crate) fn open(options: &GlobalOptions) -> Result<Self, SessionError> {
        let folder = &options.home;
        if !folder.join(DEVICE_FILE).is_file() {
            return Err(SessionError::NoDevice { home: folder.to_owned() });
        }
        Self::lock(folder, options.wait)
    }

    /// The public facts of the device in a folder, which another process may have; `None` if there is none.
    pub(crate) fn facts(options: &GlobalOptions) -> Result<Option<DeviceFile>, SessionError> {
        Ok(DeviceFile::read(&options.home.join(DEVICE_FILE))?)
    }

    /// Opens a folder, and makes it where it is missing.
    pub(crate) fn create(options: &GlobalOptions) -> Result<Self, SessionError> {
        let folder = &options.home;
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(folder).map_err(SessionError::home("create", folder))?;
        Self::lock(folder, options.wait)
    }

    /// Waits so long for another process that has it.
    fn lock(folder: &Path, wait: Duration) -> Result<Self, SessionError> {
        let folder = fs::canonicalize(folder).map_err(SessionError::home("open", folder))?;
        only_for_the_owner(&folder)?;
        let path = folder.join("lock");
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut lock = options.open(&path).map_err(SessionError::home("open", &path))?;
        let until = Instant::now() + wait;
        loop {
            match lock.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if Instant::now() < until => thread::sleep(POLL),
                Err(TryLockError::WouldBlock) => {
                    return Err(SessionError::HomeInUse {
                        holder: holder(&mut lock),
                        home: folder,
                    });
                }
                Err(TryLockError::Error(source)) => {
                    return Err(SessionError::home("lock", &path)(source));
                }
            }
        }
        let written = lock.set_len(0).and_then(|()| writeln!(lock, "{}", std::process::id()));
        written.map_err(SessionError::home("write", &path))?;
        Ok(Self { folder, _lock: lock })
    }

    /// The folder, as an absolute path.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The file of the device's public facts.
    pub(crate) fn device_file(&self) -> PathBuf {
        self.folder.join(DEVICE_FILE)
    }

    /// The database of the MLS state.
    pub(crate) fn mls_state(&self) -> PathBuf {
        self.folder.join("mls.sqlite")
    }

    /// The database of the MLS state, and the journal that a death may leave beside it, which must not meet another
    /// database.
    pub(crate) fn mls_state_files(&self) -> [PathBuf; 2] {
        [self.mls_state(), self.folder.join("mls.sqlite-journal")]
    }
}

/// How often it is tried to lock a home that another process has.
const POLL: Duration = Duration::from_millis(20);

const DEVICE_FILE: &str = "device.toml";

fn holder(lock: &mut File) -> Holder {
    let mut text = String::new();
    let pid = lock.read_to_string(&mut text).ok().and_then(|_| text.trim().parse().ok());
    pid.map_or(Holder::Unknown, Holder::Process)
}

/// Others must not be able to enter. A folder that was there before keeps its mode: it may be shared
/// on purpose, and then is no home.
fn only_for_the_owner(folder: &Path) -> Result<(), SessionError> {
    #[cfg(unix)]
    {
        let metadata = fs::metadata(folder).map_err(SessionError::home("inspect", folder))?;
        let mode = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o777;
        if mode & 0o077 != 0 {
            return Err(SessionError::HomeExposed { home: folder.to_owned(), mode });
        }
    }
    Ok(())
}
