//! One client's connection: its handshake, then its requests.
//!
//! Parent: `connections` · Restart: temporary · Mailbox: 64, reject; frames come past it, bounded by the inbox
//! Survives a restart: nothing, and there is none: the client connects again.
//! Fails when: its own code panics; a handler's panic is only that request's answer.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use supervision::{Actor, ActorResult, BoxError, ChildSpec, Ctx, Restart, Shutdown, Slot, Timer};
use tokio::sync::watch;
use tracing::Instrument as _;

use super::context::{ConnContext, ConnId, Follows};
use super::handshake::{self, Dismissal, Knock, Verdict};
use super::inbox::Inbox;
use super::outbox::Outbox;
use super::requests::{Answered, Desk, Job, Requests, Then, run_pump};
use super::socket::{self, Ending, Received, Wiring};
use crate::control::auth::UpgradeFacts;
use crate::control::auth::admission::Accepted;
use crate::control::broadcast::{BroadcastHandle, StateSnapshot};
use crate::control::roster::Seat;
use crate::control::rpc::{MethodTable, models};
use crate::control::services::Services;
use crate::control::upgrade::budget::Budget;
use crate::control::upgrade::slots::PreauthSlot;
use crate::protocol::close::Close;
use crate::protocol::connect::{self, CHALLENGE_EVENT, ConnectParams};
use crate::protocol::frame::{Event, Response, ServerFrame};

/// How long a connection that is stopped waits for its peer's close.
const GOODBYE: Duration = Duration::from_secs(1);
/// How long the supervisor lets it do so.
const FAREWELL: Duration = Duration::from_secs(3);

/// A stream that is about to become a WebSocket, and what is known of it.
pub(crate) struct ConnectionArgs {
    pub(crate) conn_id: ConnId,
    pub(crate) upgrade: OnUpgrade,
    pub(crate) facts: UpgradeFacts,
    pub(crate) slot: PreauthSlot,
    pub(crate) seat: Seat,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) services: Arc<Services>,
    pub(crate) methods: Arc<MethodTable>,
}

#[derive(Debug)]
pub(super) enum ConnectionMessage {
    /// A frame arrived.
    Frame(Received),
    /// The connect was judged.
    Judged(Box<Verdict>),
    /// A request was answered, at least once.
    Answered(Answered),
    /// A request was answered for good.
    Finished,
    /// The handshake took too long.
    HandshakeTimeout,
    /// The socket is gone.
    SocketEnded { ending: Ending },
}

/// The connection's spec. Temporary: its arguments are there once.
pub(crate) fn child_spec(args: ConnectionArgs) -> ChildSpec {
    let id = format!("conn:{}", args.conn_id);
    let args = Mutex::new(Some(args));
    let take = move || args.lock().unwrap_or_else(PoisonError::into_inner).take();
    ChildSpec::actor(id, "connection", &Slot::new(), move |_start| (ConnectionActor, take()))
        .restart(Restart::Temporary)
        .shutdown(Shutdown::Timeout(FAREWELL))
        .handler_limit(actors::HANDLER_LIMIT)
}

struct ConnectionActor;

struct ConnectionState {
    conn_id: ConnId,
    outbox: Arc<Outbox>,
    budget: Arc<Budget>,
    facts: UpgradeFacts,
    seat: Seat,
    services: Arc<Services>,
    methods: Arc<MethodTable>,
    phase: Phase,
    /// True once the socket has ended.
    socket_ended: watch::Receiver<bool>,
}

enum Phase {
    /// Nothing was received yet.
    Waiting { slot: PreauthSlot, nonce: String, timeout: Timer },
    /// The connect is being judged; frames wait.
    Judging { slot: PreauthSlot, queued: VecDeque<Received>, timeout: Timer },
    /// Let in.
    Live(Live),
    /// Sent away; the close is on its way. The place among the unauthenticated is kept until the socket is gone.
    Closing { _slot: Option<PreauthSlot> },
}

const CLOSING: Phase = Phase::Closing { _slot: None };

struct Live {
    context: Arc<ConnContext>,
    requests: Requests,
    /// Tells the presence list, in whatever way the connection ends.
    _farewell: Farewell,
}

struct Farewell {
    broadcast: BroadcastHandle,
    conn_id: ConnId,
}

impl Drop for Farewell {
    fn drop(&mut self) {
        self.broadcast.left(self.conn_id.clone());
    }
}

impl fmt::Debug for ConnectionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionState").field("conn_id", &self.conn_id).finish_non_exhaustive()
    }
}

type Context = Ctx<ConnectionMessage>;

impl Actor for ConnectionActor {
    type Message = ConnectionMessage;
    type Args = Option<ConnectionArgs>;
    type State = ConnectionState;

