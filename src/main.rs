//! The command line of mimc.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
