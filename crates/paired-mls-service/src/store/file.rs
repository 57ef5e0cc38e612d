//! The file of a SQLite database: nobody but its owner reads it.

use std::{
    fs::{self, File, OpenOptions, Permissions, TryLockError},
    io::{self, Read as _, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    str::FromStr as _,
};

use sqlx::sqlite::SqliteConnectOptions;

use super::{StoreError, error::Holder};

const PRIVATE: u32 = 0o600;

/// Makes the file if it is not there, and takes it from all others if it is. The files that SQLite keeps
/// beside it get the same mode.
pub(super) fn make_private(url: &str) -> Result<(), StoreError> {
    let options = SqliteConnectOptions::from_str(url)?;
    let path = options.get_filename();
    // Of no file, and of one that is there to be read only.
    if path.as_os_str().is_empty() || url.contains(":memory:") || !url.contains("mode=rwc") {
        return Ok(());
    }
    let made = OpenOptions::new().write(true).create_new(true).mode(PRIVATE).open(path);
    match made {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            [path.to_owned(), beside(path, "-wal"), beside(path, "-shm")]
                .iter()
                .for_each(|path| close_to_others(path));
            Ok(())
        }
        Err(source) => Err(StoreError::File { path: path.to_owned(), source }),
    }
}

/// The file that an address names.
pub(super) fn path(url: &str) -> Result<PathBuf, StoreError> {
    Ok(SqliteConnectOptions::from_str(url)?.get_filename().to_owned())
}

fn close_to_others(path: &Path) {
    let Ok(metadata) = fs::metadata(path) else { return };
    let mode = metadata.permissions().mode();
    if mode & 0o077 == 0 {
        return;
    }
    match fs::set_permissions(path, Permissions::from_mode(mode & PRIVATE)) {
        Ok(()) => tracing::warn!(path = %path.display(), "the database was open to others: closed"),
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "the database is open to others")
        }
    }
}

/// A file that SQLite keeps beside the database.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// The lock of a SQLite file, held by the one process that serves it. The kernel gives it up with the
/// process, however that ends; the file that it is on stays.
#[derive(Debug)]
pub(crate) struct FileLock(#[expect(dead_code, reason = "it is held")] File);

impl FileLock {
    /// Takes it; nothing for a database that is no file of SQLite.
    ///
    /// # Errors
    ///
    /// [`StoreError::Served`] if another process holds it.
    pub(crate) fn take(address: &str) -> Result<Option<Self>, StoreError> {
        if !address.starts_with("sqlite:") || address.contains(":memory:") {
            return Ok(None);
        }
        let options = SqliteConnectOptions::from_str(address)?;
        let named = options.get_filename();
        // Whatever name the file is reached by, it has one lock.
        let path = fs::canonicalize(named).unwrap_or_else(|_| named.to_owned());
        let path = beside(&path, "-serve-lock");
        let failed = |source| StoreError::File { path: path.clone(), source };
        let mut open = OpenOptions::new();
        open.read(true).write(true).create(true).truncate(false).mode(PRIVATE);
        let mut file = open.open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // It helps to find the other process, and nothing depends on it.
                let _unknown = file.read_to_string(&mut holder);
                let holder = holder.trim().parse().ok();
                return Err(StoreError::Served { path, by: Holder(holder) });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        let written = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
        // A disk that is full does not keep from serving.
        if let Err(error) = written {
            tracing::debug!(%error, "the lock file does not say who serves");
        }
        Ok(Some(Self(file)))
    }
}
