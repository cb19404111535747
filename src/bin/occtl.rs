//! The command line client: everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    openclawd::occtl::run()
}
