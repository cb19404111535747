use serde::Serialize;
use serde_json::json;

use super::*;

#[track_caller]
fn refused<T: Params + std::fmt::Debug>(params: Value, expected: &str) {
    let error = T::parse(params).unwrap_err();
    assert_eq!(error.message, format!("invalid {} params: {expected}", T::METHOD));
}

/// Everything recorded of a result is read and written back, except for what this gateway leaves out.
#[track_caller]
fn reads_back<T: DeserializeOwned + Serialize>(recorded: &Value, left_out: &[&str]) {
    let read: T = serde_json::from_value(recorded.clone()).unwrap();
    let mut expected = recorded.clone();
    for key in left_out {
        expected.as_object_mut().unwrap().remove(*key);
    }
    assert_eq!(serde_json::to_value(read).unwrap(), expected);
}

#[test]
fn recorded_mistakes_get_the_recorded_words() {
    refused::<agents::ListParams>(json!({"bogus": 1}), "at root: unexpected property 'bogus'");
    refused::<chat::HistoryParams>(json!({"sessionKey": 5}), "at /sessionKey: must be string");
    refused::<sessions::ResetParams>(json!({}), "must have required property 'key'");
    refused::<devices::RotateParams>(json!({"role": "x"}), "must have required property 'deviceId'");
}

#[test]
fn limits_of_parameters_are_checked() {
    let key = json!("main");
    refused::<chat::HistoryParams>(json!({"sessionKey": key, "limit": 1_001}), "at /limit: must be <= 1000");
    refused::<chat::HistoryParams>(json!({"sessionKey": key, "maxBytes": 1}), "at /maxBytes: must be >= 1024");
    refused::<chat::SendParams>(
        json!({"sessionKey": key, "message": "m", "idempotencyKey": "k", "queueMode": "later"}),
        "at /queueMode: must be equal to one of the allowed values",
    );
    refused::<chat::SendParams>(
        json!({"sessionKey": key, "message": "m", "idempotencyKey": "k", "mentions": [{"profileId": "p", "start": 0, "end": 0}]}),
        "at /mentions/0/end: must be >= 1",
    );
    refused::<agents::AgentParams>(
        json!({"message": "", "idempotencyKey": "k"}),
        "at /message: must not have fewer than 1 characters",
    );
    refused::<logs::TailParams>(json!({"limit": 0}), "at /limit: must be >= 1");
    refused::<tree::ActParams>(
        json!({"path": "root", "action": "explode"}),
        "at /action: must be equal to one of the allowed values",
    );
}

#[test]
fn parameters_we_do_not_act_on_are_accepted() {
    let params = json!({"sessionKey": "main", "message": "m", "idempotencyKey": "k", "fastMode": "auto",
        "toolBindings": {"a": 1}, "expectedLeafEntryId": null, "timeoutMs": 5.0});
    let params = chat::SendParams::parse(params).unwrap();
    assert_eq!(params.timeout_ms, Some(5));
    assert!(health::HealthParams::parse(json!({"anything": true, "probe": true})).unwrap().probe);
}

#[test]
fn every_tree_action_is_known_by_its_name() {
    for name in tree::TreeAction::NAMES {
        let params = tree::ActParams::parse(json!({"path": "root", "action": name})).unwrap();
        assert_eq!(serde_json::to_value(params.action).unwrap(), json!(name));
    }
}

#[test]
fn resetting_by_message_needs_more_than_talking() {
    for (message, expected) in [
        ("hi", "operator.write"),
        ("/new", "operator.admin"),
        (" /RESET now", "operator.admin"),
        ("/newer", "operator.write"),
    ] {
        assert_eq!(agents::agent_scope(&json!({"message": message})).as_str(), expected, "{message}");
    }
    assert_eq!(agents::agent_scope(&json!({})).as_str(), "operator.write");
}

#[test]
fn recorded_results_are_read() {
    let list = json!({"ts": 1, "path": "p", "count": 1, "totalCount": 1, "limitApplied": 100, "nextOffset": null,
        "hasMore": false, "owners": [], "defaults": {"model": "m"},
        "sessions": [{"key": "agent:main:main", "kind": "direct", "updatedAt": 5, "isBackground": false}]});
    reads_back::<sessions::ListResult>(&list, &[]);
    let wait = json!({"runId": "nope-run", "status": "timeout"});
    reads_back::<agents::WaitResult>(&wait, &[]);
    let done = json!({"runId": "r", "status": "ok", "summary": "completed", "result": {
        "payloads": [{"text": "word0", "mediaUrl": null}],
        "meta": {"durationMs": 2657, "agentMeta": {"sessionId": "s", "provider": "mock", "model": "mock-1",
            "usage": {"input": 20}}}}});
    reads_back::<agents::AgentFinal>(&done, &[]);
    let channels = json!({"ts": 1, "channelOrder": [], "channelLabels": {}, "channelDetailLabels": {},
        "channelSystemImages": {}, "channelMeta": [], "channels": {},
        "channelAccounts": {"telegram": [{"accountId": "default", "running": true, "probe": {"ok": true}}]},
        "channelDefaultAccountId": {}, "statusIssues": []});
    reads_back::<channels::StatusResult>(&channels, &[]);
    let health = json!({"ok": true, "ts": 1, "durationMs": 13, "plugins": {"loaded": [], "errors": [], "unavailable": []},
        "configReload": {"hotReloadStatus": "active"}, "channels": {}, "channelOrder": [], "channelLabels": {},
        "heartbeatSeconds": 1800, "defaultAgentId": "main", "agents": [{"agentId": "main", "isDefault": true,
            "heartbeat": {"enabled": true, "every": "30m", "everyMs": 1_800_000, "target": "owner", "ackMaxChars": 300},
            "sessions": {"path": "p", "count": 0, "recent": []}}],
        "sessions": {"path": "p", "count": 0, "recent": []}, "trimmed": true});
    reads_back::<health::HealthSnapshot>(&health, &["trimmed"]);
}

#[test]
fn a_tree_delta_says_what_changed() {
    let delta = json!({"epoch": 7, "seq": 3, "ops": [{"op": "remove", "id": 5},
        {"op": "patch", "id": 2, "fields": {"state": "backing_off"}}]});
    reads_back::<tree::TreeDelta>(&delta, &[]);
    reads_back::<tree::TreeDelta>(&json!({"epoch": 7, "seq": 4, "reset": true}), &[]);
}
