//! Where the gateway is and how to sign in, from the same configuration as the daemon's.
//!
//! The file is read leniently: only the few keys needed here are looked at, and whatever else is wrong with it is the
//! daemon's to refuse. Precedence: flags, environment, the port on which a live gateway says it serves,
//! configuration file, the token file that the daemon generates.

use std::path::{Path, PathBuf};

use jsonc_parser::ParseOptions;
use serde_json::{Map, Value};

use super::args::Global;
use super::failure::Failure;

/// OpenClaw's default port.
const DEFAULT_PORT: u16 = 18_789;
/// Includes may include; a cycle ends here.
const MAX_INCLUDE_DEPTH: usize = 10;

/// How to reach a gateway.
#[derive(Clone)]
pub(crate) struct Target {
    /// WebSocket address.
    pub(crate) url: String,
    /// Token to sign in with.
    pub(crate) token: Option<String>,
    /// Password to sign in with.
    pub(crate) password: Option<String>,
}

/// Where the state and the configuration are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Places {
    /// `~/.openclaw` or what the environment says.
    pub(crate) state: PathBuf,
    /// The configuration file, which need not exist.
    pub(crate) config: PathBuf,
}

/// Reads an environment variable; empty counts as unset.
type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The process environment.
pub(crate) fn process_env(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.trim().is_empty())
}

impl Places {
    /// From `OPENCLAW_STATE_DIR`, `OPENCLAW_CONFIG_PATH` and `HOME`.
    pub(crate) fn from_env(env: Env<'_>) -> Result<Self, Failure> {
        let home = env("HOME").map(PathBuf::from);
        let expand = |text: String| match (text.strip_prefix("~/"), &home) {
            (Some(rest), Some(home)) => home.join(rest),
            (Some(_) | None, _) => PathBuf::from(text),
        };
        let state = match (env("OPENCLAW_STATE_DIR"), &home) {
            (Some(named), _) => expand(named),
            (None, Some(home)) => home.join(".openclaw"),
            (None, None) => return Err(Failure::Config("neither OPENCLAW_STATE_DIR nor HOME is set".into())),
        };
        let config = env("OPENCLAW_CONFIG_PATH").map_or_else(|| state.join("openclaw.json"), expand);
        Ok(Self { state, config })
    }
}

/// Finds the gateway.
pub(crate) fn target(global: &Global, env: Env<'_>) -> Result<Target, Failure> {
    if let Some(url) = &global.url {
        // A token of this machine's configuration is never sent to an address somebody else named.
        check_url(url)?;
        return Ok(Target { url: url.clone(), token: global.token.clone(), password: global.password.clone() });
    }
    let places = Places::from_env(env)?;
    let live = live_port(&places.state);
    let config = match read(&places.config) {
        Ok(config) => config,
        // The gateway that runs has the last good one; its token may be the one it generated.
        Err(_) if live.is_some() => Value::Object(Map::new()),
        Err(failure) => return Err(failure),
    };
    let gateway = config.get("gateway").cloned().unwrap_or_default();
    let port = match (env("OPENCLAW_GATEWAY_PORT"), live) {
        (Some(text), _) => {
            text.parse().map_err(|_error| Failure::Config(format!("OPENCLAW_GATEWAY_PORT is not a port: {text}")))?
        }
        (None, Some(port)) => port,
        (None, None) => port_of(&gateway)?,
    };
    let token = global.token.clone().or_else(|| secret(gateway.pointer("/auth/token"), env));
    let token = token.or_else(|| generated_token(&places.state));
    let password = global.password.clone().or_else(|| secret(gateway.pointer("/auth/password"), env));
    Ok(Target { url: format!("ws://{}:{port}", host_of(&gateway)), token, password })
}

/// True when a gateway runs on this machine's state directory.
pub(crate) fn is_live(env: Env<'_>) -> Result<bool, Failure> {
    Ok(live_port(&Places::from_env(env)?.state).is_some())
}

/// The port of the gateway that runs on this state directory: the one it was started with, whatever the file says now.
fn live_port(state: &Path) -> Option<u16> {
    let text = std::fs::read_to_string(state.join("openclawd").join("gateway.lock")).ok()?;
    let holder: Value = serde_json::from_str(&text).ok()?;
    // What a crashed gateway left behind names a process that is gone.
    let lives = Path::new("/proc").join(holder.get("pid")?.as_u64()?.to_string()).is_dir();
    let port = holder.get("port")?.as_u64().and_then(|port| u16::try_from(port).ok())?;
    Some(port).filter(|port| lives && *port > 0)
}

