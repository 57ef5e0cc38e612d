//! The test vectors of the MLS working group: data that nobody here made.
//!
//! The variable `MLS_VECTORS` names their folder; they are no part of this project. Without it these tests are
//! skipped, and say so; so do the last lines of `test.sh`.
#![expect(clippy::unwrap_used, reason = "these are tests")]

mod passive;
mod tree;
mod wire;

use std::{env, fs::File, path::Path};

use flate2::read::GzDecoder;
use serde::{Deserialize, Deserializer, de::DeserializeOwned};

/// Bytes in hexadecimal.
#[derive(Clone, Default, Deserialize)]
struct Hex(#[serde(deserialize_with = "hex::serde::deserialize")] Vec<u8>);

/// The vectors of one kind.
fn vectors<T: DeserializeOwned>(name: &str) -> Option<Vec<T>> {
    let Some(folder) = env::var_os("MLS_VECTORS") else {
        let missing = "MLS_VECTORS names no folder with the vectors of the working group";
        println!("SKIPPED: {missing}");
        return None;
    };
    let path = Path::new(&folder).join(format!("{name}.json.gz"));
    let file = File::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    Some(serde_json::from_reader(GzDecoder::new(file)).unwrap())
}

/// A field that is `null` where there is nothing.
fn or_nothing<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<u8>>, D::Error> {
    Ok(Option::<Hex>::deserialize(deserializer)?.map(|hex| hex.0))
}
