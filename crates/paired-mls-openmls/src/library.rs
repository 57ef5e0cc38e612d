//! What the engine asks of OpenMLS.

use openmls::prelude::Ciphersuite;
use openmls_traits::{crypto::OpenMlsCrypto as _, random::OpenMlsRand as _};
use paired_mls::{CipherSuite, Secret};
use paired_mls_group::{BoxError, Library};

use crate::{Device, Platform};

impl<P: Platform> Library for Device<P> {
    fn random(&self, length: usize) -> Result<Secret, BoxError> {
        Ok(Secret::new(self.provider().rand().random_vec(length)?))
    }

    fn derive_public_key(&self, suite: CipherSuite, ikm: &Secret) -> Result<Vec<u8>, BoxError> {
        let config = Ciphersuite::try_from(suite.code_point())?.hpke_config();
        Ok(self.provider().crypto().derive_hpke_keypair(config, ikm.expose())?.public)
    }
}
