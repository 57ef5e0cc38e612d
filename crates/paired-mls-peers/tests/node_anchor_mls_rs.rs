//! The node anchor on mls-rs, with its RustCrypto provider.

paired_mls::node_anchor_conformance!(paired_mls_peers::MlsRsAdapter::new(&[
    paired_mls::CipherSuite::X25519Aes128,
    paired_mls::CipherSuite::P256Aes128,
    paired_mls::CipherSuite::X25519ChaCha20,
]));
