//! Short random plays of the peers in Rust. The long ones, with the foreign peers: `cargo xtask peers`.

use paired_mls::{CipherSuite, conformance::Framing};
use paired_mls_peers::play::{Play, Telling};

#[test]
fn everybody_stays_together_and_the_claims_hold() {
    let mut seen = [0; 6];
    for (seed, framing) in [(1, Framing::Public), (2, Framing::Public), (3, Framing::Private)] {
        let suite = CipherSuite::X25519Aes128;
        let play = Play { suite, framing, devices: 4, seed, tools: None };
        let steps: Vec<_> = (0..40).collect();
        let tally = play.run(&steps, Telling::Steps).unwrap();
        let returns: usize = tally.returns.values().sum();
        let messages: usize = tally.messages.values().sum();
        let counts =
            [tally.healed, tally.kept_out, tally.weakened, tally.attempts, returns, messages];
        seen.iter_mut().zip(counts).for_each(|(seen, count)| *seen += count);
    }
    // The control: the plays have seen what they are about.
    let least = [50, 10, 1, 1_000, 10, 10];
    assert!(seen.iter().zip(least).all(|(seen, least)| *seen >= least), "{seen:?}");
}

#[test]
fn a_seed_repeats_its_play() {
    let suite = CipherSuite::X25519Aes128;
    let play = Play { suite, framing: Framing::Public, devices: 2, seed: 9, tools: None };
    let runs = [[0, 1, 2, 4, 5, 6, 8]; 2].map(|steps| play.run(&steps, Telling::Nothing).unwrap());
    let told = runs.map(|tally| (tally.commits, tally.messages, tally.returns));
    assert_eq!(told[0], told[1]);
}
