//! One streamed HTTP call: sends the request, keeps the time, hands each event to a vendor's mapping.
//!
//! Everything happens in the task that polls the stream; dropping it closes the connection. Invariant: the stream
//! ends after `Done` or after its first error, and within the deadlines.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use super::classify::{Evidence, error_of};
use super::contract::{Endpoint, ErrorClass, ModelError, ModelEvent, ModelStream};
use super::deadlines::Watch;
use super::sse::{SseDecoder, SseEvent};
use crate::secret::Secret;

/// Most of a failure's body that is read.
const MAX_ERROR_BODY: usize = 64 * 1024;
/// How long the body of a failure is waited for.
const ERROR_BODY_TIME: Duration = Duration::from_secs(5);
/// Longest wait a provider may ask for in `retry-after`.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(7 * 24 * 3600);

/// What one event did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Part of the answer, or the way to it.
    Progress,
    /// Only keeps the connection open.
    KeepAlive,
    /// The answer is complete.
    Finished,
}

/// A vendor's reading of its own events.
pub(super) trait EventMap: Send + 'static {
    /// Reads one event and appends what it means.
    fn on_event(&mut self, event: &SseEvent, out: &mut VecDeque<ModelEvent>) -> Result<Step, ModelError>;

    /// The connection ended; decides whether the answer was complete.
    fn on_end(&mut self, out: &mut VecDeque<ModelEvent>) -> Result<(), ModelError>;
}

/// A call ready to be sent.
pub(super) struct Call<M> {
    pub(super) url: String,
    pub(super) headers: Vec<(String, Secret)>,
    pub(super) body: Value,
    pub(super) credential: Option<Secret>,
    pub(super) map: M,
}

enum State<M> {
    Ready(Box<Call<M>>),
    Reading(Box<Reading<M>>),
    Over,
}

struct Reading<M> {
    body: BoxStream<'static, reqwest::Result<Bytes>>,
    decoder: SseDecoder,
    map: M,
    watch: Watch,
    credential: Option<Secret>,
    events: Vec<SseEvent>,
    out: VecDeque<ModelEvent>,
    finished: bool,
}

/// The answer to `call` as it comes.
pub(super) fn stream<M: EventMap>(endpoint: &Endpoint, call: Call<M>) -> ModelStream {
    let endpoint = endpoint.clone();
    stream::unfold(State::Ready(Box::new(call)), move |state| {
        let endpoint = endpoint.clone();
        async move {
            let mut reading = match state {
                State::Over => return None,
                State::Ready(call) => match open(&endpoint, *call).await {
                    Ok(reading) => Box::new(reading),
                    Err(error) => return Some((Err(error), State::Over)),
                },
                State::Reading(reading) => reading,
            };
            match reading.next().await {
                Ok(Some(event)) => Some((Ok(event), State::Reading(reading))),
                Ok(None) => None,
                Err(error) => Some((Err(error), State::Over)),
            }
        }
    })
    .boxed()
}

