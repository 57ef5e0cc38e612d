//! One value out of several layers.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

use clap::{ArgMatches, parser::ValueSource};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use super::SettingsError;

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "from")]
pub(crate) enum Origin {
    /// Nobody has said anything.
    Default,
    /// The configuration file.
    File {
        /// Which one.
        path: PathBuf,
    },
    /// The environment.
    Environment,
    /// The command line.
    Flag,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path } => write!(f, "{}", path.display()),
            Self::Environment => f.write_str("environment"),
            Self::Flag => f.write_str("command line"),
        }
    }
}

/// The layers of a set of settings, which serialise to a map without the values that nobody has given.
pub(crate) struct Layers<'a, T> {
    pub(crate) defaults: &'a T,
    pub(crate) file: &'a T,
    pub(crate) path: Option<&'a Path>,
    /// By environment or flags: clap knows which.
    pub(crate) given: &'a T,
}

/// The values that count.
#[derive(Clone, Debug)]
pub(crate) struct Effective<T> {
    /// All of them.
    pub(crate) settings: T,
    /// Each by its key, with where it comes from.
    pub(crate) origins: BTreeMap<String, (Value, Origin)>,
}

impl<T: Serialize + DeserializeOwned> Layers<'_, T> {
    /// Lays one layer over the other. `matches` are those that `given` was read from.
    pub(crate) fn effective(&self, matches: &ArgMatches) -> Result<Effective<T>, SettingsError> {
        let mut origins = BTreeMap::new();
        for (key, value) in map(self.defaults)? {
            origins.insert(key, (value, Origin::Default));
        }
        for (key, value) in map(self.file)? {
            let path = self.path.map(Path::to_owned).unwrap_or_default();
            origins.insert(key, (value, Origin::File { path }));
        }
        for (key, value) in map(self.given)? {
            let origin = match matches.value_source(&key.replace('-', "_")) {
                Some(ValueSource::EnvVariable) => Origin::Environment,
                _ => Origin::Flag,
            };
            origins.insert(key, (value, origin));
        }
        let values = origins.iter().map(|(key, (value, _))| (key.clone(), value.clone()));
        let settings = serde_json::from_value(Value::Object(values.collect()))?;
        Ok(Effective { settings, origins })
    }
}

fn map<T: Serialize>(layer: &T) -> Result<Map<String, Value>, SettingsError> {
    match serde_json::to_value(layer)? {
        Value::Object(map) => Ok(map),
        _ => Ok(Map::new()),
    }
}
