//! Signed requests: HTTP Message Signatures (RFC 9421) over the method, the authority, the path, the
//! query and the digest of the body (RFC 9530).
//!
//! ```text
//! Content-Digest:  sha-256=:…:
//! Signature-Input: pmls=("@method" "@authority" "@path" "@query" "content-digest");
//!                  created=…;nonce="…";keyid="<device id>";tag="paired-mls"
//! Signature:       pmls=:…:
//! ```
//!
//! All five components and all four parameters are obligatory, in this order, also where the body is
//! empty: a request has one form. The server refuses what is older than its window or from the future,
//! and remembers each nonce until its window has passed.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ed25519_dalek::{Signature, VerifyingKey};
use httpsig::prelude::{
    AlgorithmName, HttpSigError, HttpSignatureBase, HttpSignatureHeaders, HttpSignatureParams,
    PublicKey, SigningKey,
    message_component::{HttpMessageComponent, HttpMessageComponentId},
};
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::{Base64Url, DeviceId, SignatureScheme};

/// What a signature covers, in this order.
pub const COVERED: [&str; 5] = ["@method", "@authority", "@path", "@query", "content-digest"];

const LABEL: &str = "pmls";
const TAG: &str = "paired-mls";
const MIN_NONCE: usize = 16;
const MAX_NONCE: usize = 64;

/// What is requested, as it stands in the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target<'a> {
    /// The method, in upper case.
    pub method: &'a str,
    /// Host and port: of the `Host` header, or `:authority`.
    pub authority: &'a str,
    /// The path as it was sent, still encoded.
    pub path: &'a str,
    /// The query without its question mark; empty for none.
    pub query: &'a str,
}

/// The header fields of a signed request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fields {
    /// `Content-Digest`
    pub content_digest: String,
    /// `Signature-Input`
    pub signature_input: String,
    /// `Signature`
    pub signature: String,
}

/// A device's signature key, wherever its private half is.
pub trait RequestKey {
    /// Why it may fail.
    type Error;

    /// The signature scheme.
    fn scheme(&self) -> SignatureScheme;

    /// The public key, as in an MLS leaf.
    fn public_key(&self) -> Vec<u8>;

    /// Signs `message`. The signature has the form of RFC 9421 section 3.3, in which ECDSA is
    /// `r || s`: [`SignatureScheme::from_mls`] converts one that an MLS signer has made.
    ///
    /// # Errors
    ///
    /// Those of the place where the key is.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Self::Error>;
}

/// Why a request could not be signed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SigningError<E> {
    /// The key did not sign.
    #[error("the device's key did not sign the request")]
    Key(#[source] E),
    /// A part of the target cannot stand in a request.
    #[error("the method, authority, path or query cannot be signed")]
    Target,
}

/// Signs a request, at `now` in seconds since 1970-01-01T00:00:00Z. `nonce` is fresh random bytes.
///
/// # Errors
///
/// [`SigningError`].
pub fn sign_request<K: RequestKey>(
    key: &K,
    target: Target<'_>,
    body: &[u8],
    now: u64,
    nonce: &[u8; 24],
) -> Result<Fields, SigningError<K::Error>> {
    let content_digest = content_digest(body);
    let covered: Vec<_> = COVERED.into_iter().flat_map(HttpMessageComponentId::try_from).collect();
    let mut params = HttpSignatureParams::try_new(&covered).map_err(|_| SigningError::Target)?;
    params
        .set_created(now)
        .set_nonce(&Base64Url(nonce.to_vec()).to_string())
        .set_keyid(&DeviceId::of_key(key.scheme(), &key.public_key()).to_string())
        .set_tag(TAG);
    let base = base(target, &content_digest, &params).map_err(|_| SigningError::Target)?;
    let signature = key.sign(&base.as_bytes()).map_err(SigningError::Key)?;
    let headers = base
        .build_signature_headers(&Made { signature, scheme: key.scheme() }, Some(LABEL))
        .map_err(|_| SigningError::Target)?;
    Ok(Fields {
        content_digest,
        signature_input: headers.signature_input_header_value(),
        signature: headers.signature_header_value(),
    })
}

