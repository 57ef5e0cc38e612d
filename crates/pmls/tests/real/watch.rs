//! A passive device that lives at the service.

use std::{
    io::{BufRead as _, BufReader, Lines},
    process::{Child, ChildStdout, Command, Stdio},
    thread,
    time::Duration,
};

use serde_json::{Value, json};

use crate::world::{Device, World, agree, healed, pmls, text_of};

pub(crate) struct Watching {
    process: Child,
    lines: Option<Lines<BufReader<ChildStdout>>>,
}

impl Watching {
    pub(crate) fn start(device: &Device) -> Self {
        Self::start_with(device, &[])
    }

    /// With these arguments. It ends by itself, so that a test that waits for what does not come fails.
    pub(crate) fn start_with(device: &Device, more: &[&str]) -> Self {
        let mut command = pmls(&device.home);
        let command = command
            .args(["watch", "--for", "300"])
            .args(more)
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut process = command.spawn().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        Self { process, lines: Some(lines) }
    }

    /// Reads what happens, up to what is waited for.
    pub(crate) fn until(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let lines = self.lines.as_mut().expect("it is listened to");
            let line = lines.next().expect("it goes on").unwrap();
            let event: Value = serde_json::from_str(&line).unwrap();
            if wanted(&event) {
                return event;
            }
        }
    }

    /// Kills it where it stands.
    pub(crate) fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// From now on nobody reads what it prints.
    pub(crate) fn listen_no_more(&mut self) {
        self.lines = None;
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Asks it to stop; its exit code.
    pub(crate) fn stop(self) -> Option<i32> {
        let pid = self.process.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        code_within_a_minute(self.process)
    }
}

/// The exit code of a process; `None` for one that has to be killed, because it waits for ever.
pub(crate) fn code_within_a_minute(mut process: Child) -> Option<i32> {
    for _ in 0..600 {
        if let Some(status) = process.try_wait().unwrap() {
            return status.code();
        }
        thread::sleep(Duration::from_millis(100));
    }
    process.kill().unwrap();
    process.wait().unwrap();
    None
}

fn is_healing(event: &Value) -> bool {
    healed(std::slice::from_ref(event), &[1])
}

/// It joins, pairs, follows, hears, outlives the server, and stops when it is told to; all that it sends
/// is what its user has confirmed.
#[test]
fn a_sensor_lives_by_watching() {
    let mut world = World::new();
    let [phone, sensor] = ["phone", "sensor"].map(|user| world.device(user));
    phone.run(&["group", "create", "family"]);
    let mut watching = Watching::start(&sensor);
    watching.until(|event| event["event"] == "connected");
    phone.run(&["group", "add", "family", "sensor"]);
    watching.until(|event| event["event"] == "joined");
    let (code, error) = sensor.fails(&["device", "show"]);
    assert_eq!(code, 5, "one process at a time: {error}");

    let started = phone.run(&["pair", "start", "sensor"]);
    let offered = watching.until(|event| event["event"] == "pairing-offered");
    assert_eq!(offered["digits"], started["digits"]);
    assert_eq!(watching.stop(), Some(0));
    sensor.run(&["pair", "confirm", "--digits", &text_of(&started["digits"])]);
    sensor.call_it("family");

    let mut watching = Watching::start(&sensor);
    phone.run(&["pair", "confirm"]);
    watching.until(|event| event["event"] == "paired-in");
    phone.run(&["update", "family"]);
    watching.until(is_healing);

    world.kill();
    let trouble = watching.until(|event| event["event"] == "trouble");
    assert!(trouble["error"].is_string() && trouble.get("exit_code").is_none(), "{trouble}");
    world.restart();
    watching.until(|event| event["event"] == "reconnected");
    phone.run(&["update", "family"]);
    watching.until(is_healing);
    phone.run(&["group", "send", "family", "good night"]);
    let heard = watching.until(|event| event["event"] == "message");
    assert_eq!((&heard["from"], &heard["text"]), (&json!("phone"), &json!("good night")));
    assert_eq!(watching.stop(), Some(0));
    agree(&[&phone, &sensor], "family");
    assert_eq!(sensor.read("family"), ["phone: good night"]);
}

/// A group is told who is paired, if the device wishes so; others can read it.
#[test]
fn a_group_is_told() {
    let world = World::new();
    let [phone, sensor, bob] = ["phone", "sensor", "bob"].map(|user| world.device(user));
    phone.run(&["group", "create", "family"]);
    phone.run(&["group", "add", "family", "sensor", "bob"]);
    bob.sync();
    bob.call_it("family");
    sensor.sync();
    phone.run(&["pair", "start", "sensor"]);
    sensor.sync();
    phone.run(&["pair", "confirm"]);
    sensor.run(&["pair", "confirm"]);
    phone.run(&["update"]);
    bob.sync();
    assert_eq!(bob.run(&["group", "show", "family"])["announcements"], Value::Null);
    phone.run(&["group", "signal", "family", "on"]);
    phone.run(&["update"]);
    bob.sync();
    let told = bob.run(&["group", "show", "family"])["announcements"].clone();
    assert_eq!(told, json!([{ "by": 0, "paired_with": [1], "on_behalf_of": [1] }]));
}
