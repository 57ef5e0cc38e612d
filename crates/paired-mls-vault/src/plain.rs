//! A directory with one unprotected file for each record.

use std::path::{Path, PathBuf};

use paired_mls::{RecordName, Secret, StorageError, VaultStorage};
use sha2::{Digest as _, Sha256};

use crate::disk::{self, DiskError, Lock};

/// File names of some file systems end at 255 bytes; `.record.new` must fit as well.
const LONGEST_NAME: usize = 200;

/// Records in the clear, one file each, in a directory that only its owner can enter.
///
/// Writes are atomic and durable, a second process is refused, and the bytes of an overwritten
/// record are overwritten on the medium as far as that is possible.
///
/// ```no_run
/// # use paired_mls::Vault;
/// # use paired_mls_vault::PlainFile;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let vault = Vault::new(PlainFile::open("/run/phone/vault")?);
/// # Ok(())
/// # }
/// ```
///
/// # Security
///
/// It protects against nobody who reads the disk, a backup of it, or the files as the same user or
/// as root. Use it where the directory itself lies on something sealed (an encrypted volume, a
/// memory file system), and [`SealedFile`](crate::SealedFile) elsewhere. An older copy of a record
/// that is put back is not noticed.
#[derive(Debug)]
pub struct PlainFile {
    folder: PathBuf,
    _lock: Lock,
}

impl PlainFile {
    /// Opens the directory, and makes it if it is not there.
    ///
    /// # Errors
    ///
    /// [`DiskError::InUse`] while another `PlainFile` has it open, [`DiskError::Exposed`] if others
    /// than the owner can enter it, and whatever the operating system refuses.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self, DiskError> {
        let folder = folder.as_ref().to_owned();
        disk::private_folder(&folder)?;
        let lock = Lock::inside(&folder)?;
        Ok(Self { folder, _lock: lock })
    }

    /// The names of the records, which are not secret; of a name too long for a file system, its hash.
    ///
    /// # Errors
    ///
    /// [`DiskError::Io`] if the directory cannot be read.
    pub fn record_names(&self) -> Result<Vec<String>, DiskError> {
        let mut names = Vec::new();
        for path in disk::list(&self.folder)? {
            let suffix = path.extension().and_then(|suffix| suffix.to_str());
            if matches!(suffix, Some("record" | "hashed"))
                && let Some(name) = path.file_stem().and_then(|name| name.to_str())
            {
                names.push(name.to_owned());
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// The file of a record. The suffix keeps a hash apart from a name that looks like one.
    fn path(&self, name: &RecordName) -> PathBuf {
        let name = name.to_string();
        let safe = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        let file = if safe && name.len() <= LONGEST_NAME {
            format!("{name}.record")
        } else {
            let hash = Sha256::digest(name.as_bytes());
            hash.iter().map(|byte| format!("{byte:02x}")).chain([".hashed".to_owned()]).collect()
        };
        self.folder.join(file)
    }
}

impl VaultStorage for PlainFile {
    fn load(&self, name: &RecordName) -> Result<Option<Secret>, StorageError> {
        Ok(disk::read(&self.path(name))?.map(|bytes| Secret::copy_of(&bytes)))
    }

    fn store(&self, name: &RecordName, record: &Secret) -> Result<(), StorageError> {
        Ok(disk::replace(&self.path(name), record.expose())?)
    }

    fn remove(&self, name: &RecordName) -> Result<(), StorageError> {
        Ok(disk::remove(&self.path(name))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(id: impl Into<Vec<u8>>) -> RecordName {
        RecordName::Group(id.into())
    }

    fn expose(record: Option<Secret>) -> Option<Vec<u8>> {
        record.map(|record| record.expose().to_vec())
    }

    #[test]
    fn long_names_work_and_do_not_collide() {
        let folder = tempfile::tempdir().unwrap();
        let storage = PlainFile::open(folder.path().join("vault")).unwrap();
        let names = [
            group(vec![1; 1000]),
            group([vec![1; 999], vec![2]].concat()),
            group(vec![1; 97]),
            group(vec![1; 98]),
            group([]),
        ];
        for (number, name) in (0..).zip(&names) {
            storage.store(name, &Secret::new(vec![number])).unwrap();
        }
        for (number, name) in (0..).zip(&names) {
            assert_eq!(expose(storage.load(name).unwrap()), Some(vec![number]), "{name}");
        }
        let listed = storage.record_names().unwrap();
        assert_eq!(listed.len(), names.len(), "{listed:?}");
        assert!(listed.contains(&names[2].to_string()), "{listed:?}");
        storage.remove(&names[0]).unwrap();
        storage.remove(&names[0]).unwrap();
        assert_eq!(expose(storage.load(&names[0]).unwrap()), None);
        assert_eq!(expose(storage.load(&names[1]).unwrap()), Some(vec![1]));
    }

    #[test]
    fn the_names_of_records_are_public() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vault");
        let storage = PlainFile::open(&path).unwrap();
        storage.store(&group(b"work"), &Secret::new(vec![1])).unwrap();
        let named = |entry: std::fs::DirEntry| {
            entry.file_name().to_string_lossy().contains(&group(b"work").to_string())
        };
        let mut entries = std::fs::read_dir(&path).unwrap();
        assert!(entries.any(|entry| named(entry.unwrap())), "with the group's identifier");
    }

    #[test]
    fn a_second_opener_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vault");
        let first = PlainFile::open(&path).unwrap();
        let second = PlainFile::open(&path);
        assert!(matches!(second, Err(DiskError::InUse { .. })), "{second:?}");
        drop(first);
        PlainFile::open(&path).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_gets_in() {
        use std::{
            fs::{self, Permissions},
            os::unix::fs::PermissionsExt as _,
        };
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vault");
        let storage = PlainFile::open(&path).unwrap();
        storage.store(&group(b"g"), &Secret::new(vec![1])).unwrap();
        assert_eq!(mode(&path), 0o700);
        for entry in fs::read_dir(&path).unwrap() {
            assert_eq!(mode(&entry.unwrap().path()), 0o600);
        }
        drop(storage);
        fs::set_permissions(&path, Permissions::from_mode(0o750)).unwrap();
        let refused = PlainFile::open(&path);
        assert!(matches!(refused, Err(DiskError::Exposed { mode: 0o750, .. })), "{refused:?}");
    }

    #[cfg(unix)]
    #[test]
    fn the_bytes_of_an_old_record_are_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let storage = PlainFile::open(folder.path().join("vault")).unwrap();
        let name = group(b"g");
        for action in ["replace", "remove"] {
            storage.store(&name, &Secret::copy_of(b"attack at dawn")).unwrap();
            // A second name for the same bytes: what stays reachable on the medium.
            let witness = folder.path().join(action);
            std::fs::hard_link(storage.path(&name), &witness).unwrap();
            match action {
                "replace" => storage.store(&name, &Secret::copy_of(b"new")).unwrap(),
                _ => storage.remove(&name).unwrap(),
            }
            assert_eq!(std::fs::read(&witness).unwrap(), [0; 14], "{action}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_symbolic_link_in_the_way_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let victim = folder.path().join("victim");
        std::fs::write(&victim, b"precious").unwrap();
        let storage = PlainFile::open(folder.path().join("vault")).unwrap();
        let name = group(b"g");
        let mut new = storage.path(&name).into_os_string();
        new.push(".new");
        std::os::unix::fs::symlink(&victim, &new).unwrap();
        let stored = storage.store(&name, &Secret::new(vec![1]));
        assert!(stored.is_err());
        assert_eq!(std::fs::read(&victim).unwrap(), b"precious");
    }
}
