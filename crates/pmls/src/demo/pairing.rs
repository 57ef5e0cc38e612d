//! How the phone and the sensor come to share a tape: the pairing protocol, in standard mode, with
//! a seed that their owner brings on hardware.

use paired_mls::{
    DeviceId, Pairing, PairingId, Secret, Unpaired, Vault,
    conformance::Refused,
    pairing::{
        AnchorKind, Confirmation, Invited, Joined, Paired, PairingDevice, Party, RegistryEntry,
        Request, Roster, Seeded, Source,
    },
};

use super::cast::SUITE;

/// One device: what the directory knows of it, and its vault.
pub(crate) struct Candidate<'a> {
    pub(crate) identity: &'a str,
    pub(crate) signature_key: Vec<u8>,
    pub(crate) vault: &'a Vault,
}

impl Candidate<'_> {
    fn party(&self) -> Party {
        let identity = self.identity.as_bytes().to_vec();
        Party { identity, signature_key: self.signature_key.clone() }
    }
}

/// Pairs two devices; returns what their groups need to know.
pub(crate) fn pair(
    phone: &Candidate<'_>,
    sensor: &Candidate<'_>,
    id: PairingId,
    seed: &Secret,
) -> Result<Pairing, Refused> {
    let listed = |device, candidate: &Candidate<'_>| PairingDevice {
        device: DeviceId(device),
        party: candidate.party(),
    };
    let roster = Roster::new(id, SUITE, vec![listed(0, phone), listed(1, sensor)])?;
    let at_phone = seeded(phone, &roster, seed)?;
    let at_sensor = seeded(sensor, &roster, seed)?;

    // -> InitPairing, from the phone to the directory
    let (at_phone, request) = (at_phone.initiate(Request::Standard(AnchorKind::Node)))
        .map_err(|failed| Refused::from(failed.to_string()))?;
    let entry = RegistryEntry::open(&phone.party(), request.message.expose())?;
    // <- the request that waits, to the sensor; -> the same InitPairing, from the sensor
    let no_key_pair = |_, _: &_| false;
    let joined = at_sensor
        .receive_init(Source::Directory, entry.request(), no_key_pair)
        .map_err(|failed| Refused::from(failed.to_string()))?;
    let Joined::Standard { state: at_sensor, request } = joined else {
        return Err("the phone has asked for standard mode".into());
    };
    let entry = entry
        .submit(&sensor.party(), request.message.expose())
        .map_err(|failed| Refused::from(failed.to_string()))?;
    let RegistryEntry::Registered(registered) = entry else {
        return Err("both devices have asked".into());
    };
    // <- DirectoryAccept, to both
    let accept = registered.accept()?;
    let at_phone = waiting(receive(at_phone, phone, Source::Directory, accept.expose())?)?;
    let at_sensor = waiting(receive(at_sensor, sensor, Source::Directory, accept.expose())?)?;

    // -> Accept, <- Accept: both hold the same tape
    let from_phone = at_phone.accept(phone.vault)?.message;
    let from_sensor = at_sensor.accept(sensor.vault)?.message;
    let at_phone = paired(receive(at_phone, phone, Source::Relay, from_sensor.expose())?)?;
    let at_sensor = paired(receive(at_sensor, sensor, Source::Relay, from_phone.expose())?)?;
    let pairing = at_phone.terms().pairing();
    (pairing == at_sensor.terms().pairing())
        .then_some(pairing)
        .ok_or_else(|| "the devices have agreed on different pairings".into())
}

fn seeded(device: &Candidate<'_>, roster: &Roster, seed: &Secret) -> Result<Seeded, Refused> {
    Unpaired::new(device.party())
        .load_seed(device.vault, roster.clone(), seed)
        .map_err(|failed| failed.to_string().into())
}

fn receive(
    state: Invited,
    device: &Candidate<'_>,
    source: Source<'_>,
    message: &[u8],
) -> Result<Confirmation, Refused> {
    let received = state.receive(device.vault, source, message);
    received.map(|(next, _)| next).map_err(|failed| failed.to_string().into())
}

fn waiting(confirmation: Confirmation) -> Result<Invited, Refused> {
    match confirmation {
        Confirmation::Waiting(state) => Ok(state),
        other => Err(format!("a partner's Accept is still missing, and here is {other:?}").into()),
    }
}

fn paired(confirmation: Confirmation) -> Result<Paired, Refused> {
    match confirmation {
        Confirmation::Paired(state) => Ok(state),
        other => Err(format!("both have accepted, and here is {other:?}").into()),
    }
}
