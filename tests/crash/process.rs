//! The daemon as a process that may die at any moment.

use std::fs::File;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use openclawd::client::{Client, ClientOptions, DriverTask, Events, connect};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// Longest wait for anything; only a failing test spends it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// The token every configuration here has.
pub(crate) const TOKEN: &str = "token-of-the-crash-tests";

const SIGKILL: i32 = 9;

/// A process of the daemon. Killed when dropped.
pub(crate) struct Process {
    child: Child,
    /// Kept, or its end of the pipe would break.
    out: Lines<BufReader<ChildStdout>>,
}

/// A client's connection to it.
pub(crate) struct Line {
    pub(crate) client: Client,
    /// Kept, or the connection would be without a reader.
    _events: Events,
    _driver: DriverTask,
}

impl Process {
    /// Starts the daemon in a home. What it logs goes to `log` in it.
    pub(crate) fn start(home: &Path, failpoint: Option<&str>) -> Self {
        let log = File::options().create(true).append(true).open(home.with_extension("log")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_openclawd"));
        command
            .env_clear()
            .env("OPENCLAW_STATE_DIR", home)
            .env("OPENCLAW_GATEWAY_PORT", "0")
            .envs(failpoint.map(|failpoint| ("OPENCLAWD_FAILPOINT", failpoint)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, out }
    }

    /// Waits until it can be talked to; none: it died before.
    pub(crate) async fn connect(&mut self) -> Option<Line> {
        let address = loop {
            let line = tokio::time::timeout(PATIENCE, self.out.next_line()).await.unwrap().ok().flatten()?;
            if let Some((_, rest)) = line.split_once("http://") {
                break rest.split('/').next().unwrap_or_default().to_owned();
            }
        };
        let scopes = ["operator.read", "operator.write", "operator.admin"];
        let mut options = ClientOptions::cli(format!("ws://{address}/"), Some(TOKEN.to_owned()), scopes);
        options.request_timeout = PATIENCE;
        let (client, events, driver) = connect(&options).await.ok()?;
        Some(Line { client, _events: events, _driver: driver.detached() })
    }

    /// Waits for its end.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        self.child.wait().await.unwrap()
    }

    /// `kill -9`, and its end.
    pub(crate) async fn kill(&mut self) {
        self.child.start_kill().unwrap();
        assert_killed(self.ended().await);
    }

    /// Ends it as a service manager does.
    pub(crate) async fn stop(&mut self) {
        let id = self.child.id().unwrap().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().await.unwrap().success());
        let status = tokio::time::timeout(PATIENCE, self.ended()).await.unwrap();
        assert_eq!(status.code(), Some(0), "{status}");
    }
}

/// It did not end by itself.
#[track_caller]
pub(crate) fn assert_killed(status: ExitStatus) {
    assert_eq!(status.signal(), Some(SIGKILL), "{status}");
}
