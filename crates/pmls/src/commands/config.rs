//! `pmls config …`: what holds, and where it comes from.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::Value;
use url::Url;

use crate::{
    cli::Parsed,
    failure::Failure,
    output::Output,
    settings::{LimitSettings, Origin, ServeSettings, SettingsError},
};

/// What is to be done with the configuration.
#[derive(Subcommand)]
pub(crate) enum ConfigCommand {
    /// Show the values that hold, and where each comes from.
    Show,
}

/// The values that hold.
#[derive(Serialize)]
struct ConfigReport {
    /// The configuration file, if there is one.
    file: Option<PathBuf>,
    device: BTreeMap<String, Held>,
    serve: BTreeMap<String, Held>,
    limits: BTreeMap<String, Held>,
}

/// A value, and where it comes from.
#[derive(Serialize)]
struct Held {
    value: Value,
    #[serde(flatten)]
    origin: Origin,
}

pub(super) fn run(command: &ConfigCommand, parsed: &Parsed, output: Output) -> Result<(), Failure> {
    match command {
        ConfigCommand::Show => output.show(&ConfigReport::of(parsed)?),
    }
}

impl ConfigReport {
    fn of(parsed: &Parsed) -> Result<Self, Failure> {
        let file = parsed.config_file()?;
        let device = parsed.cli.device.effective(&file, &parsed.matches)?;
        let (serve, serve_matches) = from_environment::<ServeSettings>()?;
        let (limits, limit_matches) = from_environment::<LimitSettings>()?;
        Ok(Self {
            device: held(device.origins),
            serve: held(serve.effective(&file, &serve_matches)?.origins),
            limits: held(limits.effective(&file, &limit_matches)?.origins),
            file: file.path,
        })
    }
}

/// What the environment says to another command.
fn from_environment<T: Args>() -> Result<(T, clap::ArgMatches), SettingsError> {
    let command = T::augment_args(clap::Command::new("pmls"));
    let matches = command.try_get_matches_from(["pmls"])?;
    Ok((T::from_arg_matches(&matches)?, matches))
}

fn held(origins: BTreeMap<String, (Value, Origin)>) -> BTreeMap<String, Held> {
    let held = |(value, origin)| Held { value: without_password(value), origin };
    origins.into_iter().map(|(key, value)| (key, held(value))).collect()
}

/// The address of a database may have a password in it, which nobody has to see.
fn without_password(value: Value) -> Value {
    let url = value.as_str().and_then(|text| Url::parse(text).ok());
    let Some(mut url) = url.filter(|url| url.password().is_some()) else {
        return value;
    };
    // A URL that has a password takes another one.
    url.set_password(Some("hidden")).map_or(Value::Null, |()| Value::String(url.into()))
}

impl fmt::Display for ConfigReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.file {
            Some(path) => write!(f, "# {}", path.display())?,
            None => f.write_str("# no configuration file")?,
        }
        for (table, settings) in
            [("device", &self.device), ("serve", &self.serve), ("limits", &self.limits)]
        {
            write!(f, "\n\n[{table}]")?;
            let line = |(key, held): (&String, &Held)| format!("{key} = {}", held.value);
            let lines: Vec<_> = settings.iter().map(line).collect();
            let width = lines.iter().map(String::len).max().unwrap_or_default();
            for (line, Held { origin, .. }) in lines.iter().zip(settings.values()) {
                write!(f, "\n{line:<width$}  # {origin}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_shown() {
        let shown = without_password("postgres://pmls:hunter2@db/pmls".into());
        assert_eq!(shown, "postgres://pmls:hidden@db/pmls");
        for untouched in ["postgres://pmls@db/pmls", "sqlite://a b", "127.0.0.1:80"] {
            assert_eq!(without_password(untouched.into()), untouched);
        }
    }
}
