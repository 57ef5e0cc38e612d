//! The service and its devices.

use std::{convert::Infallible, net::SocketAddr};

use ed25519_dalek::{Signer as _, SigningKey};
use paired_mls_api::{
    Access, CreateGroup, GroupId, RegisterDevice, RequestKey, SignatureScheme, UserId,
};
use paired_mls_client::{Client, ClientKey, Publication, Server};
use paired_mls_service::{Config, Server as Running, StartError};
use tempfile::TempDir;

use crate::messages::{publish, random};

/// A device's key.
#[derive(Clone)]
pub(crate) struct Key(pub(crate) SigningKey);

impl Key {
    pub(crate) fn new() -> Self {
        Self(SigningKey::from_bytes(&random()))
    }
}

impl RequestKey for Key {
    type Error = Infallible;

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::Ed25519
    }

    fn public_key(&self) -> Vec<u8> {
        self.0.verifying_key().to_bytes().to_vec()
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Infallible> {
        Ok(self.0.sign(message).to_bytes().to_vec())
    }
}

pub(crate) type Device = Client<Key>;

/// A service that runs.
pub(crate) struct Service {
    running: Running,
    config: Config,
    pub(crate) folder: TempDir,
}

/// What a service is started with: no limit of rate.
pub(crate) fn config(folder: &TempDir) -> Config {
    let database = format!("sqlite://{}", folder.path().join("service.db").display());
    let mut config = Config::new(([127, 0, 0, 1], 0).into(), database);
    config.limits.requests_per_second = 10_000;
    config.limits.request_burst = 10_000;
    config
}

impl Service {
    pub(crate) async fn start() -> Self {
        Self::with(|_, _| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Config, &TempDir)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = config(&folder);
        change(&mut config, &folder);
        let running = Running::start(&config).await.unwrap();
        config.listen = running.listening();
        Self { running, config, folder }
    }

    pub(crate) fn listening(&self) -> SocketAddr {
        self.config.listen
    }

    pub(crate) fn address(&self) -> Server {
        plain(self.listening())
    }

    pub(crate) fn stranger(&self) -> Device {
        Client::new(self.address(), Key::new()).unwrap()
    }

    /// The first device of a user, registered.
    pub(crate) async fn device(&self, user: &str) -> Device {
        register(&self.address(), user).await
    }

    pub(crate) async fn stop(self) -> Stopped {
        self.running.stop().await.unwrap();
        Stopped { config: self.config, folder: self.folder }
    }
}

/// A service that can be started again, where it was.
pub(crate) struct Stopped {
    config: Config,
    folder: TempDir,
}

impl Stopped {
    pub(crate) async fn start(self) -> Service {
        let Self { config, folder } = self;
        loop {
            match Running::start(&config).await {
                Ok(running) => return Service { running, config, folder },
                // Another process has the port for a moment.
                Err(StartError::Listen { .. }) => tokio::task::yield_now().await,
                Err(error) => panic!("{error}"),
            }
        }
    }
}

pub(crate) fn plain(address: SocketAddr) -> Server {
    Server::new(&format!("http://{address}")).unwrap()
}

/// A client with a new key, registered as the first device of a user.
pub(crate) async fn register(server: &Server, user: &str) -> Device {
    let key = Key::new();
    let body = registration(&key, user);
    let client = Client::new(server.clone(), key).unwrap();
    client.register(&body).await.unwrap();
    client
}

pub(crate) fn registration(key: &Key, user: &str) -> RegisterDevice {
    RegisterDevice {
        user: UserId::new(user).unwrap(),
        scheme: key.scheme(),
        signature_key: key.public_key().into(),
    }
}

pub(crate) fn creation(group: &GroupId) -> CreateGroup {
    CreateGroup { group: group.clone(), epoch: 0, access: Access::Roster, group_info: None }
}

/// A group of one account.
pub(crate) async fn new_group<K: ClientKey>(client: &Client<K>) -> GroupId {
    let view = client.device_view(client.device()).await.unwrap();
    let group = GroupId::of_creator(&view.user, random());
    client.create_group(&creation(&group)).await.unwrap();
    group
}

/// Commits that win, of the epochs from `first`.
pub(crate) async fn commit(client: &Device, group: &GroupId, epochs: std::ops::Range<u64>) {
    for epoch in epochs {
        let published = client.publish_commit(group, &publish(group, epoch)).await.unwrap();
        assert!(matches!(published, Publication::Accepted(published) if published.epoch == epoch));
    }
}
