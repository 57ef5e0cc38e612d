//! A sensor that hears its phone's feed, and sends nothing.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::UdpSocket,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde_json::Value;

use crate::{
    node::Cast,
    world::{Device, World, agree, healed, pmls, settle},
};

pub(crate) fn dir(path: &Path) -> String {
    format!("dir:{}", path.display())
}

/// The phone puts everything into a directory once.
pub(crate) fn beacon(phone: &Device, folder: &Path) {
    phone.run(&["beacon", "--once", "--to", &dir(folder)]);
}

/// What the sensor tells in so many seconds. It cannot ask: the service that it knows is not there.
pub(crate) fn listen(sensor: &Device, from: &[&Path], seconds: &str) -> Vec<Value> {
    let mut command = pmls(&sensor.home);
    command.args(["--server", "http://127.0.0.1:9", "listen", "--for", seconds]);
    for folder in from {
        command.args(["--from", &dir(folder)]);
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let out = String::from_utf8(output.stdout).unwrap();
    out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

pub(crate) fn of_kind<'a>(events: &'a [Value], kind: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["event"] == kind).collect()
}

#[test]
fn a_sensor_is_healed_by_what_it_hears() {
    let mut cast = Cast::paired();
    let [phone, sensor, friend] = cast.all().map(Clone::clone);
    let world = &mut cast.world;
    let feed = world.folder().join("feed");
    phone.run(&["update", "family"]);
    friend.sync();
    friend.run(&["group", "send", "family", "are you well?"]);
    phone.run(&["update", "family"]);
    phone.sync();
    beacon(&phone, &feed);
    world.kill();
    let events = listen(&sensor, &[&feed], "2");
    assert!(healed(&events, &[1]), "{events:?}");
    agree(&[&phone, &sensor], "family");
    assert_eq!(of_kind(&events, "message")[0]["text"], "are you well?");
    assert_eq!(sensor.read("family"), ["bob: are you well?"]);
    // The same again says nothing new.
    let again = listen(&sensor, &[&feed], "1");
    assert!(of_kind(&again, "commit").is_empty() && of_kind(&again, "message").is_empty());
    agree(&[&phone, &sensor], "family");
}

#[test]
fn what_is_behind_a_gap_is_stored_and_waits() {
    let cast = Cast::paired();
    let (world, phone, sensor) = (&cast.world, cast.phone(), cast.sensor());
    let [early, late] = ["early", "late"].map(|name| world.folder().join(name));
    phone.run(&["update", "family"]);
    beacon(phone, &early);
    phone.run(&["update", "family"]);
    phone.run(&["update", "family"]);
    let before = sensor.epoch("family");
    // The last two alone.
    phone.run(&["beacon", "--once", "--last", "2", "--to", &dir(&late)]);
    let events = listen(sensor, &[&late], "2");
    assert_eq!(of_kind(&events, "gap").len(), 1, "{events:?}");
    assert_eq!(sensor.epoch("family"), before);
    // The files are gone, and the process that has heard them.
    fs::remove_dir_all(&late).unwrap();
    let events = listen(sensor, &[&early], "2");
    assert_eq!(of_kind(&events, "commit").len(), 3, "{events:?}");
    agree(&[phone, sensor], "family");
}

#[test]
fn the_feed_and_the_network_take_turns() {
    let cast = Cast::paired();
    let (world, [phone, sensor, friend]) = (&cast.world, cast.all());
    let feed = world.folder().join("feed");
    for round in 0..3 {
        phone.run(&["update", "family"]);
        beacon(phone, &feed);
        if round == 1 {
            // What the feed brings now is known.
            sensor.sync();
            assert!(of_kind(&listen(sensor, &[&feed], "1"), "commit").is_empty());
        } else {
            assert!(healed(&listen(sensor, &[&feed], "1"), &[1]));
        }
        agree(&[phone, sensor], "family");
        phone.run(&["update", "family"]);
        sensor.sync();
        agree(&[phone, sensor], "family");
    }
    // The service has nothing against the sensor's cursor, nor the sensor against the log.
    sensor.run(&["group", "send", "family", "I am back"]);
    settle(&[phone, friend]);
    assert_eq!(friend.read("family"), ["sensor: I am back"]);
}

