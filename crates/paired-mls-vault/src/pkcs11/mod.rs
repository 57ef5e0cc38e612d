//! A PKCS #11 token: records sealed under its keys, its counter, its signature keys.
//!
//! A [`Token`] is one logged-in session, shared by everything that is made from it.

mod counter;
mod error;
mod signer;
mod vault;

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use cryptoki::{
    context::{CInitializeArgs, CInitializeFlags, Pkcs11},
    error::{Error as Failure, RvError},
    object::{Attribute, AttributeType, ObjectHandle},
    session::{Session, UserType},
    types::RawAuthPin,
};
use paired_mls::Secret;

pub use self::{
    counter::TokenCounter,
    error::{TokenError, TokenVaultError},
    signer::{SignatureAlgorithm, TokenSigner},
    vault::TokenVault,
};

/// Modules that are loaded, for as long as the process lives.
///
/// A module is one for the whole process: to unload or finalize it would end the sessions of others.
static MODULES: Mutex<BTreeMap<PathBuf, Pkcs11>> = Mutex::new(BTreeMap::new());

/// A token that is logged in to. Clones share the session.
///
/// # Concurrency
///
/// A token does one thing at a time: calls of several threads wait for each other.
#[derive(Clone)]
pub struct Token {
    label: Arc<str>,
    session: Arc<Mutex<Session>>,
}

impl Token {
    /// Loads the token's library, finds the token with this label and logs in to it.
    ///
    /// # Errors
    ///
    /// [`TokenError::Module`], [`TokenError::NoToken`], [`TokenError::SeveralTokens`],
    /// [`TokenError::WrongPin`] or [`TokenError::PinLocked`].
    ///
    /// # Security
    ///
    /// The library runs in this process and sees the PIN: it must come from who made the token.
    pub fn open(module: impl AsRef<Path>, label: &str, pin: &Secret) -> Result<Self, TokenError> {
        let module = load(module.as_ref())?;
        let slots = module.get_slots_with_token();
        let mut found = None;
        for slot in slots.map_err(TokenError::refused("list its tokens"))? {
            // A token that is broken, or pulled out meanwhile, is not the one that is looked for.
            let Ok(info) = module.get_token_info(slot) else {
                continue;
            };
            let wanted = info.token_initialized() && info.label() == label;
            if wanted && found.replace(slot).is_some() {
                return Err(TokenError::SeveralTokens { label: label.to_owned() });
            }
        }
        let slot = found.ok_or_else(|| TokenError::NoToken { label: label.to_owned() })?;
        let session =
            module.open_rw_session(slot).map_err(TokenError::refused("open a session"))?;
        let pin = RawAuthPin::new(Box::new(pin.expose().to_vec()));
        match session.login_with_raw(UserType::User, &pin) {
            // The login is the process's: another session of it may have done that.
            Ok(()) | Err(Failure::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {}
            Err(Failure::Pkcs11(RvError::PinLocked, _)) => return Err(TokenError::PinLocked),
            Err(Failure::Pkcs11(RvError::PinIncorrect | RvError::PinLenRange, _)) => {
                return Err(TokenError::WrongPin);
            }
            Err(error) => return Err(TokenError::refused("log in")(error)),
        }
        Ok(Self { label: label.into(), session: Arc::new(Mutex::new(session)) })
    }

    /// The label of the token.
    pub fn label(&self) -> &str {
        &self.label
    }

    fn session(&self) -> MutexGuard<'_, Session> {
        // A panic in here leaves at most an operation open, which the next one's start reports.
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("label", &self.label).finish_non_exhaustive()
    }
}

fn load(path: &Path) -> Result<Pkcs11, TokenError> {
    let failed =
        |source: Failure| TokenError::Module { path: path.to_owned(), source: source.into() };
    let mut modules = MODULES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(module) = modules.get(path) {
        return Ok(module.clone());
    }
    let module = Pkcs11::new(path).map_err(failed)?;
    match module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        // By another user of the same library in this process.
        Ok(()) | Err(Failure::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
        Err(error) => return Err(failed(error)),
    }
    modules.insert(path.to_owned(), module.clone());
    Ok(module)
}

fn find(session: &Session, template: &[Attribute]) -> Result<Vec<ObjectHandle>, TokenError> {
    session.find_objects(template).map_err(TokenError::refused("search its objects"))
}

fn attributes(
    session: &Session,
    object: ObjectHandle,
    types: &[AttributeType],
) -> Result<Vec<Attribute>, TokenError> {
    let failed = TokenError::refused("read an object's attributes");
    session.get_attributes(object, types).map_err(failed)
}

fn destroy(session: &Session, object: ObjectHandle) -> Result<(), TokenError> {
    session.destroy_object(object).map_err(TokenError::refused("destroy an object"))
}
