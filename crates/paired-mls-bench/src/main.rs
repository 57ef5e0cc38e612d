//! Paired beside ordinary commits, and the passive device's processing of each, in one run.
//!
//! `./bench.sh` runs it. What counts is the ratio: both sides are measured side by side, on the same
//! machine, in groups that are alike to the last leaf.

mod group;
mod report;

use std::{process::ExitCode, time::Duration};

use criterion::{BatchSize, BenchmarkId, Criterion};
use openmls::prelude::{MlsGroup, MlsMessageIn, ProcessedMessageContent};
use openmls_basic_credential::SignatureKeyPair;
use openmls_traits::OpenMlsProvider as _;
use paired_mls::{
    CipherSuite, DeviceId, FIRST_OPENING, Index, PairingId, Secret, Seed, Spot, Vault,
    vault::MemoryStorage,
};
use tls_codec::DeserializeBytes as _;

use crate::group::{BenchDevice, Member, paired, populated, stock};

/// Whatever went wrong.
pub(crate) type Failure = Box<dyn std::error::Error>;

const SIZES: [usize; 3] = [10, 100, 1000];

fn main() -> ExitCode {
    let quick = std::env::args().any(|argument| argument == "--quick");
    match run(quick) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the benchmark failed: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(quick: bool) -> Result<(), Failure> {
    let (seconds, samples) = if quick { (2, 20) } else { (10, 100) };
    let mut criterion = Criterion::default()
        .measurement_time(Duration::from_secs(seconds))
        .warm_up_time(Duration::from_millis(500))
        .sample_size(samples)
        .without_plots();

    tape(&mut criterion)?;
    let mut rows = Vec::new();
    for size in SIZES {
        let (phone, sensor) = populated(size)?;
        let copy = phone.copy();
        let ordinary = ordinary_commit(&mut stock(&copy)?, &copy, &phone.signer())?;
        let copy = phone.copy();
        let paired = paired(&copy)?.update(&copy)?.commit;
        commits(&mut criterion, size, &phone);
        processing(&mut criterion, size, &sensor, &ordinary, &paired);
        rows.push(report::Row { size, ordinary: ordinary.len(), paired: paired.len() });
    }
    report::print(&rows)
}

/// The commit that stock OpenMLS makes, with nothing but a path.
fn ordinary_commit(
    group: &mut MlsGroup,
    device: &BenchDevice,
    signer: &SignatureKeyPair,
) -> Result<Vec<u8>, Failure> {
    let provider = device.provider();
    let bundle = group
        .commit_builder()
        .force_self_update(true)
        .load_psks(provider.storage())?
        .build(provider.rand(), provider.crypto(), signer, |_| true)?
        .stage_commit(provider)?;
    Ok(bundle.into_commit().to_bytes()?)
}

/// What a stock OpenMLS member does with a commit.
fn ordinary_processing(
    group: &mut MlsGroup,
    device: &BenchDevice,
    commit: &[u8],
) -> Result<(), Failure> {
    let provider = device.provider();
    let message = MlsMessageIn::tls_deserialize_exact_bytes(commit)?.try_into_protocol_message()?;
    let processed = group.process_message(provider, message)?;
    let ProcessedMessageContent::StagedCommitMessage(staged) = processed.into_content() else {
        return Err("a commit is a commit".into());
    };
    Ok(group.merge_staged_commit(provider, *staged)?)
}

fn commits(criterion: &mut Criterion, size: usize, phone: &Member) {
    let signer = phone.signer();
    let mut group = criterion.benchmark_group("commit");
    group.bench_function(BenchmarkId::new("ordinary", size), |bencher| {
        bencher.iter_batched(
            || {
                let device = phone.copy();
                let group = stock(&device).expect("the group is stored");
                (device, group)
            },
            |(device, mut group)| {
                let sent = ordinary_commit(&mut group, &device, &signer);
                (sent.expect("an ordinary commit"), device, group)
            },
            BatchSize::PerIteration,
        );
    });
    group.bench_function(BenchmarkId::new("paired", size), |bencher| {
        bencher.iter_batched(
            || {
                let device = phone.copy();
                let group = paired(&device).expect("the group is stored");
                (device, group)
            },
            |(device, mut group)| (group.update(&device).expect("a paired commit"), device, group),
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

fn processing(
    criterion: &mut Criterion,
    size: usize,
    sensor: &Member,
    ordinary_commit: &[u8],
    paired_commit: &[u8],
) {
    let mut group = criterion.benchmark_group("process");
    group.bench_function(BenchmarkId::new("ordinary", size), |bencher| {
        bencher.iter_batched(
            || {
                let device = sensor.copy();
                let group = stock(&device).expect("the group is stored");
                (device, group)
            },
            |(device, mut group)| {
                ordinary_processing(&mut group, &device, ordinary_commit).expect("it is accepted");
                (device, group)
            },
            BatchSize::PerIteration,
        );
    });
    group.bench_function(BenchmarkId::new("paired", size), |bencher| {
        bencher.iter_batched(
            || {
                let device = sensor.copy();
                let group = paired(&device).expect("the group is stored");
                (device, group)
            },
            |(device, mut group)| {
                (group.process(&device, paired_commit).expect("it is accepted"), device, group)
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

/// The tape alone, in memory: what a paired commit adds on either side.
fn tape(criterion: &mut Criterion) -> Result<(), Failure> {
    let (suite, pairing) = (CipherSuite::X25519Aes128, PairingId([9; 16]));
    let fresh = |own| -> Result<_, Failure> {
        let vault = Vault::new(MemoryStorage::new());
        let seed = Seed::new(suite, Secret::new(vec![2; suite.kdf_len()]))?;
        vault.create(suite, seed, pairing, &[DeviceId(0), DeviceId(1)], own)?;
        let tape = vault.open_group(pairing, b"bench")?;
        Ok((vault, tape))
    };
    let mut group = criterion.benchmark_group("tape");
    let (vault, tape) = fresh(DeviceId(0))?;
    group.bench_function("draw", |bencher| bencher.iter(|| vault.draw(&tape, 1).expect("a value")));
    let (vault, tape) = fresh(DeviceId(1))?;
    let mut position = 0;
    group.bench_function("claim and settle", |bencher| {
        bencher.iter(|| {
            let index = Index::new(DeviceId(0), position).expect("below the end of the lane");
            position += 1;
            let spot = Spot { opening: FIRST_OPENING, index };
            let value = vault.claim(&tape, spot, b"commit").expect("a value");
            vault.settle(&tape).expect("it is settled");
            value
        });
    });
    group.finish();
    Ok(())
}
