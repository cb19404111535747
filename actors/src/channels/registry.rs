//! The one place that lists the channels there are, and what the configuration wants of each.

use std::sync::Arc;

use crate::channels::contract::{Capabilities, Connection};
use crate::channels::telegram::{self, TelegramSettings};
use crate::config::Config;
use crate::ids::{AccountId, ChannelId};

/// A channel of this build.
#[derive(Debug)]
pub struct Registration {
    /// Its id, lower case.
    pub id: &'static str,
    /// Other names for it.
    pub aliases: &'static [&'static str],
    /// Its name for people.
    pub label: &'static str,
    /// What it can do.
    pub capabilities: &'static Capabilities,
    /// The accounts that the configuration names, switched on or not.
    pub accounts: fn(&Config) -> Vec<AccountSetup>,
}

/// An account as the configuration has it.
#[derive(Debug, Clone)]
pub struct AccountSetup {
    /// Its channel.
    pub channel: ChannelId,
    /// Its id.
    pub account: AccountId,
    /// Its name for people.
    pub name: Option<String>,
    /// Switched on.
    pub enabled: bool,
    /// Why it can't run as it is configured.
    pub problem: Option<String>,
    /// How it receives: `polling`, `webhook`, `socket`.
    pub mode: &'static str,
    /// Makes its two sides.
    pub connection: Arc<dyn Connection>,
}

impl AccountSetup {
    /// It is to run.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        self.enabled && self.problem.is_none()
    }

    /// Its place in the tree: `<channel>:<account>`.
    #[must_use]
    pub fn child_id(&self) -> String {
        format!("{}:{}", self.channel, self.account)
    }

    /// Runs differently than `other`.
    #[must_use]
    pub fn differs_from(&self, other: &Self) -> bool {
        self.is_wanted() != other.is_wanted() || self.connection.fingerprint() != other.connection.fingerprint()
    }
}

/// Every channel of this build.
pub static CHANNELS: &[Registration] = &[Registration {
    id: telegram::ID,
    aliases: &["tg"],
    label: "Telegram",
    capabilities: &telegram::CAPABILITIES,
    accounts: telegram_accounts,
}];

/// The channel called `name`.
#[must_use]
pub fn find(name: &str) -> Option<&'static Registration> {
    let name = name.trim().to_ascii_lowercase();
    CHANNELS.iter().find(|channel| channel.id == name || channel.aliases.contains(&name.as_str()))
}

/// The accounts of all channels that the configuration names.
#[must_use]
pub fn accounts(config: &Config) -> Vec<AccountSetup> {
    CHANNELS.iter().flat_map(|channel| (channel.accounts)(config)).collect()
}

fn telegram_accounts(config: &Config) -> Vec<AccountSetup> {
    let Some(section) = &config.channels.telegram else { return Vec::new() };
    let mut setups: Vec<AccountSetup> = Vec::with_capacity(section.accounts.len());
    let mut tokens: Vec<(&str, &AccountId)> = Vec::new();
    for (account, settings) in &section.accounts {
        let token = settings.bot_token.as_ref().map(|token| token.expose().trim()).filter(|token| !token.is_empty());
        let enabled = section.enabled && settings.enabled;
        // Two polls of one bot would take each other's updates.
        let twin = token.and_then(|token| tokens.iter().find(|(known, _)| *known == token));
        let problem = match (token, twin) {
            (None, _) => Some("no bot token".to_owned()),
            (Some(_), Some((_, first))) => Some(format!("has the same bot token as account {first}")),
            (Some(_), None) => None,
        };
        if let (Some(token), true, None) = (token, enabled, &problem) {
            tokens.push((token, account));
        }
        setups.push(AccountSetup {
            channel: ChannelId::new(telegram::ID),
            account: account.clone(),
            name: settings.name.clone(),
            enabled,
            problem,
            mode: "polling",
            connection: Arc::new(TelegramSettings::from_config(settings)),
        });
    }
    setups
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::config::{TelegramAccountConfig, TelegramConfig};
    use crate::secret::Secret;

    fn account(token: Option<&str>, enabled: bool) -> TelegramAccountConfig {
        TelegramAccountConfig {
            enabled,
            name: None,
            bot_token: token.map(Secret::new),
            api_root: None,
            allow_from: vec!["7".to_owned()],
            dm_policy: None,
        }
    }

    fn setups(accounts: impl IntoIterator<Item = (&'static str, TelegramAccountConfig)>) -> Vec<AccountSetup> {
        let mut config = Config::default();
        let accounts: BTreeMap<AccountId, TelegramAccountConfig> =
            accounts.into_iter().map(|(id, config)| (AccountId::normalised(id), config)).collect();
        config.channels.telegram = Some(TelegramConfig { enabled: true, accounts });
        super::accounts(&config)
    }

    #[test]
    fn an_account_without_a_token_is_not_started() {
        let setups = setups([("default", account(None, true))]);
        assert!(!setups[0].is_wanted());
        assert_eq!(setups[0].problem.as_deref(), Some("no bot token"));
    }

    #[test]
    fn a_second_account_with_the_same_token_names_the_first() {
        let setups = setups([("a", account(Some("t"), true)), ("b", account(Some("t"), true))]);
        assert!(setups[0].is_wanted() && !setups[1].is_wanted());
        assert!(setups[1].problem.as_deref().unwrap().ends_with("account a"));
    }

    #[test]
    fn a_token_of_a_disabled_account_is_free() {
        let setups = setups([("a", account(Some("t"), false)), ("b", account(Some("t"), true))]);
        assert!(setups[1].is_wanted());
    }

    #[test]
    fn only_what_matters_counts_as_a_change() {
        let old = setups([("a", account(Some("t"), true))]).remove(0);
        let renamed = setups([("a", TelegramAccountConfig { name: Some("x".into()), ..account(Some("t"), true) })]);
        assert!(!renamed[0].differs_from(&old));
        let rotated = setups([("a", account(Some("u"), true))]);
        assert!(rotated[0].differs_from(&old));
    }

    #[test]
    fn aliases_find_their_channel() {
        assert_eq!(find(" TG ").map(|channel| channel.id), Some("telegram"));
        assert!(find("carrier-pigeon").is_none());
    }
}
