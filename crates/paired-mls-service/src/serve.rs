//! The service on sockets.

use std::{
    fmt, io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use axum::Router;
use axum_server::{
    Handle,
    tls_rustls::{RustlsAcceptor, RustlsConfig},
};
use hyper_util::{rt::TokioExecutor, server::conn::auto::Builder};
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    task::JoinSet,
    time::timeout,
};

use crate::{
    AppState, Config, Limits, StartError, SystemClock, TlsFiles, app,
    edge::Gate,
    metrics_app,
    store::{FileLock, Store},
};

/// A server that runs. Dropping it ends it at once; [`Server::stop`] lets requests end first.
///
/// ```no_run
/// # use std::convert::Infallible;
/// # use paired_mls_service::{Config, Server, Signals, StartError};
/// # async fn example() -> Result<(), StartError> {
/// let config = Config::new(([127, 0, 0, 1], 8420).into(), "sqlite://service.db");
/// let mut signals = Signals::listen()?;
/// let server = Server::start(&config).await?;
/// println!("serving at {}", server.listening());
/// // When it is told to reload, it asks what to go on with.
/// server.serve_until(&mut signals, || Ok::<_, Infallible>(config.clone())).await
/// # }
/// ```
#[derive(Debug)]
pub struct Server {
    state: AppState,
    config: Config,
    listening: SocketAddr,
    metrics: Option<SocketAddr>,
    tls: Option<RustlsConfig>,
    gate: Gate,
    handle: Handle<SocketAddr>,
    tasks: JoinSet<io::Result<()>>,
    /// The last to go.
    _lock: Option<FileLock>,
}

/// SIGINT, SIGTERM and SIGHUP, which from now on do not end the process by themselves.
#[derive(Debug)]
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

/// What a process is told by a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Stop,
    Reload,
}

impl Signals {
    /// Listens to them. Whoever announces that it serves does so before: it may be told to stop at once.
    ///
    /// # Errors
    ///
    /// [`StartError::Serve`] if the operating system refuses.
    pub fn listen() -> Result<Self, StartError> {
        let listen = |kind| signal(kind).map_err(StartError::Serve);
        let (interrupt, terminate) =
            (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
        Ok(Self { interrupt, terminate, hangup: listen(SignalKind::hangup())? })
    }

    /// Returns when the process is told to stop.
    pub async fn stop(&mut self) {
        tokio::select! { _ = self.interrupt.recv() => {}, _ = self.terminate.recv() => {} }
    }

    async fn told(&mut self) -> Told {
        tokio::select! {
            _ = self.interrupt.recv() => Told::Stop,
            _ = self.terminate.recv() => Told::Stop,
            _ = self.hangup.recv() => Told::Reload,
        }
    }
}

impl Server {
    /// Starts to serve.
    ///
    /// # Errors
    ///
    /// [`StartError`] if it cannot.
    pub async fn start(config: &Config) -> Result<Self, StartError> {
        config.limits.check()?;
        let tls = config.tls.as_ref().map(tls).transpose().map_err(StartError::Tls)?;
        let tls = tls.map(RustlsConfig::from_config);
        let lock = FileLock::take(&config.database)?;
        let state = AppState::open(config, Arc::new(SystemClock)).await?;
        let (listener, listening) = listen(config.listen)?;
        let handle = Handle::new();
        let mut tasks = JoinSet::new();
        let gate = Gate::new(&config.limits, &config.proxies, Arc::clone(&state.metrics));
        let front = Front { listener, tls: tls.clone(), gate: gate.clone() };
        front.spawn(&mut tasks, handle.clone(), app(state.clone()))?;
        let mut metrics = None;
        if let Some(address) = config.metrics_listen {
            let (listener, address) = listen(address)?;
            let limits = Limits { client_connections: SCRAPERS, ..config.limits };
            let gate = Gate::new(&limits, &[], Arc::clone(&state.metrics));
            let front = Front { listener, tls: None, gate };
            front.spawn(&mut tasks, handle.clone(), metrics_app(state.clone()))?;
            metrics = Some(address);
        }
        let config = config.clone();
        Ok(Self { state, config, listening, metrics, tls, gate, handle, tasks, _lock: lock })
    }

