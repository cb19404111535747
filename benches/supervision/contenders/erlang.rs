//! Erlang/OTP's own supervisor and `gen_server`, in a process beside this one that is asked line by line.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use crate::report::{self, Options};

pub(crate) struct Erlang {
    process: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Erlang {
    pub(crate) const NAME: &'static str = "erlang";

    /// `None`, and a word about it, if Erlang is not on this machine.
    pub(crate) fn start(options: &Options) -> Option<Self> {
        if !options.admits(Self::NAME) {
            return None;
        }
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../benches/supervision/erlang/otp.escript");
        let started = Command::new("escript")
            .arg(script)
            .env("ERL_FLAGS", "+P 2000000")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let Ok(mut process) = started else {
            report::note("no `escript` on this machine: Erlang is left out");
            return None;
        };
        let (questions, answers) = (process.stdin.take()?, process.stdout.take()?);
        Some(Self { process, questions, answers: BufReader::new(answers) })
    }

    /// Has it do `what` with `n` and returns what it says: nanoseconds, or bytes.
    pub(crate) fn ask(&mut self, what: &str, n: usize) -> u64 {
        writeln!(self.questions, "{what} {n}").expect("asked");
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("answered");
        line.trim().parse().expect("a number")
    }

    pub(crate) fn time(&mut self, what: &str, n: usize) -> Duration {
        Duration::from_nanos(self.ask(what, n))
    }
}

impl Drop for Erlang {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
