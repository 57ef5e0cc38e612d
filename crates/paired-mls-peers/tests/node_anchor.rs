//! The node anchor on OpenMLS, with both of its crypto providers.

mod rust_crypto {
    paired_mls::node_anchor_conformance!(paired_mls_peers::OpenMlsAdapter::<
        openmls_rust_crypto::RustCrypto,
    >::new(&[
        paired_mls::CipherSuite::X25519Aes128,
        paired_mls::CipherSuite::P256Aes128,
        paired_mls::CipherSuite::X25519ChaCha20,
    ]));
}

mod libcrux {
    paired_mls::node_anchor_conformance!(paired_mls_peers::OpenMlsAdapter::<
        openmls_libcrux_crypto::CryptoProvider,
    >::new(&[
        paired_mls::CipherSuite::X25519Aes128,
        paired_mls::CipherSuite::X25519ChaCha20,
    ]));
}
