//! Once with real sockets: TLS, HTTP/2, WebSocket, graceful shutdown.

use std::{net::SocketAddr, time::Duration};

use futures_util::StreamExt as _;
use paired_mls_api::{
    Access, Approval, CreateGroup, GroupId, GroupView, JSON, LogEntry, Published, RegisterDevice,
    RequestKey as _, path,
};
use paired_mls_service::{Clock as _, Server, SystemClock, TlsFiles};
use serde::{Serialize, de::DeserializeOwned};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest as _};

use crate::{
    backend::{Backend, on_both},
    device::Device,
    messages::*,
};

on_both!(
    a_device_talks_to_the_service_by_tls,
    a_subscriber_by_web_socket_resumes,
    a_server_stops_gracefully,
    a_server_that_cannot_start_says_why,
);

/// A service, by its address.
#[derive(Clone)]
pub(crate) struct Remote {
    pub(crate) client: reqwest::Client,
    pub(crate) base: String,
    pub(crate) authority: String,
}

impl Remote {
    pub(crate) fn plain(address: SocketAddr) -> Self {
        install_provider();
        let authority = address.to_string();
        let base = format!("http://{authority}");
        Self { client: reqwest::Client::new(), base, authority }
    }

    pub(crate) async fn send(
        &self,
        device: &Device,
        method: &str,
        path: &str,
        media_type: &str,
        body: Vec<u8>,
    ) -> Result<reqwest::Response, reqwest::Error> {
        let now = SystemClock.now();
        let fields = device.fields(&self.authority, now, method, path, &body);
        let mut request = self
            .client
            .request(method.parse().unwrap(), format!("{}{path}", self.base))
            .header("content-digest", fields.content_digest)
            .header("signature-input", fields.signature_input)
            .header("signature", fields.signature);
        if !media_type.is_empty() {
            request = request.header("content-type", media_type);
        }
        request.body(body).send().await
    }

    pub(crate) async fn post<T: Serialize, R: DeserializeOwned>(
        &self,
        device: &Device,
        path: &str,
        body: &T,
    ) -> R {
        let body = serde_json::to_vec(body).unwrap();
        let answer = self.send(device, "POST", path, JSON, body).await.unwrap();
        let status = answer.status();
        let body = answer.bytes().await.unwrap();
        assert!(status.is_success(), "{status} {}", String::from_utf8_lossy(&body));
        serde_json::from_slice(&body).unwrap()
    }

    pub(crate) async fn get<R: DeserializeOwned>(&self, device: &Device, path: &str) -> R {
        let answer = self.send(device, "GET", path, "", Vec::new()).await.unwrap();
        serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
    }

    /// A request that nobody has signed.
    pub(crate) async fn plain_get(&self, path: &str) -> reqwest::Response {
        self.client.get(format!("{}{path}", self.base)).send().await.unwrap()
    }

    pub(crate) async fn register(&self, user: &str) -> Device {
        let device = Device::new(user);
        self.take(&device).await;
        device
    }

    /// Registers a further device of an account.
    pub(crate) async fn sibling(&self, of: &Device) -> Device {
        let device = Device { user: of.user.clone(), ..Device::new("a further one") };
        let approval = Approval { device: device.id.clone() };
        let body = serde_json::to_vec(&approval).unwrap();
        let approved = self.send(of, "POST", path::APPROVALS, JSON, body).await.unwrap();
        assert_eq!(approved.status(), 204);
        self.take(&device).await;
        device
    }

    pub(crate) async fn take(&self, device: &Device) {
        let signature_key = device.public_key().into();
        let body =
            RegisterDevice { user: device.user.clone(), scheme: device.scheme(), signature_key };
        let _: serde_json::Value = self.post(device, path::DEVICES, &body).await;
    }

    pub(crate) async fn group(&self, device: &Device) -> GroupId {
        let group = device.new_group_id();
        let body = CreateGroup {
            group: group.clone(),
            epoch: 0,
            access: Access::Roster,
            group_info: None,
        };
        let view: GroupView = self.post(device, path::GROUPS, &body).await;
        view.group
    }
}

pub(crate) fn install_provider() {
    // An error says that another test was faster.
    let _installed = rustls::crypto::ring::default_provider().install_default();
}

