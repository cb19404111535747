//! `occtl chat`: talk to an agent, line by line.
//!
//! Each line is one turn under an id of its own. When the connection is lost during a turn, the same request is sent again
//! with the same id: a turn that was accepted goes on or gives its result, one that was not is run now; never both.

use std::io::BufRead;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::Context;
use crate::occtl::failure::Failure;
use crate::occtl::gateway::Gateway;
use crate::occtl::output::Tone;
use crate::occtl::turn::{Ending, Step, Turn, answer_in_history};

/// How long a lost gateway is looked for.
const PATIENCE: Duration = Duration::from_secs(60);
/// Lines typed ahead while a turn runs.
const LINES_AHEAD: usize = 64;

const HELP: &str =
    "/new starts afresh · /session KEY goes to another session · /quit or Ctrl-D ends · Ctrl-C stops the answer";

pub(super) async fn run(context: &Context, session: String) -> Result<(), Failure> {
    let gateway = context.gateway().await?;
    let mut chat = Chat { context, gateway, session };
    let mut lines = stdin_lines();
    if context.output.is_interactive() {
        context.output.note(HELP);
    }
    loop {
        chat.prompt()?;
        let line = tokio::select! {
            line = lines.recv() => line,
            interrupted = tokio::signal::ctrl_c() => return Ok(interrupted?),
            () = chat.keep_connected() => continue,
        };
        let Some(line) = line else { break };
        match line.trim() {
            "" => {}
            "/quit" | "/exit" => break,
            "/help" => context.output.note(HELP),
            "/new" => chat.start_afresh().await?,
            said => match said.strip_prefix("/session ") {
                Some(key) => key.trim().clone_into(&mut chat.session),
                None => chat.say(said).await?,
            },
        }
    }
    if context.output.is_interactive() { context.output.line("") } else { Ok(()) }
}

/// Standard input in lines, read by a thread: a blocked read must not keep the connection waiting, and cannot be taken
/// back when the program ends.
#[expect(
    clippy::disallowed_methods,
    reason = "reads until the process ends; the channel is bounded and nobody joins it"
)]
fn stdin_lines() -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel(LINES_AHEAD);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

struct Chat<'a> {
    context: &'a Context,
    gateway: Gateway,
    session: String,
}

impl Chat<'_> {
    fn prompt(&self) -> Result<(), Failure> {
        let output = self.context.output;
        if output.is_interactive() { output.raw(&output.paint(Tone::Strong, "you> ")) } else { Ok(()) }
    }

    /// Returns when the connection had been lost and is there again; events between turns are other people's.
    async fn keep_connected(&mut self) {
        while self.gateway.next_event().await.is_some() {}
        // The next turn tells when it cannot be mended.
        self.gateway.reopen(PATIENCE).await.unwrap_or_default();
    }

    async fn start_afresh(&mut self) -> Result<(), Failure> {
        self.gateway.call("sessions.reset", json!({ "key": self.session })).await?;
        self.context.output.note("a new session");
        Ok(())
    }

    async fn say(&mut self, said: &str) -> Result<(), Failure> {
        let mut turn = Turn::new(uuid::Uuid::new_v4().to_string());
        let params = json!({ "sessionKey": self.session, "message": said, "idempotencyKey": turn.run_id() });
        loop {
            match self.attempt(&params, &mut turn).await {
                Ok(Some(ending)) => return self.end(&turn, ending),
                Ok(None) => {}
                Err(Failure::Refused { error, .. }) => return self.end(&turn, Ending::Failed(error.to_string())),
                Err(Failure::Unreachable { .. }) => {}
                Err(failure) => return Err(failure),
            }
            self.context.output.note("connection lost, looking for the gateway again …");
            self.gateway.reopen(PATIENCE).await?;
        }
    }

    /// One connection's worth of a turn; nothing when it was lost.
    async fn attempt(&mut self, params: &Value, turn: &mut Turn) -> Result<Option<Ending>, Failure> {
        let mut answer = self.gateway.start("chat.send", params.clone());
        let mut answered = false;
        let mut interrupted = false;
        loop {
            tokio::select! {
                // What was said before an answer is shown before it is acted upon.
                biased;
                event = self.gateway.next_event() => match event.map(|event| turn.on_event(&event)) {
                    None => return Ok(None),
                    Some(Step::Over(ending)) => return Ok(Some(ending)),
                    Some(step) => self.show(step)?,
                },
                response = answer.next(), if !answered => {
                    answered = true;
                    let response = match response {
                        // What came before the end is still to be read; the events end too.
                        Err(Failure::Unreachable { .. }) => continue,
                        response => response?,
                    };
                    match response["status"].as_str() {
                        Some("ok") => return self.read_back(turn).await.map(Some),
                        Some("timeout") => return Ok(Some(Ending::Aborted)),
                        // A command such as /stop is done at once and starts no run.
                        None if response["runId"].is_null() => return Ok(Some(Ending::Answered(String::new()))),
                        Some(_) | None => {}
                    }
                }
                signal = tokio::signal::ctrl_c() => {
                    signal?;
                    if interrupted {
                        return Ok(Some(Ending::Aborted));
                    }
                    interrupted = true;
                    self.gateway.call("chat.abort", json!({ "sessionKey": self.session, "runId": turn.run_id() })).await?;
                }
            }
        }
    }

    /// The answer of a run that ended while nobody was connected.
    async fn read_back(&self, turn: &mut Turn) -> Result<Ending, Failure> {
        let params = json!({ "sessionKey": self.session, "limit": 50 });
        let history = self.gateway.call("chat.history", params).await?;
        let messages = history["messages"].as_array().map(Vec::as_slice).unwrap_or_default();
        let whole = answer_in_history(messages, turn.run_id()).unwrap_or_default();
        Ok(Ending::Answered(turn.advance(&whole).unwrap_or_default()))
    }

    fn show(&self, step: Step) -> Result<(), Failure> {
        let output = self.context.output;
        match step {
            Step::Text(_) if output.is_json() => Ok(()),
            Step::Text(text) => output.stream(&text),
            Step::Tool(name) => {
                output.note(&format!("[{name}]"));
                Ok(())
            }
            Step::Retry(words) => {
                output.note(&format!("[{words}]"));
                Ok(())
            }
            Step::Over(_) | Step::Nothing => Ok(()),
        }
    }

    fn end(&self, turn: &Turn, ending: Ending) -> Result<(), Failure> {
        let output = self.context.output;
        if output.is_json() {
            let (state, error) = match &ending {
                Ending::Answered(_) => ("final", None),
                Ending::Aborted => ("aborted", None),
                Ending::Failed(why) => ("error", Some(why)),
            };
            return output.record(
                &json!({ "runId": turn.run_id(), "sessionKey": self.session, "state": state, "text": turn.shown(), "error": error }),
            );
        }
        match ending {
            Ending::Answered(rest) => {
                output.stream(&rest)?;
                output.line("")
            }
            Ending::Aborted => output.line(&output.paint(Tone::Warning, " [stopped]")),
            Ending::Failed(why) => {
                output.stream(&why)?;
                output.line(&output.paint(Tone::Bad, " [failed]"))
            }
        }
    }
}
