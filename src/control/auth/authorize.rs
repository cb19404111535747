//! May this connection call this method? Asked before a handler is looked at.
//!
//! Order: `health` for everybody, role, scope, startup, session target, existence. Parameters are the handler's.

use serde_json::Value;

use crate::protocol::limits::MAX_ROLE_ERRORS;
use crate::protocol::methods::NODE_ONLY;
use crate::protocol::{ErrorShape, Role, Scope, ScopeRule};

/// Who calls.
#[derive(Debug, Clone, Copy)]
pub struct Caller<'a> {
    /// Its role.
    pub role: Role,
    /// Its live scopes.
    pub scopes: &'a [String],
}

/// What a method asks of its callers.
#[derive(Debug, Clone, Copy)]
pub struct MethodGate {
    /// The role it is for.
    pub role: Role,
    /// The scope it needs.
    pub scope: ScopeRule,
    /// True when it needs services that start after the listener.
    pub waits_for_startup: bool,
    /// The parameter that names the session it changes, checked before the others.
    pub session_target: Option<&'static str>,
}

impl MethodGate {
    /// For operators with this scope.
    #[must_use]
    pub const fn operator(scope: Scope) -> Self {
        Self { role: Role::Operator, scope: ScopeRule::One(scope), waits_for_startup: false, session_target: None }
    }
}

/// Judges a call of `method`; `gate` is `None` when there is no such method here.
///
/// # Errors
/// The answer to send instead.
pub fn authorize(
    caller: Caller<'_>,
    method: &str,
    gate: Option<&MethodGate>,
    params: &Value,
    is_starting: bool,
) -> Result<(), ErrorShape> {
    if let Some(MethodGate { scope: ScopeRule::Everyone, .. }) = gate {
        return Ok(());
    }
    let wanted = match gate {
        Some(gate) => gate.role,
        None if NODE_ONLY.contains(&method) => Role::Node,
        None => Role::Operator,
    };
    if caller.role != wanted {
        return Err(ErrorShape::unauthorized_role(caller.role));
    }
    // What does not exist needs the highest scope, so that nobody can find out what does.
    let needed = match (gate, wanted) {
        (Some(gate), _) => gate.scope.required(params),
        (None, Role::Operator) => Some(Scope::Admin),
        (None, Role::Node) => None,
    };
    if let Some(scope) = needed.filter(|scope| !scope.satisfied_by(caller.scopes)) {
        return Err(ErrorShape::missing_scope(scope));
    }
    let Some(gate) = gate else { return Err(ErrorShape::unknown_method(method)) };
    if gate.waits_for_startup && is_starting {
        return Err(ErrorShape::starting(method));
    }
    if let Some(key) = gate.session_target
        && params.get(key).and_then(Value::as_str).is_none_or(|target| target.trim().is_empty())
    {
        return Err(ErrorShape::session_target_required(method));
    }
    Ok(())
}

/// Counts role errors in a row.
#[derive(Debug, Clone, Copy, Default)]
pub struct RoleStrikes(u32);

impl RoleStrikes {
    /// Notes how a call was judged. True when the connection is to be closed.
    pub fn note(&mut self, judged: &Result<(), ErrorShape>) -> bool {
        let is_role_error = judged.as_ref().is_err_and(|error| error.message.starts_with("unauthorized role: "));
        self.0 = if is_role_error { self.0 + 1 } else { 0 };
        self.0 > MAX_ROLE_ERRORS
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const SEND: MethodGate = MethodGate {
        waits_for_startup: true,
        session_target: Some("sessionKey"),
        ..MethodGate::operator(Scope::Write)
    };
    const HEALTH: MethodGate = MethodGate { scope: ScopeRule::Everyone, ..MethodGate::operator(Scope::Read) };
    const LIST: MethodGate = MethodGate::operator(Scope::Read);

    fn message(role: Role, scopes: &[&str], method: &str, gate: Option<&MethodGate>, params: Value) -> String {
        let scopes: Vec<String> = scopes.iter().map(|one| (*one).to_owned()).collect();
        let judged = authorize(Caller { role, scopes: &scopes }, method, gate, &params, false);
        judged.map_or_else(|error| error.message, |()| "ok".to_owned())
    }

    #[test]
    fn checks_come_in_their_order() {
        let (operator, node) = (Role::Operator, Role::Node);
        let admin: &[&str] = &["operator.admin"];
        let read: &[&str] = &["operator.read"];
        for (role, scopes, method, gate, params, expected) in [
            (node, &[][..], "health", Some(&HEALTH), json!({}), "ok"),
            (operator, &[], "health", Some(&HEALTH), json!({}), "ok"),
            (operator, admin, "node.event", None, json!({}), "unauthorized role: operator"),
            (node, &[], "agents.list", Some(&LIST), json!({}), "unauthorized role: node"),
            (node, &[], "no.such.method", None, json!({}), "unauthorized role: node"),
            (node, &[], "node.event", None, json!({}), "unknown method: node.event"),
            (operator, read, "agents.list", Some(&LIST), json!({"bogus": 1}), "ok"),
            (operator, read, "no.such.method", None, json!({}), "missing scope: operator.admin"),
            (operator, admin, "no.such.method", None, json!({}), "unknown method: no.such.method"),
            (operator, read, "chat.send", Some(&SEND), json!({}), "missing scope: operator.write"),
            (operator, admin, "chat.send", Some(&SEND), json!({}), "session mutation target is unavailable"),
            (
                operator,
                admin,
                "chat.send",
                Some(&SEND),
                json!({"sessionKey": 5}),
                "session mutation target is unavailable",
            ),
            (operator, admin, "chat.send", Some(&SEND), json!({"sessionKey": "main"}), "ok"),
        ] {
            assert_eq!(message(role, scopes, method, gate, params.clone()), expected, "{role:?} {method} {params}");
        }
    }

    #[test]
    fn methods_that_wait_for_startup_say_so_and_can_be_retried() {
        let scopes = ["operator.admin".to_owned()];
        let caller = Caller { role: Role::Operator, scopes: &scopes };
        let error = authorize(caller, "chat.send", Some(&SEND), &json!({}), true).unwrap_err();
        assert_eq!((error.retryable, error.retry_after_ms), (Some(true), Some(500)));
        assert_eq!(error.details.unwrap(), json!({"reason": "startup-sidecars", "method": "chat.send"}));
    }

    #[test]
    fn the_eleventh_role_error_in_a_row_closes() {
        let (bad, good) = (Err(ErrorShape::unauthorized_role(Role::Node)), Ok(()));
        let mut strikes = RoleStrikes::default();
        assert!((0..10).all(|_| !strikes.note(&bad)));
        assert!(!strikes.note(&good));
        assert!((0..10).all(|_| !strikes.note(&bad)));
        assert!(strikes.note(&bad));
    }
}
