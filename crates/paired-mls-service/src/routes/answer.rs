//! How answers are encoded.

use std::sync::Arc;

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use paired_mls_api::{MLS_MESSAGE, PROBLEM, Published};
use serde::Serialize;

use crate::{
    edge::Share,
    logic::{Failure, Page},
    store::Age,
};

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let problem = self.problem();
        let further = problem.clone();
        let status = StatusCode::from_u16(problem.status);
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let retry_after = problem.retry_after;
        let mut response = (status, Json(problem)).into_response();
        // Around the handlers it gets the number of the request.
        response.extensions_mut().insert(further);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM));
        if let Failure::Connected(_) = self {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if let Some(seconds) = retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

impl<T: Serialize> IntoResponse for Page<T> {
    fn into_response(self) -> Response {
        with_share(Json(self.content).into_response(), self.share)
    }
}

/// The memory of an answer is held until the client has it.
fn with_share(mut response: Response, share: Option<Arc<Share>>) -> Response {
    if let Some(share) = share {
        response.extensions_mut().insert(share);
    }
    response
}

/// A long body that is one MLS message.
pub(super) struct LongMls(pub(super) Page<Vec<u8>>);

impl IntoResponse for LongMls {
    fn into_response(self) -> Response {
        with_share(Mls(self.0.content).into_response(), self.0.share)
    }
}

/// A body that is one MLS message.
pub(super) struct Mls(pub(super) Vec<u8>);

impl IntoResponse for Mls {
    fn into_response(self) -> Response {
        ([(header::CONTENT_TYPE, MLS_MESSAGE)], self.0).into_response()
    }
}

/// 201 for what is new, 200 for what was there.
pub(super) fn published((published, age): (Published, Age)) -> impl IntoResponse {
    let status = match age {
        Age::New => StatusCode::CREATED,
        Age::Old => StatusCode::OK,
    };
    (status, Json(published))
}
