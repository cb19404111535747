//! A real supervisor on a runtime of its own with a paused clock, and the look at what is left afterwards.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proptest::prop_assert_eq;
use proptest::test_runner::TestCaseError;
use supervision::prelude::*;
use supervision::tree::Query;
use supervision::{AdminError, StartMode};
use tokio::runtime::{Builder, Handle};

use crate::shared::program::{PERIOD, Program, SETTLE, Sort};
use crate::toy::Book;

/// How long any shutdown may take.
pub(crate) const BUDGET: Duration = Duration::from_secs(600);

/// Answers to requests that are under way, by number.
pub(crate) type Answers = Arc<Mutex<BTreeMap<usize, &'static str>>>;

/// A root, and below it the supervisor a case is about.
pub(crate) struct Stage {
    pub(crate) book: Book,
    pub(crate) tree: TreeStore,
    pub(crate) root: SupervisorHandle,
    pub(crate) slot: SupervisorSlot,
    tasks_before: usize,
}

/// Runs a case on its own runtime.
pub(crate) fn on_stage<F>(case: impl FnOnce() -> F) -> Result<(), TestCaseError>
where
    F: Future<Output = Result<(), TestCaseError>>,
{
    Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(case())
}

/// Lets everything happen that happens without waiting.
pub(crate) async fn settle() {
    tokio::time::sleep(SETTLE).await;
}

pub(crate) fn word<T>(answer: Result<T, AdminError>) -> &'static str {
    match answer {
        Ok(_) => "ok",
        Err(AdminError::NotFound) => "not_found",
        Err(AdminError::AlreadyStarted(_)) => "already_started",
        Err(AdminError::AlreadyPresent) => "already_present",
        Err(AdminError::Running) => "running",
        Err(AdminError::Restarting) => "restarting",
        Err(AdminError::MaxChildren) => "max_children",
        Err(AdminError::NotSupported) => "not_supported",
        Err(AdminError::StartFailed(_)) => "start_failed",
        Err(AdminError::Terminated) => "terminated",
        Err(AdminError::Spec(_)) => "spec",
        Err(AdminError::ShuttingDown) => "shutting_down",
        Err(AdminError::NoProc) => "no_proc",
        Err(_) => "another error",
    }
}

impl Stage {
    pub(crate) async fn new() -> Self {
        let tasks_before = Handle::current().metrics().num_alive_tasks();
        let tree = TreeStore::new();
        let root = Supervisor::start_root(SupervisorSpec::default(), tree.clone()).await.unwrap();
        Self { book: Book::default(), tree, root, slot: SupervisorSlot::new(), tasks_before }
    }

    pub(crate) fn handle(&self) -> SupervisorHandle {
        self.slot.handle()
    }

    /// The supervisor of a program, as the root's child.
    pub(crate) fn supervisor(&self, program: &Program) -> ChildSpec {
        let rules = self.rules(program);
        let spec = match program.sort {
            Sort::Fixed => ChildSpec::supervisor("sup", "sup", &self.slot, move || rules.clone()),
            Sort::Dynamic | Sort::Template => {
                let options = DynamicOptions {
                    max_children: program.max_children,
                    intensity: rules.intensity,
                    auto_shutdown: rules.auto_shutdown,
                };
                ChildSpec::dynamic("sup", "sup", &self.slot, options)
            }
        };
        spec.restart(Restart::Temporary)
    }

    pub(crate) fn rules(&self, program: &Program) -> SupervisorSpec {
        let children = program.children.iter().enumerate();
        SupervisorSpec {
            strategy: program.strategy,
            intensity: Intensity { max_restarts: program.max_restarts, period: PERIOD },
            auto_shutdown: program.auto_shutdown,
            starts: StartMode::Ordered,
            children: children.map(|(name, plan)| self.book.spec(name, &plan.under(program.auto_shutdown))).collect(),
        }
    }

    /// Asks for something and notes the answer when it comes.
    pub(crate) fn ask<T: Send + 'static>(
        answers: &Answers,
        ticket: usize,
        request: impl Future<Output = Result<T, AdminError>> + Send + 'static,
    ) {
        let answers = Arc::clone(answers);
        drop(tokio::spawn(async move {
            let answer = word(request.await);
            assert!(answers.lock().unwrap().insert(ticket, answer).is_none());
        }));
    }

    /// Ends everything and holds what is left to nothing at all.
    pub(crate) async fn closes(self) -> Result<(), TestCaseError> {
        self.root.shutdown(BUDGET).await;
        self.leaves_nothing().await
    }

    /// Nothing is left once the root has ended.
    pub(crate) async fn leaves_nothing(self) -> Result<(), TestCaseError> {
        settle().await;
        prop_assert_eq!(self.book.wrongs(), Vec::<String>::new());
        prop_assert_eq!(self.book.alive(), (0, 0), "incarnations and tasks alive after the end");
        let nodes: Vec<String> =
            self.tree.snapshot(&Query::default()).nodes.iter().map(|node| node.name.to_string()).collect();
        prop_assert_eq!(nodes, Vec::<String>::new());
        let Self { tasks_before, root, slot, tree, book } = self;
        drop((root, slot, tree, book));
        // The tree publishes its last changes within a moment.
        tokio::time::sleep(Duration::from_secs(1)).await;
        prop_assert_eq!(Handle::current().metrics().num_alive_tasks(), tasks_before, "tasks outlive the tree");
        Ok(())
    }
}
