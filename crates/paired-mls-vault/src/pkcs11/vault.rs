//! Records in one file, sealed under keys that never leave the token.
//!
//! ```text
//! store: generation + 1; a new AES key in the token; a new data key, wrapped by it;
//!        the file is replaced; the AES keys of all other generations are destroyed
//! open:  the AES key of the file's generation must be there; all others are destroyed
//! ```
//!
//! A crash before the file is replaced leaves the old file with its key, and one after it the new
//! file with its key: in both cases the other key is destroyed at the next opening.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use cryptoki::{
    error::{Error as Failure, RvError},
    mechanism::{Mechanism, aead::GcmParams},
    object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle},
    session::Session,
};
use paired_mls::{RecordName, Secret, StorageError, VaultStorage};

use super::{Token, TokenError, TokenVaultError, attributes, destroy, find};
use crate::{
    disk::{self, DiskError, Lock},
    format::{
        FormatError, Guard, Header, KEY_LEN, KeySlot, Records, SealedRecords, TokenSlot, random,
        random_key, seal,
    },
};

/// All records in one file, sealed under an AES key in the token that cannot be extracted.
///
/// Every write has an AES key of its own, and the keys before it are destroyed. So an older copy of
/// the file is not only refused: nobody can open it again, not even with the token and its PIN.
///
/// Every write makes a key in the token and destroys one: a matter of milliseconds to a second, and of
/// the token's memory wearing out if it was built for few writes.
///
/// # Security
///
/// Who has the token, its PIN and the file has the records. The PIN is the token's to protect
/// against guessing. A token in software keeps its keys on the disk.
pub struct TokenVault {
    open: Mutex<Open>,
}

struct Open {
    path: PathBuf,
    header: Header,
    token: Token,
    _lock: Lock,
}

impl TokenVault {
    /// Makes an empty vault.
    ///
    /// # Errors
    ///
    /// [`TokenVaultError::Exists`] if there is a file of that name, and whatever the disk or the
    /// token refuses.
    pub fn create(path: impl AsRef<Path>, token: &Token) -> Result<Self, TokenVaultError> {
        let path = disk::resolve(path.as_ref())?;
        let lock = Lock::beside(&path)?;
        if disk::read(&path)?.is_some() {
            return Err(TokenVaultError::Exists { path });
        }
        let slot = KeySlot::Token(TokenSlot { iv: [0; 12], wrapped_key: [0; 48] });
        let header = Header { vault_id: random()?, generation: 0, counter: Guard::None, slot };
        let mut open = Open { path, header, token: token.clone(), _lock: lock };
        open.write(&Records::new())?;
        Ok(Self { open: Mutex::new(open) })
    }

    /// Opens a vault.
    ///
    /// # Errors
    ///
    /// [`TokenVaultError::RolledBack`] if the file is an older copy; [`TokenVaultError::NoKey`] if
    /// it belongs to another token; [`TokenVaultError::Format`] if it is damaged or no vault;
    /// [`TokenVaultError::Missing`]; and whatever the disk or the token refuses.
    pub fn open(path: impl AsRef<Path>, token: &Token) -> Result<Self, TokenVaultError> {
        let path = disk::resolve(path.as_ref())?;
        let lock = Lock::beside(&path)?;
        let missing = || TokenVaultError::Missing { path: path.clone() };
        let sealed = SealedRecords::parse(&disk::read(&path)?.ok_or_else(missing)?)?;
        let header = sealed.header().clone();
        let open = Open { path, header, token: token.clone(), _lock: lock };
        open.open_records(sealed)?;
        open.destroy_other_keys()?;
        Ok(Self { open: Mutex::new(open) })
    }

    /// The number of writes so far, which is not secret.
    pub fn generation(&self) -> u64 {
        self.lock().header.generation
    }

    /// The names of the records, which are not secret.
    ///
    /// # Errors
    ///
    /// Whatever the disk or the token refuses.
    pub fn record_names(&self) -> Result<Vec<String>, TokenVaultError> {
        Ok(self.lock().read()?.into_keys().collect())
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        // A panic leaves no half-made state here: the header follows the file.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn read(&self) -> Result<Records, TokenVaultError> {
        let missing = || TokenVaultError::Missing { path: self.path.clone() };
        let sealed = SealedRecords::parse(&disk::read(&self.path)?.ok_or_else(missing)?)?;
        if sealed.header() != &self.header {
            return Err(TokenVaultError::Changed);
        }
        self.open_records(sealed)
    }

    fn open_records(&self, sealed: SealedRecords) -> Result<Records, TokenVaultError> {
        let KeySlot::Token(slot) = &self.header.slot else {
            return Err(FormatError::OtherKind.into());
        };
        let data_key = {
            let session = self.token.session();
            let (aad, mut iv) = (aad(&self.header), slot.iv);
            let key = self.key(&session)?;
            let opened = session.decrypt(&gcm(&mut iv, &aad)?, key, &slot.wrapped_key);
            Secret::new(opened.map_err(not_opened)?)
        };
        Ok(sealed.open(&data_key)?)
    }

