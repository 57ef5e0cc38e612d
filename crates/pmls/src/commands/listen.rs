//! `pmls listen`: hear a partner's feed, follow it, and send nothing.
//!
//! The home is open only while something that was heard is stored and followed, so that the device can be used
//! meanwhile, over the network too. What was stored is followed with the next bundle, or when the command starts.

use std::{
    fmt,
    time::{Duration, Instant, SystemTime},
};

use clap::Args;
use paired_mls_feed::{
    BeaconKey, Counts, Limits, LogObject, MailObject, Object, Received, Receiver,
    transport::{Inlet, Place},
};
use serde::Serialize;
use tokio::{
    signal::unix::{SignalKind, signal},
    time::sleep,
};

use crate::{
    engine::{Engine, EngineError, FeedWaiting, Report},
    failure::Failure,
    output::Output,
    session::SessionError,
    settings::GlobalOptions,
};

/// Where from, and for how long.
#[derive(Args)]
pub(crate) struct ListenArgs {
    /// Where the feed comes from: udp://ADDRESS:PORT, serial:PATH?baud=N, fifo:PATH or dir:PATH. Several at
    /// once are heard in turn. With udp://ADDRESS:PORT?igmp=join the host sends IGMP.
    #[arg(long = "from", value_name = "PLACE", required = true)]
    from: Vec<Place>,
    /// Stop after so many seconds.
    #[arg(long = "for", value_name = "SECONDS")]
    time: Option<u64>,
}

/// How long packets are taken before anything is done with them.
const TURN: Duration = Duration::from_millis(100);

/// How long one place is waited for.
const WAIT: Duration = Duration::from_millis(20);

/// How long a home that is in use is left alone.
const PAUSE: Duration = Duration::from_millis(500);

/// What waits at most for a home that is in use. Beyond that the receivers begin anew, and the carousel brings it
/// again.
const MAX_PENDING: usize = 4096;

/// What the listener tells, beside what happens.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
enum Told<'a> {
    /// It hears the feeds of these devices.
    Listening { beacons: &'a [String] },
    /// An entry of a log was not heard yet, and later ones were: they wait.
    Gap { group: &'a str, position: u64 },
    /// A group cannot be followed; the others go on.
    Trouble { error: &'a str },
    /// What was heard, at the end.
    Heard { packets: u64, foreign: u64, bundles: u64 },
}

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listening { beacons } => write!(f, "listening to {}", beacons.join(", ")),
            Self::Gap { group, position } => {
                write!(f, "{group}: entry {position} was not heard yet; what follows it waits")
            }
            Self::Trouble { error } => write!(f, "{error}; still listening"),
            Self::Heard { packets, foreign, bundles } => {
                write!(f, "{packets} packets, {foreign} of them of others; {bundles} bundles")
            }
        }
    }
}

/// Ends at Ctrl-C or a SIGTERM, between two entries: nothing is half done.
pub(super) async fn run(
    args: &ListenArgs,
    options: &GlobalOptions,
    output: Output,
) -> Result<(), Failure> {
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::Runtime)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(Failure::Runtime)?;
    let until = args.time.and_then(|time| Instant::now().checked_add(Duration::from_secs(time)));
    let beacons = Engine::open(options)?.beacons()?;
    if beacons.is_empty() {
        return Err(Failure::NoBeacon);
    }
    let mut listener = Listener::open(&args.from, beacons, output)?;
    // What was stored before.
    listener.due = true;
    loop {
        listener.hear()?;
        listener.follow(options)?;
        let over = until.is_some_and(|until| until <= Instant::now());
        tokio::select! {
            biased;
            _ = interrupt.recv() => return listener.end(),
            _ = terminate.recv() => return listener.end(),
            () = sleep(Duration::from_millis(1)) => {}
        }
        if over {
            return listener.end();
        }
    }
}

struct Listener {
    beacons: Vec<BeaconKey>,
    feeds: Vec<(Inlet, Receiver, Place)>,
    pending: Vec<LogObject>,
    mail: Vec<MailObject>,
    /// Whether something is to be followed.
    due: bool,
    not_before: Option<Instant>,
    gaps: Vec<FeedWaiting>,
    trouble: Option<String>,
    output: Output,
}

