//! The command line: what can be said, and nothing of what is done.

use clap::{ArgMatches, Args, CommandFactory as _, FromArgMatches as _, Parser};

use crate::{
    commands::Command,
    failure::{Exit, Failure},
    output::{Form, Output},
    settings::{ConfigFile, DeviceSettings, FileOption, GlobalOptions},
};

/// Paired MLS: an active device heals an MLS group on behalf of a passive one.
#[derive(Parser)]
#[command(name = "pmls", bin_name = "pmls", version, max_term_width = 100, after_long_help = Exit::help())]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    file: FileOption,
    #[command(flatten)]
    form: FormOption,
    #[command(flatten)]
    pub(crate) device: DeviceSettings,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Args)]
struct FormOption {
    /// Print JSON: one object, or one for each event; errors too, to standard error.
    #[arg(long, global = true)]
    json: bool,
}

/// What was said, and how.
pub(crate) struct Parsed {
    pub(crate) cli: Cli,
    pub(crate) matches: ArgMatches,
}

impl Cli {
    /// Parses the command line. Ends the process with the exit code 2 if it is wrong.
    pub(crate) fn read() -> Parsed {
        let parsed = Self::command().try_get_matches().and_then(|matches| {
            let cli = Self::from_arg_matches(&matches)?;
            Ok(Parsed { cli, matches })
        });
        parsed.unwrap_or_else(|error| refuse(&error))
    }

    /// Parses arguments, without the name of the program before them.
    pub(crate) fn parse(arguments: &[String]) -> Result<Self, clap::Error> {
        Self::try_parse_from(std::iter::once("pmls").chain(arguments.iter().map(String::as_str)))
    }

    /// Where and how the command prints.
    pub(crate) fn output(&self) -> Output {
        Output::new(if self.form.json { Form::Json } else { Form::Text })
    }
}

/// Says what is wrong with the command line: to a script, if it seems to be one, as it says all else.
fn refuse(error: &clap::Error) -> ! {
    let json = std::env::args_os().any(|arg| arg == "--json");
    if json && error.use_stderr() {
        let told = error.render().to_string();
        let told = told.trim().trim_start_matches("error: ");
        Output::new(Form::Json).refuse(told, Exit::Usage);
        std::process::exit(Exit::Usage as i32)
    }
    error.exit()
}

impl Parsed {
    /// The configuration file.
    pub(crate) fn config_file(&self) -> Result<ConfigFile, Failure> {
        Ok(self.cli.file.read()?)
    }

    /// What was said to `pmls serve`.
    pub(crate) fn serve_matches(&self) -> &ArgMatches {
        self.matches.subcommand_matches("serve").unwrap_or(&self.matches)
    }

    /// What holds for a command that acts as a device.
    pub(crate) fn options(&self) -> Result<GlobalOptions, Failure> {
        let file = self.config_file()?;
        let effective = self.cli.device.effective(&file, &self.matches)?;
        Ok(effective.settings.try_into()?)
    }
}