    fn write(&mut self, records: &Records) -> Result<(), TokenVaultError> {
        let mut header = self.header.clone();
        header.generation = header.generation.checked_add(1).ok_or(FormatError::TooLarge)?;
        let data_key = random_key()?;
        header.slot = KeySlot::Token(self.wrap(&header, &data_key)?);
        let file = seal(&header, records, &data_key)?;
        let replaced = disk::replace(&self.path, &file);
        if matches!(replaced, Ok(()) | Err(DiskError::Unsettled { .. })) {
            self.header = header;
        }
        // The old keys go last, and only if the new file stays.
        replaced?;
        self.destroy_other_keys()
    }

    /// Generates the AES key of this generation, and wraps the data key with it.
    fn wrap(&self, header: &Header, data_key: &Secret) -> Result<TokenSlot, TokenVaultError> {
        let session = self.token.session();
        // Of an attempt that failed before: its key sealed nothing that is left.
        for key in find(&session, &template(header, Some(header.generation)))? {
            destroy(&session, key)?;
        }
        let mut fresh = template(header, Some(header.generation));
        fresh.extend([
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Encrypt(true),
            Attribute::Decrypt(true),
            Attribute::ValueLen(KEY_LEN.try_into().map_err(TokenError::refused("count to 32"))?),
        ]);
        let key = session
            .generate_key(&Mechanism::AesKeyGen, &fresh)
            .map_err(TokenError::refused("generate an AES key"))?;
        let (aad, iv) = (aad(header), random::<12>()?);
        // The token may write its own into the buffer.
        let mut used = iv;
        let wrapped = session.encrypt(&gcm(&mut used, &aad)?, key, data_key.expose());
        let wrapped = wrapped.map_err(TokenError::refused("encrypt with AES-GCM"))?;
        let wrapped_key = wrapped.try_into().map_err(|_| TokenVaultError::Forged)?;
        Ok(TokenSlot { iv: used, wrapped_key })
    }

    /// The AES key of the file's generation.
    fn key(&self, session: &Session) -> Result<ObjectHandle, TokenVaultError> {
        let file = self.header.generation;
        if let [key] = find(session, &template(&self.header, Some(file)))?.as_slice() {
            return Ok(*key);
        }
        let newest = self.keys(session)?.into_iter().map(|(generation, _)| generation).max();
        match newest {
            Some(token) if token > file => Err(TokenVaultError::RolledBack { file, token }),
            _ => Err(TokenVaultError::NoKey),
        }
    }

    /// All AES keys of this vault, with their generations.
    fn keys(&self, session: &Session) -> Result<Vec<(u64, ObjectHandle)>, TokenError> {
        let mut keys = Vec::new();
        for object in find(session, &template(&self.header, None))? {
            let found = attributes(session, object, &[AttributeType::Id])?;
            if let Some(Attribute::Id(id)) = found.first()
                && let Ok(generation) = id.as_slice().try_into()
            {
                keys.push((u64::from_be_bytes(generation), object));
            }
        }
        Ok(keys)
    }

    fn destroy_other_keys(&self) -> Result<(), TokenVaultError> {
        let session = self.token.session();
        for (generation, key) in self.keys(&session)? {
            if generation != self.header.generation {
                destroy(&session, key)?;
            }
        }
        Ok(())
    }
}

/// The AES keys of a vault: its identifier is their label, the generation their identifier.
fn template(header: &Header, generation: Option<u64>) -> Vec<Attribute> {
    let id: String = header.vault_id.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut template = vec![
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::AES),
        Attribute::Token(true),
        Attribute::Label(format!("paired-mls vault {id}").into_bytes()),
    ];
    template.extend(generation.map(|generation| Attribute::Id(generation.to_be_bytes().to_vec())));
    template
}

fn aad(header: &Header) -> Vec<u8> {
    [&b"PMLS vault key"[..], &header.vault_id, &header.generation.to_be_bytes()].concat()
}

/// Tells bytes that are not the token's from a token that fails.
fn not_opened(error: Failure) -> TokenVaultError {
    use RvError::{EncryptedDataInvalid, EncryptedDataLenRange, GeneralError};
    match error {
        // The last is what SoftHSM says.
        Failure::Pkcs11(EncryptedDataInvalid | EncryptedDataLenRange | GeneralError, _) => {
            TokenVaultError::Forged
        }
        error => TokenError::refused("decrypt with AES-GCM")(error).into(),
    }
}

fn gcm<'a>(iv: &'a mut [u8], aad: &'a [u8]) -> Result<Mechanism<'a>, TokenError> {
    let parameters = GcmParams::new(iv, aad, 128.into());
    Ok(Mechanism::AesGcm(parameters.map_err(TokenError::refused("take AES-GCM's parameters"))?))
}

impl VaultStorage for TokenVault {
    fn load(&self, name: &RecordName) -> Result<Option<Secret>, StorageError> {
        Ok(self.lock().read()?.remove(&name.to_string()))
    }

    fn store(&self, name: &RecordName, record: &Secret) -> Result<(), StorageError> {
        let mut open = self.lock();
        let mut records = open.read()?;
        records.insert(name.to_string(), Secret::copy_of(record.expose()));
        Ok(open.write(&records)?)
    }

    fn remove(&self, name: &RecordName) -> Result<(), StorageError> {
        let mut open = self.lock();
        let mut records = open.read()?;
        match records.remove(&name.to_string()) {
            Some(_) => Ok(open.write(&records)?),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for TokenVault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let open = self.lock();
        f.debug_struct("TokenVault")
            .field("path", &open.path)
            .field("generation", &open.header.generation)
            .finish_non_exhaustive()
    }
}
