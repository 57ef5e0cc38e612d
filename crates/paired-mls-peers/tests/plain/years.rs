//! A sensor that only receives, for five years, under a clock that the test moves.
//!
//! OpenMLS and mls-rs read the clock of the system where they check lifetimes, and OpenMLS takes no other. So the test
//! runs once more in a process with `libfaketime` before the C library, and moves that process's clock.

use std::{
    env, fs,
    path::PathBuf,
    process::Command,
    time::{SystemTime, UNIX_EPOCH},
};

use openmls::prelude::Capabilities;
use openmls_rust_crypto::RustCrypto;
use paired_mls::{
    CipherSuite, DeviceId, Event, Pairing, PairingId, Secret, Seed,
    anchor::LeafIndex,
    conformance::{
        Content, Framing, Heard, Listener as _, Member, PairedMember as _, Sent,
        leaf::{LeafMember as _, Use},
    },
};
use paired_mls_openmls::{Error, Group, UsageError};
use paired_mls_peers::{OpenMlsDevice, OpenMlsLeafDevice, StockMlsRs, StockOpenMls};

use crate::packages::behind_a_leaf;

const SUITE: CipherSuite = CipherSuite::X25519Aes128;
const ID: PairingId = PairingId([7; 16]);
const DAY: u64 = 24 * 60 * 60;
const CLOCK: &str = "FAKETIME_TIMESTAMP_FILE";

/// Where `libfaketime` is: Debian's package `faketime` has it. Without it the test is skipped, except in CI, where it has
/// to run.
fn library() -> Option<PathBuf> {
    let folders = ["/usr/lib", "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu"];
    let file = folders.map(|folder| PathBuf::from(folder).join("faketime/libfaketime.so.1"));
    let found = file.into_iter().find(|file| file.exists());
    if found.is_none() {
        let missing = "no libfaketime: install faketime";
        assert!(env::var_os("CI").is_none(), "{missing}");
        eprintln!("skipped: {missing}");
    }
    found
}

/// The process's clock, if it is one that the test moves; if not, the test `name` has run in such a process by now.
fn clock_of(name: &str) -> Option<Clock> {
    if let Some(file) = env::var_os(CLOCK) {
        return Some(Clock { file: file.into(), begin: now() });
    }
    let library = library()?;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("clock");
    fs::write(&file, "+0\n").unwrap();
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture", "--test-threads", "1"])
        .env("LD_PRELOAD", library)
        .env(CLOCK, &file)
        .env("FAKETIME_NO_CACHE", "1")
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        .output()
        .unwrap();
    let (out, error) = (&output.stdout, &output.stderr);
    let told = [out.as_slice(), error].map(String::from_utf8_lossy).concat();
    assert!(output.status.success(), "{told}");
    assert!(told.contains("1 passed"), "{told}");
    None
}

struct Clock {
    file: PathBuf,
    begin: u64,
}

