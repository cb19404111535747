//! Every class of actor, struck in every way while six streams are under way.

use std::sync::Arc;

use actors::testing::fake_models::FakeTurn;
use actors::testing::telegram::FakeTelegram;
use actors::tools::{Effect, Tool, ToolCapabilities, ToolContext, ToolError, ToolOutput, ToolRegistry};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use supervision::tree::NodeState;
use tokio::sync::Semaphore;

use super::field::{FAULTS, Field, SLOW, STREAMS};
use crate::support::gateway::{send, text_of};

/// An actor that is struck in each way, with streams under way each time, and whose clients do not notice.
async fn heals_unnoticed(path: &str) {
    let mut field = Field::start().await;
    strike_each(&mut field, path).await;
    field.all_complete().await;
}

async fn strike_each(field: &mut Field, path: &str) {
    for fault in FAULTS {
        field.heals(path, fault).await;
        field.ended_well().await;
        field.stream().await;
    }
}

/// An actor the clients' connections stand on: they come back, and so does everything that was accepted.
async fn heals_with_all_that_stands_on_it(path: &str) {
    let mut field = Field::start().await;
    for fault in FAULTS {
        field.heals_in_a_burst(path, fault).await;
        field.reconnected().await;
        field.stream().await;
    }
    field.witness.ends_of(&field.runs[field.runs.len() - STREAMS..]).await;
    field.nothing_lost().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lifecycle_heals_unnoticed() {
    // The root allows three restarts in a minute, so two gateways share the four faults.
    for faults in FAULTS.chunks(2) {
        let mut field = Field::start().await;
        for fault in faults {
            field.heals("root/lifecycle", *fault).await;
            field.ended_well().await;
            field.stream().await;
        }
        field.all_complete().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_configuration_heals_with_all_that_stands_on_it() {
    heals_with_all_that_stands_on_it("root/core/config").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_store_heals_with_all_that_stands_on_it() {
    heals_with_all_that_stands_on_it("root/core/store").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_heals_unnoticed() {
    heals_unnoticed("root/core/providers/box").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_heals_unnoticed() {
    let mut field = Field::start().await;
    let path = field.only("auth_profile");
    strike_each(&mut field, &path).await;
    field.all_complete().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reconciler_heals_unnoticed() {
    heals_unnoticed("root/core/upkeep/reconciler").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_channel_health_monitor_heals_unnoticed() {
    heals_unnoticed("root/core/upkeep/channel_health").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_door_heals_unnoticed() {
    heals_unnoticed("root/core/control/devices").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fan_out_heals_unnoticed() {
    heals_unnoticed("root/core/control/broadcast").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_listener_heals_unnoticed() {
    heals_unnoticed("root/core/control/listener").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_heals_and_its_run_is_resumed() {
    let mut field = Field::start().await;
    for fault in FAULTS {
        let path = field.session("k2");
        field.heals(&path, fault).await;
        field.ended_well().await;
        field.stream().await;
    }
    field.all_complete().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_tried_again_however_it_ends() {
    let mut field = Field::start().await;
    for (round, fault) in FAULTS.into_iter().enumerate() {
        let run = format!("run-3-{round}");
        let path = format!("{}/run:{run}", field.session("k3"));
        field.strike_now(&path, fault);
        field
            .gateway
            .tree_until("the second attempt", |gateway| {
                let node = gateway.node(&path)?;
                (node.detail.get("attempt").map(String::as_str) == Some("2")).then_some(())
            })
            .await;
        field.ended_well().await;
        assert_eq!(field.witness.ends(&run), 1);
        field.stream().await;
    }
    field.all_complete().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_ends_alone_however_it_ends() {
    let field = Field::start().await;
    for fault in FAULTS {
        let (client, _witness) = field.gateway.talk().await;
        let path = format!("root/core/control/connections/conn:{}", client.hello().server.conn_id);
        field.strike_now(&path, fault);
        client.closed().await;
        field.gateway.tree_until("its end", |gateway| gateway.node(&path).is_none().then_some(())).await;
    }
    field.all_complete().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_account_and_its_lane_lose_no_message_however_they_end() {
    let telegram = FakeTelegram::start().await;
    let field = Field::start_with(json!({"telegram": {
        "botToken": telegram.token(), "apiRoot": telegram.api_root(), "allowFrom": ["7"],
    }}))
    .await;
    let lane = field.only("delivery lane");
    let account = String::from("root/core/channels/telegram:default");
    telegram.wait_calls("getUpdates", 1).await;
    let mut said = 0;
    for path in [lane, account] {
        for fault in FAULTS {
            telegram.say(7, "a question");
            let before = field.gateway.node(&path).unwrap().incarnation;
            field.strike_now(&path, fault);
            said += 1;
            // Its own backoff is minutes long in the end: nobody waits for that here.
            field.heals_by_hand(&path, before).await;
            telegram.wait_sent(said).await;
        }
    }
    let texts: Vec<String> = telegram.wait_sent(said).await.into_iter().map(|sent| sent.visible).collect();
    assert_eq!(texts, vec![SLOW; said]);
    field.all_complete().await;
}

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
            Err(ToolError::Failed(String::from("nobody lets it")))
        }
        .boxed()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_call_that_dies_is_told_to_the_model_and_the_run_goes_on() {
    let gate = Arc::new(Semaphore::new(0));
    let tools = ToolRegistry::default().with(Arc::new(Held(Arc::clone(&gate))));
    let mut field = Field::start_whole(json!({}), tools).await;
    for (round, fault) in FAULTS.into_iter().enumerate() {
        let (call, run) = (format!("call-{round}"), format!("tooled-{round}"));
        field.server.script([FakeTurn::call(&call, "held", json!({})), FakeTurn::text("as far as it went")]);
        send(&field.client, "tools", &run, "use it").await;
        let path = field
            .gateway
            .tree_until("the call", |gateway| {
                let mut calls = gateway.nodes("tool").into_iter();
                calls.find(|node| node.name.contains(&call) && node.state == NodeState::Running)
            })
            .await
            .path
            .to_string();
        field.strike_now(&path, fault);
        let end = field.witness.end_of(&run).await;
        assert_eq!((&end["state"], text_of(&end["message"]).as_str()), (&json!("final"), "as far as it went"));
        assert_eq!(field.witness.ends(&run), 1);
        let asked = field.server.requests();
        let told = asked.last().unwrap().body["messages"].to_string();
        assert!(told.contains(&call), "the model hears of its call: {told}");
        field.ended_well().await;
        field.stream().await;
    }
    field.all_complete().await;
}
