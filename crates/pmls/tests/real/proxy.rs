//! Somebody between the devices and the service, who loses requests or answers, or answers himself.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

/// What is done with a request.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// The service has it, and the device never learns of that.
    LoseAnswer,
    /// It never reaches the service.
    LoseRequest,
    /// Nothing is answered for as long as the test runs.
    Hang,
    /// The body of the answer is another one.
    Change(fn(Vec<u8>) -> Vec<u8>),
    /// This is answered: status, media type and body.
    Answer(u16, &'static str, Vec<u8>),
}

#[derive(Default)]
struct Shared {
    /// For requests whose line holds all of these words.
    rules: Vec<(&'static str, Act)>,
    seen: Vec<String>,
}

/// A proxy in front of a service on this machine.
pub(crate) struct Proxy {
    pub(crate) url: String,
    shared: Arc<Mutex<Shared>>,
}

impl Proxy {
    pub(crate) fn before(service: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let service = service.trim_start_matches("http://").trim_end_matches('/').to_owned();
        let shared = Arc::<Mutex<Shared>>::default();
        let state = shared.clone();
        thread::spawn(move || {
            for device in listener.incoming().flatten() {
                let (service, state) = (service.clone(), state.clone());
                // A device that goes away in the middle is no concern of the proxy.
                thread::spawn(move || serve(device, &service, &state).ok());
            }
        });
        Self { url, shared }
    }

    /// From now on this is done with each request whose first line holds all words of `part`.
    pub(crate) fn on(&self, part: &'static str, act: Act) {
        self.shared.lock().unwrap().rules.push((part, act));
    }

    /// From now on everything passes.
    pub(crate) fn pass(&self) {
        self.shared.lock().unwrap().rules.clear();
    }

    /// How many requests there were whose first line holds `part`.
    pub(crate) fn count(&self, part: &str) -> usize {
        self.shared.lock().unwrap().seen.iter().filter(|line| line.contains(part)).count()
    }
}

/// One connection, with one request.
fn serve(mut device: TcpStream, service: &str, state: &Mutex<Shared>) -> std::io::Result<()> {
    let mut request = Vec::new();
    let end = loop {
        if let Some(end) = request.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        let mut chunk = [0; 4096];
        match device.read(&mut chunk)? {
            0 => return Ok(()),
            len => request.extend_from_slice(&chunk[..len]),
        }
    };
    let head = String::from_utf8_lossy(&request[..end]).into_owned();
    let mut lines = head.lines();
    let line = lines.next().unwrap_or_default().to_owned();
    let length = lines
        .filter_map(|header| header.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse().ok())
        .unwrap_or(0);
    while request.len() < end + length {
        let mut chunk = [0; 65536];
        match device.read(&mut chunk)? {
            0 => return Ok(()),
            len => request.extend_from_slice(&chunk[..len]),
        }
    }
    let act = {
        let mut shared = state.lock().unwrap();
        shared.seen.push(line.clone());
        shared
            .rules
            .iter()
            .find(|(part, _)| part.split(' ').all(|word| line.contains(word)))
            .map(|(_, act)| act.clone())
    };
    match act {
        Some(Act::Hang) => {
            // The device goes away in the end.
            let _ = device.read(&mut [0; 1]);
            return Ok(());
        }
        Some(Act::LoseRequest) => return device.shutdown(Shutdown::Both),
        Some(Act::Answer(status, media_type, body)) => {
            let length = body.len();
            write!(
                device,
                "HTTP/1.1 {status} Answer\r\ncontent-type: {media_type}\r\ncontent-length: {length}\r\n\
                 connection: close\r\n\r\n"
            )?;
            return device.write_all(&body);
        }
        Some(Act::LoseAnswer | Act::Change(_)) | None => {}
    }
    let mut upstream = TcpStream::connect(service)?;
    // One request for each connection, so that the answer ends where the connection does.
    let head = head.replacen("\r\n", "\r\nconnection: close\r\n", 1);
    upstream.write_all(head.as_bytes())?;
    upstream.write_all(&request[end..])?;
    if matches!(act, Some(Act::LoseAnswer)) {
        let mut answer = Vec::new();
        upstream.read_to_end(&mut answer)?;
        return device.shutdown(Shutdown::Both);
    }
    if let Some(Act::Change(change)) = act {
        let mut answer = Vec::new();
        upstream.read_to_end(&mut answer)?;
        let body = answer.windows(4).position(|four| four == b"\r\n\r\n").map_or(0, |at| at + 4);
        let changed = change(answer.split_off(body));
        device.write_all(&answer)?;
        device.write_all(&changed)?;
        return device.shutdown(Shutdown::Both);
    }
    std::io::copy(&mut upstream, &mut device)?;
    device.shutdown(Shutdown::Both)
}

/// A problem document of the service.
pub(crate) fn problem(status: u16, kind: &str) -> Act {
    let body = format!(
        r#"{{"type":"urn:paired-mls:problem:{kind}","title":"The test says no","status":{status}}}"#
    );
    Act::Answer(status, "application/problem+json", body.into_bytes())
}
