//! What can go wrong between a client and its gateway.

use std::time::Duration;

use crate::protocol::{Close, ErrorShape};

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody answers at that address, or not as a gateway does.
    #[error("could not reach the gateway at {url}")]
    Unreachable {
        /// Where it was tried.
        url: String,
        /// Why.
        #[source]
        source: Box<tokio_tungstenite::tungstenite::Error>,
    },
    /// The gateway let us in neither with an answer nor without.
    #[error("the gateway refused the connection: {}", refusal(.error.as_deref(), .close.as_ref()))]
    Refused {
        /// Its answer, if it gave one.
        error: Option<Box<ErrorShape>>,
        /// Its close.
        close: Option<Close>,
    },
    /// It says something that is no protocol of ours.
    #[error("the gateway does not speak this protocol: {0}")]
    Protocol(String),
    /// The method failed. Some answers carry a payload beside the error.
    #[error("{error}")]
    Failed {
        /// Why.
        error: Box<ErrorShape>,
        /// What it says besides.
        payload: Option<serde_json::Value>,
    },
    /// No answer in time.
    #[error("no answer to {method} within {} ms", .after.as_millis())]
    Timeout {
        /// What was asked.
        method: String,
        /// How long it was waited for.
        after: Duration,
    },
    /// The socket is closed.
    #[error("the connection is closed{}", closed(.0.as_ref()))]
    Closed(Option<Close>),
}

impl ClientError {
    /// The gateway's error, when it sent one.
    #[must_use]
    pub fn shape(&self) -> Option<&ErrorShape> {
        match self {
            Self::Failed { error, .. } => Some(error),
            Self::Refused { error, .. } => error.as_deref(),
            Self::Unreachable { .. } | Self::Protocol(_) | Self::Timeout { .. } | Self::Closed(_) => None,
        }
    }

    /// True when nobody is there, so that starting the gateway may help.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Refused { .. } | Self::Protocol(_) | Self::Failed { .. } | Self::Timeout { .. } | Self::Closed(_) => {
                false
            }
        }
    }
}

fn refusal(error: Option<&ErrorShape>, close: Option<&Close>) -> String {
    match (error, close) {
        (Some(error), _) => error.message.clone(),
        (None, Some(close)) => format!("{} ({})", close.reason, close.code),
        (None, None) => "connection lost".to_owned(),
    }
}

fn closed(close: Option<&Close>) -> String {
    close.map_or_else(String::new, |close| format!(": {} ({})", close.reason, close.code))
}
