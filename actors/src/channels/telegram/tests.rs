//! Accounts and lanes in a real tree against the fake Bot API.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use supervision::tree::{NodeState, NodeView};
use supervision::{
    ActorPath, BackoffPolicy, ChildSpec, DynamicOptions, Supervisor, SupervisorHandle, SupervisorSlot, SupervisorSpec,
    TreeStore,
};

use crate::channels::account::{ChannelPorts, ladder};
use crate::channels::contract::{Cursor, SinkError};
use crate::channels::handle::ChannelsHandle;
use crate::channels::health::Monitor;
use crate::channels::registry::AccountSetup;
use crate::channels::status::AccountSnapshot;
use crate::channels::telegram::allow::AllowList;
use crate::channels::telegram::{TelegramSettings, Timing};
use crate::clock::Clock;
use crate::delivery::contract::{ChatKey, LaneId};
use crate::delivery::handle::DeliveryHandle;
use crate::delivery::lane::DeliveryPorts;
use crate::delivery::retry::RetryPolicy;
use crate::ids::{AccountId, ChannelId};
use crate::secret::Secret;
use crate::testing::outbox::MemoryOutbox;
use crate::testing::sink::MemorySink;
use crate::testing::telegram::{BOT_ID, FakeTelegram, Fault};

/// Waits of milliseconds where the real ones are seconds.
fn timing() -> Timing {
    Timing {
        poll: Duration::from_secs(5),
        retry_first: Duration::from_millis(20),
        retry_max: Duration::from_millis(100),
        conflict_first: Duration::from_millis(20),
        conflict_max: Duration::from_millis(100),
        ..Timing::default()
    }
}

struct World {
    fake: FakeTelegram,
    sink: Arc<MemorySink>,
    outbox: Arc<MemoryOutbox>,
    channels: ChannelsHandle,
    delivery: DeliveryHandle,
    tree: TreeStore,
    root: SupervisorHandle,
}

impl World {
    async fn start() -> Self {
        let (channels_slot, delivery_slot) = (SupervisorSlot::new(), SupervisorSlot::new());
        let spec = SupervisorSpec {
            children: vec![
                ChildSpec::dynamic("delivery", "delivery", &delivery_slot, DynamicOptions::default()),
                ChildSpec::dynamic("channels", "channels", &channels_slot, DynamicOptions::default()),
            ],
            ..SupervisorSpec::default()
        };
        let tree = TreeStore::new();
        let root = Supervisor::start_root(spec, tree.clone()).await.unwrap();
        let (sink, outbox) = (Arc::new(MemorySink::new()), Arc::new(MemoryOutbox::new()));
        let clock = Clock::system();
        let ports = ChannelPorts { sink: sink.clone(), cursor: sink.clone(), clock: clock.clone() };
        let policy = RetryPolicy {
            delays: [Duration::from_millis(20); 5],
            account_down: Duration::from_millis(50),
            ..RetryPolicy::default()
        };
        let backoff = BackoffPolicy { initial: Duration::from_millis(20), max: Duration::from_millis(200), ..ladder() };
        Self {
            fake: FakeTelegram::start().await,
            channels: ChannelsHandle::new(channels_slot.handle(), ports).with_backoff(backoff),
            delivery: DeliveryHandle::new(
                delivery_slot.handle(),
                DeliveryPorts { outbox: outbox.clone(), policy, clock },
            ),
            sink,
            outbox,
            tree,
            root,
        }
    }

    /// Started, connected, and waiting in a poll.
    async fn connected() -> Self {
        let world = Self::start().await;
        world.run(world.setup()).await;
        world.fake.wait_calls("getUpdates", 1).await;
        world
    }

    fn setup(&self) -> AccountSetup {
        self.setup_with(&self.fake.token(), timing())
    }

