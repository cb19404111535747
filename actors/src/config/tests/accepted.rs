use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::config::known::KNOWN;
use crate::config::token;
use crate::ids::{AccountId, AgentId};

#[test]
fn no_file_means_defaults() {
    let snapshot = Place::new().load();
    assert!(!snapshot.exists);
    assert_eq!(*snapshot.config, Config::default());
    assert_eq!(snapshot.config.gateway.port, 18789);
    assert_eq!(snapshot.config.gateway.bind, Bind::Loopback);
    assert_eq!(snapshot.config.agents.ids(), [AgentId::normalised("main")]);
    assert!(snapshot.warnings.is_empty());
    assert_eq!(*Place::with("{}").load().config, Config::default());
}

#[test]
fn prompts_blocks_and_histories_can_be_set_and_agents_have_their_own() {
    let place = Place::with(
        r#"{ agents: { defaults: {
            bootstrapMaxChars: 100, contextInjection: "never", silentReply: { group: "disallow" },
            startupContext: { enabled: false },
            compaction: { enabled: false, mode: "default", qualityGuard: { enabled: false }, memoryFlush: { softThresholdTokens: 5 } },
            blockStreamingDefault: "on", blockStreamingChunk: { minChars: 10, maxChars: 20, breakPreference: "sentence" },
            blockStreamingCoalesce: { minChars: 1500 },
        }, entries: { main: {}, work: { bootstrapMaxChars: 7, contextInjection: "always" } } } }"#,
    );
    let snapshot = place.load();
    assert_eq!(snapshot.warnings, [""; 0]);
    let agents = &snapshot.config.agents;
    let main = agents.prompt_of(&AgentId::normalised("main"));
    assert_eq!((main.file_chars, main.injection, main.total_chars), (100, ContextInjection::Never, 60_000));
    assert!(!main.group_silence && main.internal_silence && main.startup.days == 0);
    let work = agents.prompt_of(&AgentId::normalised("work"));
    assert_eq!((work.file_chars, work.injection), (7, ContextInjection::Always));
    let compaction = &agents.defaults.compaction;
    assert!(!compaction.enabled && !compaction.safeguard && compaction.quality_retries.is_none());
    assert_eq!((compaction.flush.soft_tokens, compaction.keep_recent_tokens), (5, 20_000));
    let blocks = &agents.defaults.blocks;
    assert_eq!((blocks.min_chars, blocks.max_chars, blocks.prefer), (1500, 1500, BreakPreference::Sentence));
}

#[test]
fn an_everyday_file_is_read_without_a_word() {
    let place = Place::with(
        r#"{
          // my gateway
          $schema: "https://example.org/schema.json",
          meta: { lastTouchedVersion: "2026.9.6" },
          gateway: {
            mode: "local", port: 0x4965, bind: "custom", customBindHost: "192.168.1.5",
            auth: { mode: "token", token: "${TOKEN}", rateLimit: { maxAttempts: 3, windowMs: 1000, lockoutMs: 2e3, exemptLoopback: false } },
            controlUi: { basePath: "/ui/", root: "ui", allowedOrigins: ["https://Chat.Example.org/", "*"] },
            nodes: { pairing: { autoApproveLocal: false } }, reload: { mode: "hot" },
          },
          agents: {
            defaults: { model: { primary: "anthropic/a", fallbacks: ["openai/b"] }, workspace: "~/ws", timeoutSeconds: 60, maxConcurrent: 4 },
            entries: { main: { name: "Main" }, work: { default: true, model: "demo/echo", workspace: "/w" } },
          },
          models: { providers: { mine: {
            baseUrl: "http://127.0.0.1:9/v1/", apiKey: "k", api: "openai-completions", headers: { "X-A": "b" }, authHeader: true, timeoutSeconds: 5,
            models: [{ id: "m" }, { id: "n", name: "N", reasoning: true, input: ["text", "image"], contextWindow: 10, maxTokens: 5, cost: { input: 1.5, output: 2, cacheRead: .1, cacheWrite: 0 } }],
          } } },
          channels: { telegram: { botToken: "1:a", allowFrom: [77, "tg:78"], dmPolicy: "allowlist" } },
          session: { dmScope: "per-peer", scope: "global", mainKey: "main" },
          logging: { level: "debug", consoleLevel: "warn", consoleStyle: "json", file: "/l", maxFileBytes: 4096 },
        }"#,
    )
    .env("HOME", "/home/me")
    .env("TOKEN", "secret");
    let snapshot = place.load();
    assert_eq!(snapshot.warnings, [""; 0]);
    let config = &snapshot.config;

    assert_eq!(config.gateway.port, 0x4965);
    assert_eq!(config.gateway.bind, Bind::Custom("192.168.1.5".parse().unwrap()));
    assert!(config.gateway.auth.token.as_ref().unwrap().matches("secret"));
    assert_eq!(config.gateway.auth.rate_limit.lockout, Duration::from_secs(2));
    assert_eq!(config.gateway.control_ui.base_path, "/ui");
    assert_eq!(config.gateway.control_ui.root, Some(place.path("ui")));
    assert_eq!(config.gateway.control_ui.allowed_origins, ["https://chat.example.org", "*"]);
    assert_eq!(config.gateway.reload, ReloadMode::Hot);
    assert!(!config.gateway.nodes_auto_approve_local);

    let work = AgentId::normalised("work");
    assert_eq!(config.agents.default_agent(), work);
    assert_eq!(config.agents.model_of(&work).primary.as_deref(), Some("demo/echo"));
    assert_eq!(config.agents.model_of(&AgentId::normalised("main")).fallbacks, ["openai/b"]);
    assert_eq!(config.agents.defaults.workspace, Some("/home/me/ws".into()));
    assert_eq!(
        config.agents.workspace_of(&AgentId::normalised("main"), Path::new("/s")),
        Path::new("/home/me/ws/main")
    );
    assert_eq!(config.agents.workspace_of(&work, Path::new("/s")), Path::new("/w"));

    let mine = &config.models.providers["mine"];
    assert_eq!(mine.base_url.as_deref(), Some("http://127.0.0.1:9/v1"));
    assert_eq!(
        (mine.models[0].name.as_str(), mine.models[0].context_window, mine.models[0].max_tokens),
        ("m", 200_000, 8192)
    );
    assert_eq!(mine.models[1].cost, ModelCost { input: 1.5, output: 2.0, cache_read: 0.1, cache_write: 0.0 });

    let telegram = config.channels.telegram.as_ref().unwrap();
    assert_eq!(telegram.accounts[&AccountId::normalised("")].allow_from, ["77", "78"]);
    assert_eq!((config.session.dm_scope, config.session.scope), (DmScope::PerPeer, SessionScope::Global));
    assert_eq!(config.logging.console_style, ConsoleStyle::Json);
}

