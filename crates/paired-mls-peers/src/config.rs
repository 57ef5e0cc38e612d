//! How all members on OpenMLS are configured.

use openmls::prelude::{
    Capabilities, Ciphersuite, Extensions, GroupContext, Lifetime, MlsGroupCreateConfig,
    MlsGroupJoinConfig, PURE_CIPHERTEXT_WIRE_FORMAT_POLICY, PURE_PLAINTEXT_WIRE_FORMAT_POLICY,
    WireFormatPolicy,
};
use paired_mls::{
    CipherSuite,
    conformance::{Framing, Refused},
};
use paired_mls_openmls::{gate, gate_capabilities};

/// Whom a group lets in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// Everybody.
    Open,
    /// Everybody; but its members know leaves with several signature keys.
    Ajar,
    /// Members that know leaves with several signature keys.
    Gated,
}

impl Door {
    /// The capabilities of a member.
    pub fn capabilities(self) -> Capabilities {
        match self {
            Self::Open => Capabilities::default(),
            Self::Ajar | Self::Gated => gate_capabilities(),
        }
    }

    fn extensions(self) -> Result<Extensions<GroupContext>, Refused> {
        Ok(match self {
            Self::Open | Self::Ajar => Extensions::empty(),
            Self::Gated => Extensions::single(gate())?,
        })
    }
}

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

pub(crate) fn create(
    ciphersuite: Ciphersuite,
    framing: Framing,
    door: Door,
) -> Result<MlsGroupCreateConfig, Refused> {
    create_for(ciphersuite, framing, door, Lifetime::default())
}

/// The same, with this lifetime of the creator's leaf.
pub(crate) fn create_for(
    ciphersuite: Ciphersuite,
    framing: Framing,
    door: Door,
    lifetime: Lifetime,
) -> Result<MlsGroupCreateConfig, Refused> {
    Ok(MlsGroupCreateConfig::builder()
        .ciphersuite(ciphersuite)
        .lifetime(lifetime)
        .wire_format_policy(wire_format(framing))
        .use_ratchet_tree_extension(true)
        .capabilities(door.capabilities())
        .with_group_context_extensions(door.extensions()?)
        .build())
}

pub(crate) fn join(framing: Framing) -> MlsGroupJoinConfig {
    MlsGroupJoinConfig::builder()
        .wire_format_policy(wire_format(framing))
        .use_ratchet_tree_extension(true)
        .build()
}