    fn setup_with(&self, token: &str, timing: Timing) -> AccountSetup {
        AccountSetup {
            channel: ChannelId::new("telegram"),
            account: AccountId::normalised("default"),
            name: Some("Test".to_owned()),
            enabled: true,
            problem: None,
            mode: "polling",
            connection: Arc::new(TelegramSettings {
                token: Secret::new(token),
                api_root: Some(self.fake.api_root()),
                allow: AllowList::parse(["7"]),
                timing,
            }),
        }
    }

    async fn run(&self, setup: AccountSetup) {
        self.delivery.converge(std::slice::from_ref(&setup)).await.unwrap();
        self.channels.converge(vec![setup]).await.unwrap();
    }

    fn reply(&self, text: &str) -> u64 {
        let id = self.outbox.push("7", text, Clock::system().now_ms());
        self.delivery.wake(&lane());
        id
    }

    fn snapshot(&self) -> Arc<AccountSnapshot> {
        self.channels.snapshot(&ChannelId::new("telegram"), &AccountId::normalised("default")).unwrap()
    }

    fn path() -> ActorPath {
        ActorPath::parse("root/channels/telegram:default")
    }

    /// Waits for a life-cycle event after which `condition` holds of the account's node.
    async fn node_until(&self, condition: impl Fn(&NodeView) -> bool) -> NodeView {
        let mut changes = self.tree.subscribe();
        loop {
            if let Some(node) = self.tree.node(&Self::path()).filter(|node| condition(node)) {
                return node;
            }
            changes.next().await.unwrap();
        }
    }

    async fn accepted(&self, count: usize) -> Vec<String> {
        self.sink.wait_until(|sink| sink.accepted().len() >= count).await;
        self.sink.accepted().into_iter().map(|inbound| inbound.body()).collect()
    }

    async fn cursor_at(&self, position: i64) {
        self.sink
            .wait_until(|sink| sink.cursor("telegram", "default").is_some_and(|cursor| cursor.position >= position))
            .await;
    }

    async fn stop(self) {
        self.root.shutdown(Duration::from_secs(10)).await;
    }
}

fn lane() -> LaneId {
    LaneId { channel: ChannelId::new("telegram"), account: AccountId::normalised("default") }
}

#[tokio::test]
async fn a_message_is_accepted_and_its_reply_delivered() {
    let world = World::connected().await;
    let update = world.fake.say(7, "hello");
    assert_eq!(world.accepted(1).await, ["hello"]);
    world.fake.wait_offset(update + 1).await;
    world.reply("**hi**");
    let sent = world.fake.wait_sent(1).await;
    assert_eq!((sent[0].chat_id, sent[0].text.as_str()), (7, "<b>hi</b>"));
    world.outbox.wait_until(|outbox| outbox.done_ids().len() == 1).await;
    let snapshot = world.snapshot();
    assert!(snapshot.running && snapshot.connected);
    assert_eq!(snapshot.bot.as_deref(), Some("@test_bot"));
    world.stop().await;
}

#[tokio::test]
async fn the_offset_moves_only_after_the_sink_accepted() {
    let world = World::connected().await;
    world.sink.refuse_with(Some(SinkError::Unavailable("disk full".into())));
    let update = world.fake.say(7, "keep me");
    world.sink.wait_until(|sink| sink.refusals() >= 3).await;
    assert!(world.fake.offset() <= update, "not confirmed to Telegram");
    assert!(world.sink.cursor("telegram", "default").is_none(), "not moved in the store");
    world.node_until(|node| node.detail.contains_key("ingress")).await;
    assert!(world.snapshot().ingress_unavailable);
    world.sink.refuse_with(None);
    assert_eq!(world.accepted(1).await, ["keep me"]);
    world.fake.wait_offset(update + 1).await;
    world.cursor_at(update + 1).await;
    world.stop().await;
}

