//! The system prompt: what an agent is told of itself, its tools, its workspace and the chat.
//!
//! Two halves. [`SystemPrompt::stable`] is the same to the byte from turn to turn while configuration, tools and workspace
//! are, so that providers can cache it; what belongs to a turn (the date, the chat, the model) comes behind it. Pure but
//! for [`workspace`], which reads the files.

pub mod audience;
pub mod files;
pub mod report;
pub mod sections;
pub mod workspace;

pub use audience::Audience;
pub use files::{WorkspaceFile, fit_files};
pub use report::PromptReport;
pub use sections::{Mode, PromptFacts, SystemPrompt, ToolFact, assemble};
