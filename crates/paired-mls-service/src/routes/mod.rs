//! HTTP: each handler checks the media type, parses ids, calls, and encodes.

mod answer;
mod directory;
mod extract;
mod group;
mod key_package;
mod mailbox;
mod meta;
mod middleware;
mod pairing;
mod recovery;
mod signed;
mod subscribe;

use axum::{
    Router,
    middleware::from_fn_with_state,
    routing::{delete, get, post},
};
use paired_mls_api::path;

use self::signed::SignedBy;
use crate::{AppState, logic::Introduction};

/// The service.
pub fn app(state: AppState) -> Router {
    let signed_by = |by| from_fn_with_state((state.clone(), by), signed::authenticate);
    let signed = Router::new()
        .route(path::DEVICE, get(directory::device).delete(directory::revoke))
        .route(path::DEVICE_KEY_PACKAGE, post(key_package::claim))
        .route(path::DEVICE_MAILBOX, post(mailbox::post))
        .route(path::USER, get(directory::user))
        .route(path::APPROVALS, post(directory::approve).get(directory::approvals))
        .route(path::APPROVAL, delete(directory::disapprove))
        .route(
            path::RECOVERY_KEY,
            get(recovery::key).put(recovery::set_key).delete(recovery::drop_key),
        )
        .route(path::PAIRINGS, post(pairing::ask))
        .route(path::PAIRING, get(pairing::look))
        .route(
            path::KEY_PACKAGES,
            post(key_package::upload).get(key_package::count).delete(key_package::withdraw),
        )
        .route(path::MAILBOX, delete(mailbox::ack).get(mailbox::items))
        .route(path::MAILBOX_EVENTS, get(mailbox::events))
        .route(path::MAILBOX_SOCKET, get(mailbox::socket))
        .route(path::GROUPS, post(group::create))
        .route(path::GROUP, get(group::view))
        .route(path::GROUP_COMMITS, post(group::publish_commit))
        .route(path::GROUP_MESSAGES, post(group::publish_message).get(group::log))
        .route(path::GROUP_INFO, get(group::group_info).put(group::set_group_info))
        .route(path::GROUP_ROSTER, post(group::repair))
        .route(path::GROUP_EVENTS, get(group::events))
        .route(path::GROUP_SOCKET, get(group::socket))
        .route_layer(signed_by(SignedBy::Device));
    let registration = Router::new()
        .route(path::DEVICES, post(directory::register))
        .route_layer(signed_by(SignedBy::Introduced(Introduction::Registration)));
    let recovery = Router::new()
        .route(path::RECOVERY, post(recovery::recover))
        .route_layer(signed_by(SignedBy::Introduced(Introduction::Recovery)));
    let open = Router::new()
        .route(path::SERVICE, get(meta::service))
        .route(path::OPENAPI, get(meta::openapi))
        .route(path::LIVE, get(meta::live))
        .route(path::READY, get(meta::ready));
    signed
        .merge(registration)
        .merge(recovery)
        .merge(open)
        .fallback(meta::not_found)
        .method_not_allowed_fallback(meta::method)
        .layer(from_fn_with_state(state.clone(), middleware::observe))
        .layer(from_fn_with_state(state.clone(), middleware::headers))
        .with_state(state)
}

/// The metrics of a replica, for an address that only its operator reaches.
pub fn metrics_app(state: AppState) -> Router {
    Router::new().route(path::METRICS, get(meta::metrics)).with_state(state)
}