async fn a_device_talks_to_the_service_by_tls(mut backend: Backend) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let files = TlsFiles {
        certificates: backend.folder.path().join("chain.pem"),
        private_key: backend.folder.path().join("key.pem"),
    };
    std::fs::write(&files.certificates, made.cert.pem()).unwrap();
    std::fs::write(&files.private_key, made.signing_key.serialize_pem()).unwrap();
    backend.config.tls = Some(files);
    backend.config.metrics_listen = Some(([127, 0, 0, 1], 0).into());
    let server = Server::start(&backend.config).await.unwrap();

    install_provider();
    let root = reqwest::Certificate::from_pem(made.cert.pem().as_bytes()).unwrap();
    let client = reqwest::Client::builder().tls_certs_only([root]).build().unwrap();
    let authority = format!("localhost:{}", server.listening().port());
    let remote = Remote { client, base: format!("https://{authority}"), authority };
    let alice = remote.register("alice").await;
    let group = remote.group(&alice).await;
    let commits = path::of_group(path::GROUP_COMMITS, &group);
    let published: Published = remote.post(&alice, &commits, &publish(&group, 0)).await;
    assert_eq!(published, Published { position: 1, epoch: 0 });
    let answer = remote.send(&alice, "GET", path::MAILBOX, "", Vec::new()).await.unwrap();
    assert_eq!(answer.version(), reqwest::Version::HTTP_2);

    let metrics = server.metrics_listening().unwrap();
    let plain = reqwest::get(format!("http://{metrics}/metrics")).await.unwrap();
    assert!(plain.text().await.unwrap().contains("paired_mls_commits_total"));
    // A client that does not know the certificate does not talk to it.
    let stranger = reqwest::Client::builder().tls_certs_only([]).build().unwrap();
    assert!(stranger.get(format!("{}{}", remote.base, path::LIVE)).send().await.is_err());
    server.stop().await.unwrap();
}

async fn a_subscriber_by_web_socket_resumes(backend: Backend) {
    let server = Server::start(&backend.config).await.unwrap();
    let remote = Remote::plain(server.listening());
    let alice = remote.register("alice").await;
    let group = remote.group(&alice).await;
    let commits = path::of_group(path::GROUP_COMMITS, &group);
    for epoch in 0..3 {
        let _: Published = remote.post(&alice, &commits, &publish(&group, epoch)).await;
    }
    let path = format!("{}?after=1", path::of_group(path::GROUP_SOCKET, &group));
    let fields = alice.fields(&remote.authority, SystemClock.now(), "GET", &path, b"");
    let mut request = format!("ws://{}{path}", remote.authority).into_client_request().unwrap();
    let headers = request.headers_mut();
    headers.insert("content-digest", fields.content_digest.parse().unwrap());
    headers.insert("signature-input", fields.signature_input.parse().unwrap());
    headers.insert("signature", fields.signature.parse().unwrap());
    let stream = TcpStream::connect(server.listening()).await.unwrap();
    let (mut socket, _) = tokio_tungstenite::client_async(request, stream).await.unwrap();
    for position in 2..=3 {
        let Message::Text(text) = socket.next().await.unwrap().unwrap() else { panic!("no text") };
        assert_eq!(serde_json::from_str::<LogEntry>(&text).unwrap().position, position);
    }
    let _: Published = remote.post(&alice, &commits, &publish(&group, 3)).await;
    let Message::Text(text) = socket.next().await.unwrap().unwrap() else { panic!("no text") };
    assert_eq!(serde_json::from_str::<LogEntry>(&text).unwrap().position, 4);
    server.stop().await.unwrap();
    // It is closed, not cut off.
    assert!(matches!(socket.next().await, Some(Ok(Message::Close(_)))));
}

async fn a_server_stops_gracefully(backend: Backend) {
    let server = Server::start(&backend.config).await.unwrap();
    let remote = Remote::plain(server.listening());
    let alice = remote.register("alice").await;
    let events = remote.send(&alice, "GET", path::MAILBOX_EVENTS, "", Vec::new()).await.unwrap();
    assert_eq!(events.status(), 200);
    let stopped = timeout(Duration::from_secs(9), server.stop()).await;
    stopped.expect("before the time of grace ends").unwrap();
    assert_eq!(events.bytes().await.unwrap().len(), 0);
    assert!(remote.send(&alice, "GET", path::MAILBOX, "", Vec::new()).await.is_err());
}

async fn a_server_that_cannot_start_says_why(backend: Backend) {
    let server = Server::start(&backend.config).await.unwrap();
    let mut config = backend.config.clone();
    config.database = format!("sqlite://{}", backend.folder.path().join("other.db").display());
    config.listen = server.listening();
    let taken = Server::start(&config).await.unwrap_err().to_string();
    assert!(taken.contains("cannot listen on 127.0.0.1"), "{taken}");
    config.listen = ([127, 0, 0, 1], 0).into();
    config.tls = Some(TlsFiles { certificates: "/nowhere".into(), private_key: "/nowhere".into() });
    let tls = Server::start(&config).await.unwrap_err().to_string();
    assert!(tls.contains("certificate"), "{tls}");
    config.tls = None;
    config.database = "mysql://localhost".to_owned();
    let database = Server::start(&config).await.unwrap_err().to_string();
    assert!(database.contains("database"), "{database}");
    server.stop().await.unwrap();
}