async fn open<M>(endpoint: &Endpoint, call: Call<M>) -> Result<Reading<M>, ModelError> {
    let Call { url, headers, body, credential, map } = call;
    let watch = Watch::start(endpoint.deadlines, Instant::now());
    let request = endpoint
        .client
        .get()?
        .post(&url)
        .headers(header_map(&headers)?)
        .header("accept", "text/event-stream")
        .json(&body);
    let (deadline, phase) = watch.next();
    let response = timeout_at(deadline, request.send())
        .await
        .map_err(|_| phase.error())?
        .map_err(|error| transport_error(&error))?;
    let status = response.status();
    if !status.is_success() {
        return Err(refusal(response, credential.as_ref()).await);
    }
    let is_events = response
        .headers()
        .get(reqwest::header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_none_or(|value| value.contains("event-stream") || !value.contains("html"));
    if !is_events {
        return Err(ModelError {
            status: Some(status.as_u16()),
            ..ModelError::new(ErrorClass::Unclassified, "the address answered with a web page; check `baseUrl`")
        });
    }
    Ok(Reading {
        body: response.bytes_stream().boxed(),
        decoder: SseDecoder::default(),
        map,
        watch,
        credential,
        events: Vec::new(),
        out: VecDeque::new(),
        finished: false,
    })
}

impl<M: EventMap> Reading<M> {
    async fn next(&mut self) -> Result<Option<ModelEvent>, ModelError> {
        loop {
            if let Some(event) = self.out.pop_front() {
                return Ok(Some(event));
            }
            if self.finished {
                return Ok(None);
            }
            let (deadline, phase) = self.watch.next();
            let chunk = timeout_at(deadline, self.body.next()).await.map_err(|_| phase.error())?;
            match chunk {
                Some(Ok(bytes)) => self.take(&bytes)?,
                Some(Err(error)) => return Err(broken_stream(&error)),
                None => self.end()?,
            }
        }
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), ModelError> {
        self.decoder
            .push(bytes, &mut self.events)
            .map_err(|error| ModelError::new(ErrorClass::ServerError, error.to_string()))?;
        for event in std::mem::take(&mut self.events) {
            match self.map.on_event(&event, &mut self.out)? {
                Step::KeepAlive => {}
                Step::Progress => self.watch.progress(Instant::now()),
                Step::Finished => {
                    self.finished = true;
                    break;
                }
            }
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), ModelError> {
        self.finished = true;
        let decoder = std::mem::take(&mut self.decoder);
        if let Some(event) = decoder.finish() {
            // The last event without its blank line counts if it can be read; half an event is a cut connection.
            match self.map.on_event(&event, &mut self.out) {
                Ok(Step::Finished) => return Ok(()),
                Ok(Step::Progress | Step::KeepAlive) => {}
                Err(error) if error.class != ErrorClass::ServerError => return Err(error),
                Err(_) => {}
            }
        }
        self.map.on_end(&mut self.out)
    }
}

impl<M> std::fmt::Debug for Reading<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reading").field("credential", &self.credential.is_some()).finish_non_exhaustive()
    }
}

/// The answer was cut before its end.
pub(super) fn cut() -> ModelError {
    ModelError::new(ErrorClass::Timeout, "the connection to the provider broke in the middle of the answer")
}

/// An event that is not what the format promises.
pub(super) fn unreadable() -> ModelError {
    ModelError::new(ErrorClass::ServerError, "the provider sent an answer that can't be read")
}

fn header_map(headers: &[(String, Secret)]) -> Result<HeaderMap, ModelError> {
    let mut map = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers {
        let invalid =
            || ModelError::new(ErrorClass::Unknown, format!("the header {name:?} can't be sent as configured"));
        let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid())?;
        let mut value = HeaderValue::from_str(value.expose()).map_err(|_| invalid())?;
        value.set_sensitive(true);
        map.insert(key, value);
    }
    Ok(map)
}

/// A failure before an answer. The text of the source may hold the address, so only its kind is told.
fn transport_error(error: &reqwest::Error) -> ModelError {
    let chain = chain_text(error);
    if chain.contains("certificate") || chain.contains("unknownissuer") {
        return ModelError::new(ErrorClass::TlsCertificate, "the provider's certificate could not be verified");
    }
    let message = if error.is_timeout() {
        "connecting to the provider took too long"
    } else if error.is_connect() && chain.contains("connection refused") {
        "nothing listens at the provider's address (connection refused); check `baseUrl`"
    } else if error.is_connect() && chain.contains("dns error") {
        "the name in the provider's address is not known; check `baseUrl`"
    } else if error.is_connect() {
        "the provider could not be reached"
    } else if error.is_builder() {
        return ModelError::new(ErrorClass::Unknown, "the provider's address is not valid; check `baseUrl`");
    } else {
        "the connection to the provider broke before it answered"
    };
    ModelError::new(ErrorClass::Timeout, message)
}

fn broken_stream(error: &reqwest::Error) -> ModelError {
    if error.is_decode() && chain_text(error).contains("gzip") {
        return unreadable();
    }
    cut()
}

fn chain_text(error: &dyn std::error::Error) -> String {
    let mut text = String::new();
    let mut next: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = next {
        text.push_str(&error.to_string().to_lowercase());
        text.push(' ');
        next = error.source();
    }
    text
}

