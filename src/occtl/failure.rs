//! How a command can fail, and the exit code of each way. Scripts rely on the numbers; they are those of `sysexits`.

use std::io;

use serde_json::{Value, json};

use crate::protocol::ErrorShape;

/// Bad arguments.
pub(crate) const USAGE: u8 = 2;
const FAILED: u8 = 1;
const UNREACHABLE: u8 = 69;
const AUTH: u8 = 77;
const CONFIG: u8 = 78;

/// Shown by `occtl help`.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0   done
  1   the gateway refused, or the work failed
  2   bad arguments
  69  no gateway answers
  77  the gateway refused the credentials
  78  the configuration cannot be used";

/// Why a command did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// Arguments that contradict each other or the situation.
    #[error("{0}")]
    Usage(String),
    /// The work failed.
    #[error("{0}")]
    Failed(String),
    /// The gateway answered with an error.
    #[error("{method}: {error}")]
    Refused {
        /// The method that was called.
        method: String,
        /// What the gateway said.
        error: Box<ErrorShape>,
    },
    /// Nothing answers at the address, or the connection was lost.
    #[error("no gateway answers at {url}: {reason}")]
    Unreachable {
        /// Where it was looked for.
        url: String,
        /// What happened.
        reason: String,
    },
    /// The gateway is there and refuses to let us in.
    #[error("the gateway refused to sign in: {0}")]
    Auth(String),
    /// The configuration file cannot be read or does not make sense.
    #[error("configuration: {0}")]
    Config(String),
    /// Standard output is gone or broken.
    #[error("cannot write: {0}")]
    Output(#[from] io::Error),
}

impl Failure {
    /// The exit code of the process.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => USAGE,
            Self::Failed(_) | Self::Refused { .. } | Self::Output(_) => FAILED,
            Self::Unreachable { .. } => UNREACHABLE,
            Self::Auth(_) => AUTH,
            Self::Config(_) => CONFIG,
        }
    }

    /// What to do about it, when there is something to say.
    pub(crate) fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Unreachable { .. } => Some("is it running? start it with `openclawd`, or `occtl gateway install`"),
            Self::Auth(_) => Some("give the token with --token or OPENCLAW_GATEWAY_TOKEN"),
            Self::Usage(_) | Self::Failed(_) | Self::Refused { .. } | Self::Config(_) | Self::Output(_) => None,
        }
    }

    /// True when the reader of a pipe went away, which is no failure of ours.
    pub(crate) fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// The failure as `--json` prints it, on stderr.
    pub(crate) fn to_json(&self) -> Value {
        let mut error = json!({ "kind": self.kind(), "message": self.to_string(), "exit": self.exit_code() });
        if let Self::Refused { method, error: refused } = self {
            error["method"] = json!(method);
            error["gateway"] = json!(refused);
        }
        if let Some(hint) = self.hint() {
            error["hint"] = json!(hint);
        }
        json!({ "ok": false, "error": error })
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Usage(_) => "usage",
            Self::Failed(_) => "failed",
            Self::Refused { .. } => "refused",
            Self::Unreachable { .. } => "unreachable",
            Self::Auth(_) => "auth",
            Self::Config(_) => "config",
            Self::Output(_) => "output",
        }
    }
}
