//! A tokio task that reads a bounded channel; a parent task that runs it again, channel and all, when it fails.

#![expect(clippy::disallowed_methods, reason = "bare tasks are what is measured")]

use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, JoinSet};

use crate::contenders::{Contender, DEADLINE, Life, MAILBOX};

pub(crate) struct Channel;

pub(crate) enum Message {
    Add(u64),
    Get(u64, oneshot::Sender<u64>),
    Crash,
    Stop,
}

type Crashed = Option<mpsc::Receiver<Message>>;

pub(crate) struct Parent {
    wanted: mpsc::Sender<(mpsc::Receiver<Message>, oneshot::Sender<()>)>,
    task: JoinHandle<()>,
}

async fn work(mut mailbox: mpsc::Receiver<Message>, life: Life) -> Crashed {
    life.start();
    let mut sum = 0;
    while let Some(message) = mailbox.recv().await {
        match message {
            Message::Add(n) => sum += n,
            Message::Get(n, reply) => drop(reply.send(sum + n)),
            Message::Crash => return Some(mailbox),
            Message::Stop => return None,
        }
    }
    None
}

async fn supervise(mut wanted: mpsc::Receiver<(mpsc::Receiver<Message>, oneshot::Sender<()>)>, life: Life) {
    let mut children = JoinSet::new();
    loop {
        tokio::select! {
            asked = wanted.recv() => match asked {
                Some((mailbox, up)) => {
                    children.spawn(work(mailbox, life.clone()));
                    up.send(()).expect("waited for");
                }
                None => return,
            },
            Some(ended) = children.join_next() => {
                if let Ok(Some(mailbox)) = ended {
                    children.spawn(work(mailbox, life.clone()));
                }
            }
        }
    }
}

impl Contender for Channel {
    const NAME: &'static str = "tokio channel";
    type Parent = Parent;
    type Child = mpsc::Sender<Message>;

    async fn parent(life: &Life) -> Parent {
        let (wanted, asked) = mpsc::channel(16);
        Parent { wanted, task: tokio::spawn(supervise(asked, life.clone())) }
    }

    async fn spawn(parent: &Parent, _: usize) -> Self::Child {
        let (child, mailbox) = mpsc::channel(MAILBOX);
        let (up, is_up) = oneshot::channel();
        parent.wanted.send((mailbox, up)).await.expect("a parent");
        is_up.await.expect("up");
        child
    }

    async fn call(child: &Self::Child, n: u64) -> u64 {
        let exchange = async {
            let (reply, answer) = oneshot::channel();
            child.send(Message::Get(n, reply)).await.expect("sent");
            answer.await.expect("answered")
        };
        tokio::time::timeout(DEADLINE, exchange).await.expect("in time")
    }

    fn cast(child: &Self::Child, n: u64) {
        child.try_send(Message::Add(n)).expect("room");
    }

    fn crash(child: &Self::Child) {
        child.try_send(Message::Crash).expect("room");
    }

    async fn leave(_: &Parent, child: Self::Child) {
        child.try_send(Message::Stop).expect("room");
        child.closed().await;
    }

    async fn stop_all(parent: Parent, children: Vec<Self::Child>) {
        for child in children.into_iter().rev() {
            Self::leave(&parent, child).await;
        }
        drop(parent.wanted);
        parent.task.await.expect("ended");
    }
}
