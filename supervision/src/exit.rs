//! Why an actor ended, and how an actor says it wants to end.
//!
//! [`ExitReason`] is what supervisors observe; [`Exit`] is what an actor returns as its error to choose the reason.

use std::error::Error;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use crate::panics::{Quiet, catch};

/// Any error that can cross threads.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// What actor callbacks return.
pub type ActorResult = Result<(), BoxError>;

/// Longest text kept of a reason; what is beyond is cut.
const MAX_TEXT: usize = 512;

/// The typed way for an actor to end itself: `Err(Exit::Fatal(error).into())`.
#[derive(Debug)]
pub enum Exit {
    /// Returned by `pre_start`: there is nothing to run now, and that is no failure (OTP's `ignore`). The spec is kept,
    /// except for temporary and dynamic children. Elsewhere it means the same as [`Exit::Normal`].
    Ignore,
    /// Ends cleanly, as if the work were done. `post_stop` is skipped; prefer `ctx.stop`.
    Normal,
    /// Ends cleanly for the given reason. `post_stop` is skipped; prefer `ctx.stop`.
    Shutdown(String),
    /// Ends abnormally and must not be restarted before somebody acts: bad credentials, bad configuration.
    Fatal(BoxError),
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ignore => f.write_str("nothing to run"),
            Self::Normal => f.write_str("normal exit"),
            Self::Shutdown(reason) => write!(f, "shutdown: {reason}"),
            Self::Fatal(_) => f.write_str("fatal"),
        }
    }
}

impl Error for Exit {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Ignore | Self::Normal | Self::Shutdown(_) => None,
            Self::Fatal(error) => Some(error.as_ref()),
        }
    }
}

/// A caught panic: its message and where it happened.
#[derive(Clone, Debug)]
pub struct PanicInfo {
    /// The panic message, or a placeholder if the payload was not text.
    pub message: String,
    /// `file:line:column` of the panic.
    pub location: Option<String>,
    /// The backtrace, when `RUST_BACKTRACE` asks for one.
    pub backtrace: Option<String>,
}

impl fmt::Display for PanicInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "panic: {}", self.message)?;
        match &self.location {
            Some(location) => write!(f, " at {location}"),
            None => Ok(()),
        }
    }
}

impl Error for PanicInfo {}

/// An error that ended an actor; it is the error itself to whoever looks at it. Cheap to clone.
///
/// Supervisors keep errors, show them and let go of them. One that panics when it is shown or dropped harms none.
#[derive(Clone)]
pub struct Failure(Arc<Quiet<BoxError>>);

impl Failure {
    /// The error and its sources in words.
    fn text(&self) -> String {
        catch(|| chain(self.0.get().as_ref())).unwrap_or_else(|_| "an error that cannot be shown".to_owned())
    }
}

impl Deref for Failure {
    type Target = dyn Error + Send + Sync + 'static;

    fn deref(&self) -> &Self::Target {
        self.0.get().as_ref()
    }
}

impl From<BoxError> for Failure {
    fn from(error: BoxError) -> Self {
        Self(Arc::new(Quiet::new(error)))
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&**self, f)
    }
}

/// How an incarnation ended, as its supervisor saw it.
#[derive(Clone, Debug)]
pub enum ExitReason {
    /// It stopped by itself, without a particular reason.
    Normal,
    /// It stopped for a reason that is no failure.
    Shutdown(Arc<str>),
    /// A callback returned an error.
    Error(Failure),
    /// A callback returned [`Exit::Fatal`]: restarting will not help.
    Fatal(Failure),
    /// A callback or a scoped task panicked.
    Panic(Arc<PanicInfo>),
    /// It was killed, by its supervisor after a deadline or by fault injection.
    Killed,
    /// Its task was aborted from outside or the runtime went away.
    Cancelled,
    /// It never ran: its start failed for the reason inside.
    InitFailed(Arc<ExitReason>),
    /// It never ran: its start took longer than `init_timeout`.
    InitTimeout,
}

/// The kind of an [`ExitReason`], without its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ExitClass {
    /// See [`ExitReason::Normal`].
    Normal,
    /// See [`ExitReason::Shutdown`].
    Shutdown,
    /// See [`ExitReason::Error`].
    Error,
    /// See [`ExitReason::Fatal`].
    Fatal,
    /// See [`ExitReason::Panic`].
    Panic,
    /// See [`ExitReason::Killed`].
    Killed,
    /// See [`ExitReason::Cancelled`].
    Cancelled,
    /// See [`ExitReason::InitFailed`].
    InitFailed,
    /// See [`ExitReason::InitTimeout`].
    InitTimeout,
}

