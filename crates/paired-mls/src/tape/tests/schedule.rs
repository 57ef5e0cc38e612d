//! A long random schedule of three devices, against a model that never punctures.

use std::collections::{HashMap, HashSet};

use super::*;

const SUITE: CipherSuite = CipherSuite::X25519Aes128;
const DEVICES: [DeviceId; 3] = [A, B, C];

/// Marsaglia's xorshift64: the same schedule in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[usize::try_from(self.below(from.len() as u64)).unwrap()]
    }

    /// Mostly close together, so that indices meet again; sometimes at an end or far off.
    fn position(&mut self) -> u64 {
        match self.below(12) {
            0 => Index::MAX_POSITION - self.below(3),
            1 => self.next() & Index::MAX_POSITION,
            2 => 1 << self.below(48),
            _ => self.below(48),
        }
    }
}

/// What a device should do, in the plainest terms.
struct Model {
    own: DeviceId,
    spent: HashSet<Index>,
    /// By lane: everything before is spent.
    forgotten: HashMap<DeviceId, u64>,
    in_flight: Option<(Index, u8)>,
}

impl Model {
    fn is_spent(&self, index: Index) -> bool {
        self.spent.contains(&index)
            || self.forgotten.get(&index.device()).is_some_and(|before| index.position() < *before)
    }

    fn draw(&mut self) -> Result<Index, TapeError> {
        let first = self.forgotten.get(&self.own).copied().unwrap_or(0);
        let index = (first..=Index::MAX_POSITION)
            .map(|position| at(self.own, position))
            .find(|index| !self.spent.contains(index))
            .ok_or(TapeError::LaneExhausted(self.own))?;
        self.spent.insert(index);
        Ok(index)
    }

    fn claim(&mut self, index: Index, binding: u8) -> Result<Index, TapeError> {
        if !DEVICES.contains(&index.device()) {
            return Err(TapeError::ForeignDevice(index.device()));
        }
        if index.device() == self.own {
            return Err(TapeError::OwnLane(index));
        }
        if self.in_flight == Some((index, binding)) {
            return Ok(index);
        }
        if self.is_spent(index) {
            return Err(TapeError::Spent);
        }
        self.spent.insert(index);
        self.in_flight = Some((index, binding));
        Ok(index)
    }
}

#[derive(Default)]
struct References(HashMap<Index, Vec<u8>>);

impl References {
    fn value(&mut self, index: Index) -> &[u8] {
        self.0.entry(index).or_insert_with(|| reference(SUITE, index))
    }
}

fn run(seed: u64, steps: usize) -> usize {
    let mut random = Random(seed);
    let mut references = References::default();
    let mut tapes = DEVICES.map(|own| tape(SUITE, own));
    let mut models = DEVICES.map(|own| Model {
        own,
        spent: HashSet::new(),
        forgotten: HashMap::new(),
        in_flight: None,
    });
    let mut given = 0;

    for step in 0..steps {
        let who = usize::try_from(random.below(3)).unwrap();
        let (tape, model) = (&mut tapes[who], &mut models[who]);
        let before = tape.to_record().unwrap();
        let (expected, found) = match random.below(40) {
            0..8 => (model.draw(), tape.draw(0)),
            8..30 => {
                let device = random.pick(&[A, A, A, B, B, B, C, C, C, STRANGER]);
                let index = at(device, random.position());
                let binding = u8::try_from(random.below(2)).unwrap();
                (model.claim(index, binding), tape.claim(index, &[binding]))
            }
            30..34 => {
                // The same message once more, or its index with another one.
                let Some((index, _)) = model.in_flight else {
                    continue;
                };
                let binding = u8::try_from(random.below(2)).unwrap();
                (model.claim(index, binding), tape.claim(index, &[binding]))
            }
            34..36 => {
                assert_eq!(tape.settle(), model.in_flight.take().is_some());
                continue;
            }
            36 => {
                let device = random.pick(&DEVICES);
                let place = random.below(20);
                tape.forget_before(at(device, place)).unwrap();
                let before = model.forgotten.entry(device).or_default();
                *before = place.max(*before);
                continue;
            }
            _ => {
                *tape = Tape::from_record(&before).unwrap();
                assert_eq!(tape.to_record().unwrap(), before);
                continue;
            }
        };
        match (expected, found) {
            (Ok(index), Ok(staged)) => {
                assert_eq!(staged.spot.index, index, "step {step}");
                assert_eq!(staged.value.expose(), references.value(index), "step {step}");
                given += 1;
            }
            (Err(expected), Err(found)) => {
                assert_eq!(found, expected, "step {step}");
                assert_eq!(tape.to_record().unwrap(), before, "step {step}");
            }
            (expected, found) => panic!("step {step}: {expected:?}, not {:?}", found.err()),
        }
    }

    // In the end each tape holds what its model holds, and the values of the three still agree.
    for (tape, model) in tapes.iter_mut().zip(&models) {
        tape.settle();
        for index in DEVICES.iter().flat_map(|device| (0..64).map(|place| at(*device, place))) {
            assert_eq!(tape.holds(index), !model.is_spent(index), "{index}");
        }
        for index in &model.spent {
            assert_eq!(tape.take(*index).err(), Some(TapeError::Spent));
        }
        for place in 0..64 {
            let index = at(random.pick(&DEVICES), place);
            if !model.is_spent(index) {
                assert_eq!(value_of(tape.take(index)), references.value(index));
            }
        }
    }
    given
}

#[test]
fn a_long_random_schedule_agrees_with_the_model() {
    let given: usize =
        [0x9E37_79B9_7F4A_7C15, 1, 0xDEAD_BEEF].into_iter().map(|seed| run(seed, 800)).sum();
    assert!(given > 400, "the schedule gave only {given} values");
}
