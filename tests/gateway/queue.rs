//! What happens to messages that arrive while their session is busy, and to commands.

use std::sync::Arc;

use actors::testing::fake_models::{FakeModelServer, FakeTurn};
use actors::tools::{Effect, Tool, ToolCapabilities, ToolContext, ToolError, ToolOutput, ToolRegistry};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use openclawd::client::Client;
use openclawd::protocol::error::ErrorCode;
use serde_json::{Value, json};
use supervision::tree::NodeState;
use tokio::sync::Semaphore;

use crate::support::gateway::{Gateway, PATIENCE, echo, line, lines, said, send, text_of, transcript_file};
use crate::support::witness::Witness;

/// A tool that is done when the test lets it.
struct Held(Arc<Semaphore>);

impl Tool for Held {
    fn name(&self) -> &'static str {
        "held"
    }

    fn description(&self) -> &'static str {
        "waits"
    }

    fn parameters(&self) -> Value {
        json!({"type": "object", "properties": {}})
    }

    fn capabilities(&self) -> ToolCapabilities {
        ToolCapabilities::OPEN
    }

    fn effect(&self, _: &Value) -> Effect {
        Effect::Pure
    }

    fn call(&self, _: Value, _: ToolContext) -> BoxFuture<'static, Result<ToolOutput, ToolError>> {
        let gate = Arc::clone(&self.0);
        async move {
            gate.acquire().await.unwrap().forget();
            Ok(ToolOutput { text: String::from("let go"), details: None })
        }
        .boxed()
    }
}

/// A gateway whose sessions can be kept busy.
struct Busy {
    gateway: Gateway,
    server: FakeModelServer,
    client: Client,
    witness: Witness,
    gate: Arc<Semaphore>,
}

impl Busy {
    /// With these settings of `messages.queue`.
    async fn start(queue: Value) -> Self {
        let server = FakeModelServer::start().await.unwrap();
        let gate = Arc::new(Semaphore::new(0));
        let mut config = echo(&server);
        config["messages"] = json!({ "queue": queue });
        let tools = ToolRegistry::default().with(Arc::new(Held(Arc::clone(&gate))));
        let gateway = Gateway::start_armed(config, tools).await;
        let (client, witness) = gateway.talk().await;
        Self { gateway, server, client, witness, gate }
    }

    /// Starts run `run` in session `s`, which waits in its tool until it is let go; it then says `last`.
    async fn occupy(&self, run: &str, last: &str) {
        self.server.script([FakeTurn::call(&format!("call-{run}"), "held", json!({})), FakeTurn::text(last)]);
        send(&self.client, "s", run, "begin").await;
        let call = format!("call-{run}");
        self.gateway
            .tree_until("the call", |gateway| {
                let mut calls = gateway.nodes("tool").into_iter();
                calls.find(|node| node.name.contains(&call) && node.state == NodeState::Running)
            })
            .await;
    }

    async fn text_of(&self, run: &str) -> (String, String) {
        let end = self.witness.end_of(run).await;
        (end["state"].as_str().unwrap().to_owned(), text_of(&end["message"]))
    }

    /// What the transcript of session `s` says in the end.
    async fn said(self) -> Vec<(String, String)> {
        let (report, home) = self.gateway.stop(PATIENCE).await;
        assert!(report.stragglers.is_empty(), "{report:?}");
        said(&lines(&transcript_file(home.path(), "s")))
    }
}

