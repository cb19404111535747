//! The dashboard against a whole gateway in the test process: nothing here is canned but Telegram.

use std::sync::Arc;

use actors::testing::telegram::FakeTelegram;
use actors::tools::clock::ClockTool;
use actors::tools::{Effect, Tool, ToolCapabilities, ToolContext, ToolError, ToolOutput, ToolRegistry};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use openclawd::daemon::boot;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::Semaphore;

use crate::browser::Browser;
use crate::gateway::{self, Gateway, PATIENCE};
use crate::shots::Shots;

/// A port on loopback that nobody serves.
const CLOSED: &str = "http://127.0.0.1:1";

/// The real `clock`, which answers when the test lets it.
struct HeldClock(Arc<Semaphore>);

impl Tool for HeldClock {
    fn name(&self) -> &'static str {
        ClockTool.name()
    }

    fn description(&self) -> &'static str {
        ClockTool.description()
    }

    fn parameters(&self) -> Value {
        ClockTool.parameters()
    }

    fn capabilities(&self) -> ToolCapabilities {
        ToolCapabilities::OPEN
    }

    fn effect(&self, _: &Value) -> Effect {
        Effect::Pure
    }

    fn call(&self, arguments: Value, context: ToolContext) -> BoxFuture<'static, Result<ToolOutput, ToolError>> {
        let gate = Arc::clone(&self.0);
        async move {
            gate.acquire().await.unwrap().forget();
            ClockTool.call(arguments, context).await
        }
        .boxed()
    }
}

/// A gateway with this configuration; on a port of its own choice unless one is given.
async fn start(home: TempDir, config: &Value, port: Option<u16>, tools: ToolRegistry) -> Gateway {
    std::fs::write(home.path().join("openclaw.json"), config.to_string()).unwrap();
    let mut options = gateway::options(home.path());
    options.args.port = port;
    options.args.chaos = true;
    options.tools = tools;
    let running = boot::boot(boot::prepare(options).unwrap()).await.unwrap();
    Gateway { running, home }
}

fn dashboard(gateway: &Gateway) -> String {
    format!("http://{}/openclawd/", gateway.running.address)
}

/// A browser that has signed in by the address a first start prints.
async fn signed_in(gateway: &Gateway) -> Browser {
    let mut page = Browser::start().await;
    page.dark(false).await;
    page.navigate(&format!("{}#token={}", dashboard(gateway), gateway.token())).await;
    online(&mut page).await;
    page
}

async fn online(page: &mut Browser) {
    page.wait_for("document.querySelector('#app').dataset.link === 'online'").await;
    page.wait_for("document.querySelectorAll('.row').length > 9").await;
}

async fn say(page: &mut Browser, text: &str) {
    page.click("#message").await;
    page.type_text(text).await;
    page.press("Enter").await;
}

/// Waits for the end of the run whose answer has this in it.
async fn answered(page: &mut Browser, part: &str) {
    page.wait_for(&format!(
        "[...document.querySelectorAll('.turn:not(.streaming) .text')].some((text) => text.textContent.includes({}))
         && document.querySelector('#run-status').hidden",
        json!(part)
    ))
    .await;
}

/// The row of the actor whose path has this in it, as a selector.
fn row(part: &str) -> String {
    format!("[data-path*=\"{part}\"]")
}

