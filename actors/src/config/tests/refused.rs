use super::*;

#[test]
fn issues_carry_place_path_and_a_suggestion() {
    for (text, want) in [
        ("{\n  gatway: {} }", "2:3: gatway: unknown key, expected a known key (did you mean `gateway`?)"),
        (
            "{ gateway: { prot: 1 } }",
            "1:14: gateway.prot: unknown key, expected a known key (did you mean `gateway.port`?)",
        ),
        ("{ agent: { model: 'x' } }", "1:3: agent: unknown key, expected a known key (did you mean `agents`?)"),
        ("{ telegram: {} }", "1:3: telegram: unknown key, expected a known key (did you mean `channels.telegram`?)"),
        (
            "{ botToken: '1' }",
            "1:3: botToken: unknown key, expected a known key (did you mean `channels.telegram.botToken`?)",
        ),
        (
            "{ channels: { telegrm: {} } }",
            "1:15: channels.telegrm: unknown key, expected a known key (did you mean `channels.telegram`?)",
        ),
        ("{ gateway: { port: 'x' } }", "1:20: gateway.port: a string, expected an integer"),
        ("{ gateway: { port: 70000 } }", "1:20: gateway.port: 70000, expected an integer from 1 to 65535"),
        ("{ gateway: { port: 1.5 } }", "1:20: gateway.port: a number, expected an integer"),
        (
            "{ gateway: { bind: 'loopbak' } }",
            "1:20: gateway.bind: \"loopbak\", expected \"auto\", \"custom\", \"lan\", \"loopback\", \"tailnet\" (did you mean \"loopback\"?)",
        ),
        (
            "{ gateway: { bind: null } }",
            "1:20: gateway.bind: null, expected \"auto\", \"custom\", \"lan\", \"loopback\", \"tailnet\"",
        ),
        ("{ gateway: [] }", "1:12: gateway: an array, expected an object"),
        (
            "{ gateway: { controlUi: { enabled: 'yes' } } }",
            "1:36: gateway.controlUi.enabled: a string, expected true or false",
        ),
        (
            "{ gateway: { controlUi: { allowedOrigins: ['x'] } } }",
            "1:44: gateway.controlUi.allowedOrigins[]: no origin, expected scheme://host or scheme://host:port, without a path",
        ),
        (
            "{ models: { providers: { a: { baseUrl: 'ftp://x' } } } }",
            "1:40: models.providers.a.baseUrl: no address, expected an address starting with http:// or https://",
        ),
        (
            "{ models: { providers: { a: { models: [{ name: 'x' }] } } } }",
            "1:40: models.providers.a.models[]: a model without an id, expected an `id` as the provider knows it",
        ),
        (
            "{ agents: { entries: { 'my bot': {} } } }",
            "1:34: agents.entries.my bot: agent id \"my bot\", expected an id of a-z, 0-9, _ and -, at most 64 long (did you mean \"my-bot\"?)",
        ),
        (
            "{ agents: { list: [{ id: 'a' }, { id: 'A' }] } }",
            "1:33: agents.list[]: agent a a second time, expected each agent once",
        ),
        (
            "{ logging: { level: 'loud' } }",
            "1:21: logging.level: \"loud\", expected \"debug\", \"error\", \"fatal\", \"info\", \"silent\", \"trace\", \"warn\"",
        ),
        (
            "{ session: { dmScope: 'per-pear' } }",
            "1:23: session.dmScope: \"per-pear\", expected \"main\", \"per-peer\", \"per-channel-peer\", \"per-account-channel-peer\" (did you mean \"per-peer\"?)",
        ),
        (
            "{ channels: { telegram: { apiRoot: 'http://h/bot1:x' } } }",
            "1:36: channels.telegram.apiRoot: an address with /bot… in it, expected the server alone, for example https://api.telegram.org",
        ),
        (
            "{ cron: { enabeld: true } }",
            "1:11: cron.enabeld: unknown key, expected a known key (did you mean `cron.enabled`?)",
        ),
        ("[]", "1:1: an array, expected an object"),
        ("{ a: Infinity }", "1:6: a: not a finite number, expected a finite number"),
    ] {
        let issues = Place::with(text).issues();
        let shown = issues[0].to_string();
        let shown = shown.split_once("openclaw.json:").unwrap().1;
        assert_eq!(shown, want, "{text}");
        assert_eq!(issues.len(), 1, "{text}: {issues:?}");
    }
}

#[test]
fn all_issues_come_at_once_in_the_order_of_the_text() {
    let issues =
        Place::with("{ gateway: { port: 'x', bnd: 1 },\n logging: { maxFileBytes: 1 },\n nonsense: 1 }").issues();
    let paths: Vec<&str> = issues.iter().map(|issue| issue.path.as_str()).collect();
    assert_eq!(paths, ["gateway.port", "gateway.bnd", "logging.maxFileBytes", "nonsense"]);
    let error = load(&Place::with("{ a: 1, b: 2 }").sources()).unwrap_err().to_string();
    assert!(error.starts_with("the configuration has 2 issues:\n  "), "{error}");
}

