//! What does supervision cost, and how does it hold up against its neighbours?
//!
//! Each question is put, in one run and in turns, to a raw tokio task with a bounded channel, to a bare ractor actor, to
//! kameo, to this crate and, where `erl` is on the machine, to Erlang/OTP. What counts are the ratios: all contenders see
//! the same machine at the same time. Arguments: words that a question's name must contain; `--rounds N`.
//!
//! Set-up: two worker threads, mailboxes with room for 1,024, an error (not a panic) as the crash, release profile.

#![expect(clippy::expect_used, reason = "a bench ends when it can't measure")]
#![allow(missing_docs, unreachable_pub, missing_debug_implementations, reason = "nobody imports a bench")]

mod call;
mod cast;
mod contenders;
mod crash;
mod directory;
mod memory;
mod report;
mod snapshot;
mod spawn;
mod stop;
mod storm;

use std::future::Future;
use std::process::ExitCode;

use tokio::runtime::{Builder, Runtime};

use crate::report::Options;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, rest @ ..] = arguments.as_slice()
        && flag == "--alone"
    {
        return memory::alone(rest);
    }
    let options = Options::parse(&arguments);
    contenders::quiet();
    report::heading();
    call::run(&options);
    cast::run(&options);
    spawn::run(&options);
    crash::run(&options);
    storm::run(&options);
    stop::run(&options);
    snapshot::run(&options);
    directory::run(&options);
    memory::run(&options);
    ExitCode::SUCCESS
}

/// A runtime like the gateway's.
pub(crate) fn two_threads() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

/// Runs `future` on a worker, so that it competes on equal terms with what it starts.
#[expect(clippy::disallowed_methods, reason = "a bench has no actor to own its tasks")]
pub(crate) fn on_worker<T: Send + 'static>(runtime: &Runtime, future: impl Future<Output = T> + Send + 'static) -> T {
    runtime.block_on(async { tokio::spawn(future).await.expect("measured") })
}
