//! Runs the binary in a home of its own, with nothing of this machine's environment.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// A person's home folder and environment.
pub(crate) struct Home {
    folder: tempfile::TempDir,
    /// Held so that the port stays ours and refuses: bound, but nobody listens on it.
    silent: Silent,
}

/// A port that refuses: it is taken by a connection between two sockets of ours, so nobody can listen on it.
struct Silent {
    port: u16,
    _ends: (TcpStream, TcpStream),
}

impl Silent {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (far, _) = listener.accept().unwrap();
        Self { port: near.local_addr().unwrap().port(), _ends: (near, far) }
    }
}

/// What a run of the program came to.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    #[track_caller]
    pub(crate) fn succeeded(&self) {
        assert_eq!(self.code, 0, "{self:?}");
    }
}

impl Home {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), silent: Silent::new() }
    }

    pub(crate) fn path(&self, inside: &str) -> PathBuf {
        self.folder.path().join(inside)
    }

    /// The same home with one more variable, for one call.
    pub(crate) fn with(&self, name: &str, value: &str) -> With<'_> {
        With { home: self, name: name.into(), value: value.into() }
    }

    pub(crate) fn config(&self, text: &str) {
        std::fs::create_dir_all(self.path(".openclaw")).unwrap();
        std::fs::write(self.path(".openclaw/openclaw.json"), text).unwrap();
    }

    pub(crate) fn read(&self, inside: &str) -> String {
        std::fs::read_to_string(self.path(inside)).unwrap()
    }

    pub(crate) fn mode(&self, inside: &str) -> u32 {
        std::fs::metadata(self.path(inside)).unwrap().permissions().mode() & 0o777
    }

    /// A port on which nobody answers, for as long as this home exists.
    pub(crate) fn dead_port(&self) -> u16 {
        self.silent.port
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_occtl"));
        command.args(args).env_clear().env("HOME", self.folder.path()).env("PATH", "/usr/bin:/bin");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub(crate) fn occtl(&self, args: &[&str]) -> Run {
        finish(self.command(args), None)
    }

    pub(crate) fn occtl_with_input(&self, args: &[&str], input: &str) -> Run {
        finish(self.command(args), Some(input))
    }

    /// The first lines that a program without an end prints; then it is killed.
    pub(crate) fn first_lines(&self, args: &[&str], count: usize) -> Vec<String> {
        let mut child = self.command(args).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let lines = stdout.lines().take(count).map(Result::unwrap).collect();
        child.kill().unwrap();
        child.wait().unwrap();
        lines
    }

    /// Runs with a stdout whose reader is gone; tells the exit code.
    pub(crate) fn occtl_into_closed_pipe(&self, args: &[&str]) -> i32 {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut child = self.command(args).stdout(writer).spawn().unwrap();
        child.wait().unwrap().code().unwrap()
    }
}

pub(crate) struct With<'a> {
    home: &'a Home,
    name: String,
    value: String,
}

impl With<'_> {
    pub(crate) fn occtl(&self, args: &[&str]) -> Run {
        let mut command = self.home.command(args);
        command.env(&self.name, &self.value);
        finish(command, None)
    }
}

fn finish(mut command: Command, input: Option<&str>) -> Run {
    if input.is_some() {
        command.stdin(Stdio::piped());
    }
    let mut child = command.spawn().unwrap();
    if let (Some(input), Some(mut stdin)) = (input, child.stdin.take()) {
        stdin.write_all(input.as_bytes()).unwrap();
    }
    let output = child.wait_with_output().unwrap();
    Run {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}
