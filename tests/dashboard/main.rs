//! The dashboard in a real browser, against a gateway of canned answers and against a whole one.
//!
//! `SCREENSHOTS=<folder>` keeps the pictures that are taken on the way.

#[cfg(test)]
#[path = "../support/browser.rs"]
mod browser;
#[cfg(test)]
mod fake;
#[cfg(test)]
#[expect(dead_code, reason = "other tests speak to the gateway as clients, these by the page")]
#[path = "../support/gateway.rs"]
mod gateway;
#[cfg(test)]
mod live;
#[cfg(test)]
mod scene;
#[cfg(test)]
mod shots;

#[cfg(test)]
mod behaviour {
    use serde_json::{Value, json};

    use crate::browser::Browser;
    use crate::fake::{Canned, Fake, Requests, TOKEN, now_ms};
    use crate::scene;
    use crate::shots::Shots;

    /// Serves the dashboard, opens it signed in, runs the test, and holds the page to having had nothing to complain about.
    async fn with_dashboard<T>(canned: Canned, test: T)
    where
        T: AsyncFnOnce(&mut Browser, Fake, &mut Requests),
    {
        Fake::serve(canned, async |fake, mut requests| {
            let mut page = Browser::start().await;
            page.navigate(&format!("{}#token={TOKEN}", fake.dashboard())).await;
            page.wait_for("document.querySelector('#app').dataset.link === 'online'").await;
            test(&mut page, fake, &mut requests).await;
            assert_eq!(page.console_errors(), &[] as &[String]);
            page.close().await;
        })
        .await;
    }

    fn chat_event(run: &str, state: &str, extra: Value) -> Value {
        let mut event =
            json!({ "runId": run, "sessionKey": "agent:main:main", "agentId": "main", "seq": 1, "state": state });
        for (key, value) in extra.as_object().unwrap() {
            event[key] = value.clone();
        }
        event
    }

    fn agent_event(run: &str, stream: &str, data: Value) -> Value {
        json!({ "runId": run, "sessionKey": "agent:main:main", "seq": 1, "ts": 1, "stream": stream, "data": data })
    }

    async fn say(page: &mut Browser, text: &str) {
        page.click("#message").await;
        page.type_text(text).await;
        page.press("Enter").await;
    }

    /// The row of an actor, by the end of its path.
    fn row(path: &str) -> String {
        format!("[data-path$=\"{path}\"]")
    }

    #[tokio::test]
    async fn reducers_hold_their_properties() {
        Fake::serve(scene::canned(scene::calm_tree()), async |fake, _requests| {
            let mut page = Browser::start().await;
            page.navigate(&fake.test_file("blank.html")).await;
            let results = page.evaluate("import('/test/reducers.js').then((tests) => tests.run())").await;
            let results = results.as_array().unwrap();
            let failed: Vec<&Value> = results.iter().filter(|result| result["error"].is_string()).collect();
            assert!(failed.is_empty(), "{}", serde_json::to_string_pretty(&failed).unwrap());
            assert!(results.len() >= 20, "only {} checks ran", results.len());
            page.close().await;
        })
        .await;
    }

    #[tokio::test]
    async fn chat_streams_and_ends() {
        with_dashboard(scene::canned(scene::calm_tree()), async |page, fake, requests| {
            assert_eq!(page.evaluate("location.hash").await, "", "the token is out of the address");
            say(page, "what is up?").await;
            let sent = requests.next("chat.send").await;
            assert_eq!(sent["sessionKey"], "agent:main:main");
            assert_eq!(sent["message"], "what is up?");
            let run = sent["idempotencyKey"].as_str().unwrap().to_owned();
            page.wait_for("!document.querySelector('#run-status').hidden").await;

            fake.event("chat", chat_event(&run, "delta", json!({ "deltaText": "All " }))).await;
            assert_eq!(page.text(".turn.streaming .text").await, "All");
            fake.event("chat", chat_event(&run, "delta", json!({ "deltaText": "is well" }))).await;
            page.wait_for("document.querySelector('.turn .text')?.textContent === 'All is well'").await;
            fake.event("chat", chat_event(&run, "delta", json!({ "deltaText": "Nothing is up", "replace": true })))
                .await;
            page.wait_for("document.querySelector('.turn .text')?.textContent === 'Nothing is up'").await;
            let message = json!({ "role": "assistant", "content": [{ "type": "text", "text": "Nothing is up." }] });
            fake.event("chat", chat_event(&run, "final", json!({ "message": message }))).await;
            page.wait_for("document.querySelector('.turn:not(.streaming) .text')?.textContent === 'Nothing is up.'")
                .await;
            page.wait_for("document.querySelector('#run-status').hidden").await;
        })
        .await;
    }

