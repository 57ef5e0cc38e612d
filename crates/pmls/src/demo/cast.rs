//! Who plays.

use super::pairing::{self, Candidate};
use paired_mls::{
    CipherSuite, DeviceId, EpochSecurity, Event, PairingId, Secret, Vault,
    conformance::{Content, Framing, Heard, Listener, Member, PairedMember, Refused},
};
use paired_mls_peers::{OpenMlsDevice, OpenMlsThief, StockMlsRs, StockOpenMls};

pub(crate) const SUITE: CipherSuite = CipherSuite::X25519Aes128;
const FRAMING: Framing = Framing::Public;

/// A role, in the order of the leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Alice's phone, which can commit.
    Phone,
    /// Alice's sensor, which only receives.
    Sensor,
    /// Bob, on stock OpenMLS.
    Bob,
    /// Carol, on stock mls-rs.
    Carol,
    /// Dave, on our library, unpaired.
    Dave,
}

impl Role {
    pub(crate) const ALL: [Self; 5] =
        [Self::Phone, Self::Sensor, Self::Bob, Self::Carol, Self::Dave];

    /// The name, and the identity in the credential.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Phone => "Alice's phone",
            Self::Sensor => "Alice's sensor",
            Self::Bob => "Bob",
            Self::Carol => "Carol",
            Self::Dave => "Dave",
        }
    }

    /// What the member runs on.
    pub(crate) fn runs_on(self) -> &'static str {
        match self {
            Self::Phone | Self::Sensor => "Paired MLS on OpenMLS",
            Self::Bob => "stock OpenMLS",
            Self::Carol => "stock mls-rs",
            Self::Dave => "our library, unpaired",
        }
    }
}

/// Everybody in one group, and the thief.
pub(crate) struct Cast {
    pub(crate) phone: OpenMlsDevice,
    pub(crate) sensor: OpenMlsDevice,
    bob: StockOpenMls,
    carol: StockMlsRs,
    dave: OpenMlsDevice,
    pub(crate) thief: Option<OpenMlsThief>,
    /// Bytes that the sensor has sent to the group.
    pub(crate) sensor_sent: usize,
}

/// What became of a commit.
pub(crate) struct Outcome {
    pub(crate) commit: Vec<u8>,
    /// What the sensor made of it.
    pub(crate) events: Vec<Event>,
}

impl Cast {
    /// A group of all five. Everybody but the sensor has committed once, so that the tree is full.
    pub(crate) fn gather(group_id: &[u8]) -> Result<Self, Refused> {
        let device = |role: Role| OpenMlsDevice::new(SUITE, FRAMING, role.name());
        let mut cast = Self {
            phone: device(Role::Phone)?,
            sensor: device(Role::Sensor)?,
            bob: StockOpenMls::new(SUITE, FRAMING, Role::Bob.name())?,
            carol: StockMlsRs::new(SUITE, FRAMING, Role::Carol.name())?,
            dave: device(Role::Dave)?,
            thief: None,
            sensor_sent: 0,
        };
        cast.phone.create(group_id)?;
        let others = [Role::Sensor, Role::Bob, Role::Carol, Role::Dave];
        let mut adds = Vec::new();
        for role in others {
            adds.push(cast.member(role).key_package()?);
        }
        let sent = cast.phone.commit(&Content { adds, removes: Vec::new() })?;
        cast.phone.confirm()?;
        let welcome = sent.welcome.ok_or("an Add gives a Welcome")?;
        for role in others {
            cast.member(role).join(&welcome)?;
        }
        for role in [Role::Bob, Role::Carol, Role::Dave, Role::Phone] {
            cast.commit(role)?;
        }
        Ok(cast)
    }

    /// Pairs the phone and the sensor, by the pairing protocol, and in the group.
    pub(crate) fn pair(&mut self) -> Result<(), Refused> {
        let candidate = |role: Role, device: &OpenMlsDevice| -> (Vec<u8>, Vault, &'static str) {
            (device.signature_key(), device.vault().clone(), role.name())
        };
        let (phone_key, phone_vault, phone) = candidate(Role::Phone, &self.phone);
        let (sensor_key, sensor_vault, sensor) = candidate(Role::Sensor, &self.sensor);
        // A demo's seed. A real one is random, and comes from hardware or an offline file.
        let seed = Secret::new(vec![0x5e; SUITE.kdf_len()]);
        let pairing = pairing::pair(
            &Candidate { identity: phone, signature_key: phone_key, vault: &phone_vault },
            &Candidate { identity: sensor, signature_key: sensor_key, vault: &sensor_vault },
            PairingId([0xa1; 16]),
            &seed,
        )?;
        self.phone.pair(&pairing)?;
        self.sensor.pair(&pairing)
    }

    /// The thief copies the sensor's disk and memory. The vault is not on that disk.
    pub(crate) fn theft(&mut self) -> Result<(), Refused> {
        self.thief = Some(OpenMlsThief::new(&self.sensor)?);
        Ok(())
    }

    pub(crate) fn member(&mut self, role: Role) -> &mut dyn Member {
        match role {
            Role::Phone => &mut self.phone,
            Role::Sensor => &mut self.sensor,
            Role::Bob => &mut self.bob,
            Role::Carol => &mut self.carol,
            Role::Dave => &mut self.dave,
        }
    }

    /// `role` commits, the delivery service accepts, and everybody hears of it, the thief too.
    pub(crate) fn commit(&mut self, role: Role) -> Result<Outcome, Refused> {
        let sent = self.member(role).commit(&Content::default())?;
        let own = self.member(role).confirm()?;
        let mut events = own;
        for other in Role::ALL.into_iter().filter(|other| *other != role) {
            let heard = self.member(other).process(&sent.commit)?;
            if let (Role::Sensor, Heard::Commit { events: heard, .. }) = (other, heard) {
                events = heard;
            }
        }
        if role == Role::Sensor {
            self.sensor_sent += sent.commit.len();
        }
        if let Some(thief) = &mut self.thief {
            // Whether he has followed is seen by what he reads.
            let _ = thief.process(&sent.commit);
        }
        Ok(Outcome { commit: sent.commit, events })
    }

    /// Who reads a message of this epoch: really sent, and really decrypted.
    pub(crate) fn readers(&mut self) -> Result<Vec<(&'static str, bool)>, Refused> {
        let said = format!("said in epoch {}", self.phone.epoch()).into_bytes();
        let message = self.phone.send(&said)?;
        let reads =
            |heard: Result<Heard, Refused>| matches!(heard, Ok(Heard::Application(h)) if h == said);
        let mut readers = vec![(Role::Phone.name(), true)];
        for role in Role::ALL.into_iter().filter(|role| *role != Role::Phone) {
            let heard = self.member(role).process(&message);
            readers.push((role.name(), reads(heard)));
        }
        if let Some(thief) = &mut self.thief {
            readers.push(("the thief", reads(thief.process(&message))));
        }
        Ok(readers)
    }

    /// Whether everybody is in the same epoch with the same authenticator.
    pub(crate) fn together(&mut self) -> bool {
        let expected = self.phone.epoch_authenticator();
        Role::ALL.into_iter().all(|role| self.member(role).epoch_authenticator() == expected)
    }

    /// How safe the epoch is for the sensor.
    pub(crate) fn security(&self) -> Option<EpochSecurity> {
        self.phone.security(DeviceId(1))
    }
}
