//! UDP: one packet, one datagram.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, UdpSocket},
    time::Duration,
};

use socket2::{Domain, Protocol, Socket, Type};

use super::{Delivery, Igmp, MAX_PACKET};

#[derive(Debug)]
pub(super) struct UdpOutlet(UdpSocket);

impl UdpOutlet {
    pub(super) fn open(address: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        if address.is_ipv4() {
            socket.set_broadcast(true)?;
        }
        socket.connect(&address.into())?;
        Ok(Self(socket.into()))
    }

    pub(super) fn send(&mut self, packet: &[u8]) -> io::Result<Delivery> {
        match self.0.send(packet) {
            Ok(_) => Ok(Delivery::Sent),
            // The answer to the packet before: nobody listens there now.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(Delivery::Lost),
            Err(error) => Err(error),
        }
    }
}

#[derive(Debug)]
pub(super) struct UdpInlet {
    pub(super) socket: UdpSocket,
    buffer: Vec<u8>,
}

impl UdpInlet {
    pub(super) fn open(address: SocketAddr, igmp: Igmp) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        if igmp == Igmp::Join {
            match address.ip() {
                IpAddr::V4(group) => socket.join_multicast_v4(&group, &Ipv4Addr::UNSPECIFIED)?,
                IpAddr::V6(group) => socket.join_multicast_v6(&group, 0)?,
            }
        }
        // Linux notes it, and says at the same time that the socket is not connected.
        match socket.shutdown(Shutdown::Write) {
            Err(error) if error.kind() != io::ErrorKind::NotConnected => return Err(error),
            Ok(()) | Err(_) => {}
        }
        Ok(Self { socket: socket.into(), buffer: vec![0; MAX_PACKET] })
    }

    pub(super) fn receive(
        &mut self,
        timeout: Duration,
        mut found: impl FnMut(&[u8]),
    ) -> io::Result<()> {
        // None would be for ever.
        self.socket.set_read_timeout(Some(timeout.max(Duration::from_millis(1))))?;
        match self.socket.recv(&mut self.buffer) {
            Ok(length) => found(self.buffer.get(..length).unwrap_or_default()),
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock
                | io::ErrorKind::TimedOut
                | io::ErrorKind::Interrupted => {}
                _ => return Err(error),
            },
        }
        Ok(())
    }
}
