//! Where the service is, and who vouches for it.

use std::{fmt, net::IpAddr, str::FromStr, sync::Arc};

use reqwest::Url;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use rustls_platform_verifier::Verifier;
use thiserror::Error;

/// Where the service is, like `https://ds.example:8443`, and whose certificates it can have.
#[derive(Clone, Debug)]
pub struct Server {
    url: Url,
    trust: Trust,
}

#[derive(Clone)]
enum Trust {
    /// Whom the operating system trusts.
    System,
    /// These roots, and no other.
    Roots(Arc<RootCertStore>),
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System => f.write_str("System"),
            Self::Roots(roots) => write!(f, "Roots({})", roots.len()),
        }
    }
}

/// Why this cannot be the service. To blame is whoever has configured it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ServerError {
    /// Not a URL, or not one of HTTP.
    #[error("this is not the address of a service: write it like https://ds.example:8443")]
    NotAnAddress,
    /// More than scheme, host and port.
    #[error("the address of a service has no user, path or query: write https://host:port only")]
    TooMuch,
    /// HTTP without TLS, to another machine.
    #[error("this address is without TLS: write https://, or say that the network is safe")]
    InTheClear,
    /// What was to be a root certificate is none.
    #[error("there is no root certificate in this file: it has to be in PEM")]
    NotACertificate,
    /// The operating system does not say whom it trusts.
    #[error("this system has no root certificates: install some, or name the service's own")]
    NoRoots,
}

impl Server {
    /// Takes `https://host:port`; the port may be left out. HTTP without TLS is for this machine only.
    ///
    /// # Errors
    ///
    /// [`ServerError::NotAnAddress`], [`ServerError::TooMuch`] or [`ServerError::InTheClear`].
    pub fn new(url: &str) -> Result<Self, ServerError> {
        let server = Self::in_the_clear(url)?;
        match server.url.scheme() {
            "http" if !server.is_this_machine() => Err(ServerError::InTheClear),
            _ => Ok(server),
        }
    }

    /// Takes `http://host:port`, too.
    ///
    /// # Security
    ///
    /// Without TLS whoever is on the way sees who does what in which group, and can hold back messages
    /// or show an old state. Only for a network that is protected by other means.
    ///
    /// # Errors
    ///
    /// [`ServerError::NotAnAddress`] or [`ServerError::TooMuch`].
    pub fn in_the_clear(url: &str) -> Result<Self, ServerError> {
        let url = Url::parse(url).map_err(|_| ServerError::NotAnAddress)?;
        if !matches!(url.scheme(), "https" | "http") || !url.has_host() {
            return Err(ServerError::NotAnAddress);
        }
        // The service signs for what it sees of a path, and nothing in front of it may change that.
        let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        if !bare || !url.username().is_empty() || url.password().is_some() {
            return Err(ServerError::TooMuch);
        }
        Ok(Self { url, trust: Trust::System })
    }

    /// Trusts the root certificates in this PEM file, and no other: for a deployment with an authority
    /// of its own.
    ///
    /// # Errors
    ///
    /// [`ServerError::NotACertificate`].
    pub fn with_root(self, pem: &[u8]) -> Result<Self, ServerError> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|_| ServerError::NotACertificate)?;
            roots.add(certificate).map_err(|_| ServerError::NotACertificate)?;
        }
        if roots.is_empty() {
            return Err(ServerError::NotACertificate);
        }
        Ok(Self { trust: Trust::Roots(Arc::new(roots)), ..self })
    }

    /// Host and port, as they stand in a request.
    pub(crate) fn authority(&self) -> &str {
        self.url.authority()
    }

    /// The address of this path, which begins with a slash.
    pub(crate) fn at(&self, path_and_query: &str) -> String {
        format!("{}://{}{path_and_query}", self.url.scheme(), self.authority())
    }

    pub(crate) fn is_this_machine(&self) -> bool {
        let host = self.url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
    }

    /// How to tell that it is the service.
    pub(crate) fn tls(&self) -> Result<ClientConfig, ServerError> {
        let provider = Arc::new(ring::default_provider());
        let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .expect("ring has the suites of both versions");
        let config = match (&self.trust, self.url.scheme()) {
            (Trust::Roots(roots), _) => config.with_root_certificates(Arc::clone(roots)),
            // Nobody will be asked.
            (Trust::System, "http") => config.with_root_certificates(RootCertStore::empty()),
            (Trust::System, _) => {
                let verifier = Verifier::new(provider).map_err(|_| ServerError::NoRoots)?;
                config.dangerous().with_custom_certificate_verifier(Arc::new(verifier))
            }
        };
        let mut config = config.with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.at(""))
    }
}

impl FromStr for Server {
    type Err = ServerError;

    fn from_str(url: &str) -> Result<Self, ServerError> {
        Self::new(url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_as_it_stands_in_a_request() {
        let cases = [
            ("https://DS.example", "https://ds.example", "ds.example"),
            ("https://ds.example:443/", "https://ds.example", "ds.example"),
            ("https://ds.example:8443", "https://ds.example:8443", "ds.example:8443"),
            ("http://127.0.0.1:4433", "http://127.0.0.1:4433", "127.0.0.1:4433"),
            ("http://[::1]:80", "http://[::1]", "[::1]"),
            ("http://localhost:1", "http://localhost:1", "localhost:1"),
        ];
        for (text, shown, authority) in cases {
            let server: Server = text.parse().unwrap();
            assert_eq!((server.to_string().as_str(), server.authority()), (shown, authority));
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let cases = [
            ("ds.example", ServerError::NotAnAddress),
            ("ftp://ds.example", ServerError::NotAnAddress),
            ("https://", ServerError::NotAnAddress),
            ("https://ds.example/mls", ServerError::TooMuch),
            ("https://ds.example/?a", ServerError::TooMuch),
            ("https://ds.example/#a", ServerError::TooMuch),
            ("https://alice@ds.example", ServerError::TooMuch),
            ("https://:secret@ds.example", ServerError::TooMuch),
            ("http://ds.example", ServerError::InTheClear),
            ("http://192.0.2.1", ServerError::InTheClear),
            ("http://localhost.example", ServerError::InTheClear),
        ];
        for (text, error) in cases {
            assert_eq!(Server::new(text).unwrap_err(), error, "{text}");
        }
        assert!(Server::in_the_clear("http://ds.example").is_ok());
    }

    #[test]
    fn a_root_has_to_be_a_certificate() {
        let server = Server::new("https://ds.example").unwrap();
        let garbage = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for pem in [b"".as_slice(), b"hello", garbage] {
            let refused = server.clone().with_root(pem).unwrap_err();
            assert_eq!(refused, ServerError::NotACertificate);
        }
    }
}