#[tokio::test]
async fn an_update_that_is_never_accepted_does_not_stop_those_behind_it() {
    let world = World::connected().await;
    world.sink.refuse_with(Some(SinkError::Refused("too long".into())));
    let update = world.fake.say(7, "never");
    world.fake.wait_offset(update + 1).await;
    world.sink.refuse_with(None);
    assert_eq!(world.sink.answers()[0].text, "I could not take this message: too long.");
    world.fake.say(7, "next");
    assert_eq!(world.accepted(1).await, ["next"]);
    world.stop().await;
}

#[tokio::test]
async fn a_repeated_update_gives_no_second_turn() {
    let world = World::connected().await;
    let update = world.fake.say(7, "once");
    world.accepted(1).await;
    world.fake.wait_offset(update + 1).await;
    world.fake.repeat(update);
    world.sink.wait_until(|sink| sink.duplicates() == 1).await;
    world.fake.say(7, "twice");
    assert_eq!(world.accepted(2).await, ["once", "twice"]);
    world.stop().await;
}

#[tokio::test]
async fn a_restart_goes_on_at_the_stored_offset() {
    let world = World::connected().await;
    let update = world.fake.say(7, "before");
    world.accepted(1).await;
    world.cursor_at(update + 1).await;
    world.channels.restart(&ChannelId::new("telegram"), &AccountId::normalised("default")).await.unwrap();
    world.fake.say(7, "after");
    assert_eq!(world.accepted(2).await, ["before", "after"]);
    assert_eq!(world.sink.duplicates(), 0);
    world.stop().await;
}

#[tokio::test]
async fn a_cursor_of_another_bot_is_not_used() {
    let world = World::start().await;
    let foreign = Cursor { identity: (BOT_ID + 1).to_string(), endpoint: world.fake.api_root(), position: 9999 };
    world.sink.set_cursor("telegram", "default", foreign);
    world.fake.say(7, "seen");
    world.run(world.setup()).await;
    assert_eq!(world.accepted(1).await, ["seen"]);
    world.stop().await;
}

#[tokio::test]
async fn a_refused_token_is_final_and_not_retried() {
    let world = World::start().await;
    world.run(world.setup_with("1:revoked", timing())).await;
    let node = world.node_until(|node| node.state == NodeState::Failed).await;
    assert_eq!(node.restarts, 0);
    assert_eq!(world.fake.calls("getMe"), 1);
    let snapshot = world.snapshot();
    assert!(snapshot.terminal_disconnect && !snapshot.running);
    assert!(snapshot.last_error.as_deref().unwrap().contains("401"));
    // New settings start it again.
    world.run(world.setup()).await;
    world.fake.say(7, "better");
    assert_eq!(world.accepted(1).await, ["better"]);
    world.stop().await;
}

#[tokio::test]
async fn a_token_revoked_while_polling_is_final() {
    let world = World::connected().await;
    world.fake.set_token("9:other");
    world.fake.cut_polls();
    world.node_until(|node| node.state == NodeState::Failed).await;
    assert!(world.snapshot().terminal_disconnect);
    world.stop().await;
}

#[tokio::test]
async fn a_cut_connection_recovers_without_a_restart() {
    let world = World::connected().await;
    for fault in [Fault::CutBefore, Fault::BadGateway, Fault::Truncate] {
        world.fake.fail_next("getUpdates", fault);
    }
    world.fake.cut_polls();
    world.fake.wait_calls("getUpdates", 5).await;
    world.fake.say(7, "still here?");
    assert_eq!(world.accepted(1).await, ["still here?"]);
    let node = world.node_until(|node| node.detail.get("connection").is_some_and(|is| is == "connected")).await;
    assert_eq!((node.restarts, node.incarnation), (0, 1));
    assert!(world.snapshot().last_error.is_some());
    world.stop().await;
}