/// The value of `Content-Digest` for this body (RFC 9530).
pub fn content_digest(body: &[u8]) -> String {
    format!("sha-256=:{}:", STANDARD.encode(Sha256::digest(body)))
}

/// Why a signature is refused. To blame is whoever has sent the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// The fields cannot be parsed, or there is more than one signature.
    #[error("the fields Signature and Signature-Input do not hold one signature named pmls")]
    Malformed,
    /// Not exactly the components of [`COVERED`].
    #[error(
        "the signature does not cover exactly @method, @authority, @path, @query, content-digest"
    )]
    Covered,
    /// A parameter is missing or has another form than it must.
    #[error("the parameter {0} of the signature is missing or malformed")]
    Parameter(&'static str),
    /// The digest is not that of the body.
    #[error("Content-Digest is not the SHA-256 of the body")]
    Digest,
    /// The public key is none of its scheme.
    #[error("the signature key is none of its scheme")]
    Key,
    /// The signature does not verify.
    #[error("the signature does not verify")]
    Invalid,
}

/// A request whose signature was read, and not verified yet.
#[derive(Debug)]
pub struct SignedRequest {
    headers: HttpSignatureHeaders,
    content_digest: String,
    device: DeviceId,
    created: u64,
    nonce: String,
}

impl SignedRequest {
    /// Reads the fields of a request.
    ///
    /// # Errors
    ///
    /// [`SignatureError`] if a signature cannot be one of this form.
    pub fn read(fields: &Fields) -> Result<Self, SignatureError> {
        let parsed = HttpSignatureHeaders::try_parse(&fields.signature, &fields.signature_input);
        let mut parsed = parsed.map_err(|_| SignatureError::Malformed)?.into_iter();
        let (Some((label, headers)), None) = (parsed.next(), parsed.next()) else {
            return Err(SignatureError::Malformed);
        };
        let params = headers.signature_params();
        let ids = params.covered_components.iter().map(ToString::to_string);
        if label != LABEL || !ids.eq(COVERED.iter().map(|name| format!("\"{name}\""))) {
            return Err(SignatureError::Covered);
        }
        if params.tag.as_deref() != Some(TAG) {
            return Err(SignatureError::Parameter("tag"));
        }
        // The window of the server is the one that counts.
        if params.expires.is_some() {
            return Err(SignatureError::Parameter("expires"));
        }
        let created = params.created.ok_or(SignatureError::Parameter("created"))?;
        let nonce = params.nonce.clone().ok_or(SignatureError::Parameter("nonce"))?;
        let base64url = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        if !(MIN_NONCE..=MAX_NONCE).contains(&nonce.len()) || !nonce.bytes().all(base64url) {
            return Err(SignatureError::Parameter("nonce"));
        }
        let keyid = params.keyid.as_deref().and_then(|keyid| keyid.parse().ok());
        let device = keyid.ok_or(SignatureError::Parameter("keyid"))?;
        let content_digest = fields.content_digest.clone();
        Ok(Self { headers, content_digest, device, created, nonce })
    }

    /// The device that says it has signed.
    pub fn device(&self) -> &DeviceId {
        &self.device
    }

    /// When it says it has, in seconds since 1970-01-01T00:00:00Z.
    pub fn created(&self) -> u64 {
        self.created
    }

    /// The nonce: 16 to 64 characters of base64url.
    pub fn nonce(&self) -> &str {
        &self.nonce
    }

    /// Verifies the signature and that it is about this request. That it is fresh, and that its nonce
    /// is new, is the caller's to check.
    ///
    /// # Errors
    ///
    /// Those of [`Self::verify_head`] and [`Self::verify_body`].
    pub fn verify(
        &self,
        target: Target<'_>,
        body: &[u8],
        scheme: SignatureScheme,
        public_key: &[u8],
    ) -> Result<(), SignatureError> {
        self.verify_body(body)?;
        self.verify_head(target, scheme, public_key)
    }

