//! What the service answers.

use bytes::Bytes;
use paired_mls_api::{JSON, Problem, ProblemKind};
use reqwest::{
    StatusCode,
    header::{CONTENT_TYPE, HeaderMap, HeaderName},
};
use serde::de::DeserializeOwned;

use crate::ClientError;

/// The whole answer to a request that was served.
pub(crate) struct Answer {
    pub(crate) server: String,
    pub(crate) status: StatusCode,
    pub(crate) media_type: String,
    pub(crate) body: Bytes,
}

impl Answer {
    /// The JSON in it.
    pub(crate) fn json<T: DeserializeOwned>(self) -> Result<T, ClientError> {
        let read = (self.media_type == JSON).then(|| serde_json::from_slice(&self.body).ok());
        read.flatten().ok_or_else(|| self.not_the_service())
    }

    /// The body, of this media type.
    pub(crate) fn bytes(self, media_type: &str) -> Result<Vec<u8>, ClientError> {
        if self.media_type != media_type {
            return Err(self.not_the_service());
        }
        Ok(self.body.into())
    }

    /// Nothing: what was asked for is done.
    pub(crate) fn nothing(self) -> Result<(), ClientError> {
        if self.status != StatusCode::NO_CONTENT {
            return Err(self.not_the_service());
        }
        Ok(())
    }

    fn not_the_service(self) -> ClientError {
        ClientError::NotTheService { server: self.server, status: self.status.as_u16() }
    }
}

/// Nothing, where the service says that there is nothing.
pub(crate) fn if_found<T>(answer: Result<T, ClientError>) -> Result<Option<T>, ClientError> {
    match answer {
        Err(error) if error.problem() == Some(ProblemKind::NotFound) => Ok(None),
        answer => answer.map(Some),
    }
}

/// The value of a header.
pub(crate) fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// The media type of a body, without its parameters.
pub(crate) fn media_type(headers: &HeaderMap) -> String {
    let value = text(headers, CONTENT_TYPE).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Without anything that would steer the terminal it is shown on.
pub(crate) fn printable(mut problem: Problem) -> Problem {
    problem.title.retain(|character| !character.is_control());
    if let Some(detail) = &mut problem.detail {
        detail.retain(|character| !character.is_control());
    }
    problem
}
