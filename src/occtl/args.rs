//! The command line, as clap reads it.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Parser, Subcommand, ValueEnum};

use super::failure::EXIT_CODES;

mod store;

pub(crate) use store::StoreCommand;

/// Talks to a running openclawd gateway.
#[derive(Debug, Parser)]
#[command(name = "occtl", version, after_help = EXIT_CODES, disable_help_subcommand = true, max_term_width = 100)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Global {
    /// Print JSON instead of text
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// No colours (NO_COLOR does the same)
    #[arg(long, global = true)]
    pub(crate) no_color: bool,
    /// Address of the gateway; without it the configuration file tells
    #[arg(long, global = true, value_name = "WS_URL", env = "OPENCLAW_GATEWAY_URL")]
    pub(crate) url: Option<String>,
    /// Token to sign in with
    #[arg(long, global = true, env = "OPENCLAW_GATEWAY_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,
    /// Password to sign in with
    #[arg(long, global = true, env = "OPENCLAW_GATEWAY_PASSWORD", hide_env_values = true)]
    pub(crate) password: Option<String>,
    /// Seconds to wait for an answer
    #[arg(long, global = true, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) timeout: u64,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Is the gateway alive and well
    Health {
        /// Ask channels and providers anew instead of reading the last result
        #[arg(long)]
        probe: bool,
    },
    /// What is running: gateway, agents, channels, sessions
    Status,
    /// The supervision tree: what runs, what failed, what is being restarted
    Tree(Tree),
    /// Talk to an agent
    Chat {
        /// Session to talk in
        #[arg(long, default_value = "main")]
        session: String,
    },
    /// Run one turn of an agent and print the answer
    Agent(Agent),
    /// Conversations the gateway knows
    Sessions {
        #[command(subcommand)]
        command: SessionsCommand,
    },
    /// What the gateway keeps: how much, whether it is in order, copies of it
    Store {
        #[command(subcommand)]
        command: StoreCommand,
    },
    /// The gateway's log
    Logs {
        /// Go on printing what is added
        #[arg(long, short)]
        follow: bool,
        /// How many lines to begin with
        #[arg(long, short = 'n', default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=5000))]
        lines: u32,
    },
    /// Models that agents can use
    Models {
        #[command(subcommand)]
        command: ModelsCommand,
    },
    /// The gateway itself
    Gateway {
        #[command(subcommand)]
        command: GatewayCommand,
    },
    /// Make parts of the gateway fail on purpose and watch them come back (needs `openclawd --chaos`)
    Chaos {
        #[command(subcommand)]
        command: ChaosCommand,
    },
    /// Print the completion script of a shell
    Completions {
        /// The shell
        #[arg(value_enum)]
        shell: Shell,
    },
}

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Tree {
    /// Show only this node and what stands below it
    #[arg(long, value_name = "PATH")]
    pub(crate) path: Option<String>,
    /// Levels to show below the top
    #[arg(long, value_name = "N")]
    pub(crate) depth: Option<usize>,
    /// Keep the picture up to date
    #[arg(long, short)]
    pub(crate) watch: bool,
    #[command(subcommand)]
    pub(crate) command: Option<TreeCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TreeCommand {
    /// Do something to a node
    Act {
        /// Path of the node, as the tree shows it
        path: String,
        /// What to do
        #[arg(value_enum)]
        action: Action,
    },
    /// Everything about one node
    Get {
        /// Path of the node
        path: String,
    },
    /// How a node ended before
    History {
        /// Path of the node
        path: String,
    },
}

/// What can be done to a node of the tree.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Action {
    Restart,
    Stop,
    Start,
    Suspend,
    Resume,
    ResetBackoff,
}

