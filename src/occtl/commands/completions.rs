//! `occtl completions`: the script a shell reads.

use clap::CommandFactory;

use super::Context;
use crate::occtl::args::{Args, Shell};
use crate::occtl::failure::Failure;

pub(super) fn run(context: &Context, shell: Shell) -> Result<(), Failure> {
    let shell = match shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Elvish => clap_complete::Shell::Elvish,
        Shell::Fish => clap_complete::Shell::Fish,
        Shell::Powershell => clap_complete::Shell::PowerShell,
        Shell::Zsh => clap_complete::Shell::Zsh,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "occtl", &mut script);
    context.output.raw(&String::from_utf8_lossy(&script))
}
