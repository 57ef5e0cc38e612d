//! The service on sockets.

use std::{
    io,
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
};

use crate::{
    AppState, Config, Limits, StartError, SystemClock, TlsFiles, app, edge::Gate, metrics_app,
};

/// A server that runs. Dropping it ends it at once; [`Server::stop`] lets requests end first.
///
/// ```no_run
/// # use paired_mls_service::{Config, Server, StartError, StopSignals};
/// # async fn example() -> Result<(), StartError> {
/// let config = Config::new(([127, 0, 0, 1], 8420).into(), "sqlite://service.db");
/// let signals = StopSignals::listen()?;
/// let server = Server::start(&config).await?;
/// println!("serving at {}", server.listening());
/// server.serve_until(signals).await
/// # }
/// ```
#[derive(Debug)]
pub struct Server {
    state: AppState,
    listening: SocketAddr,
    metrics: Option<SocketAddr>,
    handle: Handle<SocketAddr>,
    grace: Duration,
    tasks: JoinSet<io::Result<()>>,
}

/// Serves until the process is told to stop, by SIGINT or SIGTERM; then lets requests end, for as long
/// as `config` says.
///
/// # Errors
///
/// [`StartError`] if it cannot start, or if a listener fails.
pub async fn serve(config: &Config) -> Result<(), StartError> {
    let signals = StopSignals::listen()?;
    Server::start(config).await?.serve_until(signals).await
}

/// SIGINT and SIGTERM, which from now on do not end the process by themselves.
#[derive(Debug)]
pub struct StopSignals {
    interrupt: Signal,
    terminate: Signal,
}

impl StopSignals {
    /// Listens to them. Whoever announces that it serves does so before: it may be told to stop at once.
    ///
    /// # Errors
    ///
    /// [`StartError::Serve`] if the operating system refuses.
    pub fn listen() -> Result<Self, StartError> {
        let listen = |kind| signal(kind).map_err(StartError::Serve);
        let interrupt = listen(SignalKind::interrupt())?;
        Ok(Self { interrupt, terminate: listen(SignalKind::terminate())? })
    }

    async fn received(&mut self) {
        tokio::select! { _ = self.interrupt.recv() => {}, _ = self.terminate.recv() => {} }
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
        let state = AppState::open(config, Arc::new(SystemClock)).await?;
        let (listener, listening) = listen(config.listen)?;
        let handle = Handle::new();
        let mut tasks = JoinSet::new();
        let gate = Gate::new(&config.limits, &config.proxies, Arc::clone(&state.metrics));
        spawn(&mut tasks, listener, tls, gate, handle.clone(), app(state.clone()))?;
        let mut metrics = None;
        if let Some(address) = config.metrics_listen {
            let (listener, address) = listen(address)?;
            let limits = Limits { client_connections: SCRAPERS, ..config.limits };
            let gate = Gate::new(&limits, &[], Arc::clone(&state.metrics));
            let app = metrics_app(state.clone());
            spawn(&mut tasks, listener, None, gate, handle.clone(), app)?;
            metrics = Some(address);
        }
        Ok(Self { state, listening, metrics, handle, grace: config.grace, tasks })
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

    /// Serves until the process is told to stop, and then stops.
    ///
    /// # Errors
    ///
    /// [`StartError::Serve`] if a listener fails.
    pub async fn serve_until(mut self, mut signals: StopSignals) -> Result<(), StartError> {
        tracing::info!(listening = %self.listening, "serving");
        tokio::select! {
            () = signals.received() => tracing::info!("stopping"),
            ended = self.ended() => return ended,
        }
        self.stop().await
    }

    /// Takes no more connections, ends subscriptions, lets requests end, and closes the database.
    ///
    /// # Errors
    ///
    /// [`StartError::Serve`] if a listener fails meanwhile.
    pub async fn stop(mut self) -> Result<(), StartError> {
        self.handle.graceful_shutdown(Some(self.grace));
        self.state.stop();
        self.ended().await?;
        self.state.close().await;
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

fn spawn(
    tasks: &mut JoinSet<io::Result<()>>,
    listener: TcpListener,
    tls: Option<RustlsConfig>,
    gate: Gate,
    handle: Handle<SocketAddr>,
    app: Router,
) -> Result<(), StartError> {
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
            let acceptor = RustlsAcceptor::new(tls).handshake_timeout(head).acceptor(gate);
            tasks.spawn(server.acceptor(acceptor).serve(service));
        }
        None => _ = tasks.spawn(server.acceptor(gate).serve(service)),
    }
    Ok(())
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

fn tls(files: &TlsFiles) -> io::Result<RustlsConfig> {
    let chain: Vec<_> = CertificateDer::pem_file_iter(&files.certificates)
        .and_then(Iterator::collect)
        .map_err(io::Error::other)?;
    let key = PrivateKeyDer::from_pem_file(&files.private_key).map_err(io::Error::other)?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|config| config.with_no_client_auth().with_single_cert(chain, key))
        .map_err(io::Error::other)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(RustlsConfig::from_config(Arc::new(config)))
}
