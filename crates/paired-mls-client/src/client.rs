//! Signed requests, and their answers.

use std::{
    error::Error,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use paired_mls_api::{
    DeviceId, Fields, INCARNATION, PROBLEM, Problem, ProblemKind, RequestKey, SigningError, Target,
    sign_request,
};
use reqwest::{
    Response, StatusCode,
    header::{CONTENT_TYPE, DATE, HeaderMap, RETRY_AFTER},
    redirect::Policy,
};

use tokio::sync::OnceCell;

use crate::{
    ClientError, Server, ServerError, WrongClock,
    answer::{Answer, media_type, printable, text},
    backoff::Backoff,
    clock::Clock,
    request::{Repeat, Request},
};

/// How often a request is made at most.
const ATTEMPTS: u32 = 5;
/// How long a connection may take to be there.
const CONNECT: Duration = Duration::from_secs(10);
/// How long a call may take, unless somebody says otherwise.
const TOTAL: Duration = Duration::from_secs(30);
/// How long nothing may come. The service says something on each subscription every 15 seconds.
const SILENCE: Duration = Duration::from_secs(60);
/// The longest answer that is read, in bytes.
const LONGEST: usize = 64 << 20;

/// A key that a client can sign with: any [`RequestKey`] whose errors can be passed on.
pub trait ClientKey: RequestKey<Error: Into<Box<dyn Error + Send + Sync>>> {}

impl<K: RequestKey<Error: Into<Box<dyn Error + Send + Sync>>>> ClientKey for K {}

/// A device that talks to the service. A clone is the same device, on the same connections.
///
/// Each call is one request, signed with the device's key. One that did not reach the service, or that
/// the service was too busy for, is made again a few times, each time with a new signature and nonce;
/// one whose fate is unknown is made again only if that changes nothing. When the service says that
/// requests come too fast, the next waits for as long as it says.
///
/// The calls run on a tokio runtime with I/O and time. Their futures can be sent to other threads if the
/// key can.
pub struct Client<K> {
    inner: Arc<Inner<K>>,
    /// How long a call may take, with all its repetitions.
    total: Duration,
}

struct Inner<K> {
    server: Server,
    http: reqwest::Client,
    key: K,
    device: DeviceId,
    clock: Clock,
    longest_body: OnceCell<u64>,
    incarnation: Mutex<Incarnation>,
}

/// What is known of the incarnation of the service: it is another one once a backup was restored.
#[derive(Debug, Default)]
struct Incarnation {
    /// The one that requests are for; none for any.
    known: Option<String>,
    /// That of the last answer.
    seen: Option<String>,
}

impl<K> Clone for Client<K> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner), total: self.total }
    }
}

impl<K> fmt::Debug for Client<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { server, device, .. } = &*self.inner;
        f.debug_struct("Client").field("server", server).field("device", device).finish()
    }
}

impl<K: ClientKey> Client<K> {
    /// A client of `server` that signs with `key`, by the clock of the operating system. It does not
    /// connect yet.
    ///
    /// # Errors
    ///
    /// [`ClientError::Server`] if it cannot be found out whom to trust.
    pub fn new(server: Server, key: K) -> Result<Self, ClientError> {
        Self::with_clock(server, key, SystemTime::now)
    }

    /// The same by another clock.
    ///
    /// # Errors
    ///
    /// [`ClientError::Server`] if it cannot be found out whom to trust.
    pub fn with_clock(
        server: Server,
        key: K,
        now: impl Fn() -> SystemTime + Send + Sync + 'static,
    ) -> Result<Self, ClientError> {
        let mut http = reqwest::Client::builder()
            .tls_backend_preconfigured(server.tls()?)
            .connect_timeout(CONNECT)
            .read_timeout(SILENCE)
            // A signature is for one address.
            .redirect(Policy::none());
        if server.is_this_machine() {
            http = http.no_proxy();
        }
        let http = http.build().expect("the TLS of this rustls is known to reqwest");
        let device = DeviceId::of_key(key.scheme(), &key.public_key());
        let clock = Clock::new(now);
        let longest_body = OnceCell::new();
        let incarnation = Mutex::default();
        let inner = Inner { server, http, key, device, clock, longest_body, incarnation };
        let inner = Arc::new(inner);
        Ok(Self { inner, total: TOTAL })
    }

