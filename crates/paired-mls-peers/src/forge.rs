//! A Welcome that somebody in the group makes by hand, with a joiner secret of its own.
//!
//! RFC 9420 section 8 and section 12.4.3.1, from what every member knows: the GroupContext. Whoever joins
//! by it has another key schedule than everybody else.

use openmls::prelude::{Ciphersuite, KeyPackage, MlsGroup};
use openmls_traits::{crypto::OpenMlsCrypto, types::HpkeCiphertext};
use paired_mls::{
    anchor::LeafIndex,
    conformance::{Refused, Sign},
};
use tls_codec::{Serialize as _, VLByteSlice};

/// Makes it. It is signed by `sign` in the name of the member at `signer`.
pub(crate) fn welcome(
    crypto: &impl OpenMlsCrypto,
    group: &MlsGroup,
    key_package: &KeyPackage,
    signer: LeafIndex,
    sign: &Sign,
) -> Result<Vec<u8>, Refused> {
    let suite = group.ciphersuite();
    let hash = suite.hash_algorithm();
    let context = group.public_group().group_context();
    let group_context = context.tls_serialize_detached()?;

    let joiner_secret = vec![0x4a; suite.hash_length()];
    let no_psk = vec![0; suite.hash_length()];
    let secret = crypto.hkdf_extract(hash, &joiner_secret, &no_psk)?;
    let secret = secret.as_slice();
    let expand = |secret: &[u8], label: &str, context: &[u8], length: usize| {
        expand_with_label(crypto, suite, secret, label, context, length)
    };
    let welcome_secret = expand(secret, "welcome", &[], suite.hash_length())?;
    let epoch_secret = expand(secret, "epoch", &group_context, suite.hash_length())?;
    let confirmation_key = expand(&epoch_secret, "confirm", &[], suite.hash_length())?;
    let confirmation_tag =
        crypto.hmac(hash, &confirmation_key, context.confirmed_transcript_hash())?;

    let no_extensions = vector(&[])?;
    let signed = [
        group_context,
        no_extensions,
        vector(confirmation_tag.as_slice())?,
        signer.value().to_be_bytes().to_vec(),
    ]
    .concat();
    let content = [vector(b"MLS 1.0 GroupInfoTBS")?, vector(&signed)?].concat();
    let group_info = [signed, vector(&sign(&content)?)?].concat();
    let key = expand(&welcome_secret, "key", &[], suite.aead_key_length())?;
    let nonce = expand(&welcome_secret, "nonce", &[], suite.aead_nonce_length())?;
    let group_info = crypto.aead_encrypt(suite.aead_algorithm(), &key, &group_info, &nonce, &[])?;

    let no_path_secret = vec![0];
    let no_psks = vector(&[])?;
    let secrets = [vector(&joiner_secret)?, no_path_secret, no_psks].concat();
    let info = [vector(b"MLS 1.0 Welcome")?, vector(&group_info)?].concat();
    let init_key = key_package.hpke_init_key().as_slice();
    let HpkeCiphertext { kem_output, ciphertext } =
        crypto.hpke_seal(suite.hpke_config(), init_key, &info, &[], &secrets)?;
    let reference = key_package.hash_ref(crypto)?;
    let for_one = [
        vector(reference.as_slice())?,
        vector(kem_output.as_slice())?,
        vector(ciphertext.as_slice())?,
    ]
    .concat();

    const MLS_10: [u8; 2] = [0, 1];
    const MLS_WELCOME: [u8; 2] = [0, 3];
    let code_point = u16::from(suite).to_be_bytes();
    let head = [MLS_10, MLS_WELCOME, code_point].concat();
    Ok([head, vector(&for_one)?, vector(&group_info)?].concat())
}

fn expand_with_label(
    crypto: &impl OpenMlsCrypto,
    suite: Ciphersuite,
    secret: &[u8],
    label: &str,
    context: &[u8],
    length: usize,
) -> Result<Vec<u8>, Refused> {
    let label = [b"MLS 1.0 ", label.as_bytes()].concat();
    let length_field = u16::try_from(length)?.to_be_bytes().to_vec();
    let info = [length_field, vector(&label)?, vector(context)?].concat();
    let expanded = crypto.hkdf_expand(suite.hash_algorithm(), secret, &info, length)?;
    Ok(expanded.as_slice().to_vec())
}

fn vector(bytes: &[u8]) -> Result<Vec<u8>, Refused> {
    Ok(VLByteSlice(bytes).tls_serialize_detached()?)
}

#[cfg(test)]
mod tests {
    use openmls::prelude::{MlsMessageBodyIn, StagedWelcome};
    use paired_mls::{
        CipherSuite,
        conformance::{Content, Framing, Listener as _, Member as _, liar::Liar as _},
    };

    use crate::{StockOpenMls, config, stock_openmls::parse};

    /// The control of all tests that refuse one: it is valid MLS, and whoever takes it is alone in his
    /// key schedule.
    #[test]
    fn a_forged_welcome_is_taken_by_a_stock_member() {
        for suite in [CipherSuite::X25519Aes128, CipherSuite::P256Aes128] {
            let member = |name| StockOpenMls::new(suite, Framing::Public, name).unwrap();
            let (mut mallory, mut bob, mut guest) =
                (member("mallory"), member("bob"), member("guest"));
            mallory.create(b"group").unwrap();
            let adds = vec![bob.key_package().unwrap()];
            let sent = mallory.commit(&Content { adds, ..Content::default() }).unwrap();
            mallory.confirm().unwrap();
            bob.join(&sent.welcome.unwrap()).unwrap();

            let package = guest.key_package().unwrap();
            let content = Content { adds: vec![package.clone()], ..Content::default() };
            let sent = bob.commit(&content).unwrap();
            bob.confirm().unwrap();
            mallory.process(&sent.commit).unwrap();

            let (signer, sign) = mallory.own_signature().unwrap();
            let forged = mallory.forge_welcome(&package, signer, &sign).unwrap();
            let MlsMessageBodyIn::Welcome(welcome) = parse(&forged).unwrap().extract() else {
                panic!("this is a Welcome");
            };
            let tree = mallory.group().unwrap().export_ratchet_tree();
            let provider = &guest.provider;
            let config = config::join(Framing::Public);
            let staged =
                StagedWelcome::new_from_welcome(provider, &config, welcome, Some(tree.into()));
            let joined = staged.unwrap().into_group(provider).unwrap();
            let (theirs, his) = (bob.group().unwrap(), &joined);
            assert_eq!(his.epoch(), theirs.epoch());
            let tag = |group: &openmls::prelude::MlsGroup| {
                group.epoch_authenticator().as_slice().to_vec()
            };
            assert_ne!(tag(his), tag(theirs));
        }
    }
}
