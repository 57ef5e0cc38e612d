//! The media types of bodies.

use paired_mls::code_points;

/// One `MLSMessage` (RFC 9420 section 17.10).
pub const MLS_MESSAGE: &str = code_points::media_type::MLS_MESSAGE;
/// One message of the pairing protocol.
pub const PAIRING_MESSAGE: &str = code_points::media_type::PAIRING_MESSAGE;
/// Everything else that has a body.
pub const JSON: &str = "application/json";
/// An error (RFC 9457).
pub const PROBLEM: &str = "application/problem+json";
/// Server-Sent Events.
pub const EVENT_STREAM: &str = "text/event-stream";
