//! The edge cases of Ed25519 points, of C2SP's CCTV: see `README.md` beside this file.

use flate2::read::GzDecoder;
use paired_mls::CipherSuite;
use serde::Deserialize;

use super::{ALL, Verifier};

#[derive(Deserialize)]
struct Edge {
    key: String,
    sig: String,
    msg: String,
    flags: Option<Vec<String>>,
}

impl Edge {
    fn has(&self, flag: &str) -> bool {
        self.flags.iter().flatten().any(|own| own == flag)
    }

    fn accepted(&self, verifier: Verifier) -> bool {
        let (key, signature) = (hex::decode(&self.key).unwrap(), hex::decode(&self.sig).unwrap());
        verifier.accepts(CipherSuite::X25519Aes128, &key, self.msg.as_bytes(), &signature)
    }
}

fn edges() -> Vec<Edge> {
    let packed = include_bytes!("cctv-ed25519.json.gz").as_slice();
    serde_json::from_reader(GzDecoder::new(packed)).unwrap()
}

/// What each verifier accepts, told by the flags of the vectors. They differ where a point has a low order.
#[test]
fn what_each_verifier_accepts() {
    let edges = edges();
    let mut accepted = [0; 3];
    for edge in &edges {
        // The equation without the cofactor, and R compared as bytes.
        let mls_rs = !edge.has("low_order_residue") && !edge.has("non_canonical_R");
        let libcrux = mls_rs && !edge.has("non_canonical_A");
        let open_mls = mls_rs && !edge.has("low_order_A") && !edge.has("low_order_R");
        let expected = [open_mls, libcrux, mls_rs];
        assert_eq!(ALL.map(|verifier| edge.accepted(verifier)), expected, "{:?}", edge.flags);
        accepted.iter_mut().zip(expected).for_each(|(n, accepts)| *n += usize::from(accepts));
    }
    assert_eq!((edges.len(), accepted), (914, [43, 172, 208]));
}
