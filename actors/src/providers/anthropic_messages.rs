//! The messages format: typed content blocks, signed reasoning, prompt caching.

use super::contract::{Endpoint, ModelRequest, ModelStream, Wire};
use super::http::{self, Call};
use crate::secret::Secret;

mod request;
mod stream;

/// The format's version, sent with each call.
const VERSION: &str = "2023-06-01";

/// The wire format `anthropic-messages`.
#[derive(Debug, Clone, Copy, Default)]
pub struct AnthropicMessages;

impl Wire for AnthropicMessages {
    fn stream(&self, endpoint: &Endpoint, credential: Option<&Secret>, request: &ModelRequest) -> ModelStream {
        let mut headers = vec![("anthropic-version".to_owned(), Secret::new(VERSION))];
        headers.extend(endpoint.headers.iter().cloned());
        match (credential, endpoint.auth_header) {
            (Some(key), Some(true)) => {
                headers.push(("authorization".to_owned(), Secret::new(format!("Bearer {}", key.expose()))));
            }
            (Some(key), None) => headers.push(("x-api-key".to_owned(), key.clone())),
            (Some(_), Some(false)) | (None, _) => {}
        }
        // People write the address with and without the version.
        let base = endpoint.base_url.strip_suffix("/v1").unwrap_or(&endpoint.base_url);
        let call = Call {
            url: format!("{base}/v1/messages"),
            headers,
            body: request::body(endpoint, request),
            credential: credential.cloned(),
            map: stream::Blocks::new(credential.cloned()),
        };
        http::stream(endpoint, call)
    }
}
