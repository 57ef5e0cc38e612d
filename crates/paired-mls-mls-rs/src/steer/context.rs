//! The sender's context of HPKE, with what the steering has exported.

use mls_rs::crypto::HpkeContextS;
use paired_mls::Secret;
use zeroize::Zeroizing;

use super::SteeredError;

/// `exporter_context` of the one export that MLS makes, for an external commit (RFC 9420 section 8.3).
pub(super) const EXTERNAL_INIT: &[u8] = b"MLS 1.0 external init secret";

/// HPKE's context of a sender (RFC 9180 section 5.1). mls-rs sets it up, and then asks for one secret of it.
pub enum SteeredContext<H> {
    /// The library's own.
    Real(H),
    /// The steering has exported this secret already, for [`EXTERNAL_INIT`].
    Exported(Secret),
}

impl<H: HpkeContextS> HpkeContextS for SteeredContext<H> {
    type Error = SteeredError<H::Error>;

    fn seal(&mut self, aad: Option<&[u8]>, data: &[u8]) -> Result<Vec<u8>, Self::Error> {
        match self {
            Self::Real(context) => context.seal(aad, data).map_err(SteeredError::Real),
            Self::Exported(_) => Err(SteeredError::Unexpected),
        }
    }

    fn export(
        &self,
        exporter_context: &[u8],
        len: usize,
    ) -> Result<Zeroizing<Vec<u8>>, Self::Error> {
        match self {
            Self::Real(context) => {
                context.export(exporter_context, len).map_err(SteeredError::Real)
            }
            Self::Exported(secret) if exporter_context == EXTERNAL_INIT && secret.len() == len => {
                Ok(secret.expose().to_vec().into())
            }
            Self::Exported(_) => Err(SteeredError::Unexpected),
        }
    }
}
