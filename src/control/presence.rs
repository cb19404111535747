//! Who is there: the gateway itself, clients that stay, and those that just left.
//!
//! Short-lived clients (command line, helpers, probes) have no entry. Several connections of one device or instance
//! share one.

use std::sync::Arc;

use actors::clock::EpochMs;

use super::connection::context::{ConnContext, ConnId};
use crate::protocol::presence::PresenceEntry;

/// How long somebody who left is still shown.
const LEFT_FOR: EpochMs = 5 * 60 * 1000;
/// Most entries; the longest gone leave first.
const MAX_ENTRIES: usize = 200;
/// Modes of clients that come for one request.
const EPHEMERAL_MODES: [&str; 3] = ["cli", "backend", "probe"];

/// The presence list and its version.
#[derive(Debug, Clone)]
pub(crate) struct PresenceBook {
    gateway: PresenceEntry,
    rows: Vec<Row>,
    version: u64,
}

#[derive(Debug, Clone)]
struct Row {
    key: String,
    connections: Vec<ConnId>,
    entry: PresenceEntry,
}

impl PresenceBook {
    /// A book with the gateway alone.
    pub(crate) fn new(gateway: PresenceEntry) -> Self {
        Self { gateway, rows: Vec::new(), version: 1 }
    }

    /// Grows with every change.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// The gateway first, then the newest.
    pub(crate) fn entries(&self) -> Vec<PresenceEntry> {
        let mut rows: Vec<&Row> = self.rows.iter().collect();
        rows.sort_by_key(|row| std::cmp::Reverse(row.entry.ts));
        std::iter::once(&self.gateway).chain(rows.into_iter().map(|row| &row.entry)).cloned().collect()
    }

    /// Somebody came: true when the list changed.
    pub(crate) fn join(&mut self, context: &ConnContext, now: EpochMs) -> bool {
        let Some(key) = key(context) else { return false };
        let entry = entry(context, now);
        match self.rows.iter_mut().find(|row| row.key == key) {
            Some(row) => {
                row.connections.push(context.conn_id.clone());
                let since = row.entry.online_since.filter(|_| row.entry.reason.as_deref() == Some("connect"));
                row.entry = PresenceEntry { online_since: since.or(entry.online_since), ..entry };
            }
            None => self.rows.push(Row { key, connections: vec![context.conn_id.clone()], entry }),
        }
        self.changed(now);
        true
    }

    /// A connection ended: true when the list changed.
    pub(crate) fn leave(&mut self, conn_id: &ConnId, now: EpochMs) -> bool {
        let Some(row) = self.rows.iter_mut().find(|row| row.connections.contains(conn_id)) else { return false };
        row.connections.retain(|one| one != conn_id);
        if !row.connections.is_empty() {
            return false;
        }
        row.entry.reason = Some("disconnect".to_owned());
        row.entry.ts = now;
        self.changed(now);
        true
    }

    /// Makes good what was missed while nobody watched: true when the list changed.
    pub(crate) fn reconcile(&mut self, open: &[Arc<ConnContext>], now: EpochMs) -> bool {
        let is_open = |conn_id: &ConnId| open.iter().any(|context| context.conn_id == *conn_id);
        let gone: Vec<ConnId> =
            self.rows.iter().flat_map(|row| &row.connections).filter(|one| !is_open(one)).cloned().collect();
        let mut changed = false;
        for conn_id in &gone {
            changed |= self.leave(conn_id, now);
        }
        for context in open {
            if !self.rows.iter().any(|row| row.connections.contains(&context.conn_id)) {
                changed |= self.join(context, now);
            }
        }
        changed
    }

    fn changed(&mut self, now: EpochMs) {
        self.version += 1;
        self.gateway.ts = now;
        self.rows.retain(|row| !row.connections.is_empty() || row.entry.ts + LEFT_FOR > now);
        if self.rows.len() > MAX_ENTRIES {
            self.rows.sort_by_key(|row| (row.connections.is_empty(), std::cmp::Reverse(row.entry.ts)));
            self.rows.truncate(MAX_ENTRIES);
        }
    }
}

/// What makes two connections the same somebody.
fn key(context: &ConnContext) -> Option<String> {
    if EPHEMERAL_MODES.contains(&context.client.mode.as_str()) {
        return None;
    }
    let known = context.device_id.as_ref().or(context.client.instance_id.as_ref());
    Some(known.cloned().unwrap_or_else(|| context.conn_id.to_string()))
}

