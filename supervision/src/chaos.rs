//! Faults on purpose, by actor path. Only with feature `chaos`, never in a default build.
//!
//! Paths are looked up in one table per process: two trees in one process share it.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ractor::{ActorCell, ActorStatus};

use crate::exit::BoxError;
use crate::path::ActorPath;

/// A fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The next message panics.
    Panic,
    /// The next message returns an error.
    Error,
    /// The next message is never done, though it can be cancelled.
    Hang,
    /// The next message blocks its thread this long.
    Block(Duration),
    /// The actor is killed now.
    Kill,
}

/// Why a fault was not injected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InjectError {
    /// No actor has ever run there.
    #[error("no actor at {0}")]
    NotFound(ActorPath),
    /// Supervisors take no messages of this kind; they can only be killed.
    #[error("{0} can only be killed")]
    OnlyKill(ActorPath),
}

#[derive(Default)]
struct Table {
    actors: HashMap<ActorPath, (ActorCell, bool)>,
    faults: HashMap<ActorPath, VecDeque<Fault>>,
}

static TABLE: LazyLock<Mutex<Table>> = LazyLock::new(Mutex::default);
/// Faults not yet struck, so that a message costs one load while there are none.
static PENDING: AtomicUsize = AtomicUsize::new(0);

fn table() -> MutexGuard<'static, Table> {
    TABLE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Lets the actor at `path` fail: at its next message, or now for [`Fault::Kill`].
///
/// # Errors
/// If there is no such actor, or it is a supervisor and the fault is not a kill.
pub fn inject(path: impl Into<ActorPath>, fault: Fault) -> Result<(), InjectError> {
    let path = path.into();
    let mut table = table();
    let Some((cell, worker)) = table.actors.get(&path) else { return Err(InjectError::NotFound(path)) };
    match fault {
        Fault::Kill => cell.kill(),
        Fault::Panic | Fault::Error | Fault::Hang | Fault::Block(_) if !worker => {
            return Err(InjectError::OnlyKill(path));
        }
        Fault::Panic | Fault::Error | Fault::Hang | Fault::Block(_) => {
            table.faults.entry(path).or_default().push_back(fault);
            PENDING.fetch_add(1, Ordering::SeqCst);
        }
    }
    Ok(())
}

/// Forgets faults that have not struck yet.
pub fn clear() {
    table().faults.clear();
    PENDING.store(0, Ordering::SeqCst);
}

pub(crate) fn register(path: &ActorPath, cell: &ActorCell, worker: bool) {
    let mut table = table();
    if table.actors.len() > 100_000 {
        table.actors.retain(|_, (cell, _)| cell.get_status() < ActorStatus::Stopped);
    }
    table.actors.insert(path.clone(), (cell.clone(), worker));
}

/// Runs at the start of every message.
pub(crate) async fn strike(path: &ActorPath) -> Result<(), BoxError> {
    if PENDING.load(Ordering::Relaxed) == 0 {
        return Ok(());
    }
    let fault = {
        let mut table = table();
        let Some(faults) = table.faults.get_mut(path) else { return Ok(()) };
        let fault = faults.pop_front();
        if faults.is_empty() {
            table.faults.remove(path);
        }
        fault
    };
    let Some(fault) = fault else { return Ok(()) };
    PENDING.fetch_sub(1, Ordering::SeqCst);
    tracing::warn!(target: "supervision", %path, ?fault, "injected fault");
    match fault {
        Fault::Panic => panic!("injected panic"),
        Fault::Error => Err("injected error".into()),
        Fault::Hang => std::future::pending().await,
        Fault::Block(time) => {
            std::thread::sleep(time);
            Ok(())
        }
        Fault::Kill => Ok(()),
    }
}
