//! From an HTTP request to a WebSocket: which requests ask for it, which answer they get.
//!
//! The answer is written here and not by a framework, because the connection behind it is an actor of its own and its
//! stream carries a byte budget until somebody is authenticated.

pub(crate) mod budget;
pub(crate) mod slots;

use axum::body::Body;
use axum::http::header::{
    CONNECTION, HeaderMap, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use axum::http::{HeaderValue, Method, Response, StatusCode, Version};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// The only version of the WebSocket protocol.
const VERSION: &str = "13";

/// Why a request that asks for a WebSocket gets none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UpgradeFault {
    /// Not a GET, not HTTP/1.1, or no usable key.
    Malformed,
    /// Another version of the WebSocket protocol.
    Version,
    /// The gateway takes no connections now, or none of this peer.
    Unavailable,
}

/// True when the request asks for a WebSocket, on whatever path.
pub(crate) fn is_asked_for(headers: &HeaderMap) -> bool {
    has_token(headers, CONNECTION, "upgrade") && has_token(headers, UPGRADE, "websocket")
}

/// Checks the request; gives the value of `Sec-WebSocket-Accept`.
pub(crate) fn check(method: &Method, version: Version, headers: &HeaderMap) -> Result<HeaderValue, UpgradeFault> {
    if method != Method::GET || version != Version::HTTP_11 {
        return Err(UpgradeFault::Malformed);
    }
    if headers.get(SEC_WEBSOCKET_VERSION).is_none_or(|value| value.as_bytes() != VERSION.as_bytes()) {
        return Err(UpgradeFault::Version);
    }
    // Sixteen bytes in base64 are 24 characters.
    let key = headers.get(SEC_WEBSOCKET_KEY).filter(|key| key.len() == 24).ok_or(UpgradeFault::Malformed)?;
    HeaderValue::from_str(&derive_accept_key(key.as_bytes())).map_err(|_error| UpgradeFault::Malformed)
}

/// The answer that turns the stream into a WebSocket. No extension is ever negotiated.
pub(crate) fn switching(accept: HeaderValue) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    response
}

/// The answer to a request that gets no WebSocket.
pub(crate) fn refusal(fault: UpgradeFault) -> Response<Body> {
    let (status, text) = match fault {
        UpgradeFault::Malformed => (StatusCode::BAD_REQUEST, "Bad Request"),
        UpgradeFault::Version => (StatusCode::UPGRADE_REQUIRED, "Upgrade Required"),
        UpgradeFault::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable"),
    };
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    // A peer that is refused must not reuse the connection: it may already have sent frames.
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    if fault == UpgradeFault::Version {
        headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static(VERSION));
    }
    response
}

fn has_token(headers: &HeaderMap, name: axum::http::HeaderName, token: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|one| one.trim().eq_ignore_ascii_case(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asking() -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(CONNECTION, HeaderValue::from_static("keep-alive, Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("WebSocket"));
        headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        headers.insert(SEC_WEBSOCKET_KEY, HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ=="));
        headers
    }

    #[test]
    fn the_answer_is_the_one_of_the_published_example() {
        let headers = asking();
        assert!(is_asked_for(&headers));
        let accept = check(&Method::GET, Version::HTTP_11, &headers).unwrap();
        assert_eq!(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!(switching(accept).status(), StatusCode::SWITCHING_PROTOCOLS);
    }

    #[test]
    fn requests_without_both_headers_ask_for_nothing() {
        let mut headers = asking();
        headers.remove(UPGRADE);
        assert!(!is_asked_for(&headers));
        let mut headers = asking();
        headers.insert(CONNECTION, HeaderValue::from_static("keep-alive"));
        assert!(!is_asked_for(&headers));
    }

    #[test]
    fn malformed_requests_are_told_why() {
        let check = |method: Method, version, headers: &HeaderMap| check(&method, version, headers).unwrap_err();
        let mut old = asking();
        old.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("8"));
        assert_eq!(check(Method::GET, Version::HTTP_11, &old), UpgradeFault::Version);
        assert_eq!(refusal(UpgradeFault::Version).headers()[SEC_WEBSOCKET_VERSION], "13");
        let mut keyless = asking();
        keyless.remove(SEC_WEBSOCKET_KEY);
        assert_eq!(check(Method::GET, Version::HTTP_11, &keyless), UpgradeFault::Malformed);
        assert_eq!(check(Method::POST, Version::HTTP_11, &asking()), UpgradeFault::Malformed);
        assert_eq!(check(Method::GET, Version::HTTP_10, &asking()), UpgradeFault::Malformed);
    }
}