#[tokio::test]
async fn lasting_trouble_goes_to_the_ladder_and_ends_with_it() {
    let world = World::start().await;
    world.fake.fail_always("getUpdates", Some(Fault::CutBefore));
    let impatient = Timing { lost_after: Duration::from_millis(50), ..timing() };
    world.run(world.setup_with(&world.fake.token(), impatient)).await;
    world.node_until(|node| node.restarts >= 2).await;
    world.fake.fail_always("getUpdates", None);
    world.fake.say(7, "back");
    assert_eq!(world.accepted(1).await, ["back"]);
    world.node_until(|node| node.state == NodeState::Running).await;
    world.stop().await;
}

#[tokio::test]
async fn an_account_that_can_not_connect_gives_up_after_ten_retries() {
    let world = World::start().await;
    world.fake.fail_always("getMe", Some(Fault::BadGateway));
    world.run(world.setup()).await;
    let node = world.node_until(|node| node.state == NodeState::Failed).await;
    assert_eq!(world.fake.calls("getMe"), 11, "the first start and ten retries");
    assert_eq!(node.max_attempts, Some(10));
    world.stop().await;
}

#[tokio::test]
async fn a_conflict_is_waited_out_and_the_webhook_removed_again() {
    let world = World::connected().await;
    world.fake.fail_next("getUpdates", Fault::Conflict);
    world.fake.fail_next("getUpdates", Fault::TooManyRequests(0));
    world.fake.cut_polls();
    world.fake.wait_calls("deleteWebhook", 2).await;
    world.fake.say(7, "mine again");
    assert_eq!(world.accepted(1).await, ["mine again"]);
    assert_eq!(world.tree.node(&World::path()).unwrap().restarts, 0);
    world.stop().await;
}

#[tokio::test]
async fn an_update_that_nobody_knows_does_not_stall_the_offset() {
    let world = World::connected().await;
    world.fake.update(json!({"quantum_message": {"from": {"id": 7}, "nested": [1, {"a": null}]}}));
    world.fake.update(json!({"message": {"chat": "not an object", "from": {"id": 7}}}));
    world.fake.message(7, json!({"text": "known", "field_of_tomorrow": {"x": [1]}}));
    let last = world.fake.message(7, json!({"voice": {"file_id": "f"}, "caption": "listen"}));
    assert_eq!(world.accepted(2).await, ["known", "listen\n[voice message: not supported yet]"]);
    world.fake.wait_offset(last + 1).await;
    assert_eq!(world.snapshot().ignored, 2);
    world.stop().await;
}

#[tokio::test]
async fn a_stranger_is_counted_and_not_answered() {
    let world = World::connected().await;
    let update = world.fake.say(8, "let me in");
    world.fake.wait_offset(update + 1).await;
    let node = world.node_until(|node| node.detail.contains_key("strangers")).await;
    assert_eq!(node.detail["strangers"], "1");
    assert!(world.sink.accepted().is_empty() && world.sink.answers().is_empty());
    world.stop().await;
}

#[tokio::test]
async fn groups_edits_and_buttons_are_answered_and_start_greets() {
    let world = World::connected().await;
    world.fake.say_in_group(7, -100, "hello all");
    world.fake.say_in_group(7, -100, "anybody?");
    world.fake.say(7, "/start");
    let last = world.fake.update(json!({"callback_query": {"id": "q", "from": {"id": 7}, "data": "x"}}));
    world.fake.wait_offset(last + 1).await;
    let answers = world.sink.answers();
    assert_eq!(answers.len(), 2, "the group is told once: {answers:?}");
    assert!(answers[1].text.contains("Testbot"));
    assert_eq!(world.fake.calls("answerCallbackQuery"), 1);
    assert!(world.sink.accepted().is_empty());
    world.stop().await;
}

#[tokio::test]
async fn a_long_reply_arrives_in_order_and_whole() {
    let world = World::connected().await;
    let text: String = (0..900).map(|number| format!("word{number} ")).collect();
    world.reply(&text);
    let sent = world.fake.wait_sent(2).await;
    world.outbox.wait_until(|outbox| outbox.done_ids().len() == 1).await;
    let joined = sent.iter().map(|piece| piece.visible.as_str()).collect::<Vec<_>>().join(" ");
    assert_eq!(joined.split_whitespace().collect::<Vec<_>>(), text.split_whitespace().collect::<Vec<_>>());
    assert!(sent.iter().all(|piece| piece.visible.encode_utf16().count() <= 4096));
    world.stop().await;
}

