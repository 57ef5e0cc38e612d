//! A device that commits, over HTTP.

use std::{convert::Infallible, net::SocketAddr};

use ed25519_dalek::{Signer as _, SigningKey};
use paired_mls_api::{
    CreateGroup, Envelope, GroupId, PublishCommit, RegisterDevice, RequestKey, RosterChange,
    SignatureScheme, UserId,
};
use paired_mls_client::{Publication, Server};

use crate::Failure;

/// A registered device.
pub(super) type Client = paired_mls_client::Client<Key>;

/// Its key.
pub(super) struct Key(SigningKey);

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

pub(super) async fn register(address: SocketAddr) -> Result<Client, Failure> {
    let key = Key(SigningKey::from_bytes(&random()?));
    let user = UserId::new(random::<16>()?)?;
    let signature_key = key.public_key().into();
    let device = RegisterDevice { user, scheme: key.scheme(), signature_key };
    let client = Client::new(Server::new(&format!("http://{address}"))?, key)?;
    client.register(&device).await?;
    Ok(client)
}

pub(super) async fn create_group(client: &Client) -> Result<GroupId, Failure> {
    let group = GroupId::new(random::<16>()?)?;
    let body = CreateGroup {
        group: group.clone(),
        epoch: 0,
        access: Default::default(),
        group_info: None,
    };
    client.create_group(&body).await?;
    Ok(group)
}

/// Publishes a commit with the length of one in a group of ten thousand.
pub(super) async fn commit(client: &Client, group: &GroupId, epoch: u64) -> Result<(), Failure> {
    let mut commit = vec![0, 1, 0, 2, 16];
    commit.extend_from_slice(group.as_bytes());
    commit.extend_from_slice(&epoch.to_be_bytes());
    commit.extend_from_slice(&[3, 0, 28]);
    commit.extend_from_slice(&random::<28>()?);
    commit.extend_from_slice(&(0x4000 | 1500_u16).to_be_bytes());
    commit.extend_from_slice(&random::<1500>()?);
    let mut filled = Ok(());
    let cover = Envelope::cover(&commit, |random| filled = getrandom::fill(random))?;
    filled?;
    let body = PublishCommit {
        commit: commit.into(),
        account_envelope: cover.into_bytes().into(),
        welcomes: Vec::new(),
        envelopes: Vec::new(),
        group_info: None,
        roster: RosterChange::default(),
    };
    match client.publish_commit(group, &body).await? {
        Publication::Accepted(_) => Ok(()),
        Publication::Lost { epoch } => Err(format!("the group is in epoch {epoch}").into()),
    }
}

fn random<const N: usize>() -> Result<[u8; N], getrandom::Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}
