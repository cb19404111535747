//! Runs the real binaries in a home of their own, with nothing of this machine's environment, and waits for what they
//! say.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};

/// Longest wait for anything a test waits for; only a failing test spends it.
const PATIENCE: Duration = Duration::from_secs(60);

/// A state directory, and the commands that use it.
pub(crate) struct Home {
    folder: TempDir,
    /// Where the programs see the state directory, when that is not where the test sees it.
    seen_at: Option<PathBuf>,
}

/// What a finished program left.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    #[track_caller]
    pub(crate) fn exited(&self, code: i32) -> &Self {
        assert_eq!(self.code, code, "{self:?}");
        self
    }

    /// All of `parts` are in what it complained about.
    #[track_caller]
    pub(crate) fn complained(&self, parts: &[&str]) -> &Self {
        for part in parts {
            assert!(self.stderr.contains(part), "{part:?} is missing: {self:?}");
        }
        self
    }

    /// All of `parts` are in what it printed.
    #[track_caller]
    pub(crate) fn printed(&self, parts: &[&str]) -> &Self {
        for part in parts {
            assert!(self.stdout.contains(part), "{part:?} is missing: {self:?}");
        }
        self
    }
}

impl Home {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), seen_at: None }
    }

    /// The same state directory under another name.
    pub(crate) fn at(folder: TempDir, seen_at: PathBuf) -> Self {
        Self { folder, seen_at: Some(seen_at) }
    }

    pub(crate) fn path(&self, inside: &str) -> PathBuf {
        self.folder.path().join(inside)
    }

    /// A path of the state directory as the programs and the test can both reach it.
    pub(crate) fn seen(&self, inside: &str) -> PathBuf {
        self.seen_at.as_deref().unwrap_or(self.folder.path()).join(inside)
    }

    /// Writes the configuration, as a careful person's editor does.
    pub(crate) fn config(&self, text: &str) {
        let path = self.path("openclaw.json");
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }

    pub(crate) fn read(&self, inside: &str) -> String {
        std::fs::read_to_string(self.path(inside)).unwrap()
    }

    pub(crate) fn mode(&self, inside: &str) -> u32 {
        std::fs::metadata(self.path(inside)).unwrap().permissions().mode() & 0o777
    }

    /// Names in the state directory, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn command(&self, program: &str) -> Command {
        let state = self.seen_at.as_deref().unwrap_or(self.folder.path());
        let mut command = Command::new(program);
        command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", self.folder.path());
        command.env("OPENCLAW_STATE_DIR", state);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    /// Starts the daemon on a free port and waits until it says that it is ready.
    pub(crate) async fn start(&self, args: &[&str]) -> Daemon {
        let mut command = self.command(env!("CARGO_BIN_EXE_openclawd"));
        command.env("OPENCLAW_GATEWAY_PORT", "0").args(args);
        Daemon::ready(command).await
    }

    /// The same, with a fault at a named place.
    pub(crate) async fn start_with_fault(&self, fault: &str) -> Daemon {
        let mut command = self.command(env!("CARGO_BIN_EXE_openclawd"));
        command.env("OPENCLAW_GATEWAY_PORT", "0").env("OPENCLAWD_FAILPOINT", fault);
        Daemon::ready(command).await
    }

    /// The same with the port the configuration names.
    pub(crate) async fn start_as_configured(&self) -> Daemon {
        Daemon::ready(self.command(env!("CARGO_BIN_EXE_openclawd"))).await
    }

    /// Runs the daemon, which is expected to refuse.
    pub(crate) async fn refused(&self, args: &[&str]) -> Run {
        let mut command = self.command(env!("CARGO_BIN_EXE_openclawd"));
        command.env("OPENCLAW_GATEWAY_PORT", "0").args(args);
        finish(command, "").await
    }

    /// The same, with a fault at a named place.
    pub(crate) async fn refused_with_fault(&self, fault: &str) -> Run {
        let mut command = self.command(env!("CARGO_BIN_EXE_openclawd"));
        command.env("OPENCLAW_GATEWAY_PORT", "0").env("OPENCLAWD_FAILPOINT", fault);
        finish(command, "").await
    }

    pub(crate) async fn occtl(&self, args: &[&str]) -> Run {
        self.occtl_with_input(args, "").await
    }

    pub(crate) async fn occtl_with_input(&self, args: &[&str], input: &str) -> Run {
        let mut command = self.command(env!("CARGO_BIN_EXE_occtl"));
        command.args(args);
        finish(command, input).await
    }
}

/// A daemon that has come up. Killed when dropped.
pub(crate) struct Daemon {
    child: Child,
    out: Lines<BufReader<ChildStdout>>,
    err: Lines<BufReader<ChildStderr>>,
    /// All it said at its start, on standard output.
    pub(crate) greeting: String,
    /// Its control plane.
    pub(crate) port: u16,
}

