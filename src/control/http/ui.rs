//! A Control UI served from a configured folder: static files, and its page for every other path.

use std::path::{Component, Path, PathBuf};

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, RETRY_AFTER};
use axum::http::{HeaderValue, Method, Response, StatusCode};
use serde_json::json;

use super::{Denied, Facts, json, only_reading, text, typed, visitor};

/// The UI is built elsewhere and sets inline styles.
const UI_POLICY: &str = "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob: https:; \
     font-src 'self' data:; media-src 'self' data: blob:; worker-src 'self' blob:; connect-src 'self' ws: wss:; \
     base-uri 'self'; object-src 'none'; frame-ancestors 'none'";

/// What the UI reads at its start; only for those who know the credential.
pub(super) fn config(request: &Request, facts: &Facts) -> Response<Body> {
    if let Some(refused) = only_reading(request.method()) {
        return refused;
    }
    if let Err(denied) = facts.admit(&visitor(request)) {
        return deny(denied);
    }
    let mut response = json(StatusCode::OK, &facts.ui_config());
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn deny(denied: Denied) -> Response<Body> {
    match denied {
        Denied::Unauthorized => {
            let body = json!({ "error": { "message": "Unauthorized", "type": "unauthorized" } });
            json(StatusCode::UNAUTHORIZED, &body)
        }
        Denied::Locked(wait) => {
            let body = json!({ "error": { "message": "Too many failed attempts", "type": "rate_limited" } });
            let mut response = json(StatusCode::TOO_MANY_REQUESTS, &body);
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
            response
        }
    }
}

/// A file of the folder; its page when there is no such file.
pub(super) async fn file(method: &Method, root: &Path, path: &str) -> Response<Body> {
    if let Some(refused) = only_reading(method) {
        return refused;
    }
    let Some(relative) = relative(path) else { return text(StatusCode::NOT_FOUND, "Not Found") };
    if let Some(found) = read(root, &relative).await {
        return found;
    }
    // A missing asset is missing; anything else is a page of the application.
    if relative.extension().is_some() {
        return text(StatusCode::NOT_FOUND, "Not Found");
    }
    read(root, Path::new("index.html")).await.unwrap_or_else(|| text(StatusCode::NOT_FOUND, "Not Found"))
}

/// The path below the folder; `None` when it could point elsewhere. Escapes are not decoded: built assets need none.
fn relative(path: &str) -> Option<PathBuf> {
    if path.contains(['%', '\\', '\0']) {
        return None;
    }
    let relative = Path::new(path.trim_start_matches('/'));
    let is_plain = relative.components().all(|part| match part {
        Component::Normal(_) => true,
        Component::CurDir | Component::ParentDir | Component::RootDir | Component::Prefix(_) => false,
    });
    is_plain.then(|| relative.to_owned())
}

async fn read(root: &Path, relative: &Path) -> Option<Response<Body>> {
    if relative.as_os_str().is_empty() {
        return None;
    }
    // A link inside the folder must not lead out of it.
    let root = tokio::fs::canonicalize(root).await.ok()?;
    let file = tokio::fs::canonicalize(root.join(relative)).await.ok()?;
    if !file.starts_with(&root) {
        return None;
    }
    let content = tokio::fs::read(&file).await.ok()?;
    let mut response = typed(StatusCode::OK, kind(&file), content.into());
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(UI_POLICY));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Some(response)
}

fn kind(file: &Path) -> &'static str {
    match file.extension().and_then(|extension| extension.to_str()).unwrap_or("") {
        "html" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "json" | "map" => "application/json; charset=utf-8",
        "webmanifest" => "application/manifest+json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "webp" => "image/webp",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "woff" => "font/woff",
        "wasm" => "application/wasm",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_point_elsewhere_are_refused() {
        for path in ["/../etc/passwd", "/a/../../b", "/%2e%2e/x", "/a\\b", "//etc/../x"] {
            assert_eq!(relative(path), None, "{path}");
        }
        assert_eq!(relative("/assets/app.js"), Some(PathBuf::from("assets/app.js")));
    }
}
