//! This crate, nothing left out: bounded and metered mailboxes, deadlines, the live tree, restart budgets.

use std::time::Duration;

use supervision::{
    Actor, ActorResult, Address, BoxError, ChildSpec, Ctx, Intensity, Mailbox, Reply, Restart, Slot, Supervisor,
    SupervisorHandle, SupervisorSpec, TreeStore,
};

use crate::contenders::{Contender, DEADLINE, Life, MAILBOX};

pub(crate) struct Ours;

pub(crate) enum Message {
    Add(u64),
    Get(u64, Reply<u64>),
    Crash,
}

pub(crate) struct Worker;

impl Worker {
    pub(crate) fn spec(id: String, slot: &Slot<Message>, life: &Life) -> ChildSpec {
        let life = life.clone();
        ChildSpec::actor(id, "worker", slot, move |_| (Self, life.clone())).mailbox(Mailbox::reject(MAILBOX))
    }
}

impl Actor for Worker {
    type Message = Message;
    type Args = Life;
    type State = u64;

    async fn pre_start(&self, life: Life, _: &Ctx<Message>) -> Result<u64, BoxError> {
        life.start();
        Ok(0)
    }

    async fn handle(&self, sum: &mut u64, message: Message, _: &Ctx<Message>) -> ActorResult {
        match message {
            Message::Add(n) => *sum += n,
            Message::Get(n, reply) => reply.send(*sum + n),
            Message::Crash => return Err("crash".into()),
        }
        Ok(())
    }
}

/// A supervisor that is never too tired to restart a child.
pub(crate) async fn root(tree: TreeStore) -> SupervisorHandle {
    let intensity = Intensity { max_restarts: u32::MAX, period: Duration::from_secs(5) };
    let spec = SupervisorSpec { intensity, ..SupervisorSpec::default() };
    Supervisor::start_root(spec, tree).await.expect("a root")
}

impl Contender for Ours {
    const NAME: &'static str = "supervision";
    type Parent = (SupervisorHandle, Life);
    type Child = (Address<Message>, usize);

    async fn parent(life: &Life) -> Self::Parent {
        (root(TreeStore::new()).await, life.clone())
    }

    async fn spawn((parent, life): &Self::Parent, n: usize) -> Self::Child {
        let slot = Slot::new();
        let spec = Worker::spec(n.to_string(), &slot, life).restart(Restart::Transient);
        parent.start_child(spec).await.expect("a child");
        (slot.address(), n)
    }

    async fn call((child, _): &Self::Child, n: u64) -> u64 {
        child.call(|reply| Message::Get(n, reply), DEADLINE).await.expect("answered")
    }

    fn cast((child, _): &Self::Child, n: u64) {
        child.try_cast(Message::Add(n)).expect("room");
    }

    fn crash((child, _): &Self::Child) {
        child.try_cast(Message::Crash).expect("room");
    }

    async fn leave((parent, _): &Self::Parent, (_, n): Self::Child) {
        parent.terminate_child(&n.to_string().into()).await.expect("stopped");
    }

    async fn stop_all((parent, _): Self::Parent, _: Vec<Self::Child>) {
        let report = parent.shutdown(Duration::from_secs(600)).await;
        assert!(report.stragglers.is_empty(), "all ended in time");
    }
}
