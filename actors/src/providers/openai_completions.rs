//! The chat-completions format, spoken by most vendors and by servers at home.

use super::contract::{Endpoint, ModelRequest, ModelStream, Wire};
use super::http::{self, Call};
use crate::secret::Secret;

mod request;
mod stream;

/// The wire format `openai-completions`.
#[derive(Debug, Clone, Copy, Default)]
pub struct OpenAiCompletions;

impl Wire for OpenAiCompletions {
    fn stream(&self, endpoint: &Endpoint, credential: Option<&Secret>, request: &ModelRequest) -> ModelStream {
        let mut headers = endpoint.headers.clone();
        if let Some(key) = credential.filter(|_| endpoint.auth_header != Some(false)) {
            headers.push(("authorization".to_owned(), Secret::new(format!("Bearer {}", key.expose()))));
        }
        let call = Call {
            url: format!("{}/chat/completions", endpoint.base_url),
            headers,
            body: request::body(endpoint, request),
            credential: credential.cloned(),
            map: stream::Chunks::new(credential.cloned()),
        };
        http::stream(endpoint, call)
    }
}
