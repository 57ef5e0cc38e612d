//! Somebody with an account at the service and a client of his own.

use openmls_rust_crypto::RustCrypto;
use openmls_traits::{crypto::OpenMlsCrypto as _, types::SignatureScheme as MlsScheme};
use paired_mls::{CipherSuite, pairing::SignatureKeyPair};
use paired_mls_api::{DeviceId, Envelope, RegisterDevice, RequestKey, SignatureScheme, UserId};
use paired_mls_client::{Client, Server};
use paired_mls_openmls::generate_signature_key;
use tokio::runtime::{Builder, Runtime};

/// A key in memory.
pub(crate) struct Key(SignatureKeyPair);

impl RequestKey for Key {
    type Error = std::io::Error;

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::Ed25519
    }

    fn public_key(&self) -> Vec<u8> {
        self.0.public_key.clone()
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Self::Error> {
        let crypto = RustCrypto::default();
        Ok(crypto.sign(MlsScheme::ED25519, message, self.0.private_key.expose()).unwrap())
    }
}

/// A registered stranger.
pub(crate) struct Stranger {
    pub(crate) client: Client<Key>,
    pub(crate) runtime: Runtime,
    pub(crate) user: String,
    /// Private and public.
    pub(crate) key: (Vec<u8>, Vec<u8>),
}

impl Stranger {
    pub(crate) fn new(service: &str, user: &str) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let suite = CipherSuite::X25519Aes128;
        let key = Key(generate_signature_key(&RustCrypto::default(), suite).unwrap());
        let copy = (key.0.private_key.expose().to_vec(), key.public_key());
        let register = RegisterDevice {
            user: UserId::new(user).unwrap(),
            scheme: key.scheme(),
            signature_key: key.public_key().into(),
        };
        let client = Client::new(Server::new(service).unwrap(), key).unwrap();
        runtime.block_on(client.register(&register)).unwrap();
        Self { client, runtime, user: user.to_owned(), key: copy }
    }

    /// Puts something into a mailbox.
    pub(crate) fn post(&self, to: &str, content: &[u8]) {
        let to: DeviceId = to.parse().unwrap();
        let envelope = Envelope::seal(content).unwrap();
        self.runtime.block_on(self.client.post(&to, &envelope)).unwrap();
    }

    /// Claims a KeyPackage of a device.
    pub(crate) fn claim(&self, device: &str) -> Vec<u8> {
        let device: DeviceId = device.parse().unwrap();
        self.runtime.block_on(self.client.claim(&device, 1)).unwrap().unwrap()
    }
}
