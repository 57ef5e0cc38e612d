//! Where a device keeps its MLS state and its vault.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

use openmls_rust_crypto::RustCrypto;
use paired_mls::{Secret, Vault, vault::MemoryStorage};
use paired_mls_openmls::{MemoryProvider, Platform, SqliteProvider};
use paired_mls_vault::{KdfParameters, PlainFile, SealedFile};
use tempfile::TempDir;

use crate::Failure;

/// MLS state and vault of one device, and copies of both as they are now.
pub(crate) trait Place: Sized + 'static {
    type Provider: Platform + 'static;

    /// An empty one.
    fn empty() -> Result<Self, Failure>;

    /// Opens it; once for each place.
    fn open(&self) -> Result<(Self::Provider, Vault), Failure>;

    /// A place of its own with the same content; `provider` is what this one was opened as.
    fn copy(&self, provider: &Self::Provider) -> Result<Self, Failure>;
}

/// The process's memory.
pub(crate) struct Memory {
    records: HashMap<Vec<u8>, Vec<u8>>,
    vault: MemoryStorage,
}

impl Place for Memory {
    type Provider = MemoryProvider<RustCrypto>;

    fn empty() -> Result<Self, Failure> {
        Ok(Self { records: HashMap::new(), vault: MemoryStorage::new() })
    }

    fn open(&self) -> Result<(Self::Provider, Vault), Failure> {
        let provider = MemoryProvider::with_records(RustCrypto::default(), self.records.clone());
        Ok((provider, Vault::new(self.vault.clone())))
    }

    fn copy(&self, provider: &Self::Provider) -> Result<Self, Failure> {
        Ok(Self { records: provider.records(), vault: self.vault.steal() })
    }
}

/// An SQLite file, and a vault of kind `V` beside it.
pub(crate) struct Disk<V> {
    folder: TempDir,
    vault: V,
}

/// A kind of vault on the disk.
pub(crate) trait DiskVault: Copy + Default + 'static {
    fn open(self, path: &Path) -> Result<Vault, Failure>;
}

/// One file for each record, readable by the owner.
#[derive(Clone, Copy, Default)]
pub(crate) struct Plain;

impl DiskVault for Plain {
    fn open(self, path: &Path) -> Result<Vault, Failure> {
        Ok(Vault::new(PlainFile::open(path)?))
    }
}

/// One encrypted file.
#[derive(Clone, Copy, Default)]
pub(crate) struct Sealed;

impl DiskVault for Sealed {
    fn open(self, path: &Path) -> Result<Vault, Failure> {
        // The key derivation is paid once when a device starts, and is no part of any operation here.
        let (key, options) = (Secret::new(vec![7; 32]), SealedFile::at(path.join("sealed")));
        fs::create_dir_all(path)?;
        Ok(Vault::new(match path.join("sealed").exists() {
            true => options.open(&key)?,
            false => options.parameters(KdfParameters::RANDOM_KEY).create(&key)?,
        }))
    }
}

impl<V: DiskVault> Disk<V> {
    fn state(&self) -> PathBuf {
        self.folder.path().join("mls.sqlite")
    }

    fn vault(&self) -> PathBuf {
        self.folder.path().join("vault")
    }
}

impl<V: DiskVault> Place for Disk<V> {
    type Provider = SqliteProvider<RustCrypto>;

    fn empty() -> Result<Self, Failure> {
        Ok(Self { folder: TempDir::with_prefix("paired-mls-bench-")?, vault: V::default() })
    }

    fn open(&self) -> Result<(Self::Provider, Vault), Failure> {
        let provider = SqliteProvider::open(RustCrypto::default(), &self.state())?;
        Ok((provider, self.vault.open(&self.vault())?))
    }

    /// Between two transactions the database is one whole file.
    fn copy(&self, _: &Self::Provider) -> Result<Self, Failure> {
        let copy = Self::empty()?;
        fs::copy(self.state(), copy.state())?;
        fs::create_dir(copy.vault())?;
        set_private(&copy.vault())?;
        for entry in fs::read_dir(self.vault())? {
            let entry = entry?;
            fs::copy(entry.path(), copy.vault().join(entry.file_name()))?;
        }
        Ok(copy)
    }
}

fn set_private(folder: &Path) -> Result<(), Failure> {
    use std::os::unix::fs::PermissionsExt as _;
    Ok(fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?)
}
