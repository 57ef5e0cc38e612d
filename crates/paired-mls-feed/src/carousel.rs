//! The carousel: what is sent when, since nobody can ask.
//!
//! Objects that are offered are bundled; a bundle closes when it is long enough, has waited long enough, or has
//! something in it that is urgent. A closed bundle is sent in rounds: the source symbols and some repair symbols,
//! so that one round is enough for a receiver that loses a part of it; on a narrow link each round goes on with
//! repair symbols that were not sent yet, so that two halves of different rounds are enough too. New bundles go
//! first. Then come the rounds that are due, the one that is due longest first; the pause after each is twice the
//! one before.

use std::{
    collections::VecDeque,
    num::NonZeroU32,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use paired_mls_api::GroupId;
use thiserror::Error;

use crate::{
    BeaconSigner, Bundle, Framing, MAX_MESSAGE, MAX_OBJECTS, Object, ObjectError, SealError,
    Urgency,
    code::{Cut, Encoder},
    flute::{self, FluteError},
    packet::{PACKET_HEADER, Packet},
    slip,
};

/// What IPv4 and UDP add to a packet, in bytes.
const UDP_HEADERS: usize = 28;

/// What an object costs in a bundle beside its message, at most, in bytes.
const OBJECT_COST: usize = 320;

/// Whoever hears the link for three hours on end hears each bundle in that time, as long as the link is not full. A
/// full link stretches the pauses.
const LAST_PAUSE: Duration = Duration::from_secs(9000);

/// How fast and how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// How the packets are made.
    pub framing: Framing,
    /// The longest packet, in bytes, with the header of the framing.
    pub packet: u16,
    /// Bits in a second, with everything that the link adds.
    pub rate: NonZeroU32,
    /// Repair symbols of a round, in percent of the source symbols. There is always one.
    pub repair: u8,
    /// A bundle closes once its objects have so many bytes …
    pub close_at: usize,
    /// … or the oldest of them has waited so long.
    pub close_after: Duration,
    /// The pause after the first round. Each is twice the one before …
    pub first_pause: Duration,
    /// … but not longer than this.
    pub last_pause: Duration,
    /// A bundle is sent for so long.
    pub max_age: Duration,
    /// The most closed bundles. The oldest goes where there is no room.
    pub max_bundles: usize,
    /// The most bytes of closed bundles.
    pub max_bytes: usize,
}

impl Plan {
    /// For a narrow link: packets of 253 bytes, which fit most radios.
    pub fn narrow(rate: NonZeroU32) -> Self {
        Self {
            framing: Framing::Narrow,
            packet: 253,
            rate,
            repair: 30,
            close_at: 8 << 10,
            close_after: Duration::from_secs(300),
            first_pause: Duration::from_secs(60),
            last_pause: LAST_PAUSE,
            max_age: Duration::from_secs(30 * 86_400),
            max_bundles: 4096,
            max_bytes: 64 << 20,
        }
    }

    /// For UDP: FLUTE packets that fit an Ethernet frame.
    pub fn flute(rate: NonZeroU32) -> Self {
        Self { framing: Framing::Flute, packet: 1400, ..Self::narrow(rate) }
    }
}

/// What is to be done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Send this packet. On a stream of bytes it is framed by [`slip::frame`].
    Packet(Vec<u8>),
    /// There is nothing to do before this time, unless an object is offered.
    Wait(SystemTime),
    /// There is nothing to send at all.
    Idle,
}

