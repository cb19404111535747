//! Calls and their answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use super::error::ClientError;
use crate::protocol::{Close, Event, HelloOk, Request, Response};

/// Orders for the driver that may wait; one more waits for room.
pub(super) const ORDERS: usize = 64;
/// Answers one request can have.
const ANSWERS: usize = 2;

/// What the driver is told.
#[derive(Debug)]
pub(super) enum Order {
    /// Send a request and remember where its answers go.
    Call { request: Request, answers: mpsc::Sender<Response>, stages: Stages },
    /// Nobody waits for this id any more.
    Forget(String),
    /// Say goodbye.
    Close,
}

/// How many answers a request has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stages {
    One,
    Two,
}

/// Calls methods of a connected gateway. Cheap to clone; all clones share the connection.
#[derive(Debug, Clone)]
pub struct Client {
    pub(super) shared: Arc<Shared>,
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) orders: mpsc::Sender<Order>,
    pub(super) closed: watch::Receiver<Option<Option<Close>>>,
    pub(super) hello: HelloOk,
    pub(super) request_timeout: Duration,
    pub(super) next_id: AtomicU64,
}

impl Client {
    /// What the gateway said when it let us in.
    #[must_use]
    pub fn hello(&self) -> &HelloOk {
        &self.shared.hello
    }

    /// Calls `method` and waits for its answer.
    ///
    /// # Errors
    /// When the gateway says no, does not answer in time, or is gone.
    pub async fn request(&self, method: &str, params: impl Serialize) -> Result<Value, ClientError> {
        self.request_within(method, params, self.shared.request_timeout).await
    }

    /// Calls `method` with a deadline of its own.
    ///
    /// # Errors
    /// When the gateway says no, does not answer in time, or is gone.
    pub async fn request_within(
        &self,
        method: &str,
        params: impl Serialize,
        deadline: Duration,
    ) -> Result<Value, ClientError> {
        let mut pending = self.call(method, params, Stages::One, deadline).await?;
        pending.next(deadline).await
    }

    /// Calls a method that answers twice: its first answer, and where the second will come.
    ///
    /// # Errors
    /// When the first answer is no, does not come in time, or the gateway is gone.
    pub async fn request_two_stage(
        &self,
        method: &str,
        params: impl Serialize,
    ) -> Result<(Value, PendingAnswer), ClientError> {
        let deadline = self.shared.request_timeout;
        let mut pending = self.call(method, params, Stages::Two, deadline).await?;
        let first = pending.next(deadline).await?;
        Ok((first, pending))
    }

    /// Starts a call of `method` and leaves waiting to the caller: the answers come one by one.
    ///
    /// # Errors
    /// When the gateway is gone.
    pub async fn start(&self, method: &str, params: impl Serialize) -> Result<PendingAnswer, ClientError> {
        self.call(method, params, Stages::Two, self.shared.request_timeout).await
    }

    /// Asks the driver to close the socket.
    pub async fn close(&self) {
        // A driver that is gone has closed it already.
        let _gone = self.shared.orders.send(Order::Close).await;
    }

    /// Resolves when the connection ends; with the gateway's close, if it sent one.
    pub async fn closed(&self) -> Option<Close> {
        let mut closed = self.shared.closed.clone();
        match closed.wait_for(Option::is_some).await {
            Ok(state) => state.clone().flatten(),
            Err(_driver_gone) => None,
        }
    }

    async fn call(
        &self,
        method: &str,
        params: impl Serialize,
        stages: Stages,
        deadline: Duration,
    ) -> Result<PendingAnswer, ClientError> {
        let params = serde_json::to_value(params).map_err(|error| ClientError::Protocol(error.to_string()))?;
        let id = format!("r{}", self.shared.next_id.fetch_add(1, Ordering::Relaxed));
        let (answers, receiver) = mpsc::channel(ANSWERS);
        let request = Request::new(id.clone(), method, params);
        let pending =
            PendingAnswer { id, method: method.to_owned(), receiver, shared: Arc::clone(&self.shared), done: false };
        let order = Order::Call { request, answers, stages };
        match timeout(deadline, self.shared.orders.send(order)).await {
            Ok(Ok(())) => Ok(pending),
            Ok(Err(_driver_gone)) => Err(self.shared.gone()),
            Err(_elapsed) => Err(ClientError::Timeout { method: method.to_owned(), after: deadline }),
        }
    }
}

impl Shared {
    fn gone(&self) -> ClientError {
        ClientError::Closed(self.closed.borrow().clone().flatten())
    }
}

/// An answer that is still to come. Dropping it forgets the request.
#[derive(Debug)]
pub struct PendingAnswer {
    id: String,
    method: String,
    receiver: mpsc::Receiver<Response>,
    shared: Arc<Shared>,
    done: bool,
}

impl PendingAnswer {
    /// The next answer as it came, whenever it comes; `None` when the connection was lost. Safe to cancel.
    pub async fn response(&mut self) -> Option<Response> {
        let response = self.receiver.recv().await;
        self.done |= response.is_none();
        response
    }

    /// Waits for the next answer.
    ///
    /// # Errors
    /// When the gateway says no, does not answer in time, or is gone.
    pub async fn next(&mut self, deadline: Duration) -> Result<Value, ClientError> {
        match timeout(deadline, self.receiver.recv()).await {
            Ok(Some(Response { ok: true, payload, .. })) => Ok(payload.unwrap_or(Value::Null)),
            Ok(Some(Response { ok: false, payload, error, .. })) => match error {
                Some(error) => Err(ClientError::Failed { error: Box::new(error), payload }),
                None => Err(ClientError::Protocol(format!("{} failed without an error", self.method))),
            },
            Ok(None) => {
                self.done = true;
                Err(self.shared.gone())
            }
            Err(_elapsed) => Err(ClientError::Timeout { method: self.method.clone(), after: deadline }),
        }
    }
}

impl Drop for PendingAnswer {
    fn drop(&mut self) {
        if !self.done && !self.receiver.is_closed() {
            // A full queue is fine: the driver drops the entry when its answer comes.
            let _full = self.shared.orders.try_send(Order::Forget(std::mem::take(&mut self.id)));
        }
    }
}

/// Events of a connection, in order.
#[derive(Debug)]
pub struct Events {
    pub(super) receiver: mpsc::Receiver<Event>,
    pub(super) missed: Arc<AtomicU64>,
}

impl Events {
    /// The next one; `None` when the connection has ended. Safe to cancel; events are kept while nobody waits.
    pub async fn next(&mut self) -> Option<Event> {
        self.receiver.recv().await
    }

    /// How many were dropped because nobody read them in time.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }
}