    async fn pre_start(&self, args: Option<ConnectionArgs>, ctx: &Context) -> Result<ConnectionState, BoxError> {
        let args = args.ok_or("a connection can't be started twice")?;
        let settings = Arc::clone(&args.services.settings);
        let budget = Budget::new(settings.max_preauth_payload + socket::PREAUTH_OVERHEAD);
        let nonce = uuid::Uuid::new_v4().to_string();
        let now = args.services.clock.now_ms();
        push(&args.outbox, Event::direct(CHALLENGE_EVENT, connect::challenge(&nonce, now)));
        let wiring = Wiring {
            outbox: Arc::clone(&args.outbox),
            inbox: Arc::new(Inbox::default()),
            budget: Arc::clone(&budget),
            settings,
        };
        let timeout = ctx.send_after(args.services.settings.handshake_timeout, ConnectionMessage::HandshakeTimeout);
        let socket_ended = serve_socket(args.upgrade, wiring, &args.conn_id, ctx);
        ctx.set_detail("remote", args.facts.remote.to_string());
        ctx.set_detail("state", "handshake");
        Ok(ConnectionState {
            conn_id: args.conn_id,
            outbox: args.outbox,
            budget,
            facts: args.facts,
            seat: args.seat,
            services: args.services,
            methods: args.methods,
            phase: Phase::Waiting { slot: args.slot, nonce, timeout },
            socket_ended,
        })
    }

    async fn handle(&self, state: &mut ConnectionState, message: ConnectionMessage, ctx: &Context) -> ActorResult {
        match message {
            ConnectionMessage::Frame(received) => state.receive(received, ctx),
            ConnectionMessage::Judged(verdict) => state.judged(*verdict, ctx),
            ConnectionMessage::Answered(answered) => state.answered(answered, ctx),
            ConnectionMessage::Finished => state.finished(),
            ConnectionMessage::HandshakeTimeout => state.handshake_timed_out(),
            ConnectionMessage::SocketEnded { ending } => {
                tracing::debug!(conn_id = %state.conn_id, ending = ending.as_str(), "connection ended");
                ctx.stop(ending.as_str());
            }
        }
        Ok(())
    }

    async fn post_stop(&self, state: &mut ConnectionState, _ctx: &Context) -> ActorResult {
        state.outbox.close(Close::service_restart());
        // A peer that does not answer the close is not waited for; its socket ends with this actor.
        tokio::time::timeout(GOODBYE, state.socket_ended.wait_for(|ended| *ended)).await.ok();
        Ok(())
    }
}

/// Starts the task that owns the socket; the receiver turns true when it is gone.
fn serve_socket(upgrade: OnUpgrade, wiring: Wiring, conn_id: &ConnId, ctx: &Context) -> watch::Receiver<bool> {
    let (ended, socket_ended) = watch::channel(false);
    let reporter = ctx.reporter();
    let span = tracing::info_span!("conn", %conn_id);
    let serve = async move {
        let frames = reporter.clone();
        let ending = match upgrade.await {
            Ok(stream) => {
                let deliver = move |received| {
                    frames.send(ConnectionMessage::Frame(received));
                };
                socket::run(TokioIo::new(stream), wiring, deliver).await
            }
            // The peer left before it had the answer to its upgrade.
            Err(_) => Ending::Peer,
        };
        ended.send_replace(true);
        reporter.send(ConnectionMessage::SocketEnded { ending });
    };
    ctx.spawn_scoped(serve.instrument(span));
    socket_ended
}

impl ConnectionState {
    fn receive(&mut self, received: Received, ctx: &Context) {
        match &mut self.phase {
            Phase::Waiting { .. } => self.first_frame(&received.text, ctx),
            Phase::Judging { queued, .. } => {
                if queued.len() >= self.services.settings.max_pending_handshake_frames {
                    self.dismiss(Dismissal::silent(Close::too_many_pending_frames()));
                } else {
                    queued.push_back(received);
                }
            }
            Phase::Live(_) => self.request(&received.text, ctx),
            Phase::Closing { .. } => {}
        }
    }

    fn first_frame(&mut self, text: &str, ctx: &Context) {
        let knock = match handshake::first_frame(text, self.services.readiness.phase()) {
            Ok(knock) => knock,
            Err(dismissal) => return self.dismiss(*dismissal),
        };
        let Phase::Waiting { slot, nonce, timeout } = std::mem::replace(&mut self.phase, CLOSING) else {
            return;
        };
        self.phase = Phase::Judging { slot, queued: VecDeque::new(), timeout };
        self.judge(knock, nonce, ctx);
    }

    fn judge(&self, knock: Knock, nonce: String, ctx: &Context) {
        let judge = handshake::judge(knock, self.facts.clone(), nonce, Arc::clone(&self.services));
        let reporter = ctx.reporter();
        ctx.spawn_scoped(async move {
            reporter.send(ConnectionMessage::Judged(Box::new(judge.await)));
        });
    }