/// Why something cannot be sent.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CarouselError<E> {
    /// It is not an object of a feed.
    #[error(transparent)]
    Object(#[from] ObjectError),
    /// No bundle was made.
    #[error(transparent)]
    Seal(#[from] SealError<E>),
    /// FLUTE cannot send it.
    #[error(transparent)]
    Flute(#[from] FluteError),
    /// A packet of this length has no room for a symbol, or a bundle would have too many symbols.
    #[error("packets of {0} bytes cannot carry the bundle: let them be longer")]
    Packet(u16),
}

/// What a carousel has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// Bundles that were made.
    pub bundles: u64,
    /// Their bytes.
    pub bundle_bytes: u64,
    /// Packets.
    pub packets: u64,
    /// Their bytes on the link.
    pub bytes: u64,
    /// Bundles that were not sent any more because they were too old, were superseded, or there was no room.
    pub ended: u64,
}

enum Coder {
    /// With how many symbols are left in the round.
    Narrow(Encoder, Cut, usize),
    Flute(Box<flute::Round>),
}

struct Cast {
    bytes: Vec<u8>,
    name: u32,
    made: SystemTime,
    /// The group and epoch of a GroupInfo, if there is nothing else in it.
    info: Option<(GroupId, u64)>,
    rounds: u32,
    due: SystemTime,
    next_symbol: u16,
    round: Option<Coder>,
}

/// The carousel of one feed. It does no I/O and reads no clock.
pub struct Carousel<S> {
    signer: S,
    plan: Plan,
    open: Vec<Object>,
    open_bytes: usize,
    open_since: Option<SystemTime>,
    casts: VecDeque<Cast>,
    bytes: usize,
    free_at: Option<SystemTime>,
    flute_rounds: u32,
    sent: Sent,
}

impl<S: BeaconSigner> Carousel<S> {
    /// `first_round` is a number that grows from one start of a beacon to the next, the time in seconds for
    /// instance: FLUTE counts its file delivery tables from there.
    pub fn new(signer: S, plan: Plan, first_round: u32) -> Self {
        Self {
            signer,
            plan,
            open: Vec::new(),
            open_bytes: 0,
            open_since: None,
            casts: VecDeque::new(),
            bytes: 0,
            free_at: None,
            flute_rounds: first_round,
            sent: Sent::default(),
        }
    }

    /// Takes an object to be sent. The bundle that it is in may be closed and signed here.
    ///
    /// # Errors
    ///
    /// [`CarouselError`]. If the key did not sign, the objects are kept, and are signed with the next call of
    /// [`Carousel::next`].
    pub fn offer(
        &mut self,
        object: Object,
        now: SystemTime,
    ) -> Result<(), CarouselError<S::Error>> {
        if object.len() > MAX_MESSAGE {
            return Err(ObjectError::TooLong(object.len()).into());
        }
        // One that is too long for the open bundle goes into the next one.
        let cost = (self.open.len() + 1) * OBJECT_COST;
        if self.open_bytes + object.len() + cost > MAX_MESSAGE || self.open.len() >= MAX_OBJECTS {
            self.close(now)?;
        }
        let urgency = object.kind().urgency();
        self.open_bytes += object.len();
        self.open.push(object);
        self.open_since.get_or_insert(now);
        if urgency == Urgency::Now || self.open_bytes >= self.plan.close_at {
            self.close(now)?;
        }
        Ok(())
    }

    /// The next packet, if the rate allows one at `now`.
    ///
    /// # Errors
    ///
    /// [`CarouselError`], if a bundle that is due cannot be signed. The next call tries again.
    pub fn next(&mut self, now: SystemTime) -> Result<Next, CarouselError<S::Error>> {
        if let Some(free_at) = self.free_at.filter(|free_at| *free_at > now) {
            // A clock that was put back does not silence the beacon.
            if free_at.duration_since(now).is_ok_and(|wait| wait < Duration::from_secs(3600)) {
                return Ok(Next::Wait(free_at));
            }
        }
        let closes = self.open_since.map(|since| since + self.plan.close_after);
        if closes.is_some_and(|closes| closes <= now) {
            self.close(now)?;
        }
        self.end_old(now);
        loop {
            let Some(chosen) = self.choose(now) else {
                let due = self.casts.iter().map(|cast| cast.due).chain(closes).min();
                return Ok(due.map_or(Next::Idle, Next::Wait));
            };
            let Some(packet) = self.packet(chosen, now)? else { continue };
            let bytes = match self.plan.framing {
                Framing::Narrow => slip::framed_len(&packet),
                Framing::Flute => packet.len() + UDP_HEADERS,
            };
            self.sent.packets += 1;
            self.sent.bytes += u64::try_from(bytes).unwrap_or(u64::MAX);
            let bits = u64::try_from(bytes).unwrap_or(u64::MAX).saturating_mul(8);
            let nanos = bits.saturating_mul(1_000_000_000) / u64::from(self.plan.rate.get());
            self.free_at = Some(now + Duration::from_nanos(nanos));
            return Ok(Next::Packet(packet));
        }
    }

    /// What was sent.
    pub fn sent(&self) -> Sent {
        self.sent
    }

    /// How many bundles are being sent, and their bytes.
    pub fn held(&self) -> (usize, usize) {
        (self.casts.len(), self.bytes)
    }

    /// Whether every bundle has been sent at least once, and no object waits for one.
    pub fn all_sent_once(&self) -> bool {
        self.open.is_empty() && self.casts.iter().all(|cast| cast.rounds > 0)
    }

    /// Closes the open bundle, whatever it has waited for.
    ///
    /// # Errors
    ///
    /// [`CarouselError`]; the objects are kept.
    pub fn close(&mut self, now: SystemTime) -> Result<(), CarouselError<S::Error>> {
        if self.open.is_empty() {
            return Ok(());
        }
        let time = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let bytes = Bundle::seal(&self.open, time, &self.signer)?;
        let info = match &self.open[..] {
            [Object::GroupInfo(info)] => Some((info.group.clone(), info.epoch)),
            _ => None,
        };
        (self.open, self.open_bytes, self.open_since) = (Vec::new(), 0, None);
        self.sent.bundles += 1;
        self.sent.bundle_bytes += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.end_superseded(info.as_ref());
        self.bytes += bytes.len();
        let name = Bundle::name(&bytes);
        let cast =
            Cast { bytes, name, made: now, info, rounds: 0, due: now, next_symbol: 0, round: None };
        self.casts.push_back(cast);
        while self.casts.len() > self.plan.max_bundles
            || (self.bytes > self.plan.max_bytes && self.casts.len() > 1)
        {
            self.end_oldest();
        }
        Ok(())
    }

    fn end_oldest(&mut self) {
        if let Some(oldest) = self.casts.pop_front() {
            self.bytes = self.bytes.saturating_sub(oldest.bytes.len());
            self.sent.ended += 1;
        }
    }

    fn end_old(&mut self, now: SystemTime) {
        let max_age = self.plan.max_age;
        let old = |cast: &Cast| now.duration_since(cast.made).is_ok_and(|age| age > max_age);
        while self.casts.front().is_some_and(old) {
            self.end_oldest();
        }
    }

    /// A GroupInfo ends the one before.
    fn end_superseded(&mut self, info: Option<&(GroupId, u64)>) {
        let Some((group, epoch)) = info else { return };
        let (mut bytes, mut ended) = (0, 0);
        self.casts.retain(|cast| {
            let over = cast.info.as_ref().is_some_and(|(of, at)| of == group && at <= epoch);
            if over {
                bytes += cast.bytes.len();
                ended += 1;
            }
            !over
        });
        self.bytes = self.bytes.saturating_sub(bytes);
        self.sent.ended += ended;
    }

    /// What is sent now: what was never sent whole, the oldest first; then what is due longest.
    fn choose(&self, now: SystemTime) -> Option<usize> {
        let new = self.casts.iter().position(|cast| cast.rounds == 0);
        new.or_else(|| {
            let due = self.casts.iter().enumerate().filter(|(_, cast)| cast.due <= now);
            due.min_by_key(|(_, cast)| (cast.round.is_none(), cast.due)).map(|(index, _)| index)
        })
    }

    /// The next packet of a bundle; nothing if its round is over.
    fn packet(
        &mut self,
        chosen: usize,
        now: SystemTime,
    ) -> Result<Option<Vec<u8>>, CarouselError<S::Error>> {
        let plan = self.plan;
        let Some(cast) = self.casts.get_mut(chosen) else { return Ok(None) };
        let round = match &mut cast.round {
            Some(round) => round,
            none => {
                self.flute_rounds = self.flute_rounds.wrapping_add(1);
                none.insert(coder(
                    &plan,
                    &self.signer,
                    self.flute_rounds,
                    cast.name,
                    &cast.bytes,
                    now,
                )?)
            }
        };
        let packet = match round {
            Coder::Narrow(_, _, 0) => None,
            Coder::Narrow(encoder, cut, left) => {
                *left -= 1;
                let symbol = cast.next_symbol;
                cast.next_symbol = cast.next_symbol.wrapping_add(1);
                let data = encoder.symbol(symbol);
                let packet = Packet { bundle: cast.name, cut: *cut, symbol, data: &data };
                Some(packet.encode(self.signer.key().device()))
            }
            Coder::Flute(round) => round.packet(now),
        };
        if packet.is_none() {
            cast.round = None;
            let pause = plan.first_pause.saturating_mul(1 << cast.rounds.min(20));
            cast.due = now + pause.min(plan.last_pause);
            cast.rounds = cast.rounds.saturating_add(1);
        }
        Ok(packet)
    }
}

fn coder<S: BeaconSigner>(
    plan: &Plan,
    signer: &S,
    number: u32,
    name: u32,
    bundle: &[u8],
    now: SystemTime,
) -> Result<Coder, CarouselError<S::Error>> {
    let header = match plan.framing {
        Framing::Narrow => PACKET_HEADER,
        Framing::Flute => flute::HEADER,
    };
    let too_short = || CarouselError::Packet(plan.packet);
    let room = u16::try_from(header).ok().and_then(|header| plan.packet.checked_sub(header));
    let room = room.filter(|room| *room > 0).ok_or_else(too_short)?;
    let cut = Cut::even(bundle.len(), room).ok_or_else(too_short)?;
    let repair = (cut.symbols() * usize::from(plan.repair)).div_ceil(100).max(1);
    Ok(match plan.framing {
        Framing::Narrow => Coder::Narrow(Encoder::new(bundle, cut), cut, cut.symbols() + repair),
        Framing::Flute => {
            let key = signer.key().id();
            let round = flute::Round::new(key, number, name, bundle, room, repair, now)?;
            Coder::Flute(Box::new(round))
        }
    })
}
