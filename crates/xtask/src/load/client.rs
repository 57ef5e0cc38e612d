//! A device that commits, over HTTP.

use std::{convert::Infallible, net::SocketAddr, time::SystemTime};

use ed25519_dalek::{Signer as _, SigningKey};
use paired_mls_api::{
    CreateGroup, Envelope, GroupId, JSON, PublishCommit, RegisterDevice, RequestKey, RosterChange,
    SignatureScheme, Target, UserId, path, sign_request,
};
use reqwest::Response;
use serde::Serialize;

use crate::Failure;

/// A registered device.
pub(super) struct Client {
    key: SigningKey,
    http: reqwest::Client,
    authority: String,
}

impl RequestKey for Client {
    type Error = Infallible;

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::Ed25519
    }

    fn public_key(&self) -> Vec<u8> {
        self.key.verifying_key().to_bytes().to_vec()
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Infallible> {
        Ok(self.key.sign(message).to_bytes().to_vec())
    }
}

impl Client {
    pub(super) async fn register(address: SocketAddr) -> Result<Self, Failure> {
        // An error says that there is one already. There is no TLS here.
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let key = SigningKey::from_bytes(&random()?);
        let http = reqwest::Client::new();
        let client = Self { key, http, authority: address.to_string() };
        let user = UserId::new(random::<16>()?)?;
        let signature_key = client.public_key().into();
        let body = RegisterDevice { user, scheme: client.scheme(), signature_key };
        client.post(path::DEVICES, &body).await?;
        Ok(client)
    }

    pub(super) async fn create_group(&self) -> Result<GroupId, Failure> {
        let group = GroupId::new(random::<16>()?)?;
        let body = CreateGroup {
            group: group.clone(),
            epoch: 0,
            access: Default::default(),
            group_info: None,
        };
        self.post(path::GROUPS, &body).await?;
        Ok(group)
    }

    /// Publishes a commit with the length of one in a group of ten thousand.
    pub(super) async fn commit(&self, group: &GroupId, epoch: u64) -> Result<(), Failure> {
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
        self.post(&path::of_group(path::GROUP_COMMITS, group), &body).await?;
        Ok(())
    }

    /// Subscribes to a group, from its beginning.
    pub(super) async fn subscribe(&self, group: &GroupId) -> Result<Response, Failure> {
        self.send("GET", &path::of_group(path::GROUP_EVENTS, group), Vec::new()).await
    }

    async fn post<T: Serialize>(&self, path: &str, body: &T) -> Result<(), Failure> {
        self.send("POST", path, serde_json::to_vec(body)?).await?;
        Ok(())
    }

    async fn send(&self, method: &str, path: &str, body: Vec<u8>) -> Result<Response, Failure> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
        let target = Target { method, authority: &self.authority, path, query: "" };
        let fields = sign_request(self, target, &body, now, &random()?)?;
        let request = self
            .http
            .request(method.parse()?, format!("http://{}{path}", self.authority))
            .header("content-type", JSON)
            .header("content-digest", fields.content_digest)
            .header("signature-input", fields.signature_input)
            .header("signature", fields.signature)
            .body(body);
        Ok(request.send().await?.error_for_status()?)
    }
}

fn random<const N: usize>() -> Result<[u8; N], getrandom::Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}
