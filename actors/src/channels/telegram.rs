//! Telegram through the Bot API: long polling in, `sendMessage` out, text in direct chats.
//!
//! teloxide's `Bot` holds token, address and client and its payload types shape the requests; the exchange itself, the
//! update offset and every retry are ours (`api`, `poll`), so that no update can stall the offset and nothing is sent
//! twice unnoticed.

pub mod allow;
pub mod api;
pub mod format;
pub mod inbound;
pub mod outbound;
pub mod poll;

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::channels::contract::{
    Capabilities, Channel, ChannelEnd, Connection, Link, OutboundPort, Pace, PeerKind, TextUnit,
};
use crate::channels::telegram::allow::AllowList;
use crate::channels::telegram::api::Api;
use crate::config::TelegramAccountConfig;
use crate::secret::Secret;

/// The channel's id.
pub const ID: &str = "telegram";

/// What Telegram can do here.
pub static CAPABILITIES: Capabilities = Capabilities {
    chat_types: &[PeerKind::Direct],
    // Below the hard limit of 4096, as rendering may add a little (bullets, table borders).
    text_limit: 4000,
    text_unit: TextUnit::Utf16,
    markdown: true,
    reply: true,
    threads: true,
    typing: true,
    // The Bot API's published limits: 1/s per chat, 20/min per group, 30/s over all.
    pace: Pace { per_chat: Duration::from_secs(1), per_group: Duration::from_secs(3), per_second: 30 },
    // Four polls of 30 s (OpenClaw: 120 s without a completed getUpdates).
    stall_after: Some(Duration::from_secs(120)),
};

/// An account as configured.
#[derive(Clone)]
pub struct TelegramSettings {
    /// The bot's token.
    pub token: Secret,
    /// Another server than Telegram's own, without the token.
    pub api_root: Option<String>,
    /// Who may write.
    pub allow: AllowList,
    /// How long things take.
    pub timing: Timing,
}

impl fmt::Debug for TelegramSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TelegramSettings").field("api_root", &self.api_root).finish_non_exhaustive()
    }
}

/// How long things take.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Timing {
    /// How long the server may hold a poll (OpenClaw: 30 s).
    pub poll: Duration,
    /// How much longer than `poll` a poll may take (OpenClaw: 45 s in all).
    pub poll_margin: Duration,
    /// For every other request.
    pub request: Duration,
    /// First wait after a failed poll; doubles.
    pub retry_first: Duration,
    /// Longest wait after a failed poll.
    pub retry_max: Duration,
    /// First wait after another poller took over; doubles (OpenClaw: 30 s).
    pub conflict_first: Duration,
    /// Longest wait after another poller took over (OpenClaw: 10 min).
    pub conflict_max: Duration,
    /// Polls fail for so long before the connection counts as lost and goes to the supervisor's ladder.
    pub lost_after: Duration,
    /// How long the store may take over one update.
    pub accept: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            poll: Duration::from_secs(30),
            poll_margin: Duration::from_secs(15),
            request: Duration::from_secs(30),
            retry_first: Duration::from_secs(1),
            retry_max: Duration::from_secs(30),
            conflict_first: Duration::from_secs(30),
            conflict_max: Duration::from_secs(600),
            lost_after: Duration::from_secs(120),
            accept: Duration::from_secs(30),
        }
    }
}

impl TelegramSettings {
    /// What the configuration says. A policy of `disabled` lets nobody in.
    #[must_use]
    pub fn from_config(config: &TelegramAccountConfig) -> Self {
        let disabled = config.dm_policy.as_deref() == Some("disabled");
        let entries: &[String] = if disabled { &[] } else { &config.allow_from };
        Self {
            token: config.bot_token.clone().unwrap_or_default(),
            api_root: config.api_root.clone(),
            allow: AllowList::parse(entries),
            timing: Timing::default(),
        }
    }
}

/// One Telegram account, receiving.
#[derive(Debug)]
pub struct Telegram {
    settings: TelegramSettings,
}

impl Telegram {
    /// An account with `settings`.
    #[must_use]
    pub fn new(settings: TelegramSettings) -> Self {
        Self { settings }
    }
}

impl Connection for TelegramSettings {
    fn channel(&self) -> Box<dyn Channel> {
        Box::new(Telegram::new(self.clone()))
    }

    fn outbound(&self) -> Result<Arc<dyn OutboundPort>, ChannelEnd> {
        Ok(Arc::new(outbound::TelegramOutbound::new(Api::new(self)?)))
    }

    fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.token.expose(), &self.api_root, &self.allow).hash(&mut hasher);
        hasher.finish()
    }

    fn details(&self) -> Vec<(&'static str, String)> {
        let mut details = vec![("allowFrom", self.allow.describe())];
        if !self.allow.unusable.is_empty() {
            details.push(("allowFrom unusable", self.allow.unusable.join(", ")));
        }
        details.extend(self.api_root.iter().map(|root| ("apiRoot", root.clone())));
        details
    }
}

impl Channel for Telegram {
    fn capabilities(&self) -> &'static Capabilities {
        &CAPABILITIES
    }

    fn run(self: Box<Self>, link: Link) -> BoxFuture<'static, Result<(), ChannelEnd>> {
        Box::pin(poll::run(self.settings, link))
    }
}

#[cfg(test)]
mod tests;
