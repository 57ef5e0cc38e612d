//! Where packets go to and come from: UDP, a serial line, a FIFO, a directory.
//!
//! What listens cannot send by accident:
//!
//! - A **file, FIFO or serial line** is opened for reading only: the operating system refuses every write. A serial
//!   line is set to raw mode first, without echo and without flow control, which would answer by themselves.
//! - A **UDP socket** can send as far as the operating system is concerned; there is none that cannot. Its sending
//!   half is shut down before it is used, and Linux refuses every send on it from then on (`EPIPE`, which a test
//!   shows). It is bound and not connected. What the *host* sends is another matter: answers to ARP, and IGMP where
//!   a multicast group is joined. A group is joined only on demand ([`Igmp::Join`]).

mod dir;
mod place;
mod stream;
mod udp;

use std::{io, time::Duration};

pub use self::place::{Igmp, Place, PlaceError};
use self::{
    dir::{DirInlet, DirOutlet},
    stream::{StreamInlet, StreamOutlet},
    udp::{UdpInlet, UdpOutlet},
};

/// The longest packet that is received, in bytes.
pub const MAX_PACKET: usize = 9000;

/// What became of a packet that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// It is on its way.
    Sent,
    /// Nobody is at the other end of the FIFO, or it does not read: the packet is lost, as it would be on the air.
    Lost,
}

/// Where packets go.
#[derive(Debug)]
pub struct Outlet(Out);

#[derive(Debug)]
enum Out {
    Udp(UdpOutlet),
    Stream(StreamOutlet),
    Dir(DirOutlet),
}

impl Outlet {
    /// Opens the place for sending.
    ///
    /// # Errors
    ///
    /// Those of the operating system.
    pub fn open(place: &Place) -> io::Result<Self> {
        Ok(Self(match place {
            Place::Udp { address, .. } => Out::Udp(UdpOutlet::open(*address)?),
            Place::Serial { path, baud } => Out::Stream(StreamOutlet::serial(path, *baud)?),
            Place::Fifo(path) => Out::Stream(StreamOutlet::fifo(path)?),
            Place::Dir(path) => Out::Dir(DirOutlet::open(path)?),
        }))
    }

    /// Sends a packet.
    ///
    /// # Errors
    ///
    /// Those of the operating system. A network that is not there is one: the caller goes on with the next packet
    /// or ends.
    pub fn send(&mut self, packet: &[u8]) -> io::Result<Delivery> {
        match &mut self.0 {
            Out::Udp(udp) => udp.send(packet),
            Out::Stream(stream) => stream.send(packet),
            Out::Dir(dir) => dir.send(packet),
        }
    }

    /// Lets what was sent be seen by those who listen. A directory collects packets into files.
    ///
    /// # Errors
    ///
    /// Those of the operating system.
    pub fn flush(&mut self) -> io::Result<()> {
        match &mut self.0 {
            Out::Dir(dir) => dir.flush(),
            Out::Udp(_) | Out::Stream(_) => Ok(()),
        }
    }
}

/// Where packets come from.
#[derive(Debug)]
pub struct Inlet(In);

#[derive(Debug)]
enum In {
    Udp(UdpInlet),
    Stream(StreamInlet),
    Dir(DirInlet),
}

impl Inlet {
    /// Opens the place for receiving.
    ///
    /// # Errors
    ///
    /// Those of the operating system.
    pub fn open(place: &Place) -> io::Result<Self> {
        Ok(Self(match place {
            Place::Udp { address, igmp } => In::Udp(UdpInlet::open(*address, *igmp)?),
            Place::Serial { path, baud } => In::Stream(StreamInlet::serial(path, *baud)?),
            Place::Fifo(path) => In::Stream(StreamInlet::fifo(path)?),
            Place::Dir(path) => In::Dir(DirInlet::open(path)),
        }))
    }

    /// Waits for packets, for `timeout` at most, and gives those that are there to `found`.
    ///
    /// # Errors
    ///
    /// Those of the operating system.
    pub fn receive(&mut self, timeout: Duration, found: impl FnMut(&[u8])) -> io::Result<()> {
        match &mut self.0 {
            In::Udp(udp) => udp.receive(timeout, found),
            In::Stream(stream) => stream.receive(timeout, found),
            In::Dir(dir) => dir.receive(timeout, found),
        }
    }
}

#[cfg(test)]
mod tests;