#[test]
fn the_example_of_the_documentation_is_read() {
    let page = include_str!("../../../../docs/configuration.md");
    let example = page.split("```json5\n").nth(1).unwrap().split("```").next().unwrap();
    let snapshot = Place::with(example).env("OPENROUTER_API_KEY", "k").env("TELEGRAM_BOT_TOKEN", "t").load();
    assert_eq!(snapshot.warnings, [""; 0]);
    assert_eq!(snapshot.config.agents.ids().len(), 2);
}

#[test]
fn the_older_list_of_agents_is_read() {
    let config = config("{ agents: { list: [{ id: 'Home', name: 'H' }, { id: 'work', default: true }] } }");
    assert_eq!(config.agents.ids(), [AgentId::normalised("home"), AgentId::normalised("work")]);
    assert_eq!(config.agents.default_agent().as_str(), "work");
}

#[test]
fn what_is_not_implemented_is_named_once() {
    let text = "{ cron: { enabled: true }, channels: { discord: { token: 'x' }, telegram: { proxy: 'p' } }, gateway: { tls: { enabled: false }, mode: 'local' } }";
    let snapshot = Place::with(text).load();
    assert_eq!(snapshot.warnings.len(), 1, "{:?}", snapshot.warnings);
    let warning = &snapshot.warnings[0];
    assert!(warning.ends_with(": cron, channels.discord, channels.telegram.proxy, gateway.tls"), "{warning}");
    assert_eq!(snapshot.authored["channels"]["discord"]["token"], "x");
}

#[test]
fn a_missing_variable_costs_only_its_value() {
    let text =
        "{ models: { providers: { a: { apiKey: '${NOPE}', baseUrl: 'http://h' } } }, gateway: { port: '${P}' } }";
    let snapshot = Place::with(text).load();
    let provider = &snapshot.config.models.providers["a"];
    assert_eq!((provider.api_key.clone(), provider.base_url.as_deref()), (None, Some("http://h")));
    assert_eq!(snapshot.config.gateway.port, 18789);
    assert_eq!(snapshot.warnings.len(), 2);
    assert!(snapshot.warnings[0].contains(":1:39 models.providers.a.apiKey: NOPE"), "{:?}", snapshot.warnings);
    assert_eq!(snapshot.authored["models"]["providers"]["a"]["apiKey"], "${NOPE}");
}

