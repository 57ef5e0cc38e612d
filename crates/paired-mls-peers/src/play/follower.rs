//! A group with a member that can follow, and commits nothing: rfc9420, on Python.

use std::path::Path;

use openmls_rust_crypto::RustCrypto;
use paired_mls::{
    CipherSuite, DeviceId, Pairing, PairingId, Secret, Seed,
    conformance::{Content, Framing, Heard, Member, PairedMember as _, Refused},
};

use crate::{
    OpenMlsDevice, StockMlsRs, StockOpenMls,
    foreign::{Foreign, Kind},
};

const SUITE: CipherSuite = CipherSuite::X25519Aes128;
const FRAMING: Framing = Framing::Public;

/// Two devices of a pairing, OpenMLS, mls-rs and ts-mls commit in turns, `rounds` times each; rfc9420 follows, and
/// everybody reads what everybody sends. Returns how many commits it has followed.
///
/// # Errors
///
/// Somebody who refuses, or is in another epoch.
pub fn follow(tools: &Path, rounds: usize) -> Result<usize, Refused> {
    let mut devices: [OpenMlsDevice; 2] = [
        OpenMlsDevice::new(SUITE, FRAMING, "device 0")?,
        OpenMlsDevice::new(SUITE, FRAMING, "device 1")?,
    ];
    let keys: Vec<_> = devices.iter().map(|device| device.signature_key()).collect();
    let pairing = Pairing::new(PairingId([7; 16]), keys);
    let foreign = |kind: Kind| Foreign::start(kind, tools, SUITE, FRAMING, kind.name());
    let mut stock: [Box<dyn Member>; 4] = [
        Box::new(StockOpenMls::<RustCrypto>::new(SUITE, FRAMING, "OpenMLS")?),
        Box::new(StockMlsRs::new(SUITE, FRAMING, "mls-rs")?),
        Box::new(foreign(Kind::TsMls)?),
        Box::new(foreign(Kind::Rfc9420)?),
    ];

    let [first, second] = &mut devices;
    let mut adds = vec![second.key_package()?];
    for member in &mut stock {
        adds.push(member.key_package()?);
    }
    first.create(b"a follower")?;
    let sent = first.commit(&Content { adds, removes: Vec::new() })?;
    first.confirm()?;
    let welcome = sent.welcome.ok_or("the commit that adds has no Welcome")?;
    second.join(&welcome)?;
    for member in &mut stock {
        member.join(&welcome)?;
    }
    for (device, own) in devices.iter_mut().zip((0..).map(DeviceId)) {
        let seed = Seed::new(SUITE, Secret::new(vec![0x5e; SUITE.kdf_len()]))?;
        pairing.install(device.vault(), SUITE, seed, own)?;
        device.pair(&pairing)?;
    }

    let paired = devices.iter_mut().map(|device| device as &mut dyn Member);
    let mut members: Vec<_> = paired.chain(stock.iter_mut().map(|member| &mut **member)).collect();
    let (count, committers) = (members.len(), members.len().saturating_sub(1));
    let mut followed = 0;
    for _ in 0..rounds {
        for by in 0..committers {
            let commit = {
                let committer = members.get_mut(by).ok_or("no such member")?;
                let commit = committer.commit(&Content::default())?.commit;
                committer.confirm()?;
                commit
            };
            for (n, member) in members.iter_mut().enumerate().filter(|(n, _)| *n != by) {
                member.process(&commit).map_err(|error| format!("member {n}: {error}"))?;
            }
            let mut tags = members.iter().map(|member| member.epoch_authenticator());
            let expected = tags.next().ok_or("somebody is there")?;
            if tags.any(|tag| tag != expected) {
                return Err(format!("not everybody has followed the commit of member {by}").into());
            }
            followed += 1;
        }
        for by in 0..count {
            let said = format!("from member {by}").into_bytes();
            let message = members.get_mut(by).ok_or("no such member")?.send(&said)?;
            for (n, member) in members.iter_mut().enumerate().filter(|(n, _)| *n != by) {
                let heard = member.process(&message);
                let heard = heard.map_err(|error| format!("member {n}, from {by}: {error}"))?;
                if heard != Heard::Application(said.clone()) {
                    return Err(format!("member {n} heard {heard:?}").into());
                }
            }
        }
    }
    Ok(followed)
}
