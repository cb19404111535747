//! Every open connection, authenticated or not: whom a broadcast may go to and whom a drain must close.
//!
//! It outlives the actors that read it. A connection is on it for as long as it holds its [`Seat`], so one that ends by
//! a panic leaves it too.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use tokio::sync::watch;

use super::connection::context::{ConnContext, ConnId};
use super::connection::outbox::Outbox;
use crate::protocol::close::Close;

/// The connections. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Roster(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    members: RwLock<HashMap<ConnId, Arc<Member>>>,
    count: watch::Sender<usize>,
}

#[derive(Debug)]
struct Member {
    outbox: Arc<Outbox>,
    context: OnceLock<Arc<ConnContext>>,
}

/// A connection's place; it leaves when this is dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    roster: Roster,
    conn_id: ConnId,
    member: Arc<Member>,
}

impl Roster {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Inner { members: RwLock::default(), count: watch::Sender::new(0) }))
    }

    /// Seats a connection that is not authenticated yet.
    pub(crate) fn join(&self, conn_id: ConnId, outbox: Arc<Outbox>) -> Seat {
        let member = Arc::new(Member { outbox, context: OnceLock::new() });
        let mut members = self.write();
        members.insert(conn_id.clone(), Arc::clone(&member));
        self.0.count.send_replace(members.len());
        drop(members);
        Seat { roster: self.clone(), conn_id, member }
    }

    /// Authenticated connections.
    pub(crate) fn authenticated(&self) -> Vec<Arc<ConnContext>> {
        self.read().values().filter_map(|member| member.context.get()).map(Arc::clone).collect()
    }

    /// True when nobody is authenticated.
    pub(crate) fn has_no_audience(&self) -> bool {
        self.read().values().all(|member| member.context.get().is_none())
    }

    /// Closes every connection after what waits for it.
    pub(crate) fn close_all(&self, close: &Close) {
        for member in self.read().values() {
            member.outbox.close(close.clone());
        }
    }

    /// Closes the authenticated connections that `which` picks; tells how many.
    pub(crate) fn close_where(&self, close: &Close, which: impl Fn(&ConnContext) -> bool) -> usize {
        let picked: Vec<_> = self.authenticated().into_iter().filter(|context| which(context)).collect();
        for context in &picked {
            context.outbox.close(close.clone());
        }
        picked.len()
    }

    /// Open connections.
    pub(crate) fn len(&self) -> usize {
        self.read().len()
    }

    /// Waits until nobody is left.
    pub(crate) async fn emptied(&self) {
        let mut count = self.0.count.subscribe();
        // The sender lives as long as the roster.
        count.wait_for(|count| *count == 0).await.ok();
    }

    fn read(&self) -> RwLockReadGuard<'_, HashMap<ConnId, Arc<Member>>> {
        self.0.members.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<ConnId, Arc<Member>>> {
        self.0.members.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// From now on broadcasts may go to it. To be called after hello-ok was queued.
    pub(crate) fn authenticate(&self, context: Arc<ConnContext>) {
        self.member.context.set(context).ok();
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut members = self.roster.write();
        members.remove(&self.conn_id);
        self.roster.0.count.send_replace(members.len());
    }
}

#[cfg(test)]
mod tests {
    use super::super::connection::context::tests::context;
    use super::*;
    use crate::protocol::scope::Role;

    #[tokio::test]
    async fn a_connection_is_on_the_roster_while_it_holds_its_seat() {
        let roster = Roster::new();
        let context = context(Role::Operator, &[], 100);
        let seat = roster.join(context.conn_id.clone(), Arc::clone(&context.outbox));
        assert!(roster.has_no_audience());
        seat.authenticate(Arc::clone(&context));
        assert_eq!((roster.len(), roster.authenticated().len()), (1, 1));
        assert_eq!(roster.close_where(&Close::invalidated("test"), |one| one.device_id.is_some()), 0);
        drop(seat);
        roster.emptied().await;
        assert_eq!(roster.len(), 0);
    }
}
