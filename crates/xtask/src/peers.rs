//! Random plays of peers on several implementations of RFC 9420, two of them in other languages, with the devices of
//! a pairing and thieves who look on. It needs Node and Python, and packages that `--install` fetches: so it is no part
//! of `test.sh`, which plays with the peers in Rust.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use clap::{Args, ValueEnum};
use paired_mls::{CipherSuite, conformance::Framing};
use paired_mls_peers::play::{Failed, Play, Tally, Telling, follow, shrink};

use crate::Failure;

/// The programs and their lock files.
const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../paired-mls-peers/foreign");
const FILES: [&str; 5] = [
    "ts-mls/package.json",
    "ts-mls/package-lock.json",
    "ts-mls/peer.mjs",
    "rfc9420/requirements.txt",
    "rfc9420/peer.py",
];
/// How often rfc9420 sees everybody commit.
const ROUNDS: usize = 5;

/// What `peers` can be told.
#[derive(Args)]
pub(crate) struct Options {
    /// What the dice are made of; drawn and printed if it is not given.
    #[arg(long)]
    seed: Option<u64>,
    /// How many steps.
    #[arg(long, default_value_t = 500)]
    steps: usize,
    /// Only these steps, as a play that was shrunk prints them.
    #[arg(long, value_delimiter = ',', value_name = "N,N,…")]
    only: Vec<usize>,
    /// The code point of the cipher suite: 1, 2 or 3.
    #[arg(long, default_value_t = 1)]
    suite: u16,
    /// The framing of handshake messages.
    #[arg(long, value_enum, default_value = "public")]
    framing: Frame,
    /// Where the foreign programs and their packages are.
    #[arg(long, default_value = "target/peers", value_name = "FOLDER")]
    tools: PathBuf,
    /// Fetch the packages that the lock files name, and do nothing else.
    #[arg(long)]
    install: bool,
    /// Only peers in Rust.
    #[arg(long)]
    rust_only: bool,
    /// After a failure, how many plays may be tried to find fewer steps that fail as well.
    #[arg(long, default_value_t = 100, value_name = "PLAYS")]
    shrink: usize,
}

/// A framing, as it is typed.
#[derive(Clone, Copy, ValueEnum)]
enum Frame {
    Public,
    Private,
}

/// Plays, and prints what it has come across.
///
/// # Errors
///
/// A play that fails, programs that are not there, or a suite that the devices do not have.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    if options.install {
        return install(&options.tools);
    }
    let tools = (!options.rust_only).then(|| copied(&options.tools)).transpose()?;
    let framing = match options.framing {
        Frame::Public => Framing::Public,
        Frame::Private => Framing::Private,
    };
    let seed = match options.seed {
        Some(seed) => seed,
        None => getrandom::u64()?,
    };
    println!("seed {seed}, suite {}, {framing:?} framing", options.suite);
    let suite = CipherSuite::try_from(options.suite)?;
    let play = Play { suite, framing, devices: 4, seed, tools: tools.clone() };
    let steps: Vec<_> = match options.only.as_slice() {
        [] => (0..options.steps).collect(),
        only => only.to_vec(),
    };
    match play.run(&steps, Telling::Steps) {
        Ok(tally) => print(&steps, &tally),
        Err(failed) => return Err(shrunk(options, &play, &steps, failed)),
    }
    if let (Some(tools), 1, Framing::Public) = (&tools, options.suite, framing) {
        let followed = follow(tools, ROUNDS)?;
        println!("rfc9420 has followed {followed} commits, two paired devices' among them");
    }
    Ok(())
}

fn print(steps: &[usize], tally: &Tally) {
    println!("{} steps, everybody in one epoch after each of them", steps.len());
    println!("commits: {:?}, {} of them without a path", tally.commits, tally.without_path);
    println!("messages: {:?}", tally.messages);
    println!("came back: {:?}", tally.returns);
    println!("thieves locked out by a commit that heals: {}", tally.healed);
    println!("kept out as claimed: {}; nothing claimed: {}", tally.kept_out, tally.unaware);
    println!("let in as claimed: {}; keys tried: {}", tally.weakened, tally.attempts);
}

/// Fewer steps that fail as well, and how to play them.
fn shrunk(options: &Options, play: &Play, steps: &[usize], failed: Failed) -> Failure {
    println!("{failed}");
    println!("looking for fewer steps that fail as well");
    let until: Vec<_> = steps.iter().copied().take_while(|step| *step <= failed.step).collect();
    let fails = |steps: &[usize]| play.run(steps, Telling::Nothing).is_err();
    let fewer = shrink(&until, options.shrink, fails);
    let fewer: Vec<_> = fewer.iter().map(ToString::to_string).collect();
    let Options { suite, rust_only, .. } = options;
    let framing = format!("{:?}", play.framing).to_lowercase();
    let rust_only = if *rust_only { " --rust-only" } else { "" };
    let again = format!("cargo xtask peers --suite {suite} --framing {framing}{rust_only}");
    println!("again: {again} --seed {} --only {}", play.seed, fewer.join(","));
    failed.into()
}

/// The tools' folder, absolute, with the programs as they are now.
fn copied(tools: &Path) -> Result<PathBuf, Failure> {
    for file in FILES {
        let to = tools.join(file);
        fs::create_dir_all(to.parent().unwrap_or(tools))?;
        fs::copy(Path::new(SOURCE).join(file), to)?;
    }
    let tools = fs::canonicalize(tools)?;
    for needed in ["ts-mls/node_modules", "rfc9420/venv"] {
        if !tools.join(needed).exists() {
            let missing = format!("{needed} is not in {}", tools.display());
            return Err(format!("{missing}: run `cargo xtask peers --install` first").into());
        }
    }
    Ok(tools)
}

/// Fetches exactly what the lock files name.
fn install(tools: &Path) -> Result<(), Failure> {
    if let Err(missing) = copied(tools) {
        println!("{missing}");
    }
    let (node, python) = (tools.join("ts-mls"), tools.join("rfc9420"));
    done(Command::new("npm").args(["ci", "--ignore-scripts", "--no-audit"]).current_dir(node))?;
    let venv = ["-m", "venv", "venv"];
    done(Command::new("python3").args(venv).current_dir(&python))?;
    let pip = fs::canonicalize(&python)?.join("venv/bin/pip");
    let locked = ["install", "--require-hashes", "-r", "requirements.txt"];
    done(Command::new(pip).args(locked).current_dir(&python))
}

fn done(command: &mut Command) -> Result<(), Failure> {
    let status = command.status().map_err(|error| format!("{command:?}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{command:?}: {status}").into()) }
}
