//! Finding the gateway: precedence, leniency, and what is refused.

use std::collections::BTreeMap;

use super::*;

fn global() -> Global {
    Global { json: false, no_color: false, url: None, token: None, password: None, timeout: 1 }
}

struct Home {
    folder: tempfile::TempDir,
    vars: BTreeMap<String, String>,
}

impl Home {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let vars = [("HOME".to_owned(), folder.path().display().to_string())].into();
        Self { folder, vars }
    }

    fn file(&self, path: &str, text: &str) -> &Self {
        let path = self.folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        self
    }

    fn var(mut self, name: &str, value: &str) -> Self {
        self.vars.insert(name.into(), value.into());
        self
    }

    fn target(&self, global: &Global) -> Result<Target, Failure> {
        target(global, &|name| self.vars.get(name).cloned())
    }
}

#[test]
fn without_a_file_the_default_port_on_loopback_is_asked() {
    let target = Home::new().target(&global()).unwrap();
    assert_eq!(target.url, "ws://127.0.0.1:18789");
    assert_eq!((target.token, target.password), (None, None));
}

#[test]
fn the_file_tells_port_and_token_even_with_unknown_keys_in_it() {
    let home = Home::new();
    home.file(
        ".openclaw/openclaw.json",
        "{ // mine\n gateway: { port: 0x1234, auth: { token: 'abc', }, }, somethingNew: [1, 2,], }",
    );
    let target = home.target(&global()).unwrap();
    assert_eq!((target.url.as_str(), target.token.as_deref()), ("ws://127.0.0.1:4660", Some("abc")));
}

#[test]
fn includes_and_references_are_followed() {
    let home = Home::new().var("THE_TOKEN", "t0k").var("OPENCLAW_STATE_DIR", "~/state");
    home.file("state/openclaw.json", r#"{"gateway": {"$include": ["./gw/a.json5", "gw/gone.json5"], "port": 7}}"#);
    home.file("state/gw/a.json5", "{port: 5, auth: {'$include': 'b.json5'}}");
    home.file("state/gw/b.json5", r#"{"token": "${THE_TOKEN}", "password": {"source": "env", "id": "UNSET"}}"#);
    let target = home.target(&global()).unwrap();
    assert_eq!((target.url.as_str(), target.token.as_deref()), ("ws://127.0.0.1:7", Some("t0k")));
    assert_eq!(target.password, None);
}

#[test]
fn an_include_of_itself_ends() {
    let home = Home::new();
    home.file(".openclaw/openclaw.json", r#"{"$include": "openclaw.json", "gateway": {"port": 9}}"#);
    assert_eq!(home.target(&global()).unwrap().url, "ws://127.0.0.1:9");
}

#[test]
fn environment_beats_the_file_and_the_generated_token_comes_last() {
    let home = Home::new().var("OPENCLAW_GATEWAY_PORT", "4000");
    home.file(".openclaw/openclaw.json", "{gateway: {port: 5000}}").file(".openclaw/openclawd/token", "gen\n");
    let target = home.target(&global()).unwrap();
    assert_eq!((target.url.as_str(), target.token.as_deref()), ("ws://127.0.0.1:4000", Some("gen")));
    let target = home.target(&Global { token: Some("flag".into()), ..global() }).unwrap();
    assert_eq!(target.token.as_deref(), Some("flag"));
}

#[test]
fn a_custom_bind_is_asked_where_it_listens() {
    for (bind, host, url) in [
        ("custom", "192.168.7.7", "ws://192.168.7.7:18789"),
        ("custom", "0.0.0.0", "ws://127.0.0.1:18789"),
        ("custom", "fd00::1", "ws://[fd00::1]:18789"),
        ("lan", "192.168.7.7", "ws://127.0.0.1:18789"),
    ] {
        let home = Home::new();
        home.file(".openclaw/openclaw.json", &format!("{{gateway: {{bind: '{bind}', customBindHost: '{host}'}}}}"));
        assert_eq!(home.target(&global()).unwrap().url, url);
    }
}

#[test]
fn nonsense_is_refused_as_configuration() {
    for text in ["{gateway: {port: 'x'}}", "{gateway: {port: 70000}}", "{", "{a: 1 b: 2}"] {
        let home = Home::new();
        home.file(".openclaw/openclaw.json", text);
        let failure = home.target(&global()).err().unwrap();
        assert_eq!(failure.exit_code(), 78, "{text}: {failure}");
    }
}

#[test]
fn a_named_address_gets_no_token_of_this_machine() {
    let home = Home::new();
    home.file(".openclaw/openclaw.json", "{gateway: {auth: {token: 'mine'}}}");
    let named = |url: &str| home.target(&Global { url: Some(url.into()), ..global() });
    assert_eq!(named("wss://example.org").unwrap().token, None);
    assert_eq!(named("ws://[::1]:5/").unwrap().token, None);
    for refused in ["ws://example.org", "http://127.0.0.1", "ws://10.0.0.1:18789"] {
        assert_eq!(named(refused).err().unwrap().exit_code(), 2, "{refused}");
    }
}
