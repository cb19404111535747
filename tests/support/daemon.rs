//! The daemon's binary as a process of its own.

use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};

use futures_util::stream::{self, Stream, StreamExt as _};
use openclawd::client::Client;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::gateway::{PATIENCE, SCOPES, Talk};
use super::witness::Witness;

/// The token every configuration here has.
const TOKEN: &str = "token-of-the-tests";

/// A running daemon. Killed when dropped.
pub(crate) struct Daemon {
    child: Child,
    address: String,
    said: Arc<Mutex<String>>,
    lines: watch::Receiver<usize>,
    reader: JoinHandle<()>,
}

fn lines_of(pipe: impl AsyncRead + Unpin) -> impl Stream<Item = String> {
    let lines = BufReader::new(pipe).lines();
    stream::unfold(lines, async |mut lines| Some((lines.next_line().await.ok()??, lines)))
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl Daemon {
    /// Starts it in a home, and waits until it is ready.
    #[expect(clippy::disallowed_methods, reason = "ends with its owner")]
    pub(crate) async fn start(home: &Path, mut config: Value) -> Self {
        config["gateway"] = serde_json::json!({"auth": {"mode": "token", "token": TOKEN}});
        std::fs::write(home.join("openclaw.json"), config.to_string()).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_openclawd"))
            .env_clear()
            .env("OPENCLAW_STATE_DIR", home)
            .env("OPENCLAW_GATEWAY_PORT", "0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let said: Arc<Mutex<String>> = Arc::default();
        let (count, lines) = watch::channel(0);
        let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let taken = Arc::clone(&said);
        let reader = tokio::spawn(async move {
            let mut both = std::pin::pin!(stream::select(lines_of(stdout), lines_of(stderr)));
            while let Some(line) = both.next().await {
                *taken.lock().unwrap() += &format!("{line}\n");
                count.send_modify(|count| *count += 1);
            }
        });
        let mut daemon = Self { child, address: String::new(), said, lines, reader };
        daemon.until_said("http://").await;
        let said = daemon.said();
        let (_, rest) = said.split_once("http://").unwrap();
        daemon.address = rest.split('/').next().unwrap().to_owned();
        daemon
    }

    /// What it said to the terminal.
    pub(crate) fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// Waits until it said this.
    pub(crate) async fn until_said(&mut self, words: &str) {
        let wait = async {
            while !self.said.lock().unwrap().contains(words) {
                if self.lines.changed().await.is_err() {
                    break;
                }
            }
        };
        let in_time = tokio::time::timeout(PATIENCE, wait).await.is_ok();
        let said = self.said();
        assert!(in_time && said.contains(words), "{words:?} was not said: {said}");
    }

    /// A client that may do everything.
    pub(crate) async fn talk(&self) -> (Client, Witness) {
        Talk::connect(&format!("ws://{}/", self.address), TOKEN, SCOPES).await.witnessed()
    }

    /// `kill -9`.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// SIGTERM.
    pub(crate) async fn terminate(&self) {
        let id = self.child.id().unwrap().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().await.unwrap().success());
    }

    /// Waits for its end; how it ended and all it said.
    pub(crate) async fn ended(mut self) -> (ExitStatus, String) {
        let status = tokio::time::timeout(PATIENCE, self.child.wait()).await.unwrap().unwrap();
        // The pipe is read to its end.
        let read = async { while self.lines.changed().await.is_ok() {} };
        tokio::time::timeout(PATIENCE, read).await.unwrap();
        (status, self.said())
    }
}
