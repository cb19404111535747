//! The requests of one authenticated connection: judged in the order they come, run side by side, except for those
//! that are ordered.

use std::any::Any;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use super::context::ConnContext;
use crate::control::auth::{Caller, RoleStrikes, authorize};
use crate::control::readiness::Phase;
use crate::control::rpc::{Answer, Call, Final, Handler, MethodTable};
use crate::control::services::Services;
use crate::protocol::close::Close;
use crate::protocol::error::ErrorShape;
use crate::protocol::frame::{FrameFault, Request, Response, ServerFrame};

/// What runs, what waits, and how often the client tried what is not for it.
#[derive(Default)]
pub(super) struct Requests {
    strikes: RoleStrikes,
    is_struck_out: bool,
    running: usize,
    bytes: usize,
    lane: VecDeque<Job>,
    lane_is_busy: bool,
    pumps: HashMap<&'static str, CancellationToken>,
}

/// A request that was let through.
pub(super) struct Job {
    call: Call,
    handler: Handler,
    bytes: usize,
    is_ordered: bool,
}

/// What a job leaves behind once it has answered.
#[derive(Debug)]
pub(super) struct Answered {
    bytes: usize,
    is_ordered: bool,
    pub(super) then: Then,
}

/// What goes on after an answer.
pub(super) enum Then {
    /// Nothing.
    Done,
    /// The second answer is worked on.
    Second(BoxFuture<'static, ()>),
    /// Events are pumped until the token is cancelled.
    Pump { key: &'static str, pump: BoxFuture<'static, ()> },
}

impl fmt::Debug for Then {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Done => "Done",
            Self::Second(_) => "Second",
            Self::Pump { .. } => "Pump",
        })
    }
}

/// The connection a request came on.
pub(super) struct Desk<'a> {
    pub(super) conn: &'a Arc<ConnContext>,
    pub(super) services: &'a Arc<Services>,
    pub(super) methods: &'a MethodTable,
}

impl Requests {
    /// Judges a frame: gives the job to start now, if there is one.
    pub(super) fn receive(&mut self, text: &str, desk: &Desk<'_>) -> Option<Job> {
        let request = match Request::parse(text) {
            Ok(request) => request,
            Err(FrameFault::NotJson) => return None,
            Err(FrameFault::Malformed { id, complaint }) => {
                answer(desk.conn, Response::malformed(id, &complaint));
                return None;
            }
        };
        match self.admit(request, text.len(), desk) {
            Ok(job) if job.is_ordered && self.lane_is_busy => {
                self.lane.push_back(job);
                None
            }
            Ok(job) => {
                self.lane_is_busy |= job.is_ordered;
                Some(job)
            }
            Err(refused) => {
                answer(desk.conn, *refused);
                if self.is_struck_out {
                    desk.conn.outbox.close(Close::repeated_unauthorized_calls());
                }
                None
            }
        }
    }

    fn admit(&mut self, request: Request, bytes: usize, desk: &Desk<'_>) -> Result<Job, Box<Response>> {
        let Request { id, method: name, params, .. } = request;
        let refuse = |error: ErrorShape| Box::new(Response::failed(id.clone(), error));
        let method = desk.methods.get(&name);
        let caller = Caller { role: desk.conn.role, scopes: &desk.conn.scopes };
        let is_starting = desk.services.readiness.phase() == Phase::Starting;
        let judged = authorize(caller, &name, method.map(|method| &method.gate), &params, is_starting);
        self.is_struck_out = self.strikes.note(&judged);
        judged.map_err(refuse)?;
        let method = method.ok_or_else(|| refuse(ErrorShape::unknown_method(&name)))?;
        if let Some(complaint) = method.params.and_then(|shape| shape.complaint(&params)) {
            return Err(refuse(ErrorShape::invalid_params(method.name, &complaint)));
        }
        if method.control_plane_write {
            let who = format!("{}@{}", desk.conn.device_id.as_deref().unwrap_or(""), desk.conn.remote);
            let taken = desk.services.writes.take(method.name, &who, desk.services.clock.now_ms());
            taken.map_err(|wait| refuse(ErrorShape::write_budget_spent(method.name, wait)))?;
        }
        let settings = &desk.services.settings;
        let is_full = self.running >= settings.max_waiting_requests || self.bytes + bytes > settings.max_waiting_bytes;
        if is_full {
            return Err(refuse(ErrorShape::busy()));
        }
        self.running += 1;
        self.bytes += bytes;
        let call = Call {
            params,
            request_id: id,
            conn: Arc::clone(desk.conn),
            services: Arc::clone(desk.services),
            method: method.name,
        };
        Ok(Job { call, handler: method.handler, bytes, is_ordered: method.ordered })
    }

