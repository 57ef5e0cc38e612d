//! `pmls beacon`: the logs of this device's groups, again and again, for listeners that cannot answer.
//!
//! The home is open only while the service is asked and what is new is signed, so that the device can be used
//! meanwhile; a home that is in use is looked at the next time.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    fmt,
    num::NonZeroU32,
    rc::Rc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use clap::Args;
use paired_mls_api::GroupId;
use paired_mls_client::LogCursor;
use paired_mls_feed::{
    BeaconKey, BeaconSigner, Carousel, CarouselError, Framing, LogObject, Next, NotAKey, Object,
    Plan,
    transport::{Outlet, Place},
};
use serde::Serialize;
use thiserror::Error;
use tokio::{
    signal::unix::{SignalKind, signal},
    time::sleep,
};

use crate::{
    engine::{Engine, EngineError},
    failure::Failure,
    output::Output,
    session::{DeviceKey, KeyError, SessionError},
    settings::GlobalOptions,
};

/// Where to, and how fast.
#[derive(Args)]
pub(crate) struct BeaconArgs {
    /// Where the feed goes: udp://ADDRESS:PORT, serial:PATH?baud=N, fifo:PATH or dir:PATH.
    #[arg(long, value_name = "PLACE")]
    to: Place,
    /// The rate in bits a second, with all that the link adds [default: 64000 for udp, 1200 for a serial line or a
    /// FIFO, none for a directory].
    #[arg(long, value_name = "BITS")]
    rate: Option<NonZeroU32>,
    /// Only these groups.
    #[arg(long = "group", value_name = "GROUP")]
    groups: Vec<String>,
    /// How many of the last entries of each log are sent from the start on.
    #[arg(long, value_name = "COUNT", default_value_t = 500)]
    last: usize,
    /// How often the service is asked for what is new, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    every: u64,
    /// End once everything that there is was sent one time.
    #[arg(long)]
    once: bool,
}

/// Why a beacon stopped.
#[derive(Debug, Error)]
pub(crate) enum BeaconError {
    /// The key is none that a feed can be signed with.
    #[error(transparent)]
    Key(#[from] NotAKey),
    /// Something cannot be sent.
    #[error(transparent)]
    Carousel(#[from] CarouselError<SignError>),
}

/// Why a bundle was not signed.
#[derive(Debug, Error)]
pub(crate) enum SignError {
    /// The home is not open.
    #[error("the home is not open; the bundle is signed when it is next")]
    Closed,
    /// The key.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// The device's key, while the home is open.
struct Signer {
    key: BeaconKey,
    open: Rc<RefCell<Option<DeviceKey>>>,
}

impl BeaconSigner for Signer {
    type Error = SignError;

    fn key(&self) -> &BeaconKey {
        &self.key
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let open = self.open.borrow();
        Ok(open.as_ref().ok_or(SignError::Closed)?.sign_mls(message)?)
    }
}

/// What the beacon tells.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
enum Told {
    /// It sends, with the key of this device.
    Beacon { device: String },
    /// Entries of a log are on the feed.
    Offered { group: String, entries: usize, head: u64 },
    /// The service does not answer, or the place cannot be sent to; the beacon goes on.
    Trouble { error: String },
    /// Everything was sent once.
    Done { bundles: u64, packets: u64, bytes: u64 },
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Beacon { device } => write!(f, "sending as device {device}"),
            Self::Offered { group, entries, head } => {
                write!(f, "{group}: {entries} entries more, up to {head}")
            }
            Self::Trouble { error } => write!(f, "{error}; still sending"),
            Self::Done { bundles, packets, bytes } => {
                write!(f, "{bundles} bundles in {packets} packets, {bytes} bytes on the link")
            }
        }
    }
}

/// Ends at Ctrl-C or a SIGTERM.
pub(super) async fn run(
    args: &BeaconArgs,
    options: &GlobalOptions,
    output: Output,
) -> Result<(), Failure> {
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::Runtime)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(Failure::Runtime)?;
    let mut outlet = Outlet::open(&args.to).map_err(Failure::Feed)?;
    let mut beacon = Beacon::new(args, &Engine::open(options)?, output)?;
    let mut look_at = SystemTime::now();
    loop {
        let now = SystemTime::now();
        if look_at <= now {
            beacon.look(args, options).await?;
            look_at = now + Duration::from_secs(args.every.max(1));
        }
        let wait = match beacon.carousel.next(now) {
            Ok(Next::Packet(packet)) => {
                let sent = outlet.send(&packet);
                beacon
                    .trouble(sent.err().map(|error| Failure::Feed(error).message().to_string()))?;
                Duration::ZERO
            }
            Ok(Next::Wait(time)) => time.min(look_at).duration_since(now).unwrap_or_default(),
            Ok(Next::Idle) => look_at.duration_since(now).unwrap_or_default(),
            Err(error) => return Err(BeaconError::from(error).into()),
        };
        if args.once && beacon.carousel.all_sent_once() {
            outlet.flush().map_err(Failure::Feed)?;
            let sent = beacon.carousel.sent();
            let (bundles, packets, bytes) = (sent.bundles, sent.packets, sent.bytes);
            return output.show(&Told::Done { bundles, packets, bytes });
        }
        if wait > FLUSH {
            outlet.flush().map_err(Failure::Feed)?;
        }
        tokio::select! {
            () = sleep(wait) => {}
            _ = interrupt.recv() => return outlet.flush().map_err(Failure::Feed),
            _ = terminate.recv() => return outlet.flush().map_err(Failure::Feed),
        }
    }
}