    #[tokio::test]
    async fn tools_are_shown_and_a_run_can_be_stopped() {
        with_dashboard(scene::canned(scene::calm_tree()), async |page, fake, requests| {
            say(page, "list the folder").await;
            let run = requests.next("chat.send").await["idempotencyKey"].as_str().unwrap().to_owned();
            let start =
                json!({ "phase": "start", "name": "exec", "toolCallId": "t1", "args": { "command": "ls -la" } });
            fake.event("agent", agent_event(&run, "tool", start)).await;
            assert_eq!(page.text(".tool .tool-brief").await, "ls -la");
            page.wait_for("document.querySelector('#run-status-text').textContent.startsWith('Using exec')").await;
            let result = json!({ "content": [{ "type": "text", "text": "a.txt" }] });
            let data =
                json!({ "phase": "result", "name": "exec", "toolCallId": "t1", "isError": true, "result": result });
            fake.event("agent", agent_event(&run, "tool", data)).await;
            page.wait_for("document.querySelector('.tool .dot').dataset.tone === 'error'").await;

            page.click("#stop").await;
            assert_eq!(requests.next("chat.abort").await["sessionKey"], "agent:main:main");
            fake.event("chat", chat_event(&run, "aborted", json!({ "stopReason": "rpc" }))).await;
            assert_eq!(page.text(".turn .end:not([hidden])").await, "Stopped.");

            say(page, "once more").await;
            let run = requests.next("chat.send").await["idempotencyKey"].as_str().unwrap().to_owned();
            let error = json!({ "errorMessage": "the model is overloaded", "errorKind": "rate_limit" });
            fake.event("chat", chat_event(&run, "error", error)).await;
            assert_eq!(page.text(".turn .end[data-tone=error]").await, "the model is overloaded");
        })
        .await;
    }

    #[tokio::test]
    async fn foreign_text_never_becomes_markup() {
        let nasty =
            "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script> **bold** `<b>`";
        let mut canned = scene::canned(scene::calm_tree());
        canned.history = vec![
            json!({ "role": "user", "content": nasty, "timestamp": 1, "idempotencyKey": "r:user" }),
            json!({ "role": "assistant", "timestamp": 2, "stopReason": "stop", "content": [{ "type": "text", "text": nasty }] }),
        ];
        canned.tree["nodes"][1]["label"] = json!(nasty);
        canned.tree["nodes"][1]["busy"] = json!({ "what": nasty, "sinceMs": 0 });
        canned.sessions.push(json!({ "key": "agent:main:x", "label": nasty }));
        with_dashboard(canned, async |page, _fake, _requests| {
            page.wait_for("document.querySelector('.turn .text strong')?.textContent === 'bold'").await;
            page.wait_for(&format!(
                "document.querySelector('{} .name').textContent.includes('<img')",
                row("telemetry")
            ))
            .await;
            assert_eq!(page.evaluate("document.querySelectorAll('img, main script').length").await, 0);
            assert_eq!(page.evaluate("document.title").await, "openclawd");
        })
        .await;
    }

