//! The MLS state of a home: whether it can be read, and is that of its device.

use std::{error::Error, path::Path};

use openmls_rust_crypto::RustCrypto;
use paired_mls_api::DeviceId;
use paired_mls_openmls::SqliteProvider;
use rusqlite::ErrorCode;

use super::{Crypto, Provider, SessionError};

/// Opens, and where needed creates, the MLS state of a device.
pub(super) fn open(path: &Path, device: &DeviceId) -> Result<Provider, SessionError> {
    let path_of = || path.to_owned();
    let provider = match SqliteProvider::open(Crypto::new(RustCrypto::default()), path) {
        Err(error) if is_damage(&error) => {
            return Err(SessionError::DamagedState { path: path_of() });
        }
        opened => opened?,
    };
    let owner = owner(&provider, device).map_err(|error| match is_damage(&error) {
        true => SessionError::DamagedState { path: path_of() },
        false => SessionError::MlsState(error.into()),
    })?;
    match owner == device.to_string() {
        true => Ok(provider),
        false => Err(SessionError::StateOfAnother { path: path_of(), device: owner }),
    }
}

/// Whether an MLS state is of no use to the device in whose home it lies.
pub(super) fn is_useless(error: &SessionError) -> bool {
    matches!(error, SessionError::DamagedState { .. } | SessionError::StateOfAnother { .. })
}

/// Whose state it is. One that does not say so yet is that of the device in whose home it is.
fn owner(provider: &Provider, device: &DeviceId) -> Result<String, rusqlite::Error> {
    let database = provider.connection();
    database
        .execute_batch("CREATE TABLE IF NOT EXISTS pmls_owner (device TEXT NOT NULL) STRICT")?;
    let sql = "INSERT INTO pmls_owner SELECT ?1 WHERE NOT EXISTS (SELECT 1 FROM pmls_owner)";
    database.execute(sql, [device.to_string()])?;
    database.query_row("SELECT device FROM pmls_owner", [], |row| row.get(0))
}

fn is_damage(error: &(dyn Error + 'static)) -> bool {
    let code = error.downcast_ref().and_then(rusqlite::Error::sqlite_error_code);
    matches!(code, Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt))
        || error.source().is_some_and(is_damage)
}
