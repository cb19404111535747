//! The exchange with the Bot API: one call, and exactly what came of it.
//!
//! Requests are teloxide's payloads, sent through the client of teloxide's `Bot`. Its own request path is not used: it
//! sleeps 10 s on a server error and hides the status, and the delivery lane must know whether a request left at all.
//! The address holds the token, so no error of the client is shown with its address.

use std::time::Duration;

use reqwest::Url;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use teloxide::requests::Payload;
use teloxide::{ApiError, Bot};

use crate::channels::contract::ChannelEnd;
use crate::channels::telegram::TelegramSettings;

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Largest answer read: a full batch of 100 updates stays far below.
const MAX_ANSWER: usize = 16 * 1024 * 1024;

/// Why a call brought no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The Bot API answered no.
    #[error("{code} {description}")]
    Refused {
        /// HTTP-like code of the answer.
        code: u16,
        /// Its words.
        description: String,
        /// The wait it asks for.
        retry_after: Option<Duration>,
    },
    /// The request never left this machine.
    #[error("no connection: {0}")]
    NotDispatched(String),
    /// The request may have arrived.
    #[error("{0}")]
    Ambiguous(String),
}

impl CallError {
    /// The answer says the token is worthless (401), or there is no such bot at this address (404).
    #[must_use]
    pub fn is_account_refused(&self) -> bool {
        matches!(self, Self::Refused { code: 401 | 404, .. })
    }

    /// The answer says the markup of a message is broken.
    #[must_use]
    pub fn is_markup_refused(&self) -> bool {
        let Self::Refused { code: 400, description, .. } = self else { return false };
        let known: Result<ApiError, _> = serde_json::from_value(Value::String(description.clone()));
        matches!(known, Ok(ApiError::CantParseEntities(_))) || description.contains("can't parse entities")
    }
}

/// The Bot API of one account.
#[derive(Clone)]
pub struct Api {
    bot: Bot,
    request_timeout: Duration,
}

/// The envelope of every answer.
#[derive(Deserialize)]
struct Envelope {
    ok: bool,
    #[serde(default)]
    result: Value,
    #[serde(default)]
    error_code: Option<u16>,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    parameters: Option<Parameters>,
}

#[derive(Deserialize)]
struct Parameters {
    #[serde(default)]
    retry_after: Option<u64>,
}

impl Api {
    /// Prepares the client; nothing is sent.
    ///
    /// # Errors
    /// Fatal when the address is not one, holds a token, or the token is empty.
    pub fn new(settings: &TelegramSettings) -> Result<Self, ChannelEnd> {
        let fatal = |why: &str| ChannelEnd::Fatal(why.to_owned());
        if settings.token.expose().trim().is_empty() {
            return Err(fatal("no bot token"));
        }
        let root = settings.api_root.as_deref().map(|root| parse_root(root).map_err(fatal)).transpose()?;
        let longest = settings.timing.poll + settings.timing.poll_margin;
        let mut client = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(longest)
            .tcp_nodelay(true)
            .redirect(reqwest::redirect::Policy::none());
        if root.as_ref().is_some_and(is_loopback) {
            client = client.no_proxy();
        }
        let client = client.build().map_err(|error| ChannelEnd::Fatal(format!("no HTTP client: {error}")))?;
        let bot = Bot::with_client(settings.token.expose().trim(), client);
        let bot = match root {
            Some(root) => bot.set_api_url(root),
            None => bot,
        };
        Ok(Self { bot, request_timeout: settings.timing.request })
    }

    /// The server's address, without the token.
    #[must_use]
    pub fn endpoint(&self) -> String {
        self.bot.api_url().as_str().trim_end_matches('/').to_owned()
    }