#[test]
fn variables_come_from_process_then_dotenv_then_the_file() {
    let text = "{ env: { vars: { A: 'file', B: 'file', C: 'file' } }, models: { providers: { p: { apiKey: '${A}-${B}-${C}' } } } }";
    let place = Place::with(text).env("A", "process");
    place.write(".env", "A=dotenv\nB=dotenv\n");
    let snapshot = place.load();
    assert!(snapshot.config.models.providers["p"].api_key.as_ref().unwrap().matches("process-dotenv-file"));
    assert_eq!(snapshot.env.get("B"), Some("dotenv"));
}

#[test]
fn references_to_the_environment_are_followed() {
    let text = "{ models: { providers: {
        a: { apiKey: { source: 'env', provider: 'default', id: 'KEY' } },
        b: { apiKey: { source: 'env', provider: 'few', id: 'KEY' } },
        c: { apiKey: { source: 'exec', provider: 'vault', id: 'x' } },
      } }, secrets: { providers: { few: { source: 'env', allowlist: ['OTHER'] } } } }";
    let snapshot = Place::with(text).env("KEY", "k").load();
    let key = |id: &str| snapshot.config.models.providers[id].api_key.as_ref().map(|key| key.expose().to_owned());
    assert_eq!([key("a"), key("b"), key("c")], [Some("k".into()), None, None]);
    assert!(snapshot.warnings.iter().any(|warning| warning.contains("allowlist")));
}

#[test]
fn telegram_accounts_inherit_and_bound() {
    let place = Place::with(
        "{ channels: { telegram: { enabled: true, allowFrom: ['1'], dmPolicy: 'allowlist', apiRoot: 'http://127.0.0.1:1/', botToken: 'base',
            accounts: { default: {}, Second: { botToken: 'two', allowFrom: ['*', 2] }, third: { enabled: false, tokenFile: 'third.token' } } } } }",
    )
    .env("TELEGRAM_BOT_TOKEN", "env");
    place.write("third.token", "three\n");
    let snapshot = place.load();
    let telegram = snapshot.config.channels.telegram.clone().unwrap();
    let account = |id: &str| telegram.accounts[&AccountId::normalised(id)].clone();
    let token = |id: &str| account(id).bot_token.map(|token| token.expose().to_owned());
    assert_eq!([token("default"), token("second"), token("third")], ["base", "two", "three"].map(|t| Some(t.into())));
    assert_eq!(account("second").allow_from, ["2", "1"]);
    assert_eq!(account("third").api_root.as_deref(), Some("http://127.0.0.1:1"));
    assert!(account("default").enabled && !account("third").enabled);
}

#[test]
fn a_token_file_that_is_missing_costs_only_its_account() {
    let snapshot = Place::with("{ channels: { telegram: { tokenFile: 'nowhere' } } }").load();
    assert_eq!(
        snapshot.config.channels.telegram.as_ref().unwrap().accounts[&AccountId::normalised("")].bot_token,
        None
    );
    assert!(snapshot.warnings.iter().any(|warning| warning.contains("nowhere")));
}

#[test]
fn the_environment_overrides_the_port_and_fills_in_credentials() {
    let place =
        Place::with("{ gateway: { port: 5 } }").env("OPENCLAW_GATEWAY_PORT", "0").env("OPENCLAW_GATEWAY_TOKEN", "t");
    let config = place.load().config;
    assert_eq!(config.gateway.port, 0);
    assert!(config.gateway.auth.token.as_ref().unwrap().matches("t"));
}

#[test]
fn a_byte_order_mark_and_an_open_file_mode_are_taken() {
    let place = Place::new();
    fs::write(place.path("openclaw.json"), "\u{feff}{ gateway: { port: 7 } }").unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(place.path("openclaw.json"), fs::Permissions::from_mode(0o644)).unwrap();
        assert!(place.load().warnings[0].contains("chmod 600"));
    }
    assert_eq!(place.load().config.gateway.port, 7);
    assert!(place.load().raw.starts_with('{'));
}

#[test]
fn places_come_from_the_environment() {
    let env = |pairs: &[(&str, &str)]| pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
    let dirs = StateDirs::from_env(&env(&[("HOME", "/h")])).unwrap();
    assert_eq!(dirs.config_path, Path::new("/h/.openclaw/openclaw.json"));
    let dirs = StateDirs::from_env(&env(&[("HOME", "/h"), ("OPENCLAW_STATE_DIR", "~/s")])).unwrap();
    assert_eq!(dirs.config_path, Path::new("/h/s/openclaw.json"));
    let dirs = StateDirs::from_env(&env(&[("OPENCLAW_STATE_DIR", "/s"), ("OPENCLAW_CONFIG_PATH", "/c.json")])).unwrap();
    assert_eq!((dirs.state_dir.as_path(), dirs.config_path.as_path()), (Path::new("/s"), Path::new("/c.json")));
    assert!(matches!(StateDirs::from_env(&env(&[])), Err(ConfigError::NoStateDir)));
}

