//! From nothing to an answer.

use serde_json::json;

use crate::support::gateway::{Gateway, PATIENCE};

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_gateway_answers_with_the_demo_model() {
    let gateway = Gateway::start(json!({})).await;
    let talk = gateway.client(&["operator.read", "operator.write"]).await;
    let params = json!({"message": "hello there", "idempotencyKey": "first"});
    let mut answers = talk.client.start("agent", params).await.unwrap();
    let accepted = answers.next(PATIENCE).await.unwrap();
    assert_eq!(accepted["status"], "accepted");
    let done = answers.next(PATIENCE).await.unwrap();
    assert_eq!(done["status"], "ok");
    let text = done["result"]["payloads"][0]["text"].as_str().unwrap();
    assert!(text.contains("hello there") && text.contains("demo"), "{text}");
    let (report, _home) = gateway.stop(PATIENCE).await;
    assert_eq!(report.stragglers, Vec::<String>::new());
}
