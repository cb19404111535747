//! Reads that browser clients make on most pages about things this gateway does not have: answered with what is true
//! of them, that there is nothing.

use futures_util::FutureExt as _;
use serde_json::{Value, json};

use super::{Answer, Call, Handled, Method, NOTHING};
use crate::protocol::error::ErrorShape;
use crate::protocol::schema::{COUNT, NAME, Object, Schema, TEXT, list};
use crate::protocol::scope::Scope;

const OF_SESSION: Object = Object::closed(&["sessionKey"], &[("sessionKey", NAME), ("agentId", NAME)]);
const OPEN: Object = Object::open(&[], &[]);

const ACCOUNTS: Object = Object::closed(&[], &[("profileId", Schema::Text(1, 128)), ("cursor", Schema::Text(1, 256))]);
const BRANCHES: Object =
    Object::closed(&["repoRoot"], &[("repoRoot", NAME), ("includeRepositoryStatus", Schema::Bool)]);
const ARTIFACTS: Object = Object::closed(
    &[],
    &[
        ("sessionKey", NAME),
        ("runId", NAME),
        ("taskId", NAME),
        ("agentId", NAME),
        ("messageRole", Schema::Const("assistant")),
        ("type", Schema::Const("image")),
        ("limit", COUNT),
        ("cursor", TEXT),
    ],
);
const LIBRARY: Object =
    Object::closed(&[], &[("sessionKey", Schema::Text(1, 512)), ("scope", Schema::OneOf(&["mine", "team", "all"]))]);
const SKILLS: Object = Object::closed(&[], &[("query", NAME), ("limit", Schema::Int(1, 100))]);
const VISIBILITY: Object = Object::closed(&["visible"], &[("visible", Schema::Bool)]);
const HISTORY: Object = Object::closed(&[], &[("limit", Schema::Int(1, 500))]);
const PROJECTS: Object = Object::closed(&[], &[("includeObserved", Schema::Bool)]);
const PORTALS: Object = Object::closed(&[], &[("environmentId", NAME)]);
const PULL_REQUESTS: Object = Object::open(&["sessionKeys"], &[("sessionKeys", list(&TEXT))]);
const TALK: Object = Object::closed(&[], &[("provider", NAME), ("model", NAME)]);

/// The rows of this family.
pub const METHODS: &[Method] = &[
    Method::new("openclaw.chat.history", Scope::Admin, &HISTORY, nothing),
    Method::new("talk.catalog", Scope::Read, &TALK, nothing),
    Method::new("board.get", Scope::Read, &OF_SESSION, nothing),
    Method::new("users.listModelAccounts", Scope::Read, &ACCOUNTS, nothing),
    Method::new("worktrees.list", Scope::Read, &NOTHING, nothing),
    Method::new("worktrees.branches", Scope::Write, &BRANCHES, nothing),
    Method::new("artifacts.list", Scope::Read, &ARTIFACTS, nothing),
    Method::new("skills.library.list", Scope::Read, &LIBRARY, nothing),
    Method::new("skills.search", Scope::Read, &SKILLS, nothing),
    Method::new("sessions.branches.list", Scope::Read, &OF_SESSION, nothing),
    Method::new("controlUi.sessionPullRequests.subscribe", Scope::Read, &PULL_REQUESTS, nothing),
    Method::new("sessions.catalog.list", Scope::Read, &OPEN, nothing),
    Method::new("session.discussion.info", Scope::Read, &OF_SESSION, nothing),
    Method::new("sessions.observer.visibility", Scope::Read, &VISIBILITY, nothing),
    Method::new("sessions.companion.state", Scope::Read, &OF_SESSION, nothing),
    Method::new("projects.list", Scope::Read, &PROJECTS, nothing),
    Method::new("portal.list", Scope::Read, &PORTALS, nothing),
    Method::new("progressCard.get", Scope::Read, &OF_SESSION, nothing),
    Method::new("session.members.listEvidence", Scope::Read, &OF_SESSION, nothing),
    Method::new("mentions.list", Scope::Read, &NOTHING, nothing),
    Method::new("plugins.catalog.browse", Scope::Read, &OPEN, nothing),
];

fn nothing(call: Call) -> Handled {
    let answer = answer(&call).map(Answer::One).ok_or_else(|| ErrorShape::unknown_method(call.method));
    async move { answer }.boxed()
}

fn answer(call: &Call) -> Option<Value> {
    let given = |key: &str| call.params.get(key).cloned().unwrap_or_default();
    Some(match call.method {
        "openclaw.chat.history" => json!({ "turns": [] }),
        "talk.catalog" => json!({
            "modes": [], "transports": [], "brains": [], "speech": { "providers": [] },
            "transcription": { "ready": false, "providers": [] }, "realtime": { "ready": false, "providers": [] },
        }),
        "board.get" => json!({ "sessionKey": given("sessionKey"), "revision": 0, "tabs": [], "widgets": [] }),
        "users.listModelAccounts" => {
            let profile = call.params.get("profileId").cloned().unwrap_or_else(|| json!("gateway-owner"));
            json!({ "profileId": profile, "accounts": [], "links": [] })
        }
        "worktrees.list" => json!({ "worktrees": [] }),
        "worktrees.branches" => json!({ "branches": [], "repositoryStatus": "unavailable" }),
        "artifacts.list" => json!({ "artifacts": [] }),
        "skills.library.list" => json!({
            "entries": [], "profileId": "gateway-owner", "multipleProfiles": false, "defaultTarget": "workspace",
            "canManageWorkspace": false, "defaultSelectionLimit": 64,
        }),
        "skills.search" => json!({ "results": [] }),
        "sessions.branches.list" => json!({ "branches": [] }),
        "controlUi.sessionPullRequests.subscribe" => json!({ "subscribed": false }),
        "sessions.catalog.list" => json!({ "catalogs": [] }),
        "session.discussion.info" => json!({ "state": "none" }),
        "sessions.observer.visibility" => json!({ "ok": true }),
        "sessions.companion.state" => json!({ "exchanges": [] }),
        "projects.list" => json!({ "projects": [], "recents": [] }),
        "portal.list" => json!({ "portals": [] }),
        "progressCard.get" => json!({ "card": null }),
        "session.members.listEvidence" => json!({
            "sessionKey": given("sessionKey"), "members": [], "identities": [], "role": "admin",
            "allowedVisibilities": ["shared", "read-only", "suggest", "draft"],
        }),
        "mentions.list" => json!({ "gatewayInstanceId": call.services.boot_id, "revision": 0, "items": [] }),
        "plugins.catalog.browse" => json!({ "items": [] }),
        _ => return None,
    })
}