fn final_of(text: &str) -> (String, String) {
    line("final", text)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_during_a_tool_call_is_taken_into_the_run() {
    let busy = Busy::start(json!({})).await;
    busy.occupy("one", "done with both").await;
    assert_eq!(send(&busy.client, "s", "two", "and be brief").await["status"], "started");
    busy.gate.add_permits(1);
    assert_eq!(busy.text_of("one").await, final_of("done with both"));
    assert_eq!(busy.text_of("two").await, final_of(""), "its answer is the run's");
    let asked = busy.server.requests().last().unwrap().body.to_string();
    assert!(asked.contains("and be brief"), "{asked}");
    let again = send(&busy.client, "s", "two", "and be brief").await;
    assert_eq!(again["status"], "ok", "a repeat is answered as any other");
    let said = busy.said().await;
    let roles: Vec<&str> = said.iter().map(|(role, _)| role.as_str()).collect();
    assert_eq!(roles, ["user", "assistant", "toolResult", "user", "assistant"]);
    assert_eq!(said[3], line("user", "and be brief"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_too_late_for_the_run_is_run_after_it() {
    let busy = Busy::start(json!({"mode": "followup"})).await;
    busy.occupy("one", "first").await;
    busy.server.script([FakeTurn::text("second"), FakeTurn::text("third")]);
    send(&busy.client, "s", "two", "b").await;
    send(&busy.client, "s", "three", "c").await;
    busy.gate.add_permits(1);
    for (run, text) in [("one", "first"), ("two", "second"), ("three", "third")] {
        assert_eq!(busy.text_of(run).await, final_of(text));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn collected_messages_are_answered_as_one() {
    let busy = Busy::start(json!({"mode": "collect"})).await;
    busy.occupy("one", "first").await;
    busy.server.script([FakeTurn::text("all of it")]);
    for (run, text) in [("two", "b"), ("three", "c"), ("four", "d")] {
        send(&busy.client, "s", run, text).await;
    }
    busy.gate.add_permits(1);
    assert_eq!(busy.text_of("two").await, final_of("all of it"));
    assert_eq!(busy.text_of("three").await, final_of(""));
    assert_eq!(busy.text_of("four").await, final_of(""));
    assert_eq!(busy.server.counts().requests, 3, "two of the first run, one of the rest");
    let said = busy.said().await;
    let users: Vec<&str> = said.iter().filter(|(role, _)| role == "user").map(|(_, text)| text.as_str()).collect();
    assert_eq!(users.len(), 4);
    assert!(users[1].ends_with("Queued #1\nb") && users[3] == "Queued #3\nd", "{users:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupt_aborts_the_run_and_goes_first() {
    let busy = Busy::start(json!({})).await;
    busy.occupy("one", "never said").await;
    send(&busy.client, "s", "two", "waits").await;
    let params = json!({
        "sessionKey": "s", "message": "instead", "idempotencyKey": "three", "queueMode": "interrupt",
    });
    busy.client.request("chat.send", params).await.unwrap();
    assert_eq!(busy.witness.end_of("one").await["state"], "aborted");
    assert_eq!(busy.witness.end_of("two").await["stopReason"], "interrupt");
    assert_eq!(busy.text_of("three").await, final_of("never said"), "the script's next turn is said to it");
    let said = busy.said().await;
    let calls = said.iter().filter(|(role, _)| role == "toolResult").count();
    assert_eq!(calls, 1, "the aborted call has a result: {said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_oldest_give_way_and_are_reported() {
    let busy = Busy::start(json!({"mode": "followup", "cap": 2})).await;
    busy.occupy("one", "first").await;
    for (run, text) in [("two", "lost b"), ("three", "c"), ("four", "d")] {
        send(&busy.client, "s", run, text).await;
    }
    assert_eq!(busy.witness.end_of("two").await["stopReason"], "dropped");
    busy.gate.add_permits(1);
    busy.server.script([FakeTurn::text("x"), FakeTurn::text("y")]);
    busy.text_of("four").await;
    let said = busy.said().await;
    assert!(said.iter().any(|(_, text)| text.contains("- lost b\n") && text.ends_with("\nc")), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_is_refused_where_that_is_asked_for() {
    let busy = Busy::start(json!({"mode": "followup", "cap": 1, "drop": "new"})).await;
    busy.occupy("one", "first").await;
    send(&busy.client, "s", "two", "b").await;
    let params = json!({"sessionKey": "s", "message": "c", "idempotencyKey": "three"});
    let refused = busy.client.request("chat.send", params).await.unwrap_err();
    assert_eq!(refused.shape().unwrap().code, ErrorCode::Unavailable);
    busy.gate.add_permits(1);
    busy.witness.end_of("two").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_are_answered_beside_a_run_and_leave_no_trace_in_the_transcript() {
    let busy = Busy::start(json!({})).await;
    busy.occupy("one", "done").await;
    let listed = busy.client.request("sessions.list", json!({"activeOnly": true})).await.unwrap();
    let rows = listed["sessions"].as_array().unwrap();
    assert_eq!((rows.len(), &rows[0]["activeRunIds"], &rows[0]["status"]), (1, &json!(["one"]), &json!("running")));
    assert_eq!(send(&busy.client, "s", "q", "/queue collect cap:5").await["status"], "started");
    assert_eq!(busy.text_of("q").await, final_of("Queue set: collect (debounce 500 ms, cap 5, drop summarize)."));
    send(&busy.client, "s", "st", "/status").await;
    let (_, status) = busy.text_of("st").await;
    assert!(status.contains("run one at work") && status.contains("collect"), "{status}");
    send(&busy.client, "s", "bad", "/queue faster").await;
    assert!(busy.text_of("bad").await.1.contains("Nothing was changed"));
    assert_eq!(
        send(&busy.client, "s", "q", "/queue collect cap:5").await["status"],
        "ok",
        "a repeat is not done again"
    );
    busy.gate.add_permits(1);
    busy.witness.end_of("one").await;
    let said = busy.said().await;
    assert_eq!(said.len(), 4, "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_conversation_aborts_the_old_one() {
    let busy = Busy::start(json!({})).await;
    busy.occupy("one", "after all").await;
    send(&busy.client, "s", "two", "waits").await;
    send(&busy.client, "s", "three", "/new hello").await;
    assert_eq!(busy.witness.end_of("one").await["state"], "aborted");
    assert_eq!(busy.witness.end_of("two").await["stopReason"], "reset");
    busy.text_of("three").await;
    let said = busy.said().await;
    assert_eq!(said, [line("user", "hello"), line("assistant", "after all")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_owners_start_conversations_or_pass_others() {
    let busy = Busy::start(json!({"mode": "followup"})).await;
    let guest = busy.gateway.client(&["operator.read", "operator.write"]).await;
    let refused =
        guest.client.request("chat.send", json!({"sessionKey": "s", "message": "/new", "idempotencyKey": "g"}));
    let refused = refused.await.unwrap_err();
    assert!(refused.to_string().contains("operator.admin"), "{refused}");
    let literal = json!({
        "sessionKey": "s", "message": "/new", "idempotencyKey": "l", "suppressCommandInterpretation": true,
    });
    guest.client.request("chat.send", literal).await.unwrap();
    assert_eq!(busy.text_of("l").await, final_of("echo: /new"));
    send(&guest.client, "s", "send", "/send off").await;
    assert!(busy.text_of("send").await.1.starts_with("Only an owner"));
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_send_steer_and_abort_speak_to_a_session_by_its_key() {
    let busy = Busy::start(json!({})).await;
    busy.occupy("one", "said to the next").await;
    let steer = json!({"key": "s", "message": "instead", "idempotencyKey": "two"});
    let answer = busy.client.request("sessions.steer", steer).await.unwrap();
    assert_eq!(answer, json!({"runId": "two", "status": "started"}));
    assert_eq!(busy.witness.end_of("one").await["state"], "aborted");
    busy.text_of("two").await;
    let answer = busy.client.request("sessions.send", json!({"key": "s", "message": "hi"})).await.unwrap();
    let run = answer["runId"].as_str().unwrap().to_owned();
    assert_eq!(busy.text_of(&run).await, final_of("echo: hi"));
    let idle = busy.client.request("sessions.abort", json!({"key": "s"})).await.unwrap();
    assert_eq!(idle, json!({"ok": true, "abortedRunId": null, "status": "no-active-run"}));
    busy.occupy("three", "x").await;
    let aborted = busy.client.request("sessions.abort", json!({"key": "s"})).await.unwrap();
    assert_eq!((&aborted["abortedRunId"], &aborted["status"]), (&json!("three"), &json!("aborted")));
}