async fn close(page: Browser, gateway: Gateway) {
    assert_eq!(page.console_errors(), &[] as &[String]);
    page.close().await;
    let (report, _home) = gateway.stop(PATIENCE).await;
    assert_eq!(report.stragglers, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_and_the_actors_it_sets_in_motion() {
    let gate = Arc::new(Semaphore::new(0));
    let tools = ToolRegistry::default().with(Arc::new(HeldClock(Arc::clone(&gate))));
    let gateway = start(TempDir::new().unwrap(), &json!({}), None, tools).await;
    let mut page = signed_in(&gateway).await;
    let shots = Shots::new();
    assert_eq!(page.evaluate("location.hash").await, "", "the token is out of the address");
    assert_eq!(page.text("#model-text").await, "demo/echo");
    page.wait_for("!document.querySelector('#demo-hint').hidden").await;
    shots.take(&mut page, "live-first").await;

    say(&mut page, "slow 12").await;
    page.wait_for("document.querySelector('.turn.streaming .text')?.textContent.startsWith('1 2')").await;
    answered(&mut page, "11 12").await;

    say(&mut page, "What time is it?").await;
    let session = row("/agent:main:main");
    page.wait_for(&format!("document.querySelector('{}')", row("/tool:"))).await;
    let states = "[...document.querySelectorAll('[data-path]')].map((row) => row.dataset.path)
        .filter((path) => path.includes('/agent:main:main')).map((path) => path.split('/').at(-1).split(':')[0])";
    assert_eq!(page.evaluate(states).await, json!(["agent", "run", "tool"]));
    page.wait_for("document.querySelector('#run-status-text').textContent.startsWith('Using clock')").await;
    assert_eq!(page.text(".turn.streaming .tool .tool-name").await, "clock");
    shots.take(&mut page, "live-tool").await;
    // Somebody who opens the page in the middle of it sees the same, and the rest of it.
    page.navigate("about:blank").await;
    page.navigate(&dashboard(&gateway)).await;
    online(&mut page).await;
    page.wait_for("document.querySelector('#run-status-text').textContent.startsWith('Using clock')").await;
    assert_eq!(page.evaluate("document.querySelectorAll('.turn').length").await, 2);
    gate.add_permits(1);
    answered(&mut page, "The tool clock says: 20").await;
    page.wait_for(&format!("!document.querySelector('{}')", row("/run:"))).await;
    page.wait_for("document.querySelector('.tool .dot').dataset.tone === 'ok'").await;
    shots.take(&mut page, "live-chat").await;

    page.wait_for(&format!("document.querySelector('{session} .cell-mailbox').textContent === '0/256'")).await;
    page.wait_for("document.querySelectorAll('[data-path*=\"/conn:\"]').length === 1").await;
    page.wait_for("[...document.querySelectorAll('.kind')].some((kind) => kind.textContent === 'this page')").await;
    assert_eq!(page.text(&format!("{session} .state")).await, "running");
    page.evaluate(&format!("document.querySelector('{session}').mark = 'same element'")).await;
    page.click(&format!("{session} .restart")).await;
    page.wait_for(&format!(
        "document.querySelector('{session} .cell-restarts .number').title.endsWith('incarnation 2')"
    ))
    .await;
    page.wait_for(&format!("document.querySelector('{session} .state').textContent === 'running'")).await;
    assert_eq!(page.evaluate(&format!("document.querySelector('{session}').mark")).await, "same element");
    say(&mut page, "still there?").await;
    answered(&mut page, "You said: still there?").await;
    assert_eq!(page.evaluate("document.querySelectorAll('.turn').length").await, 3);
    close(page, gateway).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_that_cannot_connect_say_why_and_when_they_are_tried_again() {
    let telegram = FakeTelegram::start().await;
    let config = json!({ "channels": { "telegram": { "accounts": {
        "family": { "botToken": telegram.token(), "apiRoot": telegram.api_root(), "allowFrom": ["7"] },
        "revoked": { "botToken": "4242:revoked", "apiRoot": telegram.api_root() },
        "unreachable": { "botToken": "4343:unreachable", "apiRoot": CLOSED },
    } } } });
    let gateway = start(TempDir::new().unwrap(), &config, None, ToolRegistry::built_in()).await;
    let mut page = signed_in(&gateway).await;
    let shots = Shots::new();

    let failed = row("channels/telegram:revoked");
    page.wait_for(&format!("document.querySelector('{failed} .state').textContent === 'failed'")).await;
    let why = page.text(&format!("{failed} .note-text")).await;
    assert!(why.contains("refuses the bot token (401)"), "{why}");

    let down = row("channels/telegram:unreachable");
    let state = format!("document.querySelector('{down} .state').textContent");
    let counting = page.wait_for(&format!("{state}.startsWith('backing off · ') && {state}")).await;
    page.wait_for(&format!(
        "{state}.startsWith('backing off') && parseFloat({state}.slice(14)) < parseFloat({counting}.slice(14))"
    ))
    .await;
    let why = page.text(&format!("{down} .note-text")).await;
    assert!(why.starts_with("attempt ") && why.contains(" of 10 · connection lost: "), "{why}");
    assert!(why.ends_with("getMe: no connection: Connection refused (os error 111)"), "{why}");
    page.wait_for("document.querySelector('#trouble-text').textContent === '1 failed · 1 backing off'").await;
    page.wait_for(&format!(
        "document.querySelector('{} .state').textContent === 'running'",
        row("channels/telegram:family")
    ))
    .await;
    telegram.say(7, "hello from the family");
    answered(&mut page, "You said: hello from the family").await;

    page.click(&format!("{down} .name")).await;
    page.wait_for("document.querySelectorAll('.exits li').length > 0").await;
    shots.take(&mut page, "live-backoff").await;
    page.click(&format!("{failed} .name")).await;
    page.wait_for("document.querySelector('#inspector .state').textContent === 'failed'").await;
    page.wait_for("document.querySelector('.exits').textContent.includes('401')").await;
    shots.take(&mut page, "live-failed").await;
    page.dark(true).await;
    shots.take(&mut page, "live-failed-dark").await;
    page.viewport(390, 844, true).await;
    page.click("#tab-tree").await;
    shots.take(&mut page, "live-phone-dark").await;
    page.dark(false).await;
    page.click("#inspector [aria-label=Close]").await;
    shots.take(&mut page, "live-phone").await;
    assert_eq!(page.evaluate("document.querySelector('#grid').scrollWidth <= 390").await, true);

    // The bot gets its token back, and somebody says so.
    telegram.set_token("4242:revoked");
    page.viewport(1400, 900, false).await;
    page.click(&format!("{failed} .restart")).await;
    page.wait_for(&format!("document.querySelector('{failed} .state').textContent === 'running'")).await;
    close(page, gateway).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_token_is_explained_and_a_gateway_that_was_away_is_found_again() {
    let gateway = start(TempDir::new().unwrap(), &json!({}), None, ToolRegistry::built_in()).await;
    let mut page = Browser::start().await;
    let shots = Shots::new();
    page.navigate(&format!("{}#token=nonsense", dashboard(&gateway))).await;
    page.wait_for("document.querySelector('#gate-error').textContent.includes(\"not the gateway's\")").await;
    shots.take(&mut page, "live-sign-in").await;
    page.click("#token").await;
    page.type_text(&gateway.token()).await;
    page.press("Enter").await;
    online(&mut page).await;
    say(&mut page, "before").await;
    answered(&mut page, "You said: before").await;

    let port = gateway.running.address.port();
    let (report, home) = gateway.stop(PATIENCE).await;
    assert_eq!(report.stragglers, Vec::<String>::new());
    page.wait_for("document.querySelector('#app').dataset.link === 'waiting'").await;
    let banner = page.text("#banner-text").await;
    assert!(banner.contains("Trying again in"), "{banner}");
    shots.take(&mut page, "live-away").await;
    let gateway = start(home, &json!({}), Some(port), ToolRegistry::built_in()).await;
    page.wait_for("document.querySelector('#app').dataset.link === 'online'").await;
    page.wait_for("document.querySelector('#banner').hidden").await;
    page.wait_for("document.querySelector('#grid').ariaBusy === 'false'").await;
    say(&mut page, "after").await;
    answered(&mut page, "You said: after").await;
    assert_eq!(page.evaluate("document.querySelectorAll('.question').length").await, 2);
    // While it was away, nobody was there to be asked; everything else would be a mistake.
    let others: Vec<&String> =
        page.console_errors().iter().filter(|error| !error.contains("ERR_CONNECTION_REFUSED")).collect();
    assert_eq!(others, Vec::<&String>::new());
    page.close().await;
    gateway.stop(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_actor_that_panics_comes_back_and_shows_where_it_happened() {
    use supervision::chaos::Fault;
    use supervision::tree::Query;

    let gateway = start(TempDir::new().unwrap(), &json!({}), None, ToolRegistry::built_in()).await;
    let mut page = signed_in(&gateway).await;
    page.evaluate("sessionStorage.setItem('openclawd.session', 'agent:main:panics')").await;
    page.navigate("about:blank").await;
    page.navigate(&dashboard(&gateway)).await;
    online(&mut page).await;
    say(&mut page, "one").await;
    answered(&mut page, "You said: one").await;
    let session = row("/agent:main:panics");
    page.wait_for(&format!("document.querySelector('{session} .state').textContent === 'running'")).await;

    let nodes = gateway.running.tree.snapshot(&Query::default()).nodes;
    let path = nodes.into_iter().find(|node| node.name == "agent:main:panics").unwrap().path.clone();
    gateway.chaos().inject(path, Fault::Panic).unwrap();
    say(&mut page, "two").await;
    answered(&mut page, "You said: two").await;
    page.wait_for(&format!("document.querySelector('{session} .cell-restarts .number').textContent === '↻ 1'")).await;
    let note = format!("document.querySelector('{session} .note-text').textContent");
    page.wait_for(&format!("{note}.startsWith('last fault ') && {note}.endsWith('panic: injected panic')")).await;
    let place = page.text(&format!("{session} .note-where")).await;
    assert!(place.starts_with("supervision/src/chaos.rs:"), "{place}");
    page.click(&format!("{session} .name")).await;
    page.wait_for("document.querySelector('.exits').textContent.includes('injected panic')").await;
    Shots::new().take(&mut page, "live-panic").await;
    assert_eq!(page.evaluate("document.querySelectorAll('.question').length").await, 2);
    close(page, gateway).await;
}
