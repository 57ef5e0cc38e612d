//! Once over TLS.

use futures_util::StreamExt as _;
use paired_mls_client::{Client, ClientError, Server, ServerError};
use paired_mls_service::TlsFiles;

use crate::cast::{Key, Service, commit, new_group, register};

fn certificate() -> rcgen::CertifiedKey<rcgen::KeyPair> {
    rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap()
}

#[tokio::test]
async fn a_device_talks_to_a_service_that_it_trusts() {
    let made = certificate();
    let service = Service::with(|config, folder| {
        let certificates = folder.path().join("chain.pem");
        let private_key = folder.path().join("key.pem");
        std::fs::write(&certificates, made.cert.pem()).unwrap();
        std::fs::write(&private_key, made.signing_key.serialize_pem()).unwrap();
        config.tls = Some(TlsFiles { certificates, private_key });
    })
    .await;
    let url = format!("https://localhost:{}", service.listening().port());
    let server = Server::new(&url).unwrap();
    let trusting = server.clone().with_root(made.cert.pem().as_bytes()).unwrap();
    let alice = register(&trusting, "alice").await;
    let group = new_group(&alice).await;
    let mut log = alice.group_events(&group, 0);
    let (entry, ()) = tokio::join!(log.next(), commit(&alice, &group, 0..1));
    assert_eq!(entry.unwrap().unwrap().position, 1);

    // One who trusts somebody else does not talk to it, and neither does one who trusts the system's
    // roots, where there are any.
    let other = server.clone().with_root(certificate().cert.pem().as_bytes()).unwrap();
    let error = Client::new(other, Key::new()).unwrap().count().await.unwrap_err();
    assert!(matches!(error, ClientError::Untrusted { .. }), "{error:?}");
    assert!(!error.is_transient());
    match Client::new(server, Key::new()) {
        Ok(client) => {
            let error = client.count().await.unwrap_err();
            assert!(matches!(error, ClientError::Untrusted { .. }), "{error:?}");
        }
        Err(error) => assert!(matches!(error, ClientError::Server(ServerError::NoRoots))),
    }
    drop(log);
    service.stop().await;
}