impl Daemon {
    async fn ready(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut err = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut greeting = String::new();
        // The model is the last row of the greeting.
        while !greeting.contains("\n  model ") {
            match within(out.next_line()).await.unwrap() {
                Some(line) => greeting.push_str(&format!("{line}\n")),
                None => panic!("{greeting}\n{}", rest(&mut err).await),
            }
        }
        let address = greeting.split("http://").nth(1).unwrap().split('/').next().unwrap();
        let port = address.rsplit(':').next().unwrap().parse().unwrap();
        Self { child, out, err, greeting, port }
    }

    /// A daemon made by a command of the test's own.
    pub(crate) async fn from(home: &Home, program: &str, args: &[&str]) -> Self {
        let mut command = home.command(program);
        command.env("OPENCLAW_GATEWAY_PORT", "0").args(args);
        Self::ready(command).await
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id().unwrap()
    }

    /// Waits for a line of the log on the terminal; gives it back.
    #[track_caller]
    pub(crate) fn logged<'a>(&'a mut self, part: &str) -> impl Future<Output = String> + use<'a> {
        let (part, from) = (part.to_owned(), std::panic::Location::caller());
        async move {
            loop {
                match within(self.err.next_line()).await.unwrap() {
                    Some(line) if line.contains(&part) => return line,
                    Some(_) => {}
                    None => panic!("{from}: the log ended before {part:?}"),
                }
            }
        }
    }

    /// Waits for a line on standard output; gives it back.
    pub(crate) async fn said(&mut self, part: &str) -> String {
        loop {
            let line = within(self.out.next_line()).await.unwrap().expect("more output");
            if line.contains(part) {
                return line;
            }
        }
    }

    /// Sends a signal by its name.
    pub(crate) async fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.pid());
        let status = within(Command::new("sh").args(["-c", &kill]).status()).await.unwrap();
        assert!(status.success(), "{kill}");
    }

    /// Waits for the end; the exit code and what was said meanwhile.
    pub(crate) async fn ended(mut self) -> Run {
        let (stdout, stderr) = within(async { tokio::join!(rest(&mut self.out), rest(&mut self.err)) }).await;
        let status = within(self.child.wait()).await.unwrap();
        Run { code: code(status), stdout, stderr }
    }

    /// Stops it as a service manager does.
    pub(crate) async fn stop(self) -> Run {
        self.signal("TERM").await;
        self.ended().await
    }

    /// Stops a daemon that was started under `strace`, whose child it is.
    pub(crate) async fn stop_traced(self) -> Run {
        let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", self.pid())).unwrap();
        let status = within(Command::new("kill").arg("-TERM").arg(children.trim()).status()).await.unwrap();
        assert!(status.success(), "{children}");
        self.ended().await
    }

    /// Status and body of a path on its port.
    pub(crate) async fn get(&self, path: &str) -> (u16, String) {
        let response = within(reqwest::get(format!("http://127.0.0.1:{}{path}", self.port))).await.unwrap();
        (response.status().as_u16(), within(response.text()).await.unwrap())
    }
}

/// Some of what is shown needs to look at, or meddle with, the daemon's calls of the system.
pub(crate) fn needs_strace() {
    let has_strace = std::process::Command::new("strace").arg("-V").output().is_ok_and(|run| run.status.success());
    assert!(has_strace, "the daemon's calls of the system are seen with `strace`; install the package of that name");
}

/// Bounds a wait.
pub(crate) async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("it takes too long")
}

async fn rest<R: AsyncRead + Unpin>(lines: &mut Lines<BufReader<R>>) -> String {
    let mut text = String::new();
    lines.get_mut().read_to_string(&mut text).await.unwrap();
    text
}

async fn finish(mut command: Command, input: &str) -> Run {
    if !input.is_empty() {
        let (reader, mut writer) = std::io::pipe().unwrap();
        std::io::Write::write_all(&mut writer, input.as_bytes()).unwrap();
        command.stdin(reader);
    }
    let output = within(command.output()).await.unwrap();
    Run {
        code: code(output.status),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

fn code(status: ExitStatus) -> i32 {
    status.code().unwrap_or(-1)
}

/// A small file system that can be full, for a daemon in a mount namespace of its own.
pub(crate) async fn small_disk(mebibytes: u32) -> (Daemon, Home) {
    const FLAGS: [&str; 4] = ["--user", "--map-root-user", "--mount", "--"];
    let may = within(Command::new("unshare").args(FLAGS).arg("true").stderr(Stdio::null()).status()).await;
    assert!(
        may.is_ok_and(|status| status.success()),
        "a full disk is made with `unshare` of util-linux and user namespaces; this machine lacks or forbids them"
    );
    let home = Home::new();
    let state = home.folder.path().display().to_string();
    let script = format!(
        "mount -t tmpfs -o size={mebibytes}m,mode=700 tmpfs '{state}' && exec '{}'",
        env!("CARGO_BIN_EXE_openclawd")
    );
    let daemon = Daemon::from(&home, "unshare", &[&FLAGS[..], &["sh", "-c", &script]].concat()).await;
    let inside = Path::new("/proc").join(daemon.pid().to_string()).join("root").join(state.trim_start_matches('/'));
    (daemon, Home::at(home.folder, inside))
}
