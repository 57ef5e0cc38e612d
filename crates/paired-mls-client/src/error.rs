//! Why something could not be done.

use std::{error::Error, io};

use paired_mls_api::{Problem, ProblemKind};
use thiserror::Error;

use crate::{Server, ServerError, WrongClock};

type BoxError = Box<dyn Error + Send + Sync>;

/// Why something could not be done, by who has to do something about it. No case holds a part of a
/// message or a key.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The configuration: this cannot be the service.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// The device: its key did not sign.
    #[error("the device's key did not sign the request: open its vault, or plug in its token")]
    Key(#[source] BoxError),
    /// The device: its clock is wrong, so that nobody believes its signatures.
    #[error(transparent)]
    Clock(#[from] WrongClock),
    /// The operating system: it has no randomness.
    #[error("the operating system gives no random numbers: try again later")]
    Randomness(#[source] getrandom::Error),
    /// The network, or the address: no request was sent.
    #[error("{server} cannot be reached: check the address and the network")]
    Unreachable {
        /// The address.
        server: String,
        /// What happened.
        #[source]
        source: BoxError,
    },
    /// Somebody else answers at this address, or the root certificate is not the service's.
    #[error(
        "the certificate of {server} is not trusted: check the address and the root certificate"
    )]
    Untrusted {
        /// The address.
        server: String,
        /// What is wrong with it.
        #[source]
        source: BoxError,
    },
    /// The network: a request was sent, and its answer did not come. It may have taken effect.
    #[error("{server} did not answer: look whether the request took effect, then try again")]
    NoAnswer {
        /// The address.
        server: String,
        /// What happened.
        #[source]
        source: BoxError,
    },
    /// The network or the service: the time that a call may take was over. The request may have taken
    /// effect.
    #[error("{server} has not answered within {seconds} s: try again later, or give it more time")]
    TooSlow {
        /// The address.
        server: String,
        /// How long was waited.
        seconds: u64,
    },
    /// The service, or the proxy in front of it: it does not work now. The request may have taken effect.
    #[error("{server} cannot serve now (status {status}): try again later, or ask its operator")]
    Unavailable {
        /// The address.
        server: String,
        /// 502, 503 or 504.
        status: u16,
        /// After how many seconds it wants to be asked again.
        retry_after: Option<u64>,
    },
    /// The service: what it stores things on is full, read-only or broken, and its operator has to act. If
    /// it is broken, the request may have taken effect.
    #[error("{server} can store nothing now{}", detail.as_ref().map(|it| format!(": {it}")).unwrap_or_default())]
    Storage {
        /// The address.
        server: String,
        /// What the service says of it.
        detail: Option<String>,
        /// After how many seconds it wants to be asked again.
        retry_after: Option<u64>,
    },
    /// The request: the service has looked at it and refused it.
    #[error("{0}")]
    Refused(Box<Problem>),
    /// The address: what answers is no service of Paired MLS, or one of another version.
    #[error("{server} does not answer like the service (status {status}): check the address")]
    NotTheService {
        /// The address.
        server: String,
        /// The status of its answer.
        status: u16,
    },
    /// The service: its answer does not end.
    #[error("the answer has more than {limit} bytes: ask for fewer entries at once")]
    TooLong {
        /// The longest that is read, in bytes.
        limit: usize,
    },
    /// The service: what it has of a log is not what was read from it before. Its database was restored from
    /// an older copy, or somebody has rewritten it.
    #[error(
        "what the service has of the log up to position {after} is not what was read before: its database \
         was restored from a backup, or changed"
    )]
    OtherHistory {
        /// Up to where the log was read.
        after: u64,
        /// Where it ends now, if the service has said so.
        head: Option<u64>,
    },
    /// The service: it has not kept what comes after a position for so long.
    #[error(
        "the service has not kept the log up to position {through}, and it was read up to {after} only"
    )]
    Pruned {
        /// Up to where the log was read.
        after: u64,
        /// The last position that is gone.
        through: u64,
    },
    /// The service: it leaves out entries of a log.
    #[error("the service left out what comes after position {after}: tell its operator")]
    Gap {
        /// The last position that was there.
        after: u64,
        /// The one that came next.
        found: u64,
    },
}

impl ClientError {
    /// The kind of problem, if the service has refused the request for one that this version knows.
    pub fn problem(&self) -> Option<ProblemKind> {
        match self {
            Self::Refused(problem) => problem.known_kind(),
            _ => None,
        }
    }

    /// Whether the service has revoked the device, which never comes back.
    pub fn is_revoked(&self) -> bool {
        matches!(self, Self::Refused(problem) if problem.revoked_at.is_some())
    }

    /// Whether the same may work later without anybody doing something about it.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::NoAnswer { .. }
            | Self::TooSlow { .. }
            | Self::Unavailable { .. }
            | Self::Storage { .. } => true,
            _ => self.problem() == Some(ProblemKind::TooFast),
        }
    }

    /// After how many seconds the service wants to be asked again.
    pub(crate) fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Refused(problem) => problem.retry_after,
            Self::Unavailable { retry_after, .. } | Self::Storage { retry_after, .. } => {
                *retry_after
            }
            _ => None,
        }
    }

    /// What became of a request that got no answer.
    pub(crate) fn no_answer(server: &Server, error: reqwest::Error) -> Self {
        let (server, connecting) = (server.to_string(), error.is_connect());
        let source: BoxError = error.without_url().into();
        match (is_about_certificate(source.as_ref()), connecting) {
            (true, _) => Self::Untrusted { server, source },
            (false, true) => Self::Unreachable { server, source },
            (false, false) => Self::NoAnswer { server, source },
        }
    }
}

fn is_about_certificate(error: &(dyn Error + 'static)) -> bool {
    if let Some(rustls::Error::InvalidCertificate(_)) = error.downcast_ref() {
        return true;
    }
    // An I/O error has what it was made of inside, and not as its source.
    let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    let inner = inner.map(|inner| inner as &(dyn Error + 'static));
    inner.or(error.source()).is_some_and(is_about_certificate)
}
