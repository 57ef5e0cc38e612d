//! Messages that leave the device.

use openmls::prelude::{CommitMessageBundle, MlsGroup, MlsMessageOut, ProtocolVersion};
use paired_mls_group::Outgoing;

use crate::{Device, Error, Platform};

/// What a commit gives the caller to deliver.
pub(crate) fn outgoing(bundle: CommitMessageBundle) -> Result<Outgoing, Error> {
    let (commit, welcome, group_info) = bundle.into_contents();
    Ok(Outgoing {
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
