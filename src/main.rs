//! `openclawd`, the daemon.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use clap::Parser as _;
use openclawd::daemon::{args::Args, run};

fn main() -> ExitCode {
    // An error says that there is one already; then TLS works as well.
    drop(rustls::crypto::ring::default_provider().install_default());
    let env: BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    // A terminal that is gone must not stop the daemon.
    let console = run::Console {
        say: |line: &str| writeln!(std::io::stdout(), "{line}").unwrap_or_default(),
        complain: |line: &str| writeln!(std::io::stderr(), "{line}").unwrap_or_default(),
        is_terminal: std::io::stdout().is_terminal(),
    };
    run::run(Args::parse(), env, &console)
}
