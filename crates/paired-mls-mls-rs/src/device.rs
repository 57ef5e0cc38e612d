//! One device: what a member of a group needs to act.

use std::{fmt, sync::Arc};

use mls_rs::{CryptoProvider, ExtensionList, time::MlsTime};
use paired_mls::{CipherSuite, Vault, group::credential::CredentialPolicy, wire::Credential};
use paired_mls_group::{Error, ThisDevice, UsageError};

use crate::{Clock, Signer, StateStorage, SystemClock, config::LIFETIME, signer::provider};

/// How a device frames its handshake messages (RFC 9420 section 6). It takes both from others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Handshakes {
    /// As `PublicMessage`: signed, readable for everybody on the way.
    #[default]
    Public,
    /// As `PrivateMessage`.
    Encrypted,
}

/// Who a device is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Who {
    /// The cipher suite of its key, and of its groups.
    pub suite: CipherSuite,
    /// The identity in its basic credential.
    pub identity: Vec<u8>,
    /// Its public signature key.
    pub signature_key: Vec<u8>,
}

/// One device: cryptography and MLS state, signer and identity, the vault, and what it knows of who is who.
pub struct Device<C> {
    crypto: C,
    state: Arc<dyn StateStorage>,
    vault: Vault,
    signer: Arc<dyn Signer>,
    who: Who,
    credentials: Box<dyn CredentialPolicy>,
    clock: Box<dyn Clock>,
    handshakes: Handshakes,
}

impl<C: CryptoProvider + Clone> Device<C> {
    /// Combines the parts. `signer` signs with the key that `who` names; `credentials` says which signature keys
    /// belong to which identity, for every group of this device.
    ///
    /// # Errors
    ///
    /// [`UsageError::CipherSuite`] for a suite that the crypto provider does not know.
    pub fn new(
        crypto: C,
        state: impl StateStorage + 'static,
        vault: Vault,
        signer: impl Signer + 'static,
        who: Who,
        credentials: impl CredentialPolicy + 'static,
    ) -> Result<Self, UsageError> {
        provider(&crypto, who.suite)?;
        let (state, signer) = (Arc::new(state), Arc::new(signer));
        let (credentials, clock) = (Box::new(credentials), Box::new(SystemClock));
        let handshakes = Handshakes::default();
        Ok(Self { crypto, state, vault, signer, who, credentials, clock, handshakes })
    }

    /// The same device with another clock than the system's.
    #[must_use]
    pub fn with_clock(self, clock: impl Clock + 'static) -> Self {
        Self { clock: Box::new(clock), ..self }
    }

    /// The same device, which frames its handshake messages so. Load its groups anew after a change.
    #[must_use]
    pub fn with_handshakes(self, handshakes: Handshakes) -> Self {
        Self { handshakes, ..self }
    }

    /// Makes a KeyPackage, with its private keys in the MLS state; returns its `MLSMessage`. It is valid for 84 days.
    ///
    /// # Errors
    ///
    /// [`Error::Mls`], [`Error::Storage`].
    pub fn key_package(&self) -> Result<Vec<u8>, Error> {
        let (client, handles) = self.client(LIFETIME);
        let (of_package, of_leaf) = (ExtensionList::default(), ExtensionList::default());
        let now = Some(MlsTime::from(self.now()));
        let made = client.generate_key_package_message(of_package, of_leaf, now);
        let message = made.and_then(|made| made.to_bytes());
        let message = message.map_err(Error::mls("make a KeyPackage"))?;
        handles.shelf.keep()?;
        Ok(message)
    }
}

impl<C> Device<C> {
    /// The time, in seconds since 1970.
    pub fn now(&self) -> u64 {
        self.clock.now()
    }

    /// The vault.
    pub fn vault(&self) -> &Vault {
        &self.vault
    }

    /// The cipher suite of its key, and of its groups.
    pub fn suite(&self) -> CipherSuite {
        self.who.suite
    }

    /// The public signature key.
    pub fn signature_key(&self) -> &[u8] {
        &self.who.signature_key
    }

    /// Its credential.
    pub fn credential(&self) -> Credential {
        Credential::basic(self.who.identity.clone())
    }

    /// This device, as the engine needs it.
    pub(crate) fn this(&self) -> ThisDevice<'_, Self> {
        ThisDevice {
            library: self,
            vault: &self.vault,
            credential: self.credential(),
            signature_key: &self.who.signature_key,
            credentials: &*self.credentials,
            now: self.now(),
        }
    }

    pub(crate) fn crypto(&self) -> &C {
        &self.crypto
    }

    pub(crate) fn state(&self) -> &Arc<dyn StateStorage> {
        &self.state
    }

    pub(crate) fn signer(&self) -> Arc<dyn Signer> {
        Arc::clone(&self.signer)
    }

    pub(crate) fn name(&self) -> &[u8] {
        &self.who.identity
    }

    pub(crate) fn handshakes(&self) -> Handshakes {
        self.handshakes
    }
}

impl<C> fmt::Debug for Device<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Device").field("who", &self.who).finish_non_exhaustive()
    }
}
