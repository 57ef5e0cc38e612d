//! Group identifiers that are used for something else.

use paired_mls::code_points::is_reserved;

use crate::{PeerError, UsageError};

/// A group identifier that the caller has chosen.
///
/// # Errors
///
/// [`UsageError::ReservedGroup`].
pub fn require_free(group_id: &[u8]) -> Result<(), UsageError> {
    match is_reserved(group_id) {
        true => Err(UsageError::ReservedGroup(group_id.to_vec())),
        false => Ok(()),
    }
}

/// A group identifier that somebody else has chosen.
///
/// # Errors
///
/// [`PeerError::ReservedGroup`].
pub fn require_unreserved(group_id: &[u8]) -> Result<(), PeerError> {
    match is_reserved(group_id) {
        true => Err(PeerError::ReservedGroup(group_id.to_vec())),
        false => Ok(()),
    }
}