impl Clock {
    fn day(&self, day: u64) {
        fs::write(&self.file, format!("+{}\n", day * DAY)).unwrap();
        let now = now();
        assert!((self.begin + day * DAY..self.begin + (day + 1) * DAY).contains(&now), "{now}");
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// A phone and a sensor that are paired, and two members on stock libraries, who commit now and then, as people do.
struct Village {
    phone: OpenMlsDevice<RustCrypto>,
    sensor: OpenMlsDevice<RustCrypto>,
    ada: StockOpenMls,
    bea: StockMlsRs,
}

impl Village {
    fn new() -> Self {
        let device = |name| OpenMlsDevice::new(SUITE, Framing::Public, name).unwrap();
        let [mut phone, mut sensor] = ["phone", "sensor"].map(device);
        let mut ada = StockOpenMls::new(SUITE, Framing::Public, "ada").unwrap();
        let mut bea = StockMlsRs::new(SUITE, Framing::Public, "bea").unwrap();
        phone.create(b"a village").unwrap();
        let others: [&mut dyn Member; 3] = [&mut sensor, &mut ada, &mut bea];
        let adds = others.map(|member| member.key_package().unwrap()).to_vec();
        let sent = phone.commit(&Content { adds, removes: Vec::new() }).unwrap();
        phone.confirm().unwrap();
        let welcome = sent.welcome.unwrap();
        let others: [&mut dyn Member; 3] = [&mut sensor, &mut ada, &mut bea];
        others.into_iter().for_each(|member| member.join(&welcome).unwrap());
        let pairing = Pairing::new(ID, [&phone, &sensor].map(|device| device.signature_key()));
        for (device, own) in [&mut phone, &mut sensor].into_iter().zip([DeviceId(0), DeviceId(1)]) {
            let seed = Seed::new(SUITE, Secret::new(vec![5; SUITE.kdf_len()])).unwrap();
            pairing.install(device.vault(), SUITE, seed, own).unwrap();
            device.pair(&pairing).unwrap();
        }
        Self { phone, sensor, ada, bea }
    }

    /// The sensor can be reached once, and never again.
    fn provision(&mut self) {
        let chain = self.sensor.make_chain(ID, DeviceId(0), &Capabilities::default()).unwrap();
        let keys = [&self.phone, &self.sensor].map(|device| device.signature_key());
        self.phone.adopt_chain(&Pairing::new(ID, keys), &chain).unwrap();
    }

    /// The phone does what is due. Returns whether it has renewed the sensor.
    fn due(&mut self) -> bool {
        let sent = self.phone.heal_if_due().unwrap();
        sent.is_some_and(|sent| self.renewed(&sent))
    }

    fn renewed(&mut self, sent: &Sent) -> bool {
        self.phone.confirm().unwrap();
        let refresh = sent.refresh.as_ref().expect("there is nothing else to be due");
        let events = self.sensor.process_refresh(&sent.commit, refresh).unwrap();
        assert!(events.contains(&Event::LeafRenewed { by: DeviceId(0), device: DeviceId(1) }));
        self.ada.process(&sent.commit).unwrap();
        self.bea.process(&sent.commit).unwrap();
        self.together();
        true
    }

    /// The phone and the stock members commit with new keys, all or from this one on.
    fn people(&mut self, first: usize) {
        for n in first..3 {
            let mut all: [&mut dyn Member; 4] =
                [&mut self.phone, &mut self.ada, &mut self.bea, &mut self.sensor];
            let sent = all[n].commit(&Content::default()).unwrap();
            all[n].confirm().unwrap();
            for (other, member) in all.iter_mut().enumerate() {
                if other != n {
                    member.process(&sent.commit).unwrap();
                }
            }
        }
        self.together();
    }

    fn together(&self) {
        let ada = self.ada.epoch_authenticator();
        assert_eq!(ada, self.bea.epoch_authenticator());
        assert_eq!(ada, self.phone.epoch_authenticator());
        assert_eq!(ada, self.sensor.epoch_authenticator());
    }

    /// Somebody new comes on each library, says something that the sensor reads, and goes. Returns who was refused by its
    /// own library.
    fn newcomers(&mut self) -> Vec<&'static str> {
        let mut refused = Vec::new();
        let openmls = StockOpenMls::new(SUITE, Framing::Public, "new on OpenMLS").unwrap();
        let mls_rs = StockMlsRs::new(SUITE, Framing::Public, "new on mls-rs").unwrap();
        let both: [(&str, Box<dyn Member>); 2] =
            [("OpenMLS", Box::new(openmls)), ("mls-rs", Box::new(mls_rs))];
        for (name, mut newcomer) in both {
            let adds = vec![newcomer.key_package().unwrap()];
            let welcome = self.ada_commits(&Content { adds, removes: Vec::new() }).unwrap();
            match newcomer.join(&welcome) {
                Err(_) => refused.push(name),
                Ok(()) => {
                    assert_eq!(newcomer.epoch_authenticator(), self.ada.epoch_authenticator());
                    let said = newcomer.send(b"is the pump on?").unwrap();
                    let heard = self.sensor.process(&said).unwrap();
                    assert_eq!(heard, Heard::Application(b"is the pump on?".to_vec()));
                }
            }
            let removes = vec![LeafIndex::new(4).unwrap()];
            self.ada_commits(&Content { adds: Vec::new(), removes });
        }
        refused
    }

    fn ada_commits(&mut self, content: &Content) -> Option<Vec<u8>> {
        let sent = self.ada.commit(content).unwrap();
        self.ada.confirm().unwrap();
        let others: [&mut dyn Member; 3] = [&mut self.phone, &mut self.sensor, &mut self.bea];
        others.into_iter().for_each(|member| drop(member.process(&sent.commit).unwrap()));
        self.together();
        sent.welcome
    }
}

/// Provisioned once, the sensor is renewed for five years and never sends anything. At day 1, 100, 400 and 1,800 members on
/// stock OpenMLS and stock mls-rs come into the group.
#[test]
fn a_sensor_that_only_receives_lives_for_five_years() {
    let name = "years::a_sensor_that_only_receives_lives_for_five_years";
    let Some(clock) = clock_of(name) else { return };
    let mut village = Village::new();
    village.provision();
    let mut renewed = Vec::new();
    let mut days: Vec<u64> = (0..1_860).step_by(30).chain([1, 100, 400, 1_800]).collect();
    days.sort_unstable();
    for day in days {
        clock.day(day);
        if village.due() {
            renewed.push(day);
        }
        village.people(0);
        if [1, 100, 400, 1_800].contains(&day) {
            assert_eq!(village.newcomers(), Vec::<&str>::new(), "day {day}");
        }
    }
    println!("renewed on days {renewed:?}");
    assert!(renewed.len() >= 22, "{renewed:?}");
}

/// The control: the same without a chain. From the 85th day on nobody on OpenMLS comes in.
#[test]
fn without_a_chain_the_group_is_closed_to_newcomers() {
    let name = "years::without_a_chain_the_group_is_closed_to_newcomers";
    let Some(clock) = clock_of(name) else { return };
    let mut village = Village::new();
    clock.day(1);
    assert_eq!(village.newcomers(), Vec::<&str>::new());
    clock.day(60);
    village.people(0);
    clock.day(100);
    assert!(!village.due());
    let refused = village.newcomers();
    println!("refused on day 100 by {refused:?}");
    assert!(refused.contains(&"OpenMLS"), "{refused:?}");
}

/// The phone is away for more than a year, so that the sensor's leaf has ended for long. Back again, it renews it at once, by
/// what is current then, and the group is open again.
#[test]
fn a_partner_that_was_away_renews_an_ended_leaf() {
    let name = "years::a_partner_that_was_away_renews_an_ended_leaf";
    let Some(clock) = clock_of(name) else { return };
    let mut village = Village::new();
    village.provision();
    let mut missed = Vec::new();
    for day in (0..=450).step_by(30) {
        clock.day(day);
        let sent = village.ada.commit(&Content::default()).unwrap();
        village.ada.confirm().unwrap();
        village.bea.process(&sent.commit).unwrap();
        village.sensor.process(&sent.commit).unwrap();
        missed.push(sent.commit);
        let sent = village.bea.commit(&Content::default()).unwrap();
        village.bea.confirm().unwrap();
        village.ada.process(&sent.commit).unwrap();
        village.sensor.process(&sent.commit).unwrap();
        missed.push(sent.commit);
    }
    // The control: a newcomer on OpenMLS does not take the tree.
    let mut newcomer = StockOpenMls::new(SUITE, Framing::Public, "too early").unwrap();
    let adds = vec![newcomer.key_package().unwrap()];
    let sent = village.ada.commit(&Content { adds, removes: Vec::new() }).unwrap();
    assert!(newcomer.join(&sent.welcome.unwrap()).is_err());
    village.ada.discard().unwrap();

    let heard = missed.iter().map(|commit| village.phone.process(commit).unwrap());
    let Some(Heard::Commit { heal: Some(sent), .. }) = heard.last() else { panic!() };
    village.renewed(&sent);
    assert!(!village.due(), "and once");
    assert_eq!(village.newcomers(), Vec::<&str>::new());
    // What lay in between is burned.
    let kept = village.phone.vault().load_leaf_packages(ID).unwrap().0;
    assert!(kept.len() < 28 - 5, "{}", kept.len());
}

/// A leaf that devices share needs no chain: one commit of the device that can send, and the leaf has no end any more. The
/// control is the same leaf before that commit.
#[test]
fn a_shared_leaf_needs_no_chain() {
    let name = "years::a_shared_leaf_needs_no_chain";
    let Some(clock) = clock_of(name) else { return };
    let mut devices = behind_a_leaf();
    let [phone, sensor] = &mut devices[..] else { panic!() };
    let refused = Group::make_chain(sensor.device(), ID, DeviceId(0), 1, &Capabilities::default());
    assert!(matches!(refused, Err(Error::Usage(UsageError::SharedLeaf))));
    let package = phone.publish(Use::Once).unwrap();
    sensor.adopt(&package).unwrap();
    let mut ada = StockOpenMls::new(SUITE, Framing::Public, "ada").unwrap();
    ada.create(b"a village").unwrap();
    let sent = ada.commit(&Content { adds: vec![package], removes: Vec::new() }).unwrap();
    ada.confirm().unwrap();
    let welcome = sent.welcome.unwrap();
    phone.join(&welcome).unwrap();
    sensor.join(&welcome).unwrap();

    let mut comes = |phone: &mut OpenMlsLeafDevice<RustCrypto>,
                     sensor: &mut OpenMlsLeafDevice<RustCrypto>| {
        let mut newcomer = StockOpenMls::new(SUITE, Framing::Public, "new").unwrap();
        let adds = vec![newcomer.key_package().unwrap()];
        let sent = ada.commit(&Content { adds, removes: Vec::new() }).unwrap();
        let joined = newcomer.join(&sent.welcome.unwrap()).is_ok();
        ada.discard().unwrap();
        // The phone commits, and everybody follows.
        let sent = phone.commit(&Content::default()).unwrap();
        phone.confirm().unwrap();
        ada.process(&sent.commit).unwrap();
        sensor.process(&sent.commit).unwrap();
        assert_eq!(sensor.epoch_authenticator(), ada.epoch_authenticator());
        joined
    };
    clock.day(90);
    assert!(!comes(phone, sensor), "the control");
    for day in [91, 400, 1_800] {
        clock.day(day);
        assert!(comes(phone, sensor), "day {day}");
    }
}