    /// Checks what [`Self::reload`] would take over.
    ///
    /// # Errors
    ///
    /// [`StartError`] if nobody could serve with it.
    pub fn check(config: &Config) -> Result<(), StartError> {
        config.limits.check()?;
        config.tls.as_ref().map(tls).transpose().map_err(StartError::Tls)?;
        Ok(())
    }

    /// Takes over the limits, the certificate and the time of grace of another configuration; connections that
    /// are there go on as they are. Returns the names of the settings that differ, too, but hold from the
    /// next start on only.
    ///
    /// # Errors
    ///
    /// [`StartError`] if the server could not serve with it. Then all is as it was.
    pub fn reload(&mut self, config: &Config) -> Result<Vec<&'static str>, StartError> {
        config.limits.check()?;
        let certificate = match (&self.tls, &config.tls) {
            (Some(_), Some(files)) => Some(tls(files).map_err(StartError::Tls)?),
            _ => None,
        };
        if let (Some(tls), Some(certificate)) = (&self.tls, certificate) {
            tls.reload_from_config(certificate);
            self.config.tls.clone_from(&config.tls);
        }
        self.state.set_limits(&config.limits);
        self.gate.set(&config.limits);
        (self.config.limits, self.config.grace) = (config.limits, config.grace);
        Ok(self.config.differences(config))
    }

    /// The address that it serves on.
    pub fn listening(&self) -> SocketAddr {
        self.listening
    }

    /// The address that it serves metrics on.
    pub fn metrics_listening(&self) -> Option<SocketAddr> {
        self.metrics
    }

    /// Returns when a listener has failed.
    ///
    /// # Errors
    ///
    /// [`StartError::Serve`], why.
    pub async fn ended(&mut self) -> Result<(), StartError> {
        while let Some(ended) = self.tasks.join_next().await {
            ended.map_err(io::Error::other).flatten().map_err(StartError::Serve)?;
        }
        Ok(())
    }

    /// Serves until the process is told to stop, and then stops. By SIGHUP it takes over what `configured`
    /// then gives; if that is nothing that could be served with, it says why, and goes on as it was.
    ///
    /// # Errors
    ///
    /// [`StartError::Serve`] if a listener fails.
    pub async fn serve_until<E: fmt::Display>(
        mut self,
        signals: &mut Signals,
        mut configured: impl FnMut() -> Result<Config, E>,
    ) -> Result<(), StartError> {
        tracing::info!(listening = %self.listening, "serving");
        loop {
            let told = tokio::select! {
                told = signals.told() => told,
                ended = self.ended() => return ended,
            };
            match told {
                Told::Stop => break,
                Told::Reload => match configured() {
                    Ok(config) => self.take_over(&config),
                    Err(error) => tracing::error!(%error, "{NOT_RELOADED}"),
                },
            }
        }
        tracing::info!("stopping");
        self.stop().await
    }

    fn take_over(&mut self, config: &Config) {
        match self.reload(config) {
            Ok(later) if later.is_empty() => tracing::info!("reloaded"),
            Ok(later) => {
                let later = later.join(", ");
                tracing::warn!(later, "reloaded, apart from what holds from the next start on");
            }
            Err(error) => {
                let cause = std::error::Error::source(&error).map(tracing::field::display);
                tracing::error!(%error, cause, "{NOT_RELOADED}");
            }
        }
    }