#[test]
fn combinations_that_would_be_unsafe_are_refused() {
    for (text, path) in [
        ("{ gateway: { auth: { token: 'a', password: 'b' } } }", "gateway.auth.mode"),
        ("{ gateway: { bind: 'lan', auth: { mode: 'none' } } }", "gateway.auth.mode"),
        ("{ gateway: { auth: { mode: 'password' } } }", "gateway.auth.mode"),
        ("{ gateway: { auth: { mode: 'trusted-proxy' } } }", "gateway.auth.mode"),
        ("{ gateway: { bind: 'custom' } }", "gateway.bind"),
        ("{ gateway: { bind: 'custom', customBindHost: 'me' } }", "gateway.customBindHost"),
        ("{ gateway: { tls: { enabled: true } } }", "gateway.tls.enabled"),
        ("{ gateway: { auth: { token: '__OPENCLAW_REDACTED__' } } }", "gateway.auth.token"),
        ("{ channels: { telegram: { dmPolicy: 'open', allowFrom: ['1'] } } }", "channels.telegram.dmPolicy"),
        ("{ channels: { telegram: { dmPolicy: 'allowlist' } } }", "channels.telegram.dmPolicy"),
    ] {
        let paths: Vec<String> = Place::with(text).issues().into_iter().map(|issue| issue.path).collect();
        assert_eq!(paths, [path], "{text}");
    }
    assert!(Place::new().env("OPENCLAW_GATEWAY_PORT", "many").issues()[0].found.contains("OPENCLAW_GATEWAY_PORT"));
}

#[test]
fn values_of_secrets_are_never_quoted() {
    for text in [
        "{ gateway: { auth: { token: ['hunter2'] } } }",
        "{ models: { providers: { p: { apiKey: { source: 'hunter2', id: 'hunter2' } } } } }",
        "{ gateway: { auth: { tokn: 'hunter2' } } }",
    ] {
        let error = load(&Place::with(text).sources()).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
    }
}

#[test]
fn sizes_of_prompts_blocks_and_histories_have_bounds() {
    for (text, want) in [
        (
            "blockStreamingChunk: { minChars: 900, maxChars: 500 }",
            "blockStreamingChunk.minChars: 900, expected at most maxChars, 500",
        ),
        ("bootstrapMaxChars: 0", "bootstrapMaxChars: 0, expected an integer from 1 to 1000000"),
        (
            "compaction: { qualityGuard: { maxRetries: 9 } }",
            "qualityGuard.maxRetries: 9, expected an integer from 0 to 5",
        ),
        ("compaction: { mode: 'safe' }", "compaction.mode: \"safe\", expected"),
    ] {
        let issues = Place::with(&format!("{{ agents: {{ defaults: {{ {text} }} }} }}")).issues();
        assert_eq!(issues.len(), 1, "{issues:?}");
        assert!(issues[0].to_string().contains(want), "{}", issues[0]);
    }
}

#[test]
fn what_is_no_readable_file_is_said_plainly() {
    let place = Place::new();
    fs::create_dir(place.path("openclaw.json")).unwrap();
    let error = load(&place.sources()).unwrap_err();
    assert!(matches!(error, ConfigError::NotAFile { what: "a directory", .. }), "{error}");

    for (bytes, found) in [(&b""[..], "no value"), (b" \n\t", "no value"), (b"{ a: '\xff' }", "no UTF-8")] {
        let place = Place::new();
        fs::write(place.path("openclaw.json"), bytes).unwrap();
        let issues = place.issues();
        assert!(issues[0].found.contains(found), "{issues:?}");
    }
    let place = Place::with(&format!("{{ /*{}*/ }}", "x".repeat(2 * 1024 * 1024)));
    assert_eq!(place.issues()[0].expected, "at most 2097152 bytes");
}

#[cfg(unix)]
#[test]
fn links_are_followed_with_a_word_and_dangling_ones_refused() {
    let place = Place::new();
    place.write("real.json", "{ gateway: { port: 9 } }");
    std::os::unix::fs::symlink(place.path("real.json"), place.path("openclaw.json")).unwrap();
    let snapshot = place.load();
    assert_eq!(snapshot.config.gateway.port, 9);
    assert!(snapshot.warnings[0].contains("symbolic link"));
    fs::remove_file(place.path("real.json")).unwrap();
    assert!(matches!(load(&place.sources()), Err(ConfigError::NotAFile { .. })));
}

#[test]
fn a_file_without_permission_says_what_to_do() {
    let error = ConfigError::Unreadable {
        path: "/etc/x".into(),
        hint: "no permission".into(),
        source: std::io::ErrorKind::PermissionDenied.into(),
    };
    assert_eq!(error.to_string(), "/etc/x cannot be read: no permission");
    assert!(error.issues().is_empty());
}