    #[tokio::test]
    async fn tree_row_follows_a_patch_without_reload() {
        with_dashboard(scene::canned(scene::calm_tree()), async |page, fake, _requests| {
            let telegram = row("telegram:default");
            assert_eq!(page.text(&format!("{telegram} .state")).await, "running");
            page.evaluate(&format!("document.querySelector('{telegram}').mark = 'same element'")).await;
            let fields = scene::backing_off(now_ms(), 50_000);
            let ops = json!([{ "op": "patch", "id": scene::TELEGRAM, "fields": fields }]);
            fake.event("tree.delta", json!({ "epoch": 7, "seq": 101, "ops": ops })).await;
            let state = format!("document.querySelector('{telegram} .state').textContent");
            let counting = page.wait_for(&format!("{state}.startsWith('backing off · ') && {state}")).await;
            let note = page.text(&format!("{telegram} .note-text")).await;
            assert!(note.starts_with("attempt 3 of 10 · panic: index out of bounds"), "{note}");
            assert_eq!(
                page.text(&format!("{telegram} .note-where")).await,
                "actors/src/channels/telegram/poll.rs:214:31"
            );
            assert_eq!(page.evaluate(&format!("document.querySelector('{telegram}').mark")).await, "same element");
            page.wait_for(&format!("parseFloat({state}.slice(14)) < parseFloat({counting}.slice(14))")).await;
            assert_eq!(page.text("#trouble-text").await, "1 backing off");
            page.wait_for(&format!(
                "document.querySelector('{} > .cell-name > .dot').dataset.below === 'warn'",
                row("channels")
            ))
            .await;

            let fields = json!({ "state": "running", "nextAt": null, "attempt": 0, "incarnation": 5 });
            let ops = json!([{ "op": "patch", "id": scene::TELEGRAM, "fields": fields }]);
            fake.event("tree.delta", json!({ "epoch": 7, "seq": 102, "ops": ops })).await;
            page.wait_for(&format!("document.querySelector('{telegram} .state').textContent === 'running'")).await;
        })
        .await;
    }

    #[tokio::test]
    async fn a_hole_in_the_deltas_brings_a_new_snapshot() {
        with_dashboard(scene::canned(scene::calm_tree()), async |page, fake, requests| {
            requests.next("tree.snapshot").await;
            page.text(&format!("{} .state", row("store"))).await;
            fake.canned(|canned| {
                canned.tree["seq"] = json!(140);
                let nodes = canned.tree["nodes"].as_array_mut().unwrap();
                nodes.iter_mut().find(|node| node["id"] == scene::STORE).unwrap()["state"] = json!("suspended");
            });
            fake.event("tree.delta", json!({ "epoch": 7, "seq": 120, "ops": [] })).await;
            requests.next("tree.snapshot").await;
            page.wait_for(&format!("document.querySelector('{} .state').textContent === 'suspended'", row("store")))
                .await;
        })
        .await;
    }

    #[tokio::test]
    async fn restart_button_asks_the_gateway_and_first_asks_the_user_where_it_matters() {
        with_dashboard(scene::canned(scene::busy_tree()), async |page, _fake, requests| {
            page.click(&format!("{} .restart", row("telegram:default"))).await;
            let act = requests.next("tree.act").await;
            assert_eq!(act, json!({ "path": "root/core/channels/telegram:default", "action": "restart" }));

            page.click(&format!("{} .name", row("core/sessions"))).await;
            page.wait_for("document.querySelector('#inspector .buttons')?.textContent.includes('Restart')").await;
            page.click("#inspector .buttons .primary").await;
            page.wait_for("document.querySelector('#confirm').open").await;
            page.click("#confirm-yes").await;
            let act = requests.next("tree.act").await;
            assert_eq!(act, json!({ "path": "root/core/sessions", "action": "restart" }));
        })
        .await;
    }

