//! How the two devices behind one leaf come to share a tape and the leaf's key: the pairing protocol,
//! in hidden mode, over a 1-to-1 channel whose digits are compared.

use openmls_rust_crypto::RustCrypto;
use openmls_traits::random::OpenMlsRand as _;
use paired_mls::{
    DeviceId, PairingId, Secret, Vault,
    conformance::{Framing, Refused},
    pairing::{
        ChannelTrust, Outbound, PairingBook, PairingDevice, Party, Progress, Request, Roster,
        Route, Source, StateName,
    },
    vault::MemoryStorage,
};
use paired_mls_openmls::{
    Channel, Device, MemoryProvider, generate_signature_key, is_key_pair,
    openmls::prelude::Ciphersuite,
};
use paired_mls_peers::{LeafMode, OpenMlsLeafDevice};

use super::cast::SUITE;

/// Both devices, ready to share a leaf, and the digits that their owner has compared.
pub(super) struct Met {
    pub(super) phone: OpenMlsLeafDevice,
    pub(super) sensor: OpenMlsLeafDevice,
    pub(super) digits: [String; 2],
}

/// One of the devices, before it shares anything.
struct Alone {
    device: Device<MemoryProvider<RustCrypto>>,
    party: Party,
    vault: MemoryStorage,
    channel: Option<Channel>,
}

impl Alone {
    fn new(identity: &str, suite: Ciphersuite) -> Result<Self, Refused> {
        let vault = MemoryStorage::new();
        let provider = MemoryProvider::new(RustCrypto::default());
        let at_vault = Vault::new(vault.clone());
        let device = Device::generate(provider, at_vault, suite, identity.as_bytes())?;
        let signature_key = device.signature_key().to_vec();
        let party = Party { identity: identity.into(), signature_key };
        Ok(Self { device, party, vault, channel: None })
    }

    fn book(&self) -> PairingBook<'_> {
        PairingBook::new(self.device.vault(), self.party.clone())
    }

    fn channel(&mut self) -> Result<&mut Channel, Refused> {
        Ok(self.channel.as_mut().ok_or("the channel is open")?)
    }
}

/// Pairs two devices of one user; both end up with the tape and the leaf's key in their vaults.
pub(super) fn meet(identity: &str, framing: Framing, id: PairingId) -> Result<Met, Refused> {
    let suite = Ciphersuite::try_from(SUITE.code_point()).map_err(|_| "a suite of OpenMLS")?;
    let mut pair = [Alone::new(identity, suite)?, Alone::new(identity, suite)?];
    let [phone, sensor] = &mut pair;

    // -> the channel, and the same digits on both
    let key_package = sensor.device.key_package(suite)?;
    let (channel, welcome) = Channel::open(&phone.device, b"demo, 1-to-1", &[key_package])?;
    phone.channel = Some(channel);
    sensor.channel = Some(Channel::join(&sensor.device, &welcome)?);
    let mut digits = [String::new(), String::new()];
    for (shown, alone) in digits.iter_mut().zip(&pair) {
        let channel = alone.channel.as_ref().ok_or("the channel is open")?;
        *shown = channel.digits(&alone.device)?.to_string();
    }
    let [at_phone, at_sensor] = &digits;
    if at_phone != at_sensor {
        return Err("somebody is between the devices: their digits differ".into());
    }

    // -> ShareRand, over the channel
    let [phone, sensor] = &pair;
    let listed = |device, alone: &Alone| PairingDevice {
        device: DeviceId(device),
        party: alone.party.clone(),
    };
    let roster = Roster::new(id, SUITE, vec![listed(0, phone), listed(1, sensor)])?;
    let seed = Secret::new(RustCrypto::default().random_vec(SUITE.kdf_len())?);
    let channel = phone.channel.as_ref().ok_or("the channel is open")?;
    let channel = channel.one_to_one(ChannelTrust::Compared);
    let seeded = phone.book().share_rand(roster, &seed, &channel)?;
    deliver(&mut pair, 0, seeded)?;

    // -> InitPairing with the leaf's key pair, over the channel; -> Accept, <- Accept
    let key_pair = generate_signature_key(&RustCrypto::default(), SUITE)?;
    let request = Request::Hidden { key_pair: &key_pair, channel: &channel };
    let [phone, _] = &pair;
    let invited = phone.book().initiate(id, request)?;
    deliver(&mut pair, 0, invited)?;

    let mut keys = Vec::new();
    for alone in &pair {
        let state = alone.book().resend(id)?.state;
        if state != StateName::Paired {
            return Err(format!("a device is {state} and not paired").into());
        }
        let key = alone.device.vault().with_anchor_key(id, |pair| {
            (pair.private_key.expose().to_vec(), pair.public_key.clone())
        })?;
        keys.push(key.ok_or("the leaf's key lies in the vault")?);
    }
    let devices = OpenMlsLeafDevice::with_keys(LeafMode::Hidden, SUITE, framing, identity, keys)?;
    let [phone, sensor]: [OpenMlsLeafDevice; 2] =
        devices.try_into().map_err(|_| "two keys give two devices")?;
    let [at_phone, at_sensor] = pair;
    let phone = phone.with_vault(at_phone.vault, id)?;
    let sensor = sensor.with_vault(at_sensor.vault, id)?;
    Ok(Met { phone, sensor, digits })
}

/// What a step gave goes its way, and so does what comes of it.
fn deliver(pair: &mut [Alone; 2], from: usize, progress: Progress) -> Result<(), Refused> {
    for outbound in progress.send {
        let received = match outbound.route {
            Route::OneToOne => over_channel(pair, from, &outbound)?,
            _ => {
                let to = pair.get(1 - from).ok_or("there are two devices")?;
                receive(to, Source::Relay, outbound.message.expose())?
            }
        };
        deliver(pair, 1 - from, received)?;
    }
    Ok(())
}

fn over_channel(
    pair: &mut [Alone; 2],
    from: usize,
    outbound: &Outbound,
) -> Result<Progress, Refused> {
    let sender = pair.get_mut(from).ok_or("there are two devices")?;
    let mut channel = sender.channel.take().ok_or("the channel is open")?;
    let message = channel.send(&sender.device, outbound)?;
    sender.channel = Some(channel);

    let receiver = pair.get_mut(1 - from).ok_or("there are two devices")?;
    let mut channel = receiver.channel.take().ok_or("the channel is open")?;
    let heard = channel.receive(&receiver.device, &message)?;
    receiver.channel = Some(channel);
    let (sender, message) = heard.ok_or("the partner has sent it")?;
    let one_to_one = receiver.channel()?.one_to_one(ChannelTrust::Compared);
    let source = Source::OneToOne { channel: &one_to_one, sender: &sender };
    receive(receiver, source, message.expose())
}

fn receive(device: &Alone, source: Source<'_>, message: &[u8]) -> Result<Progress, Refused> {
    let crypto = RustCrypto::default();
    let is_pair = |suite, pair: &_| is_key_pair(&crypto, suite, pair);
    Ok(device.book().receive(source, message, &is_pair)?)
}
