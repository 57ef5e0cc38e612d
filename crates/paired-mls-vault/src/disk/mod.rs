//! Files that a kill cannot tear: the writing that all back ends share.
//!
//! ```text
//! replace:  write a new file beside the old one, fsync it, rename it over the old one,
//!           fsync the directory, overwrite the bytes of the old one
//! remove:   unlink, fsync the directory, overwrite the bytes
//! ```
//!
//! Up to the rename a kill leaves the old file, from it on the new one. What a kill leaves beside
//! them is removed when the [`Lock`] is taken, which every back end calls before it reads.

mod error;
pub(crate) mod fault;

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Seek as _, Write as _},
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

pub use self::error::DiskError;
use self::fault::step;

/// The longest file that a back end reads, in bytes.
const MAX_LEN: u64 = 1 << 28;

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DiskError {
    move |source| DiskError::Io { action, path: path.to_owned(), source }
}

/// One writer at a time: held as long as this lives, and let go of by the kernel at a kill.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
}

impl Lock {
    /// Takes the lock that lies beside the file, then removes what a killed writer left behind.
    pub(crate) fn beside(path: &Path) -> Result<Self, DiskError> {
        let lock = Self::take(&sibling(path, ".lock")?)?;
        let leftover = sibling(path, ".new")?;
        discard(&leftover).map_err(failed("remove the leftover of a crash,", &leftover))?;
        Ok(lock)
    }

    /// Takes the lock of a directory, then removes what a killed writer left behind.
    pub(crate) fn inside(folder: &Path) -> Result<Self, DiskError> {
        let lock = Self::take(&folder.join(".lock"))?;
        for path in list(folder)? {
            if path.extension().is_some_and(|extension| extension == "new") {
                discard(&path).map_err(failed("remove the leftover of a crash,", &path))?;
            }
        }
        Ok(lock)
    }

    fn take(path: &Path) -> Result<Self, DiskError> {
        let file = private(OpenOptions::new().write(true).create(true).truncate(false))
            .open(path)
            .map_err(failed("open", path))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { file }),
            Err(fs::TryLockError::WouldBlock) => Err(DiskError::InUse { path: path.to_owned() }),
            Err(fs::TryLockError::Error(source)) => Err(failed("lock", path)(source)),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // To close the file is not enough: a process that another thread is just starting has it
        // open too, for a moment. If this fails, closing it still lets go of it soon after.
        let _ = self.file.unlock();
    }
}

/// Makes a directory that only its owner can enter, or checks that one is so.
pub(crate) fn private_folder(path: &Path) -> Result<(), DiskError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(failed("create", path))?;
    #[cfg(unix)]
    {
        let metadata = fs::metadata(path).map_err(failed("inspect", path))?;
        let mode = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o777;
        if mode & 0o077 != 0 {
            return Err(DiskError::Exposed { path: path.to_owned(), mode });
        }
    }
    Ok(())
}

/// The paths of what lies in a directory.
pub(crate) fn list(folder: &Path) -> Result<Vec<PathBuf>, DiskError> {
    let entries = fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    Ok(entries.map_err(failed("list", folder))?.into_iter().map(|entry| entry.path()).collect())
}

/// Reads a file; `None` if there is none.
pub(crate) fn read(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, DiskError> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed("open", path)(error)),
    };
    let len = file.metadata().map_err(failed("inspect", path))?.len();
    if len > MAX_LEN {
        return Err(DiskError::TooLong { path: path.to_owned(), len });
    }
    // Allocated once: a buffer that grows leaves copies of its content behind.
    let mut bytes = Zeroizing::new(vec![0; usize::try_from(len).unwrap_or_default()]);
    file.read_exact(&mut bytes).map_err(failed("read", path))?;
    Ok(Some(bytes))
}

/// Writes a file in place of the one of that name, atomically and durably.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), DiskError> {
    let new = sibling(path, ".new")?;
    let written = write_new(&new, bytes).and_then(|()| {
        let old = open_to_overwrite(path)?;
        step()?;
        fs::rename(&new, path)?;
        Ok(old)
    });
    let old = match written {
        Ok(old) => old,
        Err(source) => {
            // The error to report is the first one; `Lock` removes what cannot be removed now.
            let _ = discard(&new);
            return Err(failed("write", path)(source));
        }
    };
    settle(path)?;
    overwrite(old);
    Ok(())
}

/// Removes a file durably; no error if there is none.
pub(crate) fn remove(path: &Path) -> Result<(), DiskError> {
    let removed = open_to_overwrite(path).and_then(|old| {
        step()?;
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(old),
        }
    });
    let old = removed.map_err(failed("remove", path))?;
    settle(path)?;
    overwrite(old);
    Ok(())
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    discard(path)?;
    step()?;
    let mut file = private(OpenOptions::new().write(true).create_new(true)).open(path)?;
    step()?;
    // In two parts, so that the tests can stop between them.
    let (head, tail) = bytes.split_at(bytes.len() / 2);
    file.write_all(head)?;
    step()?;
    file.write_all(tail)?;
    step()?;
    file.sync_all()
}

/// Makes the directory's new content durable.
fn settle(path: &Path) -> Result<(), DiskError> {
    let sync = || {
        step()?;
        #[cfg(unix)]
        File::open(parent(path))?.sync_all()?;
        step()
    };
    sync().map_err(|source| DiskError::Unsettled { path: path.to_owned(), source })
}

fn open_to_overwrite(path: &Path) -> io::Result<Option<File>> {
    match private(OpenOptions::new().write(true)).open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Overwrites the bytes of a file that has no name any more: as much as can be done from here.
///
/// It does not fail, because nothing that the caller was promised depends on it: media that write
/// elsewhere (flash, copy-on-write file systems) keep the old bytes whatever is done here.
fn overwrite(file: Option<File>) {
    let zeros = |mut file: File| {
        let len = file.metadata()?.len();
        file.rewind()?;
        io::copy(&mut io::repeat(0).take(len), &mut file)?;
        step()?;
        file.sync_data()
    };
    let _ = file.map(zeros);
}

/// Overwrites and removes a file that need not be there.
fn discard(path: &Path) -> io::Result<()> {
    let Some(file) = open_to_overwrite(path)? else {
        return Ok(());
    };
    overwrite(Some(file));
    fs::remove_file(path)
}

/// Files of the owner alone, and never what a symbolic link leads to.
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        let no_follow = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
        options.mode(0o600).custom_flags(no_follow);
    }
    options
}

/// The path with all symbolic links resolved, of a file that need not be there yet.
pub(crate) fn resolve(path: &Path) -> Result<PathBuf, DiskError> {
    if let Ok(resolved) = fs::canonicalize(path) {
        return Ok(resolved);
    }
    let no_file_name = || DiskError::NoFileName { path: path.to_owned() };
    let name = path.file_name().ok_or_else(no_file_name)?;
    let folder = parent(path);
    Ok(fs::canonicalize(folder).map_err(failed("find", folder))?.join(name))
}

/// The path of a file beside this one, with the suffix added to its name.
fn sibling(path: &Path, suffix: &str) -> Result<PathBuf, DiskError> {
    let no_file_name = || DiskError::NoFileName { path: path.to_owned() };
    let mut name = OsString::from(path.file_name().ok_or_else(no_file_name)?);
    name.push(suffix);
    Ok(path.with_file_name(name))
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}
