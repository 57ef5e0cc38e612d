//! Who may connect.

use std::{
    fmt,
    future::{Ready, ready},
    io,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError, RwLock},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use axum_server::accept::Accept;
use http::Request;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::TcpStream;
use tower::Service;

use super::{
    Carries, Connection, Counted, Times,
    timed::{Opening, Places, Timed},
};
use crate::{
    Limits,
    metrics::{Metrics, Refused},
};

/// Files that are no connections of clients: the database, its journal, logs, the listeners.
const OTHER_FILES: usize = 128;

/// How often it is said that connections are refused.
const SAY: Duration = Duration::from_secs(10);

/// Lets connections in, as many as there may be in all and of each address. A clone is the same gate.
#[derive(Clone)]
pub(crate) struct Gate {
    /// Those of connections that come from now on.
    times: Arc<RwLock<Times>>,
    all: Arc<Counted<()>>,
    of_address: Arc<Counted<IpAddr>>,
    /// Whose connections are not counted by address: they carry those of many.
    proxies: Arc<[IpAddr]>,
    opening: Opening,
    metrics: Arc<Metrics>,
    /// When it was last said that somebody was refused.
    said: Arc<Mutex<Option<Instant>>>,
}

impl Gate {
    pub(crate) fn new(limits: &Limits, proxies: &[IpAddr], metrics: Arc<Metrics>) -> Self {
        Self {
            times: Arc::new(RwLock::new(Times::of(limits))),
            all: Arc::new(Counted::new(most(limits))),
            of_address: Arc::new(Counted::new(limits.connections_per_address)),
            proxies: proxies.iter().map(IpAddr::to_canonical).collect(),
            opening: Opening::Http,
            metrics,
            said: Arc::default(),
        }
    }

    /// The same gate for connections that begin by TLS.
    pub(crate) fn before_tls(self) -> Self {
        Self { opening: Opening::Known, ..self }
    }

    /// From now on, these limits. Connections that are there stay, and keep their times.
    pub(crate) fn set(&self, limits: &Limits) {
        *self.times.write().unwrap_or_else(PoisonError::into_inner) = Times::of(limits);
        self.all.set_most(most(limits));
        self.of_address.set_most(limits.connections_per_address);
    }

    /// Counts a refusal, and says it from time to time.
    fn refuse(&self, refused: Refused, address: IpAddr) -> io::Error {
        self.metrics.refused(refused);
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.is_none_or(|said| said.elapsed() >= SAY) {
            *said = Some(Instant::now());
            tracing::warn!(limit = refused.name(), %address, "connections are refused");
        }
        io::Error::other(refused.name())
    }

    /// The times of its connections.
    pub(crate) fn times(&self) -> Times {
        *self.times.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn places(&self, address: IpAddr) -> Result<(Places, Carries), Refused> {
        let all = self.all.take(&()).ok_or(Refused::Connections)?;
        let address = subscriber_line(address);
        if self.proxies.contains(&address) {
            return Ok((Box::new(all), Carries::Proxy));
        }
        let of_address = self.of_address.take(&address).ok_or(Refused::ConnectionsOfAddress)?;
        Ok((Box::new((all, of_address)), Carries::Client))
    }
}

/// How many connections there may be, with the files that can be open.
fn most(limits: &Limits) -> usize {
    let (wanted, files) = (limits.client_connections, open_files());
    let most = wanted.min(files.saturating_sub(OTHER_FILES).max(1));
    if most < wanted {
        tracing::warn!(wanted, most, files, "fewer connections, since so few files can be open");
    }
    most
}

/// What one line has: an IPv4 address, or the first half of an IPv6 address.
fn subscriber_line(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) if !address.is_loopback() => {
            let network = address.to_bits() & (u128::MAX << 64);
            IpAddr::V6(network.into())
        }
        address => address,
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").finish_non_exhaustive()
    }
}

impl<S> Accept<TcpStream, S> for Gate {
    type Stream = Timed;
    type Service = Noted<S>;
    type Future = Ready<io::Result<(Self::Stream, Self::Service)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let address = match stream.peer_addr() {
            Ok(address) => address.ip(),
            Err(gone) => return ready(Err(gone)),
        };
        // A small answer is not to wait for a larger one. It does without where it is not supported.
        let _supported = stream.set_nodelay(true);
        match self.places(address) {
            Ok((places, carries)) => {
                let connection = Connection::new(self.times(), carries);
                let noted = Noted { service, connection: Arc::clone(&connection) };
                ready(Ok((Timed::new(stream, self.opening, connection, places), noted)))
            }
            Err(refused) => ready(Err(self.refuse(refused, address))),
        }
    }
}

/// Tells each request on which connection it has come.
#[derive(Clone)]
pub(crate) struct Noted<S> {
    service: S,
    connection: Arc<Connection>,
}

impl<S: Service<Request<B>>, B> Service<Request<B>> for Noted<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> S::Future {
        request.extensions_mut().insert(Arc::clone(&self.connection));
        self.service.call(request)
    }
}

/// How many files this process can have open. It takes as many as the system gives it.
pub(crate) fn open_files() -> usize {
    let maximum = getrlimit(Resource::Nofile).maximum;
    // Where that is refused, what there is now counts.
    let _refused = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    let now = getrlimit(Resource::Nofile).current;
    now.map_or(usize::MAX, |files| usize::try_from(files).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_line() {
        let line = |text: &str| subscriber_line(text.parse().unwrap()).to_string();
        assert_eq!(line("192.0.2.7"), "192.0.2.7");
        assert_eq!(line("::ffff:192.0.2.7"), "192.0.2.7");
        assert_eq!(line("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(line("::1"), "::1");
    }
}
