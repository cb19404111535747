//! The three frames: request, response, event. One JSON object per text message.
//!
//! Requests are parsed strictly, since they come from outside; what we send is typed. A client reads [`ServerFrame`].

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::error::ErrorShape;
use super::limits::MAX_TRACEPARENT;
use super::schema::{NAME, Object, Schema};

/// Shape of a request frame.
const REQUEST: Object = Object::closed(
    &["type", "id", "method"],
    &[
        ("type", Schema::Const("req")),
        ("id", NAME),
        ("method", NAME),
        ("params", Schema::Any),
        ("traceparent", Schema::Text(0, MAX_TRACEPARENT)),
        ("expectedProfileId", Schema::Text(1, 128)),
    ],
);

/// A request of a client.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// Chosen by the client and echoed; not unique by anybody's promise.
    pub id: String,
    /// What it asks for.
    pub method: String,
    /// Its parameters; `{}` when the frame has none.
    pub params: Value,
    /// W3C trace context, not interpreted.
    pub traceparent: Option<String>,
    /// The profile the client believes to be; not interpreted, since we advertise no profiles.
    pub expected_profile_id: Option<String>,
}

/// Why a text is no request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FrameFault {
    /// Not JSON at all. Before authentication the socket closes without a word; after it, the text is ignored.
    NotJson,
    /// JSON, but no request.
    Malformed {
        /// The frame's own id, or `invalid` when none is readable.
        id: String,
        /// What is wrong with it.
        complaint: String,
    },
}

impl Request {
    /// A request as a client builds it.
    #[must_use]
    pub fn new(id: impl Into<String>, method: impl Into<String>, params: Value) -> Self {
        Self { id: id.into(), method: method.into(), params, traceparent: None, expected_profile_id: None }
    }

    /// Reads a text message.
    ///
    /// # Errors
    /// When it is no request; what to do about it depends on whether the connection is authenticated.
    pub fn parse(text: &str) -> Result<Self, FrameFault> {
        let value: Value = serde_json::from_str(text).map_err(|_error| FrameFault::NotJson)?;
        Self::from_value(value)
    }

    /// Reads an already parsed message.
    ///
    /// # Errors
    /// When it is no request.
    pub fn from_value(value: Value) -> Result<Self, FrameFault> {
        if let Some(complaint) = REQUEST.complaint(&value) {
            let id = value.get("id").and_then(Value::as_str).filter(|id| !id.is_empty()).unwrap_or("invalid");
            return Err(FrameFault::Malformed { id: id.to_owned(), complaint });
        }
        let Value::Object(mut map) = value else {
            return Err(FrameFault::Malformed { id: "invalid".to_owned(), complaint: "must be object".to_owned() });
        };
        let mut text = |key: &str| match map.remove(key) {
            Some(Value::String(text)) => Some(text),
            Some(_) | None => None,
        };
        let (id, method) = (text("id").unwrap_or_default(), text("method").unwrap_or_default());
        let (traceparent, expected_profile_id) = (text("traceparent"), text("expectedProfileId"));
        let params = map.remove("params").unwrap_or_else(|| Value::Object(Map::new()));
        Ok(Self { id, method, params, traceparent, expected_profile_id })
    }

    /// The frame as text.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut map = Map::new();
        map.insert("type".into(), "req".into());
        map.insert("id".into(), self.id.clone().into());
        map.insert("method".into(), self.method.clone().into());
        map.insert("params".into(), self.params.clone());
        if let Some(traceparent) = &self.traceparent {
            map.insert("traceparent".into(), traceparent.clone().into());
        }
        if let Some(profile) = &self.expected_profile_id {
            map.insert("expectedProfileId".into(), profile.clone().into());
        }
        Value::Object(map).to_string()
    }
}

/// An answer. Two-stage methods answer twice with the same id; a failed second answer may carry payload and error.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Response {
    /// The request's id.
    pub id: String,
    /// Whether it worked.
    pub ok: bool,
    /// The result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<Value>,
    /// The error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorShape>,
}

impl Response {
    /// It worked.
    #[must_use]
    pub fn ok(id: impl Into<String>, payload: Value) -> Self {
        Self { id: id.into(), ok: true, payload: Some(payload), error: None }
    }

    /// It did not.
    #[must_use]
    pub fn failed(id: impl Into<String>, error: ErrorShape) -> Self {
        Self { id: id.into(), ok: false, payload: None, error: Some(error) }
    }

    /// The answer to a frame that is no request, after authentication.
    #[must_use]
    pub fn malformed(id: impl Into<String>, complaint: &str) -> Self {
        Self::failed(id, ErrorShape::invalid_frame(complaint))
    }

    /// True for the first answer of a two-stage method.
    #[must_use]
    pub fn is_accepted_stage(&self) -> bool {
        self.ok && self.payload.as_ref().and_then(|payload| payload.get("status")) == Some(&Value::from("accepted"))
    }
}

/// Two counters that only grow: they tell a client whether its picture of presence and health is current.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateVersion {
    /// Of the presence list.
    pub presence: u64,
    /// Of the health snapshot.
    pub health: u64,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Event {
    /// Its name, see [`super::event`].
    pub event: String,
    /// What it says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<Value>,
    /// Per connection, 1 for the first broadcast; absent on events sent to one connection directly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// On `presence` and `health`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_version: Option<StateVersion>,
    /// The profile it is meant for; we send none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipient_profile_id: Option<String>,
}

impl Event {
    /// An event for one connection, without a number.
    #[must_use]
    pub fn direct(event: impl Into<String>, payload: Value) -> Self {
        Self { event: event.into(), payload: Some(payload), seq: None, state_version: None, recipient_profile_id: None }
    }
}

/// What a gateway sends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum ServerFrame {
    /// An answer.
    #[serde(rename = "res")]
    Response(Response),
    /// An event.
    #[serde(rename = "event")]
    Event(Event),
}

impl ServerFrame {
    /// Reads a text message of a gateway.
    ///
    /// # Errors
    /// When it is neither a response nor an event.
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// The frame as text.
    #[must_use]
    pub fn to_text(&self) -> String {
        // Values, strings and numbers always serialise; an empty text would be seen as garbage by any client.
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl From<Response> for ServerFrame {
    fn from(response: Response) -> Self {
        Self::Response(response)
    }
}

impl From<Event> for ServerFrame {
    fn from(event: Event) -> Self {
        Self::Event(event)
    }
}

#[cfg(test)]
mod tests;
