//! `pmls completions` and `pmls man`: what packagers install beside the program.

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::{Args, Command, CommandFactory as _};
use clap_complete::Shell;

use crate::{cli::Cli, failure::Failure};

/// Completions for a shell.
#[derive(Args)]
pub(crate) struct CompletionsArgs {
    /// The shell.
    shell: Shell,
}

/// Manual pages.
#[derive(Args)]
pub(crate) struct ManArgs {
    /// The folder to write them to.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

/// Prints the completions.
pub(super) fn completions(args: &CompletionsArgs) -> Result<(), Failure> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "pmls", &mut text);
    std::io::Write::write_all(&mut std::io::stdout(), &text).map_err(Failure::Output)
}

/// Writes one page for each command.
pub(super) fn man(args: &ManArgs) -> Result<(), Failure> {
    fs::create_dir_all(&args.folder).map_err(Failure::file("create", &args.folder))?;
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    page(&command, &args.folder)
}

fn page(command: &Command, folder: &Path) -> Result<(), Failure> {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name());
    let path = folder.join(format!("{name}.1"));
    let mut text = Vec::new();
    let page = clap_mangen::Man::new(command.clone()).title(name.to_uppercase());
    page.render(&mut text).map_err(Failure::Output)?;
    fs::write(&path, text).map_err(Failure::file("write", &path))?;
    command.get_subcommands().try_for_each(|command| page_unless_hidden(command, folder))
}

fn page_unless_hidden(command: &Command, folder: &Path) -> Result<(), Failure> {
    if command.is_hide_set() { Ok(()) } else { page(command, folder) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every command, the whole way down.
    fn all(command: &Command) -> Vec<&Command> {
        let below = command.get_subcommands().flat_map(all);
        std::iter::once(command).chain(below).collect()
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_and_argument_says_what_it_is() {
        let mut cli = Cli::command().disable_help_subcommand(true);
        cli.build();
        for command in all(&cli) {
            let name = command.get_display_name().unwrap_or_else(|| command.get_name());
            let about = command.get_about().map(ToString::to_string).unwrap_or_default();
            assert!(!about.is_empty(), "{name} has no help");
            for argument in command.get_arguments() {
                assert!(argument.get_help().is_some(), "{name}: {} has no help", argument.get_id());
            }
        }
    }

    #[test]
    fn every_command_has_a_page_that_says_what_it_does() {
        let folder = tempfile::tempdir().unwrap();
        man(&ManArgs { folder: folder.path().to_owned() }).unwrap();
        let mut cli = Cli::command().disable_help_subcommand(true);
        cli.build();
        for command in all(&cli).into_iter().filter(|command| !command.is_hide_set()) {
            let name = command.get_display_name().unwrap_or_else(|| command.get_name());
            let page = fs::read_to_string(folder.path().join(format!("{name}.1"))).unwrap();
            let about = command.get_about().unwrap().to_string();
            let word = about.split_whitespace().next().unwrap();
            assert!(page.contains(".SH NAME") && page.contains(word), "{name}: {page}");
        }
        let root = fs::read_to_string(folder.path().join("pmls.1")).unwrap();
        assert!(root.contains("Exit codes"), "the manual says the exit codes");
    }
}