/// Reads what a failure's body says.
async fn refusal(response: reqwest::Response, credential: Option<&Secret>) -> ModelError {
    let status = response.status().as_u16();
    let retry_after = retry_after(response.headers());
    let mut body = Vec::new();
    let mut chunks = response.bytes_stream();
    let deadline = Instant::now() + ERROR_BODY_TIME;
    while let Ok(Some(Ok(chunk))) = timeout_at(deadline, chunks.next()).await {
        let room = MAX_ERROR_BODY - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if body.len() >= MAX_ERROR_BODY {
            break;
        }
    }
    let text = String::from_utf8_lossy(&body);
    tracing::debug!(status, bytes = body.len(), "model call refused");
    let (code, words) = said(serde_json::from_str(&text).ok().as_ref());
    let evidence = Evidence { status: Some(status), code: code.as_deref(), text: words.as_deref().unwrap_or(&text) };
    error_of(&evidence, retry_after, credential)
}

/// Code and words of an error object, as a body or inside a stream: `{"error":{"message","type","code"}}` and its
/// common variations.
pub(super) fn said(body: Option<&Value>) -> (Option<String>, Option<String>) {
    let Some(body) = body else { return (None, None) };
    let body = body.get(0).unwrap_or(body);
    let error = body.get("error").unwrap_or(body);
    let text = |value: Option<&Value>| value.and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned);
    let words = text(error.get("message")).or_else(|| text(Some(error))).or_else(|| text(body.get("message")));
    // A code that is a number repeats the status.
    let specific = text(error.get("code"));
    let code = specific.or_else(|| text(error.get("type"))).or_else(|| text(error.get("status")));
    (code.filter(|code| code != "error"), words)
}

/// What the provider asks us to wait: milliseconds, seconds, or a date against its own clock.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let seconds = |text: &str| text.parse::<f64>().ok().filter(|n| n.is_finite() && *n >= 0.0);
    let asked = if let Some(millis) = text("retry-after-ms").and_then(seconds) {
        Duration::try_from_secs_f64(millis / 1000.0).ok()
    } else {
        let value = text("retry-after")?;
        match seconds(value) {
            Some(seconds) => Duration::try_from_secs_f64(seconds).ok(),
            None => {
                let at = chrono::DateTime::parse_from_rfc2822(value).ok()?;
                let now = chrono::DateTime::parse_from_rfc2822(text("date")?).ok()?;
                (at - now).to_std().ok()
            }
        }
    };
    asked.map(|asked| asked.min(MAX_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn retry_after_is_read_in_all_its_forms() {
        let secs = Duration::from_secs;
        for (pairs, expected) in [
            (&[("retry-after", "7")][..], Some(secs(7))),
            (&[("retry-after", "1.5")], Some(Duration::from_millis(1500))),
            (&[("retry-after-ms", "250"), ("retry-after", "9")], Some(Duration::from_millis(250))),
            (
                &[("retry-after", "Wed, 21 Oct 2026 07:28:30 GMT"), ("date", "Wed, 21 Oct 2026 07:28:00 GMT")],
                Some(secs(30)),
            ),
            (&[("retry-after", "soon")], None),
            (&[("retry-after", "-3")], None),
            (&[("retry-after", "1e300")], None),
            (&[], None),
        ] {
            assert_eq!(retry_after(&headers(pairs)), expected, "{pairs:?}");
        }
    }

    #[test]
    fn error_objects_are_read_in_their_variations() {
        let read = |text: &str| {
            let (code, words) = said(serde_json::from_str(text).ok().as_ref());
            (code.unwrap_or_default(), words.unwrap_or_default())
        };
        let pair = |code: &str, words: &str| (code.to_owned(), words.to_owned());
        assert_eq!(read(r#"{"error":{"message":"m","type":"t","code":"c"}}"#), pair("c", "m"));
        assert_eq!(
            read(r#"{"type":"error","error":{"type":"overloaded_error","message":"O"}}"#),
            pair("overloaded_error", "O")
        );
        assert_eq!(
            read(r#"{"error":{"code":429,"message":"m","status":"RESOURCE_EXHAUSTED"}}"#),
            pair("RESOURCE_EXHAUSTED", "m")
        );
        assert_eq!(read(r#"[{"error":{"message":"m"}}]"#), pair("", "m"));
        assert_eq!(read(r#"{"error":"plain"}"#), pair("", "plain"));
        assert_eq!(read(r#"{"message":"m","code":"x"}"#), pair("x", "m"));
        assert_eq!(read("not json"), pair("", ""));
    }
}
