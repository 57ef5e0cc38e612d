//! The program `pmls`.

use std::process::ExitCode;

fn main() -> ExitCode {
    pmls::main()
}
