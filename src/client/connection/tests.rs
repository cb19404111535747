use serde_json::json;
use tokio::net::TcpListener;
use tokio_tungstenite::accept_async;

use super::*;
use crate::protocol::connect::challenge;
use crate::protocol::hello::{Features, HelloAuth, ServerInfo, Snapshot};
use crate::protocol::{ConnectParams, ErrorShape, Event};

/// One connection of a gateway that says what the test wants.
struct Peer(WebSocketStream<TcpStream>);

impl Peer {
    async fn say(&mut self, frame: impl Into<ServerFrame>) {
        self.0.send(Message::text(frame.into().to_text())).await.unwrap();
    }

    async fn hear(&mut self) -> Request {
        loop {
            if let Message::Text(text) = self.0.next().await.unwrap().unwrap() {
                return Request::parse(&text).unwrap();
            }
        }
    }

    async fn close(&mut self, code: u16, reason: &str) {
        let frame = CloseFrame { code: code.into(), reason: reason.to_owned().into() };
        self.0.close(Some(frame)).await.unwrap();
        while let Some(Ok(_)) = self.0.next().await {}
    }

    /// Challenges and lets in.
    async fn welcome(&mut self) -> ConnectParams {
        self.say(Event::direct(CHALLENGE_EVENT, challenge("nonce", 5))).await;
        let request = self.hear().await;
        let params = ConnectParams::parse(request.params).unwrap();
        let hello = HelloOk::new(
            ServerInfo::default(),
            Features::default(),
            Snapshot::default(),
            HelloAuth { role: "operator".into(), ..HelloAuth::default() },
        );
        self.say(Response::ok(request.id, serde_json::to_value(hello).unwrap())).await;
        params
    }
}

/// Runs a gateway's side and a client's side of one connection.
async fn both<P: Future<Output = ()>, T, C: Future<Output = T>>(
    gateway: impl FnOnce(Peer) -> P,
    client: impl FnOnce(ClientOptions) -> C,
) -> T {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let gateway = async {
        let (stream, _) = listener.accept().await.unwrap();
        gateway(Peer(accept_async(stream).await.unwrap())).await;
    };
    let options = ClientOptions::cli(url, Some("token".into()), ["operator.read"]);
    tokio::join!(gateway, client(options)).1
}

#[tokio::test]
async fn requests_are_answered_by_id_even_out_of_order() {
    let result = both(
        |mut peer| async move {
            assert_eq!(peer.welcome().await.requested_scopes(), ["operator.read"]);
            let (one, two) = (peer.hear().await, peer.hear().await);
            peer.say(Response::ok(two.id, json!({"for": two.method}))).await;
            peer.say(Response::failed(one.id, ErrorShape::unknown_method(&one.method))).await;
            while let Some(Ok(_)) = peer.0.next().await {}
        },
        |options| async move {
            run_with(&options, |client, _events| async move {
                let (one, two) = tokio::join!(client.request("first", json!({})), client.request("second", json!({})));
                (one.unwrap_err().to_string(), two.unwrap())
            })
            .await
        },
    )
    .await;
    assert_eq!(result.unwrap(), ("unknown method: first".to_owned(), json!({"for": "second"})));
}

#[tokio::test]
async fn a_two_stage_method_answers_twice_and_may_fail_with_a_payload() {
    let (first, last) = both(
        |mut peer| async move {
            peer.welcome().await;
            let request = peer.hear().await;
            peer.say(Response::ok(request.id.clone(), json!({"runId": "r", "status": "accepted"}))).await;
            peer.say(Event::direct("chat", json!({"state": "final"}))).await;
            let mut last = Response::failed(request.id, ErrorShape::unavailable("no model"));
            last.payload = Some(json!({"runId": "r", "status": "error"}));
            peer.say(last).await;
            while let Some(Ok(_)) = peer.0.next().await {}
        },
        |options| async move {
            run_with(&options, |client, mut events| async move {
                let (first, mut rest) = client.request_two_stage("agent", json!({})).await.unwrap();
                assert_eq!(events.next().await.unwrap().event, "chat");
                (first, rest.next(Duration::from_secs(20)).await.unwrap_err())
            })
            .await
            .unwrap()
        },
    )
    .await;
    assert_eq!(first["status"], "accepted");
    let ClientError::Failed { error, payload } = last else { panic!("{last:?}") };
    assert_eq!((error.message.as_str(), payload.unwrap()["status"].clone()), ("no model", json!("error")));
}

