//! The system prompt of one run: facts from configuration, session, tools and workspace.

use std::path::PathBuf;

use chrono::{DateTime, Local, TimeZone as _};

use crate::agents::compaction::text_tokens;
use crate::agents::contract::{RunJob, RunServices};
use crate::agents::model_call::Ask;
use crate::agents::port::TurnPort;
use crate::agents::prompt::report::ReportFacts;
use crate::agents::prompt::sections::Mode;
use crate::agents::prompt::{Audience, PromptFacts, PromptReport, SystemPrompt, ToolFact, assemble, files, workspace};
use crate::agents::reply::may_be_silent;
use crate::clock::EpochMs;
use crate::config::{ContextInjection, PromptConfig};
use crate::message::Message;
use crate::providers::ToolSpec;

/// What a run keeps to from its first call to its last.
pub(in crate::agents) struct RunContext {
    /// The system prompt.
    pub(in crate::agents) prompt: SystemPrompt,
    /// Its sizes.
    pub(in crate::agents) report: PromptReport,
    /// The tools, by name.
    pub(in crate::agents) tools: Vec<ToolSpec>,
    /// The model may end without an answer.
    pub(in crate::agents) may_be_silent: bool,
    /// Who reads along.
    pub(in crate::agents) audience: Audience,
    /// The agent's folder.
    pub(in crate::agents) workspace: PathBuf,
    /// Tokens of prompt and tools.
    pub(in crate::agents) overhead: u64,
}

impl RunContext {
    /// What the model is asked with this context.
    pub(in crate::agents) fn ask<'a>(&'a self, messages: &'a [Message]) -> Ask<'a> {
        Ask {
            system: &self.prompt.stable,
            system_turn: &self.prompt.turn,
            messages,
            note: None,
            tools: &self.tools,
            no_tool_calls: false,
            overhead: self.overhead,
            limit: None,
        }
    }
}

/// Gathers the context of a run. The workspace is made if it does not exist yet.
pub(in crate::agents) async fn gather(job: &RunJob, services: &RunServices, port: &TurnPort) -> RunContext {
    let config = services.config.current();
    let agents = &config.config.agents;
    let settings = agents.prompt_of(&job.agent);
    let folder = agents.workspace_of(&job.agent, &services.state_dir);
    let audience = Audience::of(&job.session);
    let tools = tools(services);
    let wanted = is_injected(&settings, &job.history);
    let days = if audience.is_private() && begins(&job.history) {
        days(services.clock.now_ms(), settings.startup.days)
    } else {
        Vec::new()
    };
    let (found, recent) = {
        let (folder, skip, run) = (folder.clone(), settings.clone(), job.run.clone());
        port.offload(move || {
            if !skip.skip_bootstrap
                && let Err(error) = workspace::create(&folder, &skip.skip_optional)
            {
                tracing::warn!(run_id = %run, %error, "the workspace can't be made");
            }
            let found = if wanted { workspace::read(&folder, files::visible(audience)) } else { Vec::new() };
            let limits = skip.startup;
            let recent = workspace::notes(&folder, &days, limits.file_bytes, limits.file_chars, limits.total_chars);
            (found, recent)
        })
        .await
        .unwrap_or_default()
    };
    let facts = PromptFacts {
        agent: job.agent.to_string(),
        name: agents.entry(&job.agent).and_then(|entry| entry.name.clone()),
        audience,
        mode: Mode::of(audience),
        tools: tools.iter().map(tool_fact).collect(),
        workspace: folder.display().to_string(),
        files: files::fit_files(&found, settings.file_chars, settings.total_chars),
        channel: job.channel.clone(),
        may_be_silent: may_be_silent(audience, &settings),
        date: date(services.clock.now_ms()),
        host: host(),
        recent,
        notes: job.notes.clone(),
    };
    let prompt = assemble(&facts);
    let report = PromptReport::of(
        &prompt,
        ReportFacts {
            workspace: &facts.workspace,
            limits: (settings.file_chars, settings.total_chars),
            files: &facts.files,
            tools: &facts.tools,
            now: services.clock.now_ms(),
        },
    );
    let listed = facts
        .tools
        .iter()
        .map(|tool| (tool.schema_chars as u64).div_ceil(4) + text_tokens(&tool.name) + text_tokens(&tool.description));
    let overhead = text_tokens(&prompt.stable) + text_tokens(&prompt.turn) + listed.sum::<u64>();
    let may_be_silent = facts.may_be_silent;
    RunContext { prompt, report, tools, may_be_silent, audience, workspace: folder, overhead }
}