    /// Calls the method of `payload`.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn call<P: Payload + Serialize + Sync>(&self, payload: &P) -> Result<Value, CallError> {
        self.call_method(P::NAME, payload, self.request_timeout).await
    }

    /// Calls a method by name with its own deadline.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn call_method(
        &self,
        name: &str,
        parameters: &(impl Serialize + Sync),
        limit: Duration,
    ) -> Result<Value, CallError> {
        let request = self.bot.client().post(self.method_url(name)?).timeout(limit).json(parameters);
        let mut response = request.send().await.map_err(before_answer)?;
        let status = response.status();
        let mut body = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(part)) if body.len() + part.len() <= MAX_ANSWER => body.extend_from_slice(&part),
                Ok(Some(_)) => return Err(CallError::Ambiguous("the answer is too long".to_owned())),
                Ok(None) => break,
                Err(error) => {
                    return Err(CallError::Ambiguous(format!("the answer broke off: {}", chain(error).join(": "))));
                }
            }
        }
        read_answer(status.as_u16(), &body)
    }

    fn method_url(&self, name: &str) -> Result<Url, CallError> {
        let mut url = self.bot.api_url();
        let mut method = name.to_owned();
        if let Some(first) = method.get_mut(..1) {
            first.make_ascii_lowercase();
        }
        url.path_segments_mut()
            .map_err(|()| CallError::NotDispatched("the address can't hold a path".to_owned()))?
            .pop_if_empty()
            .push(&format!("bot{}", self.bot.token()))
            .push(&method);
        Ok(url)
    }
}

impl std::fmt::Debug for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Api").field("endpoint", &self.endpoint()).finish_non_exhaustive()
    }
}

fn parse_root(root: &str) -> Result<Url, &'static str> {
    let url = Url::parse(root.trim()).map_err(|_| "apiRoot is not a URL")?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err("apiRoot must be an http or https URL");
    }
    if url.path_segments().is_some_and(|mut parts| parts.any(|part| part.starts_with("bot") && part.contains(':'))) {
        return Err("apiRoot must not contain /bot<token>");
    }
    Ok(url)
}

fn is_loopback(url: &Url) -> bool {
    url.host_str().is_some_and(|host| {
        host == "localhost"
            || host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    })
}

/// A request that failed before an answer began.
fn before_answer(error: reqwest::Error) -> CallError {
    if error.is_connect() {
        // Every layer says that it could not connect; only the last one says why.
        let causes = chain(error);
        CallError::NotDispatched(causes.last().cloned().unwrap_or_default())
    } else if error.is_builder() {
        CallError::NotDispatched(chain(error).join(": "))
    } else if error.is_timeout() {
        CallError::Ambiguous("no answer in time".to_owned())
    } else {
        CallError::Ambiguous(format!("connection broke: {}", chain(error).join(": ")))
    }
}

/// The error and its causes, without its address, which holds the token.
fn chain(error: reqwest::Error) -> Vec<String> {
    let error = error.without_url();
    let mut texts = vec![error.to_string()];
    let mut cause = std::error::Error::source(&error);
    while let Some(next) = cause {
        texts.push(next.to_string());
        cause = next.source();
    }
    texts
}

fn read_answer(status: u16, body: &[u8]) -> Result<Value, CallError> {
    match serde_json::from_slice::<Envelope>(body) {
        Ok(envelope) if envelope.ok => Ok(envelope.result),
        Ok(envelope) => Err(CallError::Refused {
            code: envelope.error_code.unwrap_or(status),
            description: envelope.description.unwrap_or_else(|| "no description".to_owned()),
            retry_after: envelope.parameters.and_then(|p| p.retry_after).map(Duration::from_secs),
        }),
        Err(_) if status == 200 => Err(CallError::Ambiguous("the answer is not what the Bot API sends".to_owned())),
        Err(_) => Err(CallError::Ambiguous(format!("the server answered {status}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_keeps_its_code_and_its_wait() {
        let body = br#"{"ok":false,"error_code":429,"description":"Too Many Requests","parameters":{"retry_after":3}}"#;
        let expected = CallError::Refused {
            code: 429,
            description: "Too Many Requests".into(),
            retry_after: Some(Duration::from_secs(3)),
        };
        assert_eq!(read_answer(429, body), Err(expected));
    }

    #[test]
    fn a_page_of_a_proxy_leaves_the_outcome_open() {
        assert!(matches!(read_answer(502, b"<html>Bad Gateway</html>"), Err(CallError::Ambiguous(_))));
    }

    #[test]
    fn broken_markup_is_told_from_other_refusals() {
        let refused = |description: &str| CallError::Refused {
            code: 400,
            description: description.to_owned(),
            retry_after: None,
        };
        assert!(refused("Bad Request: can't parse entities: Unexpected end tag at byte offset 3").is_markup_refused());
        assert!(!refused("Bad Request: chat not found").is_markup_refused());
    }

    #[test]
    fn an_address_with_a_token_is_refused() {
        assert!(parse_root("http://127.0.0.1:8081/bot123:abc").is_err());
        assert!(parse_root("ftp://host").is_err());
        assert!(is_loopback(&parse_root("http://[::1]:80/").unwrap()));
    }
}