    fn judged(&mut self, verdict: Verdict, ctx: &Context) {
        let Verdict { request_id, params, outcome } = verdict;
        match outcome {
            Ok((accepted, state)) => self.welcome(request_id, params, *accepted, state, ctx),
            Err(refusal) => {
                tracing::info!(
                    conn_id = %self.conn_id, client = params.client.id, reason = refusal.close.reason,
                    "connection refused"
                );
                self.dismiss(Dismissal { request_id, refusal });
            }
        }
    }

    fn welcome(
        &mut self,
        request_id: String,
        params: ConnectParams,
        accepted: Accepted,
        state: StateSnapshot,
        ctx: &Context,
    ) {
        let Phase::Judging { slot, queued, timeout } = std::mem::replace(&mut self.phase, CLOSING) else {
            return;
        };
        timeout.cancel();
        let hello = handshake::hello(&self.conn_id, &accepted, state, &self.services, &self.methods);
        // Everything in it serialises.
        let hello = serde_json::to_value(&hello).unwrap_or_default();
        push(&self.outbox, Response::ok(request_id, hello));
        self.budget.lift();
        drop(slot);
        let context = self.context(params, accepted);
        ctx.set_detail("state", "live");
        ctx.set_detail("client", format!("{}/{}", context.client.id, context.client.mode));
        ctx.set_detail("role", context.role.as_str());
        tracing::info!(
            conn_id = %self.conn_id, role = context.role.as_str(), client = context.client.id, "connection accepted"
        );
        self.seat.authenticate(Arc::clone(&context));
        self.services.broadcast.joined(Arc::clone(&context));
        let farewell = Farewell { broadcast: self.services.broadcast.clone(), conn_id: self.conn_id.clone() };
        if context.has_cap(models::SNAPSHOT_CAP) {
            context.send_event(models::SNAPSHOT_EVENT, models::catalog_snapshot(&self.services, &context));
        }
        self.phase = Phase::Live(Live { context, requests: Requests::default(), _farewell: farewell });
        for received in queued {
            self.request(&received.text, ctx);
        }
    }

    fn context(&self, params: ConnectParams, accepted: Accepted) -> Arc<ConnContext> {
        Arc::new(ConnContext {
            conn_id: self.conn_id.clone(),
            role: accepted.role,
            scopes: accepted.scopes,
            client: params.client,
            caps: params.caps,
            device_id: accepted.device_id,
            method: accepted.method,
            remote: self.facts.remote,
            connected_at: self.services.clock.now_ms(),
            outbox: Arc::clone(&self.outbox),
            follows: Follows::default(),
        })
    }

    fn request(&mut self, text: &str, ctx: &Context) {
        let Phase::Live(live) = &mut self.phase else { return };
        let desk = Desk { conn: &live.context, services: &self.services, methods: &self.methods };
        if let Some(job) = live.requests.receive(text, &desk) {
            start(job, ctx);
        }
    }

    fn answered(&mut self, answered: Answered, ctx: &Context) {
        let Phase::Live(live) = &mut self.phase else { return };
        if let Some(next) = live.requests.answered(&answered) {
            start(next, ctx);
        }
        match answered.then {
            Then::Done => {}
            Then::Second(rest) => {
                let reporter = ctx.reporter();
                ctx.spawn_scoped(async move {
                    rest.await;
                    reporter.send(ConnectionMessage::Finished);
                });
            }
            Then::Pump { key, pump } => ctx.spawn_scoped(run_pump(key, pump, live.requests.pump(key))),
        }
        ctx.set_detail("open requests", live.requests.open().to_string());
    }

    fn finished(&mut self) {
        if let Phase::Live(live) = &mut self.phase {
            live.requests.finished();
        }
    }

    fn handshake_timed_out(&mut self) {
        match self.phase {
            Phase::Waiting { .. } | Phase::Judging { .. } => self.dismiss(Dismissal::silent(Close::silent())),
            Phase::Live(_) | Phase::Closing { .. } => {}
        }
    }

    fn dismiss(&mut self, dismissal: Dismissal) {
        let Dismissal { request_id, refusal } = dismissal;
        if let Some(error) = refusal.error {
            push(&self.outbox, Response::failed(request_id, error));
        }
        self.outbox.close(refusal.close);
        let slot = match std::mem::replace(&mut self.phase, CLOSING) {
            Phase::Waiting { slot, .. } | Phase::Judging { slot, .. } => Some(slot),
            Phase::Closing { _slot } => _slot,
            Phase::Live(_) => None,
        };
        self.phase = Phase::Closing { _slot: slot };
    }
}

fn start(job: Job, ctx: &Context) {
    let reporter = ctx.reporter();
    ctx.spawn_scoped(async move {
        let answered = job.run().await;
        reporter.send(ConnectionMessage::Answered(answered));
    });
}

fn push(outbox: &Outbox, frame: impl Into<ServerFrame>) {
    outbox.push(frame.into().to_text());
}