/// True in the first turn of a conversation: no model has said anything yet.
fn begins(history: &[Message]) -> bool {
    let said = |message: &Message| matches!(message, Message::Assistant { provider, .. } if provider != "openclawd");
    !history.iter().any(said) && !history.first().is_some_and(crate::agents::compaction::is_summary)
}

/// The last days where the gateway runs, today first.
fn days(now: EpochMs, count: u32) -> Vec<String> {
    let today: DateTime<Local> = Local.timestamp_millis_opt(now).single().unwrap_or_default();
    let day = |back: u32| today.date_naive() - chrono::Days::new(u64::from(back));
    (0..count).map(|back| day(back).format("%Y-%m-%d").to_string()).collect()
}

/// Whether workspace files are part of this turn's prompt.
fn is_injected(settings: &PromptConfig, history: &[Message]) -> bool {
    match settings.injection {
        ContextInjection::Always => true,
        ContextInjection::ContinuationSkip => {
            !history.iter().any(|message| matches!(message, Message::Assistant { .. }))
                || history.first().is_some_and(crate::agents::compaction::is_summary)
        }
        ContextInjection::Never => false,
    }
}

fn tools(services: &RunServices) -> Vec<ToolSpec> {
    services
        .tools
        .iter()
        .map(|tool| ToolSpec {
            name: tool.name().to_owned(),
            description: tool.description().to_owned(),
            parameters: tool.parameters(),
        })
        .collect()
}

fn tool_fact(tool: &ToolSpec) -> ToolFact {
    ToolFact {
        name: tool.name.clone(),
        description: tool.description.clone(),
        schema_chars: tool.parameters.to_string().chars().count(),
    }
}

/// The date where the gateway runs. No time of day: the prompt would never be the same twice.
fn date(now: EpochMs) -> String {
    let at: DateTime<Local> = Local.timestamp_millis_opt(now).single().unwrap_or_default();
    at.format("%A, %-d %B %Y (UTC%:z)").to_string()
}

/// The name of this machine; empty when the system does not tell.
fn host() -> String {
    use std::sync::OnceLock;
    static NAME: OnceLock<String> = OnceLock::new();
    NAME.get_or_init(|| {
        let read = std::fs::read_to_string("/proc/sys/kernel/hostname");
        read.map(|name| name.trim().to_owned()).unwrap_or_default()
    })
    .clone()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agents::compaction::summary_message;

    fn settings(injection: ContextInjection) -> PromptConfig {
        PromptConfig { injection, ..PromptConfig::default() }
    }

    #[test]
    fn workspace_files_can_be_left_out_of_later_turns() {
        let first = [Message::user("hi", 0)];
        let answered = crate::agents::compaction::cut::tests::assistant("hello", &[]);
        let later = [Message::user("hi", 0), answered.clone(), Message::user("and?", 1)];
        let shortened = [summary_message("s", None, 0), answered];
        for (injection, expected) in [
            (ContextInjection::Always, [true, true, true]),
            (ContextInjection::ContinuationSkip, [true, false, true]),
            (ContextInjection::Never, [false, false, false]),
        ] {
            let settings = settings(injection);
            let got = [&first[..], &later, &shortened].map(|history| is_injected(&settings, history));
            assert_eq!(got, expected, "{injection:?}");
        }
    }

    #[test]
    fn a_conversation_begins_until_a_model_has_spoken() {
        let assistant = crate::agents::compaction::cut::tests::assistant;
        let mut command = assistant("New conversation started.", &[]);
        if let Message::Assistant { provider, .. } = &mut command {
            *provider = "openclawd".into();
        }
        assert!(begins(&[command.clone(), Message::user("hi", 0)]));
        assert!(!begins(&[Message::user("hi", 0), assistant("hello", &[]), Message::user("and?", 1)]));
        assert!(!begins(&[summary_message("s", None, 0), Message::user("hi", 0)]));
        let days = days(1_763_726_400_000, 2);
        assert!(days.len() == 2 && days[0] > days[1] && days[1].starts_with("2025-11-"), "{days:?}");
    }

    #[test]
    fn the_date_has_a_zone_and_no_time_of_day() {
        let noon = date(1_763_726_400_000);
        assert!(noon.contains("November 2025 (UTC") && noon.ends_with(')'), "{noon}");
        assert_eq!(noon, date(1_763_726_400_000 + 1000));
    }
}
