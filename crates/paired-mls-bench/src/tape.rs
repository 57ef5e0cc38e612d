//! The tape alone, in memory: what a paired commit adds on either side.

use paired_mls::{
    CipherSuite, DeviceId, FIRST_OPENING, Index, PairingId, Secret, Seed, Spot, TapeId, Vault,
    vault::MemoryStorage,
};
use serde::{Deserialize, Serialize};

use crate::{
    Failure,
    measure::{Side, quantile, time},
};

/// What one operation of the tape takes, in microseconds of CPU time.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct TapeCost {
    pub(crate) operation: String,
    pub(crate) rounds: usize,
    pub(crate) median_us: f64,
    pub(crate) q1_us: f64,
    pub(crate) q3_us: f64,
}

pub(crate) fn measure(rounds: usize) -> Result<Vec<TapeCost>, Failure> {
    let (sender, at_sender) = fresh(DeviceId(0))?;
    let (receiver, at_receiver) = fresh(DeviceId(1))?;
    let mut drawn = Vec::new();
    let mut taken = Vec::new();
    for position in 0..u64::try_from(rounds)? {
        let ((_, timed), _) = time(Side::Paired, "draw", || Ok(sender.draw(&at_sender, 1)?))?;
        drawn.push(timed.cpu_us());
        let spot = Spot { opening: FIRST_OPENING, index: index(position)? };
        let ((_, timed), _) = time(Side::Paired, "claim and settle", || {
            let value = receiver.claim(&at_receiver, spot, b"commit")?;
            receiver.settle(&at_receiver)?;
            Ok(value)
        })?;
        taken.push(timed.cpu_us());
    }
    Ok(vec![cost("draw", drawn), cost("claim and settle", taken)])
}

fn index(position: u64) -> Result<Index, Failure> {
    Ok(Index::new(DeviceId(0), position).ok_or("the position is below the end of the lane")?)
}

fn fresh(own: DeviceId) -> Result<(Vault, TapeId), Failure> {
    let (suite, pairing) = (CipherSuite::X25519Aes128, PairingId([9; 16]));
    let vault = Vault::new(MemoryStorage::new());
    let seed = Seed::new(suite, Secret::new(vec![2; suite.kdf_len()]))?;
    vault.create(suite, seed, pairing, &[DeviceId(0), DeviceId(1)], own)?;
    let tape = vault.open_group(pairing, b"bench")?;
    Ok((vault, tape))
}

fn cost(operation: &str, mut figures: Vec<f64>) -> TapeCost {
    figures.sort_by(f64::total_cmp);
    TapeCost {
        operation: operation.to_owned(),
        rounds: figures.len(),
        median_us: quantile(&figures, 0.5),
        q1_us: quantile(&figures, 0.25),
        q3_us: quantile(&figures, 0.75),
    }
}
