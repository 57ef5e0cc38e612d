//! The 1-to-1 channel: an MLS group of the devices of a pairing, and of nobody else.

use openmls::prelude::{
    Ciphersuite, GroupId, KeyPackage, MlsGroup, MlsGroupCreateConfig, MlsGroupJoinConfig,
    MlsMessageBodyIn, PURE_CIPHERTEXT_WIRE_FORMAT_POLICY, ProcessedMessageContent,
    ProcessedWelcome, Sender,
};
use paired_mls::{
    CipherSuite, Secret,
    code_points::SHORT_AUTH_EXPORTER_LABEL,
    pairing::{ChannelTrust, OneToOne, Outbound, Party, Route, ShortAuthString, Transcript},
};

use crate::{
    Device, Error, PeerError, Platform, UsageError, group::parse, outgoing::message_bytes,
    package::validate, provider::atomically,
};

/// The length that messages are padded to a multiple of, in bytes: they are few and short.
const PADDING: usize = 1024;

/// The 1-to-1 channel of a pairing: an MLS group of its devices, in which pairing messages go as
/// application messages.
///
/// It has one epoch: whoever has opened it has added all the others, and nobody changes it
/// afterwards. So the members that a device sees when it joins are those that it sends to, and the
/// digits are the same on all devices for as long as it lives.
///
/// # Security
///
/// An MLS group is as good as its members' credentials. Where no authentication service vouches for
/// them, somebody may sit between the devices and open a group with each: compare the
/// [digits](Channel::digits) on all devices, and then tell the
/// [book](paired_mls::pairing::PairingBook::confirm_channel).
pub struct Channel {
    mls: MlsGroup,
}

impl Channel {
    /// Opens a channel with the devices of these KeyPackages, each an `MLSMessage`. `id` is random and
    /// used once.
    ///
    /// Returns the channel, and the Welcome for all of them.
    ///
    /// # Errors
    ///
    /// [`Error::Peer`] for a KeyPackage that is not valid; [`Error::Mls`], [`Error::Storage`].
    pub fn open<P: Platform>(
        device: &Device<P>,
        id: &[u8],
        partners: &[Vec<u8>],
    ) -> Result<(Self, Vec<u8>), Error> {
        let packages = partners.iter().map(|bytes| validate(device, bytes));
        let packages = packages.collect::<Result<Vec<KeyPackage>, _>>()?;
        let suite = packages.first().map(KeyPackage::ciphersuite);
        let suite = suite.ok_or(UsageError::EmptyChannel)?;
        let (provider, signer) = (device.provider(), device.signer());
        atomically(provider, || {
            let mut mls = MlsGroup::new_with_group_id(
                provider,
                signer,
                &create_config(suite),
                GroupId::from_slice(id),
                device.credential().clone(),
            )
            .map_err(Error::mls("open a 1-to-1 channel"))?;
            let (_, welcome, _) = mls
                .add_members(provider, signer, &packages)
                .map_err(Error::mls("add the partners to the 1-to-1 channel"))?;
            // Nobody else is in the group yet who could have committed.
            mls.merge_pending_commit(provider).map_err(Error::storage("merge a commit"))?;
            Ok((Self { mls }, message_bytes(welcome)?))
        })
    }

    /// Joins a channel that a partner has opened with a KeyPackage of this device.
    ///
    /// # Errors
    ///
    /// [`Error::Peer`] for a Welcome that is damaged or is none; [`Error::Storage`].
    pub fn join<P: Platform>(device: &Device<P>, welcome: &[u8]) -> Result<Self, Error> {
        let MlsMessageBodyIn::Welcome(welcome) = parse(welcome)?.extract() else {
            return Err(PeerError::Kind("Welcome").into());
        };
        let provider = device.provider();
        atomically(provider, || {
            let mls = ProcessedWelcome::new_from_welcome(provider, &join_config(), welcome)
                .and_then(|processed| processed.into_staged_welcome(provider, None))
                .and_then(|staged| staged.into_group(provider))
                .map_err(PeerError::message)?;
            Ok(Self { mls })
        })
    }

    /// Loads a channel.
    ///
    /// # Errors
    ///
    /// [`UsageError::NoSuchGroup`]; [`Error::Storage`].
    pub fn load<P: Platform>(device: &Device<P>, id: &[u8]) -> Result<Self, Error> {
        let mls = MlsGroup::load(device.provider().storage(), &GroupId::from_slice(id));
        let mls = mls.map_err(Error::storage("load a group"))?;
        Ok(Self { mls: mls.ok_or(UsageError::NoSuchGroup)? })
    }

    /// Erases the channel: the pairing has come about, or not.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`].
    pub fn close<P: Platform>(mut self, device: &Device<P>) -> Result<(), Error> {
        let deleted = self.mls.delete(device.provider().storage());
        deleted.map_err(Error::storage("erase the 1-to-1 channel"))
    }

    /// The channel's identifier.
    pub fn id(&self) -> &[u8] {
        self.mls.group_id().as_slice()
    }