impl Action {
    /// The action as the protocol spells it.
    pub(crate) fn wire(self) -> &'static str {
        match self {
            Self::Restart => "restart",
            Self::Stop => "stop",
            Self::Start => "start",
            Self::Suspend => "suspend",
            Self::Resume => "resume",
            Self::ResetBackoff => "resetBackoff",
        }
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct Agent {
    /// What to say; `-` reads it from standard input
    #[arg(long, short)]
    pub(crate) message: String,
    /// Session to say it in
    #[arg(long)]
    pub(crate) session: Option<String>,
    /// Agent to say it to
    #[arg(long)]
    pub(crate) agent: Option<String>,
    /// How much the model may think, where it can
    #[arg(long)]
    pub(crate) thinking: Option<String>,
    /// The run's id; repeating it never runs the turn twice
    #[arg(long, value_name = "ID")]
    pub(crate) run_id: Option<String>,
    /// Seconds the turn may take
    #[arg(long, default_value_t = 600, value_name = "SECONDS")]
    pub(crate) run_timeout: u64,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SessionsCommand {
    /// List them, the latest first
    List {
        /// Only those of this agent
        #[arg(long)]
        agent: Option<String>,
        /// How many
        #[arg(long, default_value_t = 50)]
        limit: u32,
    },
    /// Print what was said
    Show {
        /// The session's key
        key: String,
        /// How many messages
        #[arg(long, default_value_t = 50)]
        limit: u32,
    },
    /// Start afresh: the old transcript is kept, the next message begins a new one
    Reset {
        /// The session's key
        key: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ModelsCommand {
    /// List them
    List,
    /// Write a model into the configuration file and prove it with one call
    #[command(group = ArgGroup::new("key").args(["key_env", "key_stdin"]))]
    Add(AddModel),
}

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct AddModel {
    /// Name of the provider in the configuration
    #[arg(long, value_name = "ID")]
    pub(crate) provider: String,
    /// Where its API is
    #[arg(long, value_name = "URL")]
    pub(crate) base_url: String,
    /// Its wire format, for example openai-completions
    #[arg(long, value_name = "WIRE")]
    pub(crate) api: String,
    /// The model, as the provider knows it
    #[arg(long, value_name = "MODEL")]
    pub(crate) model: String,
    /// Environment variable of the gateway that holds the key; the file gets a reference to it
    #[arg(long, value_name = "VAR")]
    pub(crate) key_env: Option<String>,
    /// Read the key from standard input and keep it in the file
    #[arg(long)]
    pub(crate) key_stdin: bool,
    /// Tokens the model can take in
    #[arg(long, value_name = "TOKENS")]
    pub(crate) context_window: Option<u64>,
    /// Tokens the model may answer with
    #[arg(long, value_name = "TOKENS")]
    pub(crate) max_tokens: Option<u64>,
    /// Make it the default model, even if there is one
    #[arg(long)]
    pub(crate) default: bool,
    /// Only write the file
    #[arg(long)]
    pub(crate) no_check: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum GatewayCommand {
    /// Call any method of the gateway
    Call {
        /// The method, for example sessions.list
        method: String,
        /// Its parameters
        #[arg(long, value_name = "JSON", default_value = "{}")]
        params: String,
    },
    /// Install a systemd user service and start it
    Install {
        /// Print the unit file and change nothing
        #[arg(long)]
        print: bool,
        /// The daemon's binary; without it the one beside this program
        #[arg(long, value_name = "PATH")]
        binary: Option<PathBuf>,
        /// Write the unit file, but do not start the service
        #[arg(long)]
        no_start: bool,
        /// Replace a unit file that differs
        #[arg(long)]
        force: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ChaosCommand {
    /// Let one part fail
    Inject(Inject),
    /// Let parts chosen at random fail for a while, and see that the tree comes back
    Storm(Storm),
    /// Faults that wait to strike
    List,
    /// Forget faults that wait to strike
    Clear,
}

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Inject {
    /// Path of the node, as the tree shows it
    pub(crate) path: String,
    /// What goes wrong
    #[arg(value_enum)]
    pub(crate) fault: Fault,
    /// How long a block lasts
    #[arg(long, value_name = "N", required_if_eq("fault", "block"))]
    pub(crate) ms: Option<u64>,
    /// Strike at its next message, whenever that comes, instead of now
    #[arg(long)]
    pub(crate) at_message: bool,
    /// Wait until it runs again and say how long that took
    #[arg(long)]
    pub(crate) wait: bool,
}

/// What can go wrong on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Fault {
    Panic,
    Error,
    Hang,
    Block,
    Kill,
    PanicAtStart,
    ErrorAtStart,
    HangAtStart,
    PanicAtStop,
    HangAtStop,
}

impl Fault {
    /// The fault as the protocol spells it.
    pub(crate) fn wire(self) -> &'static str {
        match self {
            Self::Panic => "panic",
            Self::Error => "error",
            Self::Hang => "hang",
            Self::Block => "block",
            Self::Kill => "kill",
            Self::PanicAtStart => "panicAtStart",
            Self::ErrorAtStart => "errorAtStart",
            Self::HangAtStart => "hangAtStart",
            Self::PanicAtStop => "panicAtStop",
            Self::HangAtStop => "hangAtStop",
        }
    }
}

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Storm {
    /// Faults per second
    #[arg(long, value_name = "N", default_value_t = 5.0)]
    pub(crate) rate: f64,
    /// How long, for example 30s or 2m
    #[arg(long = "for", value_name = "TIME", default_value = "30s", value_parser = time)]
    pub(crate) lasting: Duration,
    /// Only this node and what stands below it
    #[arg(long, value_name = "PATH")]
    pub(crate) under: Option<String>,
}

/// A time as people write it: `500ms`, `30s`, `2m`.
fn time(text: &str) -> Result<Duration, String> {
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let number: u64 =
        text[..text.len() - unit.len()].parse().map_err(|_| format!("{text:?} does not begin with a number"))?;
    match unit {
        "ms" => Ok(Duration::from_millis(number)),
        "s" | "" => Ok(Duration::from_secs(number)),
        "m" => Ok(Duration::from_secs(number.saturating_mul(60))),
        _ => Err(format!("{unit:?} is no unit of time: use ms, s or m")),
    }
}

/// Shells with completions.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Shell {
    Bash,
    Elvish,
    Fish,
    Powershell,
    Zsh,
}
