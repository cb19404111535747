//! `channels.telegram`: bots, one account each.
//!
//! Keys beside `accounts` are what each account inherits. Without `accounts` there is one, `default`; only that one
//! takes its token from `TELEGRAM_BOT_TOKEN`.

use std::collections::BTreeMap;

use crate::config::schema::reader::Section;
use crate::ids::AccountId;
use crate::secret::Secret;

/// Keys with an effect.
pub(in crate::config::schema) const USED: &[&str] = &[
    "channels.telegram.enabled",
    "channels.telegram.name",
    "channels.telegram.botToken",
    "channels.telegram.tokenFile",
    "channels.telegram.apiRoot",
    "channels.telegram.allowFrom[]",
    "channels.telegram.dmPolicy",
    "channels.telegram.accounts.*.enabled",
    "channels.telegram.accounts.*.name",
    "channels.telegram.accounts.*.botToken",
    "channels.telegram.accounts.*.tokenFile",
    "channels.telegram.accounts.*.apiRoot",
    "channels.telegram.accounts.*.allowFrom[]",
    "channels.telegram.accounts.*.dmPolicy",
];

/// The channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TelegramConfig {
    /// Whether any account runs.
    pub enabled: bool,
    /// The bots.
    pub accounts: BTreeMap<AccountId, TelegramAccountConfig>,
}

/// One bot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TelegramAccountConfig {
    /// Whether it runs. False as well when the channel is off.
    pub enabled: bool,
    /// For people.
    pub name: Option<String>,
    /// The bot's token: from `tokenFile`, else `botToken`, else the environment.
    pub bot_token: Option<Secret>,
    /// The Bot API server, when it is not Telegram's; without a trailing slash.
    pub api_root: Option<String>,
    /// Who may write: numeric ids, or `*`. Prefixes `telegram:` and `tg:` are taken off.
    pub allow_from: Vec<String>,
    /// `pairing`, `allowlist`, `open` or `disabled`; none means `pairing`.
    pub dm_policy: Option<String>,
}

pub(super) fn read(telegram: &Section<'_>) -> Option<TelegramConfig> {
    if !telegram.exists() {
        return None;
    }
    let enabled = telegram.flag("enabled").unwrap_or(true);
    let mut accounts = BTreeMap::new();
    let mut authored: Vec<(String, Section<'_>)> = telegram.map("accounts");
    // Of two keys with the same normal form the one written in it wins.
    authored.sort_by_key(|(key, _)| AccountId::normalised(key).as_str() != key);
    for (key, section) in authored {
        let id = AccountId::normalised(&key);
        if accounts.contains_key(&id) {
            section.warn(format_args!("the same account as {id}, left out"));
            continue;
        }
        let config = account(telegram, Some(&section), &id, enabled);
        accounts.insert(id, config);
    }
    if !accounts.is_empty()
        && telegram.text("botToken").is_some()
        && !accounts.keys().any(|id| id.as_str() == "default")
    {
        telegram.section("botToken").warn("only an account named \"default\" would use it");
    }
    if accounts.is_empty() {
        let id = AccountId::normalised("default");
        accounts.insert(id.clone(), account(telegram, None, &id, enabled));
    }
    Some(TelegramConfig { enabled, accounts })
}

fn account(base: &Section<'_>, own: Option<&Section<'_>>, id: &AccountId, enabled: bool) -> TelegramAccountConfig {
    let from_env = || {
        let fills = id.as_str() == "default";
        base.cx.env.get("TELEGRAM_BOT_TOKEN").filter(|_| fills).map(Secret::new)
    };
    let token = |section: &Section<'_>| section.secret_file("tokenFile").or_else(|| section.secret("botToken"));
    let place = own.unwrap_or(base);
    let dm_policy = own.and_then(|own| own.text("dmPolicy")).or_else(|| base.text("dmPolicy"));
    let allow_from = allow_from(base, own);
    let account = TelegramAccountConfig {
        enabled: enabled && own.and_then(|own| own.flag("enabled")).unwrap_or(true),
        name: own.and_then(|own| own.text("name")).or_else(|| base.text("name")),
        // An account of its own never borrows the token of the channel: two pollers of one bot disturb each other.
        bot_token: match own {
            Some(own) if id.as_str() != "default" => token(own),
            Some(own) => token(own).or_else(|| token(base)).or_else(from_env),
            None => token(base).or_else(from_env),
        },
        api_root: own.and_then(api_root).or_else(|| api_root(base)),
        allow_from,
        dm_policy,
    };
    check_policy(place, &account);
    account
}

fn check_policy(place: &Section<'_>, account: &TelegramAccountConfig) {
    if !account.enabled {
        return;
    }
    let open = account.allow_from.iter().any(|entry| entry == "*");
    match account.dm_policy.as_deref() {
        Some("open") if !open => {
            place
                .section("dmPolicy")
                .refuse("\"open\" without \"*\" in allowFrom", "allowFrom: [\"*\"] to let anyone in");
        }
        Some("allowlist") if account.allow_from.is_empty() => {
            place.section("dmPolicy").refuse("\"allowlist\" with nobody in allowFrom", "numeric user ids in allowFrom");
        }
        Some(_) | None => {}
    }
}

fn api_root(section: &Section<'_>) -> Option<String> {
    let root = section.address("apiRoot")?;
    if root.contains("/bot") {
        section
            .section("apiRoot")
            .refuse("an address with /bot… in it", "the server alone, for example https://api.telegram.org");
        return None;
    }
    Some(root)
}

/// The account's list, else the channel's. A channel that is closed is not opened by an account's `*` alone.
fn allow_from(base: &Section<'_>, own: Option<&Section<'_>>) -> Vec<String> {
    let read = |section: &Section<'_>| {
        section.texts("allowFrom").map(|list| list.iter().map(|entry| sender(entry)).collect::<Vec<_>>())
    };
    let shared = read(base);
    let Some(section) = own else { return shared.unwrap_or_default() };
    let Some(list) = read(section) else { return shared.unwrap_or_default() };
    match shared {
        Some(shared) if !shared.is_empty() && !shared.contains(&"*".to_owned()) && list.contains(&"*".to_owned()) => {
            section.section("allowFrom").warn("\"*\" does not open an account of a channel that names its senders");
            list.into_iter().filter(|entry| entry != "*").chain(shared).collect()
        }
        Some(_) | None => list,
    }
}

fn sender(entry: &str) -> String {
    let entry = entry.trim();
    let lower = entry.to_ascii_lowercase();
    let prefix = ["telegram:", "tg:"].into_iter().find(|prefix| lower.starts_with(prefix)).map_or(0, str::len);
    entry[prefix..].trim().to_owned()
}
