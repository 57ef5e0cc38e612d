//! The file of a SQLite database: nobody but its owner reads it.

use std::{
    fs::{self, OpenOptions, Permissions},
    io,
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    str::FromStr as _,
};

use sqlx::sqlite::SqliteConnectOptions;

use super::StoreError;

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
