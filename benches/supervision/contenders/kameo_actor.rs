//! kameo's actor with its own supervision: bounded mailbox, permanent, practically without a limit of restarts.

use std::convert::Infallible;
use std::time::Duration;

use kameo::actor::{Actor, ActorRef, Spawn};
use kameo::error::SendError;
use kameo::mailbox;
use kameo::message::{Context, Message};
use kameo::supervision::RestartPolicy;

use crate::contenders::{Contender, DEADLINE, Life, MAILBOX};

pub(crate) struct Kameo;

pub(crate) struct Worker(u64);

impl Actor for Worker {
    type Args = Life;
    type Error = Infallible;

    async fn on_start(life: Life, _: ActorRef<Self>) -> Result<Self, Infallible> {
        life.start();
        Ok(Self(0))
    }
}

pub(crate) struct Add(u64);
pub(crate) struct Get(u64);
pub(crate) struct Crash;

impl Message<Add> for Worker {
    type Reply = ();

    async fn handle(&mut self, message: Add, _: &mut Context<Self, ()>) {
        self.0 += message.0;
    }
}

impl Message<Get> for Worker {
    type Reply = u64;

    async fn handle(&mut self, message: Get, _: &mut Context<Self, u64>) -> u64 {
        self.0 + message.0
    }
}

impl Message<Crash> for Worker {
    type Reply = Result<(), std::fmt::Error>;

    async fn handle(&mut self, _: Crash, _: &mut Context<Self, Self::Reply>) -> Self::Reply {
        Err(std::fmt::Error)
    }
}

pub(crate) struct Parent;

impl Actor for Parent {
    type Args = ();
    type Error = Infallible;

    async fn on_start((): (), _: ActorRef<Self>) -> Result<Self, Infallible> {
        Ok(Self)
    }
}

impl Contender for Kameo {
    const NAME: &'static str = "kameo";
    type Parent = (ActorRef<Parent>, Life);
    type Child = ActorRef<Worker>;

    async fn parent(life: &Life) -> Self::Parent {
        (Parent::spawn(()), life.clone())
    }

    async fn spawn((parent, life): &Self::Parent, _: usize) -> Self::Child {
        let child = Worker::supervise(parent, life.clone())
            .restart_policy(RestartPolicy::Transient)
            .restart_limit(u32::MAX, Duration::from_secs(1))
            .spawn_with_mailbox(mailbox::bounded(MAILBOX))
            .await;
        child.wait_for_startup().await;
        child
    }

    async fn call(child: &Self::Child, n: u64) -> u64 {
        child.ask(Get(n)).mailbox_timeout(DEADLINE).reply_timeout(DEADLINE).send().await.expect("answered")
    }

    fn cast(child: &Self::Child, n: u64) {
        let sent: Result<(), SendError<Add>> = child.tell(Add(n)).try_send();
        sent.expect("room");
    }

    fn crash(child: &Self::Child) {
        child.tell(Crash).try_send().expect("room");
    }

    async fn leave(_: &Self::Parent, child: Self::Child) {
        child.stop_gracefully().await.expect("stopping");
        child.wait_for_shutdown().await;
    }

    async fn stop_all(parent: Self::Parent, children: Vec<Self::Child>) {
        for child in children.into_iter().rev() {
            Self::leave(&parent, child).await;
        }
        parent.0.stop_gracefully().await.expect("stopping");
        parent.0.wait_for_shutdown().await;
    }
}
