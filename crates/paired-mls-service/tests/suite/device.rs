//! A device that makes signed requests.

use std::convert::Infallible;

use axum::{
    body::Body,
    http::{Request, StatusCode},
    response::Response,
};
use ed25519_dalek::{Signer as _, SigningKey};
use http_body_util::BodyExt as _;
use paired_mls_api::{
    Approval, DeviceId, Fields, GroupId, JSON, MLS_MESSAGE, Problem, ProblemKind, RegisterDevice,
    RequestKey, SignatureScheme, Target, UserId, path, sign_request,
};
use paired_mls_service::Clock as _;
use serde::{Serialize, de::DeserializeOwned};
use tower::ServiceExt as _;

use crate::backend::Replica;

pub(crate) const AUTHORITY: &str = "mls.example";

/// A device with its key.
#[derive(Clone)]
pub(crate) struct Device {
    pub(crate) key: SigningKey,
    pub(crate) user: UserId,
    pub(crate) id: DeviceId,
}

impl RequestKey for Device {
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

/// Fresh random bytes.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).unwrap();
    bytes
}

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) content_type: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) async fn of(response: Response) -> Self {
        let status = response.status();
        let content_type = response.headers().get("content-type");
        let content_type =
            content_type.map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
        let body = response.into_body().collect().await.unwrap().to_bytes().to_vec();
        Self { status, content_type, body }
    }

    #[track_caller]
    pub(crate) fn json<T: DeserializeOwned>(&self, status: u16) -> T {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        serde_json::from_slice(&self.body).unwrap()
    }

    #[track_caller]
    pub(crate) fn done(&self) {
        assert_eq!(self.status, 204, "{}", String::from_utf8_lossy(&self.body));
    }

    /// What kind of problem it is, if it is one.
    pub(crate) fn problem_of(&self) -> Option<ProblemKind> {
        serde_json::from_slice::<Problem>(&self.body).ok()?.known_kind()
    }

    /// The problem, which is of this kind.
    #[track_caller]
    pub(crate) fn problem(&self, kind: ProblemKind) -> Problem {
        let problem: Problem = self.json(kind.status());
        assert_eq!(self.content_type, paired_mls_api::PROBLEM);
        assert_eq!(problem.known_kind(), Some(kind), "{problem}");
        problem
    }
}

impl Device {
    /// A device that nobody knows.
    pub(crate) fn new(user: &str) -> Self {
        let key = SigningKey::from_bytes(&random());
        let public_key = key.verifying_key().to_bytes();
        let id = DeviceId::of_key(SignatureScheme::Ed25519, &public_key);
        Self { key, user: UserId::new(user.as_bytes()).unwrap(), id }
    }

    /// An id for a group of its user.
    pub(crate) fn new_group_id(&self) -> GroupId {
        GroupId::of_creator(&self.user, random())
    }

    /// The first device of a user, registered.
    pub(crate) async fn registered(replica: &Replica, user: &str) -> Self {
        let device = Self::new(user);
        let registered = device.register(replica).await;
        assert_eq!(registered.status, 201, "{}", String::from_utf8_lossy(&registered.body));
        device
    }

    /// A further device of the same user, registered.
    pub(crate) async fn sibling(&self, replica: &Replica) -> Self {
        let key = SigningKey::from_bytes(&random());
        let id = DeviceId::of_key(SignatureScheme::Ed25519, &key.verifying_key().to_bytes());
        let sibling = Self { key, user: self.user.clone(), id };
        self.post(replica, path::APPROVALS, &Approval { device: sibling.id.clone() }).await.done();
        assert_eq!(sibling.register(replica).await.status, 201);
        sibling
    }

    pub(crate) async fn register(&self, replica: &Replica) -> Answer {
        let request = self.register_request(replica.clock.now());
        Answer::of(replica.app.clone().oneshot(request).await.unwrap()).await
    }

    pub(crate) fn register_request(&self, now: u64) -> Request<Body> {
        let signature_key = self.public_key().into();
        let body = RegisterDevice { user: self.user.clone(), scheme: self.scheme(), signature_key };
        self.request(now, "POST", path::DEVICES, JSON, serde_json::to_vec(&body).unwrap())
    }

    pub(crate) async fn get(&self, replica: &Replica, path: &str) -> Answer {
        self.send(replica, "GET", path, "", Vec::new()).await
    }

    pub(crate) async fn delete(&self, replica: &Replica, path: &str) -> Answer {
        self.send(replica, "DELETE", path, "", Vec::new()).await
    }

    pub(crate) async fn post<T: Serialize>(
        &self,
        replica: &Replica,
        path: &str,
        body: &T,
    ) -> Answer {
        self.send(replica, "POST", path, JSON, serde_json::to_vec(body).unwrap()).await
    }

    pub(crate) async fn post_mls(&self, replica: &Replica, path: &str, message: &[u8]) -> Answer {
        self.send(replica, "POST", path, MLS_MESSAGE, message.to_vec()).await
    }

    pub(crate) async fn send(
        &self,
        replica: &Replica,
        method: &str,
        path: &str,
        media_type: &str,
        body: Vec<u8>,
    ) -> Answer {
        let request = self.request(replica.clock.now(), method, path, media_type, body);
        Answer::of(replica.app.clone().oneshot(request).await.unwrap()).await
    }

    /// A signed request.
    pub(crate) fn request(
        &self,
        now: u64,
        method: &str,
        path_and_query: &str,
        media_type: &str,
        body: Vec<u8>,
    ) -> Request<Body> {
        let fields = self.fields(AUTHORITY, now, method, path_and_query, &body);
        let mut request = Request::builder()
            .method(method)
            .uri(path_and_query)
            .header("host", AUTHORITY)
            .header("content-digest", fields.content_digest)
            .header("signature-input", fields.signature_input)
            .header("signature", fields.signature);
        if !media_type.is_empty() {
            request = request.header("content-type", media_type);
        }
        request.body(Body::from(body)).unwrap()
    }

    pub(crate) fn fields(
        &self,
        authority: &str,
        now: u64,
        method: &str,
        path_and_query: &str,
        body: &[u8],
    ) -> Fields {
        let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
        let target = Target { method, authority, path, query };
        sign_request(self, target, body, now, &random()).unwrap()
    }
}