    /// All members, this device included.
    pub fn members(&self) -> Vec<Party> {
        let party = |member: openmls::prelude::Member| Party {
            identity: member.credential.serialized_content().to_vec(),
            signature_key: member.signature_key,
        };
        self.mls.members().map(party).collect()
    }

    /// The channel as the pairing protocol sees it.
    pub fn one_to_one(&self, trust: ChannelTrust) -> OneToOne {
        OneToOne { members: self.members(), trust }
    }

    /// The digits that people compare on all devices, before anything is sent.
    ///
    /// # Errors
    ///
    /// [`Error::Mls`]; [`UsageError::CipherSuite`].
    pub fn digits<P: Platform>(&self, device: &Device<P>) -> Result<ShortAuthString, Error> {
        let (suite, exported) = self.export(device)?;
        Ok(ShortAuthString::of_channel(suite, &exported)?)
    }

    /// The digits of the channel and of the pairing messages of all devices.
    ///
    /// # Errors
    ///
    /// As [`Channel::digits`].
    pub fn digits_of<P: Platform>(
        &self,
        device: &Device<P>,
        transcript: &Transcript,
    ) -> Result<ShortAuthString, Error> {
        let (suite, exported) = self.export(device)?;
        Ok(ShortAuthString::derive(suite, &exported, transcript)?)
    }

    /// Encrypts a pairing message for all partners; returns its `MLSMessage`.
    ///
    /// # Errors
    ///
    /// [`UsageError::NotForTheChannel`] for a message that goes to the directory; [`Error::Mls`].
    pub fn send<P: Platform>(
        &mut self,
        device: &Device<P>,
        outbound: &Outbound,
    ) -> Result<Vec<u8>, Error> {
        if outbound.route == Route::Directory {
            return Err(UsageError::NotForTheChannel.into());
        }
        let sent = atomically(device.provider(), || {
            self.mls
                .create_message(device.provider(), device.signer(), outbound.message.expose())
                .map_err(Error::mls("encrypt a pairing message"))
        });
        if sent.is_err() {
            *self = Self::load(device, self.id())?;
        }
        message_bytes(sent?)
    }

    /// Decrypts a message of the channel.
    ///
    /// Returns the partner that has sent it, as MLS authenticated it, and the pairing message; `None` for
    /// a message of this device itself.
    ///
    /// # Errors
    ///
    /// [`PeerError::ChannelChanged`] for a commit or a proposal; [`PeerError::Message`] for what MLS does
    /// not accept, a replay among them. The channel is as it was before.
    pub fn receive<P: Platform>(
        &mut self,
        device: &Device<P>,
        message: &[u8],
    ) -> Result<Option<(Party, Secret)>, Error> {
        let parsed = parse(message)?.try_into_protocol_message().map_err(PeerError::message)?;
        let received = atomically(device.provider(), || {
            let processed =
                self.mls.process_message(device.provider(), parsed).map_err(PeerError::message)?;
            let sender = match processed.sender() {
                Sender::Member(index) => self.mls.member_at(*index),
                _ => None,
            };
            match (processed.into_content(), sender) {
                (ProcessedMessageContent::ApplicationMessage(message), Some(sender)) => {
                    let party = Party {
                        identity: sender.credential.serialized_content().to_vec(),
                        signature_key: sender.signature_key,
                    };
                    Ok(Some((party, Secret::new(message.into_bytes()))))
                }
                (ProcessedMessageContent::OwnPrivateMessage, _) => Ok(None),
                _ => Err(PeerError::ChannelChanged.into()),
            }
        });
        if received.is_err() {
            *self = Self::load(device, self.id())?;
        }
        received
    }

    fn export<P: Platform>(&self, device: &Device<P>) -> Result<(CipherSuite, Secret), Error> {
        let code_point = u16::from(self.mls.ciphersuite());
        let suite = CipherSuite::try_from(code_point).map_err(|_| UsageError::CipherSuite)?;
        let crypto = device.provider().crypto();
        let exported = self
            .mls
            .export_secret(crypto, SHORT_AUTH_EXPORTER_LABEL, &[], suite.kdf_len())
            .map_err(Error::mls("export a secret of the 1-to-1 channel"))?;
        Ok((suite, Secret::new(exported)))
    }
}

fn create_config(suite: Ciphersuite) -> MlsGroupCreateConfig {
    MlsGroupCreateConfig::builder()
        .ciphersuite(suite)
        .wire_format_policy(PURE_CIPHERTEXT_WIRE_FORMAT_POLICY)
        .padding_size(PADDING)
        .use_ratchet_tree_extension(true)
        .build()
}

fn join_config() -> MlsGroupJoinConfig {
    MlsGroupJoinConfig::builder()
        .wire_format_policy(PURE_CIPHERTEXT_WIRE_FORMAT_POLICY)
        .padding_size(PADDING)
        .use_ratchet_tree_extension(true)
        .build()
}
