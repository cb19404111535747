//! `gateway`: the port that is served and who may use it.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::reader::Section;
use crate::secret::Secret;

/// Keys with an effect.
pub(super) const USED: &[&str] = &[
    "gateway.mode",
    "gateway.port",
    "gateway.bind",
    "gateway.customBindHost",
    "gateway.auth.mode",
    "gateway.auth.token",
    "gateway.auth.password",
    "gateway.auth.rateLimit.maxAttempts",
    "gateway.auth.rateLimit.windowMs",
    "gateway.auth.rateLimit.lockoutMs",
    "gateway.auth.rateLimit.exemptLoopback",
    "gateway.controlUi.enabled",
    "gateway.controlUi.basePath",
    "gateway.controlUi.root",
    "gateway.controlUi.allowedOrigins[]",
    "gateway.controlUi.dangerouslyAllowHostHeaderOriginFallback",
    "gateway.nodes.pairing.autoApproveLocal",
    "gateway.reload.mode",
];

/// The port OpenClaw serves.
pub const DEFAULT_PORT: u16 = 18789;
/// Longest window or lockout: a week.
const MAX_MS: u64 = 7 * 24 * 60 * 60 * 1000;

/// The served port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayConfig {
    /// `OPENCLAW_GATEWAY_PORT`, else `gateway.port`, else 18789. Only the variable may say 0: any free port.
    pub port: u16,
    /// Which addresses are served.
    pub bind: Bind,
    /// How clients show who they are.
    pub auth: GatewayAuthConfig,
    /// The browser interface.
    pub control_ui: ControlUiConfig,
    /// Whether a device on this machine is paired without asking.
    pub nodes_auto_approve_local: bool,
    /// What a changed file does.
    pub reload: ReloadMode,
}

impl Default for GatewayConfig {
    fn default() -> Self {
        Self {
            port: DEFAULT_PORT,
            bind: Bind::Loopback,
            auth: GatewayAuthConfig::default(),
            control_ui: ControlUiConfig::default(),
            nodes_auto_approve_local: true,
            reload: ReloadMode::Hybrid,
        }
    }
}

/// Which addresses are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bind {
    /// This machine only.
    Loopback,
    /// Every address.
    Lan,
    /// The one of `gateway.customBindHost`, besides this machine.
    Custom(IpAddr),
    /// This machine, unless it runs in a container: then every address.
    Auto,
    /// The Tailscale address, besides this machine.
    Tailnet,
}

impl Bind {
    /// True when other machines can never reach it.
    #[must_use]
    pub fn is_loopback(self) -> bool {
        match self {
            Self::Loopback => true,
            Self::Custom(address) => address.is_loopback(),
            Self::Lan | Self::Auto | Self::Tailnet => false,
        }
    }
}

/// How clients show who they are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GatewayAuthConfig {
    /// As configured; none means: by the secret that is there, else the generated token.
    pub mode: Option<AuthMode>,
    /// The shared token.
    pub token: Option<Secret>,
    /// The shared password.
    pub password: Option<Secret>,
    /// When guessing is stopped.
    pub rate_limit: RateLimitConfig,
}

/// A way to show who one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthMode {
    /// Nothing is asked; only on loopback.
    None,
    /// A shared token.
    Token,
    /// A shared password.
    Password,
    /// A proxy in front vouches. Refused: not implemented.
    TrustedProxy,
}

/// When guessing is stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateLimitConfig {
    /// Failures before the lockout.
    pub max_attempts: u32,
    /// Time in which they are counted.
    pub window: Duration,
    /// How long nothing is accepted afterwards.
    pub lockout: Duration,
    /// Whether this machine is never locked out.
    pub exempt_loopback: bool,
}

impl Default for RateLimitConfig {
    fn default() -> Self {
        Self {
            max_attempts: 10,
            window: Duration::from_secs(60),
            lockout: Duration::from_secs(300),
            exempt_loopback: true,
        }
    }
}

/// The browser interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlUiConfig {
    /// Whether it is served.
    pub enabled: bool,
    /// Path prefix: empty, or `/x` without a trailing slash.
    pub base_path: String,
    /// A folder with OpenClaw's interface to serve.
    pub root: Option<PathBuf>,
    /// Origins besides our own that a browser may connect from: `scheme://host[:port]`, lower case, or `*`.
    pub allowed_origins: Vec<String>,
    /// Whether the Host header counts as our own origin.
    pub dangerously_allow_host_header_origin_fallback: bool,
}

impl Default for ControlUiConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            base_path: String::new(),
            root: None,
            allowed_origins: Vec::new(),
            dangerously_allow_host_header_origin_fallback: false,
        }
    }
}

/// What a changed file does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReloadMode {
    /// Applies what can be applied, restarts for the rest.
    Hybrid,
    /// Applies what can be applied; the rest waits for a restart.
    Hot,
    /// Restarts for every change.
    Restart,
    /// Checks only.
    Off,
}

pub(super) fn read(gateway: &Section<'_>) -> GatewayConfig {
    let defaults = GatewayConfig::default();
    unsafe_to_ignore(gateway);
    let bind = bind(gateway);
    GatewayConfig {
        port: port(gateway),
        bind,
        auth: auth(&gateway.section("auth"), bind),
        control_ui: control_ui(&gateway.section("controlUi")),
        nodes_auto_approve_local: gateway
            .section("nodes")
            .section("pairing")
            .flag("autoApproveLocal")
            .unwrap_or(defaults.nodes_auto_approve_local),
        reload: gateway
            .section("reload")
            .choice(
                "mode",
                &[
                    ("hybrid", ReloadMode::Hybrid),
                    ("hot", ReloadMode::Hot),
                    ("restart", ReloadMode::Restart),
                    ("off", ReloadMode::Off),
                ],
            )
            .unwrap_or(defaults.reload),
    }
}

