//! `config.get`: the configuration without its secrets.

use actors::config::ConfigSnapshot;
use actors::config::redact::{redact_text, redact_value};
use futures_util::FutureExt as _;
use serde_json::json;

use super::{Answer, Call, Handled, Method};
use crate::protocol::methods::Params as _;
use crate::protocol::methods::config::{GetParams, GetResult};
use crate::protocol::scope::Scope;

/// The rows of this family.
pub const METHODS: &[Method] = &[Method::new("config.get", Scope::Read, GetParams::SHAPE, get)];

fn get(call: Call) -> Handled {
    async move {
        let mut answer = json!(result(&call.services.domain.config.current()));
        // Where each value of an included file came from is not kept.
        answer["includeProvenance"] = json!([]);
        answer["agentRosterIncludeOwned"] = json!(false);
        answer["bindingsIncludeOwned"] = json!(false);
        Ok(Answer::One(answer))
    }
    .boxed()
}

fn result(snapshot: &ConfigSnapshot) -> GetResult {
    // What was authored is all there is to show: defaults live in types, not in values.
    let values = redact_value(&snapshot.authored);
    let revision = revision(snapshot);
    GetResult {
        path: snapshot.path.display().to_string(),
        included_paths: snapshot.files.iter().skip(1).map(|file| file.display().to_string()).collect(),
        include_provenance: Vec::new(),
        agent_roster_include_owned: false,
        bindings_include_owned: false,
        exists: snapshot.exists,
        raw: redact_text(&snapshot.raw).unwrap_or_else(|| values.to_string()),
        parsed: values.clone(),
        source_config: values.clone(),
        resolved: values.clone(),
        valid: true,
        runtime_config: values.clone(),
        config: values,
        hash: snapshot.hash.clone(),
        config_revision_hash: revision.clone(),
        applied_config_hash: Some(revision),
        issues: Vec::new(),
        warnings: snapshot.warnings.iter().map(|text| json!({ "path": "", "message": text })).collect(),
        legacy_issues: Vec::new(),
    }
}

/// Names the configuration in force; hello-ok carries it too.
pub(crate) fn revision(snapshot: &ConfigSnapshot) -> String {
    snapshot.fingerprint.clone()
}
