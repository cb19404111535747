//! Actors that do what a program says, and the book that notes what they did.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use supervision::prelude::*;

use crate::shared::program::{End, NAMES, Plan, Start};

/// What is known of all incarnations of one child.
#[derive(Default)]
struct Page {
    live: AtomicI64,
    tasks: AtomicI64,
    starts: Mutex<VecDeque<Start>>,
    hang_start: AtomicBool,
    hang_stop: AtomicBool,
}

/// Notes of all children of a program. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Book(Arc<Notes>);

#[derive(Default)]
struct Notes {
    lines: Mutex<Vec<String>>,
    wrongs: Mutex<Vec<String>>,
    pages: [Page; NAMES],
    slots: [Slot<End>; NAMES],
}

impl Book {
    pub(crate) fn next_starts(&self, name: usize, starts: &[Start]) {
        *self.0.pages[name].starts.lock().unwrap() = starts.iter().copied().collect();
    }

    pub(crate) fn hang_start(&self, name: usize, hang: bool) {
        self.0.pages[name].hang_start.store(hang, Ordering::SeqCst);
    }

    pub(crate) fn hang_stop(&self, name: usize, hang: bool) {
        self.0.pages[name].hang_stop.store(hang, Ordering::SeqCst);
    }

    /// What was noted since the last look.
    pub(crate) fn lines(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lines.lock().unwrap())
    }

    /// What must never be seen and was.
    pub(crate) fn wrongs(&self) -> Vec<String> {
        self.0.wrongs.lock().unwrap().clone()
    }

    /// How many incarnations and how many of their tasks are alive.
    pub(crate) fn alive(&self) -> (i64, i64) {
        self.0.pages.iter().fold((0, 0), |(live, tasks), page| {
            (live + page.live.load(Ordering::SeqCst), tasks + page.tasks.load(Ordering::SeqCst))
        })
    }

    pub(crate) fn tasks_of(&self, name: usize) -> i64 {
        self.0.pages[name].tasks.load(Ordering::SeqCst)
    }

    pub(crate) fn tell(&self, name: usize, end: End) {
        if let Err(error) = self.0.slots[name].address().try_cast(end) {
            self.wrong(format!("c{name} cannot be told: {error}"));
        }
    }

    /// The same for one that may not be there.
    pub(crate) fn try_tell(&self, name: usize, end: End) {
        drop(self.0.slots[name].address().try_cast(end));
    }

    pub(crate) fn spec(&self, name: usize, plan: &Plan) -> ChildSpec {
        let book = self.clone();
        let spec = ChildSpec::actor(format!("c{name}"), "toy", &self.0.slots[name], move |_| {
            (Toy { name, book: book.clone() }, ())
        });
        let mut spec = spec.restart(plan.restart).significant(plan.significant).counts(plan.counts);
        if let Some(policy) = &plan.backoff {
            spec = spec.backoff(policy.clone());
        }
        if plan.brutal { spec.shutdown(Shutdown::Brutal) } else { spec }
    }

    fn note(&self, line: String) {
        self.0.lines.lock().unwrap().push(line);
    }

    fn wrong(&self, line: String) {
        self.0.wrongs.lock().unwrap().push(line);
    }
}

struct Toy {
    name: usize,
    book: Book,
}

/// Counts while it is there.
struct Present {
    book: Book,
    name: usize,
    line: String,
}

impl Drop for Present {
    fn drop(&mut self) {
        self.book.0.pages[self.name].live.fetch_sub(1, Ordering::SeqCst);
        self.book.note(std::mem::take(&mut self.line));
    }
}

struct Busy(Book, usize);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.0.pages[self.1].tasks.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Actor for Toy {
    type Message = End;
    type Args = ();
    type State = Present;

    async fn pre_start(&self, (): (), ctx: &Ctx<End>) -> Result<Present, BoxError> {
        let (page, inc) = (&self.book.0.pages[self.name], ctx.incarnation());
        let life = format!("c{}#{inc}", self.name);
        if page.live.load(Ordering::SeqCst) != 0 {
            self.book.wrong(format!("{life} starts while another incarnation lives"));
        }
        if page.tasks.load(Ordering::SeqCst) != 0 {
            self.book.wrong(format!("{life} starts while a task of another incarnation runs"));
        }
        if page.hang_start.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        let start = page.starts.lock().unwrap().pop_front().unwrap_or(Start::Up);
        match start {
            Start::Up => {}
            Start::Ignored => {
                self.book.note(format!("ignore {life}"));
                return Err(Exit::Ignore.into());
            }
            Start::Fails => {
                self.book.note(format!("fail {life}"));
                return Err("start refused".into());
            }
            Start::FailsForGood => {
                self.book.note(format!("fail {life}"));
                return Err(Exit::Fatal("bad credentials".into()).into());
            }
        }
        self.book.note(format!("start {life}"));
        page.live.fetch_add(1, Ordering::SeqCst);
        page.tasks.fetch_add(1, Ordering::SeqCst);
        let busy = Busy(self.book.clone(), self.name);
        ctx.spawn_scoped(async move {
            let _busy = busy;
            std::future::pending::<()>().await;
        });
        Ok(Present { book: self.book.clone(), name: self.name, line: format!("end {life}") })
    }

    async fn handle(&self, _: &mut Present, end: End, ctx: &Ctx<End>) -> ActorResult {
        match end {
            End::Normal => Err(Exit::Normal.into()),
            End::Shutdown => {
                ctx.stop("done");
                Ok(())
            }
            End::Error => Err("broken".into()),
            End::Panic => panic!("broken"),
            End::Fatal => Err(Exit::Fatal("bad credentials".into()).into()),
        }
    }

    async fn post_stop(&self, _: &mut Present, _: &Ctx<End>) -> ActorResult {
        if self.book.0.pages[self.name].hang_stop.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        Ok(())
    }
}