impl Listener {
    fn open(from: &[Place], beacons: Vec<BeaconKey>, output: Output) -> Result<Self, Failure> {
        let mut feeds = Vec::new();
        for place in from {
            let inlet = Inlet::open(place).map_err(Failure::Feed)?;
            feeds.push((inlet, receiver(place, &beacons), place.clone()));
        }
        let names: Vec<_> = beacons.iter().map(|key| key.device().to_string()).collect();
        output.show(&Told::Listening { beacons: &names })?;
        Ok(Self {
            beacons,
            feeds,
            pending: Vec::new(),
            mail: Vec::new(),
            due: false,
            not_before: None,
            gaps: Vec::new(),
            trouble: None,
            output,
        })
    }

    /// Takes packets for a while.
    fn hear(&mut self) -> Result<(), Failure> {
        let begun = Instant::now();
        while begun.elapsed() < TURN {
            for (inlet, receiver, _) in &mut self.feeds {
                let (pending, mail, now) = (&mut self.pending, &mut self.mail, SystemTime::now());
                let heard = inlet.receive(WAIT, |packet| {
                    let Received::Bundle(bundle) = receiver.push(packet, now) else { return };
                    for object in bundle.objects {
                        match object {
                            Object::Log(object) => pending.push(object),
                            Object::Mail(object) => mail.push(object),
                            _ => {}
                        }
                    }
                });
                heard.map_err(Failure::Feed)?;
                receiver.expire(now);
            }
        }
        self.due |= !self.pending.is_empty() || !self.mail.is_empty();
        if self.pending.len() + self.mail.len() > MAX_PENDING {
            self.pending.clear();
            self.mail.clear();
            for (_, receiver, place) in &mut self.feeds {
                *receiver = self::receiver(place, &self.beacons);
            }
        }
        Ok(())
    }

    /// Stores what was heard, and follows it.
    fn follow(&mut self, options: &GlobalOptions) -> Result<(), Failure> {
        if !self.due || self.not_before.is_some_and(|time| Instant::now() < time) {
            return Ok(());
        }
        let mut engine = match Engine::open(options) {
            Err(EngineError::Session(SessionError::HomeInUse { .. })) => {
                self.not_before = Some(Instant::now() + PAUSE);
                return Ok(());
            }
            engine => engine?,
        };
        engine.keep_heard(&self.pending)?;
        self.pending.clear();
        (self.due, self.not_before) = (false, None);
        let mut report = Report::default();
        engine.hear_mail(&self.mail, &mut report)?;
        self.mail.clear();
        let followed = engine.follow_heard(&mut report);
        for happening in &report.events {
            self.output.show(happening)?;
        }
        let (gaps, stuck) = followed?;
        self.tell_trouble(stuck)?;
        for gap in gaps.iter().filter(|gap| !self.gaps.contains(gap)) {
            self.output.show(&Told::Gap { group: &gap.group, position: gap.position })?;
        }
        self.gaps = gaps;
        Ok(())
    }

    fn tell_trouble(&mut self, stuck: Option<EngineError>) -> Result<(), Failure> {
        let error = stuck.map(|error| Failure::from(error).message().to_string());
        if let Some(error) =
            error.as_deref().filter(|error| self.trouble.as_deref() != Some(*error))
        {
            self.output.show(&Told::Trouble { error })?;
        }
        self.trouble = error;
        Ok(())
    }

    fn end(&self) -> Result<(), Failure> {
        let counts = self.feeds.iter().map(|(_, receiver, _)| receiver.counts());
        let all = counts.fold(Counts::default(), |all, one| Counts {
            packets: all.packets + one.packets,
            foreign: all.foreign + one.foreign,
            bundles: all.bundles + one.bundles,
            ..all
        });
        let Counts { packets, foreign, bundles, .. } = all;
        self.output.show(&Told::Heard { packets, foreign, bundles })
    }
}

fn receiver(place: &Place, beacons: &[BeaconKey]) -> Receiver {
    Receiver::new(place.framing(), beacons.to_vec(), Limits::default())
}
