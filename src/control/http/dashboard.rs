//! Our dashboard: files embedded at build time, served below `/openclawd/`.

use std::sync::LazyLock;

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, ETAG, HeaderMap, IF_NONE_MATCH};
use axum::http::{HeaderValue, Method, Response, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::headers::PAGE_POLICY;
use super::{only_reading, text, typed};

struct File {
    name: &'static str,
    kind: &'static str,
    content: &'static str,
}

macro_rules! files {
    ($($kind:ident $name:literal),* $(,)?) => {
        &[$(File { name: $name, kind: $kind, content: include_str!(concat!("../dashboard/", $name)) }),*]
    };
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

const FILES: &[File] = files![
    HTML "index.html",
    CSS "style.css",
    CSS "chat.css",
    CSS "tree.css",
    SVG "favicon.svg",
    JS "app.js",
    JS "actor-tree.js",
    JS "chat-reducer.js",
    JS "chat-view.js",
    JS "composer.js",
    JS "conversation.js",
    JS "credentials.js",
    JS "dom.js",
    JS "format.js",
    JS "gate.js",
    JS "identity.js",
    JS "inspector.js",
    JS "protocol.js",
    JS "session-picker.js",
    JS "shell.js",
    JS "text-blocks.js",
    JS "tree-reducer.js",
    JS "tree-rows.js",
    JS "tree-view.js",
];

/// A tag over all files: they change together.
static TAG: LazyLock<String> = LazyLock::new(|| {
    let mut digest = ring::digest::Context::new(&ring::digest::SHA256);
    for file in FILES {
        digest.update(file.content.as_bytes());
    }
    format!("\"{}\"", URL_SAFE_NO_PAD.encode(&digest.finish().as_ref()[..12]))
});

/// The file of that name; the page itself for an empty name.
pub(super) fn file(method: &Method, headers: &HeaderMap, name: &str) -> Response<Body> {
    if let Some(refused) = only_reading(method) {
        return refused;
    }
    let name = if name.is_empty() { "index.html" } else { name };
    let Some(file) = FILES.iter().find(|file| file.name == name) else {
        return text(StatusCode::NOT_FOUND, "Not Found");
    };
    let known = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let is_known = known.flat_map(|value| value.split(',')).any(|tag| tag.trim().trim_start_matches("W/") == *TAG);
    let mut response = if is_known {
        typed(StatusCode::NOT_MODIFIED, file.kind, Body::empty())
    } else {
        typed(StatusCode::OK, file.kind, file.content.into())
    };
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(PAGE_POLICY));
    // Asked again each time, answered with 304: a new build is seen at once.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if let Ok(tag) = HeaderValue::from_str(&TAG) {
        headers.insert(ETAG, tag);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_dashboard_is_embedded() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/control/dashboard");
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            // Tests of the dashboard lie beside it and are not served.
            if entry.file_type().unwrap().is_file() && !name.contains(".test.") {
                assert!(FILES.iter().any(|file| file.name == name), "{name} is not in the table");
            }
        }
    }
}
