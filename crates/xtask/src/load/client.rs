//! A device that commits, over HTTP.

use std::{convert::Infallible, net::SocketAddr, time::SystemTime};

use ed25519_dalek::{Signer as _, SigningKey};
use paired_mls_api::{
    CreateGroup, Envelope, GroupId, PublishCommit, RegisterDevice, RequestKey, RosterChange,
    SignatureScheme, UserId,
};
use paired_mls_client::{ClientError, Publication, Server};

use crate::Failure;

const CONTENT_TYPE_APPLICATION: u8 = 1;
const CONTENT_TYPE_COMMIT: u8 = 3;

/// A registered device.
pub(crate) type Client = paired_mls_client::Client<Key>;

/// Its key.
#[derive(Clone)]
pub(crate) struct Key(SigningKey);

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
    Ok(register_with(address).await?.0)
}

/// The same, with the key that it signs by.
pub(super) async fn register_with(address: SocketAddr) -> Result<(Client, Key), Failure> {
    let server = Server::new(&format!("http://{address}"))?;
    let key = Key(SigningKey::from_bytes(&random()?));
    let client = register_key(key.clone(), |key| Client::new(server, key)).await?;
    Ok((client, key))
}

/// Registers a device with a key of its own, as that of a user of its own.
pub(crate) async fn register_by(
    connect: impl FnOnce(Key) -> Result<Client, ClientError>,
) -> Result<Client, Failure> {
    register_key(Key(SigningKey::from_bytes(&random()?)), connect).await
}

async fn register_key(
    key: Key,
    connect: impl FnOnce(Key) -> Result<Client, ClientError>,
) -> Result<Client, Failure> {
    let user = UserId::new(random::<16>()?)?;
    let signature_key = key.public_key().into();
    let device = RegisterDevice { user, scheme: key.scheme(), signature_key };
    let client = connect(key)?;
    client.register(&device).await?;
    Ok(client)
}

pub(crate) async fn create_group(client: &Client) -> Result<GroupId, Failure> {
    let user = client.device_view(client.device()).await?.user;
    let group = GroupId::of_creator(&user, random()?);
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
pub(crate) async fn commit(client: &Client, group: &GroupId, epoch: u64) -> Result<(), Failure> {
    match client.publish_commit(group, &new_commit(group, epoch)?).await? {
        Publication::Accepted(_) => Ok(()),
        Publication::Lost { epoch } => Err(format!("the group is in epoch {epoch}").into()),
    }
}

/// A commit as the service sees one that is encrypted.
pub(crate) fn new_commit(group: &GroupId, epoch: u64) -> Result<PublishCommit, Failure> {
    let commit = private_message(group, epoch, CONTENT_TYPE_COMMIT)?;
    let mut filled = Ok(());
    let cover = Envelope::cover(&commit, |random| filled = getrandom::fill(random))?;
    filled?;
    Ok(PublishCommit {
        commit: commit.into(),
        account_envelope: cover.into_bytes().into(),
        welcomes: Vec::new(),
        envelopes: Vec::new(),
        group_info: None,
        roster: RosterChange::default(),
    })
}

/// Puts a letter into its own mailbox.
pub(super) async fn write_to_itself(client: &Client) -> Result<(), Failure> {
    let letter = Envelope::seal(&[7; 300])?;
    Ok(client.post(client.device(), &letter).await?)
}

/// Sends an application message.
pub(super) async fn send(client: &Client, group: &GroupId) -> Result<(), Failure> {
    client.publish_message(group, &message(group, 0)?).await?;
    Ok(())
}

/// An application message as the service sees it.
pub(crate) fn message(group: &GroupId, epoch: u64) -> Result<Vec<u8>, Failure> {
    private_message(group, epoch, CONTENT_TYPE_APPLICATION)
}

/// `MLSMessage` of RFC 9420 section 6.3 with random ciphertexts.
fn private_message(group: &GroupId, epoch: u64, content_type: u8) -> Result<Vec<u8>, Failure> {
    let mut message = vec![0, 1, 0, 2];
    // A vector of less than 64 bytes has one byte of length.
    message.push(u8::try_from(group.as_bytes().len())?);
    message.extend_from_slice(group.as_bytes());
    message.extend_from_slice(&epoch.to_be_bytes());
    message.extend_from_slice(&[content_type, 0, 28]);
    message.extend_from_slice(&random::<28>()?);
    message.extend_from_slice(&(0x4000 | 1500_u16).to_be_bytes());
    message.extend_from_slice(&random::<1500>()?);
    Ok(message)
}

/// What time it is, as a signature says it.
pub(super) fn seconds_now() -> Result<u64, Failure> {
    Ok(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs())
}

pub(super) fn random<const N: usize>() -> Result<[u8; N], getrandom::Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}