/// Settings that are not implemented and would leave the gateway less safe than asked for.
fn unsafe_to_ignore(gateway: &Section<'_>) {
    let tls = gateway.section("tls");
    if tls.flag("enabled") == Some(true) {
        tls.section("enabled").refuse_with(
            "TLS, which is not implemented",
            "false",
            Some("put a proxy or a tunnel that speaks TLS in front"),
        );
    }
    if gateway.text("mode").as_deref() == Some("remote") {
        gateway.section("mode").warn("\"remote\" names a gateway elsewhere; this one runs here all the same");
    }
}

fn port(gateway: &Section<'_>) -> u16 {
    let configured = gateway.integer("port", 1..=65535).and_then(|port| u16::try_from(port).ok());
    let Some(text) = gateway.cx.env.get("OPENCLAW_GATEWAY_PORT") else {
        return configured.unwrap_or(DEFAULT_PORT);
    };
    text.trim().parse().unwrap_or_else(|_| {
        gateway.section("port").refuse("OPENCLAW_GATEWAY_PORT is no port", "a number from 0 to 65535 in it");
        DEFAULT_PORT
    })
}

fn bind(gateway: &Section<'_>) -> Bind {
    let host = gateway.text("customBindHost");
    match gateway.text("bind").as_deref() {
        Some("lan") => Bind::Lan,
        Some("auto") => Bind::Auto,
        Some("tailnet") => Bind::Tailnet,
        Some("custom") => match host.map(|host| host.parse()) {
            Some(Ok(address)) => Bind::Custom(address),
            Some(Err(_)) => {
                gateway.section("customBindHost").refuse("no IP address", "an IP address of this machine");
                Bind::Loopback
            }
            None => {
                gateway.section("bind").refuse("\"custom\" without customBindHost", "gateway.customBindHost to be set");
                Bind::Loopback
            }
        },
        Some(_) | None => Bind::Loopback,
    }
}

fn auth(auth: &Section<'_>, bind: Bind) -> GatewayAuthConfig {
    let defaults = RateLimitConfig::default();
    let limits = auth.section("rateLimit");
    let millis = |key: &str| limits.integer(key, 1..=MAX_MS).map(Duration::from_millis);
    let mode = auth.choice(
        "mode",
        &[
            ("none", AuthMode::None),
            ("token", AuthMode::Token),
            ("password", AuthMode::Password),
            ("trusted-proxy", AuthMode::TrustedProxy),
        ],
    );
    let from_env = |name: &str| auth.cx.env.get(name).map(Secret::new);
    let written = (auth.secret("token"), auth.secret("password"));
    let token = written.0.clone().or_else(|| from_env("OPENCLAW_GATEWAY_TOKEN"));
    let password = written.1.clone().or_else(|| from_env("OPENCLAW_GATEWAY_PASSWORD"));
    let place = auth.section("mode");
    match mode {
        None if written.0.is_some() && written.1.is_some() => {
            place.refuse("a token and a password without a mode", "\"token\" or \"password\"");
        }
        Some(AuthMode::None) if !bind.is_loopback() => {
            place
                .refuse("\"none\" while other machines can connect", "\"token\" or \"password\", or bind \"loopback\"");
        }
        Some(AuthMode::Password) if password.is_none() => {
            place.refuse("\"password\" without a password", "gateway.auth.password to be set");
        }
        Some(AuthMode::TrustedProxy) => {
            place.refuse("\"trusted-proxy\", which is not implemented", "\"none\", \"token\" or \"password\"");
        }
        None | Some(AuthMode::None | AuthMode::Token | AuthMode::Password) => {}
    }
    GatewayAuthConfig {
        mode,
        token,
        password,
        rate_limit: RateLimitConfig {
            max_attempts: limits
                .integer("maxAttempts", 1..=1_000_000)
                .and_then(|attempts| u32::try_from(attempts).ok())
                .unwrap_or(defaults.max_attempts),
            window: millis("windowMs").unwrap_or(defaults.window),
            lockout: millis("lockoutMs").unwrap_or(defaults.lockout),
            exempt_loopback: limits.flag("exemptLoopback").unwrap_or(defaults.exempt_loopback),
        },
    }
}

fn control_ui(ui: &Section<'_>) -> ControlUiConfig {
    let defaults = ControlUiConfig::default();
    let base_path = ui.text("basePath").unwrap_or_default();
    let base_path = base_path.trim().trim_matches('/');
    if base_path.contains(['?', '#', ' ', '\\']) || base_path.split('/').any(|part| part == "..") {
        ui.section("basePath").refuse("no plain path", "a path such as \"/openclaw\"");
    }
    let mut allowed_origins = Vec::new();
    for origin in ui.list("allowedOrigins") {
        let Some(text) = origin.own_text() else { continue };
        let text = text.trim().trim_end_matches('/').to_ascii_lowercase();
        let plain = text.split_once("://").is_some_and(|(scheme, host)| {
            !scheme.is_empty() && !host.is_empty() && !host.contains(['/', '?', '#', '@', ' '])
        });
        if plain || text == "*" {
            allowed_origins.push(text);
        } else {
            origin.refuse("no origin", "scheme://host or scheme://host:port, without a path");
        }
    }
    ControlUiConfig {
        enabled: ui.flag("enabled").unwrap_or(defaults.enabled),
        base_path: if base_path.is_empty() { String::new() } else { format!("/{base_path}") },
        root: ui.path("root"),
        allowed_origins,
        dangerously_allow_host_header_origin_fallback: ui
            .flag("dangerouslyAllowHostHeaderOriginFallback")
            .unwrap_or(defaults.dangerously_allow_host_header_origin_fallback),
    }
}
