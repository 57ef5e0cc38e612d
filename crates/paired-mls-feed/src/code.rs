//! The code against losses (RFC 6330, RaptorQ), of one source block without sub-blocks.

use raptorq::{
    EncodingPacket, ObjectTransmissionInformation, PayloadId, SourceBlockDecoder,
    SourceBlockEncoder,
};

use crate::MAX_BUNDLE;

/// The most source symbols of a bundle.
pub(crate) const MAX_SYMBOLS: usize = 8192;

/// How a bundle is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Cut {
    /// The length of the bundle, in bytes.
    pub(crate) length: u32,
    /// The length of a symbol, in bytes.
    pub(crate) symbol: u16,
}

impl Cut {
    /// `None` if no bundle can be cut so.
    pub(crate) fn new(length: usize, symbol: usize) -> Option<Self> {
        let symbols = length.checked_div(symbol)?;
        if length == 0 || length > MAX_BUNDLE || symbols >= MAX_SYMBOLS {
            return None;
        }
        Some(Self { length: u32::try_from(length).ok()?, symbol: u16::try_from(symbol).ok()? })
    }

    /// Into as few symbols as possible, none longer than `max_symbol`, and so that little is padded.
    pub(crate) fn even(length: usize, max_symbol: u16) -> Option<Self> {
        let symbols = length.checked_next_multiple_of(max_symbol.into())? / usize::from(max_symbol);
        Self::new(length, length.div_ceil(symbols.max(1)))
    }

    pub(crate) fn len(self) -> usize {
        usize::try_from(self.length).unwrap_or(usize::MAX)
    }

    /// The number of source symbols.
    pub(crate) fn symbols(self) -> usize {
        self.len().div_ceil(self.symbol.into())
    }

    fn information(self) -> ObjectTransmissionInformation {
        ObjectTransmissionInformation::new(self.length.into(), self.symbol, 1, 1, 1)
    }
}

/// Makes the symbols of a bundle.
pub(crate) struct Encoder {
    cut: Cut,
    block: SourceBlockEncoder,
    source: Vec<u8>,
}

impl Encoder {
    pub(crate) fn new(bundle: &[u8], cut: Cut) -> Self {
        let mut source = bundle.to_vec();
        source.resize(cut.symbols() * usize::from(cut.symbol), 0);
        Self { cut, block: SourceBlockEncoder::new(0, &cut.information(), &source), source }
    }

    /// The encoding symbol with this id: one of the source, or a repair symbol.
    pub(crate) fn symbol(&self, id: u16) -> Vec<u8> {
        let (length, count) = (usize::from(self.cut.symbol), self.cut.symbols());
        if let Some(source) = self.source.chunks(length).nth(id.into()) {
            return source.to_vec();
        }
        let first = u32::from(id) - u32::try_from(count).unwrap_or_default();
        let made = self.block.repair_packets(first, 1);
        made.into_iter().next().map(|packet| packet.split().1).unwrap_or_default()
    }
}

/// The bundle, from enough of its symbols. `None` if they are not enough.
pub(crate) fn decode<'a>(
    cut: Cut,
    symbols: impl Iterator<Item = (u16, &'a [u8])>,
) -> Option<Vec<u8>> {
    let packets = symbols.filter(|(_, data)| data.len() == usize::from(cut.symbol));
    let packets =
        packets.map(|(id, data)| EncodingPacket::new(PayloadId::new(0, id.into()), data.to_vec()));
    let mut decoder = SourceBlockDecoder::new(0, &cut.information(), cut.length.into());
    let mut bundle = decoder.decode(packets)?;
    bundle.truncate(cut.len());
    Some(bundle)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundle(length: usize) -> Vec<u8> {
        (0..length).map(|n| u8::try_from(n * 31 % 251).unwrap()).collect()
    }

    #[test]
    fn any_symbols_do_and_a_bundle_of_any_length() {
        for length in [1, 2, 239, 240, 241, 1000, 4096, 20_000] {
            let bundle = bundle(length);
            let cut = Cut::even(length, 240).unwrap();
            assert!(cut.symbol <= 240);
            let encoder = Encoder::new(&bundle, cut);
            let needed = u16::try_from(cut.symbols()).unwrap();
            // Every third one is lost, and the source symbols before the tenth.
            let ids = (0..).filter(|id| id % 3 != 0 && *id >= 10).take(usize::from(needed) + 2);
            let symbols: Vec<(u16, Vec<u8>)> = ids.map(|id| (id, encoder.symbol(id))).collect();
            let symbols = symbols.iter().map(|(id, data)| (*id, &data[..]));
            assert_eq!(decode(cut, symbols), Some(bundle), "{length}");
        }
    }

    #[test]
    fn too_few_symbols_are_not_enough() {
        let bundle = bundle(1000);
        let cut = Cut::even(1000, 240).unwrap();
        let encoder = Encoder::new(&bundle, cut);
        let symbols: Vec<(u16, Vec<u8>)> = (1..5).map(|id| (id, encoder.symbol(id))).collect();
        assert_eq!(decode(cut, symbols.iter().take(4).map(|(id, data)| (*id, &data[..]))), None);
    }

    #[test]
    fn what_cannot_be_cut_is_refused() {
        assert_eq!(Cut::new(0, 100), None);
        assert_eq!(Cut::new(100, 0), None);
        assert_eq!(Cut::new(MAX_BUNDLE + 1, 1000), None);
        assert_eq!(Cut::new(MAX_BUNDLE, 1), None);
        assert_eq!(Cut::new(100, 70_000), None);
    }
}
