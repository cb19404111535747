use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::support::Gateway;
use crate::control::{ControlSettings, Phase};

async fn get(gateway: &Gateway, request: &str) -> String {
    let mut stream = TcpStream::connect(gateway.port.address()).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn answers_carry_security_headers_and_head_has_no_body() {
    let gateway = Gateway::start().await;
    let answer = get(&gateway, "GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with(r#"{"ok":true,"status":"live"}"#), "{answer}");
    for header in ["x-content-type-options: nosniff", "referrer-policy: no-referrer", "x-frame-options: DENY"] {
        assert!(answer.contains(header), "{answer}");
    }
    let head = get(&gateway, "HEAD /ready HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200") && head.ends_with("\r\n\r\n"), "{head}");
    gateway.stop().await;
}

#[tokio::test]
async fn a_slow_head_is_cut_off() {
    let settings = ControlSettings { header_timeout: std::time::Duration::from_millis(50), ..Default::default() };
    let gateway = Gateway::with(settings).await;
    let answer = get(&gateway, "GET /healthz HT").await;
    assert!(!answer.contains("200"), "{answer}");
    gateway.stop().await;
}

#[tokio::test]
async fn upgrades_are_taken_on_any_path_but_not_malformed_nor_while_draining() {
    let gateway = Gateway::start().await;
    let ask = |path: &str, version: &str| {
        format!(
            "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: {version}\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
    };
    assert!(get(&gateway, &ask("/", "8")).await.starts_with("HTTP/1.1 426"));
    let mut stream = TcpStream::connect(gateway.port.address()).await.unwrap();
    stream.write_all(ask("/any/path", "13").as_bytes()).await.unwrap();
    let mut start = [0; 12];
    stream.read_exact(&mut start).await.unwrap();
    assert_eq!(&start, b"HTTP/1.1 101");
    gateway.services.readiness.enter(Phase::Draining);
    assert!(get(&gateway, &ask("/", "13")).await.starts_with("HTTP/1.1 503"));
    gateway.stop().await;
}

#[tokio::test]
async fn the_credential_opens_the_ui_configuration() {
    let gateway = Gateway::start().await;
    let ask = |token: &str| {
        format!(
            "GET /control-ui-config.json HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\r\n"
        )
    };
    assert!(get(&gateway, &ask("wrong")).await.starts_with("HTTP/1.1 401"));
    let answer = get(&gateway, &ask(super::support::TOKEN)).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("assistantAgentId"), "{answer}");
    gateway.stop().await;
}
