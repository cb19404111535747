//! The daemon's life in the foreground.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use super::args::{Args, Command};
use super::boot::{self, Options, Running, StartError};
use super::lock::chain;
use super::shutdown;
use super::signals::Signals;
use super::store_command;

/// Exit code when the tree gave up (`EX_SOFTWARE`): the service manager starts the daemon again.
const GAVE_UP: u8 = 70;

/// Where lines for the person at the terminal go.
#[derive(Debug)]
pub struct Console<S, C> {
    /// What was asked for: standard output.
    pub say: S,
    /// What went wrong: standard error.
    pub complain: C,
    /// A person reads what is said, nobody keeps it.
    pub is_terminal: bool,
}

/// Starts the daemon and stays until it is told to stop or gives up.
pub fn run(args: Args, env: BTreeMap<String, String>, console: &Console<impl Fn(&str), impl Fn(&str)>) -> ExitCode {
    if let Some(Command::Store { command }) = &args.command {
        return match store_command::run(command, &boot::env_of(&args, &env)) {
            Ok(told) => {
                (console.say)(&told.to_string());
                ExitCode::SUCCESS
            }
            Err(error) => refused(&error, console),
        };
    }
    let drain = Duration::from_secs(args.drain_seconds);
    let options = Options { console: true, ..Options::new(args, env) };
    let prepared = match boot::prepare(options) {
        Ok(prepared) => prepared,
        Err(error) => return refused(&error, console),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().worker_threads(workers()).build() {
        Ok(runtime) => runtime,
        Err(error) => {
            (console.complain)(&format!("openclawd: can't start threads: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(async {
        let mut signals = match Signals::listen() {
            Ok(signals) => signals,
            Err(error) => {
                (console.complain)(&format!("openclawd: signals can't be handled: {error}"));
                return ExitCode::FAILURE;
            }
        };
        let running = match boot::boot(prepared).await {
            Ok(running) => running,
            Err(error) => return refused(&error, console),
        };
        greet(&running, console);
        let signal = tokio::select! {
            signal = signals.next() => signal,
            exit = running.root.wait() => {
                (console.complain)(&format!("openclawd: the tree gave up: {exit}"));
                return ExitCode::from(GAVE_UP);
            }
        };
        (console.say)(&format!("openclawd: {signal}: finishing what runs; once more to stop at once"));
        let hurry = async {
            signals.next().await;
        };
        let report = shutdown::shutdown(&running, "gateway stopping", drain, hurry).await;
        for path in &report.stragglers {
            (console.complain)(&format!("openclawd: {path} was still at work; it is taken up at the next start"));
        }
        (console.say)("openclawd: stopped");
        ExitCode::from(report.exit_code())
    });
    // Work that would not end must not hold the process.
    runtime.shutdown_timeout(Duration::from_secs(1));
    code
}

/// The control plane must get its turn while sessions work, also on a machine with one core.
fn workers() -> usize {
    std::thread::available_parallelism().map_or(2, std::num::NonZero::get).max(2) + 2
}

fn refused(error: &StartError, console: &Console<impl Fn(&str), impl Fn(&str)>) -> ExitCode {
    (console.complain)(&format!("openclawd: {}", chain(error)));
    if let Some(hint) = error.hint() {
        (console.complain)(&format!("  {hint}"));
    }
    ExitCode::from(error.exit_code())
}

/// The token itself is shown where nobody keeps the output, and once, at the start that made it, elsewhere.
fn greet(running: &Running, console: &Console<impl Fn(&str), impl Fn(&str)>) {
    let say = &console.say;
    let row = |name: &str, text: &str| say(&format!("  {name:<10}{text}"));
    say(&format!("openclawd {} is ready", super::VERSION));
    let dashboard = format!("http://{}/openclawd/", running.reachable());
    match &running.token {
        Some(token) if running.fresh_token || console.is_terminal => {
            row("dashboard", &format!("{dashboard}#token={}", token.expose()));
            row("token", token.expose());
        }
        Some(_) => {
            row("dashboard", &dashboard);
            row("token", &format!("in {}", running.token_file().display()));
        }
        None => row("dashboard", &dashboard),
    }
    let snapshot = running.domain.config.current();
    let absent = if snapshot.exists { "" } else { " (not there: defaults)" };
    row("config", &format!("{}{absent}", snapshot.path.display()));
    let (provider, model, _) = running.domain.model_of(&snapshot.config.agents.default_agent());
    let demo = if provider == "demo" { " (offline; `occtl models add` adds a real one)" } else { "" };
    row("model", &format!("{provider}/{model}{demo}"));
}
