//! Who mls-rs takes for a member: anybody. The engine asks the device's credential policy about every leaf, and says
//! what becomes of it; to refuse here what stock members take would only put this device out of step.

use std::convert::Infallible;

use mls_rs::{
    ExtensionList, IdentityProvider,
    identity::{CredentialType, SigningIdentity},
    mls_rs_codec::MlsEncode as _,
    time::MlsTime,
};
use mls_rs_core::identity::MemberValidationContext;

/// Accepts every credential.
///
/// It is of use to whoever reads the MLS state of a device by mls-rs itself: mls-rs keeps an index of the identities in
/// it, which are those that this one gives.
#[derive(Clone, Copy, Debug)]
pub struct Anybody;

impl IdentityProvider for Anybody {
    type Error = Infallible;

    fn validate_member(
        &self,
        _: &SigningIdentity,
        _: Option<MlsTime>,
        _: MemberValidationContext<'_>,
    ) -> Result<(), Infallible> {
        Ok(())
    }

    fn validate_external_sender(
        &self,
        _: &SigningIdentity,
        _: Option<MlsTime>,
        _: Option<&ExtensionList>,
    ) -> Result<(), Infallible> {
        Ok(())
    }

    /// mls-rs wants no two members to have the same, which RFC 9420 does not: a user may have several devices. The
    /// signature key, of which there are no two, tells them apart.
    fn identity(&self, of: &SigningIdentity, _: &ExtensionList) -> Result<Vec<u8>, Infallible> {
        Ok(of.mls_encode_to_vec().unwrap_or_else(|_| of.signature_key.to_vec()))
    }

    fn valid_successor(
        &self,
        _: &SigningIdentity,
        _: &SigningIdentity,
        _: &ExtensionList,
    ) -> Result<bool, Infallible> {
        Ok(true)
    }

    fn supported_types(&self) -> Vec<CredentialType> {
        vec![CredentialType::BASIC]
    }
}
