//! The methods: one table, one row each, and what a handler is given and gives back.
//!
//! Every request goes the same way: the row is looked up, role and scope are judged, parameters are checked against
//! the row's description, the write budget is asked, and only then the handler runs, as a task of the connection.

pub mod agent;
pub mod agents;
pub mod channels;
pub mod chaos;
pub mod chat;
pub mod config;
pub mod devices;
pub mod health;
pub mod logs;
pub mod models;
mod overview;
pub mod run_events;
pub mod session_messages;
pub mod sessions;
pub mod shell;
pub mod store;
mod target;
pub mod tree;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::auth::MethodGate;
use super::connection::context::ConnContext;
use super::services::Services;
use crate::protocol::close::Close;
use crate::protocol::error::ErrorShape;
use crate::protocol::schema::{self, Object};
use crate::protocol::scope::{Role, Scope, ScopeRule};

/// What a handler returns.
pub type Handled = BoxFuture<'static, Result<Answer, ErrorShape>>;
/// A handler. It is run as a task of the connection: it ends with it, and its panic is an answer.
pub type Handler = fn(Call) -> Handled;

/// One method.
#[derive(Clone, Copy)]
pub struct Method {
    /// Its name.
    pub name: &'static str,
    /// Who may call it.
    pub gate: MethodGate,
    /// What its parameters must look like; `None` when the handler checks them itself.
    pub params: Option<&'static Object>,
    /// True when calls of one connection run one after another, up to their first answer.
    pub ordered: bool,
    /// True when it counts against the budget of control-plane writes.
    pub control_plane_write: bool,
    /// What does it.
    pub handler: Handler,
}

impl Method {
    /// A method for operators with this scope.
    #[must_use]
    pub const fn new(name: &'static str, scope: Scope, params: &'static Object, handler: Handler) -> Self {
        Self {
            name,
            gate: MethodGate::operator(scope),
            params: Some(params),
            ordered: false,
            control_plane_write: false,
            handler,
        }
    }

    /// Judged by another rule.
    #[must_use]
    pub const fn scope(mut self, scope: ScopeRule) -> Self {
        self.gate.scope = scope;
        self
    }

    /// For another role.
    #[must_use]
    pub const fn role(mut self, role: Role) -> Self {
        self.gate.role = role;
        self
    }

    /// Not before the gateway has started.
    #[must_use]
    pub const fn after_startup(mut self) -> Self {
        self.gate.waits_for_startup = true;
        self
    }

    /// Changes the session this parameter names, which is asked for before the other parameters are looked at.
    #[must_use]
    pub const fn session_target(mut self, parameter: &'static str) -> Self {
        self.gate.session_target = Some(parameter);
        self
    }

    /// Runs one after another per connection.
    #[must_use]
    pub const fn ordered(mut self) -> Self {
        self.ordered = true;
        self
    }

    /// Counts against the budget of control-plane writes.
    #[must_use]
    pub const fn control_plane_write(mut self) -> Self {
        self.control_plane_write = true;
        self
    }
}

impl fmt::Debug for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Method").field("name", &self.name).field("gate", &self.gate).finish_non_exhaustive()
    }
}

/// A request that was let through.
#[derive(Debug)]
pub struct Call {
    /// Its parameters, which fit the row's description.
    pub params: Value,
    /// Its id, chosen by the client.
    pub request_id: String,
    /// Whose it is.
    pub conn: Arc<ConnContext>,
    /// What the gateway is made of.
    pub services: Arc<Services>,
    /// The row's name.
    pub method: &'static str,
}

impl Call {
    /// The parameters as a type.
    ///
    /// # Errors
    /// `INVALID_REQUEST` when they are something else.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, ErrorShape> {
        serde_json::from_value(schema::normalised(self.params.clone()))
            .map_err(|error| ErrorShape::invalid_params(self.method, &error.to_string()))
    }
}

/// What a handler answers.
pub enum Answer {
    /// One answer.
    One(Value),
    /// One answer that may be a failure with a payload.
    Settled(Final),
    /// One now and one later, with the same id.
    TwoStage {
        /// The first answer.
        first: Value,
        /// Resolves to the second; runs as a task of the connection.
        rest: BoxFuture<'static, Final>,
    },
    /// One answer, and from then on events of the connection's own.
    Subscription {
        /// The answer.
        first: Value,
        /// Names the subscription; a second one of the same name ends the first.
        key: &'static str,
        /// Sends the events; runs as a task of the connection until it ends or is replaced.
        pump: BoxFuture<'static, ()>,
    },
    /// One answer, then the connection is closed.
    Last(Value, Close),
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::One(_) => "One",
            Self::Settled(_) => "Settled",
            Self::TwoStage { .. } => "TwoStage",
            Self::Subscription { .. } => "Subscription",
            Self::Last(..) => "Last",
        })
    }
}

/// The second answer of a two-stage method. A failed one may carry payload and error.
#[derive(Debug, Clone, PartialEq)]
pub struct Final {
    /// Whether it worked.
    pub ok: bool,
    /// The result.
    pub payload: Option<Value>,
    /// The error.
    pub error: Option<ErrorShape>,
}

impl Final {
    /// It worked.
    #[must_use]
    pub fn done(payload: Value) -> Self {
        Self { ok: true, payload: Some(payload), error: None }
    }

    /// It did not.
    #[must_use]
    pub fn failed(payload: Option<Value>, error: ErrorShape) -> Self {
        Self { ok: false, payload, error: Some(error) }
    }
}

/// All methods.
#[derive(Debug, Default)]
pub struct MethodTable {
    rows: HashMap<&'static str, Method>,
    names: Vec<&'static str>,
}

impl MethodTable {
    /// The methods of all families here.
    #[must_use]
    pub fn own() -> Self {
        let mut table = Self::default();
        for family in [
            health::METHODS,
            tree::METHODS,
            config::METHODS,
            agents::METHODS,
            models::METHODS,
            channels::METHODS,
            logs::METHODS,
            devices::METHODS,
            chat::METHODS,
            agent::METHODS,
            sessions::METHODS,
            session_messages::METHODS,
            store::METHODS,
            shell::METHODS,
        ] {
            table.add(family);
        }
        table
    }

    /// Adds a family. A row of a name that is there already replaces it.
    pub fn add(&mut self, family: &[Method]) {
        for method in family {
            if self.rows.insert(method.name, *method).is_none() {
                self.names.push(method.name);
            }
        }
    }

    /// With another family.
    #[must_use]
    pub fn with(mut self, family: &[Method]) -> Self {
        self.add(family);
        self
    }

    /// The row of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Method> {
        self.rows.get(name)
    }

    /// All names, as hello-ok lists them.
    #[must_use]
    pub fn names(&self) -> &[&'static str] {
        &self.names
    }
}

/// Parameters nobody looks at.
pub(crate) const ANY: Object = Object::open(&[], &[]);
/// No parameters.
pub(crate) const NOTHING: Object = Object::closed(&[], &[]);