#[test]
fn debug_output_shows_no_secret() {
    let text = "{ gateway: { auth: { token: 'hunter2' } }, models: { providers: { p: { apiKey: 'hunter2', headers: { A: 'hunter2' } } } } }";
    let place = Place::with(text).env("X", "hunter2");
    let snapshot = place.load();
    assert!(!format!("{snapshot:?} {:?}", place.sources()).contains("hunter2"));
}

/// Every path of the table, as a document that has just this key.
fn table_paths() -> Vec<(Vec<&'static str>, &'static str)> {
    let mut stack: Vec<&str> = Vec::new();
    let mut paths = Vec::new();
    for line in include_str!("../known-keys.tsv").lines().filter(|line| !line.starts_with("# ")) {
        let (name, kind) = line.trim_start().split_once('\t').unwrap_or((line.trim_start(), "o"));
        stack.truncate(line.len() - line.trim_start().len());
        stack.push(name);
        paths.push((stack.clone(), kind));
    }
    paths
}

#[test]
fn every_known_key_is_accepted_by_name() {
    let place = Place::new();
    let sources = place.sources();
    let mut checked = 0;
    for (path, kind) in table_paths() {
        let (letters, words) = kind.split_once('=').unwrap_or((kind, ""));
        let leaf = match letters.chars().next() {
            Some('s' | 'a') => json!("x"),
            Some('b' | 't') => json!(true),
            Some('f') => json!(false),
            Some('i' | 'n') => json!(1),
            Some('A') => json!([]),
            Some('o') => json!({}),
            Some('0') if letters.contains('s') => json!("x"),
            _ => json!(words.split('|').next().unwrap_or("")),
        };
        let document = path.iter().rev().fold(leaf, |value, name| match *name {
            "[]" => json!([value]),
            "*" => json!({"any": value}),
            name => json!({name: value}),
        });
        let result = check(&sources, document.to_string());
        for issue in result.as_ref().err().map_or(&[][..], ConfigError::issues) {
            assert!(issue.found != "unknown key", "{path:?}: {issue}");
        }
        checked += 1;
    }
    assert!(checked > 5000);
    assert!(KNOWN.find("gateway.port").is_some());
}

#[test]
fn the_generated_token_is_no_setting() {
    let place = Place::new();
    token::load_or_create(place.0.path()).unwrap();
    assert_eq!(place.load().config.gateway.auth.token, None);
}

fn json_like() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        Just("gateway"),
        Just("agents"),
        Just("entries"),
        Just("list"),
        Just("models"),
        Just("providers"),
        Just("channels"),
        Just("telegram"),
        Just("accounts"),
        Just("$include"),
        Just("port"),
        Just("model"),
        Just("id"),
        Just("x"),
        Just("${X}"),
        Just("headers"),
        Just("apiKey"),
        Just("source"),
        Just("env"),
        Just("vars"),
        Just("*"),
        Just("[]"),
        Just("")
    ];
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        any::<f64>().prop_map(|n| n.to_string()),
        any::<i64>().prop_map(|n| n.to_string()),
        "\\PC{0,8}".prop_map(|text| json!(text).to_string()),
        Just("'${A}$${B}${'".to_owned()),
        Just("'./openclaw.json'".to_owned()),
    ];
    leaf.prop_recursive(6, 40, 5, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(","))),
            proptest::collection::vec((word.clone(), inner), 0..5).prop_map(|entries| {
                let entries: Vec<String> = entries.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
                format!("{{{}}}", entries.join(","))
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_text_is_loaded_or_refused(text in "\\PC{0,200}|[\\[\\]{}\"',:/*0-9a-z\\\\\n$]{0,300}") {
        let place = Place::new();
        drop(check(&place.sources(), text.clone()));
        drop(redact::redact_text(&text));
        drop(redact::restore_text(&text, &text));
        drop(edit::set_provider(&text, &edit::ProviderEntry { id: "a".into(), ..Default::default() }));
    }

    #[test]
    fn any_document_is_loaded_or_refused(text in json_like()) {
        let place = Place::with(&text);
        drop(load(&place.sources()));
        drop(redact::redact_text(&text));
        let patched = edit::merge_patch(&text, &json!({"gateway": {"port": 1, "x": null}}));
        if let Ok(patched) = patched {
            let issues = check(&place.sources(), patched);
            // The editor never breaks the syntax.
            for issue in issues.as_ref().err().map_or(&[][..], ConfigError::issues) {
                prop_assert!(!issue.found.starts_with("syntax"), "{issue}");
            }
        }
    }
}
