use axum::http::header::{ETAG, IF_NONE_MATCH};
use serde_json::json;

use super::super::readiness::Phase;
use super::*;

#[derive(Default)]
struct Fake {
    readiness: Readiness,
    ui_root: Option<PathBuf>,
}

impl HttpFacts for Fake {
    fn readiness(&self) -> &Readiness {
        &self.readiness
    }

    fn failing(&self) -> Vec<String> {
        self.readiness.failing()
    }

    fn load(&self) -> BoxFuture<'_, EventLoopHealth> {
        Box::pin(async { EventLoopHealth::default() })
    }

    fn ui_root(&self) -> Option<PathBuf> {
        self.ui_root.clone()
    }

    fn ui_config(&self) -> Value {
        json!({ "assistantName": "Assistant" })
    }

    fn admit(&self, visitor: &Visitor<'_>) -> Result<(), Denied> {
        match visitor.headers.get("authorization").and_then(|value| value.to_str().ok()) {
            Some("Bearer secret") => Ok(()),
            Some("Bearer guess") => Err(Denied::Locked(Duration::from_secs(7))),
            _ => Err(Denied::Unauthorized),
        }
    }
}

async fn ask(facts: &Arc<Fake>, method: Method, path: &str, header: Option<(&str, &str)>) -> Response<Body> {
    let mut request = Request::new(Body::empty());
    *request.method_mut() = method;
    *request.uri_mut() = path.parse().unwrap();
    if let Some((name, value)) = header {
        let name: axum::http::HeaderName = name.parse().unwrap();
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    let facts: Facts = Arc::clone(facts) as Facts;
    route(State(facts), request).await
}

async fn body(response: Response<Body>) -> String {
    String::from_utf8(axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap().to_vec()).unwrap()
}

#[tokio::test]
async fn live_probes_answer_exactly_this_and_only_to_reading() {
    let facts = Arc::new(Fake::default());
    for path in ["/health", "/healthz"] {
        let response = ask(&facts, Method::GET, path, None).await;
        assert_eq!(response.status(), 200);
        assert_eq!(body(response).await, r#"{"ok":true,"status":"live"}"#);
        let response = ask(&facts, Method::POST, path, None).await;
        assert_eq!(
            (response.status(), response.headers()[ALLOW].to_str().unwrap()),
            (StatusCode::METHOD_NOT_ALLOWED, "GET, HEAD")
        );
        assert_eq!(body(response).await, "Method Not Allowed");
    }
}

#[tokio::test]
async fn readiness_follows_the_phase() {
    let facts = Arc::new(Fake::default());
    let read = |response: Response<Body>| async {
        (response.status(), serde_json::from_str::<Value>(&body(response).await).unwrap())
    };
    let (status, value) = read(ask(&facts, Method::GET, "/readyz", None).await).await;
    assert_eq!((status.as_u16(), &value["ready"], &value["failing"]), (503, &json!(false), &json!(["starting"])));
    assert_eq!(ask(&facts, Method::GET, "/startupz", None).await.status(), 503);
    facts.readiness.enter(Phase::Ready);
    let (status, value) = read(ask(&facts, Method::GET, "/ready", None).await).await;
    assert_eq!((status.as_u16(), &value["ready"], &value["failing"]), (200, &json!(true), &json!([])));
    assert!(value["uptimeMs"].is_u64() && value["eventLoop"].is_object());
    assert_eq!(ask(&facts, Method::GET, "/startup", None).await.status(), 200);
}

#[tokio::test]
async fn the_dashboard_is_served_below_its_path_with_a_tag() {
    let facts = Arc::new(Fake::default());
    for path in ["/", "/openclawd"] {
        let response = ask(&facts, Method::GET, path, None).await;
        assert_eq!(
            (response.status().as_u16(), &response.headers()[LOCATION]),
            (307, &HeaderValue::from_static("/openclawd/"))
        );
    }
    let response = ask(&facts, Method::GET, "/openclawd/", None).await;
    assert!(response.headers()["content-security-policy"].to_str().unwrap().contains("connect-src 'self' ws: wss:"));
    let tag = response.headers()[ETAG].to_str().unwrap().to_owned();
    assert!(body(response).await.starts_with("<!doctype html>"));
    let again = ask(&facts, Method::GET, "/openclawd/app.js", Some((IF_NONE_MATCH.as_str(), &tag))).await;
    assert_eq!(again.status(), 304);
    for path in ["/openclawd/none.js", "/openclawd/../control.rs", "/api/x", "/v1/models", "/unknown"] {
        let response = ask(&facts, Method::GET, path, None).await;
        assert_eq!((response.status().as_u16(), body(response).await.as_str()), (404, "Not Found"), "{path}");
    }
}

#[tokio::test]
async fn a_configured_ui_is_served_at_the_root_and_its_page_answers_unknown_paths() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("assets")).unwrap();
    std::fs::write(folder.path().join("index.html"), "<html>").unwrap();
    std::fs::write(folder.path().join("assets/app.js"), "1").unwrap();
    let facts = Arc::new(Fake { ui_root: Some(folder.path().to_owned()), ..Fake::default() });
    for (path, status, expected) in [
        ("/", 200, "<html>"),
        ("/chat/main", 200, "<html>"),
        ("/assets/app.js", 200, "1"),
        ("/assets/none.js", 404, "Not Found"),
        ("/api/none", 404, "Not Found"),
    ] {
        let response = ask(&facts, Method::GET, path, None).await;
        assert_eq!((response.status().as_u16(), body(response).await.as_str()), (status, expected), "{path}");
    }
    let response = ask(&facts, Method::GET, "/openclawd/", None).await;
    assert_eq!(response.status(), 200);
}

#[tokio::test]
async fn the_ui_configuration_needs_the_credential() {
    let facts = Arc::new(Fake::default());
    let response = ask(&facts, Method::GET, "/control-ui-config.json", None).await;
    assert_eq!(response.status(), 401);
    let header = Some(("authorization", "Bearer guess"));
    let response = ask(&facts, Method::GET, "/control-ui-config.json", header).await;
    assert_eq!((response.status().as_u16(), response.headers()["retry-after"].to_str().unwrap()), (429, "7"));
    let header = Some(("authorization", "Bearer secret"));
    let response = ask(&facts, Method::GET, "/control-ui-config.json", header).await;
    assert_eq!(body(response).await, r#"{"assistantName":"Assistant"}"#);
}
