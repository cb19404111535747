//! `channels.status`: the accounts as configured, and how their actors are.

use std::collections::BTreeMap;

use actors::channels::registry::{self, AccountSetup};
use futures_util::FutureExt as _;
use serde_json::{Map, Value, json};
use supervision::ActorPath;
use supervision::tree::{NodeState, NodeView, Query};

use super::{Answer, Call, Handled, Method};
use crate::control::services::Services;
use crate::protocol::methods::Params as _;
use crate::protocol::methods::channels::{ChannelAccount, ChannelMeta, StatusParams, StatusResult};
use crate::protocol::scope::Scope;

/// Where the accounts' actors are.
const CHANNELS: &str = "root/core/channels";

/// The rows of this family.
pub const METHODS: &[Method] = &[Method::new("channels.status", Scope::Read, StatusParams::SHAPE, status)];

fn status(call: Call) -> Handled {
    async move {
        let params: StatusParams = call.parse()?;
        let services = &call.services;
        let mut accounts = accounts(services);
        accounts.retain(|channel, _| params.channel.as_ref().is_none_or(|only| only == channel));
        let label = |channel: &str| label(channel).to_owned();
        let order: Vec<String> = accounts.keys().cloned().collect();
        let labels: BTreeMap<String, String> = order.iter().map(|id| (id.clone(), label(id))).collect();
        let metas =
            order.iter().map(|id| ChannelMeta { id: id.clone(), label: label(id), detail_label: label(id) }).collect();
        Ok(Answer::One(json!(StatusResult {
            ts: services.clock.now_ms(),
            channel_order: order.clone(),
            channel_labels: labels.clone(),
            channel_detail_labels: labels,
            channel_meta: metas,
            channels: summaries(&accounts),
            channel_default_account_id: order.iter().map(|id| (id.clone(), default_account(&accounts[id]))).collect(),
            channel_accounts: accounts,
            event_loop: Some(services.load.measure().await),
            ..StatusResult::default()
        })))
    }
    .boxed()
}

/// Accounts by channel.
pub(super) type Accounts = BTreeMap<String, Vec<ChannelAccount>>;

/// All accounts of all configured channels: what the configuration wants, and how each is.
pub(super) fn accounts(services: &Services) -> Accounts {
    let config = services.domain.config.current();
    let below = Query { root: Some(ActorPath::parse(CHANNELS)), depth: Some(1), ..Query::default() };
    let nodes = services.tree.snapshot(&below).nodes;
    let mut accounts = Accounts::new();
    for setup in registry::accounts(&config.config) {
        let node = nodes.iter().find(|node| node.name == *setup.child_id());
        let row = row(services, &setup, node);
        accounts.entry(setup.channel.to_string()).or_default().push(row);
    }
    accounts
}

fn row(services: &Services, setup: &AccountSetup, node: Option<&NodeView>) -> ChannelAccount {
    let snapshot = services.domain.channels.snapshot(&setup.channel, &setup.account);
    // A snapshot speaks the same language, so whatever it says is passed on.
    let said = snapshot.and_then(|snapshot| serde_json::to_value(&*snapshot).ok());
    let mut account: ChannelAccount = said.and_then(|said| serde_json::from_value(said).ok()).unwrap_or_default();
    let is_running = node.is_some_and(|node| node.state == NodeState::Running);
    let is_connected = is_running && account.connected == Some(true);
    account.account_id = setup.account.to_string();
    account.name.clone_from(&setup.name);
    account.enabled = Some(setup.enabled);
    account.configured = Some(setup.problem.is_none());
    account.mode = Some(setup.mode.to_owned());
    account.running = Some(is_running);
    account.connected = Some(is_connected);
    account.health_state = Some(
        match (is_running, is_connected) {
            (true, true) => "healthy",
            (true, false) => "disconnected",
            (false, _) => "not-running",
        }
        .to_owned(),
    );
    let exit = node.and_then(|node| node.last_exit.as_ref());
    let exit = exit.filter(|_| !is_running).map(|exit| exit.text.clone());
    account.last_error = setup.problem.clone().or(exit).or(account.last_error);
    if let Some(node) = node {
        account.reconnect_attempts = Some(u64::from(node.attempt));
        account.more.insert("state".to_owned(), json!(node.state.as_str()));
    }
    account
}

/// One line per channel, as `health` and `channels.status` show it.
pub(super) fn summaries(accounts: &Accounts) -> Map<String, Value> {
    let any = |accounts: &[ChannelAccount], what: fn(&ChannelAccount) -> Option<bool>| {
        accounts.iter().any(|account| what(account) == Some(true))
    };
    accounts
        .iter()
        .map(|(channel, accounts)| {
            let summary = json!({
                "configured": any(accounts, |account| account.configured),
                "running": any(accounts, |account| account.running),
                "connected": any(accounts, |account| account.connected),
                "accountCount": accounts.len(),
            });
            (channel.clone(), summary)
        })
        .collect()
}

/// A channel's name.
pub(super) fn label(channel: &str) -> &str {
    registry::find(channel).map_or(channel, |registration| registration.label)
}

fn default_account(accounts: &[ChannelAccount]) -> String {
    let default = accounts.iter().find(|account| account.account_id == "default").or(accounts.first());
    default.map_or_else(|| "default".to_owned(), |account| account.account_id.clone())
}