/// Plain WebSocket carries the token readably, so it stays on this machine.
fn check_url(url: &str) -> Result<(), Failure> {
    let Some(rest) = url.strip_prefix("ws://") else {
        let encrypted = url.starts_with("wss://");
        return if encrypted { Ok(()) } else { Err(Failure::Usage(format!("not a ws:// or wss:// address: {url}"))) };
    };
    let authority = rest.split('/').next().unwrap_or_default();
    let host = match authority.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    let loopback = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    if loopback { Ok(()) } else { Err(Failure::Usage(format!("{url} is not encrypted and not on this machine"))) }
}

fn port_of(gateway: &Value) -> Result<u16, Failure> {
    match gateway.get("port") {
        None | Some(Value::Null) => Ok(DEFAULT_PORT),
        Some(port) => port
            .as_u64()
            .and_then(|port| u16::try_from(port).ok())
            .filter(|port| *port > 0)
            .ok_or_else(|| Failure::Config(format!("gateway.port is not a port: {port}"))),
    }
}

/// Every bind but a custom one listens on loopback too.
fn host_of(gateway: &Value) -> String {
    let custom = gateway.get("bind").and_then(Value::as_str) == Some("custom");
    let host = gateway.get("customBindHost").and_then(Value::as_str).filter(|_| custom);
    match host.map(str::trim) {
        None | Some("" | "0.0.0.0" | "::") => "127.0.0.1".into(),
        Some(v6) if v6.contains(':') => format!("[{}]", v6.trim_matches(['[', ']'])),
        Some(host) => host.to_owned(),
    }
}

/// A secret as text, as `${VAR}`, or as a reference to the environment.
fn secret(value: Option<&Value>, env: Env<'_>) -> Option<String> {
    match value? {
        Value::String(text) => match text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')) {
            Some(name) => env(name),
            None => Some(text.clone()).filter(|text| !text.is_empty()),
        },
        Value::Object(reference) if reference.get("source").and_then(Value::as_str) == Some("env") => {
            env(reference.get("id")?.as_str()?)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// The token that a daemon without a configured one makes at its first start.
fn generated_token(state: &Path) -> Option<String> {
    let text = std::fs::read_to_string(state.join("openclawd").join("token")).ok()?;
    Some(text.trim().to_owned()).filter(|token| !token.is_empty())
}

/// The configuration with its includes; a missing file is an empty one.
pub(crate) fn read(path: &Path) -> Result<Value, Failure> {
    match std::fs::read_to_string(path) {
        Ok(text) => {
            let value = parse(&text).map_err(|error| Failure::Config(format!("{}: {error}", path.display())))?;
            Ok(resolve_includes(value, path.parent().unwrap_or(Path::new(".")), MAX_INCLUDE_DEPTH))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Value::Object(Map::new())),
        Err(error) => Err(Failure::Config(format!("{}: {error}", path.display()))),
    }
}

/// JSON5 but for missing commas, as the daemon reads it.
pub(crate) fn parse_options() -> ParseOptions {
    ParseOptions { allow_missing_commas: false, ..ParseOptions::default() }
}

fn parse(text: &str) -> Result<Value, String> {
    let text = text.trim_start_matches('\u{feff}');
    if text.trim().is_empty() {
        return Ok(Value::Object(Map::new()));
    }
    jsonc_parser::parse_to_serde_value(text, &parse_options()).map_err(|error| error.to_string())
}

/// Puts included files in place; one that cannot be read is left out, since refusing it is the daemon's business.
fn resolve_includes(value: Value, folder: &Path, depth: usize) -> Value {
    let Value::Object(mut object) = value else { return value };
    let included = object.remove("$include");
    let own: Map<String, Value> =
        object.into_iter().map(|(key, value)| (key, resolve_includes(value, folder, depth))).collect();
    let names: Vec<String> = match included {
        Some(Value::String(name)) => vec![name],
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        Some(_) | None => return Value::Object(own),
    };
    let mut merged = Value::Object(Map::new());
    for name in names.iter().filter(|_| depth > 0) {
        let path = folder.join(name);
        let Some(value) = std::fs::read_to_string(&path).ok().and_then(|text| parse(&text).ok()) else { continue };
        let value = resolve_includes(value, path.parent().unwrap_or(folder), depth - 1);
        merge(&mut merged, value);
    }
    merge(&mut merged, Value::Object(own));
    merged
}

fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                match into.get_mut(&key) {
                    Some(present) => merge(present, value),
                    None => {
                        into.insert(key, value);
                    }
                }
            }
        }
        (Value::Array(into), Value::Array(from)) => into.extend(from),
        (into, from) => *into = from,
    }
}

#[cfg(test)]
mod tests;