    /// The same client, whose calls take no longer than this, with all repetitions; 30 seconds unless this
    /// is called. Subscriptions go on for ever.
    #[must_use]
    pub fn with_timeout(self, total: Duration) -> Self {
        Self { total, ..self }
    }

    /// The id of the device, which is that of its key.
    pub fn device(&self) -> &DeviceId {
        &self.inner.device
    }

    /// From now on, requests are for this incarnation of the service. A service of another one, since it was
    /// restored from a backup, refuses them by [`ProblemKind::OtherIncarnation`].
    pub fn know_incarnation(&self, incarnation: &str) {
        self.incarnation_now().known = Some(incarnation.to_owned());
    }

    /// The incarnation that requests are for, if somebody has said one.
    pub fn known_incarnation(&self) -> Option<String> {
        self.incarnation_now().known.clone()
    }

    /// The incarnation of the service by its last answer, if it has said one.
    pub fn incarnation(&self) -> Option<String> {
        self.incarnation_now().seen.clone()
    }

    fn incarnation_now(&self) -> MutexGuard<'_, Incarnation> {
        self.inner.incarnation.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a request, and makes it again where that may help and does not harm, until the time is over.
    pub(crate) async fn ask(&self, request: Request) -> Result<Answer, ClientError> {
        self.in_time(async {
            self.fits(&request).await?;
            self.ask_until_answered(&request).await
        })
        .await
    }

    /// The longest body that the service takes, once it is known.
    pub(crate) fn longest_body(&self) -> &OnceCell<u64> {
        &self.inner.longest_body
    }

    /// The same, however long its body is.
    pub(crate) async fn ask_any(&self, request: &Request) -> Result<Answer, ClientError> {
        self.in_time(self.ask_until_answered(request)).await
    }

    async fn in_time(
        &self,
        asking: impl Future<Output = Result<Answer, ClientError>>,
    ) -> Result<Answer, ClientError> {
        tokio::time::timeout(self.total, asking).await.unwrap_or_else(|_| {
            let server = self.inner.server.to_string();
            Err(ClientError::TooSlow { server, seconds: self.total.as_secs() })
        })
    }

    async fn ask_until_answered(&self, request: &Request) -> Result<Answer, ClientError> {
        let mut backoff = Backoff::default();
        loop {
            let error = match self.try_once(request).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            if backoff.failures() + 1 >= ATTEMPTS || !may_repeat(&error, request.repeat) {
                return Err(error);
            }
            backoff.wait(error.retry_after()).await?;
        }
    }

    async fn try_once(&self, request: &Request) -> Result<Answer, ClientError> {
        let response = self.open(request).await?;
        let status = response.status();
        let media_type = media_type(response.headers());
        let body = self.read(response).await?;
        Ok(Answer { server: self.inner.server.to_string(), status, media_type, body })
    }

    /// Makes a request once. Returns the answer with its body still to come, if it was served.
    pub(crate) async fn open(&self, request: &Request) -> Result<Response, ClientError> {
        let Inner { server, http, clock, .. } = &*self.inner;
        let now = clock.now();
        let fields = self.sign(request, now)?;
        let mut sent = http
            .request(request.method.clone(), server.at(&request.path_and_query()))
            .header("content-digest", fields.content_digest)
            .header("signature-input", fields.signature_input)
            .header("signature", fields.signature);
        if !request.media_type.is_empty() {
            sent = sent.header(CONTENT_TYPE, request.media_type);
        }
        if let Some(known) = self.known_incarnation() {
            sent = sent.header(INCARNATION, known);
        }
        let answer = sent.body(request.body.clone()).send().await;
        let answer = answer.map_err(|error| ClientError::no_answer(server, error))?;
        if let Some(seen) = incarnation_of(answer.headers()) {
            self.incarnation_now().seen = Some(seen);
        }
        if answer.status().is_success() { Ok(answer) } else { Err(self.refusal(answer, now).await) }
    }

    fn sign(&self, request: &Request, now: u64) -> Result<Fields, ClientError> {
        let Inner { server, key, .. } = &*self.inner;
        let mut nonce = [0; 24];
        getrandom::fill(&mut nonce).map_err(ClientError::Randomness)?;
        let target = Target {
            method: request.method.as_str(),
            authority: server.authority(),
            path: &request.path,
            query: &request.query,
        };
        let signed = sign_request(key, target, &request.body, now, &nonce);
        signed.map_err(|error| match error {
            SigningError::Key(error) => ClientError::Key(error.into()),
            _ => ServerError::NotAnAddress.into(),
        })
    }