/// A pause in which a directory gets a file.
const FLUSH: Duration = Duration::from_millis(500);

struct Beacon {
    carousel: Carousel<Signer>,
    open: Rc<RefCell<Option<DeviceKey>>>,
    cursors: BTreeMap<GroupId, LogCursor>,
    /// The Welcomes of leaf refreshes that are on the feed, by device and position.
    mail: BTreeSet<(String, u64)>,
    output: Output,
    /// What was told last, so that it is told once.
    trouble: Option<String>,
}

impl Beacon {
    fn new(args: &BeaconArgs, engine: &Engine, output: Output) -> Result<Self, Failure> {
        let key = engine.feed_key().beacon_key().map_err(BeaconError::from)?;
        output.show(&Told::Beacon { device: key.device().to_string() })?;
        let open = Rc::default();
        let first_round =
            SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let first_round = u32::try_from(first_round % (1 << 20)).unwrap_or_default();
        let signer = Signer { key, open: Rc::clone(&open) };
        let carousel = Carousel::new(signer, plan(args), first_round);
        Ok(Self {
            carousel,
            open,
            cursors: BTreeMap::new(),
            mail: BTreeSet::new(),
            output,
            trouble: None,
        })
    }

    /// Takes what is new in the logs. What only fails for now is told once, and tried again.
    async fn look(&mut self, args: &BeaconArgs, options: &GlobalOptions) -> Result<(), Failure> {
        let engine = match Engine::open(options) {
            Err(EngineError::Session(SessionError::HomeInUse { .. })) => return Ok(()),
            engine => engine?,
        };
        *self.open.borrow_mut() = Some(engine.feed_key().clone());
        let looked = self.look_with(&engine, args).await;
        // The vault is closed with the home.
        *self.open.borrow_mut() = None;
        match looked {
            Err(Failure::Engine(error)) if error.is_network() || error.is_of_one_group() => {
                self.trouble(Some(Failure::Engine(error).message().to_string()))
            }
            looked => looked,
        }
    }

    async fn look_with(&mut self, engine: &Engine, args: &BeaconArgs) -> Result<(), Failure> {
        let mut rows = Vec::new();
        for name in &args.groups {
            rows.push(engine.find(name)?);
        }
        if args.groups.is_empty() {
            rows = engine.store().groups()?;
        }
        for row in rows.into_iter().filter(|row| row.state.takes_part()) {
            let cursor = self.cursors.get(&row.id).cloned();
            let first = cursor.is_none();
            let (mut objects, cursor) = fetch(engine, &row.id, cursor.unwrap_or(BEGINNING)).await?;
            if first && objects.len() > args.last {
                objects.drain(..objects.len() - args.last);
            }
            let now = SystemTime::now();
            // Before the commits that they belong to.
            for mail in engine.refreshes(&row)? {
                if self.mail.insert((mail.device.to_string(), mail.position)) {
                    let offered = self.carousel.offer(Object::Mail(mail), now);
                    offered.map_err(BeaconError::from)?;
                }
            }
            let (entries, head) = (objects.len(), cursor.position);
            for object in objects {
                let offered = self.carousel.offer(Object::Log(object), now);
                offered.map_err(BeaconError::from)?;
            }
            self.carousel.close(now).map_err(BeaconError::from)?;
            self.cursors.insert(row.id, cursor);
            if entries > 0 {
                self.output.show(&Told::Offered { group: row.name, entries, head })?;
            }
        }
        self.trouble(None)
    }

    fn trouble(&mut self, error: Option<String>) -> Result<(), Failure> {
        if let Some(error) = error.clone().filter(|_| error != self.trouble) {
            self.output.show(&Told::Trouble { error })?;
        }
        self.trouble = error;
        Ok(())
    }
}

/// From the first entry that the account may read.
const BEGINNING: LogCursor = LogCursor { position: 0, chain: None };

async fn fetch(
    engine: &Engine,
    group: &GroupId,
    mut cursor: LogCursor,
) -> Result<(Vec<LogObject>, LogCursor), EngineError> {
    let mut all = Vec::new();
    loop {
        let (objects, next) = engine.log_objects(group, cursor).await?;
        cursor = next;
        if objects.is_empty() {
            return Ok((all, cursor));
        }
        all.extend(objects);
    }
}

fn plan(args: &BeaconArgs) -> Plan {
    let rate = |bits| args.rate.unwrap_or(bits);
    match args.to.framing() {
        Framing::Flute => Plan::flute(rate(UDP_RATE)),
        Framing::Narrow if matches!(args.to, Place::Dir(_)) => Plan::narrow(rate(NonZeroU32::MAX)),
        Framing::Narrow => Plan::narrow(rate(NARROW_RATE)),
    }
}

const UDP_RATE: NonZeroU32 = NonZeroU32::new(64_000).expect("it is not zero");
const NARROW_RATE: NonZeroU32 = NonZeroU32::new(1200).expect("it is not zero");