    /// Whether it is a body of this digest that the signature is about.
    ///
    /// # Errors
    ///
    /// [`SignatureError::Digest`] if not.
    pub fn verify_body(&self, body: &[u8]) -> Result<(), SignatureError> {
        match self.content_digest == content_digest(body) {
            true => Ok(()),
            false => Err(SignatureError::Digest),
        }
    }

    /// Verifies the signature over the head of a request: the signature is over the digest of the body,
    /// and so a server need not read a body before it knows who has sent it.
    ///
    /// # Security
    ///
    /// A request is not verified before [`Self::verify_body`] has succeeded as well.
    ///
    /// # Errors
    ///
    /// [`SignatureError::Key`], [`SignatureError::Parameter`] for an algorithm that is not the key's, or
    /// [`SignatureError::Invalid`].
    pub fn verify_head(
        &self,
        target: Target<'_>,
        scheme: SignatureScheme,
        public_key: &[u8],
    ) -> Result<(), SignatureError> {
        let params = self.headers.signature_params();
        if params.alg.as_deref().is_some_and(|alg| alg != scheme.name()) {
            return Err(SignatureError::Parameter("alg"));
        }
        let base = base(target, &self.content_digest, params);
        let base = base.map_err(|_| SignatureError::Invalid)?;
        let verified = match scheme {
            SignatureScheme::Ed25519 => {
                let key = public_key.try_into().map_err(|_| SignatureError::Key)?;
                let key = VerifyingKey::from_bytes(key).map_err(|_| SignatureError::Key)?;
                base.verify_signature_headers(&Ed25519(key), &self.headers)
            }
            SignatureScheme::P256 | SignatureScheme::P384 => {
                let key = PublicKey::from_bytes(&scheme.algorithm(), public_key);
                let key = key.map_err(|_| SignatureError::Key)?;
                base.verify_signature_headers(&key, &self.headers)
            }
        };
        verified.map_err(|_| SignatureError::Invalid)
    }
}

/// The signature base (RFC 9421 section 2.5).
fn base(
    target: Target<'_>,
    content_digest: &str,
    params: &HttpSignatureParams,
) -> Result<HttpSignatureBase, HttpSigError> {
    let values = [
        target.method.to_owned(),
        target.authority.to_owned(),
        target.path.to_owned(),
        format!("?{}", target.query),
        content_digest.to_owned(),
    ];
    let component = |(name, value): (&str, String)| {
        let id = HttpMessageComponentId::try_from(name)?;
        HttpMessageComponent::try_from((&id, [value].as_slice()))
    };
    let lines = COVERED.into_iter().zip(values).map(component).collect::<Result<Vec<_>, _>>()?;
    HttpSignatureBase::try_new(&lines, params)
}

/// A key of Ed25519, verified by the implementation that devices sign with.
struct Ed25519(VerifyingKey);

impl httpsig::prelude::VerifyingKey for Ed25519 {
    /// Strictly: neither the key nor the point of the signature is of a small order (RFC 8032 section 5.1.7).
    fn verify(&self, data: &[u8], signature: &[u8]) -> Result<(), HttpSigError> {
        let signature = Signature::from_slice(signature);
        let verified = signature.and_then(|signature| self.0.verify_strict(data, &signature));
        verified.map_err(|error| HttpSigError::InvalidSignature(error.to_string()))
    }

    fn key_id(&self) -> String {
        String::new()
    }

    fn alg(&self) -> AlgorithmName {
        AlgorithmName::Ed25519
    }
}

/// A signature that was made, for a library that wants to ask for it.
struct Made {
    signature: Vec<u8>,
    scheme: SignatureScheme,
}

impl SigningKey for Made {
    fn sign(&self, _: &[u8]) -> Result<Vec<u8>, HttpSigError> {
        Ok(self.signature.clone())
    }

    fn key_id(&self) -> String {
        String::new()
    }

    fn alg(&self) -> AlgorithmName {
        self.scheme.algorithm()
    }
}

#[cfg(test)]
#[path = "signing_tests.rs"]
mod tests;
