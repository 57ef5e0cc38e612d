//! Packets on a stream of bytes (RFC 1055, SLIP): END, the packet with END and ESC escaped, END.

const END: u8 = 0xC0;
const ESC: u8 = 0xDB;
const ESC_END: u8 = 0xDC;
const ESC_ESC: u8 = 0xDD;

/// A packet as it stands on the stream. It begins with END too, which ends whatever noise came before.
pub fn frame(packet: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(packet.len() + packet.len() / 32 + 2);
    bytes.push(END);
    for byte in packet {
        match *byte {
            END => bytes.extend_from_slice(&[ESC, ESC_END]),
            ESC => bytes.extend_from_slice(&[ESC, ESC_ESC]),
            other => bytes.push(other),
        }
    }
    bytes.push(END);
    bytes
}

/// How long [`frame`] makes a packet, in bytes.
pub fn framed_len(packet: &[u8]) -> usize {
    packet.len() + packet.iter().filter(|byte| matches!(**byte, END | ESC)).count() + 2
}

/// Finds the packets in a stream of bytes, in pieces of any length.
#[derive(Debug)]
pub struct Unframer {
    packet: Vec<u8>,
    state: State,
    max_packet: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Packet,
    Escaped,
    /// The packet was too long, or had an escape that there is not: it is passed over.
    Lost,
}

impl Unframer {
    /// Packets longer than `max_packet` bytes are passed over.
    pub fn new(max_packet: usize) -> Self {
        Self { packet: Vec::new(), state: State::Packet, max_packet }
    }

    /// Takes the next bytes of the stream, and gives the packets that they complete to `found`.
    pub fn push(&mut self, bytes: &[u8], mut found: impl FnMut(&[u8])) {
        for byte in bytes {
            let next = match (self.state, *byte) {
                (state, END) => {
                    if state == State::Packet && !self.packet.is_empty() {
                        found(&self.packet);
                    }
                    self.packet.clear();
                    self.state = State::Packet;
                    continue;
                }
                (State::Lost, _) => continue,
                (State::Packet, ESC) => {
                    self.state = State::Escaped;
                    continue;
                }
                (State::Packet, byte) => Some(byte),
                (State::Escaped, ESC_END) => Some(END),
                (State::Escaped, ESC_ESC) => Some(ESC),
                (State::Escaped, _) => None,
            };
            match next {
                Some(byte) if self.packet.len() < self.max_packet => {
                    self.packet.push(byte);
                    self.state = State::Packet;
                }
                _ => self.state = State::Lost,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packets(unframer: &mut Unframer, bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut found = Vec::new();
        unframer.push(bytes, |packet| found.push(packet.to_vec()));
        found
    }

    #[test]
    fn it_is_that_of_the_rfc() {
        assert_eq!(frame(&[1, END, 2, ESC, 3]), [END, 1, ESC, ESC_END, 2, ESC, ESC_ESC, 3, END]);
        assert_eq!(framed_len(&[1, END, 2, ESC, 3]), 9);
    }

    #[test]
    fn packets_come_in_pieces_of_any_length() {
        let sent: [&[u8]; 3] = [&[1, 2, 3], &[END, ESC, END], &[0; 100]];
        let stream: Vec<u8> = sent.iter().flat_map(|packet| frame(packet)).collect();
        for piece in 1..stream.len() {
            let mut unframer = Unframer::new(100);
            let found: Vec<_> =
                stream.chunks(piece).flat_map(|bytes| packets(&mut unframer, bytes)).collect();
            assert_eq!(found, sent);
        }
    }

    #[test]
    fn noise_costs_one_packet_and_bounded_memory() {
        let mut unframer = Unframer::new(100);
        // The noise ends with the first END of the next frame.
        let stream = [&[7; 1000][..], &frame(&[1]), &[ESC, 9], &frame(&[2])].concat();
        assert_eq!(packets(&mut unframer, &stream), [[1], [2]]);
        assert!(unframer.packet.capacity() <= 256);
    }
}
