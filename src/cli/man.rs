//! `runner man`: manual pages, made from the definitions of the arguments.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, Command};
use clap_mangen::Man;

use super::exit::ExitStatus;
use super::machine::Machine;

#[derive(Debug, Clone, Args)]
pub(super) struct ManArgs {
    /// Write the pages of all subcommands too, to files in this folder
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub dir: Option<PathBuf>,
}

/// Prints runner(1), or writes all pages. `command` is without what a project adds to it.
pub(super) fn man(args: &ManArgs, command: Command, machine: &Machine) -> Result<ExitStatus, String> {
    let mut command = command.disable_help_subcommand(true);
    // Names such as `runner-recordings-list` come from building.
    command.build();
    let Some(dir) = &args.dir else {
        let mut page = Vec::new();
        page_of(command).render(&mut page).map_err(|error| error.to_string())?;
        anstream::print!("{}", String::from_utf8_lossy(&page));
        return Ok(ExitStatus::Passed);
    };
    match write(command, &machine.cwd.join(dir)) {
        Ok(()) => Ok(ExitStatus::Passed),
        Err(error) => {
            anstream::eprintln!("error: {}: {error}", dir.display());
            Ok(ExitStatus::Usage)
        }
    }
}

fn write(command: Command, dir: &Path) -> std::io::Result<()> {
    fs::create_dir_all(dir)?;
    for subcommand in command.get_subcommands() {
        write(subcommand.clone(), dir)?;
    }
    page_of(command).generate_to(dir).map(drop)
}

/// A page without a date, which would be the day it was made. Nothing at all in its place would shift what follows.
fn page_of(command: Command) -> Man {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned();
    let source = format!("runner {}", env!("CARGO_PKG_VERSION"));
    let command = command.name(name.clone());
    Man::new(command).title(name.to_uppercase()).date(" ").source(source).manual("User Commands")
}
