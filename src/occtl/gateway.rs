//! A signed-in connection to the gateway, as commands use it.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::Value;

use super::failure::Failure;
use super::locate::Target;
use crate::client::{Client, ClientError, ClientOptions, DriverTask, Events, PendingAnswer, Reconnect, connect};
use crate::protocol::connect::ConnectAuth;
use crate::protocol::{ErrorCode, ErrorShape, Event, HelloOk, Scope};

/// Tool calls of our own runs are shown.
const CAPS: &[&str] = &["tool-events"];
/// A lost gateway is looked for this often at first.
const FIRST_RETRY: Duration = Duration::from_millis(200);
/// And this often later.
const LAST_RETRY: Duration = Duration::from_secs(5);
/// Long enough to mean no deadline; the caller has its own.
const PATIENT: Duration = Duration::from_secs(24 * 60 * 60);

/// A connection. It can be lost, and opened again.
pub(crate) struct Gateway {
    options: ClientOptions,
    client: Client,
    events: Events,
    /// Moves frames; ends with the connection.
    _driver: DriverTask,
}

/// Answers to one request. Waiting can be broken off and taken up again.
pub(crate) struct Answer {
    method: String,
    url: Arc<str>,
    phase: Phase,
}

enum Phase {
    First(BoxFuture<'static, Result<(Value, Option<PendingAnswer>), ClientError>>),
    Later(Option<PendingAnswer>),
}

impl Answer {
    /// The next answer. [`Failure::Unreachable`] means that the connection was lost before it came.
    pub(crate) async fn next(&mut self) -> Result<Value, Failure> {
        let answer = match &mut self.phase {
            Phase::First(first) => match first.await {
                Ok((value, pending)) => {
                    self.phase = Phase::Later(pending);
                    Ok(value)
                }
                Err(error) => {
                    self.phase = Phase::Later(None);
                    Err(error)
                }
            },
            Phase::Later(Some(pending)) => pending.next(PATIENT).await,
            Phase::Later(None) => Err(ClientError::Closed(None)),
        };
        answer.map_err(|error| told(&self.url, Some(&self.method), error))
    }

    /// The last answer of a method that may answer twice.
    pub(crate) async fn last(&mut self) -> Result<Value, Failure> {
        loop {
            let answer = self.next().await?;
            if !is_accepted_stage(&answer) {
                return Ok(answer);
            }
        }
    }
}

/// True for the first of two answers.
pub(crate) fn is_accepted_stage(answer: &Value) -> bool {
    answer["status"] == "accepted"
}

impl Gateway {
    /// Connects and signs in.
    pub(crate) async fn open(target: Target, timeout: Duration) -> Result<Self, Failure> {
        let mut options = ClientOptions::cli(target.url, None, Scope::CLI_DEFAULT.iter().map(|scope| scope.as_str()));
        options.auth = ConnectAuth { token: target.token, password: target.password, ..ConnectAuth::default() };
        options.caps = CAPS.iter().map(|cap| (*cap).to_owned()).collect();
        options.request_timeout = timeout;
        options.connect_timeout = options.connect_timeout.min(timeout);
        let (client, events, driver) = connect(&options).await.map_err(|error| told(&options.url, None, error))?;
        Ok(Self { options, client, events, _driver: driver.detached() })
    }

    /// Where it is.
    pub(crate) fn url(&self) -> &str {
        &self.options.url
    }

    /// What it said when it let us in.
    pub(crate) fn hello(&self) -> &HelloOk {
        self.client.hello()
    }

    /// Looks for a lost gateway until it is there, refuses us, or patience ends.
    pub(crate) async fn reopen(&mut self, patience: Duration) -> Result<(), Failure> {
        let mut retries = Reconnect::new(FIRST_RETRY, LAST_RETRY);
        let options = self.options.clone();
        let search = async {
            loop {
                match connect(&options).await.map_err(|error| told(&options.url, None, error)) {
                    Err(Failure::Unreachable { .. }) => tokio::time::sleep(retries.next_delay(None)).await,
                    found => return found,
                }
            }
        };
        let gone = || Failure::Unreachable { url: options.url.clone(), reason: "the connection was lost".into() };
        let (client, events, driver) = tokio::time::timeout(patience, search).await.map_err(|_elapsed| gone())??;
        self.client = client;
        self.events = events;
        self._driver = driver.detached();
        Ok(())
    }

    /// Calls a method that answers once.
    pub(crate) async fn call(&self, method: &str, params: Value) -> Result<Value, Failure> {
        let answer = self.client.request(method, params).await;
        answer.map_err(|error| told(&self.options.url, Some(method), error))
    }

    /// Asks; the answers, one or two, are waited for separately.
    pub(crate) fn start(&self, method: &str, params: Value) -> Answer {
        let (client, name) = (self.client.clone(), method.to_owned());
        self.answer(method, async move {
            let (value, pending) = client.request_two_stage(&name, params).await?;
            Ok((value, Some(pending)))
        })
    }

    /// Asks for something whose one answer takes its time.
    pub(crate) fn start_slow(&self, method: &str, params: Value) -> Answer {
        let (client, name) = (self.client.clone(), method.to_owned());
        self.answer(method, async move { Ok((client.request_within(&name, params, PATIENT).await?, None)) })
    }

    fn answer(
        &self,
        method: &str,
        first: impl Future<Output = Result<(Value, Option<PendingAnswer>), ClientError>> + Send + 'static,
    ) -> Answer {
        Answer { method: method.to_owned(), url: self.options.url.as_str().into(), phase: Phase::First(first.boxed()) }
    }

    /// The next event; nothing once the connection is lost.
    pub(crate) async fn next_event(&mut self) -> Option<Event> {
        self.events.next().await
    }
}

/// A client's error in the terms of exit codes.
fn told(url: &str, method: Option<&str>, error: ClientError) -> Failure {
    let unreachable = |reason: String| Failure::Unreachable { url: url.to_owned(), reason };
    match error {
        ClientError::Unreachable { source, .. } => unreachable(match source.source() {
            Some(cause) => cause.to_string(),
            None => source.to_string(),
        }),
        ClientError::Refused { error: Some(error), .. } if is_passing(&error) => unreachable(error.message),
        ClientError::Refused { error: Some(error), .. } if is_about_credentials(&error) => Failure::Auth(error.message),
        ClientError::Refused { error: Some(error), .. } => Failure::Failed(error.message),
        ClientError::Closed(Some(close)) | ClientError::Refused { error: None, close: Some(close) } => {
            unreachable(format!("the connection was closed: {} ({})", close.reason, close.code))
        }
        ClientError::Closed(None) | ClientError::Refused { error: None, close: None } => {
            unreachable("the connection was lost".to_owned())
        }
        ClientError::Failed { error, .. } => Failure::Refused { method: method.unwrap_or("connect").to_owned(), error },
        ClientError::Timeout { .. } if method.is_none() => unreachable("it does not answer".to_owned()),
        ClientError::Timeout { .. } | ClientError::Protocol(_) => Failure::Failed(error.to_string()),
    }
}

/// It is starting or stopping: worth another try.
fn is_passing(error: &ErrorShape) -> bool {
    error.code == ErrorCode::Unavailable && error.retryable != Some(false)
}

fn is_about_credentials(error: &ErrorShape) -> bool {
    let about = ["AUTH_", "DEVICE_", "PAIRING_"];
    error.code == ErrorCode::NotPaired
        || error.detail_code().is_some_and(|code| about.iter().any(|start| code.starts_with(start)))
}