    /// A job has answered: gives the next of the ordered lane.
    pub(super) fn answered(&mut self, answered: &Answered) -> Option<Job> {
        self.bytes -= answered.bytes;
        if !matches!(answered.then, Then::Second(_)) {
            self.running -= 1;
        }
        if !answered.is_ordered {
            return None;
        }
        let next = self.lane.pop_front();
        self.lane_is_busy = next.is_some();
        next
    }

    /// A second answer was given.
    pub(super) fn finished(&mut self) {
        self.running -= 1;
    }

    /// The token of a new pump; an older one of the same name ends.
    pub(super) fn pump(&mut self, key: &'static str) -> CancellationToken {
        let token = CancellationToken::new();
        if let Some(older) = self.pumps.insert(key, token.clone()) {
            older.cancel();
        }
        token
    }

    /// Requests that are not answered for good.
    pub(super) fn open(&self) -> usize {
        self.running
    }
}

impl Job {
    /// Runs the handler and sends its answer. A panic is an answer too.
    pub(super) async fn run(self) -> Answered {
        let Self { call, handler, bytes, is_ordered } = self;
        let (conn, id, method) = (Arc::clone(&call.conn), call.request_id.clone(), call.method);
        let outcome = AssertUnwindSafe(async move { handler(call).await }).catch_unwind().await;
        let then = match outcome.unwrap_or_else(|panic| Err(panicked(method, &*panic))) {
            Ok(Answer::One(payload)) => {
                answer(&conn, Response::ok(id, payload));
                Then::Done
            }
            Ok(Answer::Settled(Final { ok, payload, error })) => {
                answer(&conn, Response { id, ok, payload, error });
                Then::Done
            }
            Ok(Answer::Last(payload, close)) => {
                answer(&conn, Response::ok(id, payload));
                conn.outbox.close(close);
                Then::Done
            }
            Ok(Answer::TwoStage { first, rest }) => {
                answer(&conn, Response::ok(id.clone(), first));
                Then::Second(Box::pin(second(conn, id, method, rest)))
            }
            Ok(Answer::Subscription { first, key, pump }) => {
                answer(&conn, Response::ok(id, first));
                Then::Pump { key, pump }
            }
            Err(error) => {
                answer(&conn, Response::failed(id, error));
                Then::Done
            }
        };
        Answered { bytes, is_ordered, then }
    }
}

async fn second(conn: Arc<ConnContext>, id: String, method: &'static str, rest: BoxFuture<'static, Final>) {
    let outcome = AssertUnwindSafe(rest).catch_unwind().await;
    let Final { ok, payload, error } = outcome.unwrap_or_else(|panic| Final::failed(None, panicked(method, &*panic)));
    answer(&conn, Response { id, ok, payload, error });
}

/// Runs a pump until it ends, is replaced, or panics, which ends the pump alone.
pub(super) async fn run_pump(key: &'static str, pump: BoxFuture<'static, ()>, replaced: CancellationToken) {
    tokio::select! {
        () = replaced.cancelled() => {}
        outcome = AssertUnwindSafe(pump).catch_unwind() => {
            if let Err(panic) = outcome {
                tracing::error!(subscription = key, panic = text(&*panic), "a subscription panicked");
            }
        }
    }
}

fn answer(conn: &ConnContext, response: Response) {
    conn.outbox.push(ServerFrame::from(response).to_text());
}

fn panicked(method: &'static str, panic: &(dyn Any + Send)) -> ErrorShape {
    let text = text(panic);
    tracing::error!(method, panic = text, "a request handler panicked");
    ErrorShape::unavailable(format!("{method} failed: {text}"))
}

fn text(panic: &(dyn Any + Send)) -> &str {
    let owned = panic.downcast_ref::<String>().map(String::as_str);
    owned.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("panic without a message")
}
