//! The service on sockets.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
};

use axum::Router;
use axum_server::{Handle, tls_rustls::RustlsConfig};
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    task::JoinSet,
};

use crate::{AppState, Config, StartError, SystemClock, TlsFiles, app, metrics_app};

/// A server that runs. Dropping it ends it at once; [`Server::stop`] lets requests end first.
#[derive(Debug)]
pub struct Server {
    state: AppState,
    listening: SocketAddr,
    metrics: Option<SocketAddr>,
    handle: Handle<SocketAddr>,
    grace: std::time::Duration,
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
        spawn(&mut tasks, listener, tls, handle.clone(), app(state.clone()))?;
        let mut metrics = None;
        if let Some(address) = config.metrics_listen {
            let (listener, address) = listen(address)?;
            spawn(&mut tasks, listener, None, handle.clone(), metrics_app(state.clone()))?;
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
    handle: Handle<SocketAddr>,
    app: Router,
) -> Result<(), StartError> {
    let service = app.into_make_service();
    match tls {
        Some(tls) => {
            let server = axum_server::from_tcp_rustls(listener, tls).map_err(StartError::Serve)?;
            tasks.spawn(server.handle(handle).serve(service));
        }
        None => {
            let server = axum_server::from_tcp(listener).map_err(StartError::Serve)?;
            tasks.spawn(server.handle(handle).serve(service));
        }
    }
    Ok(())
}

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
