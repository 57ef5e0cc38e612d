//! A service behind something that fails.

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{
        StatusCode,
        header::{CONTENT_TYPE, RETRY_AFTER},
    },
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse as _, Response},
};
use futures_util::stream;
use paired_mls_api::{PROBLEM, Problem, ProblemKind};
use paired_mls_client::Server;
use paired_mls_service::{AppState, SystemClock, app};
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::cast::{config, plain};

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The request is not passed on.
    Unavailable,
    /// This request, and any other within a second, is refused.
    TooFast,
    /// The request is served, and the connection breaks before the answer is complete.
    AnswerLost,
}

/// What will go wrong, and what did.
#[derive(Clone, Default)]
struct Faults {
    to_come: Arc<Mutex<VecDeque<Fault>>>,
    nonces: Arc<Mutex<Vec<String>>>,
    closed_until: Arc<Mutex<Option<Instant>>>,
}

/// A service behind something that fails when it is told to.
pub(crate) struct Faulty {
    pub(crate) server: Server,
    faults: Faults,
    _folder: TempDir,
}

impl Faulty {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let state = AppState::open(&config(&folder), Arc::new(SystemClock)).await.unwrap();
        let faults = Faults::default();
        let app = app(state).layer(from_fn_with_state(faults.clone(), fail));
        Self { server: serve(app).await, faults, _folder: folder }
    }

    /// The next requests fail in this way.
    pub(crate) fn next(&self, faults: impl IntoIterator<Item = Fault>) {
        self.faults.nonces.lock().unwrap().clear();
        self.faults.to_come.lock().unwrap().extend(faults);
    }

    /// How many requests there were since it was told what fails.
    pub(crate) fn attempts(&self) -> usize {
        self.faults.nonces.lock().unwrap().len()
    }

    /// The parameters of the signatures since it was told what fails, one for each request.
    pub(crate) fn seen(&self) -> Vec<String> {
        assert!(self.faults.to_come.lock().unwrap().is_empty(), "a fault did not happen");
        self.faults.nonces.lock().unwrap().clone()
    }
}

async fn fail(State(faults): State<Faults>, request: Request, next: Next) -> Response {
    let signature = request.headers().get("signature-input").unwrap().to_str().unwrap();
    faults.nonces.lock().unwrap().push(signature.to_owned());
    let fault = faults.to_come.lock().unwrap().pop_front();
    if fault == Some(Fault::TooFast) {
        *faults.closed_until.lock().unwrap() = Some(Instant::now() + Duration::from_secs(1));
    }
    let closed = faults.closed_until.lock().unwrap().is_some_and(|until| Instant::now() < until);
    match fault {
        _ if closed => too_fast(),
        Some(Fault::TooFast) => unreachable!("it has closed"),
        None => next.run(request).await,
        Some(Fault::Unavailable) => {
            (StatusCode::BAD_GATEWAY, [(RETRY_AFTER, "0")], "restarting").into_response()
        }
        Some(Fault::AnswerLost) => {
            let mut answer = next.run(request).await;
            assert!(answer.status().is_success());
            // One that has no body could not break in it.
            *answer.status_mut() = StatusCode::OK;
            let broken = stream::iter([Err::<Vec<u8>, _>(io::Error::other("cut"))]);
            answer.map(|_| Body::from_stream(broken))
        }
    }
}

fn too_fast() -> Response {
    let mut problem = Problem::new(ProblemKind::TooFast);
    problem.retry_after = Some(1);
    let body = serde_json::to_vec(&problem).unwrap();
    (StatusCode::TOO_MANY_REQUESTS, [(CONTENT_TYPE, PROBLEM)], body).into_response()
}

/// Serves something that need not be the service.
pub(crate) async fn serve(app: Router) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    plain(address)
}