    /// Takes no more connections, ends subscriptions, lets requests end, and closes the database. If the database
    /// does not answer, requests that wait for it are given up.
    ///
    /// # Errors
    ///
    /// [`StartError::Serve`] if a listener fails meanwhile.
    pub async fn stop(mut self) -> Result<(), StartError> {
        self.handle.graceful_shutdown(Some(self.config.grace));
        self.state.stop();
        let store = Arc::clone(&self.state.store);
        let answers = tokio::select! {
            ended = self.ended() => { ended?; true }
            () = silence(&store) => false,
        };
        if !answers {
            tracing::warn!("the database does not answer: requests that wait for it are given up");
            store.abandon();
            if timeout(ANSWERS, self.ended()).await.is_err() {
                self.handle.shutdown();
                self.ended().await?;
            }
        }
        // What is under way in it may never end.
        if timeout(CLOSING, self.state.close()).await.is_err() {
            tracing::warn!("the database does not answer: its connections are cut off");
        }
        Ok(())
    }
}

/// Why SIGHUP has changed nothing.
const NOT_RELOADED: &str = "not reloaded: limits, certificates and log level are as they were";

/// How long requests have to be answered that are given up.
const ANSWERS: Duration = Duration::from_secs(1);
/// How long the database has to end what is under way in it.
const CLOSING: Duration = Duration::from_secs(2);

/// How often in turn a database has not answered that is given up: a machine may be busy for a moment.
const LOOKS: u32 = 3;

/// Returns when the database does not answer.
async fn silence(store: &Arc<Store>) {
    let mut failed = 0;
    while failed < LOOKS {
        match store.ready().await {
            Err(error) if error.storage_fault().is_none() => failed += 1,
            // It does say something.
            Ok(()) | Err(_) => failed = 0,
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

/// What a client meets first.
struct Front {
    listener: TcpListener,
    tls: Option<RustlsConfig>,
    gate: Gate,
}

impl Front {
    fn spawn(
        self,
        tasks: &mut JoinSet<io::Result<()>>,
        handle: Handle<SocketAddr>,
        app: Router,
    ) -> Result<(), StartError> {
        let Self { listener, tls, gate } = self;
        let service = app.into_make_service();
        let head = gate.times().head;
        let server = axum_server::from_tcp(listener).map_err(StartError::Serve)?.handle(handle);
        let mut server = server.accept_error_handler(|address, error| match address {
            Some(address) => tracing::debug!(%address, %error, "a connection did not come about"),
            None => tracing::warn!(%error, "no connection can be taken"),
        });
        bound(server.http_builder());
        match tls {
            Some(tls) => {
                let acceptor = RustlsAcceptor::new(tls);
                let acceptor = acceptor.handshake_timeout(head).acceptor(gate.before_tls());
                tasks.spawn(server.acceptor(acceptor).serve(service));
            }
            None => _ = tasks.spawn(server.acceptor(gate).serve(service)),
        }
        Ok(())
    }
}

fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |source| StartError::Listen { address, source };
    let listener = TcpListener::bind(address).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    let listening = listener.local_addr().map_err(failed)?;
    Ok((listener, listening))
}

/// What one connection may make the process hold, whatever is sent by it.
fn bound(builder: &mut Builder<TokioExecutor>) {
    builder.http1().max_buf_size(BUFFER);
    builder
        .http2()
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(HEAD)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_send_buf_size(BUFFER)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(20));
}

/// A head, or a part of an answer, of HTTP/1.1, and a part of an answer of HTTP/2, in bytes.
const BUFFER: usize = 64 << 10;
/// A head of HTTP/2, in bytes.
const HEAD: u32 = 16 << 10;
/// What is taken of the bodies of a connection before anybody reads them, in bytes.
const WINDOW: u32 = 128 << 10;
/// Requests at once on one connection of HTTP/2.
const STREAMS: u32 = 128;
/// Connections of those who read the metrics.
const SCRAPERS: usize = 64;

fn tls(files: &TlsFiles) -> io::Result<Arc<ServerConfig>> {
    let chain: Vec<_> = CertificateDer::pem_file_iter(&files.certificates)
        .and_then(Iterator::collect)
        .map_err(io::Error::other)?;
    let key = PrivateKeyDer::from_pem_file(&files.private_key).map_err(io::Error::other)?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|config| config.with_no_client_auth().with_single_cert(chain, key))
        .map_err(io::Error::other)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
