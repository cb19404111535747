//! Methods: parameters and results, one file per family.
//!
//! Parameters are validated against a static description first, so that a mistake is told in words clients know, and
//! then read into a type.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::error::ErrorShape;
use super::schema::{self, Object};

pub mod agents;
pub mod channels;
pub mod chaos;
pub mod chat;
pub mod config;
pub mod devices;
pub mod health;
pub mod logs;
pub mod models;
pub mod session_messages;
pub mod sessions;
pub mod store;
pub mod tree;

/// Methods that only nodes may call, whether we serve them or not: an operator is told about its role.
pub const NODE_ONLY: &[&str] = &[
    "node.event",
    "node.invoke.progress",
    "node.invoke.result",
    "node.pending.ack",
    "node.pending.drain",
    "node.pending.pull",
    "node.pluginSurface.refresh",
    "node.pluginTools.update",
    "node.runnerInventory.update",
    "node.skills.update",
    "skills.bins",
];

/// Parameters of a method.
pub trait Params: DeserializeOwned {
    /// The method.
    const METHOD: &'static str;
    /// What its parameters must look like.
    const SHAPE: &'static Object;

    /// Validates and reads them.
    ///
    /// # Errors
    /// `INVALID_REQUEST`, `invalid <method> params: …`.
    fn parse(params: Value) -> Result<Self, ErrorShape> {
        if let Some(complaint) = Self::SHAPE.complaint(&params) {
            return Err(ErrorShape::invalid_params(Self::METHOD, &complaint));
        }
        serde_json::from_value(schema::normalised(params))
            .map_err(|error| ErrorShape::invalid_params(Self::METHOD, &error.to_string()))
    }
}

/// Ties a type to its method and shape.
macro_rules! params {
    ($type:ty, $method:literal, $shape:expr) => {
        impl $crate::protocol::methods::Params for $type {
            const METHOD: &'static str = $method;
            const SHAPE: &'static $crate::protocol::schema::Object = &$shape;
        }
    };
}
use params;

#[cfg(test)]
mod tests;