impl ExitClass {
    /// The name used in logs and on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Shutdown => "shutdown",
            Self::Error => "error",
            Self::Fatal => "fatal",
            Self::Panic => "panic",
            Self::Killed => "killed",
            Self::Cancelled => "cancelled",
            Self::InitFailed => "init_failed",
            Self::InitTimeout => "init_timeout",
        }
    }
}

impl ExitReason {
    /// A clean stop for `reason`.
    #[must_use]
    pub fn shutdown(reason: impl Into<Arc<str>>) -> Self {
        Self::Shutdown(reason.into())
    }

    /// An abnormal exit with `error`.
    #[must_use]
    pub fn error(error: impl Into<BoxError>) -> Self {
        Self::from_box(error.into())
    }

    /// True for [`ExitReason::Normal`] and [`ExitReason::Shutdown`].
    #[must_use]
    pub fn is_clean(&self) -> bool {
        matches!(self, Self::Normal | Self::Shutdown(_))
    }

    /// True if the actor said that a restart cannot help, at its start or later.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        match self {
            Self::Fatal(_) => true,
            Self::InitFailed(inner) => inner.is_fatal(),
            Self::Normal
            | Self::Shutdown(_)
            | Self::Error(_)
            | Self::Panic(_)
            | Self::Killed
            | Self::Cancelled
            | Self::InitTimeout => false,
        }
    }

    /// The kind of this reason.
    #[must_use]
    pub fn class(&self) -> ExitClass {
        match self {
            Self::Normal => ExitClass::Normal,
            Self::Shutdown(_) => ExitClass::Shutdown,
            Self::Error(_) => ExitClass::Error,
            Self::Fatal(_) => ExitClass::Fatal,
            Self::Panic(_) => ExitClass::Panic,
            Self::Killed => ExitClass::Killed,
            Self::Cancelled => ExitClass::Cancelled,
            Self::InitFailed(_) => ExitClass::InitFailed,
            Self::InitTimeout => ExitClass::InitTimeout,
        }
    }

    /// Where it panicked, as `file:line:column`.
    #[must_use]
    pub fn location(&self) -> Option<&str> {
        match self {
            Self::Panic(info) => info.location.as_deref(),
            Self::InitFailed(inner) => inner.location(),
            Self::Normal
            | Self::Shutdown(_)
            | Self::Error(_)
            | Self::Fatal(_)
            | Self::Killed
            | Self::Cancelled
            | Self::InitTimeout => None,
        }
    }

    /// The reason in words, sources included, at most 512 bytes.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = match self {
            Self::Normal => "normal".to_owned(),
            Self::Shutdown(reason) => reason.to_string(),
            Self::Error(failure) | Self::Fatal(failure) => failure.text(),
            Self::Panic(info) => info.message.clone(),
            Self::Killed => "killed".to_owned(),
            Self::Cancelled => "task aborted".to_owned(),
            Self::InitFailed(inner) => inner.text(),
            Self::InitTimeout => "start took too long".to_owned(),
        };
        crate::text::cut(&mut text, MAX_TEXT);
        text
    }

    /// Reads an error a callback returned: typed exits and panics keep their meaning.
    pub(crate) fn from_box(error: BoxError) -> Self {
        let error = match error.downcast::<Exit>() {
            Ok(exit) => {
                return match *exit {
                    Exit::Ignore | Exit::Normal => Self::Normal,
                    Exit::Shutdown(reason) => Self::Shutdown(reason.into()),
                    Exit::Fatal(inner) => Self::Fatal(inner.into()),
                };
            }
            Err(error) => error,
        };
        let error = match error.downcast::<ReasonError>() {
            Ok(reason) => return reason.0,
            Err(error) => error,
        };
        match error.downcast::<PanicInfo>() {
            Ok(info) => Self::Panic(Arc::new(*info)),
            Err(error) => Self::Error(error.into()),
        }
    }

    /// Wraps a failed start, once.
    pub(crate) fn at_init(self) -> Self {
        match self {
            Self::InitFailed(_) | Self::InitTimeout => self,
            Self::Normal
            | Self::Shutdown(_)
            | Self::Error(_)
            | Self::Fatal(_)
            | Self::Panic(_)
            | Self::Killed
            | Self::Cancelled => Self::InitFailed(Arc::new(self)),
        }
    }
}

impl fmt::Display for ExitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.class().as_str(), self.text())?;
        match self.location() {
            Some(location) => write!(f, " at {location}"),
            None => Ok(()),
        }
    }
}

/// Carries a finished reason through an error return.
#[derive(Debug)]
pub(crate) struct ReasonError(pub(crate) ExitReason);

impl fmt::Display for ReasonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for ReasonError {}

fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text.push_str(": ");
        text.push_str(&source.to_string());
        if text.len() > MAX_TEXT {
            break;
        }
        next = source.source();
    }
    text
}
