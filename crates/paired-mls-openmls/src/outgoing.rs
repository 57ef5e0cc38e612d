//! Messages that leave the device.

use openmls::prelude::{CommitMessageBundle, MlsGroup, MlsMessageOut, ProtocolVersion};

use paired_mls::Event;

use crate::{Device, Error, Platform};

/// What a commit gives the caller to deliver. Each is a serialized `MLSMessage` (RFC 9420
/// section 6).
///
/// Deliver it, and then tell the group the outcome: `confirm` if the delivery service accepted the
/// commit, `discard` if another one won the epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// For all members.
    pub commit: Vec<u8>,
    /// For those whom the commit adds.
    pub welcome: Option<Vec<u8>>,
    /// For the partner whose leaf the commit renews, in place of `welcome`: the Welcome, and what proves
    /// that a device of the pairing has made it. It goes by mailbox.
    pub refresh: Option<Vec<u8>>,
    /// The new epoch's GroupInfo, if the group is configured to publish it.
    pub group_info: Option<Vec<u8>>,
    /// For the other devices of a shared leaf, ahead of the commit; they follow more easily with it.
    pub notify: Option<Vec<u8>>,
    /// What the commit does not do that one might expect of it: for instance, a proposal that it leaves
    /// out.
    pub events: Vec<Event>,
}

impl Outgoing {
    pub(crate) fn new(bundle: CommitMessageBundle) -> Result<Self, Error> {
        let (commit, welcome, group_info) = bundle.into_contents();
        Ok(Self {
            commit: message_bytes(commit)?,
            welcome: welcome
                .map(|w| message_bytes(MlsMessageOut::from_welcome(w, ProtocolVersion::Mls10)))
                .transpose()?,
            group_info: group_info.map(|info| message_bytes(info.into())).transpose()?,
            refresh: None,
            notify: None,
            events: Vec::new(),
        })
    }
}

/// The GroupInfo of the current epoch, with the ratchet tree in it.
pub(crate) fn group_info<P: Platform>(
    mls: &MlsGroup,
    device: &Device<P>,
) -> Result<Vec<u8>, Error> {
    let info = mls
        .export_group_info(device.provider().crypto(), device.signer(), true)
        .map_err(Error::mls("export the GroupInfo"))?;
    message_bytes(info)
}

/// The bytes of an `MLSMessage`.
pub(crate) fn message_bytes(message: MlsMessageOut) -> Result<Vec<u8>, Error> {
    message.to_bytes().map_err(Error::mls("serialize a message"))
}