    #[tokio::test]
    async fn tree_is_walked_by_keys_collapsed_and_filtered() {
        with_dashboard(scene::canned(scene::busy_tree()), async |page, _fake, _requests| {
            let group = page.text(&format!("{} .group", row("sessions/1"))).await;
            assert_eq!(group, "46: 1 restarting, 45 running");
            page.click(&format!("{} .name", row("sessions/1"))).await;
            page.press("ArrowRight").await;
            page.wait_for(&format!("document.querySelector('{}').ariaExpanded === 'true'", row("sessions/1"))).await;
            page.press("ArrowDown").await;
            page.wait_for("document.activeElement.dataset.path.includes('sessions/1/agent:main:telegram')").await;
            page.press("ArrowLeft").await;
            page.press("ArrowLeft").await;
            page.wait_for(&format!("document.querySelector('{}').ariaExpanded === 'false'", row("sessions/1"))).await;

            page.press("/").await;
            page.wait_for("document.activeElement.id === 'filter'").await;
            page.type_text("token revoked").await;
            page.wait_for("document.querySelector('#tree-summary').textContent.startsWith('1 of ')").await;
            let names = "[...document.querySelectorAll('.row .name')].map((name) => name.textContent).join(' ')";
            assert_eq!(page.evaluate(names).await, "root core channels telegram:family");
            page.press("Escape").await;
            page.click("#trouble").await;
            page.wait_for("document.querySelector('#tree-summary').textContent.startsWith('3 of ')").await;
        })
        .await;
    }

    #[tokio::test]
    async fn a_wrong_token_is_explained_and_the_right_one_lets_in() {
        Fake::serve(scene::canned(scene::calm_tree()), async |fake, mut requests| {
            let mut page = Browser::start().await;
            page.navigate(&fake.dashboard()).await;
            assert_eq!(page.text("#gate-title").await, "Sign in");
            requests.next("connect").await;
            page.wait_for("document.activeElement.id === 'token'").await;
            page.type_text("wrong").await;
            page.press("Enter").await;
            assert_eq!(requests.next("connect").await["auth"]["token"], "wrong");
            page.wait_for("document.querySelector('#gate-error').textContent.includes(\"not the gateway's\")").await;
            page.type_text(TOKEN).await;
            page.press("Enter").await;
            page.wait_for("document.querySelector('#app').dataset.link === 'online'").await;
            assert_eq!(page.evaluate("document.querySelector('#gate').checkVisibility()").await, false);

            page.evaluate("sessionStorage.clear()").await;
            page.navigate("about:blank").await;
            page.navigate(&fake.dashboard()).await;
            page.wait_for("document.querySelector('#app').dataset.link === 'online'").await;
            let again = async { (requests.next("connect").await, requests.next("connect").await) }.await;
            assert_eq!(again.1["auth"]["deviceToken"], "device-token", "the device signs in by itself later");
            assert_eq!(again.0["device"]["id"], again.1["device"]["id"], "and keeps its key");
            page.close().await;
        })
        .await;
    }

    #[tokio::test]
    async fn it_comes_back_after_a_cut_and_sends_what_was_under_way_again() {
        with_dashboard(scene::canned(scene::calm_tree()), async |page, fake, requests| {
            requests.next("tree.snapshot").await;
            fake.canned(|canned| canned.mute.push("chat.send"));
            say(page, "do not lose me").await;
            let first = requests.next("chat.send").await;
            fake.canned(|canned| {
                canned.mute.clear();
                canned.accepting = false;
            });
            fake.cut().await;
            page.wait_for("document.querySelector('#app').dataset.link === 'waiting'").await;
            let banner = page.text("#banner-text").await;
            assert!(banner.contains("Trying again in"), "{banner}");
            fake.canned(|canned| canned.accepting = true);
            page.wait_for("document.querySelector('#app').dataset.link === 'online'").await;
            page.wait_for("document.querySelector('#banner').hidden").await;
            requests.next("tree.subscribe").await;
            requests.next("tree.snapshot").await;
            let second = requests.next("chat.send").await;
            assert_eq!(second, first, "same message, same key");
            page.wait_for("document.querySelectorAll('.question[data-delivery=sent]').length === 1").await;
            assert_eq!(page.evaluate("document.querySelectorAll('.question').length").await, 1);
        })
        .await;
    }