fn entry(context: &ConnContext, now: EpochMs) -> PresenceEntry {
    let client = &context.client;
    let name = client.display_name.clone().unwrap_or_else(|| client.id.clone());
    let is_local = context.remote.is_loopback();
    PresenceEntry {
        text: Some(format!("Node: {name} · mode {}", client.mode)),
        host: Some(name),
        client_id: Some(client.id.clone()),
        ip: (!is_local).then(|| context.remote.to_string()),
        version: Some(client.version.clone()),
        platform: Some(client.platform.clone()),
        device_family: client.device_family.clone(),
        model_identifier: client.model_identifier.clone(),
        time_zone: client.time_zone.clone(),
        mode: Some(client.mode.clone()),
        reason: Some("connect".to_owned()),
        online_since: Some(now),
        last_activity_at: Some(now),
        device_id: context.device_id.clone(),
        roles: Some(vec![context.role.as_str().to_owned()]),
        scopes: Some(context.scopes.clone()).filter(|scopes| !scopes.is_empty()),
        instance_id: client.instance_id.clone(),
        ts: now,
        ..PresenceEntry::default()
    }
}

/// The gateway's own entry.
pub(crate) fn gateway_entry(host: &str, version: &str, boot_id: &str, now: EpochMs) -> PresenceEntry {
    PresenceEntry {
        text: Some(format!("Gateway: {host} · app {version} · mode gateway · reason self")),
        host: Some(host.to_owned()),
        version: Some(version.to_owned()),
        platform: Some(std::env::consts::OS.to_owned()),
        mode: Some("gateway".to_owned()),
        reason: Some("self".to_owned()),
        instance_id: Some(boot_id.to_owned()),
        ts: now,
        ..PresenceEntry::default()
    }
}

#[cfg(test)]
mod tests {
    use super::super::connection::context::tests::context;
    use super::*;
    use crate::protocol::scope::Role;

    fn client(mode: &str, device: Option<&str>) -> ConnContext {
        let mut context = Arc::into_inner(context(Role::Operator, &[], 10)).unwrap();
        context.client.mode = mode.to_owned();
        context.device_id = device.map(str::to_owned);
        context
    }

    fn book() -> PresenceBook {
        PresenceBook::new(gateway_entry("here", "1", "boot", 1))
    }

    fn reasons(book: &PresenceBook) -> Vec<String> {
        book.entries().into_iter().filter_map(|entry| entry.reason).collect()
    }

    #[test]
    fn two_connections_of_a_device_are_one_entry_until_both_left() {
        let mut book = book();
        let (first, second) = (client("ui", Some("d")), client("ui", Some("d")));
        assert!(book.join(&first, 10) && book.join(&second, 20));
        assert_eq!((reasons(&book), book.version()), (vec!["self".to_owned(), "connect".to_owned()], 3));
        assert_eq!(book.entries()[1].online_since, Some(10));
        assert!(!book.leave(&first.conn_id, 30));
        assert!(book.leave(&second.conn_id, 40));
        assert_eq!(reasons(&book), ["self", "disconnect"]);
        assert!(!book.leave(&second.conn_id, 50));
    }

    #[test]
    fn short_lived_clients_have_no_entry() {
        let mut book = book();
        for mode in EPHEMERAL_MODES {
            assert!(!book.join(&client(mode, Some("d")), 10));
        }
        assert_eq!((book.entries().len(), book.version()), (1, 1));
    }

    #[test]
    fn what_was_missed_is_made_good() {
        let mut book = book();
        book.join(&client("ui", Some("gone")), 10);
        let unseen = Arc::new(client("ui", Some("unseen")));
        assert!(book.reconcile(&[Arc::clone(&unseen)], 20));
        assert_eq!(reasons(&book).len(), 3);
        assert!(!book.reconcile(&[unseen], 30));
    }

    #[test]
    fn those_who_left_are_forgotten_after_a_while() {
        let mut book = book();
        let gone = client("ui", Some("gone"));
        book.join(&gone, 10);
        assert!(book.leave(&gone.conn_id, 20));
        book.join(&client("ui", Some("new")), 20 + LEFT_FOR);
        assert_eq!(reasons(&book), ["self", "connect"]);
    }
}
