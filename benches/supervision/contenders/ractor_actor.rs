//! A bare ractor actor, unbounded and unmetered, and a bare parent that starts a child again when it fails.

use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort, SupervisionEvent};

use crate::contenders::{Contender, DEADLINE, Life};

pub(crate) struct Ractor;

pub(crate) enum Message {
    Add(u64),
    Get(u64, RpcReplyPort<u64>),
    Crash,
}

pub(crate) struct Worker;

impl Actor for Worker {
    type Msg = Message;
    type State = u64;
    type Arguments = Life;

    async fn pre_start(&self, _: ActorRef<Message>, life: Life) -> Result<u64, ActorProcessingErr> {
        life.start();
        Ok(0)
    }

    async fn handle(&self, _: ActorRef<Message>, message: Message, sum: &mut u64) -> Result<(), ActorProcessingErr> {
        match message {
            Message::Add(n) => *sum += n,
            Message::Get(n, reply) => drop(reply.send(*sum + n)),
            Message::Crash => return Err("crash".into()),
        }
        Ok(())
    }
}

pub(crate) struct Parent;

impl Actor for Parent {
    type Msg = ();
    type State = Life;
    type Arguments = Life;

    async fn pre_start(&self, _: ActorRef<()>, life: Life) -> Result<Life, ActorProcessingErr> {
        Ok(life)
    }

    async fn handle_supervisor_evt(
        &self,
        me: ActorRef<()>,
        event: SupervisionEvent,
        life: &mut Life,
    ) -> Result<(), ActorProcessingErr> {
        if matches!(event, SupervisionEvent::ActorFailed(..)) {
            Actor::spawn_linked(None, Worker, life.clone(), me.get_cell()).await?;
        }
        Ok(())
    }
}

impl Contender for Ractor {
    const NAME: &'static str = "ractor";
    type Parent = (ActorRef<()>, Life);
    type Child = ActorRef<Message>;

    async fn parent(life: &Life) -> Self::Parent {
        let (parent, _) = Actor::spawn(None, Parent, life.clone()).await.expect("a parent");
        (parent, life.clone())
    }

    async fn spawn((parent, life): &Self::Parent, _: usize) -> Self::Child {
        let spawned = Actor::spawn_linked(None, Worker, life.clone(), parent.get_cell()).await;
        spawned.expect("a child").0
    }

    async fn call(child: &Self::Child, n: u64) -> u64 {
        let answer = child.call(|reply| Message::Get(n, reply), Some(DEADLINE)).await;
        answer.expect("sent").expect("answered")
    }

    fn cast(child: &Self::Child, n: u64) {
        child.cast(Message::Add(n)).expect("sent");
    }

    fn crash(child: &Self::Child) {
        child.cast(Message::Crash).expect("sent");
    }

    async fn leave(_: &Self::Parent, child: Self::Child) {
        child.stop_and_wait(None, None).await.expect("stopped");
    }

    async fn stop_all(parent: Self::Parent, children: Vec<Self::Child>) {
        for child in children.into_iter().rev() {
            Self::leave(&parent, child).await;
        }
        parent.0.stop_and_wait(None, None).await.expect("stopped");
    }
}