    #[tokio::test]
    async fn a_phone_shows_one_pane_at_a_time() {
        with_dashboard(scene::canned(scene::busy_tree()), async |page, _fake, _requests| {
            page.viewport(390, 844, true).await;
            page.wait_for("document.querySelector('#tab-tree').checkVisibility()").await;
            assert_eq!(page.evaluate("document.querySelector('.pane.tree').checkVisibility()").await, false);
            page.click("#tab-tree").await;
            page.wait_for("document.querySelector('.pane.tree').checkVisibility()").await;
            assert_eq!(page.evaluate("document.querySelector('.pane.chat').checkVisibility()").await, false);
            assert_eq!(page.evaluate("document.documentElement.scrollWidth <= 390").await, true);
            assert_eq!(page.evaluate("document.querySelector('#grid').scrollWidth <= 390").await, true);
        })
        .await;
    }

    #[tokio::test]
    async fn it_looks_the_part() {
        let mut canned = scene::canned(scene::busy_tree());
        canned.history = scene::history();
        with_dashboard(canned, async |page, fake, _requests| {
            let shots = Shots::new();
            fake.event("chat", chat_event("r2", "status", json!({ "phase": "starting_model" }))).await;
            let start =
                json!({ "phase": "start", "name": "cron_add", "toolCallId": "t9", "args": { "at": "0 7 * * *" } });
            fake.event("agent", agent_event("r2", "tool", start)).await;
            let text = "Done: the check runs every morning at seven and writes to you only when";
            fake.event("chat", chat_event("r2", "delta", json!({ "deltaText": text }))).await;
            page.wait_for(
                "document.querySelectorAll('.turn').length === 2 && document.querySelectorAll('.row').length > 9",
            )
            .await;
            for (name, width, dark) in [("desktop", 1400, false), ("desktop-dark", 1400, true)] {
                page.viewport(width, 900, false).await;
                page.dark(dark).await;
                assert!(shots.take(page, name).await > 20_000);
            }
            page.click(&format!("{} .name", row("telegram:default"))).await;
            page.wait_for("document.querySelectorAll('.exits li').length === 2").await;
            shots.take(page, "inspector-dark").await;
            page.dark(false).await;
            shots.take(page, "inspector").await;
            page.click(&format!("{} .restart", row("core"))).await;
            page.wait_for("document.querySelector('#confirm').open").await;
            shots.take(page, "confirm").await;
            page.press("Escape").await;
            page.wait_for("!document.querySelector('#confirm').open").await;
            page.click("#inspector [aria-label=Close]").await;
            page.viewport(390, 844, true).await;
            shots.take(page, "phone-chat").await;
            page.click("#tab-tree").await;
            shots.take(page, "phone-tree").await;
            page.dark(true).await;
            page.click(&format!("{} .name", row("telegram:default"))).await;
            page.wait_for("document.querySelectorAll('.exits li').length === 2").await;
            shots.take(page, "phone-inspector-dark").await;

            page.viewport(1400, 900, false).await;
            page.dark(false).await;
            fake.canned(|canned| {
                canned.model = ("demo", "demo-1");
                canned.history.clear();
            });
            page.navigate("about:blank").await;
            page.navigate(&fake.dashboard()).await;
            page.wait_for("document.querySelectorAll('.row').length > 9").await;
            page.click("#demo-hint summary").await;
            shots.take(page, "demo").await;
            fake.canned(|canned| canned.accepting = false);
            fake.cut().await;
            page.wait_for("document.querySelector('#app').dataset.link === 'waiting'").await;
            shots.take(page, "disconnected").await;
            fake.canned(|canned| canned.accepting = true);
            page.wait_for("document.querySelector('#app').dataset.link === 'online'").await;
            page.click("#sign-out").await;
            page.wait_for("document.querySelector('#gate').checkVisibility()").await;
            shots.take(page, "sign-in").await;
        })
        .await;
    }
}
