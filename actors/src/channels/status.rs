//! How an account fares: facts from its connection, folded into the snapshot that clients and the tree show.
//!
//! The board outlives the incarnations of the account actor, so that a failed account keeps its last error.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use serde::Serialize;

use crate::clock::EpochMs;

/// Something a connection reports about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// The platform answered who we are.
    Connected {
        /// The account's name on the platform, for example `@my_bot`.
        identity: String,
    },
    /// An exchange with the platform completed.
    Activity,
    /// The connection is in trouble and tries again by itself.
    Recovering {
        /// What went wrong.
        error: String,
    },
    /// The trouble is over.
    Recovered,
    /// A message was durably accepted.
    Inbound,
    /// A repeat was recognised and left alone.
    Duplicate,
    /// A sender outside `allowFrom` wrote.
    Stranger {
        /// The platform's id of the sender.
        sender: String,
    },
    /// An event that gives no turn was handled.
    Ignored {
        /// Its kind.
        kind: String,
    },
    /// The channel answered by itself that it can't do something.
    Answered,
    /// The store takes nothing in at the moment: events stay with the platform.
    IngressUnavailable {
        /// Why.
        error: String,
    },
    /// The store takes messages in again.
    IngressAvailable,
}

/// Where an account stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Lifecycle {
    /// Connecting for the first time in this incarnation.
    Starting,
    /// Connected.
    Ready,
    /// Lost the platform, trying again without a restart.
    Recovering,
    /// Not running.
    Stopped,
}

/// What clients see of an account. Never holds a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AccountSnapshot {
    /// The account.
    pub account_id: String,
    /// Its display name from the configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Switched on in the configuration.
    pub enabled: bool,
    /// Has what it needs to connect.
    pub configured: bool,
    /// Its actor is up.
    pub running: bool,
    /// The platform answers.
    pub connected: bool,
    /// Where it stands.
    pub lifecycle: Lifecycle,
    /// How it receives.
    pub mode: &'static str,
    /// How many times in a row it was started again.
    pub reconnect_attempts: u32,
    /// The platform refused the account: no restarts until the configuration changes.
    pub terminal_disconnect: bool,
    /// The store takes nothing in.
    pub ingress_unavailable: bool,
    /// What went wrong last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// Its name on the platform.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bot: Option<String>,
    /// When the actor came up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_start_at: Option<EpochMs>,
    /// When it went down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_stop_at: Option<EpochMs>,
    /// When it connected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_connected_at: Option<EpochMs>,
    /// When a message was accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_inbound_at: Option<EpochMs>,
    /// When the platform last answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_transport_activity_at: Option<EpochMs>,
    /// Messages accepted since the daemon started.
    pub accepted: u64,
    /// Repeats left alone.
    pub duplicates: u64,
    /// Messages of senders outside `allowFrom`.
    pub strangers: u64,
    /// Events that give no turn.
    pub ignored: u64,
    /// Answers of the channel itself.
    pub answered: u64,
}

impl AccountSnapshot {
    /// An account that has not been started.
    #[must_use]
    pub fn new(account_id: &str, name: Option<String>, mode: &'static str) -> Self {
        Self {
            account_id: account_id.to_owned(),
            name,
            enabled: true,
            configured: true,
            running: false,
            connected: false,
            lifecycle: Lifecycle::Stopped,
            mode,
            reconnect_attempts: 0,
            terminal_disconnect: false,
            ingress_unavailable: false,
            last_error: None,
            bot: None,
            last_start_at: None,
            last_stop_at: None,
            last_connected_at: None,
            last_inbound_at: None,
            last_transport_activity_at: None,
            accepted: 0,
            duplicates: 0,
            strangers: 0,
            ignored: 0,
            answered: 0,
        }
    }

    /// The actor came up, for the `attempt`th time in a row.
    pub fn started(&mut self, attempt: u32, now: EpochMs) {
        self.running = true;
        self.connected = false;
        self.lifecycle = Lifecycle::Starting;
        self.reconnect_attempts = attempt;
        self.terminal_disconnect = false;
        self.last_start_at = Some(now);
    }

    /// The actor went down.
    pub fn stopped(&mut self, now: EpochMs) {
        if self.running {
            self.running = false;
            self.connected = false;
            self.lifecycle = Lifecycle::Stopped;
            self.last_stop_at = Some(now);
        }
    }

    /// Folds in what the connection reports.
    pub fn apply(&mut self, fact: &Fact, now: EpochMs) {
        match fact {
            Fact::Connected { identity } => {
                self.bot = Some(identity.clone());
                self.ready(now);
            }
            Fact::Recovered => self.ready(now),
            Fact::Activity => self.last_transport_activity_at = Some(now),
            Fact::Recovering { error } => {
                self.connected = false;
                self.lifecycle = Lifecycle::Recovering;
                self.last_error = Some(error.clone());
            }
            Fact::Inbound => {
                self.accepted += 1;
                self.last_inbound_at = Some(now);
            }
            Fact::Duplicate => self.duplicates += 1,
            Fact::Stranger { .. } => self.strangers += 1,
            Fact::Ignored { .. } => self.ignored += 1,
            Fact::Answered => self.answered += 1,
            Fact::IngressUnavailable { error } => {
                self.ingress_unavailable = true;
                self.last_error = Some(error.clone());
                self.last_transport_activity_at = Some(now);
            }
            Fact::IngressAvailable => self.ingress_unavailable = false,
        }
    }

    fn ready(&mut self, now: EpochMs) {
        self.connected = true;
        self.lifecycle = Lifecycle::Ready;
        self.last_connected_at = Some(now);
        self.last_transport_activity_at = Some(now);
    }
}

/// The place where an account's snapshot stands, readable at any time without asking its actor.
#[derive(Clone)]
pub struct Board(Arc<ArcSwap<AccountSnapshot>>);

impl Board {
    /// A board showing `snapshot`.
    #[must_use]
    pub fn new(snapshot: AccountSnapshot) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(snapshot)))
    }

    /// What it shows now.
    #[must_use]
    pub fn read(&self) -> Arc<AccountSnapshot> {
        self.0.load_full()
    }

    /// Changes what it shows. Only the account's actor writes.
    pub(in crate::channels) fn update(&self, change: impl Fn(&mut AccountSnapshot)) {
        self.0.rcu(|old| {
            let mut new = AccountSnapshot::clone(old);
            change(&mut new);
            new
        });
    }
}

impl fmt::Debug for Board {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Board").field(&self.read()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_that_recovers_keeps_its_last_error() {
        let mut snapshot = AccountSnapshot::new("default", None, "polling");
        snapshot.started(0, 1);
        snapshot.apply(&Fact::Connected { identity: "@bot".into() }, 2);
        snapshot.apply(&Fact::Recovering { error: "reset".into() }, 3);
        assert!(!snapshot.connected);
        snapshot.apply(&Fact::Recovered, 4);
        assert_eq!(snapshot.lifecycle, Lifecycle::Ready);
        assert_eq!(snapshot.last_error.as_deref(), Some("reset"));
        snapshot.stopped(5);
        assert_eq!((snapshot.running, snapshot.last_stop_at), (false, Some(5)));
    }

    #[test]
    fn the_wire_shape_is_camel_case_and_leaves_out_what_is_unknown() {
        let value = serde_json::to_value(AccountSnapshot::new("default", None, "polling")).unwrap();
        assert_eq!(value["accountId"], "default");
        assert_eq!(value["lifecycle"], "stopped");
        assert!(value.get("lastError").is_none());
    }
}