#[tokio::test]
async fn a_message_that_waits_for_a_retry_keeps_its_place_and_holds_up_nobody_else() {
    let world = World::connected().await;
    world.fake.fail_next("sendMessage", Fault::Refuse(500, "Internal Server Error".into()));
    world.outbox.push("7", "first", Clock::system().now_ms());
    world.outbox.push("7", "second", Clock::system().now_ms());
    world.delivery.wake(&lane());
    world.outbox.wait_until(|outbox| outbox.done_ids().len() == 2).await;
    let order: Vec<String> = world.fake.sent().into_iter().map(|sent| sent.text).collect();
    assert_eq!(order, ["first", "second"]);
    world.stop().await;
}

#[tokio::test]
async fn a_reply_cut_off_after_it_arrived_is_sent_again_and_counted() {
    let world = World::connected().await;
    world.fake.fail_next("sendMessage", Fault::CutAfter);
    world.reply("maybe twice");
    world.outbox.wait_until(|outbox| outbox.done_ids().len() == 1).await;
    assert_eq!(world.fake.sent().len(), 2);
    let status = world.delivery.lane(&lane()).unwrap().status().await.unwrap();
    assert_eq!((status.unknown, status.delivered), (1, 1));
    world.stop().await;
}

#[tokio::test]
async fn a_refused_account_holds_the_lane_until_it_is_accepted_again() {
    let world = World::connected().await;
    world.fake.fail_next("sendMessage", Fault::Unauthorized);
    let id = world.reply("patience");
    world.outbox.wait_until(|outbox| outbox.done_ids() == [id]).await;
    assert_eq!(world.fake.sent().len(), 1);
    assert!(world.outbox.log().contains(&format!("retry {id} attempt 0")));
    world.stop().await;
}

#[tokio::test]
async fn a_blocked_bot_gives_the_message_up() {
    let world = World::connected().await;
    world.fake.block(7);
    let id = world.reply("unwanted");
    world.outbox.wait_until(|outbox| !outbox.dead().is_empty()).await;
    assert_eq!(world.outbox.dead()[0].0, id);
    world.stop().await;
}

#[tokio::test]
async fn typing_is_shown_through_the_lane() {
    let world = World::connected().await;
    world.delivery.lane(&lane()).unwrap().typing(ChatKey { to: "7".into(), thread_id: None });
    world.fake.wait_calls("sendChatAction", 1).await;
    world.stop().await;
}

#[tokio::test]
async fn a_drained_lane_has_sent_what_was_ready_and_keeps_what_waits_for_its_time() {
    let world = World::connected().await;
    for text in ["one", "two", "three"] {
        world.reply(text);
    }
    assert!(world.delivery.drain(Duration::from_secs(10)).await.is_empty());
    assert_eq!(world.outbox.done_ids().len(), 3);
    world.fake.fail_next("sendMessage", Fault::TooManyRequests(60));
    world.reply("later");
    assert!(world.delivery.drain(Duration::from_secs(10)).await.is_empty(), "the platform's minute is not waited for");
    assert_eq!(world.outbox.done_ids().len(), 3);
    world.stop().await;
}

#[tokio::test]
async fn a_quiet_lane_says_so() {
    let world = World::connected().await;
    world.fake.fail_next("sendMessage", Fault::Late(Duration::from_millis(100)));
    world.reply("on its way");
    world.fake.wait_calls("sendMessage", 1).await;
    assert!(world.delivery.quiesce(Duration::from_secs(10)).await.is_empty());
    assert_eq!(world.outbox.done_ids().len(), 1);
    world.stop().await;
}