#[test]
fn strangers_recordings_and_older_databases_change_nothing() {
    let cast = Cast::paired();
    let (world, [phone, sensor, friend]) = (&cast.world, cast.all());
    let [old, new, foreign] = ["old", "new", "foreign"].map(|name| world.folder().join(name));
    phone.run(&["update", "family"]);
    beacon(phone, &old);
    phone.run(&["update", "family"]);
    friend.sync();
    // The friend is a member, and no partner: its feed says the same, and is not heard.
    beacon(friend, &foreign);
    let before = sensor.epoch("family");
    let events = listen(sensor, &[&foreign], "1");
    let heard = of_kind(&events, "heard")[0];
    assert_eq!(heard["packets"], heard["foreign"]);
    assert_ne!(heard["packets"], 0);
    assert_eq!(sensor.epoch("family"), before);
    // A device without a partner says so.
    let (code, error) = friend.fails(&["listen", "--from", &dir(&new)]);
    assert_eq!(code, 3);
    assert!(error.contains("no partner"), "{error}");

    beacon(phone, &new);
    listen(sensor, &[&new], "1");
    agree(&[phone, sensor], "family");
    // Two feeds at once, one of them of the past.
    let events = listen(sensor, &[&old, &new], "1");
    assert!(of_kind(&events, "commit").is_empty() && of_kind(&events, "trouble").is_empty());
    agree(&[phone, sensor], "family");
}

#[test]
fn a_listener_is_killed_at_any_moment() {
    let cast = Cast::paired();
    let (world, phone, sensor) = (&cast.world, cast.phone(), cast.sensor());
    let feed = world.folder().join("feed");
    for _ in 0..12 {
        phone.run(&["update", "family"]);
    }
    beacon(phone, &feed);
    let mut came = 0;
    for after in (0..14).map(|n| 15 * n) {
        let mut command = pmls(&sensor.home);
        let listener = command.args(["listen", "--from", &dir(&feed)]);
        let mut listener = listener.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(after));
        listener.kill().unwrap();
        listener.wait().unwrap();
        came = sensor.epoch("family");
    }
    listen(sensor, &[&feed], "2");
    assert!(sensor.epoch("family") >= came);
    agree(&[phone, sensor], "family");
}

struct Living(Child);

impl Living {
    fn start(device: &Device, args: &[&str]) -> (Self, impl Iterator<Item = Value> + use<>) {
        let mut command = pmls(&device.home);
        let command = command.args(args).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = command.spawn().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        (Self(process), lines.map(|line| serde_json::from_str(&line.unwrap()).unwrap()))
    }

    /// Asks it to stop; its exit code.
    fn stop(&mut self) -> Option<i32> {
        let pid = self.0.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        self.0.wait().unwrap().code()
    }
}

impl Drop for Living {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn places(world: &World) -> [String; 2] {
    let fifo: PathBuf = world.folder().join("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    [format!("udp://{}", socket.local_addr().unwrap()), format!("fifo:{}", fifo.display())]
}

/// Both live, over UDP and over a FIFO, and the phone is used meanwhile.
#[test]
fn a_beacon_and_a_listener_live() {
    let cast = Cast::paired();
    let (world, phone, sensor) = (&cast.world, cast.phone(), cast.sensor());
    for place in places(world) {
        let (mut listener, mut heard) = Living::start(sensor, &["listen", "--from", &place]);
        assert_eq!(heard.next().unwrap()["event"], "listening");
        let to = ["beacon", "--to", &place, "--every", "1", "--rate", "2000000"];
        let (mut beacon, mut told) = Living::start(phone, &to);
        assert_eq!(told.next().unwrap()["event"], "beacon");
        told.find(|event| event["event"] == "offered").unwrap();
        for _ in 0..2 {
            // The beacon looks once a second, and has the home then.
            let update = || pmls(&phone.home).args(["update", "family"]).output().unwrap();
            while update().status.code() == Some(5) {}
            let healing = heard.find(|event| healed(std::slice::from_ref(event), &[1]));
            assert!(healing.is_some());
        }
        assert_eq!(beacon.stop(), Some(0));
        assert_eq!(listener.stop(), Some(0));
        phone.sync();
        agree(&[phone, sensor], "family");
    }
}