    async fn read(&self, mut response: Response) -> Result<Bytes, ClientError> {
        let mut body = Vec::new();
        loop {
            let chunk = response.chunk().await;
            let chunk = chunk.map_err(|error| ClientError::no_answer(&self.inner.server, error))?;
            let Some(chunk) = chunk else { return Ok(body.into()) };
            if body.len() + chunk.len() > LONGEST {
                return Err(ClientError::TooLong { limit: LONGEST });
            }
            body.extend_from_slice(&chunk);
        }
    }

    /// What an answer says that does not say that all is well.
    async fn refusal(&self, response: Response, now: u64) -> ClientError {
        let status = response.status();
        let headers = response.headers().clone();
        let body = match self.read(response).await {
            Ok(body) => body,
            Err(error) => return error,
        };
        let problem = (media_type(&headers) == PROBLEM)
            .then(|| serde_json::from_slice(&body).ok())
            .flatten()
            .filter(|problem: &Problem| problem.status == status.as_u16());
        let server = self.inner.server.to_string();
        match (status.as_u16(), problem) {
            (status @ 502..=504, problem) => {
                let retry_after = problem.and_then(|problem| problem.retry_after);
                let retry_after = retry_after.or_else(|| text(&headers, RETRY_AFTER)?.parse().ok());
                ClientError::Unavailable { server, status, retry_after }
            }
            (_, Some(problem)) if problem.known_kind() == Some(ProblemKind::Storage) => {
                let problem = printable(problem);
                let Problem { detail, retry_after, .. } = problem;
                ClientError::Storage { server, detail, retry_after }
            }
            (_, Some(problem)) if problem.known_kind() == Some(ProblemKind::NotFresh) => {
                WrongClock::new(now, text(&headers, DATE)).into()
            }
            (_, Some(problem)) => ClientError::Refused(Box::new(printable(problem))),
            // Also from a proxy in front of the service: it is the request, and not the address.
            (413, None) => ClientError::Refused(Box::new(Problem::new(ProblemKind::TooLarge))),
            (status, None) => ClientError::NotTheService { server, status },
        }
    }

    pub(crate) fn not_the_service(&self, status: StatusCode) -> ClientError {
        let server = self.inner.server.to_string();
        ClientError::NotTheService { server, status: status.as_u16() }
    }
}

/// The incarnation that an answer names. What cannot be one is none.
fn incarnation_of(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(INCARNATION)?.to_str().ok()?;
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    ((1..=64).contains(&value.len()) && value.bytes().all(fits)).then(|| value.to_owned())
}

fn may_repeat(error: &ClientError, repeat: Repeat) -> bool {
    match error {
        ClientError::NoAnswer { .. } | ClientError::Unavailable { .. } => {
            repeat == Repeat::Harmless
        }
        // It takes longer than a few attempts until somebody has made room.
        ClientError::Storage { .. } => false,
        // The service has not begun with it.
        error => error.is_transient(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_begun_is_harmless_to_make_again() {
        let server = || "https://ds.example".to_owned();
        let source = || "cut".into();
        let refused = |kind| ClientError::Refused(Box::new(Problem::new(kind)));
        let unavailable =
            ClientError::Unavailable { server: server(), status: 503, retry_after: None };
        let full = ClientError::Storage { server: server(), detail: None, retry_after: None };
        let cases = [
            (ClientError::Unreachable { server: server(), source: source() }, [true, true]),
            (refused(ProblemKind::TooFast), [true, true]),
            (ClientError::NoAnswer { server: server(), source: source() }, [true, false]),
            (unavailable, [true, false]),
            // The same status as TooFast, and nobody makes room by waiting.
            (refused(ProblemKind::Full), [false, false]),
            (ClientError::Untrusted { server: server(), source: source() }, [false, false]),
            // Nobody makes room within a few attempts.
            (full, [false, false]),
        ];
        for (error, expected) in cases {
            let repeated = [Repeat::Harmless, Repeat::NeverBlindly];
            assert_eq!(repeated.map(|repeat| may_repeat(&error, repeat)), expected, "{error:?}");
        }
    }
}