#[tokio::test]
async fn a_refusal_carries_the_answer_and_the_close() {
    let error = both(
        |mut peer| async move {
            peer.say(Event::direct(CHALLENGE_EVENT, challenge("nonce", 5))).await;
            let request = peer.hear().await;
            peer.say(Response::failed(request.id, ErrorShape::invalid_request("invalid role"))).await;
            peer.close(1008, "invalid role").await;
        },
        |options| async move { connect(&options).await.unwrap_err() },
    )
    .await;
    assert_eq!(error.to_string(), "the gateway refused the connection: invalid role");
    let ClientError::Refused { close, .. } = error else { panic!("refused") };
    assert_eq!(close, Some(Close::policy("invalid role")));
}

#[tokio::test]
async fn an_answer_that_does_not_come_is_a_timeout_and_a_close_ends_everything() {
    both(
        |mut peer| async move {
            peer.welcome().await;
            let _unanswered = peer.hear().await;
            let _also = peer.hear().await;
            peer.close(1012, "service restart").await;
        },
        |options| async move {
            run_with(&options, |client, mut events| async move {
                let late = client.request_within("slow", json!({}), Duration::from_millis(20)).await;
                assert!(matches!(late, Err(ClientError::Timeout { .. })), "{late:?}");
                let gone = client.request("next", json!({})).await.unwrap_err();
                assert!(matches!(gone, ClientError::Closed(_)), "{gone:?}");
                assert_eq!(client.closed().await, Some(Close::service_restart()));
                assert!(events.next().await.is_none());
            })
            .await
            .unwrap();
        },
    )
    .await;
}

#[tokio::test]
async fn nobody_there_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = listener.local_addr().unwrap().to_string();
    drop(listener);
    let error = connect(&ClientOptions::cli(url, None, [])).await.unwrap_err();
    assert!(error.is_unreachable(), "{error:?}");
}

#[tokio::test]
async fn a_device_signs_the_challenge() {
    let params = both(
        |mut peer| async move {
            let params = peer.welcome().await;
            let device = params.device.unwrap();
            assert_eq!((device.nonce.as_str(), device.signed_at), ("nonce", 5));
            while let Some(Ok(_)) = peer.0.next().await {}
        },
        |mut options| async move {
            options.identity = Some(Arc::new(crate::client::DeviceIdentity::generate().unwrap()));
            run_with(&options, |client, _events| async move { client.hello().auth.role.clone() }).await.unwrap()
        },
    )
    .await;
    assert_eq!(params, "operator");
}

#[tokio::test]
async fn a_detached_driver_delivers_each_stage_and_events_in_between() {
    both(
        |mut peer| async move {
            peer.welcome().await;
            let request = peer.hear().await;
            peer.say(Response::ok(request.id.clone(), json!({"status": "accepted"}))).await;
            peer.say(Event::direct("agent", json!({"seq": 1}))).await;
            peer.say(Response::ok(request.id, json!({"status": "ok"}))).await;
            while let Some(Ok(_)) = peer.0.next().await {}
        },
        |options| async move {
            let (client, mut events, driver) = connect(&options).await.unwrap();
            let driver = driver.detached();
            let mut answer = client.start("agent", json!({})).await.unwrap();
            assert_eq!(answer.response().await.unwrap().payload.unwrap()["status"], "accepted");
            assert_eq!(answer.response().await.unwrap().payload.unwrap()["status"], "ok");
            assert!(answer.response().await.is_none());
            assert_eq!(events.next().await.unwrap().event, "agent");
            drop(driver);
            assert!(events.next().await.is_none());
            assert!(client.start("agent", json!({})).await.is_err());
        },
    )
    .await;
}
