//! What is asked of the service.

use bytes::Bytes;
use paired_mls_api::JSON;
use reqwest::Method;
use serde::Serialize;

/// A request before it is signed.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) path: String,
    /// Without its question mark; empty for none.
    pub(crate) query: String,
    /// Empty for none.
    pub(crate) media_type: &'static str,
    pub(crate) body: Bytes,
    pub(crate) repeat: Repeat,
}

/// Whether a request may be made again when nobody knows what became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// The second one changes nothing, and is answered like the first.
    Harmless,
    /// It would take effect twice, or be refused for what the first one did.
    NeverBlindly,
}

impl Request {
    fn new(method: Method, path: impl Into<String>) -> Self {
        Self {
            method,
            path: path.into(),
            query: String::new(),
            media_type: "",
            body: Bytes::new(),
            repeat: Repeat::Harmless,
        }
    }

    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path)
    }

    pub(crate) fn delete(path: impl Into<String>) -> Self {
        Self::new(Method::DELETE, path)
    }

    pub(crate) fn put(path: impl Into<String>) -> Self {
        Self::new(Method::PUT, path)
    }

    pub(crate) fn post(path: impl Into<String>) -> Self {
        Self::new(Method::POST, path)
    }

    pub(crate) fn json<T: Serialize>(self, body: &T) -> Self {
        let body = serde_json::to_vec(body).expect("the bodies of the API are plain data");
        self.bytes(JSON, body)
    }

    pub(crate) fn bytes(self, media_type: &'static str, body: impl Into<Bytes>) -> Self {
        Self { media_type, body: body.into(), ..self }
    }

    /// Adds a number to the query.
    pub(crate) fn with(mut self, name: &str, value: impl Into<u64>) -> Self {
        let separator = if self.query.is_empty() { "" } else { "&" };
        self.query.push_str(&format!("{separator}{name}={}", value.into()));
        self
    }

    /// Adds how many entries or items are wanted, unless it is all the same.
    pub(crate) fn limited(self, limit: Option<u32>) -> Self {
        match limit {
            Some(limit) => self.with("limit", limit),
            None => self,
        }
    }

    pub(crate) fn never_blindly_again(self) -> Self {
        Self { repeat: Repeat::NeverBlindly, ..self }
    }

    /// The path and the query, as they stand in the request.
    pub(crate) fn path_and_query(&self) -> String {
        let Self { path, query, .. } = self;
        if query.is_empty() { path.clone() } else { format!("{path}?{query}") }
    }
}
