use std::{fs, net::UdpSocket, path::Path, process::Command};

use super::*;
use crate::Framing;

const SOON: Duration = Duration::from_millis(500);

/// Receives until there are as many packets.
fn receive(inlet: &mut Inlet, count: usize) -> Vec<Vec<u8>> {
    let mut packets = Vec::new();
    for _ in 0..200 {
        inlet.receive(SOON, |packet| packets.push(packet.to_vec())).unwrap();
        if packets.len() >= count {
            break;
        }
    }
    packets
}

fn packets() -> Vec<Vec<u8>> {
    (0..40u8).map(|n| (0..=n).map(|byte| byte.wrapping_mul(37)).collect()).collect()
}

fn free_port() -> u16 {
    UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn places_have_names() {
    let udp: Place = "udp://127.0.0.1:5000".parse().unwrap();
    assert_eq!(udp, Place::Udp { address: "127.0.0.1:5000".parse().unwrap(), igmp: Igmp::Silent });
    assert_eq!(udp.framing(), Framing::Flute);
    let serial: Place = "serial:/dev/ttyS0?baud=1200".parse().unwrap();
    assert_eq!(serial, Place::Serial { path: "/dev/ttyS0".into(), baud: Some(1200) });
    assert_eq!(serial.framing(), Framing::Narrow);
    let joined: Place = "udp://[ff02::1:2]:5000?igmp=join".parse().unwrap();
    assert!(matches!(joined, Place::Udp { igmp: Igmp::Join, .. }));
    assert_eq!("fifo:a b".parse(), Ok(Place::Fifo("a b".into())));
    assert_eq!("dir:/x".parse(), Ok(Place::Dir("/x".into())));
    for wrong in [
        "",
        "udp:",
        "udp://beacon.example:1",
        "udp://127.0.0.1",
        "udp://127.0.0.1:1?x",
        "serial:",
        "serial:x?baud=fast",
        "fifo:",
        "dir:",
        "tcp://127.0.0.1:1",
        "nothing",
    ] {
        assert!(wrong.parse::<Place>().is_err(), "{wrong}");
    }
}

#[test]
fn udp_carries_packets() {
    let place: Place = format!("udp://127.0.0.1:{}", free_port()).parse().unwrap();
    let mut inlet = Inlet::open(&place).unwrap();
    let mut outlet = Outlet::open(&place).unwrap();
    for packet in packets() {
        assert_eq!(outlet.send(&packet).unwrap(), Delivery::Sent);
    }
    assert_eq!(receive(&mut inlet, 40), packets());
}

#[test]
#[cfg(target_os = "linux")]
fn the_socket_of_a_listener_cannot_send() {
    let address = format!("127.0.0.1:{}", free_port()).parse().unwrap();
    let inlet = UdpInlet::open(address, Igmp::Silent).unwrap();
    let other = UdpSocket::bind("127.0.0.1:0").unwrap();
    let refused = inlet.socket.send_to(b"out", other.local_addr().unwrap()).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::BrokenPipe);
    inlet.socket.connect(other.local_addr().unwrap()).unwrap();
    assert_eq!(inlet.socket.send(b"out").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
}

/// A line with a listener at one end: what the listener would send comes out at the other.
#[test]
#[cfg(target_os = "linux")]
fn a_serial_line_carries_packets_and_nothing_comes_back() {
    use rustix::{
        fs::{OFlags, fcntl_setfl},
        pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    };
    use std::io::Read as _;

    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let path = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
    let place: Place = format!("serial:{path}?baud=1200").parse().unwrap();
    let mut inlet = Inlet::open(&place).unwrap();
    let mut master = fs::File::from(master);
    // Each byte there is: carriage returns, XON and XOFF, the end of file, an interrupt.
    let packet: Vec<u8> = (0..=255).collect();
    std::io::Write::write_all(&mut master, &crate::slip::frame(&packet)).unwrap();
    assert_eq!(receive(&mut inlet, 1), [packet]);
    fcntl_setfl(&master, OFlags::NONBLOCK).unwrap();
    let nothing = master.read(&mut [0; 16]).unwrap_err();
    assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
    // The other direction: a beacon.
    let mut outlet = Outlet::open(&place).unwrap();
    outlet.send(b"\r\n\x11\x13").unwrap();
    let mut buffer = [0; 64];
    let length = master.read(&mut buffer).unwrap();
    assert_eq!(buffer.get(..length), Some(&crate::slip::frame(b"\r\n\x11\x13")[..]));
}

fn make_fifo(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

#[test]
fn a_fifo_carries_packets_and_outlives_both_ends() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fifo");
    make_fifo(&path);
    let place = Place::Fifo(path);
    let mut outlet = Outlet::open(&place).unwrap();
    // Nobody listens.
    assert_eq!(outlet.send(b"lost").unwrap(), Delivery::Lost);
    for _ in 0..2 {
        let mut inlet = Inlet::open(&place).unwrap();
        // What breaks the FIFO of the listener before is lost.
        let first = outlet.send(b"first").unwrap();
        for packet in packets() {
            assert_eq!(outlet.send(&packet).unwrap(), Delivery::Sent);
        }
        let received = receive(&mut inlet, 40 + usize::from(first == Delivery::Sent));
        assert_eq!(received.get(received.len() - 40..).unwrap(), packets());
    }
    // The other way round: a listener that stays, and a second beacon.
    let mut inlet = Inlet::open(&place).unwrap();
    for _ in 0..2 {
        let mut outlet = Outlet::open(&place).unwrap();
        outlet.send(b"packet").unwrap();
        drop(outlet);
        assert_eq!(receive(&mut inlet, 1), [b"packet"]);
    }
}

#[test]
fn a_reader_that_does_not_read_loses_packets_and_does_not_stop_the_beacon() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fifo");
    make_fifo(&path);
    let place = Place::Fifo(path);
    let mut inlet = Inlet::open(&place).unwrap();
    let mut outlet = Outlet::open(&place).unwrap();
    let mut lost = 0;
    for _ in 0..200 {
        if outlet.send(&[1; 1000]).unwrap() == Delivery::Lost {
            lost += 1;
        }
    }
    assert!(lost > 0);
    let received = receive(&mut inlet, 200 - lost);
    assert!(received.iter().all(|packet| packet == &[1; 1000]));
    assert_eq!(received.len(), 200 - lost);
}

#[test]
fn a_directory_carries_packets_in_files_that_are_whole() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::Dir(folder.path().join("feed"));
    let mut inlet = Inlet::open(&place).unwrap();
    // It is not there yet.
    inlet.receive(Duration::from_millis(1), |_| panic!("nothing was sent")).unwrap();
    for _ in 0..2 {
        let mut outlet = Outlet::open(&place).unwrap();
        for packet in packets() {
            outlet.send(&packet).unwrap();
        }
        outlet.flush().unwrap();
        fs::write(folder.path().join("feed/unfinished"), b"half a fi").unwrap();
        assert_eq!(receive(&mut inlet, 40), packets());
    }
    // A listener that starts anew reads what is there.
    assert_eq!(receive(&mut Inlet::open(&place).unwrap(), 80).len(), 80);
}
