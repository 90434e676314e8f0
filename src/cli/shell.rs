//! `mimc completions` and `mimc man`: what a shell and a reader of manuals want.

use super::{Cli, Outcome, complete::VARIABLE, failure::Failure, screen};
use clap::{Args, CommandFactory};
use clap_complete::{Shell, env::Shells};
use std::{fs, io, path::PathBuf, process::ExitCode};

/// Print completions for a shell
///
/// For bash, in ~/.bashrc: `source <(mimc completions bash)`. The shell then asks mimc itself, which also knows recipes and the
/// keys behind --set.
#[derive(Args)]
pub struct Completions {
    /// The shell that will read them
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

/// Print the manual page, or write one for every verb
///
/// To read it: `mimc man | man -l -`
#[derive(Args)]
pub struct Manual {
    /// Write mimc.1, mimc-run.1 and so on there, as packages want them
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
}

pub fn completions(arguments: &Completions) -> Outcome {
    let mut script = Vec::new();
    let shell = arguments.shell.to_string();
    let shells = Shells::builtins();
    let shell = shells.completer(&shell);
    let shell = shell.expect("every shell that can be named is built in");
    shell
        .write_registration(VARIABLE, "mimc", "mimc", "mimc", &mut script)
        .map_err(failed)?;
    screen::print(String::from_utf8_lossy(&script))?;
    Ok(ExitCode::SUCCESS)
}

pub fn manual(arguments: &Manual) -> Outcome {
    let Some(folder) = &arguments.output else {
        let mut page = Vec::new();
        clap_mangen::Man::new(Cli::command())
            .render(&mut page)
            .map_err(failed)?;
        screen::print(String::from_utf8_lossy(&page))?;
        return Ok(ExitCode::SUCCESS);
    };
    let written =
        fs::create_dir_all(folder).and_then(|()| clap_mangen::generate_to(Cli::command(), folder));
    written.map_err(|error| Failure::file("write pages to", folder, &error))?;
    Ok(ExitCode::SUCCESS)
}

fn failed(error: io::Error) -> Failure {
    Failure::new("output", error, None)
}