#[tokio::test]
async fn an_account_switched_off_is_stopped_and_stays_visible() {
    let world = World::connected().await;
    let done = world.channels.converge(vec![AccountSetup { enabled: false, ..world.setup() }]).await.unwrap();
    assert_eq!(done.stopped, ["telegram:default"]);
    let snapshot = world.snapshot();
    assert!(!snapshot.enabled && !snapshot.running);
    assert!(world.tree.node(&World::path()).is_none());
    world.stop().await;
}

#[tokio::test]
async fn an_account_stopped_by_hand_stays_stopped_over_a_reload() {
    let world = World::connected().await;
    let (channel, account) = (ChannelId::new("telegram"), AccountId::normalised("default"));
    world.channels.stop(&channel, &account).await.unwrap();
    assert!(!world.snapshot().running);
    world.channels.converge(vec![world.setup_with("9:new", timing())]).await.unwrap();
    assert!(!world.snapshot().running);
    world.channels.converge(vec![world.setup()]).await.unwrap();
    world.channels.start(&channel, &account).await.unwrap();
    world.fake.say(7, "again");
    assert_eq!(world.accepted(1).await, ["again"]);
    world.stop().await;
}

#[tokio::test]
async fn on_the_way_down_nothing_more_comes_in() {
    let world = World::connected().await;
    world.channels.stop_all().await.unwrap();
    assert!(!world.snapshot().running);
    world.fake.say(7, "too late");
    assert_eq!(world.fake.unconfirmed(), 1);
    world.stop().await;
}

#[tokio::test]
async fn an_account_given_up_is_revived_by_the_monitor() {
    let world = World::start().await;
    world.fake.fail_always("getMe", Some(Fault::BadGateway));
    world.run(world.setup()).await;
    world.node_until(|node| node.state == NodeState::Failed).await;
    world.fake.fail_always("getMe", None);
    let clock = Clock::fixed(Clock::system().now_ms());
    let mut monitor = Monitor::default();
    assert_eq!(monitor.check(&world.channels, &clock).await.unwrap(), 1);
    world.fake.say(7, "revived");
    assert_eq!(world.accepted(1).await, ["revived"]);
    assert_eq!(monitor.check(&world.channels, &clock).await.unwrap(), 0);
    world.stop().await;
}

#[tokio::test]
async fn settings_that_can_not_work_fail_visibly_and_heal_with_new_ones() {
    let world = World::start().await;
    let broken = AccountSetup {
        connection: Arc::new(TelegramSettings {
            token: Secret::new("x"),
            api_root: Some("not a url".to_owned()),
            allow: AllowList::default(),
            timing: timing(),
        }),
        ..world.setup()
    };
    world.run(broken).await;
    world.node_until(|node| node.state == NodeState::Failed).await;
    assert!(world.snapshot().last_error.as_deref().unwrap().contains("apiRoot"));
    world.run(world.setup()).await;
    world.reply("works now");
    world.fake.wait_sent(1).await;
    world.stop().await;
}

#[tokio::test]
async fn what_is_shown_never_holds_the_token() {
    let world = World::connected().await;
    world.fake.fail_next("getUpdates", Fault::CutBefore);
    world.fake.cut_polls();
    let node = world.node_until(|node| node.detail.contains_key("last error")).await;
    let shown = format!("{node:?} {:?} {:?}", world.snapshot(), world.channels);
    assert!(!shown.contains("fake-token"), "{shown}");
    world.stop().await;
}

#[tokio::test]
async fn a_message_whose_chat_was_busy_when_the_outbox_was_asked_follows_at_once() {
    let world = World::connected().await;
    world.outbox.set_late(true);
    let created = Clock::system().now_ms();
    let ids = [world.outbox.push("7", "first", created), world.outbox.push("7", "second", created)];
    world.delivery.wake(&lane());
    world.outbox.wait_until(|outbox| outbox.done_ids().len() == ids.len()).await;
    assert_eq!(world.outbox.done_ids(), ids);
    world.stop().await;
}
