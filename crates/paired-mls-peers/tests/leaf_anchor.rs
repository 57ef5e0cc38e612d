//! The leaf anchor on OpenMLS, in both modes, with both of its crypto providers.

mod hidden {
    paired_mls::leaf_anchor_conformance!(paired_mls_peers::OpenMlsLeafAdapter::<
        openmls_rust_crypto::RustCrypto,
    >::new(
        paired_mls_peers::LeafMode::Hidden,
        &[
            paired_mls::CipherSuite::X25519Aes128,
            paired_mls::CipherSuite::P256Aes128,
            paired_mls::CipherSuite::X25519ChaCha20,
        ]
    ));
}

mod hidden_libcrux {
    paired_mls::leaf_anchor_conformance!(paired_mls_peers::OpenMlsLeafAdapter::<
        openmls_libcrux_crypto::CryptoProvider,
    >::new(
        paired_mls_peers::LeafMode::Hidden,
        &[paired_mls::CipherSuite::X25519Aes128, paired_mls::CipherSuite::X25519ChaCha20]
    ));
}

mod standard {
    paired_mls::leaf_anchor_conformance!(paired_mls_peers::OpenMlsLeafAdapter::<
        paired_mls_openmls::KeyVectorCrypto<openmls_rust_crypto::RustCrypto>,
    >::new(
        paired_mls_peers::LeafMode::Standard,
        &[
            paired_mls::CipherSuite::X25519Aes128,
            paired_mls::CipherSuite::P256Aes128,
            paired_mls::CipherSuite::X25519ChaCha20,
        ]
    ));
}
