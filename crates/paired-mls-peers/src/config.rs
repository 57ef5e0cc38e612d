//! How all members on OpenMLS are configured.

use openmls::prelude::{
    Ciphersuite, MlsGroupCreateConfig, MlsGroupJoinConfig, PURE_CIPHERTEXT_WIRE_FORMAT_POLICY,
    PURE_PLAINTEXT_WIRE_FORMAT_POLICY, WireFormatPolicy,
};
use paired_mls::{
    CipherSuite,
    conformance::{Framing, Refused},
};

pub(crate) fn ciphersuite(suite: CipherSuite) -> Result<Ciphersuite, Refused> {
    let known = Ciphersuite::try_from(suite.code_point());
    known.map_err(|_| format!("OpenMLS has no {suite:?}").into())
}

fn wire_format(framing: Framing) -> WireFormatPolicy {
    match framing {
        Framing::Public => PURE_PLAINTEXT_WIRE_FORMAT_POLICY,
        Framing::Private => PURE_CIPHERTEXT_WIRE_FORMAT_POLICY,
    }
}

pub(crate) fn create(ciphersuite: Ciphersuite, framing: Framing) -> MlsGroupCreateConfig {
    MlsGroupCreateConfig::builder()
        .ciphersuite(ciphersuite)
        .wire_format_policy(wire_format(framing))
        .use_ratchet_tree_extension(true)
        .build()
}

pub(crate) fn join(framing: Framing) -> MlsGroupJoinConfig {
    MlsGroupJoinConfig::builder()
        .wire_format_policy(wire_format(framing))
        .use_ratchet_tree_extension(true)
        .build()
}
