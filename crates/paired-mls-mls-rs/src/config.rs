//! How mls-rs is configured for one group of a device.

use std::{sync::Arc, time::Duration};

use mls_rs::{
    Client, CryptoProvider, Group,
    client_builder::{
        BaseConfig, WithCryptoProvider, WithGroupStateStorage, WithIdentityProvider,
        WithKeyPackageRepo, WithMlsRules,
    },
    crypto::SignatureSecretKey,
    identity::{SigningIdentity, basic::BasicCredential},
};
use paired_mls_group::{Error, Membership};

use crate::{
    Device,
    anybody::Anybody,
    rules::{LeftOutRefs, Rules},
    steer::{Slot, SteeredProvider},
    storage::Shelf,
    view::mls_suite,
};

/// How long a KeyPackage is valid, if nothing else is said: 84 days, the longest that members on OpenMLS take.
pub(crate) const LIFETIME: Duration = Duration::from_secs(84 * 24 * 60 * 60);

/// What mls-rs is handed, and stores, in place of the signature key, which stays with the device's signer.
pub const SIGNATURE_KEY_PLACEHOLDER: &[u8] = b"the signature key is not here";

/// The configuration, with a crypto provider `C`.
pub(crate) type Config<C> = WithMlsRules<
    Rules,
    WithCryptoProvider<
        SteeredProvider<C>,
        WithIdentityProvider<
            Anybody,
            WithKeyPackageRepo<Shelf, WithGroupStateStorage<Shelf, BaseConfig>>,
        >,
    >,
>;

/// What a group shares with the copies that mls-rs has: each group has its own.
#[derive(Clone, Debug)]
pub(crate) struct Handles {
    pub(crate) slot: Slot,
    pub(crate) shelf: Shelf,
    pub(crate) left_out: LeftOutRefs,
}

/// A group, as mls-rs holds it, and whether this device is a member.
pub struct MlsState<C: CryptoProvider + Clone> {
    pub(crate) mls: Group<Config<C>>,
    pub(crate) membership: Membership,
    pub(crate) handles: Handles,
}

impl<C: CryptoProvider + Clone> Clone for MlsState<C> {
    fn clone(&self) -> Self {
        Self { mls: self.mls.clone(), membership: self.membership, handles: self.handles.clone() }
    }
}

impl<C: CryptoProvider + Clone> MlsState<C> {
    /// The current epoch; of a group that this device was removed from, the one in which it is no member.
    pub(crate) fn epoch(&self) -> u64 {
        let last = self.mls.current_epoch();
        match self.membership {
            Membership::Stays => last,
            Membership::Removed => last.saturating_add(1),
        }
    }

    /// Makes the state durable, with whatever else was staged.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`].
    pub(crate) fn keep(&mut self) -> Result<(), Error> {
        self.mls.write_to_storage().map_err(Error::storage("store a group"))?;
        if self.membership == Membership::Removed {
            self.handles.shelf.remove_from(self.mls.group_id())?;
        }
        self.handles.shelf.keep()
    }
}

impl<C: CryptoProvider + Clone> Device<C> {
    /// A client for one group or KeyPackage.
    pub(crate) fn client(&self, lifetime: Duration) -> (Client<Config<C>>, Handles) {
        let handles = Handles {
            slot: Slot::default(),
            shelf: Shelf::new(Arc::clone(self.state())),
            left_out: LeftOutRefs::default(),
        };
        let Handles { slot, shelf, left_out } = handles.clone();
        let credential = BasicCredential::new(self.name().to_vec()).into_credential();
        let identity = SigningIdentity::new(credential, self.signature_key().to_vec().into());
        let client = Client::builder()
            .group_state_storage(shelf.clone())
            .key_package_repo(shelf)
            .identity_provider(Anybody)
            .crypto_provider(SteeredProvider::new(self.crypto().clone(), slot, self.signer()))
            .mls_rules(Rules::new(self.handshakes(), left_out))
            .key_package_lifetime(lifetime)
            .signing_identity(
                identity,
                SignatureSecretKey::new_slice(SIGNATURE_KEY_PLACEHOLDER),
                mls_suite(self.suite()),
            )
            .build();
        (client, handles)
    }
}
