//! The link for IP: FLUTE (RFC 6726) over ALC (RFC 5775), with RaptorQ.
//!
//! The transport session is the beacon's: its TSI is the first 4 bytes of its key id. The transport object is the
//! bundle: its TOI is the bundle's name. Each packet says how the object is cut (EXT_FTI), so that a listener
//! needs no FDT; one goes with each round, for any other receiver of FLUTE.
//!
//! Sending and the layout of packets are those of the `flute` crate. Its receiver is not used: it keeps as many
//! objects and file delivery tables as a stranger cares to send, and asks the operating system for the time.

use std::time::{Duration, SystemTime};

use flute::{
    core::{
        FECEncodingID, Oti, UDPEndpoint,
        alc::{parse_alc_pkt, parse_payload_id},
        lct::Cenc,
    },
    sender::{
        CarouselRepeatMode, Config, FDTPublishMode, ObjectDesc, PriorityQueue, Sender,
        TOIMaxLength, TransferConfig,
    },
};
use thiserror::Error;
use url::Url;

use crate::{
    KeyId,
    code::{Cut, MAX_SYMBOLS},
};

/// The media type of a bundle in a file delivery table.
const MEDIA_TYPE: &str = "application/vnd.paired-mls.feed-bundle";

/// What a packet has before its symbol, in bytes: the header with TSI and TOI, EXT_FTI, and the payload id.
pub(crate) const HEADER: usize = 36;

/// Longer than any round.
const NEVER: Duration = Duration::from_secs(365 * 86_400);

/// FDT instance ids have 20 bits.
const FDT_IDS: u32 = 1 << 20;

/// Why a bundle cannot be sent by FLUTE.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FluteError {
    /// The library refused it.
    #[error("FLUTE cannot send the bundle: {0}")]
    Library(String),
    /// It does not fit into one source block.
    #[error("the bundle has too many symbols: let a packet be longer")]
    TooLarge,
}

/// The transport session of a beacon.
pub(crate) fn session_of(key: KeyId) -> u64 {
    let [a, b, c, d, ..] = key.0;
    u32::from_be_bytes([a, b, c, d]).into()
}

/// One round of a bundle: the file delivery table, the source symbols, the repair symbols.
pub(crate) struct Round(Sender);

impl Round {
    /// `number` counts the rounds of the session.
    pub(crate) fn new(
        key: KeyId,
        number: u32,
        name: u32,
        bundle: &[u8],
        max_symbol: u16,
        repair: usize,
        now: SystemTime,
    ) -> Result<Self, FluteError> {
        let cut = Cut::even(bundle.len(), max_symbol).ok_or(FluteError::TooLarge)?;
        let block = u16::try_from(MAX_SYMBOLS).unwrap_or(u16::MAX);
        let repair = u16::try_from(repair).unwrap_or(u16::MAX);
        let oti = Oti::new_raptorq(cut.symbol, block, repair, 1, 1).map_err(library)?;
        let config = Config {
            fdt_start_id: number % FDT_IDS,
            // Once in a round.
            fdt_carousel_mode: CarouselRepeatMode::DelayBetweenTransfers(NEVER),
            fdt_inband_sct: false,
            fdt_publish_mode: FDTPublishMode::ObjectsBeingTransferred,
            toi_max_length: TOIMaxLength::ToiMax32,
            // 0 is the file delivery table.
            toi_initial_value: Some(toi(name)),
            interleave_blocks: 1,
            priority_queues: [(PriorityQueue::HIGHEST, PriorityQueue::new(1))].into(),
            ..Config::default()
        };
        let endpoint = UDPEndpoint::new(None, String::new(), 0);
        // The table goes without a code: a listener does not need it.
        let table = Oti::new_no_code(max_symbol, block);
        let mut sender = Sender::new(endpoint, session_of(key), &table, &config);
        let place = Url::parse(&format!("urn:paired-mls:bundle:{name:08x}"))
            .map_err(|error| FluteError::Library(error.to_string()))?;
        let transfer = TransferConfig { cenc: Cenc::Null, oti: Some(oti), ..Default::default() };
        let object =
            ObjectDesc::create_from_buffer(bundle.to_vec(), MEDIA_TYPE, &place, false, transfer);
        sender.add_object(PriorityQueue::HIGHEST, object.map_err(library)?).map_err(library)?;
        sender.publish(now).map_err(library)?;
        Ok(Self(sender))
    }

    pub(crate) fn packet(&mut self, now: SystemTime) -> Option<Vec<u8>> {
        self.0.read(now)
    }
}

fn library(error: flute::error::FluteError) -> FluteError {
    FluteError::Library(error.0.to_string())
}

fn toi(name: u32) -> u128 {
    name.max(1).into()
}

/// What a packet of a session says of a bundle.
pub(crate) struct Symbol<'a> {
    pub(crate) name: u32,
    pub(crate) cut: Cut,
    pub(crate) symbol: u16,
    pub(crate) data: &'a [u8],
}

/// A packet that is not for the listener, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotASymbol {
    /// It carries a file delivery table, or closes something.
    Other,
    /// It is of the session, and cannot be used.
    Malformed,
}

/// The session of a packet that has the header which a beacon writes: version 1, 32 bits of congestion control, a
/// TSI and a TOI of 32 bits.
pub(crate) fn session(packet: &[u8]) -> Option<u64> {
    let [v, flags, _, _, _, _, _, _, a, b, c, d, ..] = packet else { return None };
    // V = 1, C = 0; S = 1, O = 1, H = 0.
    let of_a_beacon = v & 0xFC == 0x10 && flags & 0xF0 == 0xA0;
    of_a_beacon.then(|| u32::from_be_bytes([*a, *b, *c, *d]).into())
}

pub(crate) fn parse(packet: &[u8]) -> Result<Symbol<'_>, NotASymbol> {
    // The codepoint. The library's parsers of other codes are not tried on what strangers send.
    let (codepoint, toi) = (packet.get(3).copied(), packet.get(12..16));
    if toi == Some(&[0; 4]) {
        return Err(NotASymbol::Other);
    }
    if codepoint != Some(FECEncodingID::RaptorQ as u8) {
        return Err(NotASymbol::Malformed);
    }
    let parsed = parse_alc_pkt(packet).map_err(|_| NotASymbol::Malformed)?;
    if parsed.lct.toi == 0 || parsed.lct.close_session || parsed.lct.close_object {
        return Err(NotASymbol::Other);
    }
    let name = u32::try_from(parsed.lct.toi).map_err(|_| NotASymbol::Malformed)?;
    let (Some(oti), Some(length)) = (&parsed.oti, parsed.transfer_length) else {
        return Err(NotASymbol::Malformed);
    };
    if oti.fec_encoding_id != FECEncodingID::RaptorQ {
        return Err(NotASymbol::Malformed);
    }
    let id = parse_payload_id(&parsed, oti).map_err(|_| NotASymbol::Malformed)?;
    let data = packet.get(parsed.data_payload_offset..).unwrap_or_default();
    let length = usize::try_from(length).map_err(|_| NotASymbol::Malformed)?;
    let cut = Cut::new(length, data.len()).ok_or(NotASymbol::Malformed)?;
    let symbol = u16::try_from(id.esi).map_err(|_| NotASymbol::Malformed)?;
    if id.sbn != 0 || oti.encoding_symbol_length != cut.symbol {
        return Err(NotASymbol::Malformed);
    }
    Ok(Symbol { name, cut, symbol, data })
}
